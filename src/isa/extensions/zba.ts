/** Zba: address generation, RV64. */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('Zba');

const shiftAdd = (name: string, funct3: string, shift: number): Insn =>
  insn(name, `0010000 rs2 rs1 ${funct3} rd 0110011`, 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.add(s.shl(s.x(o.rs1), s.const64(shift)), s.x(o.rs2))),
  );
const shiftAddWord = (name: string, funct3: string, shift: number): Insn =>
  insn(name, `0010000 rs2 rs1 ${funct3} rd 0111011`, 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.add(s.shl(s.zext32(s.w(o.rs1)), s.const64(shift)), s.x(o.rs2))),
  );

export const ZBA: readonly Insn[] = [
  insn('add.uw', '0000100 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.add(s.zext32(s.w(o.rs1)), s.x(o.rs2))),
  ),
  insn('slli.uw', '000010 shamt[5:0] rs1 001 rd 0011011', 'rd, rs1, shamt', (s, o) =>
    s.setX(o.rd, s.shl(s.zext32(s.w(o.rs1)), s.imm(o.shamt))),
  ),
  shiftAdd('sh1add', '010', 1),
  shiftAdd('sh2add', '100', 2),
  shiftAdd('sh3add', '110', 3),
  shiftAddWord('sh1add.uw', '010', 1),
  shiftAddWord('sh2add.uw', '100', 2),
  shiftAddWord('sh3add.uw', '110', 3),
];
