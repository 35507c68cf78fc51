/**
 * C with D, RV64 (Zca and Zcd): what each compressed instruction expands to. Reserved encodings are illegal; HINT
 * encodings expand like any other and write x0 or nothing new.
 * Not here: RV32's c.jal and c.flw, Zcmp, Zcmt, Zcmop.
 */
import { expansions } from '../define.ts';
import type { Insn } from '../insn.ts';
import { F_D_ZFH } from './f-d-zfh.ts';
import { I } from './i.ts';

const compressed = expansions('C', [...I, ...F_D_ZFH]);

const SP = 2;

/** Destination and first source are one field. */
const inPlace = { rd: 'rd', rs1: 'rd', rs2: 'rs2' };

const QUADRANT_0: readonly Insn[] = [
  compressed(
    'c.addi4spn',
    "000 nzuimm[5:4|9:6|2|3] rd' 00",
    'rd, sp, nzuimm',
    'addi',
    { rd: 'rd', rs1: SP, imm: 'nzuimm' },
    // All zeros is the instruction that is illegal for ever.
    (o) => o.nzuimm === 0,
  ),
  ...[
    { name: 'fld', funct3: '001', bits: '5:3', rest: '7:6', reg: 'frd' },
    { name: 'lw', funct3: '010', bits: '5:3', rest: '2|6', reg: 'rd' },
    { name: 'ld', funct3: '011', bits: '5:3', rest: '7:6', reg: 'rd' },
  ].map(({ name, funct3, bits, rest, reg }) =>
    compressed(`c.${name}`, `${funct3} uimm[${bits}] rs1' uimm[${rest}] rd' 00`, `${reg}, uimm(rs1)`, name, {
      rd: 'rd',
      rs1: 'rs1',
      imm: 'uimm',
    }),
  ),
  ...[
    { name: 'fsd', funct3: '101', bits: '5:3', rest: '7:6', reg: 'frs2' },
    { name: 'sw', funct3: '110', bits: '5:3', rest: '2|6', reg: 'rs2' },
    { name: 'sd', funct3: '111', bits: '5:3', rest: '7:6', reg: 'rs2' },
  ].map(({ name, funct3, bits, rest, reg }) =>
    compressed(`c.${name}`, `${funct3} uimm[${bits}] rs1' uimm[${rest}] rs2' 00`, `${reg}, uimm(rs1)`, name, {
      rs1: 'rs1',
      rs2: 'rs2',
      imm: 'uimm',
    }),
  ),
];

const QUADRANT_1: readonly Insn[] = [
  compressed('c.nop', '000 imm[5] 00000 imm[4:0] 01', 'imm=0', 'addi', { rd: 0, rs1: 0, imm: 'imm' }),
  compressed(
    'c.addi',
    '000 imm[5] rd imm[4:0] 01',
    'rd, imm',
    'addi',
    { rd: 'rd', rs1: 'rd', imm: 'imm' },
    (o) => o.rd === 0,
  ),
  compressed(
    'c.addiw',
    '001 imm[5] rd imm[4:0] 01',
    'rd, imm',
    'addiw',
    { rd: 'rd', rs1: 'rd', imm: 'imm' },
    (o) => o.rd === 0,
  ),
  compressed('c.li', '010 imm[5] rd imm[4:0] 01', 'rd, imm', 'addi', { rd: 'rd', rs1: 0, imm: 'imm' }),
  compressed(
    'c.addi16sp',
    '011 nzimm[9] 00010 nzimm[4|6|8:7|5] 01',
    'sp, nzimm',
    'addi',
    { rd: SP, rs1: SP, imm: 'nzimm' },
    (o) => o.nzimm === 0,
  ),
  compressed(
    'c.lui',
    '011 nzimm[17] rd nzimm[16:12] 01',
    'rd, nzimm',
    'lui',
    { rd: 'rd', imm: 'nzimm' },
    (o) => o.nzimm === 0 || o.rd === SP,
  ),
  compressed('c.srli', "100 shamt[5] 00 rd' shamt[4:0] 01", 'rd, shamt', 'srli', {
    rd: 'rd',
    rs1: 'rd',
    shamt: 'shamt',
  }),
  compressed('c.srai', "100 shamt[5] 01 rd' shamt[4:0] 01", 'rd, shamt', 'srai', {
    rd: 'rd',
    rs1: 'rd',
    shamt: 'shamt',
  }),
  compressed('c.andi', "100 imm[5] 10 rd' imm[4:0] 01", 'rd, imm', 'andi', { rd: 'rd', rs1: 'rd', imm: 'imm' }),
  compressed('c.sub', "100 0 11 rd' 00 rs2' 01", 'rd, rs2', 'sub', inPlace),
  compressed('c.xor', "100 0 11 rd' 01 rs2' 01", 'rd, rs2', 'xor', inPlace),
  compressed('c.or', "100 0 11 rd' 10 rs2' 01", 'rd, rs2', 'or', inPlace),
  compressed('c.and', "100 0 11 rd' 11 rs2' 01", 'rd, rs2', 'and', inPlace),
  compressed('c.subw', "100 1 11 rd' 00 rs2' 01", 'rd, rs2', 'subw', inPlace),
  compressed('c.addw', "100 1 11 rd' 01 rs2' 01", 'rd, rs2', 'addw', inPlace),
  compressed('c.j', '101 imm[11|4|9:8|10|6|7|3:1|5] 01', 'pc+imm', 'jal', { rd: 0, imm: 'imm' }),
  compressed('c.beqz', "110 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", 'rs1, pc+imm', 'beq', {
    rs1: 'rs1',
    rs2: 0,
    imm: 'imm',
  }),
  compressed('c.bnez', "111 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", 'rs1, pc+imm', 'bne', {
    rs1: 'rs1',
    rs2: 0,
    imm: 'imm',
  }),
];

