/**
 * A 64-bit hash of guest RAM, for asking whether two machines, or two runs of one, have the same: not for secrets, not
 * for files. That two RAMs which differ have one hash is a chance of 2^-64, of 2^-32 where all that differs is several
 * words of one lane in one stretch of 64 bytes.
 *
 * Four lanes of 32 bits as in xxHash32 (Collet, 2012), since JavaScript multiplies no 64-bit integers; 64 bytes a round,
 * after which the lanes are mixed. A page of zeros is skipped: the number of each other page is hashed with it.
 */
import { assert } from '../util/errors.ts';
import { PAGE_BYTES } from './format.ts';
import { isZeroPage } from './zero-page.ts';

const PAGE_WORDS = PAGE_BYTES / 4;
const ROUND_WORDS = 16;
const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;

/** @param ram whole pages of 4 KiB, 4-byte aligned, which nobody changes meanwhile; @returns 0 to 2^64 - 1 */
export function hashRam(ram: Uint8Array): bigint {
  assert(ram.length % PAGE_BYTES === 0 && ram.byteOffset % 4 === 0, 'guest RAM is whole pages, aligned');
  const words = new Int32Array(ram.buffer, ram.byteOffset, ram.length / 4);
  const lanes = Int32Array.of(P1, P2, P3, P4);
  const pages = ram.length / PAGE_BYTES;
  for (let page = 0; page < pages; page++) if (!isZeroPage(ram, page)) hashPage(lanes, words, page);
  const [a = 0, b = 0, c = 0, d = 0] = lanes;
  const high = finish(finish(finish(a ^ pages) ^ b) + c) ^ d;
  const low = finish(finish(finish(d ^ high) ^ c) + b) ^ a;
  return (BigInt(finish(high) >>> 0) << 32n) | BigInt(finish(low) >>> 0);
}

/** Every step maps the lanes one to one, whatever the word is: a difference never dies by itself. */
function hashPage(lanes: Int32Array, words: Int32Array, page: number): void {
  let a = (lanes[0] as number) ^ Math.imul(page + 1, P2);
  let b = lanes[1] as number;
  let c = lanes[2] as number;
  let d = lanes[3] as number;
  const end = (page + 1) * PAGE_WORDS;
  for (let round = page * PAGE_WORDS; round < end; round += ROUND_WORDS) {
    for (let i = round; i < round + ROUND_WORDS; i += 4) {
      a = Math.imul(a ^ (words[i] as number), P1);
      a = (a << 13) | (a >>> 19);
      b = Math.imul(b ^ (words[i + 1] as number), P2);
      b = (b << 13) | (b >>> 19);
      c = Math.imul(c ^ (words[i + 2] as number), P3);
      c = (c << 13) | (c >>> 19);
      d = Math.imul(d ^ (words[i + 3] as number), P4);
      d = (d << 13) | (d >>> 19);
    }
    a = (a + d) | 0;
    b ^= a;
    c = (c + b) | 0;
    d ^= c;
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}

/** The last steps of MurmurHash3 (Appleby, 2011): every bit reaches every bit. */
function finish(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
