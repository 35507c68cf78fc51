/** A machine's memory: where the host gives it, and as the machine's user sees it. */
import { createMemory, type MemoryLayout } from './memory/layout.ts';
import { hashRam } from './snapshot/ram-hash.ts';
import { ConfigError } from './util/config-error.ts';

/** Guest RAM, by guest-physical address; for tests and tools. A running guest may change it at any time. */
export interface VmMemory {
  /** @returns a copy; @throws RangeError outside RAM */
  read(gpa: number, lengthBytes: number): Uint8Array;
  write(gpa: number, bytes: Uint8Array): void;
  /** @returns a 64-bit hash of all of it; of a machine that stands it says whether two of them are at the same point */
  hash(): bigint;
}

/** @throws ConfigError where the host has not the address space */
export function allocate(layout: MemoryLayout): WebAssembly.Memory {
  try {
    return createMemory(layout);
  } catch (error) {
    const problem = `the host does not give ${layout.ramBytes / 2 ** 20} MiB (${String(error)})`;
    throw new ConfigError('-m', problem, 'Use less, or end what takes the memory.');
  }
}

/** @param wrote told of each write, by its offset in RAM */
export function vmMemory(
  ram: Uint8Array,
  base: number,
  wrote: (offset: number, lengthBytes: number) => void,
): VmMemory {
  const offsetOf = (gpa: number, lengthBytes: number): number => {
    const isRange = Number.isSafeInteger(gpa) && Number.isSafeInteger(lengthBytes) && lengthBytes >= 0;
    if (isRange && gpa >= base && gpa + lengthBytes <= base + ram.length) return gpa - base;
    throw new RangeError(`${lengthBytes} bytes at 0x${gpa.toString(16)} are not all in guest RAM`);
  };
  return {
    read: (gpa, lengthBytes) => ram.slice(offsetOf(gpa, lengthBytes), offsetOf(gpa, lengthBytes) + lengthBytes),
    write: (gpa, bytes) => {
      const offset = offsetOf(gpa, bytes.length);
      ram.set(bytes, offset);
      wrote(offset, bytes.length);
    },
    hash: () => hashRam(ram),
  };
}
