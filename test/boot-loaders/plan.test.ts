import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { virtTable } from '../../actors/board/virt-table.ts';
import { virtDeviceTree } from '../../actors/board/virt-tree.ts';
import { type BootConfig, planBoot } from '../../src/boot/plan.ts';
import { readFdt } from '../../src/fdt/read.ts';
import { findNode, getCells, getStrings } from '../../src/fdt/tree.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { makeElf, makeLinuxImage } from './files.ts';

const MIB = 2 ** 20;
const BASE = virtTable.dram.base;

function config(options: Partial<BootConfig> & { ramBytes?: number } = {}): BootConfig {
  const { ramBytes = 512 * MIB, ...rest } = options;
  return {
    ram: { base: BASE, lengthBytes: ramBytes },
    romGpa: virtTable.mrom.base,
    bios: 'builtin',
    kernel: makeLinuxImage(),
    deviceTree: virtDeviceTree({ harts: 1, ramBytes }).tree,
    ...rest,
  };
}

/** Where a kernel of one segment, the device tree and an initrd go. */
const places = (plan: ReturnType<typeof planBoot>) => plan.segments.map(({ gpa }) => gpa - BASE);

describe('with the built-in SBI', () => {
  it('starts the kernel in S mode, 2 MiB into RAM', () => {
    const plan = planBoot(config());
    expect(plan.start).toEqual({ mode: 'S', pcGpa: BASE + 2 * MIB, a1: BASE + 510 * MIB, a2: 0 });
    expect(plan.rom).toHaveLength(0);
    expect(places(plan)).toEqual([2 * MIB, 510 * MIB]);
  });

  it('tells the kernel what it is to know', () => {
    const rngSeed = new Uint8Array(32).fill(7);
    const plan = planBoot(config({ append: 'console=ttyS0', initrd: new Uint8Array(5000), rngSeed }));
    const dtb = plan.segments.find(({ gpa }) => gpa === plan.dtbGpa)?.bytes as Uint8Array;
    const chosen = findNode(readFdt(dtb).root, '/chosen')?.properties;
    expect(getStrings(chosen?.get('bootargs') as Uint8Array)).toEqual(['console=ttyS0']);
    expect(getCells(chosen?.get('linux,initrd-start') as Uint8Array)).toEqual([0, BASE + 130 * MIB]);
    expect(getCells(chosen?.get('linux,initrd-end') as Uint8Array)).toEqual([0, BASE + 130 * MIB + 5000]);
    expect(chosen?.get('rng-seed')).toEqual(rngSeed);
    expect(plan.initrd).toEqual({ start: BASE + 130 * MIB, end: BASE + 130 * MIB + 5000 });
  });

  it('keeps the device tree below 3 GiB', () => {
    expect(planBoot(config({ ramBytes: 3584 * MIB })).dtbGpa).toBe(0xbfe0_0000);
  });

  it.each([
    ['halfway up a small RAM', 64, 1, 34],
    ['behind a kernel that reaches further', 256, 200, 202],
    ['behind the kernel when there is no room higher up', 64, 1, 3, 40],
  ])('puts the initrd %s', (_, ramMib, kernelMib, expectedMib, initrdMib = 1) => {
    const kernel = makeLinuxImage({ imageSize: kernelMib * MIB });
    const plan = planBoot(config({ ramBytes: ramMib * MIB, kernel, initrd: new Uint8Array(initrdMib * MIB) }));
    expect((plan.initrd?.start ?? 0) - BASE).toBe(expectedMib * MIB);
  });
});

