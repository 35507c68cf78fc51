/**
 * The decoder: two tables of candidates, derived from the instruction table. A 32-bit word is looked up by its opcode,
 * funct3 and five topmost bits, a 16-bit one by its quadrant and funct3; the few candidates left are compared in turn.
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

function buildWords(): readonly (readonly Insn[])[] {
  const insns = INSTRUCTIONS.filter((insn) => insn.length === 4);
  // By opcode and funct3 first, since there are 32 keys to each and this runs at every start.
  const coarse = Array.from({ length: 256 }, (_, key) => matching(insns, wordOfKey(key), wordOfKey(0xff)));
  return Array.from({ length: 1 << 13 }, (_, key) =>
    matching(coarse[key & 0xff] ?? [], wordOfKey(key), wordOfKey(0x1f00)),
  );
}

function buildHalves(): readonly (readonly Insn[])[] {
  const insns = INSTRUCTIONS.filter((insn) => insn.length === 2);
  return Array.from({ length: 1 << 5 }, (_, key) => matching(insns, halfOfKey(key), halfOfKey(0x1f)));
}

const WORDS = buildWords();
const HALVES = buildHalves();

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
  const candidates = compressed ? HALVES[halfKey(bits)] : WORDS[wordKey(bits)];
  if (candidates === undefined) return null;
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
