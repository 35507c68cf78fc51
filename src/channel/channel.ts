/**
 * A channel between two threads: a ring each way, messages, requests and their replies.
 *
 * Credits: an end may have so many requests outstanding as the channel has credits, and each ring keeps room for that
 * many replies which ordinary messages cannot take. So a reply always finds a place, nobody waits and nothing is
 * dropped: `post` and `request` answer false when there is no room, before anything was sent.
 *
 * A short request, and what it is answered, may lie in the places at the threads' doorbells instead (places.ts): such a
 * record moves one line of the cache from core to core, one in a ring three.
 *
 * Order: one ring keeps it, and a record in a place is counted with those in the ring. Between the channels that lead to a
 * thread it is kept for records of the ordered kinds: each has a ticket from the doorbell of the thread it goes to, and an
 * event loop (src/loop/event-loop.ts) hands them out by that. So what one thread sent before it gave the guest's lock away is
 * handled before what the next owner of the lock sends.
 */
import { assert, type ErrorRecord, toErrorRecord } from '../util/errors.ts';
import { TRAIL, type Trail } from '../util/trail.ts';
import { type ChannelEnd, reservedBytes, TO_PLACE } from './channel-end.ts';
import { Decoder } from './decoder.ts';
import type { DoorbellConsumer, DoorbellProducer } from './doorbell.ts';
import { Encoder } from './encoder.ts';
import { PLACE_COUNTS_END, PLACE_MESSAGE_BYTES, PlaceReader, PlaceWriter } from './places.ts';
import { RECORD_HEADER_BYTES, RingReader, RingWriter } from './ring.ts';

/** Record kinds below FIRST_WORDS_KIND are the channel's own. */
const KIND = { message: 0, reply: 1, wordsReply: 2, errorReply: 3 } as const;
/** Records of four words: kinds from here to 255 are for the channel's users. */
export const FIRST_WORDS_KIND = 16;
/** Up to here, exclusive, they are ordered kinds. */
export const ORDERED_KINDS_END = 32;

/** What lies first in a channel, if it has no ticket: tickets are odd. */
export const NOTHING = 0;
export const WITHOUT_TICKET = 2;

