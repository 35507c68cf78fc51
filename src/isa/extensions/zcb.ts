/** Zcb: more compressed instructions, RV64; those of Zbb, Zba and M are there because these are. */
import { expansions } from '../define.ts';
import type { Insn } from '../insn.ts';
import { I } from './i.ts';
import { M } from './m.ts';
import { ZBA } from './zba.ts';
import { ZBB } from './zbb.ts';

const compressed = expansions('Zcb', [...I, ...M, ...ZBA, ...ZBB]);

const load = { rd: 'rd', rs1: 'rs1', imm: 'uimm' };
const store = { rs1: 'rs1', rs2: 'rs2', imm: 'uimm' };
const unary = { rd: 'rd', rs1: 'rd' };

export const ZCB: readonly Insn[] = [
  compressed('c.lbu', "100 000 rs1' uimm[0|1] rd' 00", 'rd, uimm(rs1)', 'lbu', load),
  compressed('c.lhu', "100 001 rs1' 0 uimm[1] rd' 00", 'rd, uimm(rs1)', 'lhu', load),
  compressed('c.lh', "100 001 rs1' 1 uimm[1] rd' 00", 'rd, uimm(rs1)', 'lh', load),
  compressed('c.sb', "100 010 rs1' uimm[0|1] rs2' 00", 'rs2, uimm(rs1)', 'sb', store),
  compressed('c.sh', "100 011 rs1' 0 uimm[1] rs2' 00", 'rs2, uimm(rs1)', 'sh', store),
  compressed('c.zext.b', "100 1 11 rd' 11 000 01", 'rd', 'andi', { ...unary, imm: 0xff }),
  compressed('c.sext.b', "100 1 11 rd' 11 001 01", 'rd', 'sext.b', unary),
  compressed('c.zext.h', "100 1 11 rd' 11 010 01", 'rd', 'zext.h', unary),
  compressed('c.sext.h', "100 1 11 rd' 11 011 01", 'rd', 'sext.h', unary),
  compressed('c.zext.w', "100 1 11 rd' 11 100 01", 'rd', 'add.uw', { ...unary, rs2: 0 }),
  compressed('c.not', "100 1 11 rd' 11 101 01", 'rd', 'xori', { ...unary, imm: -1 }),
  compressed('c.mul', "100 1 11 rd' 10 rs2' 01", 'rd, rs2', 'mul', { ...unary, rs2: 'rs2' }),
];
