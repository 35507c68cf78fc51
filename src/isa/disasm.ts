/**
 * The disassembler, from the instruction table: mnemonics and operands as GNU's and LLVM's assemblers read them.
 * Not here: aliases (`ret` is `jalr zero, 0(ra)`), symbols.
 */
import { csrName } from './csr-names.ts';
import { decode } from './decode.ts';
import type { Decoded } from './insn.ts';
import { F_NAMES, X_NAMES } from './registers.ts';
import { FLI_NAMES, ROUNDING_NAMES, type SyntaxItem, type SyntaxKind, syntaxOf } from './syntax.ts';

function fenceSet(bits: number): string {
  const letters = ['i', 'o', 'r', 'w'].filter((_, index) => (bits & (8 >> index)) !== 0);
  return letters.length === 0 ? '0' : letters.join('');
}

function formatOperand(kind: SyntaxKind, value: number, pc: bigint): string {
  switch (kind) {
    case 'x':
      return X_NAMES[value] ?? '?';
    case 'f':
      return F_NAMES[value] ?? '?';
    case 'number':
      return String(value);
    case 'upper':
      return `0x${((value >>> 12) & 0xfffff).toString(16)}`;
    case 'target':
      return `0x${BigInt.asUintN(64, pc + BigInt(value)).toString(16)}`;
    case 'csr':
      return csrName(value) ?? `0x${value.toString(16)}`;
    case 'rounding':
      return ROUNDING_NAMES[value] ?? '?';
    case 'fenceSet':
      return fenceSet(value);
    case 'constant':
      return FLI_NAMES[value] ?? '?';
  }
}

function formatItem(item: SyntaxItem, operands: Readonly<Record<string, number>>, pc: bigint): string {
  if (item.kind === 'literal') return item.text;
  if (item.kind !== 'memory') return formatOperand(item.kind, operands[item.operand] ?? 0, pc);
  const base = operands[item.base];
  const offset = item.offset === null ? '' : String(operands[item.offset] ?? 0);
  return `${offset}(${base === undefined ? item.base : formatOperand('x', base, pc)})`;
}

/** The mnemonic with its ordering suffix. */
function mnemonic(decoded: Decoded): string {
  const { aq, rl } = decoded.operands;
  const order = `${aq === 1 ? 'aq' : ''}${rl === 1 ? 'rl' : ''}`;
  return order === '' ? decoded.insn.name : `${decoded.insn.name}.${order}`;
}

/** One decoded instruction as text; `pc` is its address, from which branch targets are computed. */
export function formatInsn(decoded: Decoded, pc = 0n): string {
  const items = syntaxOf(decoded.insn);
  const texts = items.map((item) => formatItem(item, decoded.operands, pc));
  while (texts.length > 0) {
    const last = items[texts.length - 1];
    if (last === undefined || !('default' in last) || last.default !== texts.at(-1)) break;
    texts.pop();
  }
  return texts.length === 0 ? mnemonic(decoded) : `${mnemonic(decoded)} ${texts.join(', ')}`;
}

/**
 * One instruction as text, e.g. `addi a0, a0, -1`. A word that is no instruction becomes the data directive that
 * produces it: `.half 0x0`, `.word 0xffffffff`.
 */
export function disassemble(word: number, pc = 0n): string {
  const decoded = decode(word);
  if (decoded !== null) return formatInsn(decoded, pc);
  return (word & 3) === 3 ? `.word 0x${(word >>> 0).toString(16)}` : `.half 0x${(word & 0xffff).toString(16)}`;
}
