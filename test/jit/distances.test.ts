/** Code that lies at other distances in other programs: a library, and those that call it. */
import { describe, expect, it } from 'vitest';
import { REGION_STATUS } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { RegionTranslator } from '../../src/jit/translator.ts';
import { compareStates } from '../lockstep/harness.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';

const RAM = 0x8000_0000;
const PAGE = 4096;
const PROGRAM_VA = 0x1_0000;
/** Where the two programs have the library. */
const LIBRARY_VAS = [0x2_0000, 0x5_3000];
/** Offsets in RAM of the tables of each. */
const TABLES = [0x4_0000, 0x5_0000];
const VALID = 1n;
/** V, R, W, X, A and D. */
const LEAF = 0xcfn;

/** It calls a function by its address in s1, for ever; the function, in a page of its own, has a loop. */
const SOURCE = `
again:
  mv a0, s2
  jalr s1
  add s2, s2, a0
  addi s3, s3, 1
  j again
.org ${PAGE}
  li a1, 3
  xor a0, a0, a1
sum:
  add a0, a0, a1
  addi a1, a1, -1
  bnez a1, sum
  ret
`;

/** Sv39 tables of one page each: the root, one for 2 MiB pages, one for 4 KiB pages. */
function writeTables(ram: DataView, root: number, libraryVa: number): void {
  const pte = (offset: number, flags: bigint): bigint => ((BigInt(RAM + offset) >> 12n) << 10n) | flags;
  ram.setBigUint64(root, pte(root + PAGE, VALID), true);
  ram.setBigUint64(root + PAGE, pte(root + 2 * PAGE, VALID), true);
  const leaves = root + 2 * PAGE;
  ram.setBigUint64(leaves + (PROGRAM_VA / PAGE) * 8, pte(0, LEAF), true);
  ram.setBigUint64(leaves + (libraryVa / PAGE) * 8, pte(PAGE, LEAF), true);
}

function loaded(machine: InterpreterMachine): InterpreterMachine {
  machine.load({ image: assemble(SOURCE, { base: RAM }).bytes, base: BigInt(RAM) });
  const ram = machine.writableMemory();
  for (const [i, root] of TABLES.entries()) writeTables(ram, root, LIBRARY_VAS[i] ?? 0);
  machine.hart.set('pmpaddr', (1n << 54n) - 1n);
  machine.hart.set('pmpcfg', 0x1fn);
  machine.hart.setWord('priv', 1);
  return machine;
}

/** As a kernel switches from one program to another. */
function switchTo({ hart }: InterpreterMachine, program: number): void {
  hart.set('satp', (8n << 60n) | (BigInt(RAM + (TABLES[program] ?? 0)) >> 12n));
  hart.fence('sfence.vma');
  hart.set('pc', BigInt(PROGRAM_VA));
  hart.set('x', BigInt(LIBRARY_VAS[program] ?? 0), 9);
}

const STEPS = 60_000;
/** A region has its pages looked up that the interpreter has not come to. */
const MAY_DIFFER = new Set([...TRANSLATOR_STATE, ...[0, 1, 2, 3].flatMap((i) => [`walkTags${i}`, `walkTables${i}`])]);

function machines() {
  let translator: RegionTranslator | null = null;
  const machine = loaded(
    new InterpreterMachine('none', (place) => {
      translator = new RegionTranslator(place, { traceInterval: 13, threshold: 16, batch: 1, urgent: 16 });
      return translator;
    }),
  );
  const other = loaded(new InterpreterMachine());
  const made: RegionTranslator = translator ?? expect.fail('no translator was made');
  const { statistics } = made;
  return {
    statistics,
    /** Runs a program. @param traces whether more may be translated; @returns what was refused, and done in regions */
    run(program: number, traces: boolean): { refused: number; executed: number } {
      const [refused, executed] = [refusals(machine), statistics.executed];
      machine.hart.setWord('traceDue', traces ? 1 : 2 ** 30);
      for (const one of [machine, other]) {
        switchTo(one, program);
        one.step(STEPS);
      }
      expect(compareStates(machine.state(), other.state(), MAY_DIFFER)).toEqual([]);
      made.review();
      return { refused: refusals(machine) - refused, executed: statistics.executed - executed };
    },
  };
}

const refusals = ({ hart }: InterpreterMachine): number => Number(hart.get('regionExits', REGION_STATUS.refused));

describe('a region of code that lies at another distance from its caller in another program', () => {
  it('is made anew without the caller, and then serves both', () => {
    const { run, statistics } = machines();
    run(0, true);
    expect(statistics.regions).toBe(1);
    expect(run(1, false).refused).toBeGreaterThan(1000);
    expect(run(1, false)).toEqual({ refused: 0, executed: 0 });
    run(0, true);
    expect(statistics.regions).toBeGreaterThan(1);
    const { refused, executed } = run(1, false);
    expect(refused).toBe(0);
    expect(executed).toBeGreaterThan(STEPS / 2);
    expect(statistics.unprofitable).toBe(0);
  });
});
