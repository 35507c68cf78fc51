/** The dirty log on generated programs: what a hart writes, and when, from the reference. Needs the build. */
import { describe, expect, it } from 'vitest';
import type { DirtyClient } from '../../src/memory/dirty-log.ts';
import { generateProgram } from '../support/program-generator.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { PROGRAM_BASE, REGION_BYTES, type TestProgram } from '../support/program-layout.ts';
import { ProgramRandom } from '../support/program-random.ts';
import { ReferenceMachine } from '../support/program-reference.ts';

const PAGE_BYTES = 4096;
const PROGRAMS = 12;
const STEP = 300;
const CLIENTS = ['migration', 'display'] as const;

const interpreter = new InterpreterMachine();
const reference = new ReferenceMachine();

/** The pages the reference writes, into each of the sets that `clients` holds at the time. */
function loadBoth(program: TestProgram, clients: ReadonlyMap<DirtyClient, Set<number>>): void {
  interpreter.load(program);
  reference.load(program);
  const { memory } = reference.hart;
  const write = memory.write.bind(memory);
  memory.write = (gpa, sizeBytes, value) => {
    const page = Math.floor(Number(gpa - PROGRAM_BASE) / PAGE_BYTES);
    if (memory.isRam(gpa, sizeBytes)) for (const pages of clients.values()) pages.add(page);
    return write(gpa, sizeBytes, value);
  };
}

function pagesOf(bitmap: Uint8Array): number[] {
  return [...bitmap].flatMap((byte, i) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => i * 8 + bit),
  );
}

function changedPages(before: Uint8Array, after: Uint8Array): number[] {
  return Array.from({ length: REGION_BYTES / PAGE_BYTES }, (_, page) => page).filter((page) => {
    const [start, end] = [page * PAGE_BYTES, (page + 1) * PAGE_BYTES];
    return Buffer.compare(before.subarray(start, end), after.subarray(start, end)) !== 0;
  });
}

/** Runs a program, while clients come, collect and go as the seed says. @returns how many pages were collected */
function check(seed: number): number {
  const random = new ProgramRandom(seed);
  const stored = new Map<DirtyClient, Set<number>>();
  const since = new Map<DirtyClient, Uint8Array>();
  const { hart } = interpreter;
  let collected = 0;
  loadBoth(generateProgram(seed, { forQemu: false }), stored);
  const begin = (client: DirtyClient): void => {
    stored.set(client, new Set());
    since.set(client, interpreter.memory(0, REGION_BYTES));
  };
  const collect = (client: DirtyClient): void => {
    const marked = pagesOf(hart.collectDirty(client));
    const expected = [...(stored.get(client) ?? [])].sort((a, b) => a - b);
    expect(marked, `seed ${seed}, ${client}`).toEqual(expected);
    const changed = changedPages(since.get(client) ?? new Uint8Array(), interpreter.memory(0, REGION_BYTES));
    expect(marked, `seed ${seed}, ${client}`).toEqual(expect.arrayContaining(changed));
    collected += marked.length;
    begin(client);
  };
  while (true) {
    for (const client of CLIENTS) {
      if (!stored.has(client)) {
        if (!random.oneIn(3)) continue;
        hart.startDirtyLog(client);
        begin(client);
      } else if (random.oneIn(2)) collect(client);
      else if (random.oneIn(6)) {
        hart.stopDirtyLog(client);
        stored.delete(client);
      }
    }
    const count = 1 + random.below(STEP);
    const retired = interpreter.step(count);
    expect(reference.step(count)).toBe(retired);
    interpreter.settle();
    reference.settle();
    if (retired < count) break;
  }
  for (const client of stored.keys()) collect(client);
  for (const client of CLIENTS) hart.stopDirtyLog(client);
  return collected;
}

describe('the dirty log', () => {
  it('has the pages that the hart has stored to, no more and no fewer, for each client since it asked', () => {
    let collected = 0;
    for (let seed = 1; seed <= PROGRAMS; seed++) collected += check(seed);
    expect(collected).toBeGreaterThan(PROGRAMS * 10);
  });

  it('is refused where it is off', () => {
    interpreter.hart.stopDirtyLog('display');
    expect(() => interpreter.hart.collectDirty('display')).toThrow(/display log is off/);
  });
});
