/** Tells the runtime what instruction words are decoded to (assembly/decode.ts). */
import { decode, identify } from '../isa/decode.ts';
import { bodyOperand, type Insn } from '../isa/insn.ts';
import { packOp, SPECIAL } from './handlers.ts';
import { ARENA, KNOWN_WORDS } from './state.ts';

/** Called for every instruction decoded: `-d in_asm`. Nothing is decoded ahead then. */
export type DecodeObserver = (pcOffsetInPage: number, word: number) => void;

export class Decoder {
  readonly #view: DataView;
  observer: DecodeObserver | null = null;

  /** @param memory the machine's memory; @param arena host offset of the hart's arena */
  constructor(memory: WebAssembly.Memory, arena: number) {
    this.#view = new DataView(memory.buffer);
    // That of no instruction at all, 0, stands there from the beginning.
    this.#view.setUint32(arena + ARENA.knownWords + KNOWN_WORDS.op, SPECIAL.illegal, true);
  }

  /** @param known host offset of the word's entry in the table */
  learn(word: number, known: number, pcOffsetInPage: number): void {
    this.observer?.(pcOffsetInPage, word);
    const insn = identify(word);
    const { op, imm } = insn === null ? { op: SPECIAL.illegal, imm: 0 } : packOp(insn, word);
    const view = this.#view;
    view.setInt32(known + KNOWN_WORDS.word, word, true);
    view.setInt32(known + KNOWN_WORDS.op, op, true);
    view.setInt32(known + KNOWN_WORDS.imm, imm, true);
    view.setInt32(known + KNOWN_WORDS.goesOn, Number(insn !== null && goesOn(insn, word)), true);
  }
}

/** Whether what stands behind an instruction is likely to be executed: not behind a jump, unless it is a call. */
function goesOn({ body }: Insn, word: number): boolean {
  if (!body.commits.some(({ kind }) => kind === 'jump')) return true;
  const link = body.commits.find((commit) => commit.kind === 'setX');
  const decoded = decode(word);
  return link !== undefined && decoded !== null && bodyOperand(decoded, link.operand) !== 0;
}
