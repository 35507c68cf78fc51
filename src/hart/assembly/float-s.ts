/**
 * Single precision (F, Zfa): binary32 in an i32. What the interpreter calls: each name
 * is the format and the operation (FP_OPS of src/isa/ir.ts). rm is 0..4, flags accrue in the hart's fflags.
 */
import { add, div, fma, mul, sqrt, sub } from './float-arithmetic';
import { classify, equal, fliConstant, less, lessOrEqual, minimum, minimumOrNaN } from './float-compare';
import { convert, fromInteger, fromSigned, roundToIntegral, toInteger } from './float-convert';

export function s_add(a: i32, b: i32, rm: u32): i32 {
  return <i32>add<u32>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function s_sub(a: i32, b: i32, rm: u32): i32 {
  return <i32>sub<u32>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function s_mul(a: i32, b: i32, rm: u32): i32 {
  return <i32>mul<u32>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function s_div(a: i32, b: i32, rm: u32): i32 {
  return <i32>div<u32>(<u64>(<u32>a), <u64>(<u32>b), rm);
}

export function s_sqrt(a: i32, rm: u32): i32 {
  return <i32>sqrt<u32>(<u64>(<u32>a), rm);
}

export function s_fma(a: i32, b: i32, c: i32, rm: u32): i32 {
  return <i32>fma<u32>(<u64>(<u32>a), <u64>(<u32>b), <u64>(<u32>c), rm);
}

export function s_min(a: i32, b: i32): i32 {
  return <i32>minimum<u32>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function s_max(a: i32, b: i32): i32 {
  return <i32>minimum<u32>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function s_minm(a: i32, b: i32): i32 {
  return <i32>minimumOrNaN<u32>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function s_maxm(a: i32, b: i32): i32 {
  return <i32>minimumOrNaN<u32>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function s_eq(a: i32, b: i32): i32 {
  return equal<u32>(<u64>(<u32>a), <u64>(<u32>b));
}

export function s_lt(a: i32, b: i32): i32 {
  return less<u32>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function s_le(a: i32, b: i32): i32 {
  return lessOrEqual<u32>(<u64>(<u32>a), <u64>(<u32>b), false);
}

export function s_ltq(a: i32, b: i32): i32 {
  return less<u32>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function s_leq(a: i32, b: i32): i32 {
  return lessOrEqual<u32>(<u64>(<u32>a), <u64>(<u32>b), true);
}

export function s_toInt_w(a: i32, rm: u32): i64 {
  return toInteger<u32>(<u64>(<u32>a), rm, true, 32);
}

export function s_toInt_wu(a: i32, rm: u32): i64 {
  return toInteger<u32>(<u64>(<u32>a), rm, false, 32);
}

export function s_toInt_l(a: i32, rm: u32): i64 {
  return toInteger<u32>(<u64>(<u32>a), rm, true, 64);
}

export function s_toInt_lu(a: i32, rm: u32): i64 {
  return toInteger<u32>(<u64>(<u32>a), rm, false, 64);
}

export function s_fromInt_w(x: i64, rm: u32): i32 {
  return <i32>fromSigned<u32>(<i64>(<i32>x), rm);
}

export function s_fromInt_wu(x: i64, rm: u32): i32 {
  return <i32>fromInteger<u32>(false, <u64>(<u32>x), rm);
}

export function s_fromInt_l(x: i64, rm: u32): i32 {
  return <i32>fromSigned<u32>(x, rm);
}

export function s_fromInt_lu(x: i64, rm: u32): i32 {
  return <i32>fromInteger<u32>(false, <u64>x, rm);
}

export function s_round(a: i32, rm: u32): i32 {
  return <i32>roundToIntegral<u32>(<u64>(<u32>a), rm, false);
}

export function s_roundnx(a: i32, rm: u32): i32 {
  return <i32>roundToIntegral<u32>(<u64>(<u32>a), rm, true);
}

export function s_cvt_h(a: i32, rm: u32): i32 {
  return <i32>convert<u32, u16>(<u64>(<u32>a), rm);
}

export function s_cvt_d(a: i64, rm: u32): i32 {
  return <i32>convert<u32, u64>(<u64>a, rm);
}

export function s_fclass(a: i32): i32 {
  return classify<u32>(<u64>(<u32>a));
}

export function s_fli(index: i32): i32 {
  return <i32>fliConstant<u32>(index);
}
