/**
 * A channel between two threads: a ring each way, messages, requests and their replies.
 *
 * Credits: an end may have so many requests outstanding as the channel has credits, and each ring keeps room for that
 * many replies which ordinary messages cannot take. So a reply always finds a place, nobody waits and nothing is
 * dropped: `post` and `request` answer false when there is no room, before anything was sent.
 *
 * Order: one ring keeps it. Between the rings that lead to a thread it is kept for records of the ordered kinds: each has a
 * ticket from the doorbell of the thread it goes to, and an event loop (src/loop/event-loop.ts) hands them out by that. So
 * what one thread sent before it gave the guest's lock away is handled before what the next owner of the lock sends.
 */
import { assert, type ErrorRecord, toErrorRecord } from '../util/errors.ts';
import { TRAIL, type Trail } from '../util/trail.ts';
import { Decoder, Encoder } from './codec.ts';
import type { AnswerTaker, DoorbellConsumer, DoorbellProducer } from './doorbell.ts';
import { createRing, RECORD_HEADER_BYTES, RingReader, RingWriter } from './ring.ts';

/** Record kinds below FIRST_WORDS_KIND are the channel's own. */
const KIND = { message: 0, reply: 1, wordsReply: 2, errorReply: 3 } as const;
/** Records of four words: kinds from here to 255 are for the channel's users. */
export const FIRST_WORDS_KIND = 16;
/** Up to here, exclusive, they are ordered kinds. */
export const ORDERED_KINDS_END = 32;

/** What lies first in a channel, if it has no ticket: tickets are odd. */
export const NOTHING = 0;
export const WITHOUT_TICKET = 2;

/** In the token of a words request: its answer goes to the asking thread's doorbell, not through the ring. */
const TO_DOORBELL = 1 << 23;

/** Status of a words reply whose other end has gone. */
export const REPLY_ABORTED = -1;

/** An error reply, cut to size, always fits into this. */
const REPLY_MIN_BYTES = 504;

export interface ChannelOptions {
  /** Each way; a power of two. */
  readonly capacityBytes: number;
  /** Requests that each end may have outstanding. */
  readonly credits: number;
  /** The longest reply. */
  readonly replyMaxBytes: number;
}

export const DEFAULT_CHANNEL_OPTIONS: ChannelOptions = {
  capacityBytes: 65_536,
  credits: 32,
  replyMaxBytes: REPLY_MIN_BYTES,
};

/** One end of a channel as data, to be sent to the thread that opens it. */
export interface ChannelEnd extends ChannelOptions {
  readonly outbound: SharedArrayBuffer;
  readonly inbound: SharedArrayBuffer;
}

export function createChannel(options: Partial<ChannelOptions> = {}): [ChannelEnd, ChannelEnd] {
  const full = { ...DEFAULT_CHANNEL_OPTIONS, ...options };
  assert(
    full.replyMaxBytes >= REPLY_MIN_BYTES && full.replyMaxBytes % 8 === 0,
    `replyMaxBytes is a multiple of 8 from ${REPLY_MIN_BYTES} up, so that an error fits`,
  );
  assert(reservedBytes(full) <= full.capacityBytes / 2, 'replies may claim at most half of a ring');
  const one = createRing(full.capacityBytes);
  const other = createRing(full.capacityBytes);
  return [
    { ...full, outbound: one, inbound: other },
    { ...full, outbound: other, inbound: one },
  ];
}

/** Called once per request: with the reply, or with why there is none. */
export type ReplyHandler = (reply: unknown, error: ErrorRecord | null) => void;
/** Called once per words request. @param status what the other end says, or REPLY_ABORTED */
export type WordsReplyHandler = (status: number, value: number) => void;
/** @param token 0 when no reply is wanted, else what reply() or replyWords() takes, once */
export type MessageHandler = (message: unknown, token: number) => void;
export type WordsHandler = (w0: number, w1: number, w2: number, w3: number, token: number) => void;

