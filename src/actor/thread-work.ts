/**
 * Work for the owner of some state on another thread: a function, named as a worker's code is, that runs there as a
 * bottom half with that state in its hands. Synchronous: whoever owns the state goes on when it returns.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../util/config-error.ts';
import { toErrorRecord } from '../util/errors.ts';
import type { WorkerCode } from './worker.ts';
import { workerEntry } from './worker-entry.ts';

/** @param state what its owner lends for the time of the call */
export type ThreadWork<S> = (state: S, parameters: unknown) => unknown;

const require = createRequire(import.meta.url);

/** Loads the function, at once: a thread that parks never returns to its host's event loop. @throws ConfigError */
export function loadThreadWork<S>({ module, exportName }: WorkerCode): ThreadWork<S> {
  const where = `${module}#${exportName}`;
  let exports: Record<string, unknown>;
  try {
    exports = require(fileURLToPath(workerEntry(module))) as Record<string, unknown>;
  } catch (error) {
    const { name, message } = toErrorRecord(error);
    const remedy = 'Name a `file:` URL of a module that loads at once; a .ts only where Node loads such.';
    throw new ConfigError(where, `the module cannot be loaded on that thread (${name}: ${message})`, remedy);
  }
  const work = exports[exportName];
  if (typeof work === 'function') return work as ThreadWork<S>;
  throw new ConfigError(where, 'the module has no such function', 'Export it under this name.');
}
