import { describe, expect, test } from 'vitest';
import { FP_GATE, STATUS } from '../../src/hart/state.ts';
import { csrNumber } from '../../src/isa/csr-names.ts';
import { MODE, makeMachine, RAM_BASE } from './machine.ts';

const ALL = (1n << 64n) - 1n;
const FS = 3n << 13n;
const STCE = 1n << 63n;

/** Whether reading, then writing the CSR is refused in a mode. */
function refuses(
  name: string,
  fields: Parameters<ReturnType<typeof makeMachine>['setUp']>[0],
  writes = false,
): boolean {
  const machine = makeMachine();
  machine.setUp(fields);
  const { status } = machine.run('csr', csrNumber(name), writes ? 1 : 0, 0n, 1, writes ? 1 : 0);
  if (status !== STATUS.next) expect(machine.lastTrap().cause).toBe(2n);
  return status !== STATUS.next;
}

describe('what a write of all ones, then of zero leaves', () => {
  const FIXED = (1n << 33n) | (1n << 35n);
  const rows: [string, bigint, bigint][] = [
    ['misa', 0x8000_0000_0014_112dn, 0x8000_0000_0014_112dn],
    ['mstatus', 0x8000_000a_007e_79aan, FIXED],
    ['sstatus', 0x8000_0002_000c_6122n, 1n << 33n],
    ['medeleg', 0xb3ffn, 0n],
    ['mideleg', 0x222n, 0n],
    ['mie', 0xaaan, 0n],
    ['mip', 0x222n, 0n],
    ['sie', 0n, 0n],
    ['sip', 0n, 0n],
    ['mcounteren', 7n, 0n],
    ['scounteren', 7n, 0n],
    ['mcountinhibit', 5n, 0n],
    ['mtvec', RAM_BASE + 0x100n, 0n],
    ['stvec', 0n, 0n],
    ['mscratch', ALL, 0n],
    ['sscratch', ALL, 0n],
    ['mepc', ALL - 1n, 0n],
    ['sepc', ALL - 1n, 0n],
    ['mcause', ALL, 0n],
    ['scause', ALL, 0n],
    ['mtval', ALL, 0n],
    ['stval', ALL, 0n],
    ['satp', 0n, 0n],
    ['stimecmp', ALL, 0n],
    ['menvcfg', (1n << 63n) | (1n << 62n) | (1n << 61n) | 0xf1n, 0n],
    ['senvcfg', 0xf1n, 0n],
    ['pmpcfg0', 0x9f9f_9f9f_9f9f_9f9fn, 0x9f9f_9f9f_9f9f_9f9fn],
    ['pmpcfg2', 0x9f9f_9f9f_9f9f_9f9fn, 0x9f9f_9f9f_9f9f_9f9fn],
    ['pmpaddr15', (1n << 54n) - 1n, 0n],
    ['mhpmcounter3', 0n, 0n],
    ['mhpmevent31', 0n, 0n],
    ['fflags', 31n, 0n],
    ['frm', 7n, 0n],
    ['fcsr', 255n, 0n],
  ];
  test.each(rows)('%s', (name, ones, zero) => {
    const machine = makeMachine();
    machine.setUp({ mstatus: FS });
    machine.writeCsr(csrNumber(name), ALL);
    expect(machine.readCsr(csrNumber(name))).toBe(ones);
    machine.writeCsr(csrNumber(name), 0n);
    expect(machine.readCsr(csrNumber(name))).toBe(zero);
  });
});

test('reserved values keep what was there', () => {
  const machine = makeMachine();
  machine.writeCsr(0x300, 1n << 11n);
  machine.writeCsr(0x300, (2n << 11n) | 8n);
  expect(machine.get('mstatus')).toBe((1n << 11n) | 8n);
  for (let mode = 0n; mode < 16n; mode++) {
    machine.writeCsr(0x180, 0n);
    machine.writeCsr(0x180, (mode << 60n) | (0xffffn << 44n) | 5n);
    const isKnown = [0n, 8n, 9n, 10n].includes(mode);
    expect(machine.readCsr(0x180)).toBe(isKnown ? (mode << 60n) | (0xffffn << 44n) | 5n : 0n);
  }
  machine.writeCsr(0x105, 0x1001n);
  machine.writeCsr(0x105, 0x2002n);
  expect(machine.readCsr(0x105)).toBe(0x1001n);
});

test('set, clear, and not writing', () => {
  const machine = makeMachine();
  machine.writeCsr(0x340, 0b1100n);
  expect(machine.run('csr', 0x340, 1, 0b0011n, 1, 1).value).toBe(0b1100n);
  expect(machine.run('csr', 0x340, 2, 0b0110n, 1, 1).value).toBe(0b1111n);
  expect(machine.run('csr', 0x340, 2, ALL, 1, 0).value).toBe(0b1001n);
  expect(machine.readCsr(0x340)).toBe(0b1001n);
});

test('sie and sip show what is delegated; of sip only SSIP is written', () => {
  const machine = makeMachine();
  machine.setUp({ mideleg: 0x202n });
  machine.writeCsr(0x104, ALL);
  expect(machine.get('mie')).toBe(0x202n);
  machine.writeCsr(0x344, 0x220n);
  machine.writeCsr(0x144, ALL);
  expect(machine.readCsr(0x344)).toBe(0x222n);
  expect(machine.readCsr(0x144)).toBe(0x202n);
  machine.writeCsr(0x144, 0n);
  expect(machine.readCsr(0x344)).toBe(0x220n);
});

