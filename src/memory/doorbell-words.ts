/**
 * How a doorbell's words lie, for all who use them: the threads' code (src/channel/doorbell.ts, which has the protocol) and
 * what runs in WebAssembly.
 */

/** Bits of the state, its first word, and how signals are numbered. */
export const DOORBELL = {
  /** Something was published elsewhere. */
  data: 1,
  /** There are signals in the words behind the state. */
  signals: 2,
  /** The consumer sleeps. */
  parked: 4,
  /** A record lies in the place of answers. */
  answer: 8,
  /** A record lies in the place of requests. */
  request: 16,
  /** The lowest signal. It and those up to 31 are bits of the state itself; the others lie in words of their own. */
  firstSignal: 5,
} as const;

/** Of a record that lies in a place, in words of 32 bits. */
export const PLACE_PAYLOAD_WORDS = 5;

const HEADER_WORDS = 1;
const REQUEST = 1 + HEADER_WORDS + PLACE_PAYLOAD_WORDS;

/** The two places, behind the state and on one line of the cache with it: each is a header and a payload. In words. */
export const DOORBELL_PLACE = {
  answer: 1,
  request: REQUEST,
  /** Whose record lies in the place of requests. */
  sender: REQUEST + HEADER_WORDS + PLACE_PAYLOAD_WORDS,
} as const;

/** In front of the words of the signals from 32 on, of which there is room for two on that line. */
export const WORDS_BEFORE_SIGNALS: number = DOORBELL_PLACE.sender + 1;

/** A line of the cache, on which others do not wait for those who only ring. */
const LINE_BYTES = 64;
const WORD_BYTES = 4;

/** Words behind the signals, from `countsByteOffset` on. */
export const DOORBELL_COUNTS = {
  /** Tickets that were drawn. */
  tickets: 0,
  /** What the owner has taken back of what it told others (src/actor/standing-answer.ts); written by the owner alone. */
  changes: 1,
  /** Who may write into the place of requests; 0: nobody has claimed it. */
  claim: 2,
} as const;

/** Where a word of signals lies: of those from 32 * `word` on, `word` at least 1. In 32-bit words. */
export function signalWordIndex(word: number): number {
  return WORDS_BEFORE_SIGNALS + word - 1;
}

/** @param signalWords the state among them; @returns where the counts lie */
export function countsByteOffset(signalWords: number): number {
  return Math.ceil((signalWordIndex(signalWords) * WORD_BYTES) / LINE_BYTES) * LINE_BYTES;
}

/** @returns the room that a doorbell takes */
export function doorbellLengthBytes(signalWords: number): number {
  return countsByteOffset(signalWords) + LINE_BYTES;
}
