/**
 * The event loop (QEMU's AioContext): what one thread does between sleeps. It owns a run queue of bottom halves, timers
 * on virtual time, and the inbound ends of channels. A driver calls `turn()` and sleeps until the deadline it returns.
 */
import type { DoorbellConsumer } from '../channel/doorbell.ts';
import { assert } from '../util/errors.ts';
import { Prng, type PrngState } from '../util/prng.ts';
import { TRAIL, Trail } from '../util/trail.ts';
import type { LoopClock } from './clock.ts';
import type { BottomHalf, LoopPort, Timer } from './port.ts';
import { LoopTimer, TimerHeap } from './timers.ts';

/** Something that brings work from outside, e.g. a channel. */
export interface LoopSource {
  /** Handles up to `limit` items. @returns whether there are more */
  poll(limit: number): boolean;
  /** Whether poll() would find something. */
  readonly pending: boolean;
}

/** What a loop hands out: each is a delivery. */
export type DeliveryKind = 'message' | 'signal' | 'timer' | 'bottom half';
/** Told of each delivery before it is made. @param name of the message, signal, timer or bottom half */
export type DeliveryObserver = (kind: DeliveryKind, name: string) => void;

export interface EventLoopOptions {
  readonly name: string;
  readonly clock: LoopClock;
  /** Of the loop's random numbers. */
  readonly seed: number;
  /**
   * Our own bug surfaced in a bottom half, timer or message handler; the supervisor stops the machine. Without it the
   * error leaves turn().
   */
  readonly onError?: (error: unknown, where: string) => void;
  /** Bottom halves, due timers and inbound items handled in a turn, each; so none starves the others. */
  readonly workPerTurn?: number;
  readonly onDelivery?: DeliveryObserver | undefined;
}

const DEFAULT_WORK_PER_TURN = 256;

class LoopBottomHalf implements BottomHalf {
  readonly name: string;
  readonly run: () => void;
  readonly #queue: RunQueue;
  pending = false;
  /** In the queue; one that was cancelled stays there until its turn comes. */
  queued = false;

  constructor(queue: RunQueue, name: string, run: () => void) {
    this.#queue = queue;
    this.name = name;
    this.run = run;
  }

  schedule(): void {
    if (this.pending) return;
    this.pending = true;
    if (!this.queued) this.#queue.push(this);
  }

  cancel(): void {
    this.pending = false;
  }
}

/** A queue in a circular array that only grows: in steady state nothing is allocated. */
class RunQueue {
  #slots: (LoopBottomHalf | undefined)[] = new Array(64).fill(undefined);
  #first = 0;
  length = 0;
  readonly #onFirst: () => void;

  constructor(onFirst: () => void) {
    this.#onFirst = onFirst;
  }

  push(bottomHalf: LoopBottomHalf): void {
    if (this.length === this.#slots.length) this.#grow();
    this.#slots[(this.#first + this.length) & (this.#slots.length - 1)] = bottomHalf;
    bottomHalf.queued = true;
    if (this.length++ === 0) this.#onFirst();
  }

  shift(): LoopBottomHalf {
    const bottomHalf = this.#slots[this.#first] as LoopBottomHalf;
    this.#slots[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#slots.length - 1);
    this.length--;
    bottomHalf.queued = false;
    return bottomHalf;
  }

  #grow(): void {
    const inOrder = [...this.#slots.slice(this.#first), ...this.#slots.slice(0, this.#first)];
    this.#slots = inOrder.concat(new Array(inOrder.length).fill(undefined));
    this.#first = 0;
  }
}

export class EventLoop implements LoopPort {
  readonly name: string;
  readonly clock: LoopClock;
  /** What ran last; whoever catches a failure attaches it. */
  readonly trail: Trail;
  readonly #prng: Prng;
  readonly #queue = new RunQueue(() => this.#wakeDriver());
  readonly #timers = new TimerHeap(() => this.#wakeDriver());
  readonly #sources: LoopSource[] = [];
  readonly #workPerTurn: number;
  readonly #onError: ((error: unknown, where: string) => void) | undefined;
  readonly #onSignal: ((signal: number) => void) | undefined;
  readonly onDelivery: DeliveryObserver | undefined;
  #doorbell: DoorbellConsumer | null = null;
  #onWork: (() => void) | null = null;
  #moreInbound = false;
  #moreSignals = false;
  #inTurn = false;

  constructor(options: EventLoopOptions) {
    this.name = options.name;
    this.clock = options.clock;
    this.trail = new Trail(options.name);
    this.#prng = new Prng(options.seed);
    this.#onError = options.onError;
    this.#workPerTurn = options.workPerTurn ?? DEFAULT_WORK_PER_TURN;
    const { onDelivery } = options;
    this.onDelivery = onDelivery;
    this.#onSignal = onDelivery && ((signal) => onDelivery('signal', String(signal)));
  }

  nowNs(): number {
    return this.clock.nowNs();
  }

  wallClockNs(): bigint {
    return this.clock.wallClockNs();
  }

  random(): number {
    return this.#prng.next();
  }

  /** Where the loop's random numbers stand. */
  get chance(): PrngState {
    return this.#prng.save();
  }

  set chance(state: PrngState) {
    this.#prng.load(state);
  }

