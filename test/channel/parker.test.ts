import { describe, expect, it } from 'vitest';
import { createDoorbell, DoorbellConsumer, DoorbellProducer } from '../../src/channel/doorbell.ts';
import { nextSpin, Parker, type SleepsFor } from '../../src/channel/parker.ts';

/** A spin behind each of so many sleeps of `sleptNs`, in microseconds. */
function spins(fromNs: number, sleptNs: number, count: number, sleepsFor: SleepsFor = 'work'): number[] {
  let spinNs = fromNs;
  return Array.from({ length: count }, () => {
    spinNs = nextSpin(spinNs, sleptNs, sleepsFor);
    return spinNs / 1000;
  });
}

describe('a spin before a sleep', () => {
  it.each([
    ['work', [4, 8, 16, 32, 32]],
    ['answer', [4, 8, 16, 32, 64, 128, 150, 150]],
  ] as const)('for %s grows while sleeps are short, up to its bound', (sleepsFor, expected) => {
    expect(spins(0, 60_000, expected.length, sleepsFor)).toEqual(expected);
  });

  it('shrinks where it let wait, down to none', () => {
    expect(spins(32_000, 1e6, 6)).toEqual([16, 8, 4, 0, 0, 0]);
    expect(spins(8_000, Number.POSITIVE_INFINITY, 2)).toEqual([4, 0]);
  });

  it('ends where what it waited for came as soon as it was over', () => {
    expect(spins(150_000, 10_000, 1, 'answer')).toEqual([0]);
    // Nobody had spun before the second sleep.
    expect(spins(16_000, 10_000, 3)).toEqual([0, 4, 0]);
  });
});

describe('a parker', () => {
  it('stays awake for what has come, and sleeps no longer than it may', () => {
    const words = createDoorbell(1);
    const doorbell = new DoorbellConsumer(words);
    const parker = new Parker(doorbell);
    const forever = Float64Array.of(Number.POSITIVE_INFINITY);
    expect(parker.park(forever, 'work')).toBe(true);
    doorbell.begin();
    for (const sleepsFor of ['work', 'answer'] as const) {
      expect(parker.park(Float64Array.of(0), sleepsFor)).toBe(false);
      expect(parker.park(Float64Array.of(1000), sleepsFor)).toBe(false);
    }
    new DoorbellProducer(words, null).ring();
    expect(parker.park(forever, 'answer')).toBe(true);
  });
});
