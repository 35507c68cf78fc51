/** When a hart sees code that was changed: of a page only blocks are copied in which something was decoded. Needs the build. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Hart } from '../../src/hart/hart.ts';
import { ARENA, DECODED_PAGE } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { createMemory, layOutMemory } from '../../src/memory/layout.ts';
import { loadHartModules } from '../../src/vm-modules.ts';

const RAM_BASE = 0x8000_0000;
const RAM_BYTES = 2 ** 20;
const BLOCK = DECODED_PAGE.blockBytes;

const modules = await loadHartModules();
const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });
let memory: WebAssembly.Memory;
let hart: Hart;

beforeEach(() => {
  memory = createMemory(layout);
  const ram = { base: RAM_BASE, host: layout.ram, lengthBytes: RAM_BYTES };
  const [arena = 0] = layout.arenas;
  hart = new Hart({
    memory,
    modules,
    arena,
    doorbell: layout.doorbells[0] ?? 0,
    ram,
    hartId: 0,
    readMtime: () => {},
    sbi: false,
  });
  hart.reset(BigInt(RAM_BASE));
});

function write(offset: number, source: string): void {
  new Uint8Array(memory.buffer).set(assemble(source, { base: RAM_BASE + offset }).bytes, layout.ram + offset);
}

/** Executes so many instructions at an offset. @returns a0 */
function run(offset: number, count: number): number {
  hart.set('pc', BigInt(RAM_BASE + offset));
  hart.set('x', 0n, 10);
  hart.run(count);
  return Number(hart.get('x', 10));
}

describe('changed code', () => {
  it('of a block of which nothing was executed is what it is at that time', () => {
    write(0, 'li a0, 1');
    write(2 * BLOCK, 'li a0, 2');
    expect(run(0, 1)).toBe(1);
    write(2 * BLOCK, 'li a0, 3');
    expect(run(2 * BLOCK, 1)).toBe(3);
  });

  it('that was decoded is seen behind fence.i, in each of its blocks', () => {
    const offsets = [0, BLOCK, 5 * BLOCK, 4096 - BLOCK];
    for (const [i, offset] of offsets.entries()) write(offset, `li a0, ${10 + i}`);
    expect(offsets.map((offset) => run(offset, 1))).toEqual([10, 11, 12, 13]);
    for (const [i, offset] of offsets.entries()) write(offset, `li a0, ${20 + i}`);
    expect(offsets.map((offset) => run(offset, 1))).toEqual([10, 11, 12, 13]);
    hart.fence('fence.i');
    expect(offsets.map((offset) => run(offset, 1))).toEqual([20, 21, 22, 23]);
  });

  it.each([2, 4096 - BLOCK + 2])(
    'is seen in both halves of an instruction over the end of a block, %d bytes on',
    (at) => {
      const offset = at + BLOCK - 4;
      const immediates = [0x123, 0x7a3, 0x7ff];
      write(offset, `addi a0, x0, ${immediates[0]}`);
      expect(run(offset, 1)).toBe(immediates[0]);
      for (const immediate of immediates) {
        // The immediate lies in the upper half, what is added to in both.
        write(offset, `addi a0, x0, ${immediate}`);
        hart.fence('fence.i');
        expect(run(offset, 1)).toBe(immediate);
      }
      write(offset, 'lui a0, 1');
      hart.fence('fence.i');
      expect(run(offset, 1)).toBe(0x1000);
    },
  );

  it('is seen where the block was decoded ahead only', () => {
    write(0, Array.from({ length: BLOCK / 4 + 4 }, () => 'addi a0, a0, 1').join('\n'));
    expect(run(0, 4)).toBe(4);
    write(BLOCK, 'li a0, 99');
    hart.fence('fence.i');
    expect(run(BLOCK, 1)).toBe(99);
  });
});
