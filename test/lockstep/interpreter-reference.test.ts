/**
 * The WebAssembly interpreter against the reference on generated programs, in lockstep: every register, every CSR and
 * all memory. BOTTOMHALF_FUZZ_PROGRAMS says how many programs, BOTTOMHALF_FUZZ_SEED where to start; a failure names its
 * seed. Needs the build.
 */
import { describe, expect, it } from 'vitest';
import { generateProgram, type ProgramOptions } from '../support/program-generator.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { ReferenceMachine } from '../support/program-reference.ts';
import { compareMachines } from './harness.ts';

const PROGRAMS = Number(process.env.BOTTOMHALF_FUZZ_PROGRAMS ?? 40);
const FIRST_SEED = Number(process.env.BOTTOMHALF_FUZZ_SEED ?? 1);
const TIMEOUT_MS = 60_000 + PROGRAMS * 1000;

function differences(options: Partial<ProgramOptions>, count = PROGRAMS): string[] {
  const { aia = 'none' } = options;
  const interpreter = new InterpreterMachine(aia);
  const reference = new ReferenceMachine({ aia });
  return Array.from({ length: count }, (_, i) => FIRST_SEED + i).flatMap((seed) => {
    const program = generateProgram(seed, options);
    const { difference } = compareMachines(program, reference, interpreter);
    if (difference === null) return reference.ended && interpreter.ended ? [] : [`seed ${seed}: does not end`];
    const { afterInstructions, pc, instruction, lines } = difference;
    return [`seed ${seed}, ${afterInstructions} instructions, pc 0x${pc.toString(16)}: ${instruction}`, ...lines];
  });
}

describe('the interpreter and the reference', () => {
  it(
    'agree on whole programs: privilege, paging, protection, traps',
    () => {
      expect(differences({ forQemu: false })).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'agree on floating point with hard operands in every rounding mode',
    () => {
      expect(differences({ floatOnly: true, sections: 4, pieces: 250, forQemu: false })).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'agree on the AIA: interrupt files, filtered and virtual interrupts',
    () => {
      expect(differences({ aia: 'imsic', forQemu: false }, Math.ceil(PROGRAMS / 2))).toEqual([]);
      expect(differences({ aia: 'csrs', forQemu: false }, Math.ceil(PROGRAMS / 8))).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