  bottomHalf(name: string, run: () => void): BottomHalf {
    return new LoopBottomHalf(this.#queue, name, run);
  }

  timer(name: string, run: () => void): Timer {
    return new LoopTimer(this.#timers, name, run);
  }

  /** Looks at `source` whenever the doorbell was rung. @returns detaches it */
  attach(source: LoopSource): () => void {
    this.#sources.push(source);
    this.#moreInbound = true;
    return () => {
      const index = this.#sources.indexOf(source);
      if (index >= 0) this.#sources.splice(index, 1);
    };
  }

  /** The doorbell of the thread this loop runs on: its signals are served, and sources are looked at when it rang. */
  set doorbell(doorbell: DoorbellConsumer) {
    assert(this.#doorbell === null, 'a loop has one doorbell');
    this.#doorbell = doorbell;
    doorbell.trail = this.trail;
  }

  /** A driver that sleeps is told when there is work that did not come through the doorbell. */
  set onWork(wake: (() => void) | null) {
    this.#onWork = wake;
  }

  /**
   * Runs what is due: signals and messages, then timers, then bottom halves in the order they were scheduled, up to a
   * bound each.
   * @returns the virtual time to come back at: now or earlier when work is left, Infinity when only others can bring any
   */
  turn(workLimit: number = this.#workPerTurn): number {
    assert(!this.#inTurn, 'turn() was called from inside a turn');
    this.#inTurn = true;
    try {
      this.#pollInbound(workLimit);
      this.#runTimers(workLimit);
      this.#runBottomHalves(workLimit);
    } finally {
      this.#inTurn = false;
    }
    return this.nextDeadlineNs();
  }

  /**
   * Hands out one thing that is due: the signals, a message, a timer or a bottom half.
   * @param below picks which: a number from 0 to its argument - 1
   */
  step(below: (bound: number) => number): void {
    assert(!this.#inTurn, 'step() was called from inside a turn');
    this.#inTurn = true;
    try {
      this.#listen();
      const due = this.#due();
      if (due.length > 0) due[below(due.length)]?.();
      this.#moreInbound = this.#sources.some(({ pending }) => pending);
    } finally {
      this.#inTurn = false;
    }
  }

  /** Bottom halves that will run in the next turns. */
  get pendingBottomHalves(): number {
    return this.#queue.length;
  }

  /** What turn() would return, had it nothing to do. */
  nextDeadlineNs(): number {
    const isInbound = this.#moreInbound || this.#moreSignals || this.#doorbell?.rung() === true;
    return this.#queue.length > 0 || isInbound ? Number.NEGATIVE_INFINITY : this.#timers.nextDeadlineNs;
  }

  #listen(): void {
    const doorbell = this.#doorbell;
    if (doorbell?.rung() !== true) return;
    doorbell.begin();
    this.#moreInbound = true;
    this.#moreSignals = true;
  }

  #serveSignals(): void {
    this.#moreSignals = false;
    try {
      this.#doorbell?.takeSignals(this.#onSignal);
    } catch (error) {
      this.#fail(error, 'signals');
    }
  }

  /** What step() may choose from: of each source, and of timers and bottom halves, the first. */
  #due(): (() => void)[] {
    const due: (() => void)[] = [];
    if (this.#moreSignals) due.push(() => this.#serveSignals());
    for (const source of this.#sources) if (source.pending) due.push(() => void this.#pollSource(source, 1));
    if (this.#timers.nextDeadlineNs <= this.clock.nowNs()) due.push(() => this.#runTimers(1));
    if (this.#queue.length > 0) due.push(() => this.#runBottomHalves(1));
    return due;
  }

  #pollInbound(limit: number): void {
    this.#listen();
    if (this.#moreSignals) this.#serveSignals();
    if (!this.#moreInbound) return;
    // Set before polling: a handler that throws out of turn() must not make us forget the rest.
    let more = false;
    for (const source of this.#sources) more = this.#pollSource(source, limit) || more;
    this.#moreInbound = more;
  }

  #pollSource(source: LoopSource, limit: number): boolean {
    try {
      return source.poll(limit);
    } catch (error) {
      this.#fail(error, 'an inbound message');
      return true;
    }
  }

  #runTimers(limit: number): void {
    if (this.#timers.nextDeadlineNs === Number.POSITIVE_INFINITY) return;
    const nowNs = this.clock.nowNs();
    this.trail.nowNs = nowNs;
    for (let n = 0; n < limit; n++) {
      const timer = this.#timers.takeDue(nowNs);
      if (timer === null) return;
      this.onDelivery?.('timer', timer.name);
      this.#guard(TRAIL.timer, timer.name, timer.run);
    }
  }

  #runBottomHalves(limit: number): void {
    const queue = this.#queue;
    for (let n = 0; n < limit && queue.length > 0; n++) {
      const bottomHalf = queue.shift();
      if (!bottomHalf.pending) continue;
      bottomHalf.pending = false;
      this.onDelivery?.('bottom half', bottomHalf.name);
      this.#guard(TRAIL.bottomHalf, bottomHalf.name, bottomHalf.run);
    }
  }

  #guard(kind: typeof TRAIL.timer | typeof TRAIL.bottomHalf, where: string, run: () => void): void {
    this.trail.note(kind, where, 0);
    try {
      run();
    } catch (error) {
      this.#fail(error, where);
    }
  }

  #fail(error: unknown, where: string): void {
    if (this.#onError === undefined) throw error;
    this.#onError(error, where);
  }

  #wakeDriver(): void {
    if (!this.#inTurn) this.#onWork?.();
  }
}
