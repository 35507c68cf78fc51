import { describe, expect, test } from 'vitest';
import { EXIT, PENDING, STATUS } from '../../src/hart/state.ts';
import { AMO_OPS } from '../../src/isa/ir.ts';
import { AMO_MODELS, AMO_VALUES } from '../support/amo-model.ts';
import { MODE, makeMachine, PageTables, RAM_BASE, RAM_BYTES, RWX } from './machine.ts';

const DATA = RAM_BASE + 0x20_0000n;
const UART = 0x1000_0000n;

describe('misaligned', () => {
  test('within a page and across two', () => {
    const machine = makeMachine();
    const tables = new PageTables(machine, 3);
    tables.map(0x1000n, DATA, RWX);
    tables.map(0x2000n, DATA + 0x5000n, RWX);
    machine.setUp({ satp: tables.satp, priv: MODE.s });
    for (const [va, size] of [
      [0x1001n, 8],
      [0x1ff9n, 8],
      [0x1fffn, 8],
      [0x1ffdn, 4],
      [0x1fffn, 2],
    ] as const) {
      const value = BigInt.asUintN(size * 8, 0xf1e2_d3c4_b5a6_9788n);
      machine.store(va, size, 0xf1e2_d3c4_b5a6_9788n);
      expect(machine.load(va, size)).toBe(value);
    }
    machine.store(0x1fffn, 2, 0xabcdn);
    expect(machine.peek(DATA + 0xff8n) >> 56n).toBe(0xcdn);
    expect(machine.peek(DATA + 0x5000n) & 0xffn).toBe(0xabn);
  });
  test('a fault in the second page reports it and nothing is written', () => {
    const machine = makeMachine();
    const tables = new PageTables(machine, 3);
    tables.map(0x1000n, DATA, RWX);
    machine.setUp({ satp: tables.satp, priv: MODE.s });
    machine.store(0x1ffcn, 8, ~0n);
    expect(machine.lastTrap()).toMatchObject({ cause: 15n, tval: 0x2000n });
    expect(machine.peek(DATA + 0xff8n)).toBe(0n);
    machine.setUp({ priv: MODE.s });
    machine.load(0xffcn, 8);
    expect(machine.lastTrap()).toMatchObject({ cause: 13n, tval: 0xffcn });
  });
  test('into what is not RAM', () => {
    const machine = makeMachine();
    machine.load(RAM_BASE - 4n, 8);
    expect(machine.lastTrap()).toMatchObject({ cause: 5n, tval: RAM_BASE - 4n });
    machine.store(RAM_BASE + BigInt(RAM_BYTES) - 4n, 8, 0n);
    expect(machine.lastTrap()).toMatchObject({ cause: 7n, tval: RAM_BASE + BigInt(RAM_BYTES) });
    machine.load(UART + 1n, 4);
    expect(machine.lastTrap()).toMatchObject({ cause: 5n, tval: UART + 1n });
    expect(machine.get('pendingState')).toBe(BigInt(PENDING.none));
  });
});

