/**
 * Regions that are compiled while the hart goes on: what they were made from may have changed when they are done, and the
 * guest must not notice either way.
 */
import { expect, it } from 'vitest';
import { assemble } from '../../src/isa/asm.ts';
import {
  blocksOf,
  type CompiledJob,
  type CompileJob,
  compileJob,
  type RegionCompiler,
  type RegionText,
} from '../../src/jit/compile.ts';
import { MAX_JOBS, RegionTranslator } from '../../src/jit/translator.ts';
import { compareStates } from '../lockstep/harness.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';

const BASE = 0x8000_0000n;
/**
 * A loop whose first instruction, each hundred rounds, becomes another: s1 counts by ones, then by twos. With `other` it
 * stays as it is, and a nop behind the loop, on the same page, is what changes.
 */
const program = (label: 'here' | 'other'): string => `
    la s2, ${label}
    lw t1, 0(s2)
    la t0, twos
    lw t2, 0(t0)
    xor t2, t2, t1
  again:
    li s0, 100
  next:
  here:
    addi s1, s1, 1
    addi s0, s0, -1
    bnez s0, next
    xor t1, t1, t2
    sw t1, 0(s2)
    fence.i
    j again
  twos:
    addi s1, s1, 2
  other:
    addi zero, zero, 0
  `;

/** Answers when it has been asked some times more. */
class LateCompiler implements RegionCompiler {
  readonly #jobs: CompileJob[] = [];
  readonly #delay: number;
  #asked = 0;
  /** Regions. */
  compiled = 0;

  constructor(delay: number) {
    this.#delay = delay;
  }

  submit(job: CompileJob): void {
    // As it comes out at the other end of a port.
    this.#jobs.push(structuredClone(job));
  }

  take(): CompiledJob | null {
    this.#asked += 1;
    const job = this.#asked > this.#delay ? this.#jobs.shift() : undefined;
    if (job === undefined) return null;
    this.#asked = 0;
    this.compiled += job.length;
    return compileJob(job);
  }

  takeShared(): null {
    return null;
  }
}

it.each([
  ['here', 0],
  ['here', 3],
  ['here', 17],
  ['here', 90],
  ['other', 3],
  ['other', 90],
] as const)('code at %s that changes meanwhile, answers after %d looks', (label, delay) => {
  const { bytes: image } = assemble(program(label), { base: Number(BASE) });
  let translator: RegionTranslator | null = null;
  const compiler = new LateCompiler(delay);
  const machine = new InterpreterMachine('none', (place) => {
    const options = { traceInterval: 31, threshold: 2, batch: 1, urgent: 1, minInsnsPerVisit: 0 };
    translator = new RegionTranslator(place, options, compiler);
    return translator;
  });
  const other = new InterpreterMachine();
  for (const one of [machine, other]) one.load({ image, base: BASE });
  for (let i = 0; i < 150; i++) {
    for (const one of [machine, other]) one.step(101 + i);
    expect(compareStates(machine.state(), other.state(), TRANSLATOR_STATE), `after step ${i}`).toEqual([]);
  }
  const { statistics } = (translator as RegionTranslator | null) ?? expect.fail('no translator was made');
  expect(statistics.modules).toBeGreaterThan(0);
  // Code beside them is no reason to refuse regions.
  if (label === 'other') expect(statistics.regions).toBe(compiler.compiled);
  else if (delay === 3 || delay === 17) expect(statistics.regions).toBeLessThan(compiler.compiled);
});

it('a compiler that does not answer is given no more than so many jobs', () => {
  const loops = Array.from(
    { length: 3 * MAX_JOBS },
    (_, i) => `
    li s0, 50
  loop${i}:
    addi s1, s1, ${i}
    addi s0, s0, -1
    bnez s0, loop${i}`,
  );
  const { bytes: image } = assemble(`again:\n${loops.join('\n')}\n  j again`, { base: Number(BASE) });
  const jobs: CompileJob[] = [];
  const compiler: RegionCompiler = { submit: (job) => void jobs.push(job), take: () => null, takeShared: () => null };
  const options = { traceInterval: 31, threshold: 2, batch: 1, urgent: 1 };
  const machine = new InterpreterMachine('none', (place) => new RegionTranslator(place, options, compiler));
  machine.load({ image, base: BASE });
  machine.step(100_000);
  expect(jobs.length).toBe(MAX_JOBS);
});

it('what is in a region that is being compiled is not made the beginning of another', () => {
  const source = `
      la sp, again + 0x8000
    again:
      addi s0, s0, 1
      call outer
      j again
    outer:
      addi sp, sp, -16
      sd ra, 0(sp)
      call inner
      call inner
      ld ra, 0(sp)
      addi sp, sp, 16
      ret
    inner:
      li a1, 8
    next:
      add a0, a0, s0
      addi a1, a1, -1
      bnez a1, next
      ret`;
  const { bytes: image } = assemble(source, { base: Number(BASE) });
  const regions: RegionText[] = [];
  const compiler: RegionCompiler = {
    submit: (job) => void regions.push(...job),
    take: () => null,
    takeShared: () => null,
  };
  // Several are hot when the first are compiled, and others come to be.
  const options = { traceInterval: 31, threshold: 2, batch: 4, urgent: 1000, everything: true };
  const machine = new InterpreterMachine('none', (place) => new RegionTranslator(place, options, compiler));
  machine.load({ image, base: BASE });
  machine.step(100_000);
  expect(regions.length).toBeGreaterThan(0);
  // All on one page.
  const covered = new Set<number>();
  for (const { entryOffset, blocks } of regions) {
    expect(covered).not.toContain(entryOffset);
    for (const block of blocksOf({ blocks }).values()) for (const { at } of block.insns) covered.add(entryOffset + at);
  }
  // Nor is anything left out that was hot.
  const { length } = image;
  expect(Math.min(...covered)).toBeLessThan(16);
  expect(Math.max(...covered)).toBe(length - 4);
});
