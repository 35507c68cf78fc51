/** Real threads: nothing is lost and nothing hangs, whoever sleeps how. The echoing side runs from the build. */
import { afterEach, describe, expect, it } from 'vitest';
import { spawnWorker, type WorkerHandle } from '../../src/actor/index.ts';
import { Thread, type ThreadKind, wireThreads } from '../../src/channel/threads.ts';
import { attachThread, EventLoop, HostClock, type LoopDriver, runInLibuv } from '../../src/loop/index.ts';
import { Prng } from '../../src/util/prng.ts';

const WORKER = new URL('./stress-worker.js', import.meta.url).href;

function deferred() {
  let resolve = () => {};
  const promise = new Promise<void>((r) => {
    resolve = r;
  });
  return { promise, resolve };
}

let cleanUp: (() => Promise<void>) | null = null;

afterEach(async () => {
  await cleanUp?.();
  cleanUp = null;
});

function start(kind: ThreadKind, exportName: string, parameters: unknown) {
  const wiring = wireThreads([
    { name: 'main', kind: 'libuv' },
    { name: 'echo', kind },
  ]);
  const loop = new EventLoop({ name: 'main', clock: HostClock.running(), seed: 1 });
  const thread = new Thread(wiring.get('main') as never);
  attachThread(loop, thread);
  const driver: LoopDriver = runInLibuv(loop, thread);
  let worker: WorkerHandle | null = null;
  const ended = new Promise<unknown>((resolve) => {
    worker = spawnWorker({ module: WORKER, exportName, parameters }, wiring.get('echo') as never, resolve);
  });
  cleanUp = async () => {
    driver.stop();
    thread.close();
    await worker?.terminate();
  };
  return { loop, thread, channel: thread.channel('echo'), bell: thread.bell('echo'), ended };
}

describe.each([
  ['parking', 'echoParked', { pauseEvery: 0 }],
  ['parking', 'echoParked', { pauseEvery: 50 }],
  ['libuv', 'echoInLibuv', {}],
] as const)('a %s thread (%s %o)', (kind, exportName, parameters) => {
  it('echoes 100,000 messages in order under back-pressure, and answers signals and requests', async () => {
    const { loop, thread, channel, bell, ended } = start(kind, exportName, parameters);
    const total = parameters && 'pauseEvery' in parameters && parameters.pauseEvery > 0 ? 20_000 : 100_000;
    const prng = new Prng(3);
    const counts = { sent: 0, received: 0, answered: 0, asked: 0, signals: 0, wrong: 0 };
    const finished = deferred();
    thread.doorbell.onSignal(6, () => counts.signals++);
    channel.onMessage = (message) => {
      if ((message as { n: number }).n !== counts.received++) counts.wrong++;
      if (counts.received === total) finished.resolve();
    };
    const pump = loop.bottomHalf('pump', () => {
      for (let burst = prng.below(200); burst >= 0 && counts.sent < total; burst--) {
        if (!channel.post({ type: 'ping', n: counts.sent, pad: 'x'.repeat(prng.below(60)) })) return;
        counts.sent++;
        if (prng.below(8) === 0) bell.raise(5);
        if (prng.below(8) === 0) {
          const n = counts.sent;
          const asked = channel.requestWords(16, n, 1, 0, 0, (_status, value) => {
            counts.answered++;
            if (value !== n + 1) counts.wrong++;
          });
          if (asked) counts.asked++;
        }
      }
      if (counts.sent < total) pump.schedule();
    });
    channel.onSpace(() => pump.schedule());
    pump.schedule();
    await finished.promise;
    await expect.poll(() => counts.answered, { timeout: 5000 }).toBe(counts.asked);
    expect(counts.wrong).toBe(0);
    expect(counts.asked).toBeGreaterThan(100);
    const before = counts.signals;
    expect(before).toBeGreaterThan(0);
    bell.raise(5);
    await expect.poll(() => counts.signals, { timeout: 5000 }).toBeGreaterThan(before);
    channel.post({ type: 'stop' });
    expect(await ended).toBe(null);
  });

  it('never misses a wake-up: 3,000 signals, each sent to a thread that has just gone to sleep', async () => {
    const { thread, channel, bell, ended } = start(kind, exportName, { pauseEvery: 0 });
    const prng = new Prng(9);
    for (let round = 0; round < 3000; round++) {
      const answered = deferred();
      thread.doorbell.onSignal(6, () => answered.resolve());
      for (let spin = prng.below(2000); spin > 0; spin--) Atomics.load(new Int32Array(1), 0);
      bell.raise(5);
      await answered.promise;
    }
    channel.post({ type: 'stop' });
    expect(await ended).toBe(null);
  });
});

describe('threads that all ask each other', () => {
  it.each([2, 3])('%d of them keep the order of what each sends, in places and in rings', async (count) => {
    const names = Array.from({ length: count }, (_, i) => `t${i}`);
    const wiring = wireThreads(names.map((name) => ({ name, kind: 'parking' })));
    const counts = new Int32Array(new SharedArrayBuffer(12));
    const total = Number(process.env.BOTTOMHALF_MESH_RECORDS ?? 20_000);
    const ended = names.map((name, seed) => {
      return new Promise<unknown>((resolve) => {
        const parameters = { names, total, seed, counts };
        spawnWorker({ module: WORKER, exportName: 'meshed', parameters }, wiring.get(name) as never, resolve);
      });
    });
    expect(await Promise.all(ended)).toEqual(names.map(() => null));
    const [wrong = -1, answers = 0, done] = counts;
    expect([wrong, done]).toEqual([0, count]);
    expect(answers).toBeGreaterThan(total);
  });
});
