/**
 * A bounded ring of records in shared memory, from one producer thread to one consumer thread.
 *
 * A record is an 8-byte header (payload length, kind and token) and a payload that is contiguous and 8-byte aligned;
 * where the rest of the lap is too short a filler record skips it. Positions count bytes and wrap at 2^32; a capacity is
 * a power of two. The producer alone writes `tail`, the consumer alone writes `head`.
 *
 * A full ring refuses: it never waits and never drops. Not modelled: more than one producer or consumer.
 */
import { assert } from '../util/errors.ts';
import type { Decoder } from './decoder.ts';
import type { Encoder } from './encoder.ts';

/** Control words, each on its own cache line, in 32-bit words from the buffer's start. */
const TAIL = 0;
const HEAD = 16;
/** Set by a producer that was refused; taken by the consumer, which then rings the producer's doorbell. */
const WANTS_SPACE = 32;
const DATA_BYTE_OFFSET = 192;

export const RECORD_HEADER_BYTES = 8;
/** The payload of a record of words: four of 32 bits, its ticket, and one that is not used. */
const WORDS_PAYLOAD_BYTES = 24;
const TICKET_WORD = 4;
const FILLER = 0xffff_ffff;
/** The kind shares a word with the token, which has the other 24 bits: far more than replies find room for in a ring. */
const KIND_BITS = 8;
const KIND_MASK = 0xff;

/** @param capacityBytes a power of two, 1 KiB to 1 GiB */
export function createRing(capacityBytes: number): SharedArrayBuffer {
  assert(
    capacityBytes >= 1024 && capacityBytes <= 2 ** 30 && Number.isInteger(Math.log2(capacityBytes)),
    `a ring's capacity is a power of two from 1 KiB to 1 GiB, not ${capacityBytes}`,
  );
  return new SharedArrayBuffer(DATA_BYTE_OFFSET + capacityBytes);
}

/** A message that would not fit even into an empty ring: our own bug, since the sender chose the ring. */
export class MessageTooLargeError extends Error {
  override readonly name = 'MessageTooLargeError';
}

/** The producer's end. Every method leaves the ring unchanged when it returns false. */
export class RingWriter {
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #capacityBytes: number;
  #tail: number;
  #headSeen: number;
  /** Of the message that was written last. */
  messageBytes = 0;

  constructor(ring: SharedArrayBuffer) {
    this.#control = new Int32Array(ring, 0, DATA_BYTE_OFFSET / 4);
    this.#words = new Int32Array(ring, DATA_BYTE_OFFSET);
    this.#bytes = new Uint8Array(ring, DATA_BYTE_OFFSET);
    this.#capacityBytes = this.#bytes.length;
    this.#tail = Atomics.load(this.#control, TAIL);
    this.#headSeen = Atomics.load(this.#control, HEAD);
  }

