/**
 * Multiplication and addition with one rounding, in translated code: on the host's relaxed_madd, and as on a host that
 * has none. Operands are hard ones: sums that cancel, ties, results about the smallest normal number. Values and flags
 * against soft-float. BOTTOMHALF_FUZZ_PROGRAMS: how many times 2000 of them, BOTTOMHALF_FUZZ_SEED as for the others.
 */
import { describe, expect, it } from 'vitest';
import { hasFusedMultiplyAdd } from '../../src/hart/fused.ts';
import { assemble } from '../../src/isa/asm.ts';
import { type CompileJob, LocalCompiler } from '../../src/jit/compile.ts';
import { RegionTranslator } from '../../src/jit/translator.ts';
import { setEngineFlags } from '../../src/vm-modules.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { loadSoftFloat } from './adapter.ts';
import { hardArguments, Random } from './operands.ts';

setEngineFlags();

const BASE = 0x8000_0000;
const CASES = 2000;
const TIMES = Math.ceil(Number(process.env.BOTTOMHALF_FUZZ_PROGRAMS ?? 16) / 16);
const SEED = Number(process.env.BOTTOMHALF_FUZZ_SEED ?? 1);
const NX = 1;
/** Offsets from the program's start. */
const [OPERANDS, RESULTS] = [0x1000, 0x1_8000];
const EAGER = { traceInterval: 1, threshold: 1, batch: 1, urgent: 1, everything: true, minInsnsPerVisit: 0 };

/** By format: how a case is loaded and stored. */
const FORMATS = { s: { letter: 'w', box: -1n << 32n }, d: { letter: 'd', box: 0n } } as const;
/** One less the least there is, times the smallest normal number: tiny, and rounded to that number. Plus zero. */
const TINY = { s: [0x3f7f_ffffn, 0x80_0000n, 0n], d: [0x3fef_ffff_ffff_ffffn, 0x10_0000_0000_0000n, 0n] } as const;
/** Signs of the product and of the addend. */
const SIGNS = { fmadd: [1, 1], fmsub: [1, -1], fnmsub: [-1, 1], fnmadd: [-1, -1] } as const;

class Compiler extends LocalCompiler {
  readonly #mayFuse: boolean;

  constructor(mayFuse: boolean) {
    super();
    this.#mayFuse = mayFuse;
  }

  override submit(job: CompileJob): void {
    super.submit(job.map((text) => ({ ...text, mayFuse: this.#mayFuse, checksExact: false })));
  }
}

const { evaluator } = loadSoftFloat();

it('the host fuses: all processors do that Intel and AMD have made since 2013, and all 64-bit ARM ones', () => {
  expect(hasFusedMultiplyAdd()).toBe(true);
});

describe.each([true, false])('with the host fusing: %s', (mayFuse) => {
  it.each(['s', 'd'] as const)('format %s', (format) => {
    for (const name of ['fmadd', 'fmsub', 'fnmsub', 'fnmadd'] as const) {
      for (let time = 0; time < TIMES; time++) expect(run(name, format, mayFuse, SEED + time)).toEqual([]);
    }
  });
});

/** @returns the first cases that differ, as text */
function run(name: keyof typeof SIGNS, format: 's' | 'd', mayFuse: boolean, seed: number): string[] {
  const { letter, box } = FORMATS[format];
  const multiply = evaluator({ fp: 'mul', format, from: null, int: null });
  const fma = evaluator({ fp: 'fma', format, from: null, int: null });
  const product = (a: bigint, b: bigint): bigint => multiply([a, b], 0).value;
  const random = new Random(seed);
  const sign = format === 'd' ? 1n << 63n : 1n << 31n;
  const cases = Array.from({ length: CASES }, (_, i) =>
    i === 0 ? TINY[format] : hardArguments(random, { fp: 'fma', format, from: null, int: null }, product),
  );
  const translators: RegionTranslator[] = [];
  const machine = new InterpreterMachine('none', (place) => {
    const translator = new RegionTranslator(place, EAGER, new Compiler(mayFuse));
    translators.push(translator);
    return translator;
  });
  // Twice, the second time in translated code. NX is set before each, so that nothing but the value decides.
  const { bytes } = assemble(
    `
    csrr t0, mstatus
    li t1, 0x6000
    or t0, t0, t1
    csrw mstatus, t0
    li s0, 2
    round:
    li a0, ${BASE + OPERANDS}
    li a1, ${BASE + RESULTS}
    li a2, ${CASES}
    again:
    csrwi fflags, ${NX}
    j compute
    compute:
    fl${letter} fa0, 0(a0)
    fl${letter} fa1, 8(a0)
    fl${letter} fa2, 16(a0)
    ${name}.${format} fa0, fa0, fa1, fa2
    fsd fa0, 0(a1)
    csrr a3, fflags
    sd a3, 8(a1)
    addi a0, a0, 24
    addi a1, a1, 16
    addi a2, a2, -1
    bnez a2, again
    addi s0, s0, -1
    bnez s0, round
    end: j end
    `,
    { base: BASE },
  );
  const image = new Uint8Array(RESULTS);
  image.set(bytes);
  const view = new DataView(image.buffer);
  cases.flat().forEach((pattern, i) => {
    view.setBigUint64(OPERANDS + 8 * i, pattern, true);
  });
  machine.load({ image, base: BigInt(BASE) });
  machine.step(2 * CASES * 16);
  for (const translator of translators) {
    translator.review();
    expect(translator.statistics.executed).toBeGreaterThan(8 * CASES);
  }
  const results = new DataView(machine.memory(RESULTS, 16 * CASES).buffer);
  const [ofProduct, ofAddend] = SIGNS[name];
  return cases
    .flatMap(([a = 0n, b = 0n, c = 0n], i) => {
      const args = [ofProduct < 0 ? a ^ sign : a, b, ofAddend < 0 ? c ^ sign : c];
      const { value, flags } = fma(args, 0);
      const want = [BigInt.asUintN(64, value | box), BigInt(flags | NX)];
      const got = [results.getBigUint64(16 * i, true), results.getBigUint64(16 * i + 8, true)];
      const text = (words: readonly bigint[]): string => words.map((word) => word.toString(16)).join(' ');
      return text(want) === text(got) ? [] : [`${name}.${format} ${text(args)}: ${text(got)}, not ${text(want)}`];
    })
    .slice(0, 5);
}
