import { describe, expect, test } from 'vitest';
import { DTLB, TLB_LOG } from '../../src/hart/state.ts';
import { MODE, makeMachine, PageTables, PTE, RAM_BASE, RAM_BYTES, RWX } from './machine.ts';

const DATA = RAM_BASE + 0x20_0000n;
const CAUSE = { load: 13n, store: 15n, fetch: 12n, loadAccess: 5n, storeAccess: 7n, fetchAccess: 1n };
const SUM = 1n << 18n;
const MXR = 1n << 19n;
const MPRV = 1n << 17n;
const ADUE = 1n << 61n;

function paged(levels: 3 | 4 | 5 = 3) {
  const machine = makeMachine();
  const tables = new PageTables(machine, levels);
  machine.setUp({ satp: tables.satp, priv: MODE.s });
  machine.poke(DATA, 0x1122_3344_5566_7788n);
  const cause = (name: 'load' | 'store', va: bigint): bigint => {
    machine.setUp({ mcause: 0n, priv: MODE.s });
    machine.run(name, va, 8, ...(name === 'store' ? [1n] : []));
    const { tval, cause: found } = machine.lastTrap();
    if (found !== 0n) expect(tval).toBe(BigInt.asUintN(64, va));
    return found;
  };
  return { machine, tables, cause };
}

describe.each([
  [3, 39n],
  [4, 48n],
  [5, 57n],
] as const)('%i levels', (levels, bits) => {
  const high = BigInt.asUintN(64, -(1n << (bits - 1n)));
  test.each([0x1000n, (1n << (bits - 1n)) - 4096n, high, (1n << 64n) - 4096n])('translates %s', (va) => {
    const { machine, tables, cause } = paged(levels);
    tables.map(va, DATA, RWX);
    expect(machine.load(va, 8)).toBe(0x1122_3344_5566_7788n);
    expect(machine.load(va + 4n, 2)).toBe(0x3344n);
    expect(cause('load', va)).toBe(0n);
    machine.store(va + 8n, 4, 0xffff_ffff_ffffn);
    expect(machine.peek(DATA + 8n)).toBe(0xffff_ffffn);
  });
  test('an address that is not canonical faults', () => {
    const { cause } = paged(levels);
    expect(cause('load', 1n << (bits - 1n))).toBe(CAUSE.load);
    expect(cause('store', high - 8n)).toBe(CAUSE.store);
  });
  test('superpages of every level, misaligned ones fault', () => {
    for (let level = 1; level < levels; level++) {
      const { machine, tables, cause } = paged(levels);
      const size = 1n << BigInt(12 + 9 * level);
      const va = 3n * size;
      const base = DATA & ~(size - 1n);
      tables.map(va, base, RWX, level);
      expect(machine.load(va + (DATA - base), 8)).toBe(0x1122_3344_5566_7788n);
      tables.map(va, base + 4096n, RWX, level);
      expect(cause('load', va + (DATA - base))).toBe(CAUSE.load);
    }
  });
});

test('permissions: V, R, W, X, U, SUM, MXR, reserved bits', () => {
  const { machine, tables, cause } = paged();
  const withFlags = (flags: bigint, name: 'load' | 'store', mstatus = 0n): bigint => {
    tables.map(0x1000n, DATA, flags);
    machine.setUp({ mstatus });
    return cause(name, 0x1000n);
  };
  const base = PTE.v | PTE.a | PTE.d;
  expect(withFlags(RWX & ~PTE.v, 'load')).toBe(CAUSE.load);
  expect(withFlags(base | PTE.r, 'load')).toBe(0n);
  expect(withFlags(base | PTE.r, 'store')).toBe(CAUSE.store);
  expect(withFlags(base | PTE.w, 'store')).toBe(CAUSE.store);
  expect(withFlags(base | PTE.w | PTE.x, 'load')).toBe(CAUSE.load);
  expect(withFlags(base | PTE.x, 'load')).toBe(CAUSE.load);
  expect(withFlags(base | PTE.x, 'load', MXR)).toBe(0n);
  expect(withFlags(RWX | PTE.u, 'load')).toBe(CAUSE.load);
  expect(withFlags(RWX | PTE.u, 'load', SUM)).toBe(0n);
  expect(withFlags(RWX | PTE.u, 'store', SUM)).toBe(0n);
  for (let bit = 54n; bit < 63n; bit++) expect(withFlags(RWX | (1n << bit), 'load')).toBe(CAUSE.load);
  expect(withFlags(RWX, 'load')).toBe(0n);
  for (const flag of [PTE.u, PTE.a, PTE.d, PTE.n]) {
    const pointer = tables.entry(0x1000n, 1);
    machine.poke(pointer, machine.peek(pointer) | flag);
    expect(cause('load', 0x1000n)).toBe(CAUSE.load);
    machine.poke(pointer, machine.peek(pointer) & ~flag);
  }
  tables.map(0x1000n, tables.root, PTE.v);
  expect(cause('load', 0x1000n)).toBe(CAUSE.load);
});