describe('in M mode', () => {
  it('runs a bare-metal program as the reset vector would start it', () => {
    const kernel = makeElf({ symbols: { tohost: BASE + 8 } });
    const plan = planBoot(config({ bios: 'none', kernel }));
    expect(plan.start).toEqual({ mode: 'M', pcGpa: BASE, a1: plan.dtbGpa, a2: 0x1000 + 40 });
    expect(plan.tohostGpa).toBe(BASE + 8);
    expect(new DataView(plan.rom.buffer).getBigUint64(24, true)).toBe(BigInt(BASE));
  });

  it('puts a raw program at the start of RAM', () => {
    expect(places(planBoot(config({ bios: 'none', kernel: new Uint8Array(8) })))[0]).toBe(0);
  });

  it('has the reset vector that QEMU has for the same files', () => {
    const plan = planBoot(config({ bios: new Uint8Array(100_000).fill(1) }));
    const words = Array.from(new Uint32Array(plan.rom.buffer), (word) => word.toString(16));
    // QEMU 7.2: -M virt -m 512M -kernel FILE, monitor command `xp /22xw 0x1000`.
    const qemu = `297 2828613 f1402573 202b583 182b283 28067 80000000 0 9fe00000 0
      4942534f 0 2 0 80200000 0 1 0 0 0 0 0`;
    expect(words).toEqual(qemu.split(/\s+/));
  });

  it('goes without a kernel when there is firmware', () => {
    const plan = planBoot(config({ bios: new Uint8Array(64), kernel: undefined }));
    expect(places(plan)).toEqual([0, 510 * MIB]);
  });

  const opensbi = '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic';
  it.for(['.elf', '.bin'])("takes Debian's OpenSBI (%s)", (suffix, context) => {
    if (!existsSync(opensbi + suffix)) context.skip('opensbi is not installed');
    const plan = planBoot(config({ bios: new Uint8Array(readFileSync(opensbi + suffix)) }));
    expect(new DataView(plan.rom.buffer).getBigUint64(24, true)).toBe(BigInt(BASE));
    expect(new DataView(plan.rom.buffer).getBigUint64(56, true)).toBe(BigInt(BASE + 2 * MIB));
  });
});

describe('refuses, and names the option', () => {
  const big = new Uint8Array(70 * MIB);
  it.each<[string, string, Partial<BootConfig> & { ramBytes?: number }]>([
    ['nothing to run', '-kernel', { kernel: undefined }],
    ['nothing to run without firmware', '-kernel', { kernel: undefined, bios: 'none' }],
    ['an empty kernel', '-kernel', { kernel: new Uint8Array(0) }],
    ['an empty firmware', '-bios', { bios: new Uint8Array(0) }],
    ['an empty initrd', '-initrd', { initrd: new Uint8Array(0) }],
    ['an initrd without a kernel', '-initrd', { initrd: big, kernel: undefined, bios: new Uint8Array(4) }],
    ['an initrd that does not fit', '-initrd', { initrd: big, ramBytes: 64 * MIB }],
    ['a kernel larger than RAM', '-kernel', { kernel: big, ramBytes: 64 * MIB }],
    [
      'a kernel linked for elsewhere',
      '-kernel',
      { kernel: makeElf({ entry: 0, segments: [{ paddr: 0, bytes: big }] }) },
    ],
    ['firmware linked for elsewhere', '-bios', { bios: makeElf({ entry: 0, segments: [{ paddr: 0, bytes: big }] }) }],
    [
      'a kernel on top of the firmware',
      '-kernel',
      {
        bios: new Uint8Array(64),
        kernel: makeElf({ entry: BASE + 16, segments: [{ paddr: BASE + 16, bytes: new Uint8Array(8) }] }),
      },
    ],
    ['a kernel on top of the device tree', '-dtb', { ramBytes: 4 * MIB, kernel: makeLinuxImage() }],
    ['RAM too small for anything', '-dtb', { ramBytes: 64 * 1024, bios: 'none', kernel: new Uint8Array(4) }],
  ])('%s', (_, path, options) => {
    expect(() => planBoot(config(options))).toThrow(ConfigError);
    expect(() => planBoot(config(options))).toThrow(expect.objectContaining({ path }));
  });
});
