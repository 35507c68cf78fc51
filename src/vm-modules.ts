/** The two WebAssembly modules that every hart runs, compiled once per process. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import type { HartModules } from './hart/hart.ts';
import { ConfigError } from './util/config-error.ts';

let compiled: Promise<HartModules> | null = null;

/** @throws ConfigError where the package was not built */
export function loadHartModules(): Promise<HartModules> {
  compiled ??= compileBoth();
  return compiled;
}

/** Cores that the host lends to this process. */
export function hostCores(): number {
  return availableParallelism();
}

/** Whether some vCPU has to wait while others run. */
export function haveToShareCores(vcpus: number): boolean {
  return hostCores() < vcpus;
}

/**
 * Whether a thread of its own had better compile what vCPUs translate: where the host has a core for that beside theirs, which it
 * shares with V8's compiler, and for several vCPUs anyhow, since they share what it compiles.
 */
export function needsCompileThread(vcpus: number): boolean {
  return vcpus > 1 || hostCores() > vcpus;
}

/** V8's versions that know a flag: it says so where it does not. */
interface Versions {
  readonly first: Version;
  readonly last: Version;
}
/** Major and minor. */
type Version = readonly [number, number];
/** Whose flags for tiering and hints these are. */
const TIERING: Versions = { first: [11, 0], last: [13, 99] };
/** That have relaxed vector instructions, but as an experiment: Node 20's. */
const RELAXED_IS_EXPERIMENT: Versions = { first: [11, 0], last: [11, 3] };
/** Bytes of code, more or less, that a region executes before V8 optimises it; its own figure is 1.8 or 13 million. */
const REGION_TIERING_BUDGET = 32_000_000;

/** For the whole process, also for workers; changes how fast code is, not what it means. */
function setFlag(flag: string, { first, last }: Versions): void {
  const [major = 0, minor = 0] = (process.versions.v8 ?? '').split('.').map(Number);
  const rank = (version: Version): number => 1000 * version[0] + version[1];
  const here = rank([major, minor]);
  if (here >= rank(first) && here <= rank(last)) setFlagsFromString(flag);
}

/** What code is compiled with from here on. */
export function setEngineFlags(): void {
  // What is hardly ever executed moves out of the way.
  setFlag('--experimental-wasm-branch-hinting', TIERING);
  // A multiplication and an addition rounded once.
  setFlag('--experimental-wasm-relaxed-simd', RELAXED_IS_EXPERIMENT);
}

async function compileBoth(): Promise<HartModules> {
  setEngineFlags();
  const [runtime, interpreter] = await Promise.all([compile('runtime'), compile('interpreter')]);
  // For what is compiled from here on: of these two each millisecond counts, and a region has to be worth the time.
  setFlag(`--wasm-tiering-budget=${REGION_TIERING_BUDGET}`, TIERING);
  return { runtime, interpreter };
}

function compile(name: string): Promise<WebAssembly.Module> {
  const folder = import.meta.url.endsWith('.ts') ? '../dist/src/hart/' : './hart/';
  try {
    return WebAssembly.compile(readFileSync(new URL(`${folder}${name}.wasm`, import.meta.url)));
  } catch (error) {
    throw new ConfigError(`${name}.wasm`, `cannot be read (${String(error)})`, 'In a checkout run `npm run build`.');
  }
}
