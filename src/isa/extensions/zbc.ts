/** Zbc: carry-less multiplication, RV64. */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('Zbc');

const carryless = (op: 'clmul' | 'clmulh' | 'clmulr', funct3: string): Insn =>
  insn(op, `0000101 rs2 rs1 ${funct3} rd 0110011`, 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.binary(op, s.x(o.rs1), s.x(o.rs2))),
  );

export const ZBC: readonly Insn[] = [carryless('clmul', '001'), carryless('clmulr', '010'), carryless('clmulh', '011')];
