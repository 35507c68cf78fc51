/**
 * What bottom halves, signals and messages cost, beside a bare loop on shared words. Plain JavaScript on the build:
 *   npm run build && node test/bench/messages.js
 */
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { spawnWorker } from '../../dist/src/actor/index.js';
import { Thread, wireThreads } from '../../dist/src/channel/threads.js';
import { attachThread, EventLoop, HostClock, ParkingDriver } from '../../dist/src/loop/index.js';
import { hostNowNs } from '../../dist/src/util/host-clock.js';

const KIND_ECHO = 16;
const KIND_SINK = 17;
const SIGNAL_PING = 8;
const SIGNAL_STOP = 9;
/** An eighth of them comes before each measurement: by then V8 has optimised what they run through. */
const TRIPS = 200_000;
const SIX_FIELDS = { type: 'block.done', id: 7, offset: 4096, lengthBytes: 512, status: 0, final: true };

/** Echoes requests and signals, swallows the rest; parks, or spins on its turns. */
export function partner({ spins }, thread) {
  const { loop, driver } = openLoop(thread);
  const channel = thread.channel('bench');
  let stopped = false;
  channel.onWords(KIND_ECHO, (w0, _w1, _w2, _w3, token) => channel.replyWords(token, 0, w0));
  channel.onWords(KIND_SINK, () => {});
  channel.onMessage = (message, token) => {
    if (token !== 0) channel.reply(token, message);
  };
  thread.doorbell.onSignal(SIGNAL_PING, () => thread.bell('bench').raise(SIGNAL_PING));
  thread.doorbell.onSignal(SIGNAL_STOP, () => {
    stopped = true;
  });
  thread.bell('bench').raise(SIGNAL_PING);
  while (!stopped) {
    loop.turn();
    if (!spins && !stopped) driver.park();
  }
}

function openLoop(thread) {
  const loop = new EventLoop({ name: thread.name, clock: HostClock.running(), seed: 1 });
  attachThread(loop, thread);
  return { loop, driver: new ParkingDriver(loop, thread) };
}

/** @returns the median of five runs, ns each time */
function measure(times, run) {
  run(times >> 3);
  const samples = [];
  for (let i = 0; i < 5; i++) {
    const startNs = hostNowNs();
    run(times);
    samples.push((hostNowNs() - startNs) / times);
  }
  return samples.sort((a, b) => a - b)[2];
}

function print(what, ns) {
  process.stdout.write(`${what.padEnd(64)}${ns.toFixed(ns < 100 ? 1 : 0).padStart(10)} ns\n`);
}

function bottomHalves() {
  const loop = new EventLoop({ name: 'bench', clock: HostClock.running(), seed: 1 });
  let runs = 0;
  const work = Array.from({ length: 64 }, () => loop.bottomHalf('x', () => runs++));
  const bareWork = Array.from({ length: 64 }, () => () => runs++);
  print(
    'bottom half: schedule and run',
    measure(2_000_000, (n) => {
      for (let i = 0; i < n; i += 64) {
        for (const bh of work) bh.schedule();
        loop.turn();
      }
    }),
  );
  print(
    '  bare: a call through an array of functions',
    measure(2_000_000, (n) => {
      for (let i = 0; i < n; i += 64) for (const run of bareWork) run();
    }),
  );
  const [one] = work;
  print(
    'bottom half: schedule while pending',
    measure(10_000_000, (n) => {
      for (let i = 0; i < n; i++) one.schedule();
    }),
  );
  const timer = loop.timer('t', () => {});
  print(
    'timer: arm again among 64',
    measure(2_000_000, (n) => {
      for (let i = 0; i < 64; i++) loop.timer('o', () => {}).arm(1e15 + i);
      for (let i = 0; i < n; i++) timer.arm(1e15 + (i & 63));
    }),
  );
  print(
    'turn with nothing to do, one timer armed',
    measure(2_000_000, (n) => {
      for (let i = 0; i < n; i++) loop.turn();
    }),
  );
}

