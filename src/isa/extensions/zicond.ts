/** Zicond: conditional zeroing. */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('Zicond');

export const ZICOND: readonly Insn[] = [
  insn('czero.eqz', '0000111 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.select(s.eq(s.x(o.rs2), s.const64(0)), s.const64(0), s.x(o.rs1))),
  ),
  insn('czero.nez', '0000111 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.select(s.eq(s.x(o.rs2), s.const64(0)), s.x(o.rs1), s.const64(0))),
  ),
];
