import { describe, expect, test } from 'vitest';
import { ARENA, DECODED_PAGE, HART_OFFSETS, STATUS } from '../../src/hart/state.ts';
import { type Machine, MODE, makeMachine, PageTables, PTE, RAM_BASE, RAM_BYTES, RWX } from './machine.ts';

const NOP = 0x13n;
const C_NOP = 1n;

/** Fetches at an address; the op is marked as the decoder would. */
function fetchAt(machine: Machine, pc: bigint, decoded = true): number {
  machine.set('pc', pc);
  const { value, status } = machine.run('fetch');
  if (status !== STATUS.next) return 0;
  const op = Number(value);
  expect(machine.get('op')).toBe(value);
  expect(op).toBe(Number(machine.get('page')) + Number((pc & 4095n) >> 1n) * DECODED_PAGE.opBytes);
  if (decoded) markDecoded(machine, Number(machine.get('page')), Number(pc & 4095n));
  return op;
}

/** As the decoder leaves an op: of a kind, with the block of the source in which it lies. */
function markDecoded({ view }: Machine, page: number, offset: number): void {
  view.setUint16(page + (offset / 2) * DECODED_PAGE.opBytes, 99, true);
  const block = Math.floor(offset / DECODED_PAGE.blockBytes);
  const copied = page + DECODED_PAGE.copied + (block >> 3);
  if ((view.getUint8(copied) >> (block & 7)) & 1) return;
  view.setUint8(copied, view.getUint8(copied) | (1 << (block & 7)));
  const at = block * DECODED_PAGE.blockBytes;
  const from = view.getUint32(page + DECODED_PAGE.host, true) + at;
  new Uint8Array(view.buffer).copyWithin(page + DECODED_PAGE.source + at, from, from + DECODED_PAGE.blockBytes);
}

const handler = (machine: Machine, op: number): number => machine.view.getUint16(op, true);

test('a page is made once, with an end op, and found again', () => {
  const machine = makeMachine();
  const op = fetchAt(machine, RAM_BASE + 0x10n);
  const page = Number(machine.get('page'));
  expect(page).toBe(machine.arena + ARENA.pages);
  expect(handler(machine, page + DECODED_PAGE.endOp)).toBe(1);
  expect(handler(machine, page)).toBe(0);
  expect(machine.view.getUint32(page + DECODED_PAGE.host, true)).toBe(Number(machine.get('ramHost')));
  expect(fetchAt(machine, RAM_BASE + 0x10n, false)).toBe(op);
  machine.run('flushTlb');
  expect(fetchAt(machine, RAM_BASE + 0x10n, false)).toBe(op);
  expect(handler(machine, op)).toBe(99);
  expect(machine.get('decodedPages')).toBe(1n);
});

test('two mappings of a page share its ops', () => {
  const machine = makeMachine();
  const tables = new PageTables(machine, 3);
  tables.map(0x1000n, RAM_BASE, RWX);
  tables.map(0x7000n, RAM_BASE, RWX);
  machine.setUp({ satp: tables.satp, priv: MODE.s });
  expect(fetchAt(machine, 0x1004n)).toBe(fetchAt(machine, 0x7004n));
});

test('fence.i: changed halfwords and the op before them are forgotten', () => {
  const machine = makeMachine();
  const ops = [0n, 2n, 4n, 6n, 8n, 10n].map((offset) => fetchAt(machine, RAM_BASE + 0x100n + offset));
  const first = fetchAt(machine, RAM_BASE);
  machine.poke(RAM_BASE + 0x100n, 0x5555_0000_0000n);
  machine.poke(RAM_BASE, 1n);
  expect(fetchAt(machine, RAM_BASE + 0x104n, false)).toBe(ops[2]);
  expect(handler(machine, ops[2] ?? 0)).toBe(99);
  machine.run('fenceI');
  fetchAt(machine, RAM_BASE + 0x200n);
  expect(ops.map((op) => handler(machine, op))).toEqual([99, 0, 0, 99, 99, 99]);
  expect(handler(machine, first)).toBe(0);
  const page = Number(machine.get('page'));
  expect(machine.view.getBigUint64(page + DECODED_PAGE.source + 0x100, true)).toBe(0x5555_0000_0000n);
  expect(handler(machine, page + DECODED_PAGE.endOp)).toBe(1);
});

test('when the pool is full the page that was not used lately makes room', () => {
  const machine = makeMachine();
  const pageAt = (i: number): bigint => RAM_BASE + BigInt(i) * 4096n;
  for (let i = 0; i < DECODED_PAGE.pool; i++) fetchAt(machine, pageAt(i));
  const known = fetchAt(machine, RAM_BASE, false);
  expect(handler(machine, known)).toBe(99);
  machine.run('flushTlb');
  expect(fetchAt(machine, RAM_BASE, false)).toBe(known);
  // The first round finds every page used; the second starts with the one that was used first.
  const fresh = fetchAt(machine, pageAt(DECODED_PAGE.pool), false);
  expect(fresh).toBe(known);
  expect(handler(machine, fresh)).toBe(0);
  // Used again, the next in turn survives; the one behind it goes.
  const second = fetchAt(machine, pageAt(1), false);
  expect(handler(machine, second)).toBe(99);
  fetchAt(machine, pageAt(DECODED_PAGE.pool + 1), false);
  expect(handler(machine, fetchAt(machine, pageAt(1), false))).toBe(99);
  expect(handler(machine, fetchAt(machine, pageAt(2), false))).toBe(0);
  // All others are still found: removing entries did not tear the table.
  for (let i = 5; i < DECODED_PAGE.pool; i++) expect(handler(machine, fetchAt(machine, pageAt(i), false))).toBe(99);
});

