/**
 * Half precision (Zfh, Zfa): binary16 in the low half of an i32 whose high half is zero. What the interpreter calls: each name
 * is the format and the operation (FP_OPS of src/isa/ir.ts). rm is 0..4, flags accrue in the hart's fflags.
 */
import { add, div, fma, mul, sqrt, sub } from './float-arithmetic';
import { classify, equal, fliConstant, less, lessOrEqual, minimum, minimumOrNaN } from './float-compare';
import { convert, fromInteger, fromSigned, roundToIntegral, toInteger } from './float-convert';

export function h_add(a: i32, b: i32, rm: u32): i32 {
  return <i32>add<u16>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function h_sub(a: i32, b: i32, rm: u32): i32 {
  return <i32>sub<u16>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function h_mul(a: i32, b: i32, rm: u32): i32 {
  return <i32>mul<u16>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function h_div(a: i32, b: i32, rm: u32): i32 {
  return <i32>div<u16>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function h_sqrt(a: i32, rm: u32): i32 {
  return <i32>sqrt<u16>(<u64>(<u32>a), rm);
}

export function h_fma(a: i32, b: i32, c: i32, rm: u32): i32 {
  return <i32>fma<u16>(<u64>(<u32>a), <u64>(<u32>b), <u64>(<u32>c), rm);
}

export function h_min(a: i32, b: i32): i32 {
  return <i32>minimum<u16>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function h_max(a: i32, b: i32): i32 {
  return <i32>minimum<u16>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function h_minm(a: i32, b: i32): i32 {
  return <i32>minimumOrNaN<u16>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function h_maxm(a: i32, b: i32): i32 {
  return <i32>minimumOrNaN<u16>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function h_eq(a: i32, b: i32): i32 {
  return equal<u16>(<u64>(<u32>a), <u64>(<u32>b));
}

export function h_lt(a: i32, b: i32): i32 {
  return less<u16>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function h_le(a: i32, b: i32): i32 {
  return lessOrEqual<u16>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function h_ltq(a: i32, b: i32): i32 {
  return less<u16>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function h_leq(a: i32, b: i32): i32 {
  return lessOrEqual<u16>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function h_toInt_w(a: i32, rm: u32): i64 {
  return toInteger<u16>(<u64>(<u32>a), rm, true, 32);
}

export function h_toInt_wu(a: i32, rm: u32): i64 {
  return toInteger<u16>(<u64>(<u32>a), rm, false, 32);
}

export function h_toInt_l(a: i32, rm: u32): i64 {
  return toInteger<u16>(<u64>(<u32>a), rm, true, 64);
}

export function h_toInt_lu(a: i32, rm: u32): i64 {
  return toInteger<u16>(<u64>(<u32>a), rm, false, 64);
}

export function h_fromInt_w(x: i64, rm: u32): i32 {
  return <i32>fromSigned<u16>(<i64>(<i32>x), rm);
}

export function h_fromInt_wu(x: i64, rm: u32): i32 {
  return <i32>fromInteger<u16>(false, <u64>(<u32>x), rm);
}

export function h_fromInt_l(x: i64, rm: u32): i32 {
  return <i32>fromSigned<u16>(x, rm);
}

export function h_fromInt_lu(x: i64, rm: u32): i32 {
  return <i32>fromInteger<u16>(false, <u64>x, rm);
}

export function h_round(a: i32, rm: u32): i32 {
  return <i32>roundToIntegral<u16>(<u64>(<u32>a), rm, false);
}

export function h_roundnx(a: i32, rm: u32): i32 {
  return <i32>roundToIntegral<u16>(<u64>(<u32>a), rm, true);
}

export function h_cvt_s(a: i32, rm: u32): i32 {
  return <i32>convert<u16, u32>(<u64>(<u32>a), rm);
}

export function h_cvt_d(a: i64, rm: u32): i32 {
  return <i32>convert<u16, u64>(<u64>a, rm);
}

export function h_fclass(a: i32): i32 {
  return classify<u16>(<u64>(<u32>a));
}

export function h_fli(index: i32): i32 {
  return <i32>fliConstant<u16>(index);
}
