import { describe, expect, it } from 'vitest';
import { timeoutOf } from '../../src/channel/timeouts.ts';

const timeoutMs = (delayMs: number): number => timeoutOf(Float64Array.of(delayMs * 1e6));

describe('a timeout', () => {
  it('of up to 4 ms ends at the next 1/256 ms, never early', () => {
    for (let delayMs = 1e-6; delayMs < 4 - 1 / 256; delayMs += 0.00097) {
      expect(timeoutMs(delayMs)).toBeGreaterThanOrEqual(delayMs);
      expect(timeoutMs(delayMs)).toBeLessThan(delayMs + 1 / 256);
    }
    expect(timeoutMs(1 / 256)).toBe(1 / 256);
  });

  it('of more is a small integer, up to a millisecond early', () => {
    for (const [delayMs, expected] of [
      [4 - 1 / 512, 3],
      [4, 4],
      [4.999, 4],
      [1e6 + 0.5, 1e6],
      [1e12, 2 ** 30],
    ] as const)
      expect(timeoutMs(delayMs)).toBe(expected);
    expect(timeoutMs(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });
});
