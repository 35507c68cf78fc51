/** The two WebAssembly modules that every hart runs, compiled once per process. */
import { readFileSync } from 'node:fs';
import type { HartModules } from './hart/hart.ts';
import { ConfigError } from './util/config-error.ts';

let compiled: Promise<HartModules> | null = null;

/** @throws ConfigError where the package was not built */
export function loadHartModules(): Promise<HartModules> {
  compiled ??= compileBoth();
  return compiled;
}

async function compileBoth(): Promise<HartModules> {
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
