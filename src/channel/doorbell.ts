/**
 * A thread's doorbell: the words in shared memory through which any other thread tells it that there is something to do,
 * and through which it can sleep without missing that.
 *
 * One word, the state, says all of it: DATA, that something was published elsewhere (a record in a channel); ANSWER and
 * REQUEST, that a record lies beside it; signals, a bit each; SIGNALS, that there are more of them in words of their own;
 * and PARKED, that the consumer sleeps. So a ring or a signal is one atomic operation on one cache line, which tells at once
 * whether somebody has to be woken, and there is one answer to the question whether there is anything new: with two of
 * them, compiled code once left for a doorbell that nobody else heard, again and again.
 *
 * Producer: publish the data, then `ring()`; whoever finds PARKED there wakes the consumer. Consumer: `begin()` takes all
 * that the word says, then it looks for work; it parks by putting PARKED in the place of 0 and of nothing else, so whatever
 * was published after begin() keeps it awake. The bit is the consumer's alone: a flag that producers clear loses wake-ups.
 *
 * Beside the state are two places, for one short record each, which so takes one line of the cache instead of three: of an
 * answer, for whoever answers the one request that the consumer keeps it for (expectAnswer()); and of a request, for one
 * thread at a time (claim()), until that request is answered. places.ts has what lies there.
 *
 * Signals have no payload, are idempotent while pending, and come from any thread. The words may lie in a memory that
 * WebAssembly shares: compiled code polls the state word, which is not 0 while something may be new, as it is not parked;
 * it may take and send signals itself (src/hart/assembly/signals.ts).
 */
import {
  countsByteOffset,
  DOORBELL,
  DOORBELL_COUNTS,
  DOORBELL_PLACE,
  doorbellLengthBytes,
  PLACE_PAYLOAD_WORDS,
  signalWordIndex,
} from '../memory/doorbell-words.ts';
import { assert } from '../util/errors.ts';
import { TRAIL, type Trail } from '../util/trail.ts';
import { timeoutOf } from './timeouts.ts';

/** Of a doorbell's words. */
const STATE = 0;
const { data: DATA, signals: SIGNALS, parked: PARKED, answer: ANSWER, request: REQUEST } = DOORBELL;
const FIRST_SIGNAL = DOORBELL.firstSignal;
const OWN_SIGNALS = -1 << FIRST_SIGNAL;
const PLACES = ANSWER | REQUEST;
const { tickets: TICKETS, changes: CHANGES, claim: CLAIM } = DOORBELL_COUNTS;
const UNCLAIMED = 0;

/** Where a doorbell lies: plain data that can be sent to every thread. */
export interface DoorbellWords {
  readonly buffer: SharedArrayBuffer;
  /** Of the state word, which is not 0 while there may be something new. A multiple of 4. */
  readonly byteOffset: number;
  /** Signals come in words of 32, of which the state is the first. */
  readonly signalWords: number;
}

/**
 * Where the next doorbells lie, one behind the other: in the memory of a WebAssembly program, which begins with a page of the
 * host. A SharedArrayBuffer of its own may begin anywhere on a line of the cache, and would lay the state and what lies beside
 * it on two.
 */
let pool: { readonly buffer: SharedArrayBuffer; end: number } | null = null;

export function createDoorbell(signalWords: number): DoorbellWords {
  const lengthBytes = doorbellLengthBytes(signalWords);
  if (pool === null || pool.end + lengthBytes > pool.buffer.byteLength) {
    pool = { buffer: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer, end: 0 };
  }
  const byteOffset = pool.end;
  pool.end += lengthBytes;
  return { buffer: pool.buffer, byteOffset, signalWords };
}

/** Whose records may lie in a doorbell's places: the end of a channel on the consumer's thread. */
export interface PlaceUser {
  /** Handles up to `limit` records, those in a place among them, each when it is next. */
  poll(limit: number): boolean;
  /** Records of its other end are of no interest any more. */
  readonly closed: boolean;
}

/** What wakes a consumer that sleeps in its host's event loop: the sending end of a port. */
export interface WakePort {
  postMessage(message: null): void;
}

/** A producer's end. Any number of threads may hold one. */
export class DoorbellProducer {
  readonly #words: Int32Array;
  readonly #counts: Int32Array;
  readonly #wakePort: WakePort | null;
  readonly #signals: number;
  /** The consumer had not looked since the ring before the last one. */
  #lags = false;

  /** @param wakePort null for a consumer that parks in Atomics.wait */
  constructor(words: DoorbellWords, wakePort: WakePort | null) {
    this.#words = stateWordsOf(words);
    this.#counts = countWordsOf(words);
    this.#wakePort = wakePort;
    this.#signals = words.signalWords * 32;
  }

