/**
 * Numbers of the floating-point oracle: bit patterns (IEEE 754-2019, 3.4) to exact numbers and, with one rounding
 * function, back. Written to be read against the standard, not to be fast.
 */
import type { FpFormat } from '../../isa/ir.ts';

export const FLAGS = { inexact: 1, underflow: 2, overflow: 4, divideByZero: 8, invalid: 16 } as const;
/** Rounding modes as frm numbers them: to nearest even, to zero, down, up, to nearest with ties away from zero. */
export const ROUND = { nearestEven: 0, toZero: 1, down: 2, up: 3, nearestAway: 4 } as const;

export interface FormatShape {
  readonly widthBits: number;
  /** Width of the fraction field. */
  readonly fractionBits: number;
  /** Exponent of the smallest normal number, 2^minExponent. */
  readonly minExponent: number;
  /** Exponent of the largest numbers, below 2^(maxExponent + 1). */
  readonly maxExponent: number;
}

export const SHAPES: Readonly<Record<FpFormat, FormatShape>> = {
  h: { widthBits: 16, fractionBits: 10, minExponent: -14, maxExponent: 15 },
  s: { widthBits: 32, fractionBits: 23, minExponent: -126, maxExponent: 127 },
  d: { widthBits: 64, fractionBits: 52, minExponent: -1022, maxExponent: 1023 },
};

/** magnitude * 2^exponent; where `sticky`, a little more, but less than (magnitude + 1) * 2^exponent. */
export interface Exact {
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly exponent: number;
  readonly sticky: boolean;
}

export type Unpacked =
  | { readonly kind: 'nan'; readonly signalling: boolean }
  | { readonly kind: 'infinity'; readonly negative: boolean }
  /** Zero too, with its sign. */
  | { readonly kind: 'finite'; readonly negative: boolean; readonly number: Exact };

export interface Outcome {
  /** A pattern of the result's format, a truth value, or an integer as an unsigned 64-bit pattern. */
  readonly value: bigint;
  /** FLAGS bits. */
  readonly flags: number;
}

export function exact(negative: boolean, magnitude: bigint, exponent: number, sticky = false): Exact {
  return { negative, magnitude, exponent, sticky };
}

/** x as signed numerator over 2^-exponent, for an exponent not above that of x. */
export function scaledTo(x: Exact, exponent: number): bigint {
  const scaled = x.magnitude << BigInt(x.exponent - exponent);
  return x.negative ? -scaled : scaled;
}

export function bitLength(n: bigint): number {
  return n === 0n ? 0 : n.toString(2).length;
}

export function unpack(format: FpFormat, pattern: bigint): Unpacked {
  const { widthBits, fractionBits, minExponent, maxExponent } = SHAPES[format];
  const fraction = BigInt.asUintN(fractionBits, pattern);
  const field = Number((pattern >> BigInt(fractionBits)) & ((1n << BigInt(widthBits - 1 - fractionBits)) - 1n));
  const negative = ((pattern >> BigInt(widthBits - 1)) & 1n) === 1n;
  if (field === maxExponent - minExponent + 2) {
    if (fraction === 0n) return { kind: 'infinity', negative };
    return { kind: 'nan', signalling: ((fraction >> BigInt(fractionBits - 1)) & 1n) === 0n };
  }
  const hidden = field === 0 ? 0n : 1n << BigInt(fractionBits);
  const exponent = minExponent + Math.max(field - 1, 0) - fractionBits;
  return { kind: 'finite', negative, number: exact(negative, fraction | hidden, exponent) };
}

function withSign(format: FpFormat, negative: boolean, magnitude: bigint): bigint {
  return negative ? magnitude | (1n << BigInt(SHAPES[format].widthBits - 1)) : magnitude;
}

export function zeroPattern(format: FpFormat, negative: boolean): bigint {
  return withSign(format, negative, 0n);
}

export function infinityPattern(format: FpFormat, negative: boolean): bigint {
  const { widthBits, fractionBits } = SHAPES[format];
  const exponentOnes = (1n << BigInt(widthBits - 1 - fractionBits)) - 1n;
  return withSign(format, negative, exponentOnes << BigInt(fractionBits));
}

/** The only NaN that operations make: positive, quiet, no payload (unprivileged specification, F 11.3). */
export function canonicalNan(format: FpFormat): bigint {
  return infinityPattern(format, false) | (1n << BigInt(SHAPES[format].fractionBits - 1));
}

/** x rounded to a multiple of 2^unit, as magnitude over 2^unit. */
export function roundToUnit(x: Exact, unit: number, rm: number): { magnitude: bigint; inexact: boolean } {
  // Two more bits than asked for: the half, and whether anything lies below it.
  const shift = x.exponent - (unit - 2);
  let scaled: bigint;
  let below = x.sticky;
  if (shift >= 0) {
    scaled = x.magnitude << BigInt(shift);
  } else {
    scaled = x.magnitude >> BigInt(-shift);
    below ||= scaled << BigInt(-shift) !== x.magnitude;
  }
  const floor = scaled >> 2n;
  const quarters = Number(scaled & 3n) + (below ? 0.5 : 0);
  const isOdd = (floor & 1n) === 1n;
  const goesUp =
    rm === ROUND.nearestEven
      ? quarters > 2 || (quarters === 2 && isOdd)
      : rm === ROUND.nearestAway
        ? quarters >= 2
        : quarters > 0 && rm === (x.negative ? ROUND.down : ROUND.up);
  return { magnitude: goesUp ? floor + 1n : floor, inexact: quarters > 0 };
}

/** The exponent of x's leading bit; x is not zero. */
function leadingExponent(x: Exact): number {
  return x.exponent + bitLength(x.magnitude) - 1;
}

/** The one rounding function: x, not zero, as a pattern of the format, and the flags of that. */
export function round(format: FpFormat, x: Exact, rm: number): Outcome {
  const { fractionBits, minExponent, maxExponent } = SHAPES[format];
  // First as if the exponent had no bounds: what is below the smallest normal number then is tiny.
  const unboundedUnit = leadingExponent(x) - fractionBits;
  const unbounded = roundToUnit(x, unboundedUnit, rm).magnitude;
  const roundedExponent = unboundedUnit + bitLength(unbounded) - 1;
  if (roundedExponent > maxExponent) {
    const toInfinity =
      rm === ROUND.nearestEven || rm === ROUND.nearestAway || rm === (x.negative ? ROUND.down : ROUND.up);
    const infinity = infinityPattern(format, x.negative);
    return { value: toInfinity ? infinity : infinity - 1n, flags: FLAGS.overflow | FLAGS.inexact };
  }
  const unit = Math.max(unboundedUnit, minExponent - fractionBits);
  const { magnitude, inexact } = roundToUnit(x, unit, rm);
  const isTiny = roundedExponent < minExponent;
  const flags = inexact ? FLAGS.inexact | (isTiny ? FLAGS.underflow : 0) : 0;
  return { value: withSign(format, x.negative, encode(format, magnitude, unit)), flags };
}

/** The fields of magnitude * 2^unit, which the format holds exactly. */
function encode(format: FpFormat, magnitude: bigint, unit: number): bigint {
  const { fractionBits, minExponent } = SHAPES[format];
  // A carry out of the rounding: one bit too many, the lowest of which is zero.
  if (bitLength(magnitude) > fractionBits + 1) return encode(format, magnitude >> 1n, unit + 1);
  const hidden = 1n << BigInt(fractionBits);
  if (magnitude < hidden) return magnitude;
  const field = BigInt(unit + fractionBits - minExponent + 1);
  return (field << BigInt(fractionBits)) | (magnitude - hidden);
}
