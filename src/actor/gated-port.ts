/**
 * The loop port a device is handed: it holds the device's bottom halves and timers while the device is quiesced, ends
 * them when it is removed, and turns what they throw into the failure of that device.
 */
import type { BottomHalf, LoopPort, Timer } from '../loop/port.ts';

type Gate = 'held' | 'open' | 'closed';

interface Gated {
  hold(): void;
  release(): void;
  cancel(): void;
}

export class GatedPort implements LoopPort {
  readonly #loop: LoopPort;
  readonly #onError: (error: unknown) => void;
  readonly #work: Gated[] = [];
  /** Read by the work this port made. */
  gate: Gate = 'held';

  /** Starts held. */
  constructor(loop: LoopPort, onError: (error: unknown) => void) {
    this.#loop = loop;
    this.#onError = onError;
  }

  nowNs(): number {
    return this.#loop.nowNs();
  }

  readClock(nowNs: Float64Array): void {
    this.#loop.readClock(nowNs);
  }

  wallClockNs(): bigint {
    return this.#loop.wallClockNs();
  }

  random(): number {
    return this.#loop.random();
  }

  bottomHalf(name: string, run: () => void): BottomHalf {
    const bottomHalf = new GatedBottomHalf(this, this.#loop, name, this.#guarded(run));
    this.#work.push(bottomHalf);
    return bottomHalf;
  }

  timer(name: string, run: () => void): Timer {
    const timer = new GatedTimer(this, this.#loop, name, this.#guarded(run));
    this.#work.push(timer);
    return timer;
  }

  /** Nothing runs from here on, and nothing is forgotten. */
  hold(): void {
    if (this.gate !== 'open') return;
    this.gate = 'held';
    for (const work of this.#work) work.hold();
  }

  release(): void {
    if (this.gate !== 'held') return;
    this.gate = 'open';
    for (const work of this.#work) work.release();
  }

  /** For ever. */
  close(): void {
    this.gate = 'closed';
    for (const work of this.#work) work.cancel();
  }

  #guarded(run: () => void): () => void {
    return () => {
      try {
        run();
      } catch (error) {
        this.#onError(error);
      }
    };
  }
}

class GatedBottomHalf implements BottomHalf, Gated {
  readonly #port: GatedPort;
  readonly #inner: BottomHalf;
  #wanted = false;

  constructor(port: GatedPort, loop: LoopPort, name: string, run: () => void) {
    this.#port = port;
    this.#inner = loop.bottomHalf(name, () => {
      this.#wanted = false;
      run();
    });
  }

  schedule(): void {
    if (this.#port.gate === 'closed') return;
    this.#wanted = true;
    if (this.#port.gate === 'open') this.#inner.schedule();
  }

  cancel(): void {
    this.#wanted = false;
    this.#inner.cancel();
  }

  hold(): void {
    this.#inner.cancel();
  }

  release(): void {
    if (this.#wanted) this.#inner.schedule();
  }
}

class GatedTimer implements Timer, Gated {
  readonly #port: GatedPort;
  readonly #inner: Timer;
  /** NaN while it is not armed. */
  readonly #atNs = new Float64Array([Number.NaN]);

  constructor(port: GatedPort, loop: LoopPort, name: string, run: () => void) {
    this.#port = port;
    this.#inner = loop.timer(name, () => {
      this.#atNs[0] = Number.NaN;
      run();
    });
  }

  get deadlineNs(): number | null {
    return this.#isArmed ? (this.#atNs[0] as number) : null;
  }

  get #isArmed(): boolean {
    return !Number.isNaN(this.#atNs[0]);
  }

  arm(deadlineNs: number): void {
    if (this.#port.gate === 'closed') return;
    this.#atNs[0] = deadlineNs;
    if (this.#port.gate === 'open') this.#inner.armAt(this.#atNs);
  }

  armAt(deadlineNs: Float64Array): void {
    this.arm(deadlineNs[0] as number);
  }

  cancel(): void {
    this.#atNs[0] = Number.NaN;
    this.#inner.cancel();
  }

  hold(): void {
    this.#inner.cancel();
  }

  release(): void {
    if (this.#isArmed) this.#inner.armAt(this.#atNs);
  }
}
