/**
 * The soft-float code of the runtime module against the BigInt oracle: every operation, format and rounding mode, on
 * all pairs of special values and on seeded hard operands.
 */
import { describe, expect, it } from 'vitest';
import { fclass, fli, fpEvaluate } from '../../src/hart/reference/float.ts';
import { FP_OPS } from '../../src/isa/ir.ts';
import { loadSoftFloat } from './adapter.ts';
import { allCases, arity, type Case, exportName, hardArguments, operand, Random, specials } from './operands.ts';

const SEED = 0x5eed;
/** Random cases of one operation in one rounding mode; more by FLOAT_CASES in the environment. */
const CASES = Number(process.env.FLOAT_CASES ?? 150);
const ROUNDING_MODES = [0, 1, 2, 3, 4] as const;
const FORMATS = ['h', 's', 'd'] as const;
const { runtime, evaluator } = loadSoftFloat();

const hex = (values: readonly bigint[]): string => values.map((value) => `0x${value.toString(16)}`).join(', ');

/** All arguments out of the special values, three of them out of a third of these. */
function specialArguments({ fp, format, from }: Case): bigint[][] {
  if (fp === 'fromInt') return [0n, 1n, (1n << 64n) - 1n, 1n << 63n, 1n << 31n, (1n << 31n) - 1n].map((n) => [n]);
  const all = specials(from ?? format);
  if (arity(fp) === 1) return all.map((a) => [a]);
  if (arity(fp) === 2) return all.flatMap((a) => all.map((b) => [a, b]));
  const some = all.filter((_, index) => index % 3 === 0);
  return some.flatMap((a) => some.flatMap((b) => some.map((c) => [a, b, c])));
}

describe.each(allCases(FP_OPS).map((operation) => [exportName(operation), operation] as const))(
  '%s',
  (_, operation) => {
    const evaluate = evaluator(operation);
    const check = (args: readonly bigint[], rm: number): void => {
      const got = evaluate(args, rm);
      const want = fpEvaluate(operation, args, rm);
      if (got.value === want.value && got.flags === want.flags) return;
      const show = (o: { value: bigint; flags: number }): string => `${hex([o.value])} flags ${o.flags}`;
      expect.fail(`(${hex(args)}) in mode ${rm} gave ${show(got)}, not ${show(want)}`);
    };

    it('agrees with the oracle on special values', () => {
      for (const args of specialArguments(operation)) check(args, 0);
      for (const args of specialArguments(operation).filter((_, i) => arity(operation.fp) < 3 || i % 5 === 0)) {
        for (const rm of ROUNDING_MODES.slice(1)) check(args, rm);
      }
    });

    it(`agrees with the oracle on hard operands (seed ${SEED})`, () => {
      const random = new Random(SEED);
      const { format } = operation;
      const product = (a: bigint, b: bigint): bigint =>
        fpEvaluate({ fp: 'mul', format, from: null, int: null }, [a, b], 0).value;
      for (let i = 0; i < CASES; i++) {
        const args = hardArguments(random, operation, product);
        for (const rm of ROUNDING_MODES) check(args, rm);
      }
    });
  },
);

describe.each(FORMATS)('format %s', (format) => {
  it('classifies', () => {
    const random = new Random(SEED);
    const classify = runtime.call(`${format}_fclass`);
    const patterns = [...specials(format), ...Array.from({ length: 500 }, () => operand(random, format))];
    for (const pattern of patterns) {
      const carried = format === 'd' ? BigInt.asIntN(64, pattern) : Number(pattern) | 0;
      expect(BigInt(classify(carried)), hex([pattern])).toBe(fclass(format, pattern));
    }
  });

  it("gives fli's constants and raises nothing", () => {
    runtime.set('fflags', 0);
    const constant = runtime.call(`${format}_fli`);
    for (let index = 0; index < 32; index++) {
      expect(BigInt.asUintN(format === 'd' ? 64 : 32, BigInt(constant(index))), `${index}`).toBe(fli(format, index));
    }
    expect(runtime.get('fflags')).toBe(0n);
  });
});