/** Status of a words reply whose other end has gone. */
export const REPLY_ABORTED = -1;

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
  readonly #doorbell: DoorbellConsumer;
  readonly #outPlace: PlaceWriter;
  readonly #inPlace: PlaceReader;
  /** Where the next record lies, once #next() has found one. */
  #record: RingReader | PlaceReader;
  /** More records than a place can count may lie in a larger ring. */
  readonly #mayUsePlaces: boolean;
  #usesPlaces = false;
  /** Tokens of the requests for whose answer the place is kept, and which lies in the other one's place; 0: none. */
  #expectedToken = 0;
  #placedToken = 0;
  /** What was asked last, and what was answered, was short enough for a place. */
  #asksShort = true;
  #answersShort = true;
  /** Records, modulo 2^32. */
  #sentCount = 0;
  #handledCount = 0;

  /** @param peer the other thread's doorbell; @param doorbell this thread's */
  constructor(end: ChannelEnd, peer: DoorbellProducer, doorbell: DoorbellConsumer) {
    this.#writer = new RingWriter(end.outbound);
    this.#reader = new RingReader(end.inbound);
    this.#peer = peer;
    this.#reservedBytes = reservedBytes(end);
    this.#replyMaxBytes = end.replyMaxBytes;
    this.#pending = new Array(end.credits + 1).fill(undefined);
    this.#pendingWords = new Array(end.credits + 1).fill(undefined);
    for (let token = end.credits; token > 0; token--) this.#freeTokens.push(token);
    this.#doorbell = doorbell;
    this.#outPlace = new PlaceWriter(peer, end.number);
    this.#inPlace = new PlaceReader(doorbell, end.peerNumber, this);
    this.#record = this.#reader;
    this.#mayUsePlaces = end.capacityBytes / RECORD_HEADER_BYTES < PLACE_COUNTS_END;
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

  /** From now on requests, and what they are answered, lie in places where they find one free and are short. */
  usePlaces(): void {
    this.#usesPlaces = this.#mayUsePlaces;
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
      sent = this.#sendRequest(this.#expectAnswer(token), message);
    } finally {
      if (!sent) this.#giveToken(token);
    }
    return sent;
  }

  requestWords(kind: number, w0: number, w1: number, w2: number, w3: number, done: WordsReplyHandler): boolean {
    const token = this.#takeToken();
    if (token === 0) return false;
    this.#pendingWords[token] = done;
    const tag = this.#expectAnswer(token);
    if (this.#claimPlace(token)) {
      const ticket = isOrdered(kind) ? this.#peer.drawTicket() : 0;
      this.#outPlace.requestWords(kind, tag, this.#sentCount++, w0, w1, w2, w3, ticket);
      return true;
    }
    if (this.#sendWords(kind, tag, w0, w1, w2, w3)) return true;
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
    const count = this.#sentCount++;
    if ((token & TO_PLACE) !== 0) return this.#outPlace.answerWords(KIND.wordsReply, token, count, status, value);
    const sent = this.#writer.writeWords(KIND.wordsReply, token, status, value, 0, 0);
    assert(sent, 'the place of a reply was reserved');
    this.#peer.ring();
  }

  /** Whether poll() would handle a record, or tell of room. */
  get pending(): boolean {
    if (this.#closed !== null) return false;
    return this.#next() || (this.#refused && this.#writer.freeBytes() > this.#reservedBytes);
  }

  /** Of the record that is handled next, NOTHING or WITHOUT_TICKET. */
  get ticket(): number {
    if (this.#closed !== null || !this.#next()) return NOTHING;
    const record = this.#record;
    return isOrdered(record.kind) ? record.ticket : WITHOUT_TICKET;
  }

  /** Handles up to `limit` records. @returns whether there are more */
  poll(limit: number): boolean {
    const handled = this.#poll(limit, true);
    return handled === limit && this.#closed === null && this.#next();
  }

  /** Handles up to `limit` records, none behind one that has a ticket. @returns how many */
  pollUnordered(limit: number): number {
    return this.#poll(limit, false);
  }

  #poll(limit: number, alsoOrdered: boolean): number {
    if (this.#refused) this.#tellSpace();
    let handled = 0;
    let readRing = false;
    while (handled < limit && this.#closed === null && this.#next()) {
      if (!alsoOrdered && isOrdered(this.#record.kind)) break;
      handled++;
      readRing ||= this.#record === this.#reader;
      this.#handle();
    }
    if (readRing && this.#reader.takeSpaceWanted()) this.#peer.ring();
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

  /** Makes the record current that is next. @returns false where none has come */
  #next(): boolean {
    const ring = this.#reader;
    const place = this.#inPlace;
    const inRing = ring.next();
    // What was put into a place before a record of the ring was written is found when that is.
    if (ring.takeGrown()) place.look();
    const isPlaced = place.next(this.#handledCount);
    this.#record = isPlaced ? place : ring;
    return isPlaced || inRing;
  }

  /** Keeps the place of answers for this one, if it is free. @returns the token that the request says */
  #expectAnswer(token: number): number {
    if (!this.#usesPlaces || !this.#doorbell.expectAnswer(this)) return token;
    this.#expectedToken = token;
    return token | TO_PLACE;
  }

  /** Has the other end's place of requests for this one. @returns false where another request lies there */
  #claimPlace(token: number): boolean {
    if (!this.#usesPlaces || this.#placedToken !== 0 || !this.#outPlace.claim()) return false;
    this.#placedToken = token;
    return true;
  }

  #unclaimPlace(): void {
    this.#placedToken = 0;
    this.#outPlace.unclaim();
  }

  #sendRequest(token: number, message: unknown): boolean {
    if (this.#asksShort && this.#claimPlace(token & ~TO_PLACE)) {
      if (this.#outPlace.requestMessage(KIND.message, token, this.#sentCount, message, this.#encoder)) {
        this.#sentCount++;
        return true;
      }
      this.#unclaimPlace();
    }
    const sent = this.#send(KIND.message, token, message);
    if (sent) this.#asksShort = this.#writer.messageBytes <= PLACE_MESSAGE_BYTES;
    return sent;
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
    if (sent) {
      this.#sentCount++;
      this.#peer.ring();
    } else this.#refused = true;
    return sent;
  }

  #sendReply(kind: number, token: number, message: unknown): void {
    if ((token & TO_PLACE) !== 0 && this.#answersShort) {
      if (this.#outPlace.answerMessage(kind, token, this.#sentCount, message, this.#encoder)) {
        this.#sentCount++;
        return;
      }
    }
    const sent = this.#writer.writeMessage(kind, token, message, this.#encoder, 0, this.#replyMaxBytes);
    assert(sent, 'the place of a reply was reserved');
    this.#answersShort = this.#writer.messageBytes <= PLACE_MESSAGE_BYTES;
    this.#sentCount++;
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
    const record = this.#record;
    const { kind, token } = record;
    if (kind >= FIRST_WORDS_KIND) {
      this.#observer?.(`words ${kind}`);
      const w0 = record.word(0);
      const w1 = record.word(1);
      const w2 = record.word(2);
      const w3 = record.word(3);
      this.#release();
      this.#trail?.note(TRAIL.words, this.#peerName, kind);
      const handler = this.#wordsHandlers[kind];
      // Not an assertion: each record would make its text.
      if (handler === undefined) throw new Error(`no handler for words records of kind ${kind}`);
      return handler(w0, w1, w2, w3, token);
    }
    if (kind === KIND.wordsReply) {
      this.#observer?.('words reply');
      const status = record.word(0);
      const value = record.word(1);
      this.#release();
      this.#trail?.note(TRAIL.reply, this.#peerName, token & ~TO_PLACE);
      const done = this.#pendingWords[token & ~TO_PLACE];
      assert(done !== undefined, 'a words reply answers a words request');
      this.#giveToken(token & ~TO_PLACE);
      return done(status, value);
    }
    const message = record.message(this.#decoder);
    this.#observer?.(kind === KIND.message ? typeOf(message) : 'reply');
    // Room first, then the handler: what it sends may count on the credit it just got back.
    this.#release();
    if (kind === KIND.message) {
      this.#trail?.note(TRAIL.message, typeOf(message), 0);
      assert(this.#onMessage !== null, 'a message came to a channel without a handler');
      return this.#onMessage(message, token);
    }
    this.#trail?.note(TRAIL.reply, this.#peerName, token & ~TO_PLACE);
    const done = this.#pending[token & ~TO_PLACE];
    assert(done !== undefined, 'a reply answers a request');
    this.#giveToken(token & ~TO_PLACE);
    if (kind === KIND.errorReply) done(undefined, toErrorRecord(message));
    else done(message, null);
  }

  #release(): void {
    this.#handledCount++;
    this.#record.release();
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
    // The places of an end that has gone stay kept: it may be about to write there.
    if (this.#closed !== null) return;
    if (token === this.#placedToken) this.#unclaimPlace();
    if (token === this.#expectedToken) {
      this.#expectedToken = 0;
      this.#doorbell.forgetAnswer();
    }
  }
}

function isOrdered(kind: number): boolean {
  return kind >= FIRST_WORDS_KIND && kind < ORDERED_KINDS_END;
}

function typeOf(message: unknown): string {
  const type = typeof message === 'object' && message !== null && 'type' in message ? message.type : null;
  return typeof type === 'string' ? type : 'message';
}
