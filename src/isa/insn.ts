/**
 * The shape of an instruction's one definition. The pattern is the manual's row, most significant bit first; it yields
 * mask, match, operand extraction, assembler and disassembler, and a law test that no two overlap.
 */
import type { Body } from './ir.ts';
import { type Operands, Semantics } from './semantics.ts';

/** Where an operand's bits lie: instruction bits [lo, lo+width) are operand bits [at, at+width). */
export interface FieldPart {
  readonly lo: number;
  readonly width: number;
  readonly at: number;
}

export interface Operand {
  readonly name: string;
  /** `x`: an x or f register number (the semantics say which file); `imm`: anything else. */
  readonly kind: 'reg' | 'imm';
  readonly signed: boolean;
  readonly parts: readonly FieldPart[];
  /** Added to the extracted number: 8 for the three-bit register fields of compressed instructions. */
  readonly bias: number;
}

/** How a compressed instruction supplies an operand of the instruction it expands to. */
export type OperandSource = { readonly operand: string } | { readonly value: number };

export interface Insn {
  readonly name: string;
  /** The extension that brings it, in the manual's spelling: `I`, `Zba`, `Zcb`, `Sstc`. */
  readonly extension: string;
  readonly length: 2 | 4;
  readonly mask: number;
  readonly match: number;
  readonly operands: readonly Operand[];
  /**
   * Assembly operands as written, e.g. `rd, imm(rs1)`. An `f` before a register name says the f file: `frd, frs1`;
   * `pc+imm` is written as the target's address or label; `rm=dyn` may be left out at the end and is then `dyn`;
   * `sp` and `rtz` stand for themselves. `imm[31:12]` is written without its low zeros, as by every assembler.
   * Operands `aq` and `rl` are suffixes of the mnemonic.
   */
  readonly syntax: string;
  /** Encodings the pattern matches but that are another's or reserved; the operands are already extracted. */
  readonly reserved?: (operands: Readonly<Record<string, number>>) => boolean;
  /** For a compressed instruction: the instruction whose meaning it has, and where its operands come from. */
  readonly expands?: { readonly to: Insn; readonly operands: Readonly<Record<string, OperandSource>> };
  readonly semantics: (s: Semantics, o: Operands) => void;
  /** The IR, operands still named; built once. For an expansion: the base instruction's, with its operand names. */
  readonly body: Body;
}

/**
 * Builds the IR of a definition: every operand's handle is its own name.
 * @throws Error if the definition names an operand that is not in its row.
 */
export function buildBody(operandNames: readonly string[], semantics: (s: Semantics, o: Operands) => void): Body {
  const s = new Semantics();
  const handle = (_: Operands, name: string | symbol): string => {
    if (typeof name === 'string' && operandNames.includes(name)) return name;
    throw new Error(`no operand ${String(name)} in the encoding row (${operandNames.join(', ')})`);
  };
  semantics(s, new Proxy({} as Operands, { get: handle }));
  return s.body();
}

/** One instruction out of the stream. Operand values are numbers: registers 0..31, immediates extended, below 2^53. */
export interface Decoded {
  readonly insn: Insn;
  readonly word: number;
  /** By the names of the instruction's own operands. */
  readonly operands: Readonly<Record<string, number>>;
}

/** An operand of `insn.body` (the base instruction's names for an expansion) in a decoded instruction. */
export function bodyOperand(decoded: Decoded, name: string): number {
  const source = decoded.insn.expands?.operands[name];
  const value =
    source === undefined ? decoded.operands[name] : 'value' in source ? source.value : decoded.operands[source.operand];
  if (value === undefined) throw new Error(`${decoded.insn.name} has no operand ${name}`);
  return value;
}
