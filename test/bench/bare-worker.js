/** The bare side of comparisons: a thread that answers on shared words and does nothing else. */
import { workerData } from 'node:worker_threads';

const { words, acknowledges } = workerData;
Atomics.add(words, 2, 1);
for (;;) {
  const now = Atomics.load(words, 0);
  if (now === -1) break;
  if (acknowledges) {
    // A round: everyone says once that it has seen the number, then goes on spinning.
    if (now !== workerData.seen) {
      workerData.seen = now;
      Atomics.add(words, 1, 1);
      Atomics.notify(words, 1);
    }
  } else if (now & 1) Atomics.store(words, 0, now + 1);
}
