/** The timers of one loop: a binary heap by deadline, and by order of arming where deadlines are equal. */
import type { Timer } from './port.ts';

const NOT_ARMED = -1;

export class LoopTimer implements Timer {
  readonly name: string;
  readonly run: () => void;
  readonly #heap: TimerHeap;
  /** Set by the heap. */
  index = NOT_ARMED;
  atNs = 0;
  order = 0;

  constructor(heap: TimerHeap, name: string, run: () => void) {
    this.#heap = heap;
    this.name = name;
    this.run = run;
  }

  get deadlineNs(): number | null {
    return this.index === NOT_ARMED ? null : this.atNs;
  }

  arm(deadlineNs: number): void {
    this.atNs = deadlineNs;
    this.#heap.arm(this);
  }

  armAt(deadlineNs: Float64Array): void {
    this.atNs = deadlineNs[0] as number;
    this.#heap.arm(this);
  }

  cancel(): void {
    this.#heap.remove(this);
  }
}

export class TimerHeap {
  /** Grows only: an array that lets go of its last element and gets it back is allocated anew each time. */
  readonly #timers: (LoopTimer | undefined)[] = [];
  #count = 0;
  /**
   * The first deadline, Infinity without one: a word, as that of LoopPort.readClock(). While a timer is armed anew its own
   * has changed already.
   */
  readonly #firstNs = new Float64Array([Number.POSITIVE_INFINITY]);
  readonly #onEarlier: () => void;
  #armings = 0;

  /** @param onEarlier called when the first deadline has moved forward */
  constructor(onEarlier: () => void) {
    this.#onEarlier = onEarlier;
  }

  /** The first deadline, or Infinity. */
  get nextDeadlineNs(): number {
    return this.#firstNs[0] as number;
  }

  /** Writes it to `deadlineNs[0]`. */
  readNextDeadline(deadlineNs: Float64Array): void {
    deadlineNs[0] = this.#firstNs[0] as number;
  }

  get empty(): boolean {
    return this.#count === 0;
  }

  /** At timer.atNs; from where it was, if it was armed. */
  arm(timer: LoopTimer): void {
    const firstNs = this.#firstNs[0] as number;
    this.remove(timer);
    timer.order = this.#armings++;
    this.#put(timer, this.#count++);
    this.#up(timer.index);
    if (timer.atNs < firstNs) this.#onEarlier();
  }

  remove(timer: LoopTimer): void {
    const { index } = timer;
    if (index === NOT_ARMED) return;
    timer.index = NOT_ARMED;
    this.#count -= 1;
    const last = this.#timers[this.#count] as LoopTimer;
    this.#timers[this.#count] = undefined;
    if (this.#count === 0) this.#firstNs[0] = Number.POSITIVE_INFINITY;
    if (last === timer) return;
    this.#put(last, index);
    this.#up(index);
    this.#down(last.index);
  }

  /**
   * Disarms and returns the first timer that is due.
   * @param nowNs as LoopPort.readClock() writes it
   */
  takeDue(nowNs: Float64Array): LoopTimer | null {
    const first = this.#timers[0];
    if (first === undefined || (this.#firstNs[0] as number) > (nowNs[0] as number)) return null;
    this.remove(first);
    return first;
  }

  #put(timer: LoopTimer, index: number): void {
    this.#timers[index] = timer;
    timer.index = index;
    if (index === 0) this.#firstNs[0] = timer.atNs;
  }

  #up(from: number): void {
    const timer = this.#timers[from] as LoopTimer;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#timers[above] as LoopTimer;
      if (!before(timer, parent)) break;
      this.#put(parent, index);
      index = above;
    }
    this.#put(timer, index);
  }

  #down(from: number): void {
    const timers = this.#timers;
    const timer = timers[from] as LoopTimer;
    let index = from;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= this.#count) break;
      const right = timers[child + 1];
      if (right !== undefined && before(right, timers[child] as LoopTimer)) child++;
      const next = timers[child] as LoopTimer;
      if (!before(next, timer)) break;
      this.#put(next, index);
      index = child;
    }
    this.#put(timer, index);
  }
}

function before(a: LoopTimer, b: LoopTimer): boolean {
  return a.atNs < b.atNs || (a.atNs === b.atNs && a.order < b.order);
}
