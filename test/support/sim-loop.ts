/**
 * A LoopPort on simulated time for unit tests of device cores: nothing runs until the test says so.
 */
import type { BottomHalf, LoopPort, Timer } from '../../src/loop/port.ts';

interface SimTimer extends Timer {
  readonly name: string;
  run(): void;
  deadlineNs: number | null;
}

export class SimLoop implements LoopPort {
  /** The wall clock when virtual time is 0. */
  readonly epochNs: bigint;
  #nowNs = 0;
  #seed: number;
  readonly #timers: SimTimer[] = [];
  readonly #pending = new Set<() => void>();

  constructor(options: { seed?: number; epochNs?: bigint } = {}) {
    this.#seed = options.seed ?? 1;
    this.epochNs = options.epochNs ?? 1_700_000_000_000_000_000n;
  }

  nowNs(): number {
    return this.#nowNs;
  }

  readClock(nowNs: Float64Array): void {
    nowNs[0] = this.#nowNs;
  }

  wallClockNs(): bigint {
    return this.epochNs + BigInt(this.#nowNs);
  }

  /** xorshift32. */
  random(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x >>> 0;
    return this.#seed;
  }

  bottomHalf(_name: string, run: () => void): BottomHalf {
    return { schedule: () => this.#pending.add(run), cancel: () => this.#pending.delete(run) };
  }

  timer(name: string, run: () => void): Timer {
    const timer: SimTimer = {
      name,
      run,
      deadlineNs: null,
      arm: (deadlineNs) => {
        timer.deadlineNs = deadlineNs;
      },
      armAt: (deadlineNs) => timer.arm(deadlineNs[0] as number),
      cancel: () => {
        timer.deadlineNs = null;
      },
    };
    this.#timers.push(timer);
    return timer;
  }

  /** Runs what is pending, then moves time forward, stopping at each deadline on the way. */
  advance(durationNs: number): void {
    const endNs = this.#nowNs + durationNs;
    this.#runPending();
    for (;;) {
      const due = this.#timers
        .filter((timer) => timer.deadlineNs !== null && timer.deadlineNs <= endNs)
        .sort((a, b) => (a.deadlineNs as number) - (b.deadlineNs as number))[0];
      if (due === undefined) break;
      this.#nowNs = Math.max(this.#nowNs, due.deadlineNs as number);
      due.deadlineNs = null;
      due.run();
      this.#runPending();
    }
    this.#nowNs = endNs;
  }

  #runPending(): void {
    for (const run of this.#pending) {
      this.#pending.delete(run);
      run();
    }
  }
}