test('U mode needs U; MPRV takes MPP for data', () => {
  const { machine, tables } = paged();
  tables.map(0x1000n, DATA, RWX);
  tables.map(0x2000n, DATA, RWX | PTE.u);
  const loads = (va: bigint): boolean => {
    machine.set('mcause', 0n);
    machine.load(va, 1);
    return machine.get('mcause') === 0n;
  };
  machine.setUp({ priv: MODE.u });
  expect(loads(0x2000n)).toBe(true);
  expect(loads(0x1000n)).toBe(false);
  machine.setUp({ priv: MODE.m, mstatus: MPRV | (1n << 11n) });
  expect(loads(0x1000n)).toBe(true);
  machine.setUp({ priv: MODE.m, mstatus: MPRV | (1n << 11n) });
  expect(loads(0x2000n)).toBe(false);
  machine.setUp({ priv: MODE.m, mstatus: MPRV });
  expect(loads(0x2000n)).toBe(true);
  machine.setUp({ priv: MODE.m, mstatus: 0n });
  expect(loads(DATA)).toBe(true);
});

test('Svade faults where A or D is clear, Svadu sets them', () => {
  const { machine, tables, cause } = paged();
  const clean = RWX & ~(PTE.a | PTE.d);
  tables.map(0x1000n, DATA, clean);
  expect(cause('load', 0x1000n)).toBe(CAUSE.load);
  tables.map(0x1000n, DATA, clean | PTE.a);
  expect(cause('load', 0x1000n)).toBe(0n);
  expect(cause('store', 0x1000n)).toBe(CAUSE.store);
  tables.map(0x1000n, DATA, clean);
  machine.setUp({ menvcfg: ADUE });
  const flags = (): bigint => machine.peek(tables.entry(0x1000n)) & 0xffn;
  expect(cause('load', 0x1000n)).toBe(0n);
  expect(flags()).toBe(clean | PTE.a);
  // A page read through the TLB is still marked when it is written.
  machine.store(0x1000n, 8, 5n);
  expect(flags()).toBe(RWX);
  expect(machine.peek(DATA)).toBe(5n);
});

test('Svnapot: 64 KiB, other encodings fault', () => {
  const { machine, tables, cause } = paged();
  for (let i = 0n; i < 16n; i++) tables.map(0x1_0000n + i * 4096n, DATA + 0x8000n, RWX | PTE.n);
  machine.poke(DATA + 0x5008n, 77n);
  expect(machine.load(0x1_5008n, 8)).toBe(77n);
  tables.map(0x2_0000n, DATA + 0x4000n, RWX | PTE.n);
  expect(cause('load', 0x2_0000n)).toBe(CAUSE.load);
  tables.map(0x20_0000n, DATA, RWX | PTE.n, 1);
  expect(cause('load', 0x20_0000n)).toBe(CAUSE.load);
});

test('page tables outside RAM are access faults', () => {
  const { machine, tables, cause } = paged();
  machine.setUp({ satp: (8n << 60n) | 0x10n });
  expect(cause('load', 0x1000n)).toBe(CAUSE.loadAccess);
  machine.setUp({ satp: (8n << 60n) | ((RAM_BASE + BigInt(RAM_BYTES)) >> 12n) });
  expect(cause('store', 0x1000n)).toBe(CAUSE.storeAccess);
  machine.setUp({ satp: tables.satp });
  machine.poke(tables.entry(0x4000_0000n, 2), ((0xfff_ffff_f000n >> 12n) << 10n) | PTE.v);
  expect(cause('load', 0x4000_0000n)).toBe(CAUSE.loadAccess);
});

