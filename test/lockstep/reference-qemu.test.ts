/**
 * The reference against QEMU 10 on generated programs. Both come to the same memory, byte for byte: trap logs, traced
 * results, page tables, all registers at the end. BOTTOMHALF_FUZZ_PROGRAMS says how many programs, BOTTOMHALF_FUZZ_SEED
 * where to start; a failure names its seed.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { INSTRUCTIONS } from '../../src/isa/table.ts';
import { explain } from '../support/program-explain.ts';
import { generateProgram, type ProgramOptions } from '../support/program-generator.ts';
import type { ProgramAia } from '../support/program-imsic.ts';
import { LAYOUT, type TestProgram } from '../support/program-layout.ts';
import { ReferenceMachine } from '../support/program-reference.ts';
import { type QemuCommand, runUnderQemu } from '../support/qemu-programs.ts';
import { findQemu10 } from '../support/qemu10.ts';

const PROGRAMS = Number(process.env.BOTTOMHALF_FUZZ_PROGRAMS ?? 40);
const FIRST_SEED = Number(process.env.BOTTOMHALF_FUZZ_SEED ?? 1);
const MAX_INSTRUCTIONS = 1_000_000;
/** Lines that a failure shows of each program. */
const SHOWN_LINES = 8;
const DOWNLOAD_TIMEOUT_MS = 600_000;
const TIMEOUT_MS = 60_000 + PROGRAMS * 1000;

const FLOAT: Partial<ProgramOptions> = { floatOnly: true, sections: 4, pieces: 250 };

function programs(count: number, options: Partial<ProgramOptions> = {}): TestProgram[] {
  return Array.from({ length: count }, (_, i) => generateProgram(FIRST_SEED + i, options));
}

function runOnReference(program: TestProgram, aia: ProgramAia): Uint8Array {
  const machine = new ReferenceMachine({ aia });
  machine.load(program);
  machine.step(MAX_INSTRUCTIONS);
  if (!machine.ended) throw new Error(`seed ${program.seed}: the program does not end on the reference`);
  return machine.memory(0, LAYOUT.imageBytes);
}

async function mismatches(
  qemu: QemuCommand,
  tested: readonly TestProgram[],
  aia: ProgramAia = 'none',
): Promise<string[]> {
  const theirs = await runUnderQemu(qemu, tested, aia);
  return tested.flatMap((program, i) => {
    const memory = theirs[i] ?? null;
    if (memory === null) return [`seed ${program.seed}: the program does not end under QEMU`];
    const lines = explain(program, runOnReference(program, aia), memory);
    if (lines.length === 0) return [];
    return [`seed ${program.seed} (${program.sections.join('; ')}), reference / QEMU`, ...lines.slice(0, SHOWN_LINES)];
  });
}

describe('the program generator', () => {
  it('makes the same program of the same seed', () => {
    expect(generateProgram(7).image).toEqual(generateProgram(7).image);
  });

  it('covers every instruction of the table', () => {
    const seen = new Set<string>();
    for (const program of programs(60)) for (const name of program.counts.keys()) seen.add(name);
    for (const program of programs(4, FLOAT)) for (const name of program.counts.keys()) seen.add(name);
    expect(INSTRUCTIONS.map((insn) => insn.name).filter((name) => !seen.has(name))).toEqual([]);
  });
});

describe('the reference and QEMU 10', () => {
  let qemu: QemuCommand | null = null;
  let reason = '';

  beforeAll(async () => {
    const found = await findQemu10();
    qemu = found.command;
    if (found.command === null) reason = found.reason;
  }, DOWNLOAD_TIMEOUT_MS);

  it(
    'agree on whole programs: privilege, paging, protection, traps',
    async ({ skip }) => {
      if (qemu === null) return skip(reason);
      expect(await mismatches(qemu, programs(PROGRAMS))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'agree on floating point with hard operands in every rounding mode',
    async ({ skip }) => {
      if (qemu === null) return skip(reason);
      expect(await mismatches(qemu, programs(Math.ceil(PROGRAMS / 4), FLOAT))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'agree on the AIA, with an IMSIC and without',
    async ({ skip }) => {
      if (qemu === null) return skip(reason);
      const count = Math.ceil(PROGRAMS / 4);
      for (const aia of ['imsic', 'csrs'] as const) {
        expect({ aia, found: await mismatches(qemu, programs(count, { aia }), aia) }).toEqual({ aia, found: [] });
      }
    },
    TIMEOUT_MS,
  );
});
