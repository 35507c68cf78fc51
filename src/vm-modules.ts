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

/** Whether the host has a core beside the vCPUs': the compile thread shares it with V8's compiler. */
export function hasCoreBeside(vcpus: number): boolean {
  return hostCores() > vcpus;
}

/** V8's major versions whose flags for WebAssembly these are: it says so where it does not know one. */
const KNOWN_TO_V8 = { first: 11, last: 13 } as const;
/** Bytes of code, more or less, that a region executes before V8 optimises it; its own figure is 1.8 or 13 million. */
const REGION_TIERING_BUDGET = 32_000_000;

/** For the whole process, also for workers; changes how fast code is, not what it means. */
function setFlag(flag: string): void {
  const major = Number.parseInt(process.versions.v8 ?? '', 10);
  if (major >= KNOWN_TO_V8.first && major <= KNOWN_TO_V8.last) setFlagsFromString(flag);
}

async function compileBoth(): Promise<HartModules> {
  // What is hardly ever executed moves out of the way.
  setFlag('--experimental-wasm-branch-hinting');
  const [runtime, interpreter] = await Promise.all([compile('runtime'), compile('interpreter')]);
  // For what is compiled from here on: of these two each millisecond counts, and a region has to be worth the time.
  setFlag(`--wasm-tiering-budget=${REGION_TIERING_BUDGET}`);
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
