/** Regions that were compiled for one hart and are executed by another: where they may be, and where they must not. */
import { describe, expect, it } from 'vitest';
import type { TranslatorPlace } from '../../src/hart/hart.ts';
import { PROFILE } from '../../src/hart/profile-layout.ts';
import { ARENA, DECODED_PAGE, REGION_STATUS } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import type { RegionCompiler, SharedJob } from '../../src/jit/compile.ts';
import { GuestCode } from '../../src/jit/guest-code.ts';
import { MAX_BYTES, Offers } from '../../src/jit/offers.ts';
import { RegionTranslator, type TranslatorOptions } from '../../src/jit/translator.ts';
import { compareStates } from '../lockstep/harness.ts';
import { COLLIDING_BYTES, collidingSums, mapAgain } from '../support/aliased-ram.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { OfferingCompiler, SharingCompiler } from '../support/sharing-compilers.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';

const BASE = 0x8000_0000n;
const EAGER: Partial<TranslatorOptions> = { traceInterval: 1, threshold: 1, batch: 1, urgent: 1, minInsnsPerVisit: 0 };
/** a2 says how `step` goes on: far behind its beginning, or at once. What is far is in the region if it was seen. */
const PROGRAM = `
again:
  jal ra, step
  addi s1, s1, 1
  j again
step:
  addi s0, s0, 1
  beqz a2, near
  j far
near:
  ret
  .balign 256
far:
  addi s2, s2, 3
  ret
`;
const { bytes: IMAGE } = assemble(PROGRAM, { base: Number(BASE) });
const FAR_BYTE = 256;

/** What a hart has compiled that always goes far. */
function compiled(image: Uint8Array = IMAGE): readonly SharedJob[] {
  const compiler = new SharingCompiler();
  const machine = new InterpreterMachine('none', (place) => new RegionTranslator(place, EAGER, compiler));
  machine.load({ image, base: BASE });
  machine.hart.set('x', 1n, 12);
  machine.step(2000);
  expect(compiler.done.length).toBeGreaterThan(0);
  return compiler.done;
}

interface Made {
  readonly machine: InterpreterMachine;
  readonly translator: RegionTranslator;
}

/** A hart that compiles nothing itself. */
function offered(jobs: readonly SharedJob[], image: Uint8Array = IMAGE): Made {
  let translator: RegionTranslator | null = null;
  const machine = new InterpreterMachine('none', (place) => {
    translator = new RegionTranslator(place, EAGER, new OfferingCompiler([...jobs]));
    return translator;
  });
  machine.load({ image, base: BASE });
  return { machine, translator: translator ?? expect.fail('no translator was made') };
}

/** Steps it beside a hart that interprets. */
function expectAsInterpreted(
  machine: InterpreterMachine,
  image: Uint8Array,
  before: (one: InterpreterMachine) => void,
): void {
  const other = new InterpreterMachine();
  other.load({ image, base: BASE });
  for (const one of [machine, other]) before(one);
  for (let i = 0; i < 50; i++) {
    for (const one of [machine, other]) one.step(97 + i);
    expect(compareStates(machine.state(), other.state(), TRANSLATOR_STATE), `after step ${i}`).toEqual([]);
  }
}

