/**
 * F, D and Zfh (which contains Zfhmin): every instruction is one definition, parameterised by format.
 * Rounding modes 5 and 6 in the instruction are reserved; whether the dynamic mode is valid the executors check.
 * Not here: Zfinx, Q.
 */
import { type Define, extension, type Reserved } from '../define.ts';
import type { Insn } from '../insn.ts';
import { CARRIER, type FpFormat, type FpOp, type IntKind, type Node, type Rounding } from '../ir.ts';
import type { Operands, Semantics } from '../semantics.ts';

export interface Format {
  readonly format: FpFormat;
  readonly insn: Define;
  /** The `fmt` field. */
  readonly fmt: string;
  /** Loads' and stores' `width` field, bytes, and the letter in their and the moves' mnemonics. */
  readonly width: string;
  readonly size: 2 | 4 | 8;
  readonly letter: 'h' | 'w' | 'd';
}

export const FORMATS: readonly Format[] = [
  { format: 's', insn: extension('F'), fmt: '00', width: '010', size: 4, letter: 'w' },
  { format: 'd', insn: extension('D'), fmt: '01', width: '011', size: 8, letter: 'd' },
  { format: 'h', insn: extension('Zfh'), fmt: '10', width: '001', size: 2, letter: 'h' },
];

export const reservedRounding: Reserved = (o) => o.rm === 5 || o.rm === 6;
export const dynamicRounding = (o: Operands): Rounding => ({ field: o.rm });

const INTEGERS: readonly { readonly int: IntKind; readonly rs2: string; readonly bits: number }[] = [
  { int: 'w', rs2: '00000', bits: 32 },
  { int: 'wu', rs2: '00001', bits: 32 },
  { int: 'l', rs2: '00010', bits: 64 },
  { int: 'lu', rs2: '00011', bits: 64 },
];

/** The significand's bits, leading one included. */
const PRECISION: Readonly<Record<FpFormat, number>> = { h: 11, s: 24, d: 53 };

/** The sign bit of a pattern. */
function signBit(s: Semantics, format: FpFormat): Node {
  const bits = { h: 1n << 15n, s: 1n << 31n, d: 1n << 63n }[format];
  return CARRIER[format] === 'i64' ? s.const64(bits) : s.const32(bits);
}

/** Changes the sign of a pattern, a NaN's too: the operations that follow make every NaN canonical. */
const negate = (s: Semantics, format: FpFormat, a: Node): Node => s.xor(a, signBit(s, format));

/** Between memory or an x register and an f register the bits go unchanged: 64 bits in, a pattern out. */
function patternOfBits(s: Semantics, format: FpFormat, bits: Node): Node {
  if (format === 'd') return bits;
  return format === 's' ? s.wrap(bits) : s.and(s.wrap(bits), s.const32(0xffff));
}

function loadsAndStores({ format, insn, width, size, letter }: Format): Insn[] {
  return [
    insn(`fl${letter}`, `imm[11:0] rs1 ${width} rd 0000111`, 'frd, imm(rs1)', (s, o) => {
      s.requireFp();
      const bits = s.load(size, false, s.add(s.x(o.rs1), s.imm(o.imm)));
      s.setFp(o.rd, format, patternOfBits(s, format, bits));
    }),
    insn(`fs${letter}`, `imm[11:5] rs2 rs1 ${width} imm[4:0] 0100111`, 'frs2, imm(rs1)', (s, o) => {
      s.requireFp();
      s.store(size, s.add(s.x(o.rs1), s.imm(o.imm)), s.f(o.rs2));
    }),
  ];
}

function fusedMultiplyAdds({ format, insn, fmt }: Format): Insn[] {
  const fused = (name: string, opcode: string, negateProduct: boolean, negateAddend: boolean): Insn =>
    insn(
      `${name}.${format}`,
      `rs3 ${fmt} rs2 rs1 rm rd ${opcode}`,
      'frd, frs1, frs2, frs3, rm=dyn',
      (s, o) => {
        s.requireFp();
        const a = s.fp(o.rs1, format);
        const c = s.fp(o.rs3, format);
        const result = s.fpOp(
          'fma',
          format,
          dynamicRounding(o),
          negateProduct ? negate(s, format, a) : a,
          s.fp(o.rs2, format),
          negateAddend ? negate(s, format, c) : c,
        );
        s.setFp(o.rd, format, result);
      },
      reservedRounding,
    );
  return [
    fused('fmadd', '1000011', false, false),
    fused('fmsub', '1000111', false, true),
    fused('fnmsub', '1001011', true, false),
    fused('fnmadd', '1001111', true, true),
  ];
}

function arithmetic({ format, insn, fmt }: Format): Insn[] {
  const rounded = (op: FpOp, funct5: string): Insn =>
    insn(
      `f${op}.${format}`,
      `${funct5} ${fmt} rs2 rs1 rm rd 1010011`,
      'frd, frs1, frs2, rm=dyn',
      (s, o) => {
        s.requireFp();
        s.setFp(o.rd, format, s.fpOp(op, format, dynamicRounding(o), s.fp(o.rs1, format), s.fp(o.rs2, format)));
      },
      reservedRounding,
    );
  const choice = (op: FpOp, funct3: string): Insn =>
    insn(`f${op}.${format}`, `00101 ${fmt} rs2 rs1 ${funct3} rd 1010011`, 'frd, frs1, frs2', (s, o) => {
      s.requireFp();
      s.setFp(o.rd, format, s.fpOp(op, format, null, s.fp(o.rs1, format), s.fp(o.rs2, format)));
    });
  return [
    rounded('add', '00000'),
    rounded('sub', '00001'),
    rounded('mul', '00010'),
    rounded('div', '00011'),
    insn(
      `fsqrt.${format}`,
      `01011 ${fmt} 00000 rs1 rm rd 1010011`,
      'frd, frs1, rm=dyn',
      (s, o) => {
        s.requireFp();
        s.setFp(o.rd, format, s.fpOp('sqrt', format, dynamicRounding(o), s.fp(o.rs1, format)));
      },
      reservedRounding,
    ),
    choice('min', '000'),
    choice('max', '001'),
  ];
}