test('the TLB is flushed by satp, and by address', () => {
  const { machine, tables } = paged();
  tables.map(0x1000n, DATA, RWX);
  tables.map(0x2000n, DATA + 4096n, RWX);
  machine.poke(DATA + 4096n, 2n);
  const value = (): bigint => machine.load(0x1000n, 8);
  expect(value()).toBe(0x1122_3344_5566_7788n);
  tables.map(0x1000n, DATA + 4096n, RWX);
  expect(value()).toBe(0x1122_3344_5566_7788n);
  machine.run('sfenceVma', 0x2000n, 0n, 1, 0, 0);
  expect(value()).toBe(0x1122_3344_5566_7788n);
  machine.run('sfenceVma', 0x1000n, 0n, 1, 0, 0);
  expect(value()).toBe(2n);
  tables.map(0x1000n, DATA, RWX);
  machine.run('sfenceVma', 0n, 0n, 0, 0, 0);
  expect(value()).toBe(0x1122_3344_5566_7788n);
  tables.map(0x1000n, DATA + 4096n, RWX);
  machine.writeCsr(0x180, tables.satp);
  expect(value()).toBe(0x1122_3344_5566_7788n);
  machine.writeCsr(0x180, tables.satp | (1n << 44n));
  expect(value()).toBe(2n);
});

// The log of what was filled holds so many; more, and the table is emptied whole.
test.each([1, TLB_LOG.entries - 1, TLB_LOG.entries, TLB_LOG.entries + 1, DTLB.entries])(
  'the TLB is flushed of %i entries, and again of fewer',
  (entries) => {
    const { machine, tables } = paged();
    machine.poke(DATA + 4096n, 2n);
    for (const count of [entries, Math.ceil(entries / 3)]) {
      const pages = Array.from({ length: count }, (_, i) => 0x4000_0000n + BigInt(i) * 4096n);
      for (const page of pages) {
        tables.map(page, DATA, RWX);
        expect(machine.load(page, 8)).toBe(0x1122_3344_5566_7788n);
        tables.map(page, DATA + 4096n, RWX);
      }
      machine.run('sfenceVma', 0n, 0n, 0, 0, 0);
      expect(pages.filter((page) => machine.load(page, 8) !== 2n)).toEqual([]);
      machine.run('sfenceVma', 0n, 0n, 0, 0, 0);
    }
  },
);

test('sfence.vma of an address in a large page drops all of that page', () => {
  const { machine, tables } = paged();
  const base = RAM_BASE & ~0x1f_ffffn;
  tables.map(0x4000_0000n, base, RWX, 1);
  machine.poke(RAM_BASE + 0x1000n, 1n);
  expect(machine.load(0x4000_1000n, 8)).toBe(1n);
  tables.map(0x4000_0000n, base + 0x20_0000n, RWX, 1);
  machine.poke(RAM_BASE + 0x20_1000n, 3n);
  machine.run('sfenceVma', 0x4010_0000n, 0n, 1, 0, 0);
  expect(machine.load(0x4000_1000n, 8)).toBe(3n);
});

