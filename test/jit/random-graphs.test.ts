/**
 * Programs whose blocks go anywhere: loops with several heads, within each other, and entered in the middle. Under the
 * translator each must come to what it comes to under the interpreter, wherever it is stopped.
 */
import { expect, it } from 'vitest';
import { assemble } from '../../src/isa/asm.ts';
import { RegionTranslator } from '../../src/jit/translator.ts';
import { Prng } from '../../src/util/prng.ts';
import { compareStates } from '../lockstep/harness.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';

const BASE = 0x8000_0000n;
/** Some, and those that once found a fault. */
const SEEDS = [...Array.from({ length: 120 }, (_, seed) => seed), 1112];
const STEPS = 60;
const INSNS = 777;

/** Marsaglia's xorshift64: where to go on. */
const NEXT_RANDOM = `
  slli t0, s0, 13
  xor s0, s0, t0
  srli t0, s0, 7
  xor s0, s0, t0
  slli t0, s0, 17
  xor s0, s0, t0`;

function program(seed: number): string {
  const prng = new Prng(seed);
  const pick = <T>(values: readonly T[]): T => values[prng.below(values.length)] as T;
  const blocks = 4 + prng.below(9);
  const register = (): string => pick(['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 's1', 's2']);
  const insn = (): string =>
    pick([
      () => `add ${register()}, ${register()}, ${register()}`,
      () => `xor ${register()}, ${register()}, ${register()}`,
      () => `addiw ${register()}, ${register()}, ${1 + prng.below(99)}`,
      () => `srli ${register()}, ${register()}, ${1 + prng.below(9)}`,
      () => `sd ${register()}, ${8 * prng.below(16)}(s3)`,
      () => `ld ${register()}, ${8 * prng.below(16)}(s3)`,
    ])();
  const block = (i: number): string => {
    const body = Array.from({ length: 1 + prng.below(4) }, insn).join('\n  ');
    // Some ways are taken seldom.
    const chance = pick([1, 1, 3, 15, 63]);
    const decide = `${NEXT_RANDOM}\n  andi t0, s0, ${chance}\n  beqz t0, b${prng.below(blocks)}`;
    return `b${i}:\n  ${body}\n${decide}\n  j b${prng.below(blocks)}`;
  };
  return `
    li s0, ${seed + 1}
    li s3, 0x80010000
    ${Array.from({ length: blocks }, (_, i) => block(i)).join('\n')}`;
}

it.each(SEEDS)('agree with the interpreter, seed %d', (seed) => {
  const { bytes: image } = assemble(program(seed), { base: Number(BASE) });
  let translator: RegionTranslator | null = null;
  const machine = new InterpreterMachine('none', (place) => {
    translator = new RegionTranslator(place, {
      ...{ traceInterval: 97, threshold: 8, batch: 1, urgent: 1, leftWeight: 8, minInsnsPerVisit: 0 },
    });
    return translator;
  });
  const other = new InterpreterMachine();
  machine.load({ image, base: BASE });
  other.load({ image, base: BASE });
  for (let i = 0; i < STEPS; i++) {
    machine.step(INSNS + i);
    other.step(INSNS + i);
    expect(compareStates(machine.state(), other.state(), TRANSLATOR_STATE), `after step ${i}`).toEqual([]);
  }
  expect((translator as RegionTranslator | null)?.statistics.regions).toBeGreaterThan(0);
});
