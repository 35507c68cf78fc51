/**
 * Worker threads: code is named by {module URL, export, parameters}, since functions cannot cross threads. What a worker
 * throws, anywhere, comes out as its failure, once.
 */
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { portsOf, type Thread, type ThreadWiring } from '../channel/threads.ts';
import { ConfigError } from '../util/config-error.ts';
import { type ErrorRecord, toErrorRecord } from '../util/errors.ts';
import { hostTimeout } from '../util/host-clock.ts';
import { workerEntry } from './worker-entry.ts';

/** Code to run on another thread. */
export interface WorkerCode {
  /** `file:` URL of the module. */
  readonly module: string;
  /** The name of a WorkerMain among its exports. */
  readonly exportName: string;
  /** What structured clone can carry; shared memory is shared. */
  readonly parameters: unknown;
}

/**
 * A worker's main function. A thread that parks returns when it is done; one that lives in libuv returns at once and
 * ends by closing its thread.
 */
export type WorkerMain<P> = (parameters: P, thread: Thread) => void;

/** What the worker's first module is handed: at once, or posted to it when it has been prepared. */
export interface WorkerStart {
  readonly code: WorkerCode;
  readonly wiring: ThreadWiring;
}

/** What a worker that is prepared is handed instead: the module that it will need. */
export interface WorkerPreparation {
  readonly prepare: string;
}

/** What a worker posts before it dies of an error. */
export interface WorkerFailure {
  readonly type: 'worker.failed';
  readonly error: ErrorRecord;
}

export interface WorkerHandle {
  readonly name: string;
  /**
   * Waits for a thread that was told to end, and ends it wherever it is once the time is over. A thread that ends by
   * itself is the normal way: Node 20 now and then aborts the whole process when a worker is terminated while V8
   * optimises its code in the background.
   * @returns settles when it has ended
   */
  end(graceMs: number): Promise<void>;
  /** Ends the thread wherever it is. @returns settles when it has ended */
  terminate(): Promise<void>;
}

/** Workers that were prepared and not yet asked for, by their modules. */
const prepared = new Map<string, Set<Worker>>();

/**
 * Starts threads ahead of time, each of which loads a module and waits, until so many wait. The next spawnWorker() of that
 * module takes one; those that none takes do not keep the process alive. They are taken in the order in which they were
 * started.
 * @param nameOf what the wiring will call each, for debuggers
 */
export function prepareWorkers(module: string, count: number, nameOf: (index: number) => string): void {
  const url = workerEntry(module);
  const waiting = prepared.get(url) ?? new Set();
  prepared.set(url, waiting);
  for (let index = waiting.size; index < count; index++) {
    const worker = newWorker({ name: nameOf(index), workerData: { prepare: url } satisfies WorkerPreparation });
    worker.unref();
    waiting.add(worker);
    worker.once('exit', () => waiting.delete(worker));
    // Whoever asks for it hears of its end; until then nobody misses it.
    worker.on('error', () => {});
  }
}

function takePrepared(url: string): Worker | undefined {
  const waiting = prepared.get(url);
  const [worker] = waiting ?? [];
  if (worker !== undefined) waiting?.delete(worker);
  return worker;
}

/**
 * Starts a thread.
 * @param onEnd called once, when the thread has ended: with null when its main function was done or terminate() was
 *   called, else with the cause
 * @throws ConfigError for code that cannot be handed over
 */
export function spawnWorker(
  code: WorkerCode,
  wiring: ThreadWiring,
  onEnd: (error: ErrorRecord | null) => void,
): WorkerHandle {
  const { name } = wiring;
  const worker = startWorker({ code: { ...code, module: workerEntry(code.module) }, wiring });
  let failure: ErrorRecord | null = null;
  let terminated = false;
  const terminate = (): Promise<void> => {
    terminated = true;
    return worker.terminate().then(() => {});
  };
  const exited = new Promise<void>((resolve) => worker.on('exit', () => resolve()));
  // Attached at once: a worker that fails early would otherwise fail unheard.
  worker.on('message', (message: WorkerFailure) => {
    failure ??= toErrorRecord(message.error, name);
  });
  worker.on('error', (error) => {
    failure ??= toErrorRecord(error, name);
  });
  worker.on('exit', (exitCode) => {
    if (terminated) return onEnd(null);
    if (failure === null && exitCode !== 0) {
      failure = { name: 'WorkerExit', message: `the thread ended with code ${exitCode}`, where: [name] };
    }
    onEnd(failure);
  });
  return {
    name,
    end: (graceMs) => {
      const cancel = hostTimeout(graceMs, () => void terminate());
      return exited.finally(cancel);
    },
    terminate,
  };
}

/** Options that say what the main thread's program text is, each with its value when that is the next word. */
const PROGRAM_TEXT = /^(--input-type|-e|--eval|-p|-pe|--print)(=|$)/;

/**
 * Node's options for a worker of a process that was started with these. A process that runs text from its command line
 * (`node --input-type=module -e ...`) hands --input-type on to its workers, which run files and then refuse to.
 * @returns undefined where the worker can inherit them as they are
 */
export function workerExecArgv(execArgv: readonly string[]): readonly string[] | undefined {
  if (!execArgv.some((word) => word.startsWith('--input-type'))) return undefined;
  return execArgv.filter((word, at) => {
    const before = execArgv[at - 1] ?? '';
    const isValue = !word.startsWith('-') && !before.includes('=') && PROGRAM_TEXT.test(before);
    return !isValue && !PROGRAM_TEXT.test(word);
  });
}

/** V8 would let each thread's grow to 48 MB, before it looks which of that is still used: hardly any. */
const YOUNG_GENERATION_MB = 8;

/** @throws ConfigError */
function startWorker(start: WorkerStart): Worker {
  const transferList = portsOf(start.wiring);
  const ready = takePrepared(start.code.module);
  try {
    if (ready === undefined) return newWorker({ name: start.wiring.name, workerData: start, transferList });
    ready.ref();
    ready.postMessage(start, transferList);
    return ready;
  } catch (error) {
    void ready?.terminate();
    throw new ConfigError(
      `thread ${start.wiring.name}`,
      `its parameters cannot be handed to a worker: ${toErrorRecord(error).message}`,
      'Pass plain data, and code by module URL and export name.',
    );
  }
}

function newWorker(given: WorkerOptions): Worker {
  const main = new URL(
    workerEntry(new URL(`./worker-main${import.meta.url.endsWith('.js') ? '.js' : '.ts'}`, import.meta.url).href),
  );
  const options = { ...given, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB } };
  const execArgv = workerExecArgv(process.execArgv);
  try {
    return new Worker(main, execArgv === undefined ? options : { ...options, execArgv: [...execArgv] });
  } catch (error) {
    // Options of V8 and of the process can be inherited but not named; they hold for all of its threads anyway.
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_INVALID_EXEC_ARGV')) throw error;
    return new Worker(main, { ...options, execArgv: [] });
  }
}
