/** What child.ts measures, as it comes back to the process that asked. */
import type { Resident } from './host.ts';

/** The default guest's prompt, as far as it is always the same. */
export const PROMPT = 'root@bottomhalf:';

/** Paths of the images, and the kernel's command line. */
export interface LinuxFiles {
  readonly kernel: string;
  readonly initrd: string;
  readonly append: string;
}

/** A boot to a prompt; what is left out is the plain boot's. */
export interface BootTask extends LinuxFiles {
  readonly ramBytes?: number;
  readonly prompt?: string;
  readonly timeoutMs?: number;
}

export interface StartResult {
  /** createVm to the guest's first store, one after the other in one process. */
  readonly ms: readonly number[];
}

export interface BootResult {
  /** From the call of createVm. */
  readonly createdMs: number;
  readonly promptMs: number;
  readonly instructions: number;
  /** NaN where the host does not tell. */
  readonly vcpuCpuMs: number;
  readonly vcpuWaitedMs: number;
  readonly processCpuMs: number;
}

/** Microseconds, one after the other. */
export interface TopologyResult {
  /** Of the guest's writes that move a BAR, and of those that change no map. */
  readonly changeUs: readonly number[];
  readonly plainUs: readonly number[];
  /** From the main thread to all others and back, without a machine. */
  readonly roundUs: readonly number[];
}

export interface IdleResult {
  /** Of one core, the whole process and each thread, largest first. */
  readonly cpuPercent: number;
  readonly threadPercents: readonly number[];
  readonly instructionsPerSecond: number;
  readonly resident: Resident;
  /** Resident with the library imported and no machine. */
  readonly libraryBytes: number;
  readonly imageBytes: number;
  readonly mainHeapBytes: number;
  readonly mainBuffersBytes: number;
  readonly threads: number;
}
