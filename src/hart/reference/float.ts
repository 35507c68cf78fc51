/**
 * The floating-point oracle: every operation of F, D, Zfh and Zfa (FP_OPS of src/isa/ir.ts) from its definition in the
 * unprivileged specification (F 11.6 to 11.9, Zfa 24), with exact arithmetic on BigInt and one rounding at the end.
 * Independent of the WebAssembly code on purpose.
 */
import type { FpFormat, FpOp, IntKind } from '../../isa/ir.ts';
import {
  bitLength,
  canonicalNan,
  type Exact,
  exact,
  FLAGS,
  infinityPattern,
  type Outcome,
  ROUND,
  round,
  roundToUnit,
  SHAPES,
  scaledTo,
  type Unpacked,
  unpack,
  zeroPattern,
} from './float-number.ts';

export type { Outcome } from './float-number.ts';

export interface FpOperation {
  readonly fp: FpOp;
  /** Of the arguments and the result; of the result alone for cvt and fromInt. */
  readonly format: FpFormat;
  /** The argument's format, for cvt. */
  readonly from: FpFormat | null;
  /** The integer's type, for toInt and fromInt. */
  readonly int: IntKind | null;
}

const INTEGERS: Readonly<Record<IntKind, { readonly signed: boolean; readonly bits: number }>> = {
  w: { signed: true, bits: 32 },
  wu: { signed: false, bits: 32 },
  l: { signed: true, bits: 64 },
  lu: { signed: false, bits: 64 },
};

const noFlags = (value: bigint): Outcome => ({ value, flags: 0 });
const truth = (isTrue: boolean, flags = 0): Outcome => ({ value: isTrue ? 1n : 0n, flags });
const isSignalling = (x: Unpacked): boolean => x.kind === 'nan' && x.signalling;
const isZero = (x: Unpacked): boolean => x.kind === 'finite' && x.number.magnitude === 0n;
const isNegative = (x: Unpacked): boolean => x.kind !== 'nan' && x.negative;

function invalid(format: FpFormat): Outcome {
  return { value: canonicalNan(format), flags: FLAGS.invalid };
}

/** What an operation with a NaN among its arguments gives. */
function nan(format: FpFormat, ...args: Unpacked[]): Outcome {
  return { value: canonicalNan(format), flags: args.some(isSignalling) ? FLAGS.invalid : 0 };
}

/** x + y, y already exact. Sign of an exact zero: both operands', else plus, but minus when rounding down. */
function sum(format: FpFormat, x: Exact, y: Exact, rm: number): Outcome {
  const exponent = Math.min(x.exponent, y.exponent);
  const total = scaledTo(x, exponent) + scaledTo(y, exponent);
  if (total === 0n) {
    const areNegativeZeros = x.negative && y.negative;
    const cancels = x.negative !== y.negative;
    return noFlags(zeroPattern(format, areNegativeZeros || (cancels && rm === ROUND.down)));
  }
  return round(format, exact(total < 0n, total < 0n ? -total : total, exponent), rm);
}

function product(x: Exact, y: Exact): Exact {
  return exact(x.negative !== y.negative, x.magnitude * y.magnitude, x.exponent + y.exponent);
}

function add(format: FpFormat, x: Unpacked, y: Unpacked, rm: number): Outcome {
  if (x.kind === 'nan' || y.kind === 'nan') return nan(format, x, y);
  if (x.kind === 'infinity' && y.kind === 'infinity' && x.negative !== y.negative) return invalid(format);
  if (x.kind === 'infinity') return noFlags(infinityPattern(format, x.negative));
  if (y.kind === 'infinity') return noFlags(infinityPattern(format, y.negative));
  return sum(format, x.number, y.number, rm);
}

function negated(x: Unpacked): Unpacked {
  if (x.kind === 'nan') return x;
  if (x.kind === 'infinity') return { kind: 'infinity', negative: !x.negative };
  return { kind: 'finite', negative: !x.negative, number: { ...x.number, negative: !x.negative } };
}

