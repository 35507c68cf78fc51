/**
 * Register windows across threads. A write is posted, or a request that is answered when the device has taken it; a read
 * is a request that is answered later, unless an answer of before stands (standing-answer.ts). Neither allocates where
 * the device answers at once.
 *
 * The serving thread may itself have to wait for its device: an answer comes when it comes, and it is a bus fault once
 * the window is withdrawn. What is served reaches devices of the serving thread; a way on to a third thread that is full
 * at that moment is a bus fault, since nobody here could wait for room.
 */
import { type Channel, FIRST_WORDS_KIND, REPLY_ABORTED } from '../channel/channel.ts';
import { type AccessOrigin, farOrigin } from './access-origin.ts';
import type { AccessSize } from './device-core.ts';
import { ACCESS_OK, BUS_FAULT, MUST_ASK, MUST_WAIT, type ReadDone, type RegisterWindow } from './register-window.ts';
import type { StandingAnswer } from './standing-answer.ts';

/** Words: window, offset, size and length of the origin's chain, value. */
const KIND_READ = FIRST_WORDS_KIND;
const KIND_WRITE = FIRST_WORDS_KIND + 1;
/** A write that wants an answer. */
const KIND_ASK = FIRST_WORDS_KIND + 2;

/** The size takes the low bits of its word, the length of the chain those above. */
const DEPTH_SHIFT = 8;
const SIZE_MASK = 0xff;

/** A request that its device has not answered yet. */
interface Unanswered {
  readonly windowId: number;
  readonly token: number;
}

/** The device's side: answers for the windows it was given. One per channel. */
export class WindowServer {
  readonly #windows = new Map<number, RegisterWindow>();
  readonly #unanswered = new Set<Unanswered>();
  readonly #channel: Channel;
  readonly #origin: AccessOrigin | null;
  /** Posted writes that faulted: nobody waited for the answer. */
  faultedWrites = 0;

  /** @param origin of the loop that serves, when its devices do DMA */
  constructor(channel: Channel, origin: AccessOrigin | null = null) {
    this.#channel = channel;
    this.#origin = origin;
    channel.onWords(KIND_READ, (id, offset, sized, _value, token) => {
      this.#enter(sized);
      this.#read(id, offset, (sized & SIZE_MASK) as AccessSize, token);
      this.#leave();
    });
    channel.onWords(KIND_WRITE, (id, offset, sized, value) => {
      this.#enter(sized);
      this.#write(id, offset, value >>> 0, (sized & SIZE_MASK) as AccessSize);
      this.#leave();
    });
    channel.onWords(KIND_ASK, (id, offset, sized, value, token) => {
      this.#enter(sized);
      this.#ask(id, offset, value >>> 0, (sized & SIZE_MASK) as AccessSize, token);
      this.#leave();
    });
  }

  /** @param id what the other thread's remoteRegisterWindow() was given */
  serve(id: number, window: RegisterWindow): void {
    this.#windows.set(id, window);
  }

  /** Serves the window no longer: what is in flight to it, and whatever comes, is answered with a bus fault. */
  withdraw(id: number): void {
    this.#windows.delete(id);
    for (const request of this.#unanswered) if (request.windowId === id) this.#answer(request, BUS_FAULT);
  }

  /** A record is handled in no other's name: the loop turns outside of every access, and windows do not throw. */
  #enter(sized: number): void {
    if (this.#origin !== null) this.#origin.current = farOrigin(sized >>> DEPTH_SHIFT);
  }

  #leave(): void {
    if (this.#origin !== null) this.#origin.current = null;
  }

  #read(id: number, offset: number, size: AccessSize, token: number): void {
    const window = this.#window(id);
    const result = window.read(offset, size);
    if (result !== MUST_WAIT) return this.#reply(token, result, window.standing?.(offset, size));
    this.#readLater(window, this.#owe(id, token), offset, size);
  }

  // What needs a closure is a function of its own: the context of one is made when a function is entered.
  #readLater(window: RegisterWindow, request: Unanswered, offset: number, size: AccessSize): void {
    const asked = window.readAsync(offset, size, (value) => this.#answer(request, value));
    if (!asked) this.#answer(request, BUS_FAULT);
  }

  #write(id: number, offset: number, value: number, size: AccessSize): void {
    const window = this.#window(id);
    const result = window.write(offset, value, size);
    if (result === ACCESS_OK) return;
    if (result !== MUST_ASK || !this.#writeLater(window, offset, value, size)) this.faultedWrites++;
  }

