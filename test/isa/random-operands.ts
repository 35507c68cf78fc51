/** Random operands of an instruction, for tests: every value its fields can hold, edges more often. */
import { encode } from '../../src/isa/encode.ts';
import type { Insn, Operand } from '../../src/isa/insn.ts';
import { operandRange, operandStep } from '../../src/isa/pattern.ts';

export type Random = () => number;

/** mulberry32: a seeded generator of numbers in [0, 1). */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function randomValue(operand: Operand, random: Random): number {
  const { min, max } = operandRange(operand);
  const step = operandStep(operand);
  const edge = random() * 8;
  if (edge < 1) return min;
  if (edge < 2) return max;
  return min + step * Math.floor(random() * ((max - min) / step + 1));
}

/** Operands that are not reserved. */
export function randomOperands(insn: Insn, random: Random): Record<string, number> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const operands = Object.fromEntries(insn.operands.map((operand) => [operand.name, randomValue(operand, random)]));
    if (insn.reserved?.(operands) !== true) return operands;
  }
  throw new Error(`${insn.name}: every encoding seems to be reserved`);
}

export function randomWord(insn: Insn, random: Random): number {
  return encode(insn, randomOperands(insn, random));
}
