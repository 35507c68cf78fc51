/** The bare side of comparisons: a thread that answers on shared words and does nothing else. */
import { isMainThread, workerData } from 'node:worker_threads';

/** Words of a record, of a line of the cache, and of the records of one direction. */
const RECORD = 8;
const LINE = 16;
const LAP = 16384;

/**
 * One of two ends, 0 or 1, that send each other records of eight words: each direction has a flag, a tail and a lap of
 * records on lines of their own.
 */
export function openRecords(shared, end) {
  const words = new Int32Array(shared);
  const direction = (from) => ({ flag: from * 2 * LINE, tail: (from * 2 + 1) * LINE, lap: 4 * LINE + from * LAP });
  const [out, back] = [direction(end), direction(1 - end)];
  let [sent, seen] = [0, 0];
  return {
    send(value) {
      const at = out.lap + (sent % LAP);
      for (let i = 0; i < RECORD; i++) words[at + i] = value;
      sent += RECORD;
      Atomics.store(words, out.tail, sent);
      Atomics.store(words, out.flag, 1);
    },
    receive() {
      while (Atomics.load(words, back.flag) === 0);
      Atomics.store(words, back.flag, 0);
      while (Atomics.load(words, back.tail) === seen);
      const at = back.lap + (seen % LAP);
      let value = 0;
      for (let i = 0; i < RECORD; i++) value = words[at + i];
      seen += RECORD;
      return value;
    },
  };
}

function acknowledge({ words, acknowledges }) {
  let seen = 0;
  Atomics.add(words, 2, 1);
  for (;;) {
    const now = Atomics.load(words, 0);
    if (now === -1) break;
    if (acknowledges) {
      // A round: everyone says once that it has seen the number, then goes on spinning.
      if (now !== seen) {
        seen = now;
        Atomics.add(words, 1, 1);
        Atomics.notify(words, 1);
      }
    } else if (now & 1) Atomics.store(words, 0, now + 1);
  }
}

function sendBack(shared) {
  const { send, receive } = openRecords(shared, 1);
  for (let value = receive(); value !== -1; value = receive()) send(value);
}

if (!isMainThread) {
  if (workerData.records !== undefined) sendBack(workerData.records);
  else acknowledge(workerData);
}
