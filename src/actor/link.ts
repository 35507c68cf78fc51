/**
 * The link between two threads' actors: messages and requests, by type, over something that carries them. A channel is
 * one such carrier; a pair of local pipes is another, for actors that share a thread but not a loop.
 */
import type { ReplyHandler } from '../channel/channel.ts';
import type { BottomHalf, LoopPort } from '../loop/port.ts';
import { assert, type ErrorRecord, toErrorRecord } from '../util/errors.ts';

/** Every message on a link says what it is. */
export interface LinkMessage {
  readonly type: string;
}

/** What carries a link's messages; `Channel` is one. Both sends answer false when there is no room. */
export interface MessagePipe {
  post(message: unknown): boolean;
  request(message: unknown, done: ReplyHandler): boolean;
  reply(token: number, message: unknown): void;
  replyError(token: number, error: ErrorRecord): void;
  set onMessage(handler: (message: unknown, token: number) => void);
  /** `handler` is called after a send was refused: when there is room again, and when the other end has gone. */
  onSpace(handler: () => void): void;
  /** The other end has gone: every send is refused from now on. */
  readonly closed: boolean;
}

/** A bounded queue was full: the sender asked for more than the receiver could take. */
export class ChannelFullError extends Error {
  override readonly name = 'ChannelFullError';
}

/** @param token 0 when no reply is wanted, else what Link.reply takes */
type LinkHandler<M> = (message: M, token: number) => void;

/** One end of a link. */
export class Link {
  /** The thread at the other end. */
  readonly peer: string;
  readonly #pipe: MessagePipe;
  readonly #handlers = new Map<string, LinkHandler<never>>();

  constructor(peer: string, pipe: MessagePipe) {
    this.peer = peer;
    this.#pipe = pipe;
    pipe.onMessage = (message, token) => this.#dispatch(message as LinkMessage, token);
  }

  on<M extends LinkMessage>(type: M['type'], handler: LinkHandler<M>): void {
    assert(!this.#handlers.has(type), `messages of type ${type} have a handler already`);
    this.#handlers.set(type, handler as LinkHandler<never>);
  }

  /** @returns false when there is no room */
  post(message: LinkMessage): boolean {
    return this.#pipe.post(message);
  }

  /** @returns false when there is no room or no credit */
  request(message: LinkMessage, done: ReplyHandler): boolean {
    return this.#pipe.request(message, done);
  }

  reply(token: number, message: unknown): void {
    this.#pipe.reply(token, message);
  }

  replyError(token: number, error: ErrorRecord): void {
    this.#pipe.replyError(token, error);
  }

  /** `handler` is called whenever there is room again after a send was refused. */
  onSpace(handler: () => void): void {
    this.#pipe.onSpace(handler);
  }

  /** The other side has gone. */
  get closed(): boolean {
    return this.#pipe.closed;
  }

  #dispatch(message: LinkMessage, token: number): void {
    const handler = this.#handlers.get(message.type);
    if (handler !== undefined) return handler(message as never, token);
    const error = new Error(`nobody takes messages of type ${message.type} from ${this.peer}`);
    if (token !== 0) return this.#pipe.replyError(token, toErrorRecord(error));
    throw error;
  }
}

const LOCAL_QUEUE_MAX = 1024;

interface Queued {
  readonly message: unknown;
  /** For a request; for a reply it is called with the message. */
  readonly done: ReplyHandler | null;
  readonly isReply: boolean;
  readonly error: ErrorRecord | null;
}

/** One end of a pipe between two loops of one thread. Messages are handed over as they are: nobody writes to them. */
export class LocalPipe implements MessagePipe {
  readonly #queue: Queued[] = [];
  readonly #arrival: BottomHalf;
  readonly #space: BottomHalf;
  readonly #asked = new Map<number, ReplyHandler>();
  readonly #onSpace: (() => void)[] = [];
  #tokens = 0;
  #refused = false;
  #other: LocalPipe | null = null;
  #handler: ((message: unknown, token: number) => void) | null = null;

  private constructor(loop: LoopPort, name: string) {
    this.#arrival = loop.bottomHalf(name, () => this.#deliverOne());
    this.#space = loop.bottomHalf(`${name} space`, () => {
      this.#refused = false;
      for (const handler of this.#onSpace) handler();
    });
  }

  /** Two joined ends, each on its own loop. */
  static pair(one: LoopPort, other: LoopPort, name = 'local pipe'): [LocalPipe, LocalPipe] {
    const a = new LocalPipe(one, name);
    const b = new LocalPipe(other, name);
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  set onMessage(handler: (message: unknown, token: number) => void) {
    this.#handler = handler;
  }

  onSpace(handler: () => void): void {
    this.#onSpace.push(handler);
  }

  /** Both ends live and die with their thread. */
  get closed(): boolean {
    return false;
  }

  post(message: unknown): boolean {
    return this.#send({ message, done: null, isReply: false, error: null });
  }

  request(message: unknown, done: ReplyHandler): boolean {
    return this.#send({ message, done, isReply: false, error: null });
  }

  reply(token: number, message: unknown): void {
    this.#answer(token, message, null);
  }

  replyError(token: number, error: ErrorRecord): void {
    this.#answer(token, undefined, error);
  }

  #send(item: Queued): boolean {
    const other = this.#other;
    if (other === null) return false;
    this.#refused = other.#queue.length >= LOCAL_QUEUE_MAX;
    if (this.#refused) return false;
    other.#put(item);
    return true;
  }

  #answer(token: number, message: unknown, error: ErrorRecord | null): void {
    const done = this.#asked.get(token);
    assert(done !== undefined, 'a reply answers a request, once');
    this.#asked.delete(token);
    // Beyond the bound: whoever asked has kept the place.
    const other = this.#other;
    if (other !== null) other.#put({ message, done, isReply: true, error });
  }

  /** The other end has taken something off its queue. */
  #taken(): void {
    if (this.#refused) this.#space.schedule();
  }

  #put(item: Queued): void {
    this.#queue.push(item);
    this.#arrival.schedule();
  }

  /** One a bottom half, so that the deterministic scheduler may do something else in between. */
  #deliverOne(): void {
    const item = this.#queue.shift();
    if (item === undefined) return;
    if (this.#queue.length > 0) this.#arrival.schedule();
    const other = this.#other;
    if (other !== null) other.#taken();
    if (item.isReply) return item.done?.(item.message, item.error);
    let token = 0;
    if (item.done !== null) {
      token = ++this.#tokens;
      this.#asked.set(token, item.done);
    }
    assert(this.#handler !== null, 'a message came to a pipe without a handler');
    this.#handler(item.message, token);
  }
}
