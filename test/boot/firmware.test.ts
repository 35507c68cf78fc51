/** Firmware in M mode, as Debian packages it: OpenSBI with Debian's kernel behind it, U-Boot to its prompt. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import type { Vm } from '../../src/index.ts';
import { machine, within } from '../support/machines.ts';
import { hasTool, skipReason } from '../support/tools.ts';

const OPENSBI = '/usr/lib/riscv64-linux-gnu/opensbi/generic';
const UBOOT = '/usr/lib/u-boot';
const RAM_BYTES = 256 * 2 ** 20;

const file = (path: string): Uint8Array => new Uint8Array(readFileSync(path));
const needs = (...tools: Parameters<typeof hasTool>[0][]): string =>
  tools.filter((t) => !hasTool(t)).map(skipReason)[0] ?? '';

async function bootsDebian(vm: Vm): Promise<void> {
  vm.start();
  await vm.console.expect('OpenSBI v');
  await vm.console.expect('SBI implementation ID=0x1');
  await vm.console.expect(':/# ');
  vm.console.write('uname -m; poweroff -f\n');
  await vm.console.expect(/^riscv64/m);
  expect(await within(10_000, 'power off', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
}

const noOpensbi = needs('opensbi');
describe.skipIf(noOpensbi !== '')(`OpenSBI as -bios ${noOpensbi}`, () => {
  it('fw_dynamic boots Debian, told by a2 where it is', async () => {
    const guest = await defaultGuest();
    await bootsDebian(await machine({ ...guest, ramBytes: RAM_BYTES, bios: file(`${OPENSBI}/fw_dynamic.bin`) }));
  });

  it('fw_jump boots Debian at its fixed address', async () => {
    const guest = await defaultGuest();
    // The ELF file of the same firmware.
    await bootsDebian(await machine({ ...guest, ramBytes: RAM_BYTES, bios: file(`${OPENSBI}/fw_jump.elf`) }));
  });
});

/** Types commands to U-Boot, all at once after the first prompt: its polling must lose no byte. */
async function usesUboot(vm: Vm): Promise<void> {
  vm.start();
  await vm.console.expect('Hit any key');
  vm.console.write('\n');
  await vm.console.expect('=> ');
  const long = 'x'.repeat(200);
  vm.console.write(`version\nsetenv long ${long}\nprintenv long\nsetexpr sum 28 + 2\nprintenv sum\n`);
  await vm.console.expect(/^U-Boot \d{4}\.\d\d/m);
  await vm.console.expect(new RegExp(`^long=${long}\\r?$`, 'm'));
  await vm.console.expect(/^sum=2a\r?$/m);
}

const noUboot = needs('u-boot-qemu');
describe.skipIf(noUboot !== '')(`U-Boot ${noUboot}`, () => {
  it('in M mode takes commands, resets and powers off', async () => {
    const vm = await machine({ ramBytes: RAM_BYTES, bios: file(`${UBOOT}/qemu-riscv64/u-boot.bin`) });
    await usesUboot(vm);
    vm.console.write('reset\n');
    await usesUboot(vm);
    vm.console.write('poweroff\n');
    expect(await within(10_000, 'power off', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });

  it('runs in S mode on the built-in SBI', async () => {
    const vm = await machine({ ramBytes: RAM_BYTES, kernel: file(`${UBOOT}/qemu-riscv64_smode/u-boot.bin`) });
    await usesUboot(vm);
    vm.console.write('poweroff\n');
    expect(await within(10_000, 'power off', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });

  it.skipIf(noOpensbi !== '')('runs in S mode on OpenSBI', async () => {
    const kernel = file(`${UBOOT}/qemu-riscv64_smode/u-boot.bin`);
    const vm = await machine({ ramBytes: RAM_BYTES, bios: file(`${OPENSBI}/fw_dynamic.bin`), kernel });
    await usesUboot(vm);
    vm.console.write('poweroff\n');
    expect(await within(10_000, 'power off', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });
});