function multiply(format: FpFormat, x: Unpacked, y: Unpacked, rm: number): Outcome {
  if (x.kind === 'nan' || y.kind === 'nan') return nan(format, x, y);
  const negative = x.negative !== y.negative;
  if (x.kind === 'infinity' || y.kind === 'infinity') {
    return isZero(x) || isZero(y) ? invalid(format) : noFlags(infinityPattern(format, negative));
  }
  if (isZero(x) || isZero(y)) return noFlags(zeroPattern(format, negative));
  return round(format, product(x.number, y.number), rm);
}

/** x / y with more bits than any format has, and sticky. */
function quotient(x: Exact, y: Exact): Exact {
  const shift = 3 * SHAPES.d.fractionBits;
  const numerator = x.magnitude << BigInt(shift);
  const magnitude = numerator / y.magnitude;
  const sticky = numerator % y.magnitude !== 0n;
  return exact(x.negative !== y.negative, magnitude, x.exponent - y.exponent - shift, sticky);
}

function divide(format: FpFormat, x: Unpacked, y: Unpacked, rm: number): Outcome {
  if (x.kind === 'nan' || y.kind === 'nan') return nan(format, x, y);
  const negative = x.negative !== y.negative;
  if (x.kind === 'infinity') {
    return y.kind === 'infinity' ? invalid(format) : noFlags(infinityPattern(format, negative));
  }
  if (y.kind === 'infinity') return noFlags(zeroPattern(format, negative));
  if (isZero(y)) {
    if (isZero(x)) return invalid(format);
    return { value: infinityPattern(format, negative), flags: FLAGS.divideByZero };
  }
  if (isZero(x)) return noFlags(zeroPattern(format, negative));
  return round(format, quotient(x.number, y.number), rm);
}

