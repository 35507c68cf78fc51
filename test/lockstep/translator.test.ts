/**
 * Translated code against the interpreter and the reference on generated programs that go through their sections several
 * times, with everything that is jumped to translated at once. Every register, CSR and byte of memory must agree at each
 * stride, the derived state of the hart too. BOTTOMHALF_FUZZ_PROGRAMS and BOTTOMHALF_FUZZ_SEED as for the interpreter.
 */
import { describe, expect, it } from 'vitest';
import type { HartOptions } from '../../src/hart/hart.ts';
import type { RegionCompiler } from '../../src/jit/compile.ts';
import { RegionTranslator } from '../../src/jit/translator.ts';
import { setEngineFlags } from '../../src/vm-modules.ts';
import { generateProgram, type ProgramOptions } from '../support/program-generator.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { ReferenceMachine } from '../support/program-reference.ts';
import { OfferingCompiler, SharingCompiler } from '../support/sharing-compilers.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';
import { compareMachines, type Machine } from './harness.ts';

setEngineFlags();

const PROGRAMS = Number(process.env.BOTTOMHALF_FUZZ_PROGRAMS ?? 16);
const FIRST_SEED = Number(process.env.BOTTOMHALF_FUZZ_SEED ?? 1);
const TIMEOUT_MS = 60_000 + PROGRAMS * 2000;
const EAGER = { traceInterval: 1, threshold: 1, batch: 1, urgent: 1, everything: true, minInsnsPerVisit: 0 };
const IGNORED = new Set(['mcycle', 'minstret', 'mtime', ...TRANSLATOR_STATE]);

type HartAia = NonNullable<HartOptions['aia']>;

interface Translated {
  readonly machine: InterpreterMachine;
  translator(): RegionTranslator;
}

function translated(aia: HartAia = 'none', compiler?: RegionCompiler): Translated {
  let made: RegionTranslator | null = null;
  const machine = new InterpreterMachine(aia, (place) => {
    made = new RegionTranslator(place, EAGER, compiler);
    return made;
  });
  return { machine, translator: () => made ?? expect.fail('no translator was made') };
}

function differences(options: Partial<ProgramOptions>, count: number, other: (o: Partial<ProgramOptions>) => Machine) {
  compare(options, count, translated(options.aia), other(options));
}

function compare(
  options: Partial<ProgramOptions>,
  count: number,
  { machine, translator }: Translated,
  against: Machine,
) {
  let total = 0;
  const found = Array.from({ length: count }, (_, i) => FIRST_SEED + i).flatMap((seed) => {
    const program = generateProgram(seed, { forQemu: false, rounds: 5, pieces: 40, ...options });
    const stride = [256, 1000, 4099, 500][seed % 4] ?? 256;
    const { difference, instructions } = compareMachines(program, against, machine, {
      strideInstructions: stride,
      ignore: IGNORED,
    });
    total += instructions;
    if (difference === null) return [];
    const { afterInstructions, pc, instruction, lines } = difference;
    return [
      `seed ${seed}, stride ${stride}`,
      `after ${afterInstructions}, pc 0x${pc.toString(16)}: ${instruction}`,
      ...lines,
    ];
  });
  expect(found).toEqual([]);
  // Something was translated, or this has shown nothing.
  translator().review();
  expect(translator().statistics.executed).toBeGreaterThan(total / 3);
  expect(translator().statistics.regions).toBeGreaterThan(count);
}

describe('translated code', () => {
  it(
    'agrees with the interpreter in all its state',
    () => differences({}, PROGRAMS, ({ aia }) => new InterpreterMachine(aia)),
    TIMEOUT_MS,
  );

  it(
    'agrees with the reference',
    () => differences({ rounds: 4, pieces: 30 }, Math.ceil(PROGRAMS / 4), () => new ReferenceMachine()),
    TIMEOUT_MS,
  );

  it(
    'agrees on floating point in every rounding mode',
    () =>
      differences(
        { floatOnly: true, sections: 3, pieces: 120 },
        Math.ceil(PROGRAMS / 4),
        () => new InterpreterMachine(),
      ),
    TIMEOUT_MS,
  );

  it.each(['none', 'imsic'] as const)(
    'that was compiled for another hart agrees with that one, aia %s',
    (aia) => {
      const compiler = new SharingCompiler();
      const first = translated(aia, compiler);
      const second = translated(aia, new OfferingCompiler(compiler.done));
      const count = Math.ceil(PROGRAMS / 4);
      compare({ aia }, count, second, first.machine);
      expect(second.translator().statistics.shared).toBe(second.translator().statistics.regions);
    },
    TIMEOUT_MS,
  );

  it(
    'agrees on interrupts of the AIA',
    () => differences({ aia: 'imsic' }, Math.ceil(PROGRAMS / 4), ({ aia }) => new InterpreterMachine(aia)),
    TIMEOUT_MS,
  );
});
