/** The encoder: decode's inverse, from the same rows. */
import type { Insn } from './insn.ts';
import { insertOperand } from './pattern.ts';

/**
 * The instruction word, an unsigned number of 16 or 32 bits. Every operand of the row must be given.
 * @throws RangeError if an operand is missing or does not fit, or the encoding is reserved or another instruction's.
 */
export function encode(insn: Insn, operands: Readonly<Record<string, number>>): number {
  let word = insn.match;
  for (const operand of insn.operands) {
    const value = operands[operand.name];
    if (value === undefined) throw new RangeError(`${insn.name} needs ${operand.name}`);
    word += insertOperand(operand, value);
  }
  if (insn.reserved?.(operands) === true)
    throw new RangeError(`${insn.name} with these operands is reserved or another instruction`);
  return word;
}
