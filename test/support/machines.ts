/** Whole machines for tests: programs in assembly on a machine without firmware, and the end of each with its test. */
import { onTestFinished } from 'vitest';
import { virtTable } from '../../actors/board/virt-table.ts';
import { createVm, type Vm, type VmOptions } from '../../src/index.ts';
import { assemble } from '../../src/isa/asm.ts';

export const RAM_BASE = virtTable.dram.base;

/** What programs call the board's registers. */
const SYMBOLS = {
  RAM: RAM_BASE,
  UART: virtTable.uart0.base,
  TEST: virtTable.test.base,
  RTC: virtTable.rtc.base,
  CLINT: virtTable.clint.base,
  PLIC: virtTable.plic.base,
  ROM: virtTable.mrom.base,
} as const;

/** Assembles for the start of RAM. */
export function program(source: string): Uint8Array {
  return assemble(source, { base: RAM_BASE, symbols: SYMBOLS }).bytes;
}

/** A machine that is stopped with the test, however that ends. Not started. */
export async function machine(options: VmOptions): Promise<Vm> {
  const vm = await createVm({ ramBytes: 16 * 2 ** 20, ...options });
  onTestFinished(() => vm.stop());
  return vm;
}

/** A machine that will run a program in M mode from the start of RAM. */
export function bare(source: string, options: VmOptions = {}): Promise<Vm> {
  return machine({ bios: 'none', kernel: program(source), ...options });
}

/** Settles as `promise` does, or throws after the time. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
