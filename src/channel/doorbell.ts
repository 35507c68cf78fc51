/**
 * A thread's doorbell: the words in shared memory through which any other thread tells it that there is something to do,
 * and through which it can sleep without missing that.
 *
 * Producer: publish the data, then `ring()`: count the sequence word up, set the attention word, wake the consumer if it
 * says that it is parked. Consumer: while the attention word is set, `begin()` clears it, then notes the sequence number,
 * then it looks for work; it parks only on that noted number, so whatever was published after begin() keeps it awake.
 *
 * The order of the two words matters, on both sides: a ring that begin() meets halfway may be noted twice, never
 * forgotten. And the attention word alone says that there is something new: with two answers to that question, compiled
 * code once left for a doorbell that nobody else heard, again and again. The *parked* word is written by the consumer
 * alone: a flag that producers clear loses wake-ups.
 *
 * Signals are bits beside these words: no payload, idempotent while pending, from any thread. The words may lie in a
 * memory that WebAssembly shares: compiled code polls the attention word, which is not 0 while something may be new.
 */
import { assert } from '../util/errors.ts';
import { hostNowNs } from '../util/host-clock.ts';
import { TRAIL, type Trail } from '../util/trail.ts';

const SEQUENCE = 0;
/** 0 while awake, else the number of this sleep, so that producers wake each sleep once. */
const PARKED = 1;
/** The last sleep that a producer has posted a wake-up for; written by producers alone. */
const POSTED = 2;
const ATTENTION = 3;
/** Counts the tickets that were drawn. */
const TICKETS = 4;
/** Counts what the owner takes back of what it has told others (src/actor/standing-answer.ts); written by the owner alone. */
const CHANGES = 5;
const FIRST_SIGNAL_WORD = 6;

/** Where a doorbell lies: plain data that can be sent to every thread. */
export interface DoorbellWords {
  readonly buffer: SharedArrayBuffer;
  /** A multiple of 4. */
  readonly byteOffset: number;
  /** Signals come in words of 32. */
  readonly signalWords: number;
}

/** @returns the room that a doorbell takes */
export function doorbellLengthBytes(signalWords: number): number {
  return (FIRST_SIGNAL_WORD + signalWords) * 4;
}

/** Where the attention word lies in the buffer: not 0 while there may be something new. */
export function attentionByteOffset(words: DoorbellWords): number {
  return words.byteOffset + ATTENTION * 4;
}

export function createDoorbell(signalWords: number): DoorbellWords {
  return { buffer: new SharedArrayBuffer(doorbellLengthBytes(signalWords)), byteOffset: 0, signalWords };
}

/** What wakes a consumer that sleeps in its host's event loop: the sending end of a port. */
export interface WakePort {
  postMessage(message: null): void;
}

/** A producer's end. Any number of threads may hold one. */
export class DoorbellProducer {
  readonly #words: Int32Array;
  readonly #wakePort: WakePort | null;
  readonly #signals: number;

  /** @param wakePort null for a consumer that parks in Atomics.wait */
  constructor(words: DoorbellWords, wakePort: WakePort | null) {
    this.#words = new Int32Array(words.buffer, words.byteOffset, FIRST_SIGNAL_WORD + words.signalWords);
    this.#signals = words.signalWords * 32;
    this.#wakePort = wakePort;
  }