describe('faults', () => {
  test('not RAM', () => {
    const machine = makeMachine();
    for (const pc of [0x1000_0000n, RAM_BASE - 2n, RAM_BASE + BigInt(RAM_BYTES), (1n << 64n) - 2n]) {
      expect(fetchAt(machine, pc)).toBe(0);
      expect(machine.lastTrap()).toEqual({ cause: 1n, tval: pc, epc: pc });
    }
  });
  test('permissions', () => {
    const machine = makeMachine();
    const tables = new PageTables(machine, 5);
    const cause = (flags: bigint, priv: bigint): bigint => {
      tables.map(0x1000n, RAM_BASE, flags);
      machine.setUp({ satp: tables.satp, priv, mcause: 0n, mstatus: 1n << 18n });
      fetchAt(machine, 0x1000n);
      return machine.lastTrap().cause;
    };
    expect(cause(RWX, MODE.s)).toBe(0n);
    expect(cause(RWX & ~PTE.x, MODE.s)).toBe(12n);
    expect(cause(RWX & ~PTE.a, MODE.s)).toBe(12n);
    expect(cause(RWX | PTE.u, MODE.s)).toBe(12n);
    expect(cause(RWX | PTE.u, MODE.u)).toBe(0n);
    expect(cause(RWX, MODE.u)).toBe(12n);
  });
});

test('an instruction across two pages', () => {
  const machine = makeMachine();
  const tables = new PageTables(machine, 3);
  tables.map(0x1000n, RAM_BASE, RWX);
  tables.map(0x2000n, RAM_BASE + 0x3000n, RWX);
  machine.poke(RAM_BASE + 0xff8n, 0x8067n << 48n);
  machine.poke(RAM_BASE + 0x3000n, 0x1234n);
  machine.setUp({ satp: tables.satp, priv: MODE.s });
  const op = fetchAt(machine, 0x1ffen);
  expect(machine.run('fetchCrossing', op).status).toBe(STATUS.next);
  expect(machine.get('trapValue')).toBe(0x1234_8067n);
  expect(machine.run('instructionAt', 0x1ffen).value).toBe(0x1234_8067n);
  tables.map(0x2000n, 0n, 0n);
  machine.run('sfenceVma', 0n, 0n, 0, 0, 0);
  expect(machine.run('fetchCrossing', fetchAt(machine, 0x1ffen)).status).toBe(STATUS.refetch);
  expect(machine.lastTrap()).toEqual({ cause: 12n, tval: 0x2000n, epc: 0x1ffen });
});

describe('a page that PMP lets be executed in part', () => {
  /** S mode may execute [from, to) of the first page and nothing else there; `code` fills it. */
  function guarded(from: bigint, to: bigint, code: bigint): Machine {
    const machine = makeMachine();
    for (let at = 0n; at < 4096n; at += 8n) machine.poke(RAM_BASE + at, code);
    machine.set('pmpaddr', (RAM_BASE + from) >> 2n, 0);
    machine.set('pmpaddr', (RAM_BASE + to) >> 2n, 1);
    machine.set('pmpaddr', (1n << 54n) - 1n, 2);
    machine.setUp({ pmpcfg: 0x1b_0d_00n, priv: MODE.s });
    return machine;
  }
  const NOPS = NOP | (NOP << 32n);
  const C_NOPS = C_NOP * 0x0001_0001_0001_0001n;

  test('ops outside are end ops', () => {
    const machine = guarded(0x100n, 0x200n, NOPS);
    fetchAt(machine, RAM_BASE + 0x100n, false);
    const page = Number(machine.get('page'));
    expect(page).toBe(machine.arena + ARENA.guardedPage);
    const handlers = [0xfe, 0x100, 0x1fc, 0x200, 0xffe].map((at) => handler(machine, page + at * 4));
    expect(handlers).toEqual([1, 0, 0, 1, 1]);
    for (const at of [0xfcn, 0x200n]) {
      machine.setUp({ priv: MODE.s });
      expect(fetchAt(machine, RAM_BASE + at)).toBe(0);
      expect(machine.lastTrap()).toMatchObject({ cause: 1n, tval: RAM_BASE + at });
    }
  });
  test('an instruction that straddles the end faults in its second half', () => {
    const machine = guarded(0x100n, 0x200n, (NOPS << 16n) & ((1n << 64n) - 1n));
    fetchAt(machine, RAM_BASE + 0x102n, false);
    expect(handler(machine, Number(machine.get('page')) + 0x1fe * 4)).toBe(1);
    expect(fetchAt(machine, RAM_BASE + 0x1fen)).toBe(0);
    expect(machine.lastTrap()).toEqual({ cause: 1n, tval: RAM_BASE + 0x200n, epc: RAM_BASE + 0x1fen });
  });
  test('a compressed one does not', () => {
    const machine = guarded(0x100n, 0x200n, C_NOPS);
    expect(handler(machine, fetchAt(machine, RAM_BASE + 0x1fen, false))).toBe(0);
  });
  test('M mode is not bound', () => {
    const machine = guarded(0x100n, 0x200n, NOPS);
    machine.setUp({ priv: MODE.m });
    expect(fetchAt(machine, RAM_BASE)).toBeGreaterThan(0);
  });
});

test('nothing is written outside the arena and the state it holds', () => {
  const machine = makeMachine();
  const bytes = new Uint8Array(machine.memory.buffer, 0, machine.arena);
  for (let i = 0; i < DECODED_PAGE.pool + 1; i++) fetchAt(machine, RAM_BASE + BigInt(i) * 4096n);
  expect(bytes.every((byte) => byte === 0)).toBe(true);
  expect(HART_OFFSETS.scratchOps).toBeLessThan(ARENA.dtlb);
  expect(machine.peek(RAM_BASE)).toBe(0n);
});
