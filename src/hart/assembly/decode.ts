/**
 * Pre-decoding: fills in ops as the hot loop meets them, the instruction asked for and, since leaving the loop costs more than
 * decoding does, those that it runs into. Most of a program's words are met again: what they were decoded to is
 * looked up (KNOWN_WORDS in state.ts). The host says it of the others.
 */
import { learnWord } from './env';
import { copied } from './fetch';
import { hart } from './hart';
import { hashIndex } from './hash';
import {
  ARENA_KNOWN_WORDS,
  DECODED_PAGE_OP_BYTES,
  DECODED_PAGE_OPS,
  H_DECODES,
  H_LOG_CODE,
  H_PAGE,
  HANDLER_CROSSING,
  HANDLER_UNDECODED,
  KNOWN_WORDS_ENTRIES,
  KNOWN_WORDS_ENTRY_BYTES,
  KNOWN_WORDS_GOES_ON,
  KNOWN_WORDS_IMM,
  KNOWN_WORDS_OP,
  OP_HANDLER,
  OP_IMM,
} from './layout.generated';

/** Instructions decoded at a time, up to one that never goes on. */
const MOST_AHEAD: u32 = 16;

/** Decodes the instruction of the op at host offset `op`, which lies in the hart's current page, and some behind it. */
export function decode(op: u32): void {
  const page = load<u32>(hart, H_PAGE);
  store<u32>(hart, load<u32>(hart, H_DECODES) + 1, H_DECODES);
  let at = op;
  for (let left = load<u32>(hart, H_LOG_CODE) !== 0 ? 1 : MOST_AHEAD; left > 0; left--) {
    const slot = (at - page) / DECODED_PAGE_OP_BYTES;
    // The copy, not RAM: fence.i compares RAM with what was decoded.
    const low = <u32>load<u16>(copied(page, slot * 2, 2));
    const isLong = (low & 3) === 3;
    if (isLong && slot === DECODED_PAGE_OPS - 1) {
      store<u32>(at, HANDLER_CROSSING);
      return;
    }
    if (!decodeTo(at, isLong ? load<u32>(copied(page, slot * 2, 4)) : low, slot * 2)) return;
    at += isLong ? 2 * DECODED_PAGE_OP_BYTES : DECODED_PAGE_OP_BYTES;
    // Behind the last op stands one that is decoded from the beginning.
    if (load<u16>(at, OP_HANDLER) !== HANDLER_UNDECODED) return;
  }
}

/** Decodes a 32-bit word that was fetched from two pages. */
export function decodeWord(op: u32, word: u32): void {
  decodeTo(op, word, (DECODED_PAGE_OPS - 1) * 2);
}

/** @returns whether it is likely to go on behind it */
function decodeTo(op: u32, word: u32, pageOffset: u32): bool {
  const index = hashIndex(word, KNOWN_WORDS_ENTRIES);
  const known = hart + ARENA_KNOWN_WORDS + index * KNOWN_WORDS_ENTRY_BYTES;
  if (load<u32>(known) !== word || load<u32>(hart, H_LOG_CODE) !== 0) learnWord(word, known, pageOffset);
  store<u32>(op, load<u32>(known, KNOWN_WORDS_IMM), OP_IMM);
  store<u32>(op, load<u32>(known, KNOWN_WORDS_OP));
  return load<u32>(known, KNOWN_WORDS_GOES_ON) !== 0;
}
