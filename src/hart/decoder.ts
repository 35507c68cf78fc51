/**
 * Fills in the interpreter's pre-decoded ops, as the hot loop meets them: the instruction asked for and, since leaving
 * the loop costs more than decoding does, those that it runs into.
 */
import { decode, identify } from '../isa/decode.ts';
import { bodyOperand, type Insn } from '../isa/insn.ts';
import { packOp, SPECIAL } from './handlers.ts';
import { DECODED_PAGE, HART_OFFSETS, OP } from './state.ts';

/** Called for every instruction decoded: `-d in_asm`. Nothing is decoded ahead then. */
export type DecodeObserver = (pcOffsetInPage: number, word: number) => void;

/** Instructions decoded at a time, up to one that never goes on. */
const MOST_AHEAD = 16;

/**
 * What instruction words were decoded to, by a hash of the word: most of a program's words are met again. An entry is
 * four words: the instruction, its op, and whether it goes on. That of no instruction at all, 0, stands there from the
 * beginning.
 */
const KNOWN = { log: 13, entryWords: 4, op: 1, imm: 2, goesOn: 3 } as const;
/** 2^32 divided by the golden ratio. */
const HASH_FACTOR = 0x9e3779b1;

export class Decoder {
  readonly #view: DataView;
  readonly #arena: number;
  readonly #known = new Int32Array(KNOWN.entryWords << KNOWN.log);
  observer: DecodeObserver | null = null;

  /** @param memory the machine's memory; @param arena host offset of the hart's arena */
  constructor(memory: WebAssembly.Memory, arena: number) {
    this.#view = new DataView(memory.buffer);
    this.#arena = arena;
    this.#known[KNOWN.op] = SPECIAL.illegal;
  }

  /** Decodes the instruction of the op at host offset `op`, which lies in the hart's current page, and some behind it. */
  decodeAt(op: number): void {
    const page = this.#view.getUint32(this.#arena + HART_OFFSETS.page, true);
    let at = op;
    for (let left = this.observer === null ? MOST_AHEAD : 1; left > 0; left--) {
      const length = this.#decodeIn(page, (at - page) / DECODED_PAGE.opBytes);
      at += (length / 2) * DECODED_PAGE.opBytes;
      // Behind the last op stands one that is decoded from the beginning.
      if (length === 0 || this.#view.getUint16(at + OP.handler, true) !== SPECIAL.undecoded) return;
    }
  }

  /** @returns the instruction's length; 0 where nothing is to be decoded behind it */
  #decodeIn(page: number, slot: number): number {
    const view = this.#view;
    const op = page + slot * DECODED_PAGE.opBytes;
    // The copy, not RAM: fence.i compares RAM with what was decoded.
    const source = page + DECODED_PAGE.source + slot * 2;
    const low = view.getUint16(source, true);
    if ((low & 3) !== 3) return this.#write(op, low, slot * 2) ? 2 : 0;
    if (slot === DECODED_PAGE.ops - 1) {
      view.setUint32(op, SPECIAL.crossing, true);
      return 0;
    }
    return this.#write(op, low | (view.getUint16(source + 2, true) << 16), slot * 2) ? 4 : 0;
  }

  /** Decodes a 32-bit word that was fetched from two pages. */
  decodeWord(op: number, word: number): void {
    this.#write(op, word, 4094);
  }

  /** @returns whether it is likely to go on behind it */
  #write(op: number, word: number, offset: number): boolean {
    this.observer?.(offset, word);
    const known = this.#known;
    const at = (Math.imul(word, HASH_FACTOR) >>> (32 - KNOWN.log)) * KNOWN.entryWords;
    if (known[at] !== word) {
      const insn = identify(word);
      const packed = insn === null ? { op: SPECIAL.illegal, imm: 0 } : packOp(insn, word);
      known[at] = word;
      known[at + KNOWN.op] = packed.op;
      known[at + KNOWN.imm] = packed.imm;
      known[at + KNOWN.goesOn] = Number(insn !== null && goesOn(insn, word));
    }
    // The handler last: the op is whole when it is there.
    this.#view.setInt32(op + OP.imm, known[at + KNOWN.imm] ?? 0, true);
    this.#view.setInt32(op, known[at + KNOWN.op] ?? 0, true);
    return known[at + KNOWN.goesOn] === 1;
  }
}

/** Whether what stands behind an instruction is likely to be executed: not behind a jump, unless it is a call. */
function goesOn({ body }: Insn, word: number): boolean {
  if (!body.commits.some(({ kind }) => kind === 'jump')) return true;
  const link = body.commits.find((commit) => commit.kind === 'setX');
  const decoded = decode(word);
  return link !== undefined && decoded !== null && bodyOperand(decoded, link.operand) !== 0;
}
