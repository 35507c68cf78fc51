/**
 * I: the base integer instruction set, RV64 (unprivileged specification, chapters 2 and 4), with `fence`.
 * HINTs are plain instructions that write x0. Not here: the instructions of Zicsr, Zifencei and the privileged ISA.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';
import type { Node } from '../ir.ts';
import type { Operands, Semantics } from '../semantics.ts';

const insn = extension('I');

const address = (s: Semantics, o: Operands): Node => s.add(s.x(o.rs1), s.imm(o.imm));
const target = (s: Semantics, o: Operands): Node => s.add(s.pc(), s.imm(o.imm));
/** A shift amount for a word. */
const shamtW = (s: Semantics, o: Operands): Node => s.wrap(s.imm(o.shamt));

const branch = (name: string, funct3: string, condition: (s: Semantics, a: Node, b: Node) => Node): Insn =>
  insn(name, `imm[12|10:5] rs2 rs1 ${funct3} imm[4:1|11] 1100011`, 'rs1, rs2, pc+imm', (s, o) =>
    s.branch(condition(s, s.x(o.rs1), s.x(o.rs2)), target(s, o)),
  );

const load = (name: string, funct3: string, size: 1 | 2 | 4 | 8, signed: boolean): Insn =>
  insn(name, `imm[11:0] rs1 ${funct3} rd 0000011`, 'rd, imm(rs1)', (s, o) =>
    s.setX(o.rd, s.load(size, signed, address(s, o))),
  );

const store = (name: string, funct3: string, size: 1 | 2 | 4 | 8): Insn =>
  insn(name, `imm[11:5] rs2 rs1 ${funct3} imm[4:0] 0100011`, 'rs2, imm(rs1)', (s, o) =>
    s.store(size, address(s, o), s.x(o.rs2)),
  );

const fence = insn(
  'fence',
  'fm pred succ rs1 000 rd 0001111',
  'pred, succ',
  // rs1, rd and unknown fm are to be ignored.
  (s, { pred, succ }) => s.fence({ pred, succ }),
  (o) =>
    o.rs1 === 0 &&
    o.rd === 0 &&
    ((o.fm === 8 && o.pred === 3 && o.succ === 3) || (o.fm === 0 && o.pred === 1 && o.succ === 0)),
);