  #writeLater(window: RegisterWindow, offset: number, value: number, size: AccessSize): boolean {
    const countFault = (late: number): void => {
      if (late !== ACCESS_OK) this.faultedWrites++;
    };
    return window.writeAsync?.(offset, value, size, countFault) ?? false;
  }

  #ask(id: number, offset: number, value: number, size: AccessSize, token: number): void {
    const window = this.#window(id);
    const result = window.write(offset, value, size);
    if (result !== MUST_ASK) return this.#reply(token, result === ACCESS_OK ? ACCESS_OK : BUS_FAULT);
    this.#askLater(window, this.#owe(id, token), offset, value, size);
  }

  #askLater(window: RegisterWindow, request: Unanswered, offset: number, value: number, size: AccessSize): void {
    const asked = window.writeAsync?.(offset, value, size, (late) => this.#answer(request, late)) ?? false;
    if (!asked) this.#answer(request, BUS_FAULT);
  }

  #owe(windowId: number, token: number): Unanswered {
    const request = { windowId, token };
    this.#unanswered.add(request);
    return request;
  }

  /** The first answer counts. */
  #answer(request: Unanswered, result: number): void {
    if (this.#unanswered.delete(request)) this.#reply(request.token, result);
  }

  /** @param result a value, or below 0 for a bus fault; @param stands as standing() gives it: it takes the place of ACCESS_OK */
  #reply(token: number, result: number, stands: number = ACCESS_OK): void {
    if (result < 0) this.#channel.replyWords(token, BUS_FAULT, 0);
    else this.#channel.replyWords(token, stands, result);
  }

  #window(id: number): RegisterWindow {
    return this.#windows.get(id) ?? NO_WINDOW;
  }
}

export interface RemoteWindowOptions {
  /** Whether the device takes writes without an answer. */
  readonly posted: boolean;
  /** Of the loop that makes the accesses, when it does DMA. */
  readonly origin?: AccessOrigin;
  /** For answers of the device that stand. */
  readonly answer?: StandingAnswer;
}

/** The accessing side's window of a device on the thread at the other end of the channel. */
export function remoteRegisterWindow(
  channel: Channel,
  id: number,
  lengthBytes: number,
  { posted, origin, answer }: RemoteWindowOptions = { posted: true },
): RegisterWindow {
  const faults = (offset: number, size: number): boolean => offset < 0 || offset + size > lengthBytes || channel.closed;
  const sizeWord = (size: number): number => size | ((origin?.current?.depth ?? 0) << DEPTH_SHIFT);
  /** Those that are not under way: as many are made as ever were at once. */
  const requests: WindowRequest[] = [];
  const request = (kind: number, offset: number, value: number, size: AccessSize, done: ReadDone): boolean => {
    if (faults(offset, size)) {
      done(BUS_FAULT);
      return true;
    }
    answer?.ask();
    const made = requests.pop() ?? new WindowRequest(answer ?? null, requests);
    made.begin(offset, size, done);
    const sent = channel.requestWords(kind, id, offset, sizeWord(size), value | 0, made.answered);
    if (!sent) made.end();
    return sent;
  };
  const window: RegisterWindow = {
    lengthBytes,
    read: (offset, size) => {
      if (faults(offset, size)) return BUS_FAULT;
      const stands = answer?.read(offset, size) ?? -1;
      return stands < 0 ? MUST_WAIT : stands;
    },
    write: (offset, value, size) => {
      if (faults(offset, size)) return BUS_FAULT;
      if (!posted) return MUST_ASK;
      if (!channel.postWords(KIND_WRITE, id, offset, sizeWord(size), value | 0)) return MUST_WAIT;
      answer?.wrote(offset);
      return ACCESS_OK;
    },
    readAsync: (offset, size, done) => request(KIND_READ, offset, 0, size, done),
  };
  if (posted) return window;
  return { ...window, writeAsync: (offset, value, size, done) => request(KIND_ASK, offset, value, size, done) };
}

/** One request after another: what is to be done with its answer. */
class WindowRequest {
  readonly #answer: StandingAnswer | null;
  readonly #free: WindowRequest[];
  #offset = 0;
  #size: AccessSize = 1;
  #done: ReadDone = nobody;

  /** @param free where it waits for the next one */
  constructor(answer: StandingAnswer | null, free: WindowRequest[]) {
    this.#answer = answer;
    this.#free = free;
  }

  begin(offset: number, size: AccessSize, done: ReadDone): void {
    this.#offset = offset;
    this.#size = size;
    this.#done = done;
  }

  readonly answered = (status: number, result: number): void => {
    const done = this.#done;
    if (status > ACCESS_OK) this.#answer?.keep(this.#offset, this.#size, result >>> 0, status);
    // First: who is told may make the next request.
    this.end();
    done(status === BUS_FAULT || status === REPLY_ABORTED ? BUS_FAULT : result >>> 0);
  };

  end(): void {
    this.#done = nobody;
    this.#free.push(this);
  }
}

const nobody: ReadDone = () => {};

const NO_WINDOW: RegisterWindow = {
  lengthBytes: 0,
  read: () => BUS_FAULT,
  write: () => BUS_FAULT,
  readAsync: (_offset, _size, done: ReadDone) => {
    done(BUS_FAULT);
    return true;
  },
};
