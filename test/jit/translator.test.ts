/** The translator on small programs: exact counts, changed code, code seen at two addresses, bounds, what it costs. */
import { describe, expect, it } from 'vitest';
import type { TranslatorPlace } from '../../src/hart/hart.ts';
import { QUANTUM } from '../../src/hart/run-loop.ts';
import { REGION_STATUS } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { GuestCode } from '../../src/jit/guest-code.ts';
import { betterEntry, RegionFormer } from '../../src/jit/region.ts';
import { RegionTranslator, type TranslatorOptions } from '../../src/jit/translator.ts';
import { compareStates } from '../lockstep/harness.ts';
import { COLLIDING_BYTES, collidingSums, mapAgain } from '../support/aliased-ram.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';

const BASE = 0x8000_0000n;
const EAGER: Partial<TranslatorOptions> = { traceInterval: 1, threshold: 1, batch: 1, urgent: 1, minInsnsPerVisit: 0 };
/** Sums an array of eight doublewords, for ever, by a function that a loop calls. */
const SUMS = `
  li sp, 0x80040000
again:
  li a0, 0x80040000
  call sum
  add s0, s0, a0
  sd s0, 64(sp)
  j again
sum:
  li a1, 8
  mv a2, a0
  li a0, 0
next:
  ld a3, 0(a2)
  add a0, a0, a3
  addi a2, a2, 8
  addi a1, a1, -1
  bnez a1, next
  ret
`;

interface Made {
  readonly machine: InterpreterMachine;
  readonly translator: RegionTranslator;
}

function translating(options: Partial<TranslatorOptions> = {}): Made {
  let translator: RegionTranslator | null = null;
  const machine = new InterpreterMachine('none', (place) => {
    translator = new RegionTranslator(place, { ...EAGER, ...options });
    return translator;
  });
  return { machine, translator: translator ?? expect.fail('no translator was made') };
}

const load = (machine: InterpreterMachine, source: string): InterpreterMachine => {
  machine.load({ image: assemble(source, { base: Number(BASE) }).bytes, base: BASE });
  return machine;
};

function expectSame(a: InterpreterMachine, b: InterpreterMachine): void {
  expect(compareStates(a.state(), b.state(), TRANSLATOR_STATE)).toEqual([]);
}

