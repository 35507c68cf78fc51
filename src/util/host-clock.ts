/**
 * The host's monotonic clock, the same on every thread of the process. Only event loops' clocks and back ends read it;
 * actors ask their loop.
 *
 * `performance.now()` is the cheap reading, but each thread counts it from its own start; it is calibrated once per
 * thread against `process.hrtime`, which all threads share. The error left is below a microsecond.
 */

/** Of the global object it is looked up each time. */
const { performance } = globalThis;

const offsetNs = calibrate();

const lastReadNs = new Float64Array(1);

/** Monotonic nanoseconds since an arbitrary moment that all threads of this process share. */
export function hostNowNs(): number {
  readHostClock(lastReadNs);
  return lastReadNs[0] as number;
}

/** Writes hostNowNs() to `nowNs[0]`: for whoever asks often (LoopPort.readClock()). */
export function readHostClock(nowNs: Float64Array): void {
  nowNs[0] = performance.now() * 1e6 + offsetNs;
}

/** Wall-clock nanoseconds since 1970-01-01T00:00Z, with the host's millisecond resolution. */
export function hostWallClockNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

/** Calls `run` once, after that time on the host. For waiting on the host itself, never for what a guest sees. @returns cancels it */
export function hostTimeout(delayMs: number, run: () => void): () => void {
  const timeout = setTimeout(run, delayMs);
  return () => clearTimeout(timeout);
}

/** Calls `run` once, when the host's other callbacks have had their turn. @returns cancels it */
export function hostSoon(run: () => void): () => void {
  const immediate = setImmediate(run);
  return () => clearImmediate(immediate);
}

function calibrate(): number {
  let best = 0;
  let bestWindowNs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8; i++) {
    const before = performance.now() * 1e6;
    const shared = Number(process.hrtime.bigint());
    const after = performance.now() * 1e6;
    if (after - before < bestWindowNs) {
      bestWindowNs = after - before;
      best = shared - (before + after) / 2;
    }
  }
  return best;
}
