/** Saving a hart and going on elsewhere; what load refuses. Needs the build. */
import { describe, expect, it } from 'vitest';
import type { HartState } from '../../src/hart/hart-state.ts';
import { HART_FIELDS, PENDING } from '../../src/hart/state.ts';
import { compareMemory, compareStates } from '../lockstep/harness.ts';
import { generateProgram } from '../support/program-generator.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { PROGRAM_BASE, REGION_BYTES } from '../support/program-layout.ts';
import { ProgramRandom } from '../support/program-random.ts';

const PROGRAMS = 10;
/** Derived, and so free to differ. */
const EXEC = new Set(
  Object.entries(HART_FIELDS).flatMap(([name, { kind, count = 1 }]) =>
    kind === 'arch' ? [] : count === 1 ? [name] : Array.from({ length: count }, (_, i) => `${name}${i}`),
  ),
);

const first = new InterpreterMachine();
const second = new InterpreterMachine();

/** Runs a program; at random points it goes on from there on the other machine as well. @returns what differs */
function differences(seed: number): string[] {
  const random = new ProgramRandom(seed);
  first.load(generateProgram(seed, { forQemu: false }));
  let moved = false;
  while (true) {
    if (!moved || random.oneIn(6)) {
      second.load({ image: new Uint8Array(), base: PROGRAM_BASE });
      second.step(random.below(3));
      second.copyFrom(first);
      moved = true;
    }
    const count = 1 + random.below(400);
    const retired = first.step(count);
    const lines = second.step(count) === retired ? [] : ['they retire different numbers of instructions'];
    lines.push(...compareStates(first.state(), second.state(), EXEC));
    if (first.hart.instret !== second.hart.instret) lines.push('instret');
    lines.push(...compareMemory(first.memory(0, REGION_BYTES), second.memory(0, REGION_BYTES), PROGRAM_BASE));
    if (lines.length > 0) return [`seed ${seed}`, ...lines];
    if (retired < count) return [];
  }
}

describe('a hart that is loaded', () => {
  it('goes on as the one that was saved: registers, CSRs, memory, counts', () => {
    for (let seed = 1; seed <= PROGRAMS; seed++) expect(differences(seed)).toEqual([]);
  });

  it('keeps an access that waits, and a reservation', () => {
    first.load({ image: new Uint8Array(), base: PROGRAM_BASE });
    first.hart.setWord('pendingState', PENDING.issued);
    first.hart.setWord('pendingSize', 4);
    first.hart.set('pendingGpa', 0x1000_0000n);
    first.hart.setWord('reservationValid', 1);
    first.hart.setWord('reservationSize', 8);
    first.hart.setWord('reservationOffset', 0x1238);
    second.copyFrom(first);
    expect(second.hart.save()).toEqual(first.hart.save());
    expect(second.hart.word('reservationOffset')).toBe(0x1238);
  });
});

describe('load refuses', () => {
  const saved = (): HartState => {
    first.load(generateProgram(3));
    first.step(500);
    return first.hart.save();
  };
  const withField = (name: string, value: unknown): unknown => {
    const state = saved();
    return { ...state, fields: { ...state.fields, [name]: value } };
  };
  const ones = (1n << 64n) - 1n;
  it.each([
    ['pc', 1n],
    ['pc', 7],
    ['pc', 1n << 64n],
    ['x', []],
    ['x', Array.from({ length: 32 }, () => 1n)],
    ['priv', 2],
    ['frm', 8],
    ['fflags', 32],
    ['satp', 15n << 60n],
    ['mstatus', ones],
    ['mepc', 1n],
    ['mtvec', 2n],
    ['pmpaddr', Array.from({ length: 16 }, () => ones)],
    ['pmpcfg', [0x40n, 0n]],
    ['mideleg', ones],
    ['mhartid', 5n],
    ['pendingState', 9],
    ['pendingSize', 3],
    ['waiting', 0.5],
    ['remaining', -1],
    ['nothing', 1n],
    ['dtlb', 1],
  ])('%s as %s', (name, value) => {
    const state = withField(name, value);
    const before = first.hart.save();
    expect(() => first.hart.load(state as HartState)).toThrow(
      expect.objectContaining({ name: 'HartStateError', message: expect.stringContaining(name) }),
    );
    expect(first.hart.save()).toEqual(before);
  });

  it.each(Object.entries(HART_FIELDS).flatMap(([name, { kind }]) => (kind === 'arch' ? [name] : [])))(
    'a state without %s',
    (name) => {
      const { version, fields } = saved();
      const { [name]: _, ...others } = fields;
      expect(() => first.hart.load({ version, fields: others })).toThrow(`${name} is not there`);
    },
  );

  it('a reservation outside RAM, another version, what is no state', () => {
    const { fields } = saved();
    const load = (state: unknown) => () => first.hart.load(state as HartState);
    const reserved = { ...fields, reservationValid: 1, reservationSize: 8 };
    expect(load({ version: 1, fields: { ...reserved, reservationOffset: REGION_BYTES - 4 } })).toThrow(
      'reservationOffset',
    );
    expect(load({ version: 1, fields: { ...reserved, reservationOffset: REGION_BYTES } })).toThrow('reservationOffset');
    expect(load({ version: 2, fields })).toThrow('version');
    expect(load({ version: 1, fields, more: 1 })).toThrow('more');
    for (const state of [null, 7, 'x', { version: 1 }]) expect(load(state)).toThrow(/hart/);
  });
});
