/**
 * Soft-float and oracle against a third opinion: JavaScript's own arithmetic, which is IEEE 754 in double precision to
 * nearest even (Math.fround of a double result is right for one single-precision operation), and worked examples of
 * where RISC-V's exceptions differ from what a naive implementation does.
 */
import { describe, expect, it } from 'vitest';
import { fpEvaluate } from '../../src/hart/reference/float.ts';
import type { FpOp } from '../../src/isa/ir.ts';
import { loadSoftFloat } from './adapter.ts';
import { type Case, operand, Random, specials } from './operands.ts';

const SEED = 0xca5e;
const CASES = 4000;
const { evaluator } = loadSoftFloat();
const words = new DataView(new ArrayBuffer(8));

type Binary = 's' | 'd';

function numberOf(format: Binary, pattern: bigint): number {
  words.setBigUint64(0, pattern);
  return format === 'd' ? words.getFloat64(0) : words.getFloat32(4);
}

function patternOf(format: Binary, value: number): bigint {
  if (Number.isNaN(value)) return format === 'd' ? 0x7ff8000000000000n : 0x7fc00000n;
  words.setBigUint64(0, 0n);
  if (format === 'd') words.setFloat64(0, value);
  else words.setFloat32(4, value);
  return words.getBigUint64(0);
}

const operation = (fp: FpOp, format: Case['format'], more: Partial<Case> = {}): Case => ({
  ...{ fp, format, from: null, int: null },
  ...more,
});

const BINARY: readonly (readonly [FpOp, (x: number, y: number) => number])[] = [
  ['add', (x, y) => x + y],
  ['sub', (x, y) => x - y],
  ['mul', (x, y) => x * y],
  ['div', (x, y) => x / y],
  ['minm', Math.min],
  ['maxm', Math.max],
];
const UNARY: readonly (readonly [FpOp, number, (x: number) => number])[] = [
  ['sqrt', 0, Math.sqrt],
  ['round', 1, Math.trunc],
  ['round', 2, Math.floor],
  ['round', 3, Math.ceil],
];
const RELATIONS: readonly (readonly [FpOp, (x: number, y: number) => boolean])[] = [
  ['eq', (x, y) => x === y],
  ['lt', (x, y) => x < y],
  ['leq', (x, y) => x <= y],
];

function expectBoth(what: Case, args: readonly bigint[], rm: number, want: bigint): void {
  const label = `${what.fp} ${args.map((a) => a.toString(16)).join(' ')}`;
  expect(fpEvaluate(what, args, rm).value, `oracle ${label}`).toBe(want);
  expect(evaluator(what)(args, rm).value, `soft-float ${label}`).toBe(want);
}

describe.each(['s', 'd'] as const)('format %s agrees with JavaScript', (format) => {
  const narrow = (value: number): number => (format === 's' ? Math.fround(value) : value);
  const random = new Random(SEED);
  const pairs = [
    ...specials(format).flatMap((a) => specials(format).map((b) => [a, b] as const)),
    ...Array.from({ length: CASES }, () => [operand(random, format), operand(random, format)] as const),
  ];

  it.each(BINARY)('%s', (fp, compute) => {
    for (const [a, b] of pairs) {
      const want = patternOf(format, narrow(compute(numberOf(format, a), numberOf(format, b))));
      expectBoth(operation(fp, format), [a, b], 0, want);
    }
  });

  it.each(UNARY)('%s in mode %i', (fp, rm, compute) => {
    for (const [, a] of pairs) {
      expectBoth(operation(fp, format), [a], rm, patternOf(format, narrow(compute(numberOf(format, a)))));
    }
  });

  it.each(RELATIONS)('%s', (fp, holds) => {
    for (const [a, b] of pairs) {
      expectBoth(operation(fp, format), [a, b], 0, holds(numberOf(format, a), numberOf(format, b)) ? 1n : 0n);
    }
  });

  it('integer conversions', () => {
    for (const [a] of pairs) {
      const x = numberOf(format, a);
      const isInRange = Math.abs(x) < 2 ** 31;
      const want = isInRange ? Math.trunc(x) : x < 0 ? -(2 ** 31) : 2 ** 31 - 1;
      expectBoth(operation('toInt', format, { int: 'w' }), [a], 1, BigInt.asUintN(64, BigInt(want)));
      if (format === 'd') expectBoth(operation('cvtmod', 'd'), [a], 0, BigInt.asUintN(64, BigInt(x | 0)));
    }
    for (let i = 0; i < CASES && format === 'd'; i++) {
      const integer = BigInt.asIntN(64, random.bits(64) >> BigInt(random.below(64)));
      expectBoth(operation('fromInt', 'd', { int: 'l' }), [integer], 0, patternOf('d', Number(integer)));
    }
  });
});

