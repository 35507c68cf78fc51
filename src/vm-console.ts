/** The guest's console as the library offers it: bytes in, an Observable out, and expect(). */
import { type ConsoleInput, type ConsoleOutput, INPUT_CHUNK_BYTES } from '../actors/char/console-port.ts';
import type { Link } from './actor/index.ts';
import { type Observable, Subject } from './actor/rxjs.ts';

/** Input that waits for the guest; what does not fit is refused. */
const INPUT_MAX_BYTES = 65_536;
/** Output that expect() can still look back on. */
const HISTORY_MAX_CHARS = 1_048_576;
const DEFAULT_TIMEOUT_MS = 60_000;

/** expect() has waited in vain. */
export class ExpectTimeoutError extends Error {
  override readonly name = 'ExpectTimeoutError';
}

interface Waiter {
  readonly pattern: string | RegExp;
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
  readonly timeout: NodeJS.Timeout;
}

export class VmConsole {
  /** What the guest sends, in pieces of any length. Hot: what came before subscribing is not repeated. */
  readonly output: Observable<Uint8Array>;
  readonly #link: Link;
  readonly #subject = new Subject<Uint8Array>();
  readonly #decoder = new TextDecoder();
  readonly #encoder = new TextEncoder();
  readonly #roomListeners: (() => void)[] = [];
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** Bytes that were taken and are not in the queue yet. */
  #announcedBytes = 0;
  readonly #enter: (bytes: Uint8Array) => boolean;
  #refused = false;
  #asking = false;
  /** Output that no expect() has consumed. */
  #history = '';
  #waiters: Waiter[] = [];
  #closed: Error | null = null;

  /** @param enter has type() called with what was taken, at once or soon; false: it takes nothing now */
  constructor(link: Link, onSpace: (handler: () => void) => void, enter?: (bytes: Uint8Array) => boolean) {
    this.#link = link;
    this.#enter = enter ?? ((bytes) => this.type(bytes));
    this.output = this.#subject.asObservable();
    link.on<ConsoleOutput>('console.output', ({ bytes }) => this.#receive(bytes));
    onSpace(() => this.#ask());
  }

  /**
   * Types to the guest. Nothing is lost: bytes wait until the guest reads them.
   * @returns how many bytes were taken, from the first on; fewer than given when 64 KiB wait already
   */
  write(data: Uint8Array | string): number {
    const bytes = typeof data === 'string' ? this.#encoder.encode(data) : data;
    const taken = bytes.slice(0, INPUT_MAX_BYTES - this.#queuedBytes - this.#announcedBytes);
    if (taken.length < bytes.length) this.#refused = true;
    if (taken.length === 0) return 0;
    this.#announcedBytes += taken.length;
    if (this.#enter(taken)) return taken.length;
    this.#announcedBytes -= taken.length;
    this.#refused = true;
    return 0;
  }

  /** Bytes for the guest, whoever they come from. @internal */
  type(bytes: Uint8Array): boolean {
    this.#announcedBytes = Math.max(0, this.#announcedBytes - bytes.length);
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#ask();
    return true;
  }

  /** What waits here, piece by piece; what is on its way to the guest's thread is not among it. @internal */
  unsent(): Uint8Array[] {
    const [first, ...others] = this.#queue;
    if (first === undefined || !this.#asking) return [...this.#queue];
    const rest = first.subarray(INPUT_CHUNK_BYTES);
    return rest.length === 0 ? others : [rest, ...others];
  }

  /** Bytes can be taken again. @internal */
  tellRoom(): void {
    if (!this.#refused) return;
    this.#refused = false;
    for (const listener of this.#roomListeners) listener();
  }

  /** Calls `listener` when bytes can be taken again after some were refused; never from within write(). */
  onRoom(listener: () => void): void {
    this.#roomListeners.push(listener);
  }

  /**
   * Waits until the output since the last expect() matches, and consumes it up to the match's end.
   * @returns the text up to and including the match
   * @throws ExpectTimeoutError with the end of the output, after timeoutMs (60,000); the cause when the machine has
   *   failed or was stopped
   */
  expect(pattern: string | RegExp, options: { readonly timeoutMs?: number } = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
      const timeout = setTimeout(() => {
        this.#waiters = this.#waiters.filter((waiter) => waiter.timeout !== timeout);
        const seen = JSON.stringify(this.#history.slice(-400));
        reject(new ExpectTimeoutError(`no ${String(pattern)} within ${timeoutMs} ms; the output ends with ${seen}`));
      }, timeoutMs);
      this.#waiters.push({ pattern, resolve, reject, timeout });
      this.#match();
      if (this.#closed !== null) this.close(this.#closed);
    });
  }

  /** The machine is no more: nobody waits any longer. @internal */
  close(error: Error): void {
    this.#closed ??= error;
    for (const waiter of this.#waiters) {
      clearTimeout(waiter.timeout);
      waiter.reject(this.#closed);
    }
    this.#waiters = [];
    this.#subject.complete();
  }

  #receive(bytes: Uint8Array): void {
    this.#history += this.#decoder.decode(bytes, { stream: true });
    // Cut at twice the bound: cutting at each piece would copy all of it each time.
    if (this.#history.length > 2 * HISTORY_MAX_CHARS) this.#history = this.#history.slice(-HISTORY_MAX_CHARS);
    this.#subject.next(bytes);
    this.#match();
  }

  /** In the order in which they were asked for: each consumes what it matches. */
  #match(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const end = endOfMatch(this.#history, waiter.pattern);
      if (end < 0) return;
      this.#waiters.shift();
      clearTimeout(waiter.timeout);
      const text = this.#history.slice(0, end);
      this.#history = this.#history.slice(end);
      waiter.resolve(text);
    }
  }

  /** One chunk is under way at a time; its answer says that the guest has taken it. */
  #ask(): void {
    const [first] = this.#queue;
    if (this.#asking || first === undefined) return;
    const bytes = first.slice(0, INPUT_CHUNK_BYTES);
    this.#asking = this.#link.request({ type: 'console.input', bytes } as ConsoleInput, (_reply, error) => {
      this.#asking = false;
      if (error === null) this.#taken(bytes.length);
    });
  }

  #taken(count: number): void {
    const [first, ...others] = this.#queue;
    if (first === undefined) return;
    this.#queue = first.length === count ? others : [first.subarray(count), ...others];
    this.#queuedBytes -= count;
    this.#ask();
    this.tellRoom();
  }
}

function endOfMatch(text: string, pattern: string | RegExp): number {
  if (typeof pattern === 'string') {
    const at = text.indexOf(pattern);
    return at < 0 ? -1 : at + pattern.length;
  }
  const match = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).exec(text);
  return match === null ? -1 : match.index + match[0].length;
}
