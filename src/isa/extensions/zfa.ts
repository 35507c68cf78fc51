/**
 * Zfa: additional floating-point instructions for F, D and Zfh. Not here: fmvh.x.d and fmvp.d.x (RV32 only), Q's.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';
import type { FpOp } from '../ir.ts';
import { dynamicRounding, FORMATS, type Format, reservedRounding } from './f-d-zfh.ts';

const insn = extension('Zfa');

function forFormat({ format, fmt }: Format): Insn[] {
  const choice = (op: FpOp, funct3: string): Insn =>
    insn(`f${op}.${format}`, `00101 ${fmt} rs2 rs1 ${funct3} rd 1010011`, 'frd, frs1, frs2', (s, o) => {
      s.requireFp();
      s.setFp(o.rd, format, s.fpOp(op, format, null, s.fp(o.rs1, format), s.fp(o.rs2, format)));
    });
  const round = (op: FpOp, rs2: string): Insn =>
    insn(
      `f${op}.${format}`,
      `01000 ${fmt} ${rs2} rs1 rm rd 1010011`,
      'frd, frs1, rm=dyn',
      (s, o) => {
        s.requireFp();
        s.setFp(o.rd, format, s.fpOp(op, format, dynamicRounding(o), s.fp(o.rs1, format)));
      },
      reservedRounding,
    );
  const compare = (op: FpOp, funct3: string): Insn =>
    insn(`f${op}.${format}`, `10100 ${fmt} rs2 rs1 ${funct3} rd 1010011`, 'rd, frs1, frs2', (s, o) => {
      s.requireFp();
      s.setX(o.rd, s.zext32(s.fpOp(op, format, null, s.fp(o.rs1, format), s.fp(o.rs2, format))));
    });
  return [
    insn(`fli.${format}`, `11110 ${fmt} 00001 constant[4:0] 000 rd 1010011`, 'frd, constant', (s, o) => {
      s.requireFp();
      s.setFp(o.rd, format, s.fli(format, o.constant));
    }),
    choice('minm', '010'),
    choice('maxm', '011'),
    round('round', '00100'),
    round('roundnx', '00101'),
    compare('leq', '100'),
    compare('ltq', '101'),
  ];
}

export const ZFA: readonly Insn[] = [
  ...FORMATS.flatMap(forFormat),
  insn('fcvtmod.w.d', '1100001 01000 rs1 001 rd 1010011', 'rd, frs1, rtz', (s, o) => {
    s.requireFp();
    s.setX(o.rd, s.fpConvertModular(s.fp(o.rs1, 'd')));
  }),
];
