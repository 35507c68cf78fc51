/**
 * Double precision (D, Zfa): binary64 in an i64. What the interpreter calls: each name
 * is the format and the operation (FP_OPS of src/isa/ir.ts). rm is 0..4, flags accrue in the hart's fflags.
 */
import { add, div, fma, mul, sqrt, sub } from './float-arithmetic';
import { classify, equal, fliConstant, less, lessOrEqual, minimum, minimumOrNaN } from './float-compare';
import { convert, convertModulo, fromInteger, fromSigned, roundToIntegral, toInteger } from './float-convert';

export function d_add(a: i64, b: i64, rm: u32): i64 {
  return <i64>add<u64>(<u64>a, <u64>b, rm);
}

export function d_sub(a: i64, b: i64, rm: u32): i64 {
  return <i64>sub<u64>(<u64>a, <u64>b, rm);
}

export function d_mul(a: i64, b: i64, rm: u32): i64 {
  return <i64>mul<u64>(<u64>a, <u64>b, rm);
}

export function d_div(a: i64, b: i64, rm: u32): i64 {
  return <i64>div<u64>(<u64>a, <u64>b, rm);
}

export function d_sqrt(a: i64, rm: u32): i64 {
  return <i64>sqrt<u64>(<u64>a, rm);
}

export function d_fma(a: i64, b: i64, c: i64, rm: u32): i64 {
  return <i64>fma<u64>(<u64>a, <u64>b, <u64>c, rm);
}

export function d_min(a: i64, b: i64): i64 {
  return <i64>minimum<u64>(<u64>a, <u64>b, false);
}

export function d_max(a: i64, b: i64): i64 {
  return <i64>minimum<u64>(<u64>a, <u64>b, true);
}

export function d_minm(a: i64, b: i64): i64 {
  return <i64>minimumOrNaN<u64>(<u64>a, <u64>b, false);
}

export function d_maxm(a: i64, b: i64): i64 {
  return <i64>minimumOrNaN<u64>(<u64>a, <u64>b, true);
}

export function d_eq(a: i64, b: i64): i32 {
  return equal<u64>(<u64>a, <u64>b);
}

export function d_lt(a: i64, b: i64): i32 {
  return less<u64>(<u64>a, <u64>b, false);
}

export function d_le(a: i64, b: i64): i32 {
  return lessOrEqual<u64>(<u64>a, <u64>b, false);
}

export function d_ltq(a: i64, b: i64): i32 {
  return less<u64>(<u64>a, <u64>b, true);
}

export function d_leq(a: i64, b: i64): i32 {
  return lessOrEqual<u64>(<u64>a, <u64>b, true);
}

export function d_toInt_w(a: i64, rm: u32): i64 {
  return toInteger<u64>(<u64>a, rm, true, 32);
}

export function d_toInt_wu(a: i64, rm: u32): i64 {
  return toInteger<u64>(<u64>a, rm, false, 32);
}

export function d_toInt_l(a: i64, rm: u32): i64 {
  return toInteger<u64>(<u64>a, rm, true, 64);
}

export function d_toInt_lu(a: i64, rm: u32): i64 {
  return toInteger<u64>(<u64>a, rm, false, 64);
}

export function d_fromInt_w(x: i64, rm: u32): i64 {
  return <i64>fromSigned<u64>(<i64>(<i32>x), rm);
}

export function d_fromInt_wu(x: i64, rm: u32): i64 {
  return <i64>fromInteger<u64>(false, <u64>(<u32>x), rm);
}

export function d_fromInt_l(x: i64, rm: u32): i64 {
  return <i64>fromSigned<u64>(x, rm);
}

export function d_fromInt_lu(x: i64, rm: u32): i64 {
  return <i64>fromInteger<u64>(false, <u64>x, rm);
}

export function d_round(a: i64, rm: u32): i64 {
  return <i64>roundToIntegral<u64>(<u64>a, rm, false);
}

export function d_roundnx(a: i64, rm: u32): i64 {
  return <i64>roundToIntegral<u64>(<u64>a, rm, true);
}

export function d_cvt_h(a: i32, rm: u32): i64 {
  return <i64>convert<u64, u16>(<u64>(<u32>a), rm);
}

export function d_cvt_s(a: i32, rm: u32): i64 {
  return <i64>convert<u64, u32>(<u64>(<u32>a), rm);
}

export function d_cvtmod(a: i64): i64 {
  return convertModulo(<u64>a);
}

export function d_fclass(a: i64): i32 {
  return classify<u64>(<u64>a);
}

export function d_fli(index: i32): i64 {
  return <i64>fliConstant<u64>(index);
}