const QUADRANT_2: readonly Insn[] = [
  compressed('c.slli', '000 shamt[5] rd shamt[4:0] 10', 'rd, shamt', 'slli', { rd: 'rd', rs1: 'rd', shamt: 'shamt' }),
  compressed('c.fldsp', '001 uimm[5] rd uimm[4:3|8:6] 10', 'frd, uimm(sp)', 'fld', { rd: 'rd', rs1: SP, imm: 'uimm' }),
  compressed(
    'c.lwsp',
    '010 uimm[5] rd uimm[4:2|7:6] 10',
    'rd, uimm(sp)',
    'lw',
    { rd: 'rd', rs1: SP, imm: 'uimm' },
    (o) => o.rd === 0,
  ),
  compressed(
    'c.ldsp',
    '011 uimm[5] rd uimm[4:3|8:6] 10',
    'rd, uimm(sp)',
    'ld',
    { rd: 'rd', rs1: SP, imm: 'uimm' },
    (o) => o.rd === 0,
  ),
  compressed('c.jr', '100 0 rs1 00000 10', 'rs1', 'jalr', { rd: 0, rs1: 'rs1', imm: 0 }, (o) => o.rs1 === 0),
  compressed('c.mv', '100 0 rd rs2 10', 'rd, rs2', 'add', { rd: 'rd', rs1: 0, rs2: 'rs2' }, (o) => o.rs2 === 0),
  compressed('c.ebreak', '100 1 00000 00000 10', '', 'ebreak', {}),
  compressed('c.jalr', '100 1 rs1 00000 10', 'rs1', 'jalr', { rd: 1, rs1: 'rs1', imm: 0 }, (o) => o.rs1 === 0),
  compressed('c.add', '100 1 rd rs2 10', 'rd, rs2', 'add', inPlace, (o) => o.rs2 === 0),
  compressed('c.fsdsp', '101 uimm[5:3|8:6] rs2 10', 'frs2, uimm(sp)', 'fsd', { rs1: SP, rs2: 'rs2', imm: 'uimm' }),
  compressed('c.swsp', '110 uimm[5:2|7:6] rs2 10', 'rs2, uimm(sp)', 'sw', { rs1: SP, rs2: 'rs2', imm: 'uimm' }),
  compressed('c.sdsp', '111 uimm[5:3|8:6] rs2 10', 'rs2, uimm(sp)', 'sd', { rs1: SP, rs2: 'rs2', imm: 'uimm' }),
];

export const C: readonly Insn[] = [...QUADRANT_0, ...QUADRANT_1, ...QUADRANT_2];
