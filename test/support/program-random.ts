/** Random choices of the program generator: integers, floating-point patterns and immediates that tend to hurt. */
import type { FpFormat } from '../../src/isa/ir.ts';
import { Prng } from '../../src/util/prng.ts';

const FORMATS: Record<FpFormat, { readonly bits: number; readonly fraction: number }> = {
  h: { bits: 16, fraction: 10 },
  s: { bits: 32, fraction: 23 },
  d: { bits: 64, fraction: 52 },
};

export class ProgramRandom {
  readonly #prng: Prng;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
  }

  below(bound: number): number {
    return this.#prng.below(bound);
  }

  /** True with probability 1/n. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** Uniform over 0..2^bits-1. */
  bits(bits: number): bigint {
    const value = (BigInt(this.#prng.next()) << 32n) | BigInt(this.#prng.next());
    return BigInt.asUintN(bits, value);
  }

  /** An unsigned 64-bit value: an edge, a power of two or one beside it, a word, or anything. */
  hard(): bigint {
    switch (this.below(6)) {
      case 0:
        return BigInt.asUintN(64, this.pick([0n, 1n, -1n, 2n, -2n, 1n << 63n, (1n << 63n) - 1n, 0x7fff_ffffn]));
      case 1:
        return BigInt.asUintN(64, (1n << BigInt(this.below(64))) + BigInt(this.below(3) - 1));
      case 2:
        return BigInt.asUintN(64, -(1n << BigInt(this.below(64))) + BigInt(this.below(3) - 1));
      case 3:
        return BigInt.asUintN(64, BigInt.asIntN(32, this.bits(32)));
      case 4:
        return BigInt(this.below(256));
      default:
        return this.bits(64);
    }
  }

  /** A value that fits 12 bits signed: what one instruction loads. */
  small(): bigint {
    return BigInt.asUintN(64, BigInt(this.below(4096) - 2048));
  }

  /** The 64 bits of an f register: mostly a boxed special of the format, now and then not boxed or anything. */
  float(format: FpFormat): bigint {
    if (this.oneIn(16)) return this.bits(64);
    const { bits } = FORMATS[format];
    const pattern = this.#pattern(format);
    if (bits === 64) return pattern;
    if (this.oneIn(24)) return pattern | (this.bits(64 - bits) << BigInt(bits));
    return BigInt.asUintN(64, -1n << BigInt(bits)) | pattern;
  }

  #pattern(format: FpFormat): bigint {
    const { bits, fraction } = FORMATS[format];
    const exponentBits = bits - 1 - fraction;
    const maxExponent = (1n << BigInt(exponentBits)) - 1n;
    const bias = maxExponent >> 1n;
    const fractionMask = (1n << BigInt(fraction)) - 1n;
    const sign = BigInt(this.below(2)) << BigInt(bits - 1);
    const exponent = this.pick([
      0n,
      0n,
      1n,
      maxExponent,
      maxExponent - 1n,
      bias,
      bias,
      bias + BigInt(this.below(5) - 2),
      bias + BigInt(fraction + this.below(4) - 1),
      bias - BigInt(fraction + this.below(4) - 1),
      // The ranges of the integer types.
      bias + this.pick([30n, 31n, 32n, 62n, 63n, 64n]),
      this.bits(exponentBits),
      this.bits(exponentBits),
    ]);
    const bit = 1n << BigInt(this.below(fraction));
    const mantissa = this.pick([
      0n,
      0n,
      1n,
      fractionMask,
      fractionMask - 1n,
      1n << BigInt(fraction - 1),
      (1n << BigInt(fraction - 1)) + 1n,
      bit,
      bit - 1n,
      fractionMask ^ bit,
      this.bits(fraction),
      this.bits(fraction),
    ]);
    return sign | ((exponent & maxExponent) << BigInt(fraction)) | (mantissa & fractionMask);
  }
}
