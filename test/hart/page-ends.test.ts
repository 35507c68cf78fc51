/** Accesses over the end of a page, whose first half is another page's than the one the data TLB has. */
import { describe, expect, it } from 'vitest';
import { DTLB } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { translatorWith } from '../../src/jit/translator.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';

const BASE = 0x8000_0000n;
const PAGE_BYTES = 4096;
const CODE = BASE + BigInt(PAGE_BYTES);
const PAGE_NUMBERS = 2 ** 20;
const LOAD_ACCESS_FAULT = 5n;
const STORE_ACCESS_FAULT = 7n;

describe('neighbours among pages', () => {
  it('never have the same entry of the data TLB: an access over the end would find it', () => {
    const entryOf = (page: number): number => (page ^ (page >>> DTLB.foldBits)) & (DTLB.entries - 1);
    const same: number[] = [];
    for (let page = 0; page < PAGE_NUMBERS; page++) {
      if (entryOf(page) === entryOf((page + 1) % PAGE_NUMBERS)) same.push(page);
    }
    expect(same).toEqual([]);
  });
});

describe.each([
  ['interpreted', undefined],
  ['translated', translatorWith({ traceInterval: 1, threshold: 1, batch: 1, urgent: 1, minInsnsPerVisit: 0 })],
])('an access that begins in front of RAM, %s', (_, translator) => {
  // Each access is aligned and hits, a thousand times, before it is not.
  it.each([
    ['ld a0, 0(t0)', LOAD_ACCESS_FAULT],
    ['sd a0, 0(t0)', STORE_ACCESS_FAULT],
  ])('%s: faults', (access, cause) => {
    const machine = new InterpreterMachine('none', translator);
    const source = `
        la t1, handler
        csrw mtvec, t1
        li s0, 0x80000000
        li s1, 1000
      again:
        mv t0, s0
        snez t2, s1
        xori t2, t2, 1
        slli t2, t2, 2
        sub t0, t0, t2
        ${access}
        addi s1, s1, -1
        j again
      handler:
        csrr s2, mcause
        csrr s3, mtval
      end:
        j end
    `;
    // RAM's first page is data: the code lies in the next.
    const { bytes } = assemble(source, { base: Number(CODE) });
    machine.load({ image: new Uint8Array([...new Uint8Array(PAGE_BYTES), ...bytes]), base: BASE });
    machine.hart.reset(CODE);
    machine.step(20_000);
    expect(machine.hart.get('x', 18)).toBe(cause);
    expect(machine.hart.get('x', 19)).toBe(BASE - 4n);
    expect(machine.hart.get('x', 9)).toBe(0n);
  });
});
