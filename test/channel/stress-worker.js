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