describe('the pending access', () => {
  test('a load leaves, and takes the answer when executed again', () => {
    const machine = makeMachine();
    expect(machine.run('load', UART + 5n, 1)).toEqual({ value: 0n, status: STATUS.exit });
    expect(machine.get('exitReason')).toBe(BigInt(EXIT.access));
    expect(machine.get('pendingState')).toBe(BigInt(PENDING.issued));
    expect(machine.get('pendingGpa')).toBe(UART + 5n);
    expect([machine.get('pendingSize'), machine.get('pendingIsWrite')]).toEqual([1n, 0n]);
    // Entered again too early: still issued.
    expect(machine.run('load', UART + 5n, 1).status).toBe(STATUS.exit);
    machine.set('pendingValue', 0x1260n);
    machine.set('pendingState', PENDING.done);
    expect(machine.run('load', UART + 5n, 1)).toEqual({ value: 0x60n, status: STATUS.next });
    expect(machine.get('pendingState')).toBe(BigInt(PENDING.none));
    expect(machine.run('load', UART + 5n, 1).status).toBe(STATUS.exit);
  });
  test('a store carries its value; a fault is an access fault', () => {
    const machine = makeMachine();
    expect(machine.run('store', UART, 2, 0x12_3456n).status).toBe(STATUS.exit);
    expect(machine.get('pendingValue')).toBe(0x3456n);
    expect(machine.get('pendingIsWrite')).toBe(1n);
    machine.set('pendingState', PENDING.done);
    expect(machine.run('store', UART, 2, 0x12_3456n).status).toBe(STATUS.next);
    machine.run('store', UART, 2, 0n);
    machine.set('pendingState', PENDING.fault);
    expect(machine.run('store', UART, 2, 0n).status).toBe(STATUS.refetch);
    expect(machine.lastTrap()).toEqual({ cause: 7n, tval: UART, epc: RAM_BASE });
    machine.run('load', 0x40n, 8);
    machine.set('pendingState', PENDING.fault);
    machine.run('load', 0x40n, 8);
    expect(machine.lastTrap()).toMatchObject({ cause: 5n, tval: 0x40n });
    expect(machine.get('pendingState')).toBe(BigInt(PENDING.none));
  });
  test('an answer to another access is not taken', () => {
    const machine = makeMachine();
    machine.run('load', UART, 1);
    machine.set('pendingState', PENDING.done);
    expect(machine.run('load', UART + 1n, 1).status).toBe(STATUS.exit);
    expect(machine.get('pendingGpa')).toBe(UART + 1n);
  });
  test('no interrupt comes between an access and its answer', () => {
    const machine = makeMachine();
    machine.setUp({ mie: 0x800n, mstatus: 8n });
    machine.run('setInterruptLine', 11, 1);
    machine.run('load', UART, 1);
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.set('pendingState', PENDING.done);
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.run('load', UART, 1);
    expect(machine.run('interrupts').status).toBe(STATUS.refetch);
  });
});

describe('atomics', () => {
  test.each(AMO_OPS.map((name, op) => [name, op] as const))('%s', (name, op) => {
    const machine = makeMachine();
    for (const size of [4, 8]) {
      const bits = size * 8;
      for (const a of AMO_VALUES) {
        for (const b of AMO_VALUES) {
          machine.poke(DATA, a);
          const { value } = machine.run('amo', op, DATA, size, b);
          expect(value).toBe(BigInt.asUintN(64, BigInt.asIntN(bits, a)));
          const expected = BigInt.asUintN(bits, AMO_MODELS[name](a, b, bits));
          expect(BigInt.asUintN(bits, machine.peek(DATA))).toBe(expected);
          expect(machine.peek(DATA) >> BigInt(bits)).toBe(a >> BigInt(bits));
        }
      }
    }
  });
  test('faults', () => {
    const machine = makeMachine();
    machine.run('amo', 1, DATA + 4n, 8, 0n);
    expect(machine.lastTrap()).toMatchObject({ cause: 6n, tval: DATA + 4n });
    machine.run('loadReserved', DATA + 2n, 4);
    expect(machine.lastTrap()).toMatchObject({ cause: 4n, tval: DATA + 2n });
    machine.run('storeConditional', DATA + 2n, 4, 0n);
    expect(machine.lastTrap()).toMatchObject({ cause: 6n, tval: DATA + 2n });
    machine.run('amo', 0, UART, 4, 0n);
    expect(machine.lastTrap()).toMatchObject({ cause: 7n, tval: UART });
    machine.run('loadReserved', UART, 4);
    expect(machine.lastTrap()).toMatchObject({ cause: 5n, tval: UART });
    const tables = new PageTables(machine, 3);
    tables.map(0x1000n, DATA, RWX & ~4n);
    machine.setUp({ satp: tables.satp, priv: MODE.s });
    machine.run('amo', 0, 0x1000n, 4, 0n);
    expect(machine.lastTrap()).toMatchObject({ cause: 15n, tval: 0x1000n });
  });
  test('LR and SC', () => {
    const machine = makeMachine();
    const sc = (va: bigint, size: number, value: bigint): bigint =>
      machine.run('storeConditional', va, size, value).value;
    machine.poke(DATA, 0x8000_0001n);
    expect(sc(DATA, 4, 1n)).toBe(1n);
    expect(machine.run('loadReserved', DATA, 4).value).toBe(0xffff_ffff_8000_0001n);
    expect(sc(DATA, 4, 7n)).toBe(0n);
    expect(machine.peek(DATA)).toBe(7n);
    expect(sc(DATA, 4, 8n)).toBe(1n);
    machine.run('loadReserved', DATA, 8);
    expect(sc(DATA + 8n, 8, 1n)).toBe(1n);
    machine.run('loadReserved', DATA, 8);
    machine.poke(DATA, 9n);
    expect(sc(DATA, 8, 1n)).toBe(1n);
    machine.run('loadReserved', DATA, 8);
    machine.run('ecall');
    expect(sc(DATA, 8, 1n)).toBe(1n);
    expect(machine.peek(DATA)).toBe(9n);
  });
});

