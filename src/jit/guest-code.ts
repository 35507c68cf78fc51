/**
 * The guest's code as the interpreter holds it: decoded pages and the fetch TLB of the current context (DECODED_PAGE,
 * FTLB in src/hart/state.ts). Reads only what was verified; asks for no translation and causes no fault.
 */
import { SPECIAL } from '../hart/handlers.ts';
import { ARENA, DECODED_PAGE, FTLB, HART_OFFSETS, OP } from '../hart/state.ts';
import { decode } from '../isa/decode.ts';
import type { Decoded } from '../isa/insn.ts';

export const PAGE_BYTES = 4096;

export class GuestCode {
  readonly #view: DataView;
  readonly #arena: number;

  constructor(memory: WebAssembly.Memory, arena: number) {
    this.#view = new DataView(memory.buffer);
    this.#arena = arena;
  }

  /** The decoded page in which an op of the pool lies; 0 for one that is no such op. */
  pageOfOp(op: number): number {
    const pages = this.#arena + ARENA.pages;
    if (op < pages || op >= pages + DECODED_PAGE.pool * DECODED_PAGE.lengthBytes) return 0;
    const index = ((op - pages) / DECODED_PAGE.lengthBytes) | 0;
    const page = pages + index * DECODED_PAGE.lengthBytes;
    return op - page < DECODED_PAGE.endOp ? page : 0;
  }

  /** The decoded page that the fetch TLB has for a virtual page, by its address's halves; 0 where it has none. */
  pageOfAddress(lo: number, hi: number): number {
    const view = this.#view;
    const table = view.getUint32(this.#arena + HART_OFFSETS.ftlb, true);
    const entry = table + ((lo >>> 12) & (FTLB.entries - 1)) * FTLB.entryBytes;
    const hits = view.getUint32(entry + FTLB.tag, true) === lo && view.getUint32(entry + FTLB.tag + 4, true) === hi;
    return hits ? view.getUint32(entry + FTLB.page, true) : 0;
  }

  /**
   * The encoding at an offset in a decoded page, 16 or 32 bits; null where nothing near it was decoded, and for what goes
   * on in a next page that is 0.
   */
  wordAt(page: number, offset: number, next = 0): number | null {
    const low = this.#halfAt(page, offset);
    if (low === null || (low & 3) !== 3) return low;
    const isWhole = offset + 4 <= PAGE_BYTES;
    if (!isWhole && next === 0) return null;
    const high = isWhole ? this.#halfAt(page, offset + 2) : this.#halfAt(next, 0);
    return high === null ? null : (low | (high << 16)) >>> 0;
  }

  #halfAt(page: number, offset: number): number | null {
    const block = Math.floor(offset / DECODED_PAGE.blockBytes);
    const isCopied = (this.#view.getUint8(page + DECODED_PAGE.copied + (block >> 3)) >> (block & 7)) & 1;
    return isCopied === 1 ? this.#view.getUint16(page + DECODED_PAGE.source + offset, true) : null;
  }

  /** The instruction there; null for what is illegal too. */
  instruction(page: number, offset: number, next = 0): Decoded | null {
    const word = this.wordAt(page, offset, next);
    return word === null ? null : decode(word);
  }

  /** The length of the instruction of an op. */
  lengthAt(page: number, op: number): 2 | 4 {
    const offset = (op - page) / (DECODED_PAGE.opBytes / 2);
    return ((this.#halfAt(page, offset) ?? 0) & 3) === 3 ? 4 : 2;
  }

  /** Whether an op is of an instruction that goes on in the next page. */
  isCrossing(op: number): boolean {
    const page = this.pageOfOp(op);
    return op - page === (DECODED_PAGE.ops - 1) * DECODED_PAGE.opBytes && this.lengthAt(page, op) === 4;
  }

  /** Whether a region begins at an op. */
  isRegion(op: number): boolean {
    return this.#view.getUint16(op + OP.handler, true) === SPECIAL.region;
  }

  /** Whether a region may begin at an op: it is one that the hot loop or a slow form executes. */
  mayBegin(op: number): boolean {
    const handler = this.#view.getUint16(op + OP.handler, true);
    return handler > SPECIAL.region || handler === SPECIAL.nop2 || handler === SPECIAL.nop4;
  }
}
