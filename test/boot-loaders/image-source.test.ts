import { expect, it } from 'vitest';
import { bytesOf, release, rereadable } from '../../src/boot/image-source.ts';
import { createVm } from '../../src/index.ts';
import { assemble } from '../../src/isa/asm.ts';

it('gives the bytes at hand once and reads them anew after that', () => {
  let reads = 0;
  const source = rereadable(new Uint8Array([1]), () => {
    reads += 1;
    return new Uint8Array([2]);
  });
  expect([...bytesOf(source)]).toEqual([1]);
  expect(reads).toBe(0);
  expect([...bytesOf(source)]).toEqual([2]);
  expect([...bytesOf(source)]).toEqual([2]);
  expect(reads).toBe(2);
});

it('gives the memory of what it gave back where the engine can, and reads it anew', () => {
  const source = rereadable(new Uint8Array([1, 2]), () => new Uint8Array([3]));
  const first = bytesOf(source);
  release(source);
  // Node 20 leaves it to the collector.
  expect(first.length).toBe('transfer' in ArrayBuffer.prototype ? 0 : 2);
  expect([...bytesOf(source)]).toEqual([3]);
});

it('leaves memory alone that is shared with other files', () => {
  const pool = new Uint8Array([1, 2, 3]);
  const source = rereadable(pool.subarray(1), () => pool);
  bytesOf(source);
  release(source);
  expect([...pool]).toEqual([1, 2, 3]);
});

it('a machine asks a function for its kernel at the start and at each reset', async () => {
  // Ends through the test finisher with the code that stands in its last word: another one each time it is read.
  let code = 0;
  const kernel = (): Uint8Array => {
    code += 1;
    const source = `li t0, 0x100000\n li t1, ${(code << 16) | 0x3333}\n sw t1, 0(t0)\n1: j 1b`;
    return assemble(source, { base: 0x8000_0000n }).bytes;
  };
  const vm = await createVm({ ramBytes: 4 << 20, bios: 'none', kernel });
  try {
    vm.start();
    expect(await vm.finished).toEqual({ kind: 'fail', code: 1 });
    const running = new Promise<void>((resolve) => {
      vm.states.subscribe((state) => {
        if (state === 'shutdown') resolve();
      });
    });
    vm.reset();
    vm.resume();
    await running;
    expect(code).toBe(2);
  } finally {
    await vm.stop();
  }
});
