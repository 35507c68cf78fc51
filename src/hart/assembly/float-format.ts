/**
 * Binary floating-point formats (IEEE 754-2019, binary16, binary32, binary64) for the soft-float code.
 *
 * Functions are generic in the format F, named by the unsigned integer as wide as it: u16 (h), u32 (s), u64 (d). What
 * depends on F alone folds into a constant. Patterns travel as u64, high bits zero.
 *
 * A finite number that is not zero has the value significand / 2^62 * 2^(exponent - bias): the significand's leading
 * bit is bit 62, subnormals included, whose exponent is then zero or below.
 */

export const RNE: u32 = 0;
export const RTZ: u32 = 1;
export const RDN: u32 = 2;
export const RUP: u32 = 3;
export const RMM: u32 = 4;

export const NX: u32 = 1;
export const UF: u32 = 2;
export const OF: u32 = 4;
export const DZ: u32 = 8;
export const NV: u32 = 16;

/** Where a significand has its leading bit. */
export const LEADING_BIT: i32 = 62;

/** Bits of the fraction field. */
export function fractionBits<F>(): i32 {
  return sizeof<F>() === 8 ? 52 : sizeof<F>() === 4 ? 23 : 10;
}

/** The exponent field of infinities and NaNs. */
export function exponentMax<F>(): i32 {
  return sizeof<F>() === 8 ? 0x7ff : sizeof<F>() === 4 ? 0xff : 0x1f;
}

export function bias<F>(): i32 {
  return exponentMax<F>() >> 1;
}

export function signBit<F>(): u64 {
  return (<u64>1) << (<u64>(<i32>sizeof<F>() * 8 - 1));
}

/** The pattern of +infinity. */
export function infinity<F>(): u64 {
  return (<u64>exponentMax<F>()) << (<u64>fractionBits<F>());
}

/** The pattern of the canonical NaN: positive, quiet, no payload. */
export function canonicalNaN<F>(): u64 {
  return infinity<F>() | ((<u64>1) << (<u64>(fractionBits<F>() - 1)));
}

export function fractionMask<F>(): u64 {
  return ((<u64>1) << (<u64>fractionBits<F>())) - 1;
}

export function isNegative<F>(a: u64): bool {
  return (a & signBit<F>()) !== 0;
}

/** The pattern of |a|; patterns of magnitudes are ordered as the numbers are. */
export function magnitude<F>(a: u64): u64 {
  return a & (signBit<F>() - 1);
}

export function isNan<F>(a: u64): bool {
  return magnitude<F>(a) > infinity<F>();
}

export function isSignalling<F>(a: u64): bool {
  return isNan<F>(a) && (a & ((<u64>1) << (<u64>(fractionBits<F>() - 1)))) === 0;
}

export function isInfinite<F>(a: u64): bool {
  return magnitude<F>(a) === infinity<F>();
}

export function isZero<F>(a: u64): bool {
  return magnitude<F>(a) === 0;
}

function exponentField<F>(a: u64): i32 {
  return <i32>(magnitude<F>(a) >> <u64>fractionBits<F>());
}

/** The significand of a, leading bit at LEADING_BIT; a is finite and not zero. */
export function significand<F>(a: u64): u64 {
  const fraction = a & fractionMask<F>();
  if (exponentField<F>(a) === 0) return fraction << (clz<u64>(fraction) - 1);
  return (fraction | (fractionMask<F>() + 1)) << (<u64>(LEADING_BIT - fractionBits<F>()));
}

/** The biased exponent of a, as if its range were unbounded below; a is finite and not zero. */
export function exponent<F>(a: u64): i32 {
  const field = exponentField<F>(a);
  if (field !== 0) return field;
  return 1 + LEADING_BIT - fractionBits<F>() - (<i32>clz<u64>(a & fractionMask<F>()) - 1);
}

/** The pattern of a zero. */
export function zero<F>(negative: bool): u64 {
  return negative ? signBit<F>() : 0;
}