/** One opened end. Everything runs on the thread that opened it. */
export class Channel {
  readonly #writer: RingWriter;
  readonly #reader: RingReader;
  readonly #encoder = new Encoder(true);
  readonly #decoder = new Decoder(true);
  readonly #peer: DoorbellProducer;
  readonly #reservedBytes: number;
  readonly #replyMaxBytes: number;
  readonly #wordsHandlers: (WordsHandler | undefined)[] = new Array(256).fill(undefined);
  /** By token, who is told of the reply: one of the two. Arrays of their own: a request of words allocates nothing. */
  readonly #pending: (ReplyHandler | undefined)[];
  readonly #pendingWords: (WordsReplyHandler | undefined)[];
  readonly #freeTokens: number[] = [];
  #trail: Trail | null = null;
  #peerName = '';
  #onMessage: MessageHandler | null = null;
  readonly #onSpace: (() => void)[] = [];
  #refused = false;
  /** A request was refused for want of a credit. */
  #starved = false;
  #closed: ErrorRecord | null = null;
  #observer: ((name: string) => void) | null = null;
  #answers: DoorbellConsumer | null = null;
  /** Takes the answer that goes to the doorbell: behind the records that lay in the ring when it was found. */
  readonly #answerTaker: AnswerTaker;

  /** @param peer the other thread's doorbell */
  constructor(end: ChannelEnd, peer: DoorbellProducer) {
    this.#writer = new RingWriter(end.outbound);
    this.#reader = new RingReader(end.inbound);
    this.#peer = peer;
    this.#reservedBytes = reservedBytes(end);
    this.#replyMaxBytes = end.replyMaxBytes;
    this.#pending = new Array(end.credits + 1).fill(undefined);
    this.#pendingWords = new Array(end.credits + 1).fill(undefined);
    for (let token = end.credits; token > 0; token--) this.#freeTokens.push(token);
    this.#answerTaker = this.#createAnswerTaker();
  }

  /** Requests that could be made now, room in the ring permitting. */
  get credits(): number {
    return this.#freeTokens.length;
  }

  set onMessage(handler: MessageHandler) {
    this.#onMessage = handler;
  }

  /** Told of each record before it is handled: of a message its type, of the others their kind. */
  set observer(observer: (name: string) => void) {
    this.#observer = observer;
  }

  /**
   * `handler` is called after a send was refused: when the other end has made room or answered, and when it has gone (a
   * send is refused then, for good: look at `closed`).
   */
  onSpace(handler: () => void): void {
    this.#onSpace.push(handler);
  }

  /** `trail` is told of every record that comes. @param peer what it calls the other end */
  tellTrail(trail: Trail, peer: string): void {
    this.#trail = trail;
    this.#peerName = peer;
  }

  /**
   * Words requests are answered at this thread's own doorbell, as far as there is room: that takes one line of the cache
   * instead of three. Whoever serves the doorbell hands such an answer out behind the records that came before it.
   */
  set answersAt(doorbell: DoorbellConsumer) {
    this.#answers = doorbell;
  }

