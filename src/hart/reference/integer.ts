/**
 * The pure integer operations of the IR on unsigned bigints of a width of 32 or 64 bits. Written from the definitions
 * of the unprivileged specification, not for speed.
 */
import type { BinaryOp, UnaryOp } from '../../isa/ir.ts';

/** `bits` is the width of the operands. A comparison gives 0 or 1. */
export function binary(op: BinaryOp, bits: number, a: bigint, b: bigint): bigint {
  const width = BigInt(bits);
  const u = (value: bigint): bigint => BigInt.asUintN(bits, value);
  const s = (value: bigint): bigint => BigInt.asIntN(bits, value);
  const amount = b & (width - 1n);
  const truth = (value: boolean): bigint => (value ? 1n : 0n);
  switch (op) {
    case 'add':
      return u(a + b);
    case 'sub':
      return u(a - b);
    case 'mul':
      return u(a * b);
    case 'and':
      return a & b;
    case 'or':
      return a | b;
    case 'xor':
      return a ^ b;
    case 'shl':
      return u(a << amount);
    case 'shr':
      return a >> amount;
    case 'sar':
      return u(s(a) >> amount);
    case 'rotl':
      return u((a << amount) | (a >> (width - amount)));
    case 'rotr':
      return u((a >> amount) | (a << (width - amount)));
    case 'divS':
      return b === 0n ? u(-1n) : u(s(a) / s(b));
    case 'divU':
      return b === 0n ? u(-1n) : a / b;
    case 'remS':
      return b === 0n ? a : u(s(a) % s(b));
    case 'remU':
      return b === 0n ? a : a % b;
    case 'mulhS':
      return u((s(a) * s(b)) >> width);
    case 'mulhU':
      return u((a * b) >> width);
    case 'mulhSU':
      return u((s(a) * b) >> width);
    case 'clmul':
      return u(carrylessProduct(a, b));
    case 'clmulh':
      return carrylessProduct(a, b) >> width;
    case 'clmulr':
      return u(carrylessProduct(a, b) >> (width - 1n));
    case 'eq':
      return truth(a === b);
    case 'ne':
      return truth(a !== b);
    case 'ltS':
      return truth(s(a) < s(b));
    case 'ltU':
      return truth(a < b);
    case 'geS':
      return truth(s(a) >= s(b));
    case 'geU':
      return truth(a >= b);
  }
}

/** `bits` is the width of the result; of the operand too, except for the conversions. */
export function unary(op: UnaryOp, bits: number, a: bigint): bigint {
  switch (op) {
    case 'clz':
      return BigInt(bits - (a === 0n ? 0 : a.toString(2).length));
    case 'ctz':
      return a === 0n ? BigInt(bits) : BigInt((a & -a).toString(2).length - 1);
    case 'popcnt':
      return BigInt(a.toString(2).replaceAll('0', '').length);
    case 'sext8':
      return BigInt.asUintN(bits, BigInt.asIntN(8, a));
    case 'sext16':
      return BigInt.asUintN(bits, BigInt.asIntN(16, a));
    case 'orcb':
      return fromBytes(bytesOf(a, bits).map((byte) => (byte === 0n ? 0n : 0xffn)));
    case 'rev8':
      return fromBytes(bytesOf(a, bits).reverse());
    case 'wrap':
      return BigInt.asUintN(32, a);
    case 'sext32':
      return BigInt.asUintN(64, BigInt.asIntN(32, a));
    case 'zext32':
      return a;
  }
}

/** The 127-bit product over GF(2). */
function carrylessProduct(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let i = 0n; i < 64n; i++) if (((b >> i) & 1n) === 1n) product ^= a << i;
  return product;
}

/** The least significant byte first. */
function bytesOf(value: bigint, bits: number): bigint[] {
  return Array.from({ length: bits / 8 }, (_, i) => (value >> BigInt(8 * i)) & 0xffn);
}

function fromBytes(bytes: readonly bigint[]): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | byte, 0n);
}