describe('the translator', () => {
  it('stops after exactly as many instructions as it may execute', () => {
    const { machine, translator } = translating();
    const other = load(new InterpreterMachine(), SUMS);
    load(machine, SUMS);
    machine.step(2000);
    other.step(2000);
    for (let count = 1; count < 300; count++) {
      expect(machine.step(count)).toBe(count);
      expect(other.step(count)).toBe(count);
      expectSame(machine, other);
    }
    translator.review();
    expect(translator.statistics.executed).toBeGreaterThan(20_000);
  });

  it('forgets what fence.i finds changed, and nothing for data beside the code', () => {
    const { machine, translator } = translating();
    load(machine, SUMS);
    machine.step(3000);
    expect(translator.statistics.regions).toBeGreaterThan(0);
    const ram = machine.writableMemory();
    ram.setUint32(0x800, 0x1234_5678, true);
    machine.hart.fence('fence.i');
    machine.step(3000);
    expect(translator.statistics.invalidated).toBe(0);
    // add a0, a0, a3 becomes sub.
    const { bytes } = assemble(SUMS, { base: Number(BASE) });
    const [add = 0, sub = 0] = ['add', 'sub'].map((name) => {
      const code = assemble(`${name} a0, a0, a3`, { base: 0 }).bytes;
      return new DataView(code.buffer, code.byteOffset).getUint32(0, true);
    });
    const at = Array.from({ length: bytes.length / 2 - 1 }, (_, i) => i * 2).find(
      (i) => ram.getUint32(i, true) === add,
    );
    ram.setUint32(at ?? expect.fail('no such instruction'), sub, true);
    ram.setBigUint64(0x4_0000, 1n, true);
    machine.hart.fence('fence.i');
    const before = machine.hart.get('x', 8);
    machine.step(3000);
    expect(translator.statistics.invalidated).toBeGreaterThan(0);
    expect(BigInt.asIntN(64, machine.hart.get('x', 8) - before)).toBeLessThan(0n);
  });

  it('runs one translation at every address that its page is mapped to', () => {
    const source = `
      la t1, here
    here:
      auipc a0, 0
      jal a1, over
    over:
      add s0, s0, a0
      xor s0, s0, a1
      addi t0, t0, -1
      bnez t0, here
    `;
    const regions: number[] = [];
    const run = (machine: InterpreterMachine, translator?: RegionTranslator): InterpreterMachine => {
      load(machine, source);
      const table = 0x3_0000;
      const ram = machine.writableMemory();
      // Sv39: two gigabytes, both of RAM, for all and everything.
      for (const index of [2, 3]) ram.setBigUint64(table + index * 8, (BASE >> 2n) | 0xcfn, true);
      machine.hart.set('satp', (8n << 60n) | ((BASE + BigInt(table)) >> 12n));
      machine.hart.set('pmpaddr', (1n << 54n) - 1n);
      machine.hart.set('pmpcfg', 0x1fn);
      machine.hart.setWord('priv', 1);
      for (const base of [BASE, 0xc000_0000n]) {
        machine.hart.set('x', 100n, 5);
        machine.hart.set('pc', base);
        // Not reset: translations are to stay.
        machine.hart.fence('sfence.vma');
        machine.step(500);
        regions.push(translator?.statistics.regions ?? 0);
      }
      return machine;
    };
    const { machine, translator } = translating({ leftWeight: 0 });
    const other = run(new InterpreterMachine());
    expectSame(run(machine, translator), other);
    // Where the loop begins, and at the first address.
    expect(regions.slice(2)).toEqual([1, 1]);
  });

  it('keeps what is met in another mode until that runs again', () => {
    const { machine, translator } = translating({ threshold: 64, urgent: 64, traceInterval: 256 });
    // In M mode an ecall, in S mode a loop that is too short to be seen often enough at one visit.
    const source = `
      la t0, handler
      csrw mtvec, t0
      csrw medeleg, x0
      li t0, -1
      csrw pmpaddr0, t0
      li t0, 0x1f
      csrw pmpcfg0, t0
      li t0, 0x0800
      csrs mstatus, t0
      la t0, work
      csrw mepc, t0
      mret
    work:
      li t1, 20
    loop:
      addi a0, a0, 1
      xor a1, a1, a0
      addi t1, t1, -1
      bnez t1, loop
      ecall
      j work
    .align 2
    handler:
      li t2, 40
    delay:
      addi t2, t2, -1
      bnez t2, delay
      csrr t0, mepc
      addi t0, t0, 4
      csrw mepc, t0
      mret
    `;
    const other = load(new InterpreterMachine(), source);
    load(machine, source);
    for (const one of [machine, other]) one.step(400_000);
    expectSame(machine, other);
    translator.review();
    expect(translator.statistics.executed).toBeGreaterThan(200_000);
  });

  it('translates long straight code in pieces that follow each other', () => {
    const { machine, translator } = translating({ threshold: 64, urgent: 64, traceInterval: 1024 });
    const straight = Array.from(
      { length: 3000 },
      (_, i) => `addi x${5 + (i % 20)}, x${5 + ((i + 7) % 20)}, ${i % 100}`,
    );
    const source = `again: ${straight.join('\n')}\n la x30, again\n jr x30`;
    const other = load(new InterpreterMachine(), source);
    load(machine, source);
    for (const one of [machine, other]) one.step(1_000_000);
    expectSame(machine, other);
    translator.review();
    expect(translator.statistics.executed).toBeGreaterThan(500_000);
  });

  it('enters what leads on to a loop in front of it, and the loop at its head', () => {
    let place: TranslatorPlace | null = null;
    const machine = new InterpreterMachine('none', (at) => {
      place = at;
      return new RegionTranslator(at);
    });
    load(machine, 'li a0, 8; addi a1, a1, 1; next: addi a0, a0, -1; bnez a0, next; end: j end');
    machine.step(100);
    const { memory, arena } = place ?? expect.fail('no translator was made');
    const code = new GuestCode(memory, arena);
    const everything = { heat: () => 1, targets: () => [] };
    const page = code.pageOfAddress(Number(BASE), 0);
    const former = (offset: number): RegionFormer =>
      new RegionFormer(code, { page, offset, lo: Number(BASE), hi: 0 }, everything);
    const head = betterEntry(former(0).form() ?? expect.fail('no region'));
    expect(head).toBeGreaterThan(0);
    expect(former(head).form()?.entries).toEqual([0]);
    expect(former(head).form(-head)?.entries).toEqual([0, -head]);
  });

  it('computes what is exact while NX is clear, and leaves what is not', () => {
    // Integers in doubles and singles: sums, products, quotients and roots without a rest, fused ones, conversions.
    const source = `
      li t0, 0x6000
      csrs mstatus, t0
      li t0, 3
      fcvt.d.l fa0, t0
      fcvt.s.w fs0, t0
    again:
      li t1, 500
    next:
      fcvt.d.l fa1, t1
      fmul.d fa2, fa1, fa1
      fmadd.d fa3, fa1, fa0, fa2
      fsub.d fa4, fa3, fa2
      fdiv.d fa5, fa4, fa0
      fsqrt.d fa6, fa2
      fcvt.s.d fs1, fa6
      fmadd.s fs2, fs1, fs0, fs1
      fdiv.s fs3, fs2, fs1
      fcvt.l.d a1, fa5, rtz
      add a0, a0, a1
      addi t1, t1, -1
      bnez t1, next
      addi s0, s0, 1
      li t2, 40
      blt s0, t2, again
      li t1, 7                      # from now on NX is raised
      fcvt.d.l fa1, t1
      fdiv.d fa0, fa0, fa1
      j again
    `;
    const { machine, translator } = translating({ threshold: 64, urgent: 64, traceInterval: 2048 });
    const other = load(new InterpreterMachine(), source);
    load(machine, source);
    const flags: number[] = [];
    for (let i = 0; i < 40; i++) {
      for (const one of [machine, other]) one.step(10_000);
      expectSame(machine, other);
      flags.push(machine.hart.word('fflags'));
    }
    translator.review();
    expect([flags[0], flags.at(-1)]).toEqual([0, 1]);
    expect(translator.statistics.executed).toBeGreaterThan(200_000);
    expect(Number(machine.hart.get('regionExits', REGION_STATUS.gated))).toBeLessThan(20_000);
  });

  it('has regions look at their pages again after a fence of one address, and after fence.i', () => {
    const { machine } = translating({});
    load(machine, SUMS);
    machine.step(10);
    const { hart } = machine;
    let epoch = hart.get('fetchEpoch');
    for (const fence of [() => hart.fence('sfence.vma', 0x1000n, 4096n), () => hart.fence('fence.i')]) {
      fence();
      expect(hart.get('fetchEpoch')).toBeGreaterThan(epoch);
      epoch = hart.get('fetchEpoch');
    }
  });

  it('takes regions out rather than grow', () => {
    const maxBytes = 3000;
    const { machine, translator } = translating({ maxBytes, batch: 1, everything: true });
    const other = load(new InterpreterMachine(), SUMS);
    load(machine, SUMS);
    let most = 0;
    for (let i = 0; i < 40; i++) {
      machine.step(1000);
      other.step(1000);
      expectSame(machine, other);
      most = Math.max(most, translator.bytes);
    }
    expect(translator.statistics.evicted).toBeGreaterThan(0);
    expect(translator.statistics.bytes).toBeGreaterThan(maxBytes);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(maxBytes);
  });

  it('follows calls over megabytes', () => {
    const { machine, translator } = translating({ threshold: 64, urgent: 64, traceInterval: 61 });
    load(
      machine,
      `
      la t1, far
      li t2, 0x200000
      add t1, t1, t2
    again:
      jalr t1
      addi s0, s0, 1
      j again
    .org 0x1000
    far:
      addi s1, s1, 1
      ret
    `,
    );
    mapAgain(machine, 2);
    machine.step(40_000);
    translator.review();
    const { visits, executed } = translator.statistics;
    machine.step(10_000);
    translator.review();
    expect(machine.hart.get('x', 8)).toBeGreaterThan(9000n);
    expect(machine.hart.get('x', 9)).toBeGreaterThanOrEqual(machine.hart.get('x', 8));
    expect((translator.statistics.executed - executed) / (translator.statistics.visits - visits)).toBeGreaterThan(500);
  });

  it('translates an instruction that goes over to the next page, and sees either half change', () => {
    const at = 0xffe;
    // Compressed, as the assembler writes them: the long one is the first that is not aligned.
    const source = (long: string): string => `
      j again
    .org ${at - 8}
    again:
      c.addi s0, 1
      c.nop
      c.nop
      c.nop
      ${long}
      addi s3, s3, 1
      j again
    `;
    const { machine, translator } = translating();
    const other = new InterpreterMachine();
    for (const one of [machine, other]) load(one, source('addi s1, s1, 257'));
    for (const long of ['addi s1, s1, 513', 'addi s2, s2, 513']) {
      machine.step(4000);
      translator.review();
      const { visits, executed } = translator.statistics;
      machine.step(6000);
      translator.review();
      expect((translator.statistics.executed - executed) / (translator.statistics.visits - visits)).toBeGreaterThan(
        500,
      );
      other.step(10_000);
      expectSame(machine, other);
      // First the half in the second page, then both.
      const { bytes } = assemble(source(long), { base: Number(BASE) });
      for (const one of [machine, other]) {
        const ram = one.writableMemory();
        for (let i = at; i < at + 4; i++) ram.setUint8(i, bytes[i] ?? 0);
        one.hart.fence('fence.i');
      }
    }
    machine.step(5000);
    other.step(5000);
    expectSame(machine, other);
    expect(machine.hart.get('x', 18)).not.toBe(0n);
  });

  it('goes on where a look at its other page takes a region out whose first instruction needs its slow form', () => {
    const source = (step: number): string => `
      li a2, 0x80040000
      j again
    .org 0xff0
    again:
      ld a3, 0(a2)
      addi s0, s0, 1
      addi s1, s1, 1
      addi s2, s2, 1
      addi s3, s3, ${step}
      j again
    `;
    const { machine, translator } = translating();
    const other = new InterpreterMachine();
    const { bytes } = assemble(source(2), { base: Number(BASE) });
    for (const one of [machine, other]) {
      load(one, source(1));
      one.step(4000);
      // Up to where the region is entered next.
      while (one.hart.get('pc') !== BASE + 0xff0n) one.step(1);
      const ram = one.writableMemory();
      for (let i = 0x1000; i < bytes.length; i++) ram.setUint8(i, bytes[i] ?? 0);
      one.hart.fence('fence.i');
      // Over the end of a page: no fast form loads from there.
      one.hart.set('x', BASE + 0x4_0ffcn, 12);
      one.step(1000);
    }
    expect(translator.statistics.invalidated).toBeGreaterThan(0);
    expectSame(machine, other);
  });

  it.each([
    [2000, 'stays as it is', 1600, 2000],
    [40_000, 'is translated anew', 2000, 10_000],
  ])('a region that misses the TLB %i times %s', (times, _, least, most) => {
    // What is outside the inner loop stays interpreted, and traced, though it is soon nothing new.
    const { machine } = translating({ threshold: 4000, urgent: 4000, traceInterval: 13 });
    load(machine, collidingSums(times));
    mapAgain(machine, COLLIDING_BYTES / 2 ** 20);
    machine.step(50_000);
    machine.step(times * 4 + 50_000);
    const missed = Number(machine.hart.get('regionExits', REGION_STATUS.missed));
    expect(missed).toBeGreaterThan(least);
    expect(missed).toBeLessThan(most);
  });

  it('removes regions that are left at once', () => {
    const source = `
    again:
      csrr t0, mscratch
      addi t1, t1, 1
      j again
    `;
    const { machine, translator } = translating({ minInsnsPerVisit: 8, everything: true });
    load(machine, source);
    machine.step(100_000);
    // Reviews come with traces, and here only slow forms run between two visits.
    translator.review();
    expect(translator.statistics.unprofitable).toBeGreaterThan(0);
    machine.step(100_000);
    const { regions } = translator.statistics;
    machine.step(200_000);
    // What did not pay is not tried again soon.
    expect(translator.statistics.regions).toBe(regions);
  });

  it('costs what it did', () => {
    const { machine, translator } = translating({ traceInterval: 1024, threshold: 256, urgent: 256 });
    load(machine, SUMS);
    machine.step(1_000_000);
    const { regions, insns, bytes } = translator.statistics;
    translator.review();
    const bailed = Number(machine.hart.get('regionExits', REGION_STATUS.bailed));
    expect({ regions, bailed }).toEqual({ regions: 1, bailed: 0 });
    // What a quantum has no room for begins the next one: only the end of the whole is interpreted.
    expect(Number(machine.hart.get('regionExits', REGION_STATUS.noBudget))).toBeLessThan(10);
    expect(bytes / insns).toBeLessThan(60);
    // Each quantum ends a visit.
    expect(translator.statistics.visits).toBeLessThan(1.1 * (1_000_000 / QUANTUM));
    expect(translator.statistics.executed).toBeGreaterThan(950_000);
  });
});
