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
  /** The answer that the owner waits for lies beside the state. */
  answer: 8,
  /** The lowest signal. It and those up to 31 are bits of the state itself; the others lie in words of their own. */
  firstSignal: 4,
} as const;

/** Words between the state and those of the signals from 32 on, on one line with the state: an answer. */
export const DOORBELL_ANSWER = { token: 1, status: 2, value: 3 } as const;
export const ANSWER_WORDS: number = Object.keys(DOORBELL_ANSWER).length;

/** A line of the cache, on which others do not wait for those who only ring. */
const LINE_BYTES = 64;
const WORD_BYTES = 4;

/** Words behind the signals, from `countsByteOffset` on. */
export const DOORBELL_COUNTS = {
  /** Tickets that were drawn. */
  tickets: 0,
  /** What the owner has taken back of what it told others (src/actor/standing-answer.ts); written by the owner alone. */
  changes: 1,
} as const;

/** Where a word of signals lies: of those from 32 * `word` on, `word` at least 1. In 32-bit words. */
export function signalWordIndex(word: number): number {
  return word + ANSWER_WORDS;
}

/** @param signalWords the state among them; @returns where the counts lie */
export function countsByteOffset(signalWords: number): number {
  return Math.ceil((signalWordIndex(signalWords) * WORD_BYTES) / LINE_BYTES) * LINE_BYTES;
}

/** @returns the room that a doorbell takes */
export function doorbellLengthBytes(signalWords: number): number {
  return countsByteOffset(signalWords) + LINE_BYTES;
}
