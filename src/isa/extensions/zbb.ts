/** Zbb: basic bit manipulation, RV64. */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';
import type { Node } from '../ir.ts';
import type { Semantics } from '../semantics.ts';

const insn = extension('Zbb');

/** One source register, result a doubleword. */
const unary = (name: string, row: string, meaning: (s: Semantics, a: Node) => Node): Insn =>
  insn(name, row, 'rd, rs1', (s, o) => s.setX(o.rd, meaning(s, s.x(o.rs1))));

/** A count of bits in a word is never negative: zero extension is sign extension. */
const countW = (name: string, funct12: string, op: 'clz' | 'ctz' | 'popcnt'): Insn =>
  unary(name, `${funct12} rs1 001 rd 0011011`, (s, a) => s.zext32(s.unary(op, s.wrap(a))));

const binary = (
  name: string,
  funct7: string,
  funct3: string,
  meaning: (s: Semantics, a: Node, b: Node) => Node,
): Insn =>
  insn(name, `${funct7} rs2 rs1 ${funct3} rd 0110011`, 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, meaning(s, s.x(o.rs1), s.x(o.rs2))),
  );

export const ZBB: readonly Insn[] = [
  binary('andn', '0100000', '111', (s, a, b) => s.and(a, s.not(b))),
  binary('orn', '0100000', '110', (s, a, b) => s.or(a, s.not(b))),
  binary('xnor', '0100000', '100', (s, a, b) => s.not(s.xor(a, b))),

  unary('clz', '011000000000 rs1 001 rd 0010011', (s, a) => s.unary('clz', a)),
  unary('ctz', '011000000001 rs1 001 rd 0010011', (s, a) => s.unary('ctz', a)),
  unary('cpop', '011000000010 rs1 001 rd 0010011', (s, a) => s.unary('popcnt', a)),
  countW('clzw', '011000000000', 'clz'),
  countW('ctzw', '011000000001', 'ctz'),
  countW('cpopw', '011000000010', 'popcnt'),

  binary('min', '0000101', '100', (s, a, b) => s.select(s.ltS(a, b), a, b)),
  binary('minu', '0000101', '101', (s, a, b) => s.select(s.ltU(a, b), a, b)),
  binary('max', '0000101', '110', (s, a, b) => s.select(s.ltS(a, b), b, a)),
  binary('maxu', '0000101', '111', (s, a, b) => s.select(s.ltU(a, b), b, a)),

  unary('sext.b', '011000000100 rs1 001 rd 0010011', (s, a) => s.unary('sext8', a)),
  unary('sext.h', '011000000101 rs1 001 rd 0010011', (s, a) => s.unary('sext16', a)),
  unary('zext.h', '0000100 00000 rs1 100 rd 0111011', (s, a) => s.and(a, s.const64(0xffff))),

  binary('rol', '0110000', '001', (s, a, b) => s.rotl(a, b)),
  binary('ror', '0110000', '101', (s, a, b) => s.rotr(a, b)),
  insn('rori', '011000 shamt[5:0] rs1 101 rd 0010011', 'rd, rs1, shamt', (s, o) =>
    s.setX(o.rd, s.rotr(s.x(o.rs1), s.imm(o.shamt))),
  ),
  insn('rolw', '0110000 rs2 rs1 001 rd 0111011', 'rd, rs1, rs2', (s, o) =>
    s.setW(o.rd, s.rotl(s.w(o.rs1), s.w(o.rs2))),
  ),
  insn('rorw', '0110000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (s, o) =>
    s.setW(o.rd, s.rotr(s.w(o.rs1), s.w(o.rs2))),
  ),
  insn('roriw', '0110000 shamt[4:0] rs1 101 rd 0011011', 'rd, rs1, shamt', (s, o) =>
    s.setW(o.rd, s.rotr(s.w(o.rs1), s.wrap(s.imm(o.shamt)))),
  ),

  unary('orc.b', '001010000111 rs1 101 rd 0010011', (s, a) => s.unary('orcb', a)),
  unary('rev8', '011010111000 rs1 101 rd 0010011', (s, a) => s.unary('rev8', a)),
];
