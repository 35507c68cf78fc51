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
  /** The lowest signal. It and those up to 31 are bits of the state itself; the others lie in the words behind it. */
  firstSignal: 3,
} as const;

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

/** @param signalWords the state among them; @returns where the counts lie */
export function countsByteOffset(signalWords: number): number {
  return Math.ceil((signalWords * WORD_BYTES) / LINE_BYTES) * LINE_BYTES;
}

/** @returns the room that a doorbell takes */
export function doorbellLengthBytes(signalWords: number): number {
  return countsByteOffset(signalWords) + LINE_BYTES;
}
