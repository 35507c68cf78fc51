/** Bare threads on shared words, which do nothing else: what figures of ours are compared with. */
import { Worker } from 'node:worker_threads';
import { ROOT, sleep } from './host.ts';

/** Of a figure, and events before them: by then V8 has optimised what they run through, and no longer computes beside them. */
export interface Samples {
  readonly warmUp: number;
  readonly count: number;
}

/** Events that one sample is the mean of: reading the clock takes as long as some of them. */
interface Batches extends Samples {
  readonly batch?: number;
}

const BARE_TURNS = 1_000_000_000;

/** The same of bare threads that only count: what the host gives two of them at once. */
export async function bareThroughput(threads: number): Promise<number> {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const text = `const { parentPort, workerData: words } = require('node:worker_threads');
    const run = (turns) => { let x = 1; for (let i = 0; i < turns; i++) x = (x * 3 + (x ^ i)) | 0; return x; };
    for (let i = 0; i < 50; i++) run(1e6);
    Atomics.add(words, 0, 1);
    Atomics.wait(words, 1, 0);
    const begin = process.hrtime.bigint();
    run(${BARE_TURNS});
    parentPort.postMessage([begin, process.hrtime.bigint()]);`;
  const spans = Array.from({ length: threads }, () => {
    const worker = new Worker(text, { eval: true, workerData: words });
    return new Promise<[bigint, bigint]>((resolve) => worker.once('message', resolve));
  });
  while (Atomics.load(words, 0) < threads) await sleep(5);
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  const times = await Promise.all(spans);
  const [begin = 0, end = 0] = [
    Math.min(...times.map(([t]) => Number(t))),
    Math.max(...times.map(([, t]) => Number(t))),
  ];
  return (threads * BARE_TURNS * 1000) / (end - begin);
}

const BARE_WORKER = new URL('test/bench/bare-worker.js', ROOT);

function bareWorkers(count: number, acknowledges: boolean): { words: Int32Array; end(): Promise<void> } {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const workers = Array.from({ length: count }, () => new Worker(BARE_WORKER, { workerData: { words, acknowledges } }));
  return {
    words,
    end: async () => {
      const ended = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
      Atomics.store(words, 0, -1);
      await Promise.all(ended);
    },
  };
}

async function begun({ words }: { words: Int32Array }, count: number): Promise<void> {
  while (Atomics.load(words, 2) < count) await sleep(5);
}

/** Round trips of two spinning threads on one word, ns. */
export async function bareTrips({ warmUp, count, batch = 1 }: Batches): Promise<number[]> {
  const bare = bareWorkers(1, false);
  await begun(bare, 1);
  const samples: number[] = [];
  for (let value = 1; samples.length < warmUp + count; ) {
    const before = process.hrtime.bigint();
    for (const end = value + 2 * batch; value < end; value += 2) {
      Atomics.store(bare.words, 0, value);
      while (Atomics.load(bare.words, 0) === value);
    }
    samples.push(Number(process.hrtime.bigint() - before) / batch);
  }
  await bare.end();
  return samples.slice(warmUp);
}

/** Of bare-worker.js. */
interface RecordEnds {
  openRecords(shared: SharedArrayBuffer, end: 0 | 1): { send(value: number): void; receive(): number };
}

/** Round trips of a record of eight words with its tail and a flag, as a register access has both ways, ns. */
export async function bareRecordTrips({ warmUp, count }: Samples): Promise<number[]> {
  const { openRecords } = (await import(BARE_WORKER.href)) as RecordEnds;
  const shared = new SharedArrayBuffer(2 ** 18);
  const worker = new Worker(BARE_WORKER, { workerData: { records: shared } });
  const { send, receive } = openRecords(shared, 0);
  const samples: number[] = [];
  for (let i = 0; i < warmUp + count; i++) {
    const before = process.hrtime.bigint();
    send(i);
    receive();
    samples.push(Number(process.hrtime.bigint() - before));
  }
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  send(-1);
  await ended;
  return samples.slice(warmUp);
}

/** Round trips on one word of two threads that sleep between the halves, ns. */
export async function bareParkedTrips({ count }: Samples): Promise<number[]> {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const text = `const { workerData: words } = require('node:worker_threads');
    Atomics.store(words, 2, 1);
    for (let seen = 0; ; ) {
      Atomics.wait(words, 0, seen);
      seen = Atomics.load(words, 0);
      if (seen < 0) break;
      Atomics.store(words, 1, seen);
      Atomics.notify(words, 1);
    }`;
  const worker = new Worker(text, { eval: true, workerData: words });
  await begun({ words }, 1);
  const samples: number[] = [];
  for (let i = 1; i <= count; i++) {
    const before = process.hrtime.bigint();
    Atomics.store(words, 0, i);
    Atomics.notify(words, 0);
    while (Atomics.load(words, 1) !== i) Atomics.wait(words, 1, i - 1);
    samples.push(Number(process.hrtime.bigint() - before));
  }
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  Atomics.store(words, 0, -1);
  Atomics.notify(words, 0);
  await ended;
  return samples;
}

/** The library of this TypeScript target does not know it yet. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(words: Int32Array, index: number, value: number): { async: boolean; value: Promise<unknown> };
};

/** As many spinning threads that all acknowledge a number, ms. */
export async function acknowledgements(threads: number, { warmUp, count }: Samples): Promise<number[]> {
  const bare = bareWorkers(threads, true);
  await begun(bare, threads);
  const samples: number[] = [];
  for (let i = 1; i <= warmUp + count; i++) {
    const before = performance.now();
    Atomics.store(bare.words, 1, 0);
    Atomics.store(bare.words, 0, i);
    for (let seen = 0; seen < threads; seen = Atomics.load(bare.words, 1)) {
      const { async, value } = waitAsync(bare.words, 1, seen);
      if (async) await value;
    }
    samples.push(performance.now() - before);
    await sleep(1);
  }
  await bare.end();
  return samples.slice(warmUp);
}