  onWords(kind: number, handler: WordsHandler): void {
    assert(kind >= FIRST_WORDS_KIND && kind < 256, `kind ${kind} of a words record`);
    assert(this.#wordsHandlers[kind] === undefined, `kind ${kind} of words records has a handler already`);
    this.#wordsHandlers[kind] = handler;
  }

  /** Sends a message. @returns false when the ring is full; @throws TypeError or MessageTooLargeError */
  post(message: unknown): boolean {
    return this.#send(KIND.message, 0, message);
  }

  /** Sends four words without allocating. @param kind FIRST_WORDS_KIND to 255; @returns false when the ring is full */
  postWords(kind: number, w0: number, w1: number, w2: number, w3: number): boolean {
    return this.#sendWords(kind, 0, w0, w1, w2, w3);
  }

  /** Sends a message and reserves the place of its reply. @returns false when ring or credits are used up */
  request(message: unknown, done: ReplyHandler): boolean {
    const token = this.#takeToken();
    if (token === 0) return false;
    this.#pending[token] = done;
    let sent = false;
    try {
      sent = this.#send(KIND.message, token, message);
    } finally {
      if (!sent) this.#giveToken(token);
    }
    return sent;
  }

  requestWords(kind: number, w0: number, w1: number, w2: number, w3: number, done: WordsReplyHandler): boolean {
    const token = this.#takeToken();
    if (token === 0) return false;
    this.#pendingWords[token] = done;
    const toDoorbell = this.#answers?.expectAnswer(this.#answerTaker) === true;
    if (this.#sendWords(kind, toDoorbell ? token | TO_DOORBELL : token, w0, w1, w2, w3)) return true;
    if (toDoorbell) this.#answers?.forgetAnswer();
    this.#giveToken(token);
    return false;
  }

  /** Answers a message. A reply that is too long or cannot be encoded arrives as an error instead. */
  reply(token: number, message: unknown): void {
    if (this.#closed !== null) return;
    try {
      this.#sendReply(KIND.reply, token, message);
    } catch (error) {
      const { name, message: text } = toErrorRecord(error);
      this.#sendReply(KIND.errorReply, token, { name, message: text.slice(0, 100) });
    }
  }

  replyError(token: number, error: ErrorRecord): void {
    if (this.#closed !== null) return;
    const { name, message } = error;
    this.#sendReply(KIND.errorReply, token, { name: name.slice(0, 64), message: message.slice(0, 150) });
  }

  /** Answers a words request. @param status 0 or what the two sides agreed on, not REPLY_ABORTED */
  replyWords(token: number, status: number, value: number): void {
    if (this.#closed !== null) return;
    if ((token & TO_DOORBELL) !== 0) return this.#peer.answer(token & ~TO_DOORBELL, status, value);
    const sent = this.#writer.writeWords(KIND.wordsReply, token, status, value, 0, 0);
    assert(sent, 'the place of a reply was reserved');
    this.#peer.ring();
  }

  /** Whether poll() would handle a record, or tell of room. */
  get pending(): boolean {
    if (this.#closed !== null) return false;
    return !this.#reader.empty() || (this.#refused && this.#writer.freeBytes() > this.#reservedBytes);
  }

  /** Of the record that is handled next, NOTHING or WITHOUT_TICKET. */
  get ticket(): number {
    const reader = this.#reader;
    if (this.#closed !== null || !reader.next()) return NOTHING;
    return isOrdered(reader.kind) ? reader.ticket : WITHOUT_TICKET;
  }

  /** Handles up to `limit` records. @returns whether there are more */
  poll(limit: number): boolean {
    const handled = this.#poll(limit, true);
    return handled === limit && this.#closed === null && !this.#reader.empty();
  }

  /** Handles up to `limit` records, none behind one that has a ticket. @returns how many */
  pollUnordered(limit: number): number {
    return this.#poll(limit, false);
  }

  #poll(limit: number, alsoOrdered: boolean): number {
    if (this.#refused) this.#tellSpace();
    const reader = this.#reader;
    let handled = 0;
    while (handled < limit && this.#closed === null && reader.next()) {
      if (!alsoOrdered && isOrdered(reader.kind)) break;
      handled++;
      this.#handle();
    }
    if (handled > 0 && reader.takeSpaceWanted()) this.#peer.ring();
    if (this.#starved && this.#freeTokens.length > 0) this.#tellRefused();
    return handled;
  }

  /** The other end has gone: every outstanding request is answered with `error`, sends are refused. */
  close(error: ErrorRecord = { name: 'ChannelClosed', message: 'the other end of the channel has gone' }): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    for (let token = 1; token < this.#pending.length; token++) {
      const [done, wordsDone] = [this.#pending[token], this.#pendingWords[token]];
      if (done === undefined && wordsDone === undefined) continue;
      this.#giveToken(token);
      wordsDone?.(REPLY_ABORTED, 0);
      done?.(undefined, error);
    }
    if (this.#refused || this.#starved) this.#tellRefused();
  }

  get closed(): boolean {
    return this.#closed !== null;
  }

  #send(kind: number, token: number, message: unknown): boolean {
    if (this.#closed !== null) return false;
    let sent = this.#writer.writeMessage(kind, token, message, this.#encoder, this.#reservedBytes);
    if (!sent) {
      this.#writer.wantSpace();
      sent = this.#writer.writeMessage(kind, token, message, this.#encoder, this.#reservedBytes);
    }
    return this.#sent(sent);
  }

  #sendWords(kind: number, token: number, w0: number, w1: number, w2: number, w3: number): boolean {
    if (this.#closed !== null) return false;
    const ticket = isOrdered(kind) ? this.#peer.drawTicket() : 0;
    let sent = this.#writer.writeWords(kind, token, w0, w1, w2, w3, this.#reservedBytes, ticket);
    if (!sent) {
      // The wish must be visible before the room is looked at again, or the consumer may empty the ring in between
      // and nobody would ring this side's doorbell.
      this.#writer.wantSpace();
      sent = this.#writer.writeWords(kind, token, w0, w1, w2, w3, this.#reservedBytes, ticket);
    }
    return this.#sent(sent);
  }

  #sent(sent: boolean): boolean {
    if (sent) this.#peer.ring();
    else this.#refused = true;
    return sent;
  }

  #sendReply(kind: number, token: number, message: unknown): void {
    const sent = this.#writer.writeMessage(kind, token, message, this.#encoder, 0, this.#replyMaxBytes);
    assert(sent, 'the place of a reply was reserved');
    this.#peer.ring();
  }

  #tellSpace(): void {
    if (this.#writer.freeBytes() <= this.#reservedBytes) {
      this.#writer.wantSpace();
      if (this.#writer.freeBytes() <= this.#reservedBytes) return;
    }
    this.#refused = false;
    this.#tellRefused();
  }

  #tellRefused(): void {
    this.#starved = false;
    for (const handler of this.#onSpace) handler();
  }

  #handle(): void {
    const reader = this.#reader;
    const { kind, token } = reader;
    if (kind >= FIRST_WORDS_KIND) {
      this.#observer?.(`words ${kind}`);
      const w0 = reader.word(0);
      const w1 = reader.word(1);
      const w2 = reader.word(2);
      const w3 = reader.word(3);
      reader.release();
      this.#trail?.note(TRAIL.words, this.#peerName, kind);
      const handler = this.#wordsHandlers[kind];
      // Not an assertion: each record would make its text.
      if (handler === undefined) throw new Error(`no handler for words records of kind ${kind}`);
      return handler(w0, w1, w2, w3, token);
    }
    if (kind === KIND.wordsReply) {
      this.#observer?.('words reply');
      const status = reader.word(0);
      const value = reader.word(1);
      reader.release();
      return this.#answered(token, status, value);
    }
    const message = reader.message(this.#decoder);
    this.#observer?.(kind === KIND.message ? typeOf(message) : 'reply');
    // Room first, then the handler: what it sends may count on the credit it just got back.
    reader.release();
    if (kind === KIND.message) {
      this.#trail?.note(TRAIL.message, typeOf(message), 0);
      assert(this.#onMessage !== null, 'a message came to a channel without a handler');
      return this.#onMessage(message, token);
    }
    this.#trail?.note(TRAIL.reply, this.#peerName, token);
    const done = this.#pending[token];
    assert(done !== undefined, 'a reply answers a request');
    this.#giveToken(token);
    if (kind === KIND.errorReply) done(undefined, toErrorRecord(message));
    else done(message, null);
  }

  #createAnswerTaker(): AnswerTaker {
    let behind: number | null = null;
    return {
      isNext: () => {
        behind ??= this.#reader.written;
        return this.#closed !== null || this.#reader.hasRead(behind);
      },
      take: (token, status, value) => {
        behind = null;
        // The other end has gone, and the request was told so.
        if (this.#closed !== null) return;
        this.#observer?.('words reply');
        this.#answered(token, status, value);
        if (this.#starved) this.#tellRefused();
      },
    };
  }

  #answered(token: number, status: number, value: number): void {
    this.#trail?.note(TRAIL.reply, this.#peerName, token);
    const done = this.#pendingWords[token];
    assert(done !== undefined, 'a words reply answers a words request');
    this.#giveToken(token);
    done(status, value);
  }

  #takeToken(): number {
    if (this.#closed !== null) return 0;
    const token = this.#freeTokens.pop();
    if (token === undefined) {
      this.#starved = true;
      return 0;
    }
    return token;
  }

  #giveToken(token: number): void {
    this.#pending[token] = undefined;
    this.#pendingWords[token] = undefined;
    this.#freeTokens.push(token);
  }
}

function isOrdered(kind: number): boolean {
  return kind >= FIRST_WORDS_KIND && kind < ORDERED_KINDS_END;
}

function typeOf(message: unknown): string {
  const type = typeof message === 'object' && message !== null && 'type' in message ? message.type : null;
  return typeof type === 'string' ? type : 'message';
}

/** Room for all replies, and for the one filler record that may lie between them. */
function reservedBytes(options: ChannelOptions): number {
  return (options.credits + 1) * (options.replyMaxBytes + RECORD_HEADER_BYTES);
}
