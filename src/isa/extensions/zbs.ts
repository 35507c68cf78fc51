/** Zbs: single-bit instructions, RV64. Each has a register form and an immediate form with the same meaning. */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';
import type { Node } from '../ir.ts';
import type { Semantics } from '../semantics.ts';

const insn = extension('Zbs');

const bit = (s: Semantics, index: Node): Node => s.shl(s.const64(1), index);

/** `funct6` holds bits 31:26, which the two forms share. */
const pair = (
  name: string,
  funct6: string,
  funct3: string,
  meaning: (s: Semantics, a: Node, index: Node) => Node,
): readonly Insn[] => [
  insn(name, `${funct6} 0 rs2 rs1 ${funct3} rd 0110011`, 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, meaning(s, s.x(o.rs1), s.x(o.rs2))),
  ),
  insn(`${name}i`, `${funct6} shamt[5:0] rs1 ${funct3} rd 0010011`, 'rd, rs1, shamt', (s, o) =>
    s.setX(o.rd, meaning(s, s.x(o.rs1), s.imm(o.shamt))),
  ),
];

export const ZBS: readonly Insn[] = [
  ...pair('bclr', '010010', '001', (s, a, index) => s.and(a, s.not(bit(s, index)))),
  ...pair('bext', '010010', '101', (s, a, index) => s.and(s.shr(a, index), s.const64(1))),
  ...pair('binv', '011010', '001', (s, a, index) => s.xor(a, bit(s, index))),
  ...pair('bset', '001010', '001', (s, a, index) => s.or(a, bit(s, index))),
];
