/**
 * Records of a channel that lie in a place beside a doorbell's state (doorbell.ts) instead of its ring: a request, and what
 * it is answered. Their header has the kind and the token of a ring's record, and how many records its end of the channel
 * has sent before it: by that number the other end knows which record is next, wherever it lies.
 */
import { DOORBELL_PLACE, PLACE_PAYLOAD_WORDS } from '../memory/doorbell-words.ts';
import type { Decoder } from './decoder.ts';
import type { DoorbellConsumer, DoorbellProducer, PlaceUser } from './doorbell.ts';
import type { Encoder } from './encoder.ts';

const TOKEN_SHIFT = 8;
const COUNT_SHIFT = 16;
const BYTE = 0xff;
const COUNT_MASK = 0xffff;

/** Tokens that a header can say, exclusive. */
export const PLACE_TOKENS_END = 256;
/** Records that may lie between the one in a place and the one handled last, exclusive. */
export const PLACE_COUNTS_END: number = COUNT_MASK + 1;

/** Of a request of words; a message has its length in the last byte. */
const TICKET_WORD = 4;
const PAYLOAD_BYTES = PLACE_PAYLOAD_WORDS * 4;
const LENGTH_BYTE = PAYLOAD_BYTES - 1;
/** The longest message that a place has room for. */
export const PLACE_MESSAGE_BYTES: number = LENGTH_BYTE;

/** Makes records for the places at another thread's doorbell. */
export class PlaceWriter {
  readonly #doorbell: DoorbellProducer;
  readonly #sender: number;
  readonly #payload = new Int32Array(PLACE_PAYLOAD_WORDS);
  readonly #payloadBytes = new Uint8Array(this.#payload.buffer);

  /** @param sender this thread's number at the other one's doorbell */
  constructor(doorbell: DoorbellProducer, sender: number) {
    this.#doorbell = doorbell;
    this.#sender = sender;
  }

  /** Has the place of requests for this channel, until unclaim(). @returns false where it is another's */
  claim(): boolean {
    return this.#doorbell.claim(this.#sender);
  }

  unclaim(): void {
    this.#doorbell.unclaim();
  }

  /** @param ticket as `Channel` understands it */
  requestWords(
    kind: number,
    token: number,
    count: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    ticket: number,
  ): void {
    const payload = this.#payload;
    payload[0] = w0;
    payload[1] = w1;
    payload[2] = w2;
    payload[3] = w3;
    payload[TICKET_WORD] = ticket;
    this.#doorbell.putRequest(header(kind, token, count), payload, this.#sender);
  }

  answerWords(kind: number, token: number, count: number, status: number, value: number): void {
    this.#payload[0] = status;
    this.#payload[1] = value;
    this.#doorbell.putAnswer(header(kind, token, count), this.#payload);
  }

  /** @returns false, with nothing sent, for a message that is too long; @throws TypeError for what cannot be encoded */
  requestMessage(kind: number, token: number, count: number, message: unknown, encoder: Encoder): boolean {
    if (!this.#encode(message, encoder)) return false;
    this.#doorbell.putRequest(header(kind, token, count), this.#payload, this.#sender);
    return true;
  }

  /** The same of an answer. */
  answerMessage(kind: number, token: number, count: number, message: unknown, encoder: Encoder): boolean {
    if (!this.#encode(message, encoder)) return false;
    this.#doorbell.putAnswer(header(kind, token, count), this.#payload);
    return true;
  }

  #encode(message: unknown, encoder: Encoder): boolean {
    const length = encoder.encode(message, this.#payloadBytes, 0, PLACE_MESSAGE_BYTES);
    if (length < 0) return false;
    encoder.keep();
    this.#payloadBytes[LENGTH_BYTE] = length;
    return true;
  }
}

/** Reads a channel's records from the places at this thread's doorbell: `next()`, the fields or the message, `release()`. */
export class PlaceReader {
  readonly #doorbell: DoorbellConsumer;
  readonly #user: PlaceUser;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** Of the current record: where it lies, one of DOORBELL_PLACE. */
  #place: number = DOORBELL_PLACE.answer;
  /** Valid from next() to release(). */
  kind = 0;
  token = 0;

  /** @param sender the other thread's number at this one's doorbell */
  constructor(doorbell: DoorbellConsumer, sender: number, user: PlaceUser) {
    this.#doorbell = doorbell;
    this.#user = user;
    this.#words = doorbell.words;
    this.#bytes = new Uint8Array(this.#words.buffer, this.#words.byteOffset, this.#words.byteLength);
    doorbell.onRequests(sender, user);
  }

  /** Finds what was put there before now. */
  look(): void {
    this.#doorbell.lookAtPlaces(this.#user);
  }

  /** Makes the record current that has so many before it. @returns whether it lies in a place, and was found there */
  next(count: number): boolean {
    const doorbell = this.#doorbell;
    if (doorbell.hasAnswer(this.#user) && this.#is(DOORBELL_PLACE.answer, count)) return true;
    return doorbell.hasRequest(this.#user) && this.#is(DOORBELL_PLACE.request, count);
  }

  #is(place: number, count: number): boolean {
    const found = this.#words[place] as number;
    if (found >>> COUNT_SHIFT !== (count & COUNT_MASK)) return false;
    this.#place = place;
    this.kind = found & BYTE;
    this.token = (found >>> TOKEN_SHIFT) & BYTE;
    return true;
  }

  word(index: number): number {
    return this.#words[this.#place + 1 + index] as number;
  }

  get ticket(): number {
    return this.word(TICKET_WORD);
  }

  message(decoder: Decoder): unknown {
    const start = (this.#place + 1) * 4;
    return decoder.decode(this.#bytes, start, start + (this.#bytes[start + LENGTH_BYTE] as number));
  }

  /** Lets the place be used again. The record's fields must have been read. */
  release(): void {
    if (this.#place === DOORBELL_PLACE.answer) this.#doorbell.releaseAnswer();
    else this.#doorbell.releaseRequest();
  }
}

function header(kind: number, token: number, count: number): number {
  return (count << COUNT_SHIFT) | (token << TOKEN_SHIFT) | kind;
}