  /** Says that something was published. */
  ring(): void {
    // It has still to look, and will see what was published before this. Only of one that lags: to look first takes as
    // long as to ring.
    if (this.#lags && (Atomics.load(this.#words, STATE) & DATA) !== 0) return;
    this.#lags = (this.#set(DATA) & DATA) !== 0;
  }

  /** Sets a signal, and rings if it was not pending already. @param signal FIRST_SIGNAL to signalWords * 32 - 1 */
  raise(signal: number): void {
    checkSignal(signal, this.#signals);
    const bit = 1 << (signal & 31);
    if (signal < 32) this.#set(bit);
    else if ((Atomics.or(this.#words, signalWordIndex(signal >> 5), bit) & bit) === 0) this.#set(SIGNALS);
  }

  /** Puts a record into the place of answers: of whoever was asked for the one that it is kept for, once. */
  putAnswer(header: number, payload: Int32Array): void {
    this.#put(DOORBELL_PLACE.answer, header, payload);
    this.#set(ANSWER);
  }

  /** Puts a record into the place of requests. @param sender which has claimed it; no record of its lies there */
  putRequest(header: number, payload: Int32Array, sender: number): void {
    this.#put(DOORBELL_PLACE.request, header, payload);
    this.#words[DOORBELL_PLACE.sender] = sender;
    this.#set(REQUEST);
  }

  /** In words alone, one behind the other: whoever looks meanwhile takes the line of the cache away. */
  #put(place: number, header: number, payload: Int32Array): void {
    const words = this.#words;
    words[place] = header;
    for (let i = 0; i < PLACE_PAYLOAD_WORDS; i++) words[place + 1 + i] = payload[i] as number;
  }

  /** Has the place of requests for oneself. @param sender not 0; @returns false where another has it */
  claim(sender: number): boolean {
    return Atomics.compareExchange(this.#counts, CLAIM, UNCLAIMED, sender) === UNCLAIMED;
  }

  /** Gives it to others, when what was put there has been answered. */
  unclaim(): void {
    this.#counts[CLAIM] = UNCLAIMED;
  }

  /** One that sleeps in its host's event loop is woken by the first who finds it so: once. @returns the state before */
  #set(bits: number): number {
    const before = Atomics.or(this.#words, STATE, bits);
    if ((before & PARKED) !== 0) {
      if (this.#wakePort === null) Atomics.notify(this.#words, STATE, 1);
      else if (before === PARKED) this.#wakePort.postMessage(null);
    }
    return before;
  }

  /**
   * A number for what is published next, so that its order is kept beside what others publish (see `Channel`): each is
   * greater than all that were drawn before it, by any thread. @returns odd, 32 bits, signed; the numbers wrap
   */
  drawTicket(): number {
    return (Atomics.add(this.#counts, TICKETS, 1) << 1) | 1;
  }

  /** How many tickets were drawn, by any thread; 32 bits, signed. */
  get tickets(): number {
    return Atomics.load(this.#counts, TICKETS);
  }

  /** How often the owner has said change(); 32 bits, signed. */
  get changes(): number {
    return Atomics.load(this.#counts, CHANGES);
  }
}

/** The owner's end: one thread holds it. */
export class DoorbellConsumer {
  readonly #words: Int32Array;
  readonly #counts: Int32Array;
  readonly #handlers: (((signal: number) => void) | undefined)[];
  readonly #signalWords: number;
  /** Is told of every signal taken. */
  trail: Trail | null = null;
  /** Bits of the state that begin() has taken: signals and places that have still to be handed out. */
  #taken = 0;
  #expecting: PlaceUser | null = null;
  /** By the number of the sender. */
  readonly #senders: (PlaceUser | undefined)[] = [];

  constructor(words: DoorbellWords) {
    this.#words = stateWordsOf(words);
    this.#counts = countWordsOf(words);
    this.#signalWords = words.signalWords;
    this.#handlers = new Array(words.signalWords * 32).fill(undefined);
    // What was published before this end existed counts as new.
    Atomics.or(this.#words, STATE, DATA | SIGNALS);
  }

  /** What to do on a signal; the handler must not throw for what a guest controls. */
  onSignal(signal: number, handler: (signal: number) => void): void {
    checkSignal(signal, this.#handlers.length);
    this.#handlers[signal] = handler;
  }

  /** Tells whoever looks that what this thread has told others may hold no longer. */
  change(): void {
    Atomics.add(this.#counts, CHANGES, 1);
  }

  /** Whether it was rung since the last begin(). */
  rung(): boolean {
    return (Atomics.load(this.#words, STATE) & ~PARKED) !== 0;
  }

  /**
   * Takes what was rung so far: what was published before is seen by whoever looks now.
   * @returns whether anything was published
   */
  begin(): boolean {
    const state = Atomics.exchange(this.#words, STATE, 0);
    this.#taken |= state;
    return (state & DATA) !== 0;
  }

  /** begin() where an answer in its place is all that has come. @returns whether it is */
  beginAnswer(): boolean {
    if (Atomics.compareExchange(this.#words, STATE, ANSWER, 0) !== ANSWER) return false;
    this.#taken |= ANSWER;
    return true;
  }

  /** Whether there are signals that begin() has found, and nobody has taken. */
  get hasSignals(): boolean {
    return (this.#taken & (OWN_SIGNALS | SIGNALS)) !== 0;
  }

  /** With what lies in the places (DOORBELL_PLACE). */
  get words(): Int32Array {
    return this.#words;
  }

  /** Whose requests come with this number. */
  onRequests(sender: number, user: PlaceUser): void {
    assert(this.#senders[sender] === undefined, `sender ${sender} of requests is known already`);
    this.#senders[sender] = user;
  }

  /**
   * Keeps the place of answers for one, until forgetAnswer() says that it has come, elsewhere perhaps, or will not.
   * @returns false where it is kept already
   */
  expectAnswer(user: PlaceUser): boolean {
    if (this.#expecting !== null) return false;
    this.#expecting = user;
    return true;
  }

  forgetAnswer(): void {
    this.#expecting = null;
  }

  /** Forgets what is late. @returns whose record begin() has found in a place, an answer's first; null where there is none */
  findPlaced(): PlaceUser | null {
    if ((this.#taken & ANSWER) !== 0) {
      const user = this.#expecting;
      assert(user !== null, 'an answer is to a request, once');
      if (!user.closed) return user;
      // It is late: its other end has gone, and the request was told so.
      this.#taken &= ~ANSWER;
      this.#expecting = null;
    }
    if ((this.#taken & REQUEST) !== 0) {
      const user = this.#sender;
      if (!user.closed) return user;
      this.#taken &= ~REQUEST;
    }
    return null;
  }

  get #sender(): PlaceUser {
    const sender = this.#words[DOORBELL_PLACE.sender] as number;
    const user = this.#senders[sender];
    // Not an assertion: each request would make its text.
    if (user === undefined) throw new Error(`there is no sender ${sender} of requests`);
    return user;
  }

  /** Whether a record of the user's lies in a place, and begin() or lookAtPlaces() has found it. */
  hasAnswer(user: PlaceUser): boolean {
    return (this.#taken & ANSWER) !== 0 && this.#expecting === user;
  }

  hasRequest(user: PlaceUser): boolean {
    return (this.#taken & REQUEST) !== 0 && this.#sender === user;
  }

  /** Finds what of the user's was put into the places before now; of others' only begin() does. */
  lookAtPlaces(user: PlaceUser): void {
    const found = Atomics.load(this.#words, STATE) & PLACES;
    if (found === 0) return;
    const answer = this.#expecting === user ? found & ANSWER : 0;
    const request = (found & REQUEST) !== 0 && this.#sender === user ? REQUEST : 0;
    if ((answer | request) === 0) return;
    Atomics.and(this.#words, STATE, ~(answer | request));
    this.#taken |= answer | request;
  }

  /** What lay there has been read. */
  releaseAnswer(): void {
    this.#taken &= ~ANSWER;
  }

  releaseRequest(): void {
    this.#taken &= ~REQUEST;
  }

  /** Takes the signals found by begin() and runs their handlers, each after `observe`. @returns how many there were */
  takeSignals(observe?: (signal: number) => void): number {
    const state = this.#taken;
    this.#taken &= PLACES;
    let count = this.#handOut(0, state & OWN_SIGNALS, observe);
    if ((state & SIGNALS) === 0) return count;
    for (let word = 1; word < this.#signalWords; word++) {
      const index = signalWordIndex(word);
      if (Atomics.load(this.#words, index) === 0) continue;
      count += this.#handOut(word * 32, Atomics.exchange(this.#words, index, 0), observe);
    }
    return count;
  }

  #handOut(first: number, bits: number, observe: ((signal: number) => void) | undefined): number {
    let count = 0;
    for (let pending = bits; pending !== 0; pending &= pending - 1) {
      const signal = first + 31 - Math.clz32(pending & -pending);
      count++;
      observe?.(signal);
      this.trail?.note(TRAIL.signal, '', signal);
      this.#handlers[signal]?.(signal);
    }
    return count;
  }

  /** Declares this thread parked in its host's event loop. @returns false, and stays awake, if it was rung since begin() */
  park(): boolean {
    return Atomics.compareExchange(this.#words, STATE, 0, PARKED) === 0;
  }

  unpark(): void {
    Atomics.and(this.#words, STATE, ~PARKED);
  }

  /** Parks the thread itself until it is rung, or `delayNs` is over (`timeoutOf()`). @returns whether it was rung since begin() */
  wait(delayNs: Float64Array): boolean {
    if (!this.park()) return true;
    Atomics.wait(this.#words, STATE, PARKED, timeoutOf(delayNs));
    this.unpark();
    return this.rung();
  }
}

/** Makes no text where all is well: signals allocate nothing. */
function checkSignal(signal: number, end: number): void {
  if (signal < FIRST_SIGNAL || signal >= end) assert(false, `signal ${signal} of ${end}`);
}

/** The state, the places, and the words of signals. */
function stateWordsOf({ buffer, byteOffset, signalWords }: DoorbellWords): Int32Array {
  return new Int32Array(buffer, byteOffset, signalWordIndex(signalWords));
}

function countWordsOf({ buffer, byteOffset, signalWords }: DoorbellWords): Int32Array {
  const { length } = Object.keys(DOORBELL_COUNTS);
  return new Int32Array(buffer, byteOffset + countsByteOffset(signalWords), length);
}
