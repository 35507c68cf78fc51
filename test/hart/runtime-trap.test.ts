import { describe, expect, test } from 'vitest';
import { EXIT, STATUS } from '../../src/hart/state.ts';
import { MODE, makeMachine, RAM_BASE } from './machine.ts';

const SIE = 1n << 1n;
const MIE = 1n << 3n;
const SPIE = 1n << 5n;
const MPIE = 1n << 7n;
const SPP = 1n << 8n;
const MPP = 3n << 11n;
const MPRV = 1n << 17n;
const TVM = 1n << 20n;
const TW = 1n << 21n;
const TSR = 1n << 22n;
const STCE = 1n << 63n;
const INTERRUPT = 1n << 63n;
const PC = RAM_BASE + 0x40n;

function at(fields: Parameters<ReturnType<typeof makeMachine>['setUp']>[0]) {
  const machine = makeMachine();
  machine.setUp({ pc: PC, stvec: RAM_BASE + 0x200n, remaining: 10n, instretEnd: 100n, ...fields });
  return machine;
}

describe('trap entry', () => {
  test('to M mode', () => {
    const machine = at({ priv: MODE.s, mstatus: MIE | SIE });
    expect(machine.run('trap', 13, 0x1234n).status).toBe(STATUS.refetch);
    expect(machine.lastTrap()).toEqual({ cause: 13n, tval: 0x1234n, epc: PC });
    expect(machine.get('priv')).toBe(MODE.m);
    expect(machine.get('pc')).toBe(RAM_BASE + 0x100n);
    expect(machine.get('mstatus')).toBe(MPIE | (1n << 11n) | SIE);
    expect(machine.get('remaining')).toBe(10n);
  });
  test('delegated to S mode, but never out of M mode', () => {
    const machine = at({ priv: MODE.u, medeleg: 1n << 13n, mstatus: SIE | MPP });
    machine.run('trap', 13, 0x1234n);
    expect(machine.get('priv')).toBe(MODE.s);
    expect([machine.get('scause'), machine.get('stval'), machine.get('sepc')]).toEqual([13n, 0x1234n, PC]);
    expect(machine.get('pc')).toBe(RAM_BASE + 0x200n);
    expect(machine.get('mstatus')).toBe(SPIE | MPP);
    machine.setUp({ priv: MODE.s, pc: PC });
    machine.run('trap', 13, 1n);
    expect(machine.get('mstatus')).toBe(SPP | MPP);
    machine.setUp({ priv: MODE.m, pc: PC });
    machine.run('trap', 13, 2n);
    expect(machine.get('priv')).toBe(MODE.m);
    expect(machine.lastTrap().tval).toBe(2n);
  });
  test.each([
    [MODE.u, 8n],
    [MODE.s, 9n],
    [MODE.m, 11n],
  ])('ecall from mode %s', (priv, cause) => {
    const machine = at({ priv });
    machine.run('ecall');
    expect(machine.lastTrap()).toEqual({ cause, tval: 0n, epc: PC });
  });
  test('ecall from S mode leaves to the built-in SBI', () => {
    const machine = at({ priv: MODE.s, sbi: 1n });
    expect(machine.run('ecall').status).toBe(STATUS.exit);
    expect(machine.get('exitReason')).toBe(BigInt(EXIT.sbi));
    expect(machine.get('pc')).toBe(PC);
    machine.setUp({ priv: MODE.u });
    machine.run('ecall');
    expect(machine.lastTrap().cause).toBe(8n);
  });
  test('ebreak and illegal instructions report pc and bits', () => {
    const machine = at({ priv: MODE.s });
    machine.run('ebreak');
    expect(machine.lastTrap()).toEqual({ cause: 3n, tval: PC, epc: PC });
    for (const [word, bits] of [
      [0xdead_beefn, 0xdead_beefn],
      [0xdead_bee0n, 0xbee0n],
    ] as const) {
      for (const offset of [0n, 0xffen]) {
        machine.poke(RAM_BASE + offset, word);
        machine.setUp({ pc: RAM_BASE + offset });
        machine.run('illegal');
        expect(machine.lastTrap()).toEqual({ cause: 2n, tval: bits, epc: RAM_BASE + offset });
      }
    }
  });
});

