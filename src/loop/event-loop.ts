/**
 * The event loop (QEMU's AioContext): what one thread does between sleeps. It owns a run queue of bottom halves, timers
 * on virtual time, and the inbound ends of channels. A driver calls `turn()` and sleeps until the deadline it returns.
 */
import { NOTHING, WITHOUT_TICKET } from '../channel/channel.ts';
import type { DoorbellConsumer } from '../channel/doorbell.ts';
import { assert } from '../util/errors.ts';
import { Prng, type PrngState } from '../util/prng.ts';
import { TRAIL, Trail } from '../util/trail.ts';
import type { LoopClock } from './clock.ts';
import type { BottomHalf, LoopPort, Timer } from './port.ts';
import { LoopTimer, TimerHeap } from './timers.ts';

/** Something that brings work from outside: a channel. */
export interface LoopSource {
  /** Handles up to `limit` items. @returns whether there are more */
  poll(limit: number): boolean;
  /** Handles up to `limit` items, none behind one that has a ticket. @returns how many */
  pollUnordered(limit: number): number;
  /** Of the first item: its place among those of all sources that have one, NOTHING, or WITHOUT_TICKET. */
  readonly ticket: number;
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
/** As many as lie in a channel of 64 KiB at most: each has a header and eight bytes. */
const SETTLE_LIMIT = 4096;
const AN_INBOUND_MESSAGE = 'an inbound message';

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

/** A source that is attached. */
interface Inbound {
  readonly source: LoopSource;
  /** Of its first item, as it was last seen. */
  ticket: number;
}

export class EventLoop implements LoopPort {
  readonly name: string;
  readonly clock: LoopClock;
  /** What ran last; whoever catches a failure attaches it. */
  readonly trail: Trail;
  readonly #prng: Prng;
  readonly #queue = new RunQueue(() => this.#wakeDriver());
  readonly #timers = new TimerHeap(() => this.#wakeDriver());
  readonly #sources: Inbound[] = [];
  /** Some have come or gone since all were looked at. */
  #hasOtherSources = false;
  readonly #workPerTurn: number;
  readonly #onError: ((error: unknown, where: string) => void) | undefined;
  readonly #onSignal: ((signal: number) => void) | undefined;
  readonly onDelivery: DeliveryObserver | undefined;
  #doorbell: DoorbellConsumer | null = null;
  #onWork: (() => void) | null = null;
  #moreInbound = false;
  /** Inbound items that may still be handled in this turn. */
  #budget = 0;
  #moreSignals = false;
  #inTurn = false;
  /** What hostDelayNs() reads. */
  readonly #delayNs = new Float64Array(1);

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