describe('a region of another hart', () => {
  it('is executed where this one has the same code, before it was hot', () => {
    const { machine, translator } = offered(compiled());
    expectAsInterpreted(machine, IMAGE, ({ hart }) => hart.set('x', 1n, 12));
    translator.review();
    expect(translator.statistics.shared).toBeGreaterThan(0);
    expect(translator.statistics.regions).toBe(translator.statistics.shared);
    expect(translator.statistics.modules).toBe(0);
    expect(translator.statistics.executed).toBeGreaterThan(2000);
  });

  it('is not where the code is another, in a part that this one has not come to either', () => {
    const image = IMAGE.slice();
    image.set(assemble('addi s2, s2, 5', { base: 0 }).bytes, FAR_BYTE);
    const { machine, translator } = offered(
      compiled().filter(({ job }) => job.some(({ blocks }) => blocks.some(({ at }) => at > 64))),
      image,
    );
    expectAsInterpreted(machine, image, () => {});
    expect(translator.statistics.shared).toBe(0);
  });

  it('is not where the same code lies in another page', () => {
    const moved = compiled().map(({ job, done }) => ({
      done,
      job: job.map((text) => ({
        ...text,
        hosts: text.hosts.map(([distance, host]) => [distance, host + 4096] as const),
      })),
    }));
    const { machine, translator } = offered(moved);
    machine.step(2000);
    expect(translator.statistics.shared).toBe(0);
  });

  it('goes when code changes in it that this hart has never executed', () => {
    const { machine, translator } = offered(compiled());
    // near alone
    machine.step(1000);
    expect(translator.statistics.shared).toBeGreaterThan(0);
    const { bytes } = assemble('addi s2, s2, 5', { base: 0 });
    const ram = machine.writableMemory();
    for (const [i, byte] of bytes.entries()) ram.setUint8(FAR_BYTE + i, byte);
    machine.hart.fence('fence.i');
    machine.hart.set('x', 1n, 12);
    machine.hart.set('x', 0n, 18);
    machine.step(1000);
    expect(machine.hart.get('x', 18) % 5n).toBe(0n);
    expect(machine.hart.get('x', 18)).toBeGreaterThan(0n);
    expect(translator.statistics.invalidated).toBeGreaterThan(0);
  });

  it('is not one that leaves for each TLB miss, where this hart has found that it has to fill the TLB itself', () => {
    const options = { ...EAGER, threshold: 1000, urgent: 1000, traceInterval: 13 };
    const { bytes: image } = assemble(collidingSums(40_000), { base: Number(BASE) });
    const compiler = new SharingCompiler();
    const missesOf = (of: RegionCompiler, then = (): void => {}, thenAt = 0): number => {
      const machine = new InterpreterMachine('none', (place) => new RegionTranslator(place, options, of));
      machine.load({ image, base: BASE });
      mapAgain(machine, COLLIDING_BYTES / 2 ** 20);
      machine.step(thenAt);
      then();
      machine.step(210_000 - thenAt);
      return Number(machine.hart.get('regionExits', REGION_STATUS.missed));
    };
    expect(missesOf(compiler)).toBeLessThan(10_000);
    const isRefilling = compiler.done.map(({ job }) => job.some(({ refills }) => refills));
    expect(isRefilling).toContain(true);
    // Those that leave for each miss are taken, until the hart has found what the other one had.
    const leaving = compiler.done.filter((_, i) => !isRefilling[i]);
    const misses = missesOf(new OfferingCompiler([...leaving]));
    expect(misses).toBeGreaterThan(2000);
    expect(misses).toBeLessThan(10_000);
    // Nor is one that comes later.
    const late = [...leaving];
    expect(missesOf(new OfferingCompiler(late), () => void late.push(...leaving), 100_000)).toBeLessThan(10_000);
    // The other kind is taken from the beginning.
    expect(missesOf(new OfferingCompiler(compiler.done))).toBeLessThan(200);
  });
});

describe('offers', () => {
  interface Place extends TranslatorPlace {
    readonly code: GuestCode;
  }

  /** Of a hart that has executed a program. */
  function placeOf(image: Uint8Array): Place {
    let place: TranslatorPlace | null = null;
    const machine = new InterpreterMachine('none', (given) => {
      place = given;
      return new RegionTranslator(given, EAGER, new OfferingCompiler([]));
    });
    machine.load({ image, base: BASE });
    machine.step(100);
    const given: TranslatorPlace = place ?? expect.fail('no translator was made');
    return { ...given, code: new GuestCode(given.memory, given.arena) };
  }

  it('can be taken at each entry, and are one region', () => {
    const { code, ...place } = placeOf(IMAGE);
    const page = code.pageOfAddress(Number(BASE), 0);
    const texts = compiled().flatMap(({ job, done }) => job.map((text) => ({ text, done })));
    const { text: whole, done } = texts.find(({ text }) => text.blocks.length > 2) ?? expect.fail('no such region');
    const text = { ...whole, entries: whole.blocks.map(({ at }) => at) };
    const shared = { job: [text], done };
    for (const at of text.entries) {
      const offers = new Offers(place, code);
      offers.add(shared);
      const offset = text.entryOffset + at;
      const taken = offers.take(page + (offset / 2) * DECODED_PAGE.opBytes, Number(BASE) + offset, 0);
      expect(taken?.lo).toBe(Number(BASE) + text.entryOffset);
      expect([...(taken?.region.blocks.keys() ?? [])]).toEqual(text.blocks.map((block) => block.at));
    }
  });

  it('are kept up to so many bytes, the latest', () => {
    const { code, ...place } = placeOf(IMAGE);
    const op = code.pageOfAddress(Number(BASE), 0);
    const [{ job, done } = expect.fail('nothing was compiled')] = compiled();
    const [text = expect.fail('no region')] = job;
    const host = new DataView(place.memory.buffer).getUint32(op + DECODED_PAGE.host, true);
    const lengthBytes = MAX_BYTES / 8;
    const at = (page: number): SharedJob => {
      const moved = { ...text, entries: [0], entryOffset: 0, hosts: [[0, host + page * 4096]] as const };
      return { done: { ...done, lengthBytes }, job: [moved] };
    };
    const offers = new Offers(place, code);
    expect(offers.has(op)).toBe(false);
    for (let page = 0; page < 8; page++) offers.add(at(page));
    expect(offers.has(op)).toBe(true);
    offers.add(at(8));
    expect(offers.has(op)).toBe(false);
    // Nor is the profile told of them for ever.
    const offered = new Uint8Array(place.memory.buffer, place.arena + ARENA.offered, PROFILE.offeredBits / 8);
    const marks = (): number => offered.reduce((sum, byte) => sum + Number(byte !== 0), 0);
    for (let page = 9; page < 64; page++) offers.add(at(page));
    expect(marks()).toBeGreaterThanOrEqual(8);
    expect(marks()).toBeLessThanOrEqual(2 * 8 + 1);
  });
});
