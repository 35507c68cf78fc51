/**
 * Rounding (IEEE 754-2019, 4.3) and the exceptions that come with it. Tininess is detected after rounding, as RISC-V
 * says (unprivileged specification, F 11.4).
 *
 * "Jam" means: bits shifted out leave a one in the lowest bit if any of them was one. Two bits below the last kept one
 * are then enough to round correctly.
 */
import {
  canonicalNaN,
  exponentMax,
  fractionBits,
  infinity,
  isSignalling,
  LEADING_BIT,
  NV,
  NX,
  OF,
  RDN,
  RMM,
  RNE,
  RUP,
  signBit,
  UF,
} from './float-format';
import { raise } from './fp-gate';

/** value / 2^count, jammed. */
export function shiftRightJam(value: u64, count: i32): u64 {
  if (count === 0) return value;
  if (count > 63) return value !== 0 ? 1 : 0;
  return (value >> <u64>count) | (value << (<u64>(64 - count)) !== 0 ? 1 : 0);
}

/** Whether a magnitude goes up by one, whose dropped part is `dropped` / 2^64. */
export function roundsUp(negative: bool, isOdd: bool, dropped: u64, rm: u32): bool {
  const half: u64 = 1 << 63;
  if (rm === RNE) return dropped > half || (dropped === half && isOdd);
  if (rm === RMM) return dropped >= half;
  return dropped !== 0 && rm === (negative ? RDN : RUP);
}

/** The canonical NaN that an operation on a NaN gives; a signalling one is invalid. */
export function quietNaN<F>(a: u64, b: u64): u64 {
  if (isSignalling<F>(a) || isSignalling<F>(b)) raise(NV);
  return canonicalNaN<F>();
}

/** An invalid operation's result. */
export function invalid<F>(): u64 {
  raise(NV);
  return canonicalNaN<F>();
}

function overflow<F>(negative: bool, rm: u32): u64 {
  raise(OF | NX);
  const toInfinity = rm === RNE || rm === RMM || rm === (negative ? RDN : RUP);
  return (negative ? signBit<F>() : 0) | (toInfinity ? infinity<F>() : infinity<F>() - 1);
}

/** The pattern nearest to sig / 2^62 * 2^(exponent - bias) under rm. Leading bit of sig at LEADING_BIT, jammed. */
export function roundPack<F>(negative: bool, exponent: i32, sig: u64, rm: u32): u64 {
  const spareBits = <u64>(LEADING_BIT - fractionBits<F>());
  const spareMask = ((<u64>1) << spareBits) - 1;
  const half = (<u64>1) << (spareBits - 1);
  let increment: u64 = 0;
  if (rm === RNE || rm === RMM) increment = half;
  else if (rm === (negative ? RDN : RUP)) increment = spareMask;

  let isTiny = false;
  if (exponent <= 0) {
    // Rounded as if the exponent had no bounds, it may still become the smallest normal number.
    isTiny = exponent < 0 || sig + increment < (<u64>1) << (LEADING_BIT + 1);
    sig = shiftRightJam(sig, 1 - exponent);
    exponent = 1;
  } else if (exponent >= exponentMax<F>()) {
    return overflow<F>(negative, rm);
  }
  const dropped = sig & spareMask;
  let rounded = (sig + increment) >> spareBits;
  if (rm === RNE && dropped === half) rounded &= ~(<u64>1);
  // The leading bit adds one to the exponent field: a subnormal number has none, a carry has the next.
  const packed = ((<u64>(exponent - 1)) << (<u64>fractionBits<F>())) + rounded;
  if (packed >= infinity<F>()) return overflow<F>(negative, rm);
  if (dropped !== 0) raise(isTiny ? UF | NX : NX);
  return (negative ? signBit<F>() : 0) | packed;
}

/** The same for a significand that is not zero and may have its leading bit anywhere. */
export function normaliseRoundPack<F>(negative: bool, exponent: i32, sig: u64, rm: u32): u64 {
  const shift = <i32>clz<u64>(sig) - 1;
  if (shift < 0) return roundPack<F>(negative, exponent + 1, shiftRightJam(sig, 1), rm);
  return roundPack<F>(negative, exponent - shift, sig << (<u64>shift), rm);
}
