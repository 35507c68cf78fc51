/** What createVm() refuses, before anything has started: each with the option and the remedy. */
import { describe, expect, it } from 'vitest';
import { virtDeviceTree } from '../../actors/board/virt-tree.ts';
import { writeFdt } from '../../src/fdt/write.ts';
import { ConfigError, createVm, type VmOptions } from '../../src/index.ts';
import { makeElf } from '../boot-loaders/files.ts';
import { bare, program, within } from '../support/machines.ts';

const RAM_BYTES = 16 * 2 ** 20;
const LOOP = program('wait: j wait');

const withText = (lengthBytes: number, at: number, text: string): Uint8Array => {
  const bytes = new Uint8Array(lengthBytes);
  bytes.set(Buffer.from(text, 'latin1'), at);
  return bytes;
};

/** The header of a riscv64 kernel, of which only the beginning is there. */
function truncatedKernel(): Uint8Array {
  const bytes = withText(256, 56, 'RSC\x05');
  bytes.set(Buffer.from('MZ'));
  new DataView(bytes.buffer).setUint32(60, 4096, true);
  return bytes;
}

const tree = (): Uint8Array => writeFdt(virtDeviceTree({ harts: 1, ramBytes: RAM_BYTES }).tree);

const CASES: readonly (readonly [string, VmOptions, string, RegExp])[] = [
  ['no kernel', {}, '-kernel', /nothing to run/],
  ['an empty kernel', { kernel: new Uint8Array(0) }, '-kernel', /empty/],
  ['a truncated kernel', { kernel: truncatedKernel() }, '-kernel', /truncated/],
  ['a truncated ELF file', { bios: 'none', kernel: makeElf().subarray(0, 100) }, '-kernel', /truncated/],
  ['an ELF file for x86-64', { kernel: makeElf({ machine: 62 }) }, '-kernel', /machine 62/],
  ['a bzImage', { kernel: withText(1024, 514, 'HdrS') }, '-kernel', /x86/],
  ['a compressed kernel', { kernel: withText(1024, 0, '\x1f\x8b\x08') }, '-kernel', /gzip/],
  ['firmware for x86-64', { bios: makeElf({ machine: 62 }) }, '-bios', /machine 62/],
  ['a kernel larger than RAM', { kernel: new Uint8Array(RAM_BYTES + 1) }, '-kernel', /outside RAM/],
  ['an initrd that does not fit', { kernel: LOOP, initrd: new Uint8Array(RAM_BYTES) }, '-initrd', /do not fit/],
  ['an empty initrd', { kernel: LOOP, initrd: new Uint8Array(0) }, '-initrd', /empty/],
  ['a damaged device tree', { kernel: LOOP, dtb: tree().fill(0xee, 64, 200) }, '-dtb', /./],
  ['a truncated device tree', { kernel: LOOP, dtb: tree().subarray(0, 500) }, '-dtb', /truncated/],
  ['no device tree', { kernel: LOOP, dtb: new Uint8Array(10) }, '-dtb', /not a device tree/],
];

describe('createVm refuses', () => {
  it.each(CASES)('%s', async (_what, options, path, message) => {
    await expect(refused({ ramBytes: RAM_BYTES, ...options })).resolves.toMatchObject({
      path,
      message: expect.stringMatching(message),
      remedy: expect.stringMatching(/\.$|SOURCE/),
    });
  });

  it.each([0, 1, -1, 4096, 2 ** 21 + 1, 3.5 * 2 ** 30 + 4096, 2 ** 60, 2 ** 25 + 0.5, Number.NaN, Infinity])(
    '%d bytes of RAM',
    async (ramBytes) => {
      await expect(refused({ kernel: LOOP, ramBytes })).resolves.toMatchObject({ path: '-m' });
    },
  );
});

async function refused(options: VmOptions): Promise<ConfigError> {
  const vm = await createVm(options).catch((error: unknown) => error);
  if (vm instanceof ConfigError) return vm;
  if (vm instanceof Error) throw vm;
  await (vm as { stop(): Promise<void> }).stop();
  throw new Error('it was taken');
}

it("takes a user's device tree, and the smallest machine", async () => {
  const source = `
    lwu t0, 0(a1)
    li t1, 0xedfe0dd0
    li t2, TEST
    li t3, 0x13333
    bne t0, t1, end
    li t3, 0x5555
  end:
    sw t3, 0(t2)
  wait: j wait
  `;
  const vm = await bare(source, { ramBytes: 4 * 2 ** 20, dtb: tree(), append: 'quiet' });
  vm.start();
  expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
});