describe('cache blocks', () => {
  test('cbo.zero clears 64 bytes', () => {
    const machine = makeMachine();
    for (let i = 0n; i < 24n; i++) machine.poke(DATA + 8n * i, ~0n);
    for (const offset of [64n + 13n, 64n]) {
      machine.run('cboZero', DATA + offset);
      expect([7n, 8n, 15n, 16n].map((i) => machine.peek(DATA + 8n * i) === 0n)).toEqual([false, true, true, false]);
    }
    machine.run('cboZero', UART + 4n);
    expect(machine.lastTrap()).toMatchObject({ cause: 7n, tval: UART });
  });
  test('permissions: load or store; a fault is a store fault at the block', () => {
    const machine = makeMachine();
    const tables = new PageTables(machine, 3);
    tables.map(0x1000n, DATA, RWX & ~4n);
    machine.setUp({ satp: tables.satp, priv: MODE.s, menvcfg: 0xf0n });
    for (const name of ['cboInval', 'cboClean', 'cboFlush']) {
      expect(machine.run(name, 0x1008n).status).toBe(STATUS.next);
      expect(machine.run(name, 0x2008n).status).toBe(STATUS.refetch);
      expect(machine.lastTrap()).toMatchObject({ cause: 15n, tval: 0x2000n });
      machine.setUp({ priv: MODE.s });
    }
    machine.run('cboZero', 0x1008n);
    expect(machine.lastTrap()).toMatchObject({ cause: 15n, tval: 0x1000n });
  });
  test('menvcfg and senvcfg', () => {
    const machine = makeMachine();
    const cases = [
      ['cboInval', 0x10n],
      ['cboClean', 0x40n],
      ['cboFlush', 0x40n],
      ['cboZero', 0x80n],
    ] as const;
    for (const [name, bit] of cases) {
      const isIllegal = (priv: bigint, menvcfg: bigint, senvcfg: bigint): boolean => {
        machine.setUp({ priv, menvcfg, senvcfg, mcause: 0n });
        machine.run(name, DATA);
        return machine.lastTrap().cause === 2n;
      };
      expect(isIllegal(MODE.m, 0n, 0n)).toBe(false);
      expect(isIllegal(MODE.s, 0n, 0n)).toBe(true);
      expect(isIllegal(MODE.s, bit, 0n)).toBe(false);
      expect(isIllegal(MODE.u, bit, 0n)).toBe(true);
      expect(isIllegal(MODE.u, 0n, bit)).toBe(true);
      expect(isIllegal(MODE.u, bit, bit)).toBe(false);
    }
  });
});