describe('returns', () => {
  test('mret', () => {
    const machine = at({ mepc: 0x8000_1000n, mstatus: MPIE | MPRV | (1n << 11n) });
    expect(machine.run('mret').status).toBe(STATUS.refetch);
    expect([machine.get('priv'), machine.get('pc')]).toEqual([MODE.s, 0x8000_1000n]);
    expect(machine.get('mstatus')).toBe(MIE | MPIE);
    expect(machine.get('remaining')).toBe(9n);
    machine.setUp({ priv: MODE.m, mstatus: MPP | MPRV });
    machine.run('mret');
    expect([machine.get('priv'), machine.get('mstatus')]).toEqual([MODE.m, MPIE | MPRV]);
    machine.setUp({ priv: MODE.s });
    machine.run('mret');
    expect(machine.lastTrap().cause).toBe(2n);
  });
  test('sret', () => {
    const machine = at({ priv: MODE.s, sepc: 0x8000_1000n, mstatus: SPIE | SPP | MPRV });
    machine.run('sret');
    expect([machine.get('priv'), machine.get('pc')]).toEqual([MODE.s, 0x8000_1000n]);
    expect(machine.get('mstatus')).toBe(SIE | SPIE);
    machine.run('sret');
    expect([machine.get('priv'), machine.get('mstatus')]).toEqual([MODE.u, SIE | SPIE]);
    machine.run('sret');
    expect(machine.lastTrap().cause).toBe(2n);
    machine.setUp({ priv: MODE.s, mstatus: TSR, mcause: 0n });
    machine.run('sret');
    expect(machine.lastTrap().cause).toBe(2n);
    machine.setUp({ priv: MODE.m, mstatus: TSR, mcause: 0n });
    machine.run('sret');
    expect([machine.get('priv'), machine.lastTrap().cause]).toEqual([MODE.u, 0n]);
  });
});

describe('interrupts', () => {
  test('priority, and the global enables', () => {
    const machine = at({ mie: 0xaaan, mstatus: MIE });
    for (const bit of [11, 3, 9]) machine.run('setInterruptLine', bit, 1);
    machine.writeCsr(0x344, 0x22n);
    machine.setUp({ mtimecmp: 0n });
    for (const expected of [11, 3, 7, 9, 1, 5]) {
      machine.setUp({ priv: MODE.m, mstatus: MIE, pc: PC });
      expect(machine.run('interrupts').status).toBe(STATUS.refetch);
      expect(machine.lastTrap()).toEqual({ cause: INTERRUPT | BigInt(expected), tval: 0n, epc: PC });
      if (expected === 7) machine.setUp({ mtimecmp: ~0n });
      else machine.run('setInterruptLine', expected, 0);
    }
    machine.setUp({ priv: MODE.m, mstatus: MIE, pc: PC });
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.run('setInterruptLine', 11, 1);
    machine.setUp({ mstatus: 0n });
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.setUp({ priv: MODE.s });
    expect(machine.run('interrupts').status).toBe(STATUS.refetch);
  });
  test('delegation and vectored mode', () => {
    const machine = at({ priv: MODE.s, mie: 0xaaan, mideleg: 0x222n, stvec: RAM_BASE + 0x201n });
    machine.run('setInterruptLine', 9, 1);
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.setUp({ mstatus: SIE });
    machine.run('interrupts');
    expect([machine.get('scause'), machine.get('pc')]).toEqual([INTERRUPT | 9n, RAM_BASE + 0x200n + 36n]);
    machine.setUp({ priv: MODE.m, mstatus: SIE | MIE });
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.setUp({ priv: MODE.u, mstatus: 0n });
    expect(machine.run('interrupts').status).toBe(STATUS.refetch);
    machine.run('trap', 2, 0n);
    expect(machine.get('pc')).toBe(RAM_BASE + 0x100n);
  });
  test('SEIP: the line does not become the software bit', () => {
    const machine = at({});
    machine.run('setInterruptLine', 9, 1);
    machine.run('csr', 0x344, 1, 2n, 1, 1);
    expect(machine.readCsr(0x344)).toBe(0x202n);
    machine.run('setInterruptLine', 9, 0);
    expect(machine.readCsr(0x344)).toBe(2n);
  });
  test('timers: Sstc and ACLINT', () => {
    const machine = at({ mie: 0xaaan, mideleg: 0x222n, priv: MODE.s, mstatus: SIE, menvcfg: STCE, mcounteren: 2n });
    machine.time = 1000;
    machine.writeCsr(0x14d, 1500n);
    expect(machine.get('deadline')).toBe(1500n);
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.time = 1500;
    expect(machine.readCsr(0x144)).toBe(1n << 5n);
    expect(machine.get('deadline')).toBe((1n << 64n) - 1n);
    expect(machine.run('interrupts').status).toBe(STATUS.refetch);
    expect(machine.get('scause')).toBe(INTERRUPT | 5n);
    machine.writeCsr(0x14d, 2000n);
    expect(machine.readCsr(0x144)).toBe(0n);
    machine.set('mtimecmp', 1800n);
    machine.run('updateTimers');
    expect(machine.get('deadline')).toBe(1800n);
    machine.time = 1900;
    // A running hart looks at the clock at intervals.
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    machine.set('remaining', machine.get('remaining') - 1024n);
    expect(machine.run('interrupts').status).toBe(STATUS.refetch);
    expect(machine.lastTrap().cause).toBe(INTERRUPT | 7n);
    machine.setUp({ menvcfg: 0n });
    machine.time = 3000;
    expect(machine.readCsr(0x344)).toBe(1n << 7n);
  });
});

