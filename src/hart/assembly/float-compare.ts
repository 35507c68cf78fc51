/**
 * Comparisons, minima and maxima, classification and the constants of fli (unprivileged specification, F 11.8, 11.9,
 * Zfa). Arguments and results are patterns.
 */

import { convert } from './float-convert';
import {
  canonicalNaN,
  exponentMax,
  fractionBits,
  infinity,
  isNan,
  isNegative,
  isSignalling,
  magnitude,
  NV,
  RNE,
} from './float-format';
import { quietNaN } from './float-round';
import { raise } from './fp-gate';

/** Whether a comparison with a NaN is to be made; it is then false, and invalid where it signals. */
function isUnordered<F>(a: u64, b: u64, isQuiet: bool): bool {
  if (!isNan<F>(a) && !isNan<F>(b)) return false;
  if (!isQuiet || isSignalling<F>(a) || isSignalling<F>(b)) raise(NV);
  return true;
}

/** A total order on numbers in which -0 is below +0. */
function isBelow<F>(a: u64, b: u64): bool {
  if (isNegative<F>(a) !== isNegative<F>(b)) return isNegative<F>(a);
  return isNegative<F>(a) ? a > b : a < b;
}

function areZeros<F>(a: u64, b: u64): bool {
  return magnitude<F>(a | b) === 0;
}

/** feq: quiet. */
export function equal<F>(a: u64, b: u64): i32 {
  if (isUnordered<F>(a, b, true)) return 0;
  return a === b || areZeros<F>(a, b) ? 1 : 0;
}

/** flt, and quiet fltq. */
export function less<F>(a: u64, b: u64, isQuiet: bool): i32 {
  if (isUnordered<F>(a, b, isQuiet)) return 0;
  return isBelow<F>(a, b) && !areZeros<F>(a, b) ? 1 : 0;
}

/** fle, and quiet fleq. */
export function lessOrEqual<F>(a: u64, b: u64, isQuiet: bool): i32 {
  if (isUnordered<F>(a, b, isQuiet)) return 0;
  return !isBelow<F>(b, a) || areZeros<F>(a, b) ? 1 : 0;
}

/** fmin (fmax): a number before a NaN. */
export function minimum<F>(a: u64, b: u64, isMax: bool): u64 {
  if (isNan<F>(a) || isNan<F>(b)) {
    const nan = quietNaN<F>(a, b);
    if (isNan<F>(a) && isNan<F>(b)) return nan;
    return isNan<F>(a) ? b : a;
  }
  return isBelow<F>(a, b) !== isMax ? a : b;
}

/** fminm (fmaxm): a NaN before a number. */
export function minimumOrNaN<F>(a: u64, b: u64, isMax: bool): u64 {
  if (isNan<F>(a) || isNan<F>(b)) return quietNaN<F>(a, b);
  return isBelow<F>(a, b) !== isMax ? a : b;
}

/** fclass: one of ten bits, from -infinity up to +infinity, then signalling and quiet NaN. */
export function classify<F>(a: u64): i32 {
  if (isNan<F>(a)) return isSignalling<F>(a) ? 1 << 8 : 1 << 9;
  const field = <i32>(magnitude<F>(a) >> <u64>fractionBits<F>());
  // 0 infinite, 1 normal, 2 subnormal, 3 zero; the positive ones are the mirror of the negative ones.
  let kind = 1;
  if (field === exponentMax<F>()) kind = 0;
  else if (field === 0) kind = magnitude<F>(a) === 0 ? 3 : 2;
  return isNegative<F>(a) ? 1 << kind : 1 << (7 - kind);
}

/** fli's table without the entries that depend on the format. */
function fliValue(index: i32): f64 {
  // 0.25, 0.3125, .. 0.4375, then twice and four times as much, then 2, 2.5, 3.
  if (index >= 8 && index <= 22) {
    const scale: f64 = index < 12 ? 0.25 : index < 16 ? 0.5 : index < 20 ? 1 : 2;
    return scale * (1 + 0.25 * <f64>(index & 3));
  }
  switch (index) {
    case 0:
      return -1;
    case 2:
      return 1 / 65536.0;
    case 3:
      return 1 / 32768.0;
    case 4:
      return 1 / 256.0;
    case 5:
      return 1 / 128.0;
    case 6:
      return 0.0625;
    case 7:
      return 0.125;
    case 23:
      return 4;
    case 24:
      return 8;
    case 25:
      return 16;
    case 26:
      return 128;
    case 27:
      return 256;
    case 28:
      return 32768;
    default:
      return 65536;
  }
}

/** fli's constant number index. Half precision has no 65536: there it is infinity. */
export function fliConstant<F>(index: i32): u64 {
  if (index === 1) return (<u64>1) << (<u64>fractionBits<F>());
  if (index === 31) return canonicalNaN<F>();
  if (index === 30 || (index === 29 && sizeof<F>() === 2)) return infinity<F>();
  return convert<F, u64>(reinterpret<u64>(fliValue(index)), RNE);
}
