/**
 * Operands for floating-point tests: the special values of each format, and seeded generators of hard ones (near ties,
 * subnormal boundaries, cancelling sums, extremes of conversions). Everything follows from the seed.
 */

import { SHAPES } from '../../src/hart/reference/float-number.ts';
import type { FpFormat, FpOp, IntKind } from '../../src/isa/ir.ts';

export interface Case {
  readonly fp: FpOp;
  readonly format: FpFormat;
  readonly from: FpFormat | null;
  readonly int: IntKind | null;
}

/** A small generator of 32-bit numbers (xorshift), for repeatable runs. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** An integer from 0 up to below `limit`. */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  bits(count: number): bigint {
    let bits = 0n;
    for (let have = 0; have < count; have += 16) bits = (bits << 16n) | BigInt(this.below(65536));
    return BigInt.asUintN(count, bits);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

const power = (exponent: number): bigint => 1n << BigInt(exponent);

/** Patterns that every operation is tried with, all against all. */
export function specials(format: FpFormat): bigint[] {
  const { widthBits, fractionBits, maxExponent } = SHAPES[format];
  const infinity = BigInt(2 * maxExponent + 1) << BigInt(fractionBits);
  const one = BigInt(maxExponent) << BigInt(fractionBits);
  const normal = power(fractionBits);
  const positive = [
    ...[0n, 1n, 2n, normal >> 1n, normal - 1n, normal, normal + 1n, 2n * normal],
    ...[one - normal - 1n, one - normal, one - 1n, one, one + 1n, one + (normal >> 1n), one + normal],
    ...[infinity - normal, infinity - 1n, infinity, infinity + 1n, infinity + (normal >> 1n), infinity + normal - 1n],
  ];
  return [...positive, ...positive.map((pattern) => pattern | power(widthBits - 1))];
}

/** A fraction whose bits come in runs: near ties and carries are common among them. */
function runs(random: Random, bits: number): bigint {
  const from = random.below(bits + 1);
  const ones = power(from) - power(random.below(from + 1));
  const mixed = random.below(3) === 0 ? ones ^ random.bits(random.below(4)) : ones;
  return BigInt.asUintN(bits, random.below(2) === 0 ? mixed : ~mixed);
}

/** One hard operand of the format. */
export function operand(random: Random, format: FpFormat): bigint {
  const { widthBits, fractionBits, maxExponent } = SHAPES[format];
  if (random.below(16) === 0) return random.pick(specials(format));
  const fieldMost = 2 * maxExponent + 1;
  const field = [
    () => random.below(fieldMost + 1),
    () => random.below(fractionBits + 4),
    () => fieldMost - 1 - random.below(4),
    () => maxExponent - 4 + random.below(8),
    () => maxExponent - fractionBits - 2 + random.below(2 * fractionBits + 4),
  ][random.below(5)]?.() as number;
  const fraction = random.below(2) === 0 ? runs(random, fractionBits) : random.bits(fractionBits);
  const sign = BigInt(random.below(2)) << BigInt(widthBits - 1);
  return sign | (BigInt(Math.min(Math.max(field, 0), fieldMost)) << BigInt(fractionBits)) | fraction;
}

/** A neighbour of the pattern, of either sign: sums with it cancel, quotients are close to one. */
function near(random: Random, format: FpFormat, pattern: bigint): bigint {
  const { widthBits, fractionBits } = SHAPES[format];
  const steps = BigInt(random.below(9) - 4) * (random.below(3) === 0 ? power(fractionBits) : 1n);
  return BigInt.asUintN(widthBits, (pattern + steps) ^ (BigInt(random.below(2)) << BigInt(widthBits - 1)));
}

/** Integers about powers of two, where conversions round and saturate. */
function hardInteger(random: Random): bigint {
  const integer =
    power(random.below(65)) + BigInt(random.below(5) - 2) + (random.below(2) === 0 ? random.bits(12) : 0n);
  return BigInt.asUintN(64, random.below(2) === 0 ? integer : random.below(2) === 0 ? -integer : random.bits(64));
}

/** A pattern of the format close to 2^bits for some width of integers, or to a half. */
function nearIntegerBound(random: Random, format: FpFormat): bigint {
  const { widthBits, fractionBits, maxExponent } = SHAPES[format];
  const exponent = random.pick([-2, -1, 0, 1, 15, 30, 31, 32, 33, 62, 63, 64, 65, fractionBits - 1, fractionBits]);
  const field = BigInt(Math.min(maxExponent + exponent, 2 * maxExponent));
  const steps = BigInt(random.below(9) - 4) << BigInt(random.below(fractionBits));
  const pattern = (field << BigInt(fractionBits)) + steps;
  return BigInt.asUintN(widthBits, pattern | (BigInt(random.below(2)) << BigInt(widthBits - 1)));
}

/** Number of arguments of an operation. */
export function arity(fp: FpOp): number {
  if (fp === 'fma') return 3;
  return ['sqrt', 'toInt', 'fromInt', 'cvt', 'round', 'roundnx', 'cvtmod'].includes(fp) ? 1 : 2;
}

/**
 * Arguments of a hard case. `product` is a times b rounded to nearest: an fma's addend is often close to minus that.
 */
export function hardArguments(
  random: Random,
  { fp, format, from }: Case,
  product: (a: bigint, b: bigint) => bigint,
): bigint[] {
  if (fp === 'fromInt') return [hardInteger(random)];
  const of = from ?? format;
  const a = operand(random, of);
  if (arity(fp) === 1) return [random.below(2) === 0 ? a : nearIntegerBound(random, of)];
  const b = random.below(4) === 0 ? near(random, of, a) : operand(random, of);
  if (arity(fp) === 2) return [a, b];
  return [a, b, random.below(2) === 0 ? near(random, of, product(a, b)) : operand(random, of)];
}

/** Every operation in every format, with every other format or integer it takes. */
export function allCases(operations: readonly FpOp[]): Case[] {
  const formats = ['h', 's', 'd'] as const;
  return operations.flatMap((fp): Case[] => {
    if (fp === 'cvtmod') return [{ fp, format: 'd', from: null, int: null }];
    return formats.flatMap((format): Case[] => {
      if (fp === 'toInt' || fp === 'fromInt') {
        return (['w', 'wu', 'l', 'lu'] as const).map((int) => ({ fp, format, from: null, int }));
      }
      if (fp === 'cvt') {
        return formats.filter((from) => from !== format).map((from) => ({ fp, format, from, int: null }));
      }
      return [{ fp, format, from: null, int: null }];
    });
  });
}

/** The runtime module's name for the operation. */
export function exportName({ fp, format, from, int }: Case): string {
  const suffix = from ?? int;
  return suffix === null ? `${format}_${fp}` : `${format}_${fp}_${suffix}`;
}
