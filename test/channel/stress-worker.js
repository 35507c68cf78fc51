// The other thread of threads.test.ts. Plain JavaScript from the build, since Node 20 loads no TypeScript in a worker.
import { attachThread, EventLoop, HostClock, ParkingDriver, runInLibuv } from '../../dist/src/loop/index.js';

/** Echoes every message and words record, counts signals; a parking thread, until it is told to stop. */
export function echoParked({ pauseEvery }, thread) {
  const loop = new EventLoop({ name: thread.name, clock: HostClock.running(), seed: 1 });
  const state = echo(thread);
  attachThread(loop, thread);
  const driver = new ParkingDriver(loop, thread);
  let turns = 0;
  while (!state.stopped) {
    driver.turn();
    // A consumer that is sometimes away: rings fill up, wake-ups come late.
    if (pauseEvery > 0 && ++turns % pauseEvery === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    if (!state.stopped) driver.park();
  }
}

export function echoInLibuv(_parameters, thread) {
  const loop = new EventLoop({ name: thread.name, clock: HostClock.running(), seed: 1 });
  attachThread(loop, thread);
  const driver = runInLibuv(loop, thread);
  echo(thread, () => {
    driver.stop();
    thread.close();
  });
}

function echo(thread, stop = () => {}) {
  const channel = thread.channel('main');
  const state = { stopped: false, signals: 0 };
  const waiting = [];
  const flush = () => {
    while (waiting.length > 0 && channel.post(waiting[0])) waiting.shift();
  };
  const send = (message) => {
    waiting.push(message);
    flush();
  };
  channel.onSpace(flush);
  channel.onMessage = (message, token) => {
    if (message.type === 'stop') {
      state.stopped = true;
      stop();
    } else if (token !== 0) channel.reply(token, { echo: message.n });
    else send(message);
  };
  channel.onWords(16, (w0, w1, _w2, _w3, token) => channel.replyWords(token, 0, w0 + w1));
  thread.doorbell.onSignal(5, () => {
    state.signals++;
    thread.bell('main').raise(6);
  });
  return state;
}

/**
 * Sends every other thread records of all sorts, numbered, some of them requests, and checks what comes: each one's numbers
 * in their order, each answer to its question. @param counts of this thread: those that went wrong, answers, and a word
 * that counts the threads which are done
 */
export function meshed({ names, total, seed, counts }, thread) {
  const loop = new EventLoop({ name: thread.name, clock: HostClock.running(), seed });
  attachThread(loop, thread);
  const driver = new ParkingDriver(loop, thread);
  const [WRONG, ANSWERS, DONE] = [0, 1, 2];
  const check = (isRight) => {
    if (!isRight) Atomics.add(counts, WRONG, 1);
  };
  let left = 0;
  for (const name of names) {
    if (name === thread.name) continue;
    const channel = thread.channel(name);
    let [sent, got, owed, answered] = [0, 0, 0, 0];
    left++;
    const takes = (n) => check(n === got++);
    channel.onWords(16, (n, _1, _2, _3, token) => {
      takes(n);
      if (token !== 0) channel.replyWords(token, 0, ~n);
    });
    channel.onMessage = ({ n }, token) => {
      takes(n);
      if (token !== 0) channel.reply(token, { n: ~n });
    };
    const done = (n, answer) => {
      check(answer === ~n);
      answered++;
      Atomics.add(counts, ANSWERS, 1);
    };
    const SENDERS = [
      (n) => channel.postWords(16, n, 0, 0, 0),
      (n) => channel.post({ n }),
      (n) => channel.requestWords(16, n, 0, 0, 0, (_status, value) => done(n, value)),
      (n) => channel.request({ n }, (reply) => done(n, reply.n)),
      (n) => channel.request({ n, pad: 'x'.repeat(30) }, (reply) => done(n, reply.n)),
    ];
    const pump = loop.bottomHalf('pump', () => {
      for (let burst = loop.random() & 15; burst > 0 && sent < total; burst--) {
        // Mostly one at a time, as a hart asks; now and then as many as there is room for.
        if (owed - answered > (burst & 4 ? 8 : 0)) break;
        const which = (loop.random() >>> 8) % SENDERS.length;
        if (!SENDERS[which](sent)) break;
        sent++;
        if (which >= 2) owed++;
      }
      if (sent < total || answered < owed) pump.schedule();
      else if (--left === 0) Atomics.add(counts, DONE, 1);
    });
    pump.schedule();
  }
  while (Atomics.load(counts, 2) < names.length) {
    driver.turn();
    // Others may still ask when this one is done.
    if (left === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    else driver.park();
  }
}