async function acrossThreads(spins) {
  const how = spins ? 'other thread turns without parking' : 'other thread parks (adaptive spin)';
  const wiring = wireThreads([
    { name: 'bench', kind: 'parking' },
    { name: 'partner', kind: 'parking' },
  ]);
  const code = { module: import.meta.url, exportName: 'partner', parameters: { spins } };
  const ended = new Promise((resolve) => {
    spawnWorker(code, wiring.get('partner'), resolve);
  });
  const thread = new Thread(wiring.get('bench'));
  const { loop, driver } = openLoop(thread);
  const channel = thread.channel('partner');
  const bell = thread.bell('partner');
  let answers = 0;
  thread.doorbell.onSignal(SIGNAL_PING, () => answers++);
  const until = (count) => {
    while (answers < count) {
      loop.turn();
      if (answers < count) driver.park();
    }
  };
  until(1);
  const trips = (ask) => (n) => {
    for (let i = 0; i < n; i++) {
      const next = answers + 1;
      ask();
      until(next);
    }
  };
  const done = () => answers++;
  const flood = (send) => (n) => {
    for (let i = 0; i < n; i++) while (!send(i));
    trips(() => channel.requestWords(KIND_ECHO, 0, 0, 0, 0, done))(1);
  };
  print(
    `signal, round trip: ${how}`,
    measure(
      TRIPS,
      trips(() => bell.raise(SIGNAL_PING)),
    ),
  );
  print(
    `words, round trip: ${how}`,
    measure(
      TRIPS,
      trips(() => channel.requestWords(KIND_ECHO, 1, 0, 0, 0, done)),
    ),
  );
  print(
    `message of six fields, round trip: ${how}`,
    measure(
      TRIPS,
      trips(() => channel.request(SIX_FIELDS, done)),
    ),
  );
  print(
    `words, one way: ${how}`,
    measure(
      200_000,
      flood((i) => channel.postWords(KIND_SINK, i, 0, 0, 0)),
    ),
  );
  print(
    `message of six fields, one way: ${how}`,
    measure(
      100_000,
      flood(() => channel.post(SIX_FIELDS)),
    ),
  );
  bell.raise(SIGNAL_STOP);
  await ended;
}

/** Two threads that count one word up in turns: the floor of any round trip. */
async function bare(waits) {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const worker = new Worker(new URL(import.meta.url), { workerData: { bare: words, waits } });
  await new Promise((resolve) => worker.once('message', resolve));
  let value = 0;
  print(
    `  bare: round trip on one shared word, ${waits ? 'Atomics.wait and notify' : 'both spinning'}`,
    measure(waits ? 5_000 : 100_000, (n) => {
      for (let i = 0; i < n; i++) {
        step(words, value + 1, waits);
        value += 2;
        await_(words, value, waits);
      }
    }),
  );
  step(words, -1, waits);
  await new Promise((resolve) => worker.once('exit', resolve));
}

/** Two threads that send each other records of eight words: the floor of a round trip of words. */
async function bareRecords() {
  const module = new URL('bare-worker.js', import.meta.url);
  const { openRecords } = await import(module);
  const records = new SharedArrayBuffer(2 ** 18);
  const worker = new Worker(module, { workerData: { records } });
  const { send, receive } = openRecords(records, 0);
  print(
    '  bare: round trip of a record of eight words, both spinning',
    measure(100_000, (n) => {
      for (let i = 0; i < n; i++) {
        send(i);
        receive();
      }
    }),
  );
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  send(-1);
  await ended;
}

function step(words, value, waits) {
  Atomics.store(words, 0, value);
  if (waits) Atomics.notify(words, 0);
}

function await_(words, value, waits) {
  for (let now = Atomics.load(words, 0); now !== value && now !== -1; now = Atomics.load(words, 0)) {
    if (waits) Atomics.wait(words, 0, now);
  }
}

if (workerData?.bare !== undefined) {
  const { bare: words, waits } = workerData;
  parentPort.postMessage('ready');
  for (let value = 1; Atomics.load(words, 0) !== -1; value += 2) {
    await_(words, value, waits);
    if (Atomics.load(words, 0) !== -1) step(words, value + 1, waits);
  }
} else if (workerData?.code === undefined) {
  bottomHalves();
  await bare(false);
  await bareRecords();
  await acrossThreads(true);
  await bare(true);
  await acrossThreads(false);
}
