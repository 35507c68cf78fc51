/** Fences that another hart asks for, and where a spinning guest gives way. Needs the build. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Hart } from '../../src/hart/hart.ts';
import { ARENA, EXIT } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { createMemory, layOutMemory } from '../../src/memory/layout.ts';
import { loadHartModules } from '../../src/vm-modules.ts';

const RAM_BASE = 0x8000_0000;
const RAM_BYTES = 8 * 2 ** 20;
const PAGE = 4096n;
const RWX_AD = 0xcfn;
const TABLE = 1n;

const modules = await loadHartModules();
const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });
const memory = createMemory(layout);
const ram = new DataView(memory.buffer, layout.ram, RAM_BYTES);
let hart: Hart;

function program(source: string): void {
  new Uint8Array(memory.buffer, layout.ram, RAM_BYTES).fill(0);
  const { bytes } = assemble(source, { base: RAM_BASE });
  new Uint8Array(memory.buffer, layout.ram).set(bytes);
  hart.reset(BigInt(RAM_BASE));
}

beforeEach(() => {
  hart = new Hart({
    memory,
    modules,
    arena: layout.arenas[0] ?? 0,
    doorbell: layout.doorbells[0] ?? 0,
    ram: { base: RAM_BASE, host: layout.ram, lengthBytes: RAM_BYTES },
    hartId: 0,
    readMtime: () => {},
    sbi: false,
  });
});

describe('fence, asked for by another hart', () => {
  const TABLES = [0x10_0000, 0x10_1000, 0x10_2000] as const;
  const FIRST_PAGE = 0x20_0000;
  const VA = 0x4000_0000n;
  const pte = (offset: number, flags: bigint): bigint => ((BigInt(RAM_BASE + offset) / PAGE) << 10n) | flags;

  /** S mode, Sv39: 512 pages at VA; a gigapage over RAM for code. Each page of data begins with its number. */
  function paged(): void {
    program('ld a0, 0(s0)');
    const [root, middle, leaves] = TABLES;
    ram.setBigUint64(root + 2 * 8, pte(0, RWX_AD), true);
    ram.setBigUint64(root + 8, pte(middle, TABLE), true);
    ram.setBigUint64(middle, pte(leaves, TABLE), true);
    for (let page = 0; page < 512; page++) {
      map(page, page);
      ram.setBigUint64(FIRST_PAGE + page * 4096, BigInt(page), true);
    }
    hart.set('pmpaddr', (1n << 54n) - 1n);
    hart.set('pmpcfg', 0x1fn);
    hart.set('satp', (8n << 60n) | (BigInt(RAM_BASE + root) / PAGE));
    hart.setWord('priv', 1);
    hart.afterLoad();
  }
  const map = (page: number, to: number): void =>
    ram.setBigUint64(TABLES[2] + page * 8, pte(FIRST_PAGE + to * 4096, RWX_AD), true);
  /** What the hart reads at the beginning of a page of data. */
  function read(page: number): number {
    hart.set('x', VA + BigInt(page) * PAGE, 8);
    hart.set('pc', BigInt(RAM_BASE));
    hart.run(1);
    return Number(hart.get('x', 10));
  }

  it('of a range forgets these pages and keeps others', () => {
    paged();
    expect([read(3), read(4), read(5), read(6)]).toEqual([3, 4, 5, 6]);
    for (const page of [3, 4, 5, 6]) map(page, 100 + page);
    expect([read(3), read(4), read(5), read(6)]).toEqual([3, 4, 5, 6]);
    hart.fence('sfence.vma', VA + 4n * PAGE + 8n, PAGE);
    expect([read(3), read(4), read(5), read(6)]).toEqual([3, 104, 105, 6]);
    hart.fence('sfence.vma', VA, 0n);
    expect(read(3)).toBe(3);
    hart.fence('fence.i');
    expect(read(3)).toBe(3);
  });

  it.each([
    ['all', [] as const],
    ['a range of the whole address space', [0n, (1n << 64n) - 1n] as const],
    ['a range that runs over the end', [VA, (1n << 64n) - 1n] as const],
    ['many pages', [VA, 512n * PAGE] as const],
  ])('of %s forgets all', (_, range) => {
    paged();
    expect([read(0), read(7)]).toEqual([0, 7]);
    map(0, 70);
    map(7, 77);
    hart.fence('sfence.vma', ...range);
    expect([read(0), read(7)]).toEqual([70, 77]);
  });

  it('of code: what was written is run', () => {
    program('li a0, 1\n j . - 4');
    hart.run(10);
    expect(hart.get('x', 10)).toBe(1n);
    ram.setUint32(0, 0x0020_0513, true);
    hart.set('pc', BigInt(RAM_BASE));
    hart.run(10);
    expect(hart.get('x', 10)).toBe(1n);
    hart.fence('fence.i');
    hart.run(10);
    expect(hart.get('x', 10)).toBe(2n);
  });
});

describe('a hart that spins', () => {
  it('leaves behind every 64th pause', () => {
    program('loop: pause\n j loop');
    expect(hart.run(1000)).toBe(EXIT.yield);
    expect(hart.instret).toBe(127n);
    expect(hart.get('pc')).toBe(BigInt(RAM_BASE + 4));
    expect(hart.run(1000)).toBe(EXIT.yield);
    expect(hart.instret).toBe(255n);
    expect(hart.run(50)).toBe(EXIT.slice);
  });

  it.each(['wrs.nto', 'wrs.sto'])('%s leaves while the reservation holds its value', (wrs) => {
    const source = `
      auipc s0, 0x100
      lr.d t0, (s0)
      ${wrs}
      ${wrs}
      nop`;
    program(source);
    expect(hart.run(4)).toBe(EXIT.stall);
    expect(hart.get('pc')).toBe(BigInt(RAM_BASE + 12));
    expect(hart.instret).toBe(3n);
    // Another hart writes: the second one does not wait.
    ram.setBigUint64(0x10_0000, 1n, true);
    expect(hart.run(2)).toBe(EXIT.slice);
    expect(hart.instret).toBe(5n);
  });

  it('wrs.sto does not wait without a reservation, nor with an interrupt pending', () => {
    program('wrs.sto\n auipc s0, 0x100\n lr.w t0, (s0)\n wrs.sto\n nop');
    expect(hart.run(3)).toBe(EXIT.slice);
    hart.set('mie', 0x8n);
    hart.setInterruptLine(3, true);
    expect(hart.run(2)).toBe(EXIT.slice);
    expect(hart.instret).toBe(5n);
  });
});
