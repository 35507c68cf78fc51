/**
 * M: integer multiplication and division, RV64. Division never traps; the IR's division is total as the specification
 * asks.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';
import type { BinaryOp } from '../ir.ts';

const insn = extension('M');

const double = (name: string, funct3: string, op: BinaryOp): Insn =>
  insn(name, `0000001 rs2 rs1 ${funct3} rd 0110011`, 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.binary(op, s.x(o.rs1), s.x(o.rs2))),
  );
const word = (name: string, funct3: string, op: BinaryOp): Insn =>
  insn(name, `0000001 rs2 rs1 ${funct3} rd 0111011`, 'rd, rs1, rs2', (s, o) =>
    s.setW(o.rd, s.binary(op, s.w(o.rs1), s.w(o.rs2))),
  );

export const M: readonly Insn[] = [
  double('mul', '000', 'mul'),
  double('mulh', '001', 'mulhS'),
  double('mulhsu', '010', 'mulhSU'),
  double('mulhu', '011', 'mulhU'),
  double('div', '100', 'divS'),
  double('divu', '101', 'divU'),
  double('rem', '110', 'remS'),
  double('remu', '111', 'remU'),
  word('mulw', '000', 'mul'),
  word('divw', '100', 'divS'),
  word('divuw', '101', 'divU'),
  word('remw', '110', 'remS'),
  word('remuw', '111', 'remU'),
];