  readClock(nowNs: Float64Array): void {
    this.clock.read(nowNs);
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
    const inbound: Inbound = { source, ticket: NOTHING };
    this.#sources.push(inbound);
    this.#hasOtherSources = true;
    this.#moreInbound = true;
    return () => {
      const index = this.#sources.indexOf(inbound);
      if (index >= 0) this.#sources.splice(index, 1);
      this.#hasOtherSources = true;
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
   */
  turn(workLimit: number = this.#workPerTurn): void {
    assert(!this.#inTurn, 'turn() was called from inside a turn');
    this.#inTurn = true;
    try {
      this.#pollInbound(workLimit);
      this.#runTimers(workLimit);
      this.#runBottomHalves(workLimit);
    } finally {
      this.#inTurn = false;
    }
  }

  /**
   * Takes the answer that the thread waits for, if nothing else has come: the rest of a turn would keep it waiting. A turn
   * has to follow all the same, before the thread sleeps again.
   */
  takeAnswer(): void {
    assert(!this.#inTurn, 'takeAnswer() was called from inside a turn');
    if (this.#doorbell?.beginAnswer() !== true) return;
    this.#inTurn = true;
    try {
      this.#handOutPlaced();
    } finally {
      this.#inTurn = false;
    }
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
      this.#moreInbound = this.#sources.some(({ source }) => source.pending);
    } finally {
      this.#inTurn = false;
    }
  }

  /** Whether something has come that was not handled yet; a turn that is under way has still to look at it. */
  get inboundPending(): boolean {
    return this.#moreInbound || this.#moreSignals || this.#doorbell?.rung() === true;
  }

  /** Handles whatever has come so far; from a bottom half. */
  settleInbound(): void {
    this.#pollInbound(SETTLE_LIMIT);
  }

  /** Bottom halves that will run in the next turns. */
  get pendingBottomHalves(): number {
    return this.#queue.length;
  }

  /** The virtual time to turn at: now or earlier when there is work, Infinity when only others can bring any. */
  nextDeadlineNs(): number {
    return this.#hasWork ? Number.NEGATIVE_INFINITY : this.#timers.nextDeadlineNs;
  }

  /** Host nanoseconds until then. */
  hostDelayNs(): number {
    this.readHostDelay(this.#delayNs);
    return this.#delayNs[0] as number;
  }

  /** Writes hostDelayNs() to `delayNs[0]`: for whoever asks often, as readClock(). */
  readHostDelay(delayNs: Float64Array): void {
    if (this.#hasWork) delayNs[0] = 0;
    else {
      this.#timers.readNextDeadline(delayNs);
      this.clock.toHostDelay(delayNs);
    }
  }

  get #hasWork(): boolean {
    return this.#queue.length > 0 || this.inboundPending;
  }

  #listen(): void {
    const doorbell = this.#doorbell;
    if (doorbell?.rung() !== true) return;
    if (doorbell.begin()) this.#moreInbound = true;
    this.#moreSignals = doorbell.hasSignals;
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
    for (const { source } of this.#sources) {
      if (source.pending && this.#isNext(source)) due.push(() => this.#pollSource(source, 1));
    }
    if (this.#timers.nextDeadlineNs <= this.clock.nowNs()) due.push(() => this.#runTimers(1));
    if (this.#queue.length > 0) due.push(() => this.#runBottomHalves(1));
    return due;
  }

  #pollInbound(limit: number): void {
    this.#listen();
    if (this.#moreSignals) this.#serveSignals();
    if (!this.#moreInbound) this.#handOutPlaced();
    if (!this.#moreInbound) return;
    this.#budget = limit * Math.max(1, this.#sources.length);
    for (;;) {
      this.#lookAtAll();
      for (;;) {
        if (this.#budget <= 0) return;
        const first = this.#firstInOrder();
        if (first === null) {
          this.#moreInbound = false;
          return;
        }
        this.#budget -= 1;
        this.#pollSource(first.source, 1);
        if (this.#mayHaveMissed()) break;
        // Nothing is new but what lay behind that item.
        this.#uncover(first);
      }
    }
  }

  /**
   * Hands out what lies in a place of the doorbell where that is all that has come: what was sent before it has been handled.
   * What is not next all the same, or lies in the other place as well, is left to a look at all sources.
   */
  #handOutPlaced(): void {
    const user = this.#doorbell?.findPlaced() ?? null;
    if (user === null) return;
    this.#pollSource(user, 1);
    this.#moreInbound = this.#doorbell?.findPlaced() !== null;
  }

  /**
   * Handles what has no ticket, up to the budget, and notes the tickets behind it. Something that was sent before another
   * item is in its source when that item is seen: so a look at all of them that began behind the sight of the lowest
   * ticket finds no lower one, and without a ring behind begin() nothing has come since.
   */
  #lookAtAll(): void {
    let lowest = NOTHING;
    for (;;) {
      const seen = lowest;
      this.#hasOtherSources = false;
      for (const inbound of this.#sources) {
        if (this.#budget <= 0) return;
        this.#uncover(inbound);
      }
      lowest = this.#firstInOrder()?.ticket ?? NOTHING;
      if (!this.#mayHaveMissed() || (lowest === seen && !this.#hasOtherSources)) return;
    }
  }

  /** Whether some source may have an item that came since it was looked at, and another one behind that. */
  #mayHaveMissed(): boolean {
    return this.#hasOtherSources || (this.#sources.length > 1 && this.#doorbell?.rung() !== false);
  }

  /** The one whose first item has the lowest ticket, of those that were seen. */
  #firstInOrder(): Inbound | null {
    let first: Inbound | null = null;
    for (const inbound of this.#sources) {
      if (inbound.ticket === NOTHING || (first !== null && ((inbound.ticket - first.ticket) | 0) >= 0)) continue;
      first = inbound;
    }
    return first;
  }

  /** Handles what has no ticket, and notes the ticket behind that; WITHOUT_TICKET where the budget is used up. */
  #uncover(inbound: Inbound): void {
    const { source } = inbound;
    do this.#budget -= this.#pollUnordered(source);
    while (this.#budget > 0 && source.ticket === WITHOUT_TICKET);
    inbound.ticket = source.ticket;
  }

  /** Whether its first item may be handled: no other source has, or may hide, one with a lower ticket. */
  #isNext(source: LoopSource): boolean {
    const { ticket } = source;
    if ((ticket & 1) === 0) return true;
    return this.#sources.every(({ source: other }) => {
      const its = other.ticket;
      return other === source || its === NOTHING || (its !== WITHOUT_TICKET && ((its - ticket) | 0) > 0);
    });
  }

  #pollSource(source: Pick<LoopSource, 'poll'>, limit: number): void {
    try {
      source.poll(limit);
    } catch (error) {
      this.#fail(error, AN_INBOUND_MESSAGE);
    }
  }

  /** @returns how many items it has handled */
  #pollUnordered(source: LoopSource): number {
    try {
      return source.pollUnordered(this.#budget);
    } catch (error) {
      this.#fail(error, AN_INBOUND_MESSAGE);
      return 1;
    }
  }

  #runTimers(limit: number): void {
    if (this.#timers.empty) return;
    const { nowNs } = this.trail;
    this.clock.read(nowNs);
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