export const I: readonly Insn[] = [
  insn('lui', 'imm[31:12] rd 0110111', 'rd, imm', (s, o) => s.setX(o.rd, s.imm(o.imm))),
  insn('auipc', 'imm[31:12] rd 0010111', 'rd, imm', (s, o) => s.setX(o.rd, s.add(s.pc(), s.imm(o.imm)))),
  insn('jal', 'imm[20|10:1|11|19:12] rd 1101111', 'rd, pc+imm', (s, o) => {
    s.setX(o.rd, s.nextPc());
    s.jump(target(s, o));
  }),
  insn('jalr', 'imm[11:0] rs1 000 rd 1100111', 'rd, imm(rs1)', (s, o) => {
    s.setX(o.rd, s.nextPc());
    s.jump(s.and(address(s, o), s.const64(-2)));
  }),

  branch('beq', '000', (s, a, b) => s.eq(a, b)),
  branch('bne', '001', (s, a, b) => s.ne(a, b)),
  branch('blt', '100', (s, a, b) => s.ltS(a, b)),
  branch('bge', '101', (s, a, b) => s.geS(a, b)),
  branch('bltu', '110', (s, a, b) => s.ltU(a, b)),
  branch('bgeu', '111', (s, a, b) => s.geU(a, b)),

  load('lb', '000', 1, true),
  load('lh', '001', 2, true),
  load('lw', '010', 4, true),
  load('ld', '011', 8, true),
  load('lbu', '100', 1, false),
  load('lhu', '101', 2, false),
  load('lwu', '110', 4, false),
  store('sb', '000', 1),
  store('sh', '001', 2),
  store('sw', '010', 4),
  store('sd', '011', 8),

  insn('addi', 'imm[11:0] rs1 000 rd 0010011', 'rd, rs1, imm', (s, o) => s.setX(o.rd, s.add(s.x(o.rs1), s.imm(o.imm)))),
  insn('slti', 'imm[11:0] rs1 010 rd 0010011', 'rd, rs1, imm', (s, o) =>
    s.setX(o.rd, s.zext32(s.ltS(s.x(o.rs1), s.imm(o.imm)))),
  ),
  insn('sltiu', 'imm[11:0] rs1 011 rd 0010011', 'rd, rs1, imm', (s, o) =>
    s.setX(o.rd, s.zext32(s.ltU(s.x(o.rs1), s.imm(o.imm)))),
  ),
  insn('xori', 'imm[11:0] rs1 100 rd 0010011', 'rd, rs1, imm', (s, o) => s.setX(o.rd, s.xor(s.x(o.rs1), s.imm(o.imm)))),
  insn('ori', 'imm[11:0] rs1 110 rd 0010011', 'rd, rs1, imm', (s, o) => s.setX(o.rd, s.or(s.x(o.rs1), s.imm(o.imm)))),
  insn('andi', 'imm[11:0] rs1 111 rd 0010011', 'rd, rs1, imm', (s, o) => s.setX(o.rd, s.and(s.x(o.rs1), s.imm(o.imm)))),
  insn('slli', '000000 shamt[5:0] rs1 001 rd 0010011', 'rd, rs1, shamt', (s, o) =>
    s.setX(o.rd, s.shl(s.x(o.rs1), s.imm(o.shamt))),
  ),
  insn('srli', '000000 shamt[5:0] rs1 101 rd 0010011', 'rd, rs1, shamt', (s, o) =>
    s.setX(o.rd, s.shr(s.x(o.rs1), s.imm(o.shamt))),
  ),
  insn('srai', '010000 shamt[5:0] rs1 101 rd 0010011', 'rd, rs1, shamt', (s, o) =>
    s.setX(o.rd, s.sar(s.x(o.rs1), s.imm(o.shamt))),
  ),

  insn('add', '0000000 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.add(s.x(o.rs1), s.x(o.rs2)))),
  insn('sub', '0100000 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.sub(s.x(o.rs1), s.x(o.rs2)))),
  insn('sll', '0000000 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.shl(s.x(o.rs1), s.x(o.rs2)))),
  insn('slt', '0000000 rs2 rs1 010 rd 0110011', 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.zext32(s.ltS(s.x(o.rs1), s.x(o.rs2)))),
  ),
  insn('sltu', '0000000 rs2 rs1 011 rd 0110011', 'rd, rs1, rs2', (s, o) =>
    s.setX(o.rd, s.zext32(s.ltU(s.x(o.rs1), s.x(o.rs2)))),
  ),
  insn('xor', '0000000 rs2 rs1 100 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.xor(s.x(o.rs1), s.x(o.rs2)))),
  insn('srl', '0000000 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.shr(s.x(o.rs1), s.x(o.rs2)))),
  insn('sra', '0100000 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.sar(s.x(o.rs1), s.x(o.rs2)))),
  insn('or', '0000000 rs2 rs1 110 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.or(s.x(o.rs1), s.x(o.rs2)))),
  insn('and', '0000000 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (s, o) => s.setX(o.rd, s.and(s.x(o.rs1), s.x(o.rs2)))),

  insn('addiw', 'imm[11:0] rs1 000 rd 0011011', 'rd, rs1, imm', (s, o) =>
    s.setW(o.rd, s.add(s.w(o.rs1), s.wrap(s.imm(o.imm)))),
  ),
  insn('slliw', '0000000 shamt[4:0] rs1 001 rd 0011011', 'rd, rs1, shamt', (s, o) =>
    s.setW(o.rd, s.shl(s.w(o.rs1), shamtW(s, o))),
  ),
  insn('srliw', '0000000 shamt[4:0] rs1 101 rd 0011011', 'rd, rs1, shamt', (s, o) =>
    s.setW(o.rd, s.shr(s.w(o.rs1), shamtW(s, o))),
  ),
  insn('sraiw', '0100000 shamt[4:0] rs1 101 rd 0011011', 'rd, rs1, shamt', (s, o) =>
    s.setW(o.rd, s.sar(s.w(o.rs1), shamtW(s, o))),
  ),
  insn('addw', '0000000 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (s, o) => s.setW(o.rd, s.add(s.w(o.rs1), s.w(o.rs2)))),
  insn('subw', '0100000 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (s, o) => s.setW(o.rd, s.sub(s.w(o.rs1), s.w(o.rs2)))),
  insn('sllw', '0000000 rs2 rs1 001 rd 0111011', 'rd, rs1, rs2', (s, o) => s.setW(o.rd, s.shl(s.w(o.rs1), s.w(o.rs2)))),
  insn('srlw', '0000000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (s, o) => s.setW(o.rd, s.shr(s.w(o.rs1), s.w(o.rs2)))),
  insn('sraw', '0100000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (s, o) => s.setW(o.rd, s.sar(s.w(o.rs1), s.w(o.rs2)))),

  fence,
  insn('fence.tso', '1000 0011 0011 00000 000 00000 0001111', '', (s) => s.fence(null)),
  insn('ecall', '000000000000 00000 000 00000 1110011', '', (s) => s.system('ecall')),
  insn('ebreak', '000000000001 00000 000 00000 1110011', '', (s) => s.system('ebreak')),
];