describe('PMP', () => {
  /** Entries from 0: [configuration, address register]. */
  function withPmp(entries: readonly (readonly [number, bigint])[], priv: bigint = MODE.s) {
    const machine = makeMachine();
    let config = 0n;
    entries.forEach(([cfg, address], i) => {
      config |= BigInt(cfg) << BigInt(8 * i);
      machine.set('pmpaddr', address, i);
    });
    machine.setUp({ pmpcfg: config, priv });
    return {
      machine,
      causes: (va: bigint, size = 8): [bigint, bigint] => {
        const of = (name: string, ...args: bigint[]): bigint => {
          machine.setUp({ mcause: 0n, priv });
          machine.run(name, va, size, ...args);
          return machine.lastTrap().cause;
        };
        return [of('load'), of('store', 0n)];
      },
    };
  }
  const ALL = (1n << 54n) - 1n;
  const [NO, READ, RW] = [
    [5n, 7n],
    [0n, 7n],
    [0n, 0n],
  ];

  test('no entry: nothing for S, all for M', () => {
    expect(withPmp([]).causes(DATA)).toEqual(NO);
    expect(withPmp([], MODE.m).causes(DATA)).toEqual(RW);
  });
  test('NA4, NAPOT and TOR, the lowest entry decides', () => {
    const { causes } = withPmp([
      [0x11, (DATA + 8n) >> 2n],
      [0x18, ((DATA + 0x100n) >> 2n) | 3n],
      [0, (DATA + 0x200n) >> 2n],
      [0x09, (DATA + 0x210n) >> 2n],
      [0x1f, ALL],
    ]);
    expect(causes(DATA)).toEqual(RW);
    expect(causes(DATA + 8n, 4)).toEqual(READ);
    expect(causes(DATA + 12n, 4)).toEqual(RW);
    expect(causes(DATA + 8n)).toEqual(NO); // matched in part
    expect(causes(DATA + 6n, 4)).toEqual(NO);
    expect(causes(DATA + 0xf8n)).toEqual(RW);
    expect(causes(DATA + 0x100n)).toEqual(NO);
    expect(causes(DATA + 0x118n)).toEqual(NO);
    expect(causes(DATA + 0x120n)).toEqual(RW);
    expect(causes(DATA + 0x1f8n)).toEqual(RW);
    expect(causes(DATA + 0x200n)).toEqual(READ);
    expect(causes(DATA + 0x208n)).toEqual(READ);
    expect(causes(DATA + 0x210n)).toEqual(RW);
  });
  test('M mode is bound by locked entries only', () => {
    const { causes } = withPmp(
      [
        [0x91, DATA >> 2n],
        [0x11, (DATA + 4n) >> 2n],
      ],
      MODE.m,
    );
    expect(causes(DATA, 4)).toEqual(READ);
    expect(causes(DATA + 4n, 4)).toEqual(RW);
    expect(causes(DATA)).toEqual(NO);
  });
  test('guards the page tables', () => {
    const { machine } = withPmp([
      [0x18, ((RAM_BASE + 0x10_0000n) >> 2n) | 0x1fffn],
      [0x1f, ALL],
    ]);
    const tables = new PageTables(machine, 3);
    tables.map(0x1000n, DATA, RWX);
    machine.setUp({ satp: tables.satp });
    machine.load(0x1000n, 8);
    expect(machine.lastTrap()).toMatchObject({ cause: 5n, tval: 0x1000n });
    machine.setUp({ pmpcfg: 0x1f19n, priv: MODE.s, mcause: 0n });
    machine.load(0x1000n, 8);
    expect(machine.lastTrap().cause).toBe(0n);
    // Read-only tables: A and D cannot be set.
    tables.map(0x1000n, DATA, RWX & ~PTE.d);
    machine.setUp({ menvcfg: ADUE });
    machine.store(0x1000n, 8, 0n);
    expect(machine.lastTrap()).toMatchObject({ cause: 7n, tval: 0x1000n });
  });
  test('locking: the entry, and the address below a locked TOR', () => {
    const { machine } = withPmp([], MODE.m);
    machine.writeCsr(0x3b0, 0x100n);
    machine.writeCsr(0x3b1, 0x200n);
    machine.writeCsr(0x3a0, 0x8900n);
    machine.writeCsr(0x3b0, 0x111n);
    machine.writeCsr(0x3b1, 0x222n);
    machine.writeCsr(0x3a0, 0x1f1fn);
    expect(machine.readCsr(0x3b0)).toBe(0x100n);
    expect(machine.readCsr(0x3b1)).toBe(0x200n);
    expect(machine.readCsr(0x3a0)).toBe(0x891fn);
    // R=0, W=1 is reserved, bits 6:5 read 0, addresses have 54 bits.
    machine.writeCsr(0x3a2, 0x7a_7fn);
    expect(machine.readCsr(0x3a2)).toBe(0x18_1fn);
    machine.writeCsr(0x3b9, (1n << 64n) - 1n);
    expect(machine.readCsr(0x3b9)).toBe(ALL);
  });
});
