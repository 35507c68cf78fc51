/** Fills in the interpreter's pre-decoded ops, one instruction at a time, as the hot loop meets them. */
import { identify } from '../isa/decode.ts';
import { SPECIAL, writeOp } from './handlers.ts';
import { DECODED_PAGE, HART_OFFSETS, OP } from './state.ts';

/** Called for every instruction decoded: `-d in_asm`. */
export type DecodeObserver = (pcOffsetInPage: number, word: number) => void;

export class Decoder {
  readonly #view: DataView;
  readonly #arena: number;
  observer: DecodeObserver | null = null;

  /** @param memory the machine's memory; @param arena host offset of the hart's arena */
  constructor(memory: WebAssembly.Memory, arena: number) {
    this.#view = new DataView(memory.buffer);
    this.#arena = arena;
  }

  /** Decodes the instruction of the op at host offset `op`, which lies in the hart's current page. */
  decodeAt(op: number): void {
    const view = this.#view;
    const page = view.getUint32(this.#arena + HART_OFFSETS.page, true);
    const slot = (op - page) / DECODED_PAGE.opBytes;
    // The copy, not RAM: fence.i compares RAM with what was decoded.
    const source = page + DECODED_PAGE.source + slot * 2;
    const low = view.getUint16(source, true);
    if ((low & 3) !== 3) {
      this.#write(op, low, slot * 2);
    } else if (slot === DECODED_PAGE.ops - 1) {
      view.setUint32(op, SPECIAL.crossing, true);
    } else {
      const word = low | (view.getUint16(source + 2, true) << 16);
      this.#write(op, word, slot * 2);
    }
  }

  /** Decodes a 32-bit word that was fetched from two pages. */
  decodeWord(op: number, word: number): void {
    this.#write(op, word, 4094);
  }

  #write(op: number, word: number, offset: number): void {
    this.observer?.(offset, word);
    const insn = identify(word);
    if (insn === null) {
      this.#view.setUint32(op + OP.imm, 0, true);
      this.#view.setUint32(op, SPECIAL.illegal, true);
    } else writeOp(this.#view, op, insn, word);
  }
}