  /**
   * Writes a record of four 32-bit words.
   * @param keepFreeBytes room that must remain, for records that were promised a place
   * @param ticket as `Channel` understands it; @returns false when full
   */
  writeWords(
    kind: number,
    token: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    keepFreeBytes = 0,
    ticket = 0,
  ): boolean {
    const recordBytes = RECORD_HEADER_BYTES + WORDS_PAYLOAD_BYTES;
    const restOfLap = this.#capacityBytes - (this.#tail & (this.#capacityBytes - 1));
    const neededBytes = restOfLap < recordBytes ? restOfLap + recordBytes : recordBytes;
    if (this.#free(neededBytes + keepFreeBytes) < neededBytes + keepFreeBytes) return false;
    if (restOfLap < recordBytes) this.#skipRestOfLap(restOfLap);
    const index = (this.#tail & (this.#capacityBytes - 1)) >> 2;
    const words = this.#words;
    words[index + 2] = w0;
    words[index + 3] = w1;
    words[index + 4] = w2;
    words[index + 5] = w3;
    words[index + 2 + TICKET_WORD] = ticket;
    this.#commit(kind, token, WORDS_PAYLOAD_BYTES);
    return true;
  }

  /**
   * Encodes a message straight into the ring.
   * @param maxPayloadBytes a longer one throws; @throws MessageTooLargeError, or TypeError for what cannot be encoded
   * @returns false when full
   */
  writeMessage(
    kind: number,
    token: number,
    message: unknown,
    encoder: Encoder,
    keepFreeBytes = 0,
    maxPayloadBytes = (this.#capacityBytes - keepFreeBytes) / 2 - RECORD_HEADER_BYTES,
  ): boolean {
    // First with the room that was seen last: the consumer's word is on a line that it has just written.
    if (this.#writeIntoSeen(kind, token, message, encoder, keepFreeBytes, maxPayloadBytes)) return true;
    const seen = this.#freeSeen();
    this.#lookForRoom();
    if (this.#freeSeen() === seen) return false;
    return this.#writeIntoSeen(kind, token, message, encoder, keepFreeBytes, maxPayloadBytes);
  }

  #writeIntoSeen(
    kind: number,
    token: number,
    message: unknown,
    encoder: Encoder,
    keepFreeBytes: number,
    maxPayloadBytes: number,
  ): boolean {
    const free = this.#freeSeen() - keepFreeBytes;
    const offset = this.#tail & (this.#capacityBytes - 1);
    const restOfLap = this.#capacityBytes - offset;
    const here = encoder.encode(message, this.#bytes, offset + RECORD_HEADER_BYTES, offset + Math.min(free, restOfLap));
    if (here >= 0) return this.#finish(kind, token, here, maxPayloadBytes, encoder);
    const there = free > restOfLap ? encoder.encode(message, this.#bytes, RECORD_HEADER_BYTES, free - restOfLap) : -1;
    if (there >= 0) {
      if (there <= maxPayloadBytes) this.#skipRestOfLap(restOfLap);
      return this.#finish(kind, token, there, maxPayloadBytes, encoder);
    }
    if (free + keepFreeBytes === this.#capacityBytes) throw new MessageTooLargeError('longer than half its ring');
    return false;
  }

  /** Asks the consumer to ring this side's doorbell once it has made room. */
  wantSpace(): void {
    Atomics.store(this.#control, WANTS_SPACE, 1);
  }

  /** Bytes that could be written now. */
  freeBytes(): number {
    return this.#free(this.#capacityBytes);
  }

  get capacityBytes(): number {
    return this.#capacityBytes;
  }

  #finish(kind: number, token: number, payloadBytes: number, maxPayloadBytes: number, encoder: Encoder): boolean {
    if (payloadBytes > maxPayloadBytes) {
      encoder.rollBack();
      throw new MessageTooLargeError(`${payloadBytes} bytes, where at most ${maxPayloadBytes} may be sent`);
    }
    encoder.keep();
    this.messageBytes = payloadBytes;
    this.#commit(kind, token, payloadBytes);
    return true;
  }

  /** Free bytes; the consumer's word is only read again when those last seen are fewer than wanted. */
  #free(wantedBytes: number): number {
    if (this.#freeSeen() < wantedBytes) this.#lookForRoom();
    return this.#freeSeen();
  }

  #freeSeen(): number {
    return this.#capacityBytes - ((this.#tail - this.#headSeen) >>> 0);
  }

  #lookForRoom(): void {
    this.#headSeen = Atomics.load(this.#control, HEAD);
  }

  #skipRestOfLap(restOfLap: number): void {
    this.#words[(this.#tail & (this.#capacityBytes - 1)) >> 2] = FILLER | 0;
    this.#tail = (this.#tail + restOfLap) | 0;
  }

  #commit(kind: number, token: number, payloadBytes: number): void {
    const index = (this.#tail & (this.#capacityBytes - 1)) >> 2;
    this.#words[index] = payloadBytes;
    this.#words[index + 1] = (token << KIND_BITS) | kind;
    this.#tail = (this.#tail + RECORD_HEADER_BYTES + align8(payloadBytes)) | 0;
    Atomics.store(this.#control, TAIL, this.#tail);
  }
}

/** The consumer's end: `next()`, read the fields or the message, `release()`. */
export class RingReader {
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #mask: number;
  #head: number;
  #tailSeen: number;
  #payloadBytes = 0;
  #hasGrown = true;
  /** Of the current record; valid from next() to release(). */
  kind = 0;
  token = 0;

  constructor(ring: SharedArrayBuffer) {
    this.#control = new Int32Array(ring, 0, DATA_BYTE_OFFSET / 4);
    this.#words = new Int32Array(ring, DATA_BYTE_OFFSET);
    this.#bytes = new Uint8Array(ring, DATA_BYTE_OFFSET);
    this.#mask = this.#bytes.length - 1;
    this.#head = Atomics.load(this.#control, HEAD);
    this.#tailSeen = Atomics.load(this.#control, TAIL);
  }

  /** Makes the oldest record current. @returns false when the ring is empty */
  next(): boolean {
    if (this.empty()) return false;
    let index = (this.#head & this.#mask) >> 2;
    if (this.#words[index] === (FILLER | 0)) {
      this.#head = (this.#head + this.#mask + 1 - (this.#head & this.#mask)) | 0;
      index = 0;
    }
    this.#payloadBytes = this.#words[index] as number;
    const tag = this.#words[index + 1] as number;
    this.kind = tag & KIND_MASK;
    this.token = tag >>> KIND_BITS;
    return true;
  }

  /** A plain look first: what was published before a ring that was taken, or before a record that was seen, is there for it. */
  empty(): boolean {
    if (this.#head !== this.#tailSeen) return false;
    if (this.#control[TAIL] === this.#tailSeen) return true;
    this.#tailSeen = Atomics.load(this.#control, TAIL);
    this.#hasGrown = true;
    return this.#head === this.#tailSeen;
  }

  /** Whether records have been seen since the last call that were not there before. */
  takeGrown(): boolean {
    const hasGrown = this.#hasGrown;
    this.#hasGrown = false;
    return hasGrown;
  }

  /** A 32-bit word of the current record's payload, signed. @param index 0 to 3 */
  word(index: number): number {
    return this.#words[((this.#head & this.#mask) >> 2) + 2 + index] as number;
  }

  /** Of the current record, one of words. */
  get ticket(): number {
    return this.word(TICKET_WORD);
  }

  /** The current record's payload, decoded and copied out. */
  message(decoder: Decoder): unknown {
    const start = (this.#head & this.#mask) + RECORD_HEADER_BYTES;
    return decoder.decode(this.#bytes, start, start + this.#payloadBytes);
  }

  /** Gives the current record's room back. Its fields must have been read. */
  release(): void {
    this.#head = (this.#head + RECORD_HEADER_BYTES + align8(this.#payloadBytes)) | 0;
    Atomics.store(this.#control, HEAD, this.#head);
  }

  /** @returns whether the producer was refused since the last call and now waits for its doorbell */
  takeSpaceWanted(): boolean {
    if (Atomics.load(this.#control, WANTS_SPACE) === 0) return false;
    return Atomics.exchange(this.#control, WANTS_SPACE, 0) === 1;
  }
}

function align8(lengthBytes: number): number {
  return (lengthBytes + 7) & ~7;
}