describe('who may access', () => {
  test('privilege and read-only numbers', () => {
    for (const name of ['mstatus', 'mhartid', 'pmpcfg0', 'mcycle']) {
      expect(refuses(name, { priv: MODE.m })).toBe(false);
      expect(refuses(name, { priv: MODE.s })).toBe(true);
    }
    for (const name of ['sstatus', 'satp', 'sscratch']) {
      expect(refuses(name, { priv: MODE.s })).toBe(false);
      expect(refuses(name, { priv: MODE.u })).toBe(true);
    }
    for (const name of ['mvendorid', 'mhartid', 'mconfigptr', 'cycle']) {
      expect(refuses(name, { priv: MODE.m }, true)).toBe(true);
    }
    for (const name of ['mseccfg', 'tselect', 'tdata1', 'pmpcfg1', 'pmpcfg4', 'pmpaddr16', 'scontext']) {
      expect(refuses(name, { priv: MODE.m })).toBe(true);
    }
  });
  test('TVM guards satp', () => {
    expect(refuses('satp', { priv: MODE.s, mstatus: 1n << 20n })).toBe(true);
    expect(refuses('satp', { priv: MODE.m, mstatus: 1n << 20n })).toBe(false);
  });
  test('counters', () => {
    for (const [name, bit] of [
      ['cycle', 1n],
      ['time', 2n],
      ['instret', 4n],
    ] as const) {
      expect(refuses(name, { priv: MODE.m })).toBe(false);
      expect(refuses(name, { priv: MODE.s, scounteren: bit })).toBe(true);
      expect(refuses(name, { priv: MODE.s, mcounteren: bit })).toBe(false);
      expect(refuses(name, { priv: MODE.u, mcounteren: bit })).toBe(true);
      expect(refuses(name, { priv: MODE.u, mcounteren: bit, scounteren: bit })).toBe(false);
    }
    expect(refuses('hpmcounter3', { priv: MODE.m })).toBe(false);
    expect(refuses('hpmcounter3', { priv: MODE.s })).toBe(true);
  });
  test('stimecmp', () => {
    expect(refuses('stimecmp', { priv: MODE.s, mcounteren: 2n })).toBe(true);
    expect(refuses('stimecmp', { priv: MODE.s, menvcfg: STCE })).toBe(true);
    expect(refuses('stimecmp', { priv: MODE.s, menvcfg: STCE, mcounteren: 2n })).toBe(false);
    expect(refuses('stimecmp', { priv: MODE.m })).toBe(false);
  });
  test('FS guards fcsr and requireFp', () => {
    expect(refuses('fcsr', { priv: MODE.u })).toBe(true);
    expect(refuses('fcsr', { priv: MODE.u, mstatus: 1n << 13n })).toBe(false);
    const machine = makeMachine();
    expect(machine.run('requireFp', 0).status).toBe(STATUS.refetch);
    machine.setUp({ mstatus: 1n << 13n });
    expect(machine.run('requireFp', 0).status).toBe(STATUS.next);
    expect(machine.get('fpGate')).toBe(BigInt(FP_GATE.on));
    machine.run('requireFp', 1);
    expect(machine.get('mstatus')).toBe(FS);
    machine.writeCsr(0x001, 1n);
    expect(machine.get('fpGate')).toBe(BigInt(FP_GATE.on | FP_GATE.dirty | FP_GATE.exact | FP_GATE.fast));
    machine.writeCsr(0x003, 0x41n);
    expect([machine.get('frm'), machine.get('fflags')]).toEqual([2n, 1n]);
    machine.writeCsr(0x300, 0n);
    expect(machine.get('fpGate')).toBe(0n);
  });
});

test('counters count, can be written and inhibited', () => {
  const machine = makeMachine();
  machine.setUp({ instretEnd: 5000n, remaining: 1000n });
  const step = (count: bigint): void => machine.set('remaining', machine.get('remaining') - count);
  expect(machine.readCsr(0xb02)).toBe(4000n);
  expect(machine.readCsr(0xc00)).toBe(4000n);
  machine.writeCsr(0xb02, 7n);
  step(1n);
  expect(machine.readCsr(0xc02)).toBe(7n);
  step(3n);
  expect(machine.readCsr(0xc02)).toBe(10n);
  expect(machine.readCsr(0xb00)).toBe(4004n);
  machine.writeCsr(0x320, 4n);
  step(100n);
  expect([machine.readCsr(0xb02), machine.readCsr(0xb00)]).toEqual([10n, 4104n]);
  machine.writeCsr(0xb02, 1n);
  step(100n);
  expect(machine.readCsr(0xb02)).toBe(1n);
  machine.writeCsr(0x320, 1n);
  step(10n);
  expect([machine.readCsr(0xb02), machine.readCsr(0xb00)]).toEqual([11n, 4204n]);
  machine.time = 123456789;
  expect(machine.readCsr(0xc01)).toBe(123456789n);
  // `remaining` may have run below 0.
  machine.setUp({ instretEnd: 5000n, remaining: -2n, mcountinhibit: 0n, minstretBias: 0n });
  expect(machine.readCsr(0xb02)).toBe(5002n);
});

test('no CSR access in any mode does harm', () => {
  const machine = makeMachine();
  for (let csr = 0; csr < 4096; csr++) {
    for (const priv of [MODE.m, MODE.s, MODE.u]) {
      machine.setUp({ priv });
      const { status } = machine.run('csr', csr, csr % 3, 0xdead_beef_1234_5678n, 1, 1);
      expect([STATUS.next, STATUS.refetch]).toContain(status);
    }
  }
});
