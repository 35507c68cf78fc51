/**
 * Conversions between formats and to and from integers, fround and fcvtmod (unprivileged specification, F 11.7, D,
 * Zfh, Zfa). Floating-point arguments and results are patterns; rm is 0..4.
 */
import {
  bias,
  canonicalNaN,
  exponent,
  fractionBits,
  infinity,
  isInfinite,
  isNan,
  isNegative,
  isSignalling,
  isZero,
  LEADING_BIT,
  magnitude,
  NV,
  NX,
  RTZ,
  significand,
  zero,
} from './float-format';
import { normaliseRoundPack, quietNaN, roundPack, roundsUp, shiftRightJam } from './float-round';
import { raise } from './fp-gate';

/** Pattern a of format From in format F. */
export function convert<F, From>(a: u64, rm: u32): u64 {
  if (isNan<From>(a)) {
    if (isSignalling<From>(a)) raise(NV);
    return canonicalNaN<F>();
  }
  const negative = isNegative<From>(a);
  if (isInfinite<From>(a)) return zero<F>(negative) | infinity<F>();
  if (isZero<From>(a)) return zero<F>(negative);
  return roundPack<F>(negative, exponent<From>(a) - bias<From>() + bias<F>(), significand<From>(a), rm);
}

/** sig / 2^count without its fraction; a count below zero shifts left, modulo 2^64. */
function shiftToInteger(sig: u64, count: i32): u64 {
  if (count > 0) return count > 63 ? 0 : sig >> <u64>count;
  return count < -63 ? 0 : sig << (<u64>-count);
}

/** The fraction of sig / 2^count, times 2^64, jammed. */
function shiftToFraction(sig: u64, count: i32): u64 {
  if (count <= 0) return 0;
  return count < 64 ? sig << (<u64>(64 - count)) : shiftRightJam(sig, count - 64);
}

/** A two's complement number's low 32 or 64 bits, sign-extended: RISC-V's form of unsigned words too. */
function signExtend(value: u64, bits: i32): i64 {
  return bits === 32 ? <i64>(<i32>value) : <i64>value;
}

/** Pattern a as an integer of 32 or 64 bits. Out of range gives the nearest bound, a NaN the largest number. */
export function toInteger<F>(a: u64, rm: u32, isSigned: bool, bits: i32): i64 {
  if (isZero<F>(a)) return 0;
  const negative = isNegative<F>(a) && !isNan<F>(a);
  let limit: u64 = negative ? 0 : ~(<u64>0) >> <u64>(64 - bits);
  if (isSigned) limit = ((<u64>1) << (<u64>(bits - 1))) - (negative ? 0 : 1);

  let integer: u64 = 0;
  let fraction: u64 = 0;
  let isBeyond = magnitude<F>(a) >= infinity<F>() || exponent<F>(a) - bias<F>() > 63;
  if (!isBeyond) {
    const shift = LEADING_BIT + bias<F>() - exponent<F>(a);
    integer = shiftToInteger(significand<F>(a), shift);
    fraction = shiftToFraction(significand<F>(a), shift);
    if (roundsUp(negative, (integer & 1) !== 0, fraction, rm)) integer += 1;
    isBeyond = integer > limit;
  }
  if (isBeyond) {
    raise(NV);
    integer = limit;
  } else if (fraction !== 0) {
    raise(NX);
  }
  return signExtend(negative ? 0 - integer : integer, bits);
}

/** fcvtmod.w.d: towards zero, modulo 2^32, with the flags of fcvt.w.d; infinities and NaNs give 0. */
export function convertModulo(a: u64): i64 {
  toInteger<u64>(a, RTZ, true, 32);
  if (isNan<u64>(a) || isInfinite<u64>(a) || isZero<u64>(a)) return 0;
  const integer = shiftToInteger(significand<u64>(a), LEADING_BIT + bias<u64>() - exponent<u64>(a));
  return signExtend(isNegative<u64>(a) ? 0 - integer : integer, 32);
}

/** An integer, given by sign and magnitude, as a pattern. */
export function fromInteger<F>(negative: bool, integer: u64, rm: u32): u64 {
  if (integer === 0) return 0;
  return normaliseRoundPack<F>(negative, bias<F>() + LEADING_BIT, integer, rm);
}

/** A signed integer as a pattern. */
export function fromSigned<F>(integer: i64, rm: u32): u64 {
  return fromInteger<F>(integer < 0, integer < 0 ? 0 - integer : integer, rm);
}

/** a rounded to an integral number of the same format and sign; only froundnx reports that it is another number. */
export function roundToIntegral<F>(a: u64, rm: u32, reportsInexact: bool): u64 {
  if (isNan<F>(a)) return quietNaN<F>(a, a);
  if (isInfinite<F>(a) || isZero<F>(a)) return a;
  const power = exponent<F>(a) - bias<F>();
  if (power >= fractionBits<F>()) return a;
  const negative = isNegative<F>(a);
  let integer = shiftToInteger(significand<F>(a), LEADING_BIT - power);
  const fraction = shiftToFraction(significand<F>(a), LEADING_BIT - power);
  if (fraction === 0) return a;
  if (reportsInexact) raise(NX);
  if (roundsUp(negative, (integer & 1) !== 0, fraction, rm)) integer += 1;
  return zero<F>(negative) | fromInteger<F>(negative, integer, rm);
}
