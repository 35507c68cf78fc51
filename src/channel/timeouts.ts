/**
 * Timeouts for Atomics.wait that cost no allocation. It takes milliseconds, and V8 makes an object of each number that is no
 * small integer where it hands it to a builtin: of those that sleeps last these are made once. They are kept in an
 * array that has other things as well: one of numbers alone would keep them without their objects.
 */

const STEPS_PER_MS = 256;
const STEP_NS = 1e6 / STEPS_PER_MS;
/** From here on in whole milliseconds. */
const STEPPED_MS = 4;
/** Still a small integer. */
const LONGEST_MS = 2 ** 30;

const STEPS: readonly unknown[] = [
  null,
  ...Array.from({ length: STEPPED_MS * STEPS_PER_MS }, (_, i) => i / STEPS_PER_MS),
];

/**
 * A sleep of up to 4 ms lasts to the next 1/256 ms, a longer one ends up to a millisecond early.
 * @param delayNs its first word: more than 0, or Infinity
 * @returns for Atomics.wait
 */
export function timeoutOf(delayNs: Float64Array): number {
  const ns = delayNs[0] as number;
  if (ns < STEPPED_MS * 1e6 - STEP_NS) return STEPS[1 + Math.ceil(ns / STEP_NS)] as number;
  if (ns === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  return Math.min(Math.floor(ns / 1e6), LONGEST_MS);
}