describe('wfi', () => {
  test('waits, and wakes whatever the global enables say', () => {
    const machine = at({ priv: MODE.s, mie: 0x200n, mideleg: 0x222n });
    expect(machine.run('wfi').status).toBe(STATUS.exitDone);
    expect(machine.get('exitReason')).toBe(BigInt(EXIT.wfi));
    expect([machine.get('waiting'), machine.get('pc'), machine.get('remaining')]).toEqual([1n, PC + 4n, 9n]);
    expect(machine.run('pendingInterrupts').value).toBe(0n);
    machine.run('setInterruptLine', 9, 1);
    expect(machine.run('pendingInterrupts').value).toBe(0x200n);
    expect(machine.run('interrupts').status).toBe(STATUS.next);
    expect(machine.get('waiting')).toBe(0n);
    expect(machine.run('wfi').status).toBe(STATUS.next);
  });
  test('a timer that comes due wakes it', () => {
    const machine = at({ mie: 0x80n, mtimecmp: 50n });
    expect(machine.run('wfi').status).toBe(STATUS.exitDone);
    machine.time = 50;
    machine.setUp({ mstatus: MIE });
    machine.run('interrupts');
    expect(machine.lastTrap()).toEqual({ cause: INTERRUPT | 7n, tval: 0n, epc: PC + 4n });
  });
  test.each([
    [MODE.u, 0n, true],
    [MODE.s, TW, true],
    [MODE.s, 0n, false],
    [MODE.m, TW, false],
  ])('mode %s with mstatus %s', (priv, mstatus, isIllegal) => {
    const machine = at({ priv, mstatus });
    expect(machine.run('wfi').status === STATUS.refetch).toBe(isIllegal);
  });
  test('wrs.nto obeys TW, wrs.sto does not', () => {
    const machine = at({ priv: MODE.u, mstatus: TW });
    expect(machine.run('wrs', 1).status).toBe(STATUS.next);
    expect(machine.run('wrs', 0).status).toBe(STATUS.refetch);
  });
});

test.each([
  [MODE.u, 0n, [true, true, true, true]],
  [MODE.s, 0n, [false, false, false, false]],
  [MODE.s, TVM, [true, true, false, false]],
  [MODE.m, TVM, [false, false, false, false]],
])('fences in mode %s with mstatus %s', (priv, mstatus, expected) => {
  const illegal = [0, 1, 2, 3].map((kind) => {
    const machine = at({ priv, mstatus });
    return machine.run('sfenceVma', 0n, 0n, 0, 0, kind).status === STATUS.refetch;
  });
  expect(illegal).toEqual(expected);
});
