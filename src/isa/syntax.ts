/**
 * What an instruction's syntax string means: the list of its written operands, for assembler and disassembler alike.
 * Conventions: see `Insn.syntax`.
 */
import type { Insn, Operand } from './insn.ts';
import { operandStep } from './pattern.ts';

export type SyntaxKind =
  | 'x'
  | 'f'
  /** A plain number. */
  | 'number'
  /** A number written without its twelve low zeros. */
  | 'upper'
  /** The target's address; the operand is its distance from the pc. */
  | 'target'
  | 'csr'
  | 'rounding'
  /** A subset of i, o, r, w. */
  | 'fenceSet'
  /** A constant out of fli's table. */
  | 'constant';

export type SyntaxItem =
  | { readonly kind: SyntaxKind; readonly operand: string; readonly default: string | null }
  /** Written as it stands: `sp`, `rtz`. */
  | { readonly kind: 'literal'; readonly text: string }
  /** `offset(base)`: offset an operand's name or null for none, base an operand's name or `sp`. */
  | { readonly kind: 'memory'; readonly offset: string | null; readonly base: string };

export const ROUNDING_NAMES: readonly (string | null)[] = ['rne', 'rtz', 'rdn', 'rup', 'rmm', null, null, 'dyn'];

/** fli's constants (Zfa) by index. `min` is the format's smallest positive normal number. */
export const FLI_NAMES: readonly string[] = (
  '-1.0 min 1.52587890625e-05 3.0517578125e-05 0.00390625 0.0078125 0.0625 0.125 0.25 0.3125 0.375 0.4375 0.5 0.625 ' +
  '0.75 0.875 1.0 1.25 1.5 1.75 2.0 2.5 3.0 4.0 8.0 16.0 128.0 256.0 32768.0 65536.0 inf nan'
).split(' ');

const SPECIAL_KINDS: Readonly<Record<string, SyntaxKind>> = {
  csr: 'csr',
  rm: 'rounding',
  pred: 'fenceSet',
  succ: 'fenceSet',
  constant: 'constant',
};

function plainKind(operand: Operand): SyntaxKind {
  return SPECIAL_KINDS[operand.name] ?? (operand.signed && operandStep(operand) === 4096 ? 'upper' : 'number');
}

function parseItem(insn: Insn, text: string): SyntaxItem {
  const find = (name: string): Operand | undefined => insn.operands.find((operand) => operand.name === name);
  const memory = /^(\w*)\((\w+)\)$/.exec(text);
  if (memory?.[2] !== undefined) return { kind: 'memory', offset: memory[1] || null, base: memory[2] };
  const [written = '', byDefault = null] = text.split('=');
  if (written.startsWith('pc+')) return { kind: 'target', operand: written.slice(3), default: byDefault };
  const operand = find(written);
  if (operand !== undefined) {
    return { kind: operand.kind === 'reg' ? 'x' : plainKind(operand), operand: operand.name, default: byDefault };
  }
  if (written.startsWith('f') && find(written.slice(1))?.kind === 'reg')
    return { kind: 'f', operand: written.slice(1), default: byDefault };
  return { kind: 'literal', text };
}

const CACHE = new WeakMap<Insn, readonly SyntaxItem[]>();

/** The written operands of an instruction, in order. */
export function syntaxOf(insn: Insn): readonly SyntaxItem[] {
  let items = CACHE.get(insn);
  if (items === undefined) {
    items = insn.syntax === '' ? [] : insn.syntax.split(', ').map((text) => parseItem(insn, text));
    CACHE.set(insn, items);
  }
  return items;
}
