/** Which code a region takes in, from what traces have shown; and what traces show. */
import { describe, expect, it } from 'vitest';
import { SPECIAL } from '../../src/hart/handlers.ts';
import type { TranslatorPlace } from '../../src/hart/hart.ts';

import { LEFT, TRACE } from '../../src/hart/profile-layout.ts';
import { ARENA, OP } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { GuestCode } from '../../src/jit/guest-code.ts';
import { RegionFormer } from '../../src/jit/region.ts';
import { RegionTranslator, type TranslatorOptions } from '../../src/jit/translator.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';

const BASE = 0x8000_0000;
const OPS_PER_BYTE = 4;

/** What arrives so often is translated; more traces of its own than the first never come. */
const ARRIVALS = 200;
const SELDOM = { traceInterval: 2 ** 30, threshold: ARRIVALS, batch: 1, urgent: ARRIVALS };

/** Runs a program that begins with its hot loop for a while. @returns its code, and the op and address of a label */
function running(source: string, options: Partial<TranslatorOptions> = {}) {
  let place: TranslatorPlace | null = null;
  let translator: RegionTranslator | null = null;
  const machine = new InterpreterMachine('none', (at) => {
    place = at;
    translator = new RegionTranslator(at, options);
    return translator;
  });
  const { bytes, symbols } = assemble(source, { base: BASE });
  machine.load({ image: bytes, base: BigInt(BASE) });
  machine.step(1000);
  const made = (place ?? expect.fail('no translator was made')) as TranslatorPlace;
  const { memory, arena } = made;
  const code = new GuestCode(memory, arena);
  const page = code.pageOfAddress(BASE, 0);
  const offsetOf = (label: string): number => Number(symbols.get(label) ?? expect.fail(label)) - BASE;
  return {
    place: made,
    code,
    page,
    translator: translator as unknown as RegionTranslator,
    offsetOf,
    opOf: (label: string) => page + offsetOf(label) * OPS_PER_BYTE,
  };
}

type Running = ReturnType<typeof running>;

const isRegionAt = ({ memory, arena }: TranslatorPlace, op: number): boolean =>
  new GuestCode(memory, arena).isRegion(op);

/** What traces have shown, and how the region is to be formed. */
interface Shown {
  readonly rare: string;
  readonly heat: number;
  /** Of computed jumps. */
  readonly targets?: Readonly<Record<string, readonly string[]>>;
  readonly isApart?: boolean;
  readonly begins?: (op: number) => boolean;
}

/** The labels at which the region from the program's beginning has blocks. */
function taken(
  { code, page, offsetOf, opOf }: Running,
  labels: readonly string[],
  { rare, heat, targets = {}, ...options }: Shown,
): string[] {
  const profile = {
    heat: (op: number) => (op === opOf(rare) ? heat : 160),
    targets: (op: number) => {
      const from = Object.keys(targets).find((label) => opOf(label) === op);
      return from === undefined ? [] : (targets[from] ?? []).map((label) => offsetOf(label) - offsetOf(from));
    },
  };
  const region = new RegionFormer(code, { page, offset: 0, lo: BASE, hi: 0 }, profile, options).form();
  return labels.filter((label) => region?.blocks.has(offsetOf(label)));
}