it('single and double precision convert as Math.fround does', () => {
  const random = new Random(SEED);
  for (let i = 0; i < CASES; i++) {
    const wide = operand(random, 'd');
    expectBoth(operation('cvt', 's', { from: 'd' }), [wide], 0, patternOf('s', numberOf('d', wide)));
    const thin = operand(random, 's');
    expectBoth(operation('cvt', 'd', { from: 's' }), [thin], 0, patternOf('d', numberOf('s', thin)));
  }
});

it('every half-precision number is the double that its fields say, and converts back', () => {
  for (let pattern = 0; pattern < 0x7c00; pattern++) {
    const field = pattern >> 10;
    const fraction = (pattern & 0x3ff) / 1024;
    const value = field === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (field - 15);
    const wide = patternOf('d', value);
    expectBoth(operation('cvt', 'd', { from: 'h' }), [BigInt(pattern)], 0, wide);
    expectBoth(operation('cvt', 'h', { from: 'd' }), [wide], 0, BigInt(pattern));
  }
});

const [NX, UF, OF, NV] = [1, 2, 4, 16];
const NORMAL = 0x0010000000000000n;
const ONE = 0x3ff0000000000000n;
const NAN = 0x7ff8000000000000n;

/** What, arguments, mode, value, flags. */
const EXAMPLES: readonly (readonly [string, Case, readonly bigint[], number, bigint, number])[] = [
  [
    'a product half-way below the smallest normal number is tiny although it becomes that number',
    ...([operation('mul', 'd'), [0x001fffffffffffffn, 0x3fe0000000000000n], 0, NORMAL, UF | NX] as const),
  ],
  [
    'a product that rounds to the smallest normal number without bounds on the exponent is not tiny',
    ...([operation('mul', 'd'), [NORMAL + 1n, ONE - 2n], 0, NORMAL, NX] as const),
  ],
  ['an exact subnormal is no underflow', operation('mul', 'd'), [NORMAL, 0x3fe0000000000000n], 0, NORMAL >> 1n, 0],
  [
    'overflow towards zero stops at the largest number',
    ...([operation('mul', 'd'), [0x7fe0000000000000n, 0x7fe0000000000000n], 1, 0x7fefffffffffffffn, OF | NX] as const),
  ],
  ['infinity by zero is invalid beside a quiet NaN', operation('fma', 'd'), [NAN - (1n << 51n), 0n, NAN], 0, NAN, NV],
  ['a cancelled sum is -0 rounding down', operation('sub', 'd'), [ONE, ONE], 2, 1n << 63n, 0],
  ['fma rounds once', operation('fma', 'd'), [ONE + 1n, ONE + 1n, 0xbff0000000000002n], 0, 0x3970000000000000n, 0],
  ['a NaN payload is not kept', operation('add', 'd'), [0xfff8000000000123n, ONE], 0, NAN, 0],
  ['fmin takes the number', operation('min', 'd'), [0x7ff0000000000001n, ONE], 0, ONE, NV],
  ['fmin takes -0', operation('min', 'd'), [0n, 1n << 63n], 0, 1n << 63n, 0],
  ['a NaN converts to the largest integer', operation('toInt', 'd', { int: 'wu' }), [NAN], 0, (1n << 64n) - 1n, NV],
  ['-0.5 rounds to unsigned 0', operation('toInt', 'd', { int: 'lu' }), [0xbfe0000000000000n], 0, 0n, NX],
  ['-1 is no unsigned number', operation('toInt', 'd', { int: 'lu' }), [ONE | (1n << 63n)], 1, 0n, NV],
  ['fcvtmod wraps, and is invalid', operation('cvtmod', 'd'), [0x41f0000000500000n], 1, 5n, NV],
  ['a large integer overflows half precision', operation('fromInt', 'h', { int: 'l' }), [65520n], 0, 0x7c00n, OF | NX],
];

it.each(EXAMPLES)('%s', (_, what, args, rm, value, flags) => {
  expect(fpEvaluate(what, args, rm)).toEqual({ value, flags });
  expect(evaluator(what)(args, rm)).toEqual({ value, flags });
});
