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

/** Whether the host has a core beside the vCPUs': the compile thread shares it with V8's compiler. */
export function hasCoreBeside(vcpus: number): boolean {
  return availableParallelism() > vcpus;
}

/** V8's major versions that know branch hints but heed them only if told to; it says so where it does not know a flag. */
const HINTED_IF_TOLD = { first: 11, last: 13 } as const;

/** For the whole process, also for workers. Code stays the same, but what is hardly ever executed moves out of the way. */
function heedBranchHints(): void {
  const major = Number.parseInt(process.versions.v8 ?? '', 10);
  if (major < HINTED_IF_TOLD.first || major > HINTED_IF_TOLD.last) return;
  setFlagsFromString('--experimental-wasm-branch-hinting');
}

async function compileBoth(): Promise<HartModules> {
  heedBranchHints();
  const [runtime, interpreter] = await Promise.all([compile('runtime'), compile('interpreter')]);
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