/** The integer part of n's square root, by Newton's iteration from above. */
function integerRoot(n: bigint): bigint {
  let root = 1n << BigInt((bitLength(n) + 1) >> 1);
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

function squareRoot(format: FpFormat, x: Unpacked, rm: number): Outcome {
  if (x.kind === 'nan') return nan(format, x);
  if (isZero(x)) return noFlags(zeroPattern(format, x.negative));
  if (x.negative) return invalid(format);
  if (x.kind === 'infinity') return noFlags(infinityPattern(format, false));
  // Many more bits, and an even exponent.
  const shift = 4 * SHAPES.d.fractionBits + (x.number.exponent & 1);
  const radicand = x.number.magnitude << BigInt(shift);
  const root = integerRoot(radicand);
  return round(format, exact(false, root, (x.number.exponent - shift) / 2, root * root !== radicand), rm);
}

function fusedMultiplyAdd(format: FpFormat, x: Unpacked, y: Unpacked, z: Unpacked, rm: number): Outcome {
  const isInvalidProduct = (x.kind === 'infinity' && isZero(y)) || (isZero(x) && y.kind === 'infinity');
  // Invalid even where z is a quiet NaN.
  if (isInvalidProduct) return invalid(format);
  if (x.kind === 'nan' || y.kind === 'nan' || z.kind === 'nan') return nan(format, x, y, z);
  if (x.kind === 'infinity' || y.kind === 'infinity') {
    return add(format, { kind: 'infinity', negative: x.negative !== y.negative }, z, rm);
  }
  if (z.kind === 'infinity') return noFlags(infinityPattern(format, z.negative));
  return sum(format, product(x.number, y.number), z.number, rm);
}

/** x - y as a sign: below zero, zero (also for -0 and +0), above. Neither is a NaN. */
function order(x: Unpacked, y: Unpacked): number {
  const rank = (u: Unpacked): number => (u.kind === 'infinity' ? (u.negative ? -1 : 1) : 0);
  if (x.kind !== 'finite' || y.kind !== 'finite') return rank(x) - rank(y);
  const exponent = Math.min(x.number.exponent, y.number.exponent);
  const difference = scaledTo(x.number, exponent) - scaledTo(y.number, exponent);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function compare(x: Unpacked, y: Unpacked, isQuiet: boolean, holds: (order: number) => boolean): Outcome {
  if (x.kind === 'nan' || y.kind === 'nan') {
    return truth(false, !isQuiet || isSignalling(x) || isSignalling(y) ? FLAGS.invalid : 0);
  }
  return truth(holds(order(x, y)));
}

/** fmin and the like: `prefersNumber` tells fmin from fminm. -0 counts as smaller than +0. */
function extremum(format: FpFormat, args: readonly bigint[], wantsMax: boolean, prefersNumber: boolean): Outcome {
  const [a, b] = [args[0] ?? 0n, args[1] ?? 0n];
  const [x, y] = [unpack(format, a), unpack(format, b)];
  const { flags, value } = nan(format, x, y);
  if (x.kind === 'nan' || y.kind === 'nan') {
    if (!prefersNumber || (x.kind === 'nan' && y.kind === 'nan')) return { value, flags };
    return { value: x.kind === 'nan' ? b : a, flags };
  }
  const between = order(x, y);
  const aIsSmaller = between === 0 ? isNegative(x) : between < 0;
  return noFlags(aIsSmaller !== wantsMax ? a : b);
}

/** The patterns of integers are their low 64 bits; a word's are sign-extended, unsigned or not. */
function integerPattern(n: bigint, bits: number): bigint {
  return BigInt.asUintN(64, BigInt.asIntN(bits, n));
}

function toInteger(kind: IntKind, x: Unpacked, rm: number): Outcome {
  const { signed, bits } = INTEGERS[kind];
  const least = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const most = signed ? (1n << BigInt(bits - 1)) - 1n : (1n << BigInt(bits)) - 1n;
  const outOfRange = (bound: bigint): Outcome => ({ value: integerPattern(bound, bits), flags: FLAGS.invalid });
  if (x.kind === 'nan') return outOfRange(most);
  if (x.kind === 'infinity') return outOfRange(x.negative ? least : most);
  const { magnitude, inexact } = roundToUnit(x.number, 0, rm);
  const integer = x.negative ? -magnitude : magnitude;
  if (integer < least) return outOfRange(least);
  if (integer > most) return outOfRange(most);
  return { value: integerPattern(integer, bits), flags: inexact ? FLAGS.inexact : 0 };
}

/** fcvtmod.w.d. */
function toIntegerModulo(x: Unpacked): Outcome {
  const { flags } = toInteger('w', x, ROUND.toZero);
  if (x.kind !== 'finite') return { value: 0n, flags };
  const { magnitude } = roundToUnit(x.number, 0, ROUND.toZero);
  return { value: integerPattern(x.negative ? -magnitude : magnitude, 32), flags };
}

function fromInteger(format: FpFormat, kind: IntKind, pattern: bigint, rm: number): Outcome {
  const { signed, bits } = INTEGERS[kind];
  const integer = signed ? BigInt.asIntN(bits, pattern) : BigInt.asUintN(bits, pattern);
  if (integer === 0n) return noFlags(0n);
  return round(format, exact(integer < 0n, integer < 0n ? -integer : integer, 0), rm);
}

function convert(format: FpFormat, x: Unpacked, rm: number): Outcome {
  if (x.kind === 'nan') return nan(format, x);
  if (x.kind === 'infinity') return noFlags(infinityPattern(format, x.negative));
  if (isZero(x)) return noFlags(zeroPattern(format, x.negative));
  return round(format, x.number, rm);
}

/** fround, and froundnx, which also says when the value has changed. */
function roundToIntegral(format: FpFormat, pattern: bigint, rm: number, reportsInexact: boolean): Outcome {
  const x = unpack(format, pattern);
  if (x.kind === 'nan') return nan(format, x);
  if (x.kind === 'infinity') return noFlags(pattern);
  const { magnitude, inexact } = roundToUnit(x.number, 0, rm);
  const flags = inexact && reportsInexact ? FLAGS.inexact : 0;
  if (magnitude === 0n) return { value: zeroPattern(format, x.negative), flags };
  return { value: round(format, exact(x.negative, magnitude, 0), rm).value, flags };
}

/**
 * One operation. `args` are patterns of the format (of `from` for cvt; an integer's 64 bits for fromInt); rm is 0..4.
 * The value is an unsigned pattern as wide as the format; toInt and cvtmod give 64 bits, comparisons 0 or 1.
 */
export function fpEvaluate(operation: FpOperation, args: readonly bigint[], rm: number): Outcome {
  const { fp, format, from, int } = operation;
  const [a = 0n, b = 0n, c = 0n] = args;
  const [x, y, z] = [unpack(format, a), unpack(format, b), unpack(format, c)];
  switch (fp) {
    case 'add':
      return add(format, x, y, rm);
    case 'sub':
      return add(format, x, negated(y), rm);
    case 'mul':
      return multiply(format, x, y, rm);
    case 'div':
      return divide(format, x, y, rm);
    case 'sqrt':
      return squareRoot(format, x, rm);
    case 'fma':
      return fusedMultiplyAdd(format, x, y, z, rm);
    case 'min':
      return extremum(format, args, false, true);
    case 'max':
      return extremum(format, args, true, true);
    case 'minm':
      return extremum(format, args, false, false);
    case 'maxm':
      return extremum(format, args, true, false);
    case 'eq':
      return compare(x, y, true, (sign) => sign === 0);
    case 'lt':
      return compare(x, y, false, (sign) => sign < 0);
    case 'le':
      return compare(x, y, false, (sign) => sign <= 0);
    case 'ltq':
      return compare(x, y, true, (sign) => sign < 0);
    case 'leq':
      return compare(x, y, true, (sign) => sign <= 0);
    case 'toInt':
      return toInteger(int ?? 'l', x, rm);
    case 'fromInt':
      return fromInteger(format, int ?? 'l', a, rm);
    case 'cvt':
      return convert(format, unpack(from ?? format, a), rm);
    case 'round':
      return roundToIntegral(format, a, rm, false);
    case 'roundnx':
      return roundToIntegral(format, a, rm, true);
    case 'cvtmod':
      return toIntegerModulo(x);
  }
}

/** fclass.fmt: one of ten bits (unprivileged specification, table 29). */
export function fclass(format: FpFormat, pattern: bigint): bigint {
  const x = unpack(format, pattern);
  if (x.kind === 'nan') return x.signalling ? 1n << 8n : 1n << 9n;
  if (x.kind === 'infinity') return x.negative ? 1n << 0n : 1n << 7n;
  if (isZero(x)) return x.negative ? 1n << 3n : 1n << 4n;
  const isSubnormal = bitLength(x.number.magnitude) <= SHAPES[format].fractionBits;
  if (x.negative) return isSubnormal ? 1n << 2n : 1n << 1n;
  return isSubnormal ? 1n << 5n : 1n << 6n;
}

/** fli.fmt's constants (Zfa, table 24.1): index 1 is the smallest normal number. */
const FLI_VALUES: readonly (number | 'smallest' | 'nan')[] = [
  ...[-1, 'smallest' as const, 2 ** -16, 2 ** -15, 2 ** -8, 2 ** -7, 0.0625, 0.125],
  ...[0.25, 0.3125, 0.375, 0.4375, 0.5, 0.625, 0.75, 0.875],
  ...[1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4],
  ...[8, 16, 128, 256, 2 ** 15, 2 ** 16, Number.POSITIVE_INFINITY, 'nan' as const],
];

/** fli.fmt's constant as a pattern of the format; 2^16 is infinity in half precision. */
export function fli(format: FpFormat, index: number): bigint {
  const value = FLI_VALUES[index] ?? 'nan';
  if (value === 'nan') return canonicalNan(format);
  if (value === 'smallest') return 1n << BigInt(SHAPES[format].fractionBits);
  const pattern = new BigUint64Array(Float64Array.of(value).buffer)[0] ?? 0n;
  return convert(format, unpack('d', pattern), ROUND.nearestEven).value;
}
