/**
 * Addition, multiplication, division, square root and fused multiply-add (unprivileged specification, F 11.6), exact,
 * in every format and rounding mode. Arguments and results are patterns; rm is 0..4.
 */
import {
  bias,
  DZ,
  exponent,
  infinity,
  isInfinite,
  isNan,
  isNegative,
  isSignalling,
  isZero,
  magnitude,
  NV,
  RDN,
  signBit,
  significand,
  zero,
} from './float-format';
import { invalid, normaliseRoundPack, quietNaN, roundPack, shiftRightJam } from './float-round';
import { raise } from './fp-gate';

function addSpecial<F>(a: u64, b: u64): u64 {
  if (isNan<F>(a) || isNan<F>(b)) return quietNaN<F>(a, b);
  if (isInfinite<F>(a) && isInfinite<F>(b) && a !== b) return invalid<F>();
  return isInfinite<F>(a) ? a : b;
}

export function add<F>(a: u64, b: u64, rm: u32): u64 {
  if (magnitude<F>(a) < magnitude<F>(b)) {
    const larger = b;
    b = a;
    a = larger;
  }
  if (magnitude<F>(a) >= infinity<F>()) return addSpecial<F>(a, b);
  if (isZero<F>(b)) {
    if (!isZero<F>(a) || a === b) return a;
    return zero<F>(rm === RDN);
  }
  const negative = isNegative<F>(a);
  const high = exponent<F>(a);
  const addend = shiftRightJam(significand<F>(b), high - exponent<F>(b));
  if (negative === isNegative<F>(b)) {
    return normaliseRoundPack<F>(negative, high, significand<F>(a) + addend, rm);
  }
  const difference = significand<F>(a) - addend;
  if (difference === 0) return zero<F>(rm === RDN);
  return normaliseRoundPack<F>(negative, high, difference, rm);
}

export function sub<F>(a: u64, b: u64, rm: u32): u64 {
  return add<F>(a, b ^ signBit<F>(), rm);
}

/** The high 64 bits of the product. */
function multiplyHigh(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >> 32;
  const cross = aHigh * bLow + ((aLow * bLow) >> 32);
  const middle = aLow * bHigh + (cross & 0xffffffff);
  return aHigh * bHigh + (cross >> 32) + (middle >> 32);
}

export function mul<F>(a: u64, b: u64, rm: u32): u64 {
  const negative = isNegative<F>(a) !== isNegative<F>(b);
  if (magnitude<F>(a) >= infinity<F>() || magnitude<F>(b) >= infinity<F>()) {
    if (isNan<F>(a) || isNan<F>(b)) return quietNaN<F>(a, b);
    if (isZero<F>(a) || isZero<F>(b)) return invalid<F>();
    return zero<F>(negative) | infinity<F>();
  }
  if (isZero<F>(a) || isZero<F>(b)) return zero<F>(negative);
  const x = significand<F>(a) << 1;
  const y = significand<F>(b) << 1;
  const product = multiplyHigh(x, y) | (x * y !== 0 ? 1 : 0);
  return normaliseRoundPack<F>(negative, exponent<F>(a) + exponent<F>(b) - bias<F>(), product, rm);
}

function divSpecial<F>(a: u64, b: u64, negative: bool): u64 {
  if (isNan<F>(a) || isNan<F>(b)) return quietNaN<F>(a, b);
  if (isInfinite<F>(a)) return isInfinite<F>(b) ? invalid<F>() : zero<F>(negative) | infinity<F>();
  if (isInfinite<F>(b)) return zero<F>(negative);
  if (!isZero<F>(b)) return zero<F>(negative);
  if (isZero<F>(a)) return invalid<F>();
  raise(DZ);
  return zero<F>(negative) | infinity<F>();
}

export function div<F>(a: u64, b: u64, rm: u32): u64 {
  const negative = isNegative<F>(a) !== isNegative<F>(b);
  if (magnitude<F>(a) >= infinity<F>() || magnitude<F>(b) >= infinity<F>() || isZero<F>(a) || isZero<F>(b)) {
    return divSpecial<F>(a, b, negative);
  }
  let quotientExponent = exponent<F>(a) - exponent<F>(b) + bias<F>();
  // 53-bit integers, so that native division gives the quotient's first 53 bits, off by one at most.
  let x = significand<F>(a) >> 10;
  const y = significand<F>(b) >> 10;
  if (x < y) {
    x <<= 1;
    quotientExponent -= 1;
  }
  let quotient = <u64>((<f64>x / <f64>y) * <f64>((<u64>1) << 52));
  // Modulo 2^64; the true remainder is smaller than y.
  let remainder = (x << 52) - quotient * y;
  if (<i64>remainder < 0) {
    quotient -= 1;
    remainder += y;
  }
  const scaled = remainder << 10;
  const more = scaled / y;
  const sig = (quotient << 10) | more | (more * y !== scaled ? 1 : 0);
  return roundPack<F>(negative, quotientExponent, sig, rm);
}