function signInjections({ format, insn, fmt }: Format): Insn[] {
  const inject = (name: string, funct3: string, sign: (s: Semantics, a: Node, b: Node) => Node): Insn =>
    insn(`${name}.${format}`, `00100 ${fmt} rs2 rs1 ${funct3} rd 1010011`, 'frd, frs1, frs2', (s, o) => {
      s.requireFp();
      const a = s.fp(o.rs1, format);
      const magnitude = s.and(a, s.not(signBit(s, format)));
      const newSign = s.and(sign(s, a, s.fp(o.rs2, format)), signBit(s, format));
      s.setFp(o.rd, format, s.or(magnitude, newSign));
    });
  return [
    inject('fsgnj', '000', (_, __, b) => b),
    inject('fsgnjn', '001', (s, _, b) => s.not(b)),
    inject('fsgnjx', '010', (s, a, b) => s.xor(a, b)),
  ];
}

function comparisons({ format, insn, fmt }: Format): Insn[] {
  const compare = (op: FpOp, funct3: string): Insn =>
    insn(`f${op}.${format}`, `10100 ${fmt} rs2 rs1 ${funct3} rd 1010011`, 'rd, frs1, frs2', (s, o) => {
      s.requireFp();
      s.setX(o.rd, s.zext32(s.fpOp(op, format, null, s.fp(o.rs1, format), s.fp(o.rs2, format))));
    });
  return [
    compare('le', '000'),
    compare('lt', '001'),
    compare('eq', '010'),
    insn(`fclass.${format}`, `11100 ${fmt} 00000 rs1 001 rd 1010011`, 'rd, frs1', (s, o) => {
      s.requireFp();
      s.setX(o.rd, s.zext32(s.fclass(format, s.fp(o.rs1, format))));
    }),
  ];
}

/** The moves take the low bits of an f register as they are, properly boxed or not. */
function moves({ format, insn, fmt, letter }: Format): Insn[] {
  return [
    insn(`fmv.x.${letter}`, `11100 ${fmt} 00000 rs1 000 rd 1010011`, 'rd, frs1', (s, o) => {
      s.requireFp();
      const bits = s.f(o.rs1);
      s.setX(o.rd, format === 'd' ? bits : format === 's' ? s.sext32(s.wrap(bits)) : s.unary('sext16', bits));
    }),
    insn(`fmv.${letter}.x`, `11110 ${fmt} 00000 rs1 000 rd 1010011`, 'frd, rs1', (s, o) => {
      s.requireFp();
      s.setFp(o.rd, format, patternOfBits(s, format, s.x(o.rs1)));
    }),
  ];
}

function integerConversions({ format, insn, fmt }: Format): Insn[] {
  return INTEGERS.flatMap(({ int, rs2, bits }) => [
    insn(
      `fcvt.${int}.${format}`,
      `11000 ${fmt} ${rs2} rs1 rm rd 1010011`,
      'rd, frs1, rm=dyn',
      (s, o) => {
        s.requireFp();
        s.setX(o.rd, s.fpToInt(int, format, dynamicRounding(o), s.fp(o.rs1, format)));
      },
      reservedRounding,
    ),
    insn(
      `fcvt.${format}.${int}`,
      `11010 ${fmt} ${rs2} rs1 rm rd 1010011`,
      // By convention an exact conversion is written without its rounding mode and encoded with RNE.
      `frd, rs1, rm=${bits <= PRECISION[format] ? 'rne' : 'dyn'}`,
      (s, o) => {
        s.requireFp();
        s.setFp(o.rd, format, s.fpFromInt(format, int, dynamicRounding(o), s.x(o.rs1)));
      },
      reservedRounding,
    ),
  ]);
}

/** Between formats; each belongs to the extension of whichever of the two formats comes later in FORMATS. */
function formatConversions(to: Format, from: Format): Insn {
  const { insn } = FORMATS.indexOf(to) > FORMATS.indexOf(from) ? to : from;
  return insn(
    `fcvt.${to.format}.${from.format}`,
    `01000 ${to.fmt} 000 ${from.fmt} rs1 rm rd 1010011`,
    `frd, frs1, rm=${PRECISION[from.format] < PRECISION[to.format] ? 'rne' : 'dyn'}`,
    (s, o) => {
      s.requireFp();
      s.setFp(o.rd, to.format, s.fpConvert(to.format, from.format, dynamicRounding(o), s.fp(o.rs1, from.format)));
    },
    reservedRounding,
  );
}

export const F_D_ZFH: readonly Insn[] = [
  ...FORMATS.flatMap((format) => [
    ...loadsAndStores(format),
    ...fusedMultiplyAdds(format),
    ...arithmetic(format),
    ...signInjections(format),
    ...comparisons(format),
    ...moves(format),
    ...integerConversions(format),
  ]),
  ...FORMATS.flatMap((to) => FORMATS.filter((from) => from !== to).map((from) => formatConversions(to, from))),
];