  /** Says that something was published. */
  ring(): void {
    const words = this.#words;
    Atomics.add(words, SEQUENCE, 1);
    Atomics.store(words, ATTENTION, 1);
    const sleep = Atomics.load(words, PARKED);
    if (sleep === 0) return;
    if (this.#wakePort === null) Atomics.notify(words, SEQUENCE, 1);
    else if (Atomics.exchange(words, POSTED, sleep) !== sleep) this.#wakePort.postMessage(null);
  }

  /**
   * A number for what is published next, so that its order is kept beside what others publish (see `Channel`): each is
   * greater than all that were drawn before it, by any thread. @returns odd, 32 bits, signed; the numbers wrap
   */
  drawTicket(): number {
    return (Atomics.add(this.#words, TICKETS, 1) << 1) | 1;
  }

  /** How many tickets were drawn, by any thread; 32 bits, signed. */
  get tickets(): number {
    return Atomics.load(this.#words, TICKETS);
  }

  /** How often the owner has said change(); 32 bits, signed. */
  get changes(): number {
    return Atomics.load(this.#words, CHANGES);
  }

  /** Sets a signal, and rings if it was not pending already. @param signal 0 to signalWords * 32 - 1 */
  raise(signal: number): void {
    assert(signal >= 0 && signal < this.#signals, `signal ${signal} of ${this.#signals}`);
    const bit = 1 << (signal & 31);
    if ((Atomics.or(this.#words, FIRST_SIGNAL_WORD + (signal >> 5), bit) & bit) === 0) this.ring();
  }
}

/** The owner's end: one thread holds it. */
export class DoorbellConsumer {
  readonly #words: Int32Array;
  readonly #handlers: (((signal: number) => void) | undefined)[];
  readonly #signalWords: number;
  /** Is told of every signal taken. */
  trail: Trail | null = null;
  #seen = 0;
  #sleep = 0;

  constructor(words: DoorbellWords) {
    this.#words = new Int32Array(words.buffer, words.byteOffset, FIRST_SIGNAL_WORD + words.signalWords);
    this.#signalWords = words.signalWords;
    this.#handlers = new Array(words.signalWords * 32).fill(undefined);
    // What was published before this end existed counts as new.
    Atomics.store(this.#words, ATTENTION, 1);
  }

  /** What to do on a signal; the handler must not throw for what a guest controls. */
  onSignal(signal: number, handler: (signal: number) => void): void {
    assert(signal >= 0 && signal < this.#handlers.length, `signal ${signal} of ${this.#handlers.length}`);
    this.#handlers[signal] = handler;
  }

  /** Tells whoever looks that what this thread has told others may hold no longer. */
  change(): void {
    Atomics.add(this.#words, CHANGES, 1);
  }

  /** Whether it was rung since the last begin(); a ring that came during that one may count for both. */
  rung(): boolean {
    return Atomics.load(this.#words, ATTENTION) !== 0;
  }

  /** Notes what was rung so far. What was published before is seen by whoever looks now. */
  begin(): void {
    Atomics.store(this.#words, ATTENTION, 0);
    this.#seen = Atomics.load(this.#words, SEQUENCE);
  }

  /** Takes the pending signals and runs their handlers, each after `observe`. @returns how many there were */
  takeSignals(observe?: (signal: number) => void): number {
    let taken = 0;
    for (let w = 0; w < this.#signalWords; w++) {
      const index = FIRST_SIGNAL_WORD + w;
      if (Atomics.load(this.#words, index) === 0) continue;
      let pending = Atomics.exchange(this.#words, index, 0);
      while (pending !== 0) {
        const bit = 31 - Math.clz32(pending & -pending);
        pending &= pending - 1;
        taken++;
        observe?.(w * 32 + bit);
        this.trail?.note(TRAIL.signal, '', w * 32 + bit);
        this.#handlers[w * 32 + bit]?.(w * 32 + bit);
      }
    }
    return taken;
  }

  /**
   * Declares this thread parked in its host's event loop. @returns false, and stays awake, if it was rung since begin()
   */
  park(): boolean {
    this.#declareParked();
    if (!this.rung()) return true;
    this.unpark();
    return false;
  }

  unpark(): void {
    Atomics.store(this.#words, PARKED, 0);
  }

  /** Parks the thread itself until it is rung, or the time is over. @returns whether it was rung since begin() */
  wait(timeoutNs: number): boolean {
    this.#declareParked();
    Atomics.wait(this.#words, SEQUENCE, this.#seen, timeoutNs / 1e6);
    this.unpark();
    return this.rung();
  }

  #declareParked(): void {
    this.#sleep = this.#sleep === 0x7fff_ffff ? 1 : this.#sleep + 1;
    Atomics.store(this.#words, PARKED, this.#sleep);
  }
}

/** Spinning longer than a wake-up takes never pays. */
const SPIN_MAX_NS = 32_000;
const SPIN_MIN_NS = 4_000;
/** What waking a thread may take on a host that shares its cores: 6 to 90 microseconds were seen. */
const WAKING_NS = 150_000;
const LOADS_PER_CLOCK_READING = 64;

/**
 * Sleeping with a short spin before it. The spin adapts as QEMU's AioContext does: a wake-up that came soon after
 * parking makes it longer, one that let us wait makes it shorter, down to none.
 */
export class Parker {
  readonly #doorbell: DoorbellConsumer;
  #spinNs = 0;

  constructor(doorbell: DoorbellConsumer) {
    this.#doorbell = doorbell;
  }

  /** @param timeoutNs Infinity: until rung; @returns whether the doorbell was rung */
  park(timeoutNs: number): boolean {
    if (this.#doorbell.rung()) return true;
    if (!(timeoutNs > 0)) return false;
    const startNs = hostNowNs();
    if (this.#spinNs > 0 && this.#spin(startNs + Math.min(this.#spinNs, timeoutNs))) return true;
    const leftNs = timeoutNs - (hostNowNs() - startNs);
    const rung = leftNs > 0 ? this.#doorbell.wait(leftNs) : this.#doorbell.rung();
    this.#adapt(rung, hostNowNs() - startNs);
    return rung;
  }

  #spin(untilNs: number): boolean {
    do {
      for (let i = 0; i < LOADS_PER_CLOCK_READING; i++) if (this.#doorbell.rung()) return true;
    } while (hostNowNs() < untilNs);
    return false;
  }

  /** After a sleep. One that was soon over may have been no longer than a spin, but for the time that waking took. */
  #adapt(rung: boolean, waitedNs: number): void {
    const spun = this.#spinNs;
    if (rung && waitedNs <= spun + WAKING_NS && spun < SPIN_MAX_NS) {
      this.#spinNs = Math.min(SPIN_MAX_NS, Math.max(SPIN_MIN_NS, spun * 2));
    } else {
      this.#spinNs = spun <= SPIN_MIN_NS ? 0 : spun / 2;
    }
  }
}
