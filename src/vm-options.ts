/** What a machine can be made with, and what of it cannot be. */
import type { VmDevice } from '../actors/board/virt-devices.ts';
import type { VmPciDevice } from '../actors/board/virt-pci-functions.ts';
import { HARTS_MAX, RAM_MAX_BYTES, RAM_MIN_BYTES } from '../actors/board/virt-table.ts';
import { ACCEL_KINDS, type Accel } from '../actors/cpu/accel.ts';
import { AIA_KINDS, type Aia } from '../actors/cpu/aia.ts';
import type { InspectionEvent, Observer } from './actor/index.ts';
import type { ImageSource } from './boot/image-source.ts';
import { ConfigError } from './util/config-error.ts';

const RAM_UNIT_BYTES = 4096;
export const AIA_DEFAULT: Aia = 'none';

export interface VmOptions {
  /** Number of harts, each a vCPU in its own thread; 1 where left out, 64 at most. */
  readonly harts?: number;
  /** Interrupt controllers: a PLIC, an APLIC, or an APLIC and an IMSIC for each hart; `none` (the PLIC) where left out. */
  readonly aia?: Aia;
  /**
   * How instructions are executed: `jit`, which translates what is hot to WebAssembly, where left out; `interpreter`
   * interprets all. The guest can tell by their speed only; a recording of a run with one is one of a run with the other, and so is a saved machine.
   */
  readonly accel?: Accel;
  /**
   * With `jit`: whether what is translated is compiled by a thread of its own, instead of by each hart's; harts then take
   * what was compiled for others. Left out: where there are several harts, or the host has a core for it, and the machine is not
   * deterministic.
   */
  readonly compileThread?: boolean;
  /** Names of PCI Express root ports, each with a slot for one function, which can be plugged and unplugged. */
  readonly rootPorts?: readonly string[];
  /** PCI functions, on the root bus or in the slot of a root port. */
  readonly pci?: readonly VmPciDevice[];
  /** Guest RAM in bytes, whole pages of 4 KiB; 512 MiB where left out, 4 MiB at least, 3.5 GiB at most. */
  readonly ramBytes?: number;
  /** ELF, Linux Image or raw bytes, decompressed. A function is called again at each reset, so that nothing is kept. */
  readonly kernel?: ImageSource;
  readonly initrd?: ImageSource;
  /** The kernel's command line. */
  readonly append?: string;
  /** `default`: the built-in SBI. `none`: the kernel runs in M mode from 0x80000000. Bytes: firmware in M mode. */
  readonly bios?: 'default' | 'none' | Uint8Array;
  /** A device-tree blob to use instead of the board's own; /chosen is filled in. */
  readonly dtb?: Uint8Array;
  /** Devices of the caller's own, on the main loop. */
  readonly devices?: readonly VmDevice[];
  /** A guest that asks for a reboot ends the machine instead. */
  readonly noReboot?: boolean;
  /** What goes to vm.log: `in_asm` every instruction once, `int` every trap, `guest_errors` accesses nobody answers. */
  readonly log?: { readonly items: readonly string[] };
  /**
   * The machine is deterministic: all of it runs in the caller's thread, on simulated time, and this number, from 0 to
   * 2^32 - 1, decides the order of everything. Left out: a thread for each hart, on the host's time.
   */
  readonly seed?: number;
  /** Takes a recording of a deterministic run, text to be appended piece by piece; without `seed` one is drawn. */
  readonly record?: (text: string) => void;
  /** Such a recording: the run is repeated, with its inputs in place of the caller's, and then goes on with those. */
  readonly replay?: string;
  /**
   * A file that save() wrote: the machine goes on from there, paused, until start() or resume(). It is made as it was;
   * options may repeat that, and devices may be added. The caller's own devices and functions are given again, under their
   * names; the kernel and other images only if the machine is to survive a reset.
   */
  readonly from?: string;
  /** xstate's inspect observer: receives the events of the whole machine's actors, on every thread. */
  readonly inspect?: Observer<InspectionEvent> | ((event: InspectionEvent) => void);
}

/** What of the options a recorded run depends on, beside what lies in RAM. */
export function machineOf(options: VmOptions, harts: number, ramBytes: number): object {
  const { bios = 'default', noReboot = false, log, inspect, devices = [], aia = AIA_DEFAULT } = options;
  const { rootPorts = [], pci = [] } = options;
  return {
    harts,
    ramBytes,
    bios: typeof bios === 'string' ? bios : 'firmware',
    noReboot,
    log: log?.items ?? [],
    inspected: inspect !== undefined,
    devices: devices.map(({ name, base, irq }) => [name, base, irq]),
    aia,
    rootPorts,
    pci: pci.map(({ name, definition, bus = null, addr = null }) => [name, definition.name, bus, addr]),
  };
}

/** @throws ConfigError for a machine that cannot be */
export function checkMachine(ramBytes: number, harts: number, aia: Aia, accel: Accel): void {
  checkRam(ramBytes);
  checkHarts(harts);
  checkAia(aia);
  checkAccel(accel);
}

function checkRam(ramBytes: number): void {
  const isWhole = Number.isSafeInteger(ramBytes) && ramBytes % RAM_UNIT_BYTES === 0;
  if (isWhole && ramBytes >= RAM_MIN_BYTES && ramBytes <= RAM_MAX_BYTES) return;
  const range = `from ${RAM_MIN_BYTES / 2 ** 20}M to ${RAM_MAX_BYTES / 2 ** 20}M`;
  throw new ConfigError('-m', `a machine cannot have ${ramBytes} bytes of RAM`, `Give it ${range}, in whole pages.`);
}

function checkHarts(harts: number): void {
  if (Number.isInteger(harts) && harts >= 1 && harts <= HARTS_MAX) return;
  throw new ConfigError('-smp', `a machine cannot have ${harts} harts`, `Give it 1 to ${HARTS_MAX}.`);
}

function checkAccel(accel: Accel): void {
  if (ACCEL_KINDS.includes(accel)) return;
  throw new ConfigError('-accel', `'${String(accel)}' is not known`, `Write one of ${ACCEL_KINDS.join(', ')}.`);
}

function checkAia(aia: Aia): void {
  if (AIA_KINDS.includes(aia)) return;
  throw new ConfigError('-M aia', `'${String(aia)}' is not known`, `Write one of ${AIA_KINDS.join(', ')}.`);
}
