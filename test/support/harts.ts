/** Programs for machines of several harts: what they share, and how a test sees what they have found. */
import { expect, vi } from 'vitest';
import type { Vm, VmOptions } from '../../src/index.ts';
import { assemble } from '../../src/isa/asm.ts';
import { sbiExtension } from '../../src/sbi/extensions.ts';
import { bare, machine, RAM_BASE } from './machines.ts';

/** Where programs write what they find: doublewords. */
export const RESULTS_GPA = RAM_BASE + 0x40_0000;
/** Where a kernel lies on the built-in SBI. */
const KERNEL_GPA = RAM_BASE + 0x20_0000;

/** Stores a register to the result with this number. */
export const result = (register: string, index: number): string =>
  `li t6, ${RESULTS_GPA + index * 8}\n sd ${register}, 0(t6)\n`;

/** Writes a word to the test finisher, and waits. */
export const FINISH = `
finish:
  li t0, 0x100000
  li t1, 0x5555
  sw t1, 0(t0)
finished: j finished
`;

/** An ecall; arguments stand in a0 to a5 already. */
export const sbi = (extension: keyof typeof sbiExtension, fid: number): string =>
  `li a7, ${sbiExtension[extension]}\n li a6, ${fid}\n ecall\n`;

/** Starts a hart at a label; a1 there is `opaque`. Answers in a0. */
export const start = (hart: number | string, label: string, opaque: number | string = 0): string => `
  la a1, ${label}
  ${typeof hart === 'number' ? `li a0, ${hart}` : `mv a0, ${hart}`}
  ${typeof opaque === 'number' ? `li a2, ${opaque}` : `mv a2, ${opaque}`}
  ${sbi('hsm', 0)}`;

/** Starts all harts of so many but the first at a label, each with its number in a0. */
export const startOthers = (harts: number, label: string): string => `
  li s1, ${harts - 1}
each_other:
  ${start('s1', label)}
  addi s1, s1, -1
  bnez s1, each_other
`;

/** Shutdown through the SBI. */
export const SHUTDOWN = `
shutdown:
  li a0, 0
  li a1, 0
  ${sbi('srst', 0)}
shut: j shut
`;

/** A machine of so many harts that run a program in M mode, all from the start of RAM, a0 the number. Started. */
export async function bareHarts(harts: number, source: string, options: VmOptions = {}): Promise<Vm> {
  const vm = await bare(source, { harts, ...options });
  vm.start();
  return vm;
}

/** A machine of so many harts, of which the first runs a program in S mode. Started. */
export async function sbiHarts(harts: number, source: string, options: VmOptions = {}): Promise<Vm> {
  const kernel = assemble(source, { base: KERNEL_GPA }).bytes;
  const vm = await machine({ harts, kernel, ...options });
  vm.start();
  return vm;
}

/** Results from `first` on, as signed numbers. */
export function results(vm: Vm, count: number, first = 0): number[] {
  const bytes = vm.memory.read(RESULTS_GPA + first * 8, count * 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: count }, (_, i) => Number(view.getBigInt64(i * 8, true)));
}

/** Waits until so many results are as they should be. */
export async function reaches(vm: Vm, values: readonly number[], first = 0): Promise<void> {
  await vi.waitFor(() => expect(results(vm, values.length, first)).toEqual(values), { timeout: 60_000, interval: 2 });
}