export function sqrt<F>(a: u64, rm: u32): u64 {
  if (isNan<F>(a)) return quietNaN<F>(a, a);
  if (isZero<F>(a)) return a;
  if (isNegative<F>(a)) return invalid<F>();
  if (isInfinite<F>(a)) return a;
  const unbiased = exponent<F>(a) - bias<F>();
  // x = significand * 2^52 (* 2 where the exponent is odd): an integer of 53 or 54 bits that a double holds.
  const x = (significand<F>(a) >> 10) << (<u64>(unbiased & 1));
  let root = <u64>NativeMath.sqrt(<f64>x * <f64>((<u64>1) << 52));
  // Modulo 2^64; the true remainder lies between -root and 2 * root.
  let remainder = (x << 52) - root * root;
  if (<i64>remainder < 0) {
    root -= 1;
    remainder += 2 * root + 1;
  }
  // The root's fraction is above one half where (root + 1/2)^2 = root^2 + root + 1/4 is below x; it is never one half.
  const sig = (root << 10) | (remainder > root ? 1 << 9 : 0) | (remainder !== 0 ? 1 : 0);
  return roundPack<F>(false, (unbiased >> 1) + bias<F>(), sig, rm);
}

/** The high word of (high:low) / 2^count. */
function shiftRightHigh(high: u64, count: i32): u64 {
  return count > 63 ? 0 : high >> <u64>count;
}

/** The low word of (high:low) / 2^count, jammed. */
function shiftRightLowJam(high: u64, low: u64, count: i32): u64 {
  if (count === 0) return low;
  if (count < 64) return shiftRightJam(low, count) | (high << (<u64>(64 - count)));
  return shiftRightJam(high, count - 64) | (low !== 0 ? 1 : 0);
}

/** Rounds (high:low) / 2^124 * 2^(exponent - bias), not zero and below 2^127. */
function roundPackWide<F>(negative: bool, exponent: i32, high: u64, low: u64, rm: u32): u64 {
  const zeros = high !== 0 ? <i32>clz<u64>(high) : 64 + <i32>clz<u64>(low);
  const shift = <u64>(zeros - 1);
  let sig: u64;
  if (shift === 0) sig = high | (low !== 0 ? 1 : 0);
  else if (shift < 64) sig = (high << shift) | (low >> (64 - shift)) | (low << shift !== 0 ? 1 : 0);
  else sig = low << (shift - 64);
  return roundPack<F>(negative, exponent + 3 - zeros, sig, rm);
}

function fmaSpecial<F>(a: u64, b: u64, c: u64, productNegative: bool): u64 {
  const isInfiniteByZero = (isInfinite<F>(a) && isZero<F>(b)) || (isZero<F>(a) && isInfinite<F>(b));
  // Invalid even where c is a quiet NaN.
  if (isInfiniteByZero) return invalid<F>();
  if (isNan<F>(a) || isNan<F>(b) || isNan<F>(c)) {
    if (isSignalling<F>(c)) raise(NV);
    return quietNaN<F>(a, b);
  }
  if (isInfinite<F>(a) || isInfinite<F>(b)) return addSpecial<F>(zero<F>(productNegative) | infinity<F>(), c);
  return c;
}

export function fma<F>(a: u64, b: u64, c: u64, rm: u32): u64 {
  let negative = isNegative<F>(a) !== isNegative<F>(b);
  const limit = infinity<F>();
  if (magnitude<F>(a) >= limit || magnitude<F>(b) >= limit || magnitude<F>(c) >= limit) {
    return fmaSpecial<F>(a, b, c, negative);
  }
  if (isZero<F>(a) || isZero<F>(b)) return add<F>(zero<F>(negative), c, rm);
  if (isZero<F>(c)) return mul<F>(a, b, rm);
  const x = significand<F>(a);
  const y = significand<F>(b);
  // Both terms as 128-bit integers with the leading bit at 124, the product's perhaps at 125.
  let high = multiplyHigh(x, y);
  let low = x * y;
  let addendHigh = significand<F>(c) >> 2;
  let addendLow: u64 = significand<F>(c) << 62;
  let sumExponent = exponent<F>(a) + exponent<F>(b) - bias<F>();
  const distance = sumExponent - exponent<F>(c);
  // Neither term's last bit is below 20: what is jammed is far below whatever a cancellation leaves.
  if (distance >= 0) {
    addendLow = shiftRightLowJam(addendHigh, addendLow, distance);
    addendHigh = shiftRightHigh(addendHigh, distance);
  } else {
    low = shiftRightLowJam(high, low, -distance);
    high = shiftRightHigh(high, -distance);
    sumExponent = exponent<F>(c);
  }
  if (negative === isNegative<F>(c)) {
    const sumLow = low + addendLow;
    const carry: u64 = sumLow < low ? 1 : 0;
    return roundPackWide<F>(negative, sumExponent, high + addendHigh + carry, sumLow, rm);
  }
  if (high === addendHigh && low === addendLow) return zero<F>(rm === RDN);
  let differenceHigh = high - addendHigh - (low < addendLow ? 1 : 0);
  let differenceLow = low - addendLow;
  if (<i64>differenceHigh < 0) {
    negative = !negative;
    differenceLow = 0 - differenceLow;
    differenceHigh = ~differenceHigh + (differenceLow === 0 ? 1 : 0);
  }
  return roundPackWide<F>(negative, sumExponent, differenceHigh, differenceLow, rm);
}
