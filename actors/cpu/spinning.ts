/**
 * Harts that spin and say so (`pause`, and `wrs` that stalls): how long a thread gives way to others, which may be what its
 * hart waits for.
 */
import type { StateReader } from '../../src/bus/device-state.ts';

/**
 * Times in a row that the guest may spin before its thread gives way to others: some five microseconds each. Where each
 * hart has a core the one it waits for runs, and to sleep takes longer than most locks are held.
 */
export const YIELDS_BEFORE_PARKING = { shared: 16, own: 256 } as const;
/** For how long it then gives way. */
const YIELD_NS = 20_000;
/**
 * One that pauses gives way for so long more each time, up to so many times as long: what it waits for may need the core.
 * Not one that wants a lock, as everyone behind it would wait, too.
 */
const LONGEST_YIELDS = { pausing: 50, stalling: 1 } as const;
/** Instructions between two yields that still count as in a row. */
const YIELDS_APART = 20_000n;
/** Of a counter of instructions. */
const INSTRET_MAX = 2n ** 64n - 1n;

/** What is saved of it. */
export interface SpinningState {
  /** How often in a row, and when last. */
  readonly yields: number;
  readonly atInstret: bigint;
}

/** One hart's. */
export class Spinning {
  readonly #before: number;
  #yields = 0;
  #yieldedAt = 0n;

  /** @param before one of YIELDS_BEFORE_PARKING */
  constructor(before: number) {
    this.#before = before;
  }

  /**
   * The hart has left for it.
   * @param instret instructions that it has retired so far; @returns for how long its thread gives way, in ns; 0: it goes on
   */
  yield(instret: bigint, how: keyof typeof LONGEST_YIELDS): number {
    this.#yields = instret - this.#yieldedAt < YIELDS_APART ? this.#yields + 1 : 1;
    this.#yieldedAt = instret;
    const parks = this.#yields - this.#before + 1;
    return Math.max(0, Math.min(parks, LONGEST_YIELDS[how])) * YIELD_NS;
  }

  reset(): void {
    this.#yields = 0;
  }

  save(): SpinningState {
    return { yields: this.#yields, atInstret: this.#yieldedAt };
  }

  /** @throws StateError */
  static read(reader: StateReader): SpinningState {
    const yields = reader.uint('yields', Number.MAX_SAFE_INTEGER);
    return { yields, atInstret: reader.bigint('atInstret', 0n, INSTRET_MAX) };
  }

  load({ yields, atInstret }: SpinningState): void {
    this.#yields = yields;
    this.#yieldedAt = atInstret;
  }
}
