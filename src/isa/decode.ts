/**
 * The decoder: two tables of candidates, derived from the instruction table. A 32-bit word is looked up by its opcode,
 * funct3 and five topmost bits, a 16-bit one by its quadrant and funct3; the few candidates left are compared in turn.
 * The candidates of a key are looked for when it is first met: a program meets few, and all would cost every thread's start.
 */
import type { Decoded, Insn } from './insn.ts';
import { extractOperand } from './pattern.ts';
import { INSTRUCTIONS } from './table.ts';

/** Opcode (6:2) and funct3 (14:12) in the key's low eight bits, 31:27 above. */
function wordKey(word: number): number {
  return ((word >>> 27) << 8) | (((word >>> 2) & 31) << 3) | ((word >>> 12) & 7);
}

/** Bits 15:13 and 1:0. */
function halfKey(half: number): number {
  return ((half >>> 13) << 2) | (half & 3);
}

function wordOfKey(key: number): number {
  return (((key >>> 8) << 27) | (((key >>> 3) & 31) << 2) | ((key & 7) << 12)) >>> 0;
}

function halfOfKey(key: number): number {
  return ((key >>> 2) << 13) | (key & 3);
}

const matching = (insns: readonly Insn[], word: number, bits: number): readonly Insn[] =>
  insns.filter((insn) => ((word ^ insn.match) & insn.mask & bits) === 0);

const LONG = INSTRUCTIONS.filter((insn) => insn.length === 4);
const COMPRESSED = INSTRUCTIONS.filter((insn) => insn.length === 2);
const words: (readonly Insn[] | null)[] = new Array(1 << 13).fill(null);
const halves: (readonly Insn[] | null)[] = new Array(1 << 5).fill(null);

function wordCandidates(key: number): readonly Insn[] {
  const found = words[key] ?? matching(LONG, wordOfKey(key), wordOfKey(0x1fff));
  words[key] = found;
  return found;
}

function halfCandidates(key: number): readonly Insn[] {
  const found = halves[key] ?? matching(COMPRESSED, halfOfKey(key), halfOfKey(0x1f));
  halves[key] = found;
  return found;
}

function extractAll(insn: Insn, word: number): Record<string, number> {
  const operands: Record<string, number> = {};
  for (const operand of insn.operands) operands[operand.name] = extractOperand(operand, word);
  return operands;
}

/**
 * Which instruction `word` is: 32 bits as a number of either sign, or a compressed instruction in the low 16 bits, in
 * which case the upper half is ignored. Null if the encoding is illegal or reserved.
 */
export function identify(word: number): Insn | null {
  const compressed = (word & 3) !== 3;
  const bits = compressed ? word & 0xffff : word >>> 0;
  const candidates = compressed ? halfCandidates(halfKey(bits)) : wordCandidates(wordKey(bits));
  for (const insn of candidates) {
    if (((bits ^ insn.match) & insn.mask) !== 0) continue;
    if (insn.reserved === undefined || !insn.reserved(extractAll(insn, bits))) return insn;
  }
  return null;
}

/** The instruction in `word` with its operands; null as for `identify`. */
export function decode(word: number): Decoded | null {
  const insn = identify(word);
  if (insn === null) return null;
  const bits = insn.length === 2 ? word & 0xffff : word >>> 0;
  return { insn, word: bits, operands: extractAll(insn, bits) };
}