describe('a region', () => {
  const BRANCHES = `
    loop: addi a0, a0, 1; andi a1, a0, 7; beqz a1, rare
    on: addi a2, a2, 1; j loop
    rare: addi a3, a3, 1; j on
  `;

  it.each([
    [10, ['on', 'rare']],
    [9, ['on']],
    [0, ['on']],
  ])('takes in what traces met at least a sixteenth as often as its entry: %d of 160', (heat, wanted) => {
    expect(taken(running(BRANCHES), ['on', 'rare'], { rare: 'rare', heat })).toEqual(wanted);
  });

  const CASES = `
    loop: addi a0, a0, 1; andi a1, a0, 4; la a5, first; add a5, a5, a1; add a5, a5, a1
    jump: jr a5
    first: addi a2, a2, 1; j loop
    rare: addi a3, a3, 1; j loop
  `;

  it.each([
    ['a case that is met at all', 1, ['first', 'rare']],
    ['no case that is not', 0, ['first']],
  ])('takes in %s', (_, heat, wanted) => {
    const targets = { jump: ['first', 'rare'] };
    expect(taken(running(CASES), ['first', 'rare'], { rare: 'rare', heat, targets })).toEqual(wanted);
  });

  const END = '.org 0x1000; far: addi a1, a1, 1; ret; behind: addi a2, a2, 1; ret';

  it.each([
    ['not by an address from elsewhere', `loop: la a5, far; nop; call: jalr a5; j loop; ${END}`, 'far', []],
    ['by an AUIPC and a JALR', `loop: auipc t1, 1; call: jalr ra, 0(t1); j loop; ${END}`, 'far', ['far']],
    [
      'into a page that a direct jump leads to',
      `loop: la a5, behind; jal far; call: jalr a5; j loop; ${END}`,
      'behind',
      ['far', 'behind'],
    ],
  ])('goes to another page %s, where it is to be the same in every program', (_, source, target, wanted) => {
    const program = running(source);
    const shown = { rare: 'loop', heat: 160, targets: { call: [target] } };
    expect(taken(program, ['far', 'behind'], { ...shown, isApart: true })).toEqual(wanted);
    expect(taken(program, ['far', 'behind'], shown)).toContain(target);
  });

  const long = 'addi a0, a0, 1;'.repeat(40);
  const JOINING = `loop: ${long} j other; .balign 4; other: ${long} j loop`;

  it('ends where another begins, once it has 30 instructions', () => {
    const program = running(JOINING);
    const labels = { rare: 'loop', heat: 160 };
    expect(taken(program, ['other'], labels)).toEqual(['other']);
    new DataView(program.place.memory.buffer).setUint16(program.opOf('other') + OP.handler, SPECIAL.region, true);
    expect(taken(program, ['other'], labels)).toEqual([]);
  });

  it('ends where another soon will begin', () => {
    const program = running(JOINING);
    const begins = (op: number): boolean => op === program.opOf('other');
    expect(taken(program, ['other'], { rare: 'loop', heat: 160, begins })).toEqual([]);
  });
});

describe('a trace', () => {
  it('names the region that it ends at', () => {
    const ends: boolean[] = [];
    const source = 'la s0, loop; loop: addi a0, a0, 1; andi a1, a0, 63; bnez a1, loop; addi a2, a2, 1; jr s0';
    const machine = new InterpreterMachine('none', (place) => {
      const options = { traceInterval: 1, threshold: 8, batch: 1, urgent: 8, minInsnsPerVisit: 0 };
      const translator = new RegionTranslator(place, options);
      const trace = new Uint32Array(place.memory.buffer, place.arena + ARENA.trace, 2 * (TRACE.length + 1));
      return {
        traceInterval: 1,
        modules: 0,
        report: () => '',
        trace(arrived: number) {
          const { hart } = machine;
          const op = hart.word('op');
          const end = [Number(BigInt.asUintN(32, hart.get('pc'))), op];
          const last = [...trace].findLastIndex((word) => word !== 0);
          if (isRegionAt(place, op)) ends.push(`${trace.slice(last - 1, last + 1)}` === `${end}`);
          trace.fill(0);
          translator.trace(arrived);
        },
        codeChanged: (page: number, offset: number) => translator.codeChanged(page, offset),
      };
    });
    machine.load({ image: assemble(source, { base: BASE }).bytes, base: BigInt(BASE) });
    machine.step(20_000);
    expect(ends.length).toBeGreaterThan(0);
    expect(ends).not.toContain(false);
  });

  it('translates what leads to a function that is translated already', () => {
    const source = `
      jal function
    lead:
      addi a0, a0, 1
      addi a1, a1, 1
      jal function
      ecall
    function:
      addi a2, a2, 1
      andi a3, a2, 15
      bnez a3, function
      ret
    `;
    const { place, code, opOf, offsetOf, translator } = running(source, SELDOM);
    const { memory, arena, runtime } = place;
    const seeTrace = runtime['seeTrace'] as (length: number, left: number, atRegion: number) => number;
    /** A trace of three instructions that begins where a region was left. */
    const trace = (label: string): void => {
      const view = new DataView(memory.buffer);
      for (let i = 0; i < 3; i++) {
        const at = arena + ARENA.trace + i * TRACE.entryBytes;
        view.setUint32(at, BASE + offsetOf(label) + 4 * i, true);
        view.setUint32(at + 4, opOf(label) + 4 * i * OPS_PER_BYTE, true);
      }
      translator.trace(seeTrace(3, LEFT.behind, 0));
    };
    for (const label of ['function', 'lead']) {
      expect(code.isRegion(opOf(label))).toBe(false);
      for (let i = 0; i < ARRIVALS; i++) trace(label);
      expect(code.isRegion(opOf(label)), label).toBe(true);
    }
  });
});
