/** Tells the runtime what instruction words are decoded to (assembly/decode.ts) that generated code does not (word-decoder.ts). */
import { identify } from '../isa/decode.ts';
import type { Insn, Operand } from '../isa/insn.ts';
import { extractOperand } from '../isa/pattern.ts';
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

function goesOn(insn: Insn, word: number): boolean {
  const on = goesOnIf(insn);
  return typeof on === 'boolean' ? on : extractOperand(on, word) !== 0;
}

/**
 * Whether what stands behind an instruction is likely to be executed: not behind a jump, unless it is a call. An operand:
 * if that is not 0.
 */
export function goesOnIf({ body, expands, operands }: Insn): boolean | Operand {
  if (!body.commits.some(({ kind }) => kind === 'jump')) return true;
  const link = body.commits.find((commit) => commit.kind === 'setX');
  if (link === undefined) return false;
  const source = expands?.operands[link.operand] ?? { operand: link.operand };
  if ('value' in source) return source.value !== 0;
  return operands.find(({ name }) => name === source.operand) ?? false;
}
