/** The first module of every worker: loads the named code, now or ahead of time, runs it, and reports what it throws. */
import { parentPort, workerData } from 'node:worker_threads';
import { Thread } from '../channel/threads.ts';
import { ConfigError } from '../util/config-error.ts';
import { toErrorRecord } from '../util/errors.ts';
import type { WorkerCode, WorkerFailure, WorkerMain, WorkerPreparation, WorkerStart } from './worker.ts';

const given = workerData as WorkerStart | WorkerPreparation;

function fail(thrown: unknown): void {
  parentPort?.postMessage({ type: 'worker.failed', error: toErrorRecord(thrown) } satisfies WorkerFailure);
  // Of this thread alone: a worker's process object is its own.
  process.exit(1);
}

async function load(code: WorkerCode): Promise<WorkerMain<unknown>> {
  const where = `${code.module}#${code.exportName}`;
  let exports: Record<string, unknown>;
  try {
    exports = (await import(code.module)) as Record<string, unknown>;
  } catch (error) {
    const { name, message } = toErrorRecord(error);
    const remedy = code.module.endsWith('.ts')
      ? 'This Node does not load TypeScript: name a .js file, or use Node 22.18 or later.'
      : 'Check the URL; in a checkout run `npm run build`.';
    throw new ConfigError(where, `the module cannot be loaded in a worker (${name}: ${message})`, remedy);
  }
  const main = exports[code.exportName];
  if (typeof main !== 'function') {
    throw new ConfigError(where, 'the module has no such function', 'Export the worker main under this name.');
  }
  return main as WorkerMain<unknown>;
}

function run({ code, wiring }: WorkerStart): void {
  load(code)
    .then((main) => main(code.parameters, new Thread(wiring)))
    .catch(fail);
}

process.on('uncaughtException', fail);
if ('prepare' in given) {
  parentPort?.once('message', run);
  // That it cannot be loaded is told when it is asked for: nobody listens before.
  import(given.prepare).catch(() => {});
} else run(given);
