/**
 * Runs one machine on a console until it ends or the user quits: the only file of the command line that knows the
 * library's machine.
 */

import type { ImageSource } from '../boot/image-source.ts';
import type { Accel, Aia, MachineEnd, VmPciDevice } from '../index.ts';
import { type CharBackend, connectConsole, type GuestConsole } from './char-backend.ts';
import type { Images } from './images.ts';
import type { LogSink } from './log.ts';
import type { Options } from './options.ts';
import type { Saveable } from './saving.ts';

/** What the command line needs of the library's machine. */
export interface Machine extends Saveable {
  start(): void;
  stop(): Promise<unknown>;
  readonly console: GuestConsole;
  readonly finished: Promise<MachineEnd>;
  /** What `log` in its options asked for, in whole lines. */
  readonly log?: { subscribe(next: (text: string) => void): unknown };
}

export interface MachineOptions {
  readonly harts?: number;
  readonly aia?: Aia;
  readonly accel?: Accel;
  readonly compileThread?: boolean;
  readonly rootPorts: readonly string[];
  readonly pci: readonly VmPciDevice[];
  readonly ramBytes?: number;
  readonly kernel?: ImageSource;
  readonly initrd?: ImageSource;
  readonly append?: string;
  readonly bios?: 'default' | 'none' | Uint8Array;
  readonly dtb?: Uint8Array;
  readonly noReboot: boolean;
  readonly from?: string;
  readonly log?: { readonly items: readonly string[] };
  readonly seed?: number;
  readonly record?: (text: string) => void;
  readonly replay?: string;
}

/** The machine's options from the command line's. @param record where a recording goes */
export function machineOptions(options: Options, images: Images, record: LogSink | undefined): MachineOptions {
  const { kernel, initrd, append, dtb, replay } = images;
  const { restore } = options;
  // What a saved machine is made of says its file; only what was asked for is compared with it.
  const isStated = (name: string): boolean => restore === undefined || restore.stated.includes(name);
  return {
    ...(restore !== undefined && { from: restore.file }),
    ...(isStated('-smp') && { harts: options.harts }),
    ...(isStated('-M') && { aia: options.aia }),
    ...(isStated('-m') && { ramBytes: options.ramBytes }),
    ...(isStated('-bios') && { bios: images.bios }),
    ...(isStated('-accel') && { accel: options.accel }),
    ...(options.compileThread !== undefined && { compileThread: options.compileThread }),
    rootPorts: options.devices.flatMap((device) => ('rootPort' in device ? [device.rootPort] : [])),
    pci: options.devices.flatMap((device) => ('pci' in device ? [device.pci] : [])),
    ...(kernel === undefined ? {} : { kernel }),
    noReboot: options.noReboot,
    ...(initrd === undefined ? {} : { initrd }),
    ...(append === undefined ? {} : { append }),
    ...(dtb === undefined ? {} : { dtb }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(record === undefined ? {} : { record: (text: string) => record.write(text) }),
    ...(replay === undefined ? {} : { replay }),
    ...(options.log.length === 0 ? {} : { log: { items: options.log } }),
  };
}

/**
 * @param quit resolves with the exit status when the user ends the machine
 * @returns the exit status
 */
export async function runMachine(
  machine: Machine,
  ends: { readonly backend: CharBackend; readonly log: LogSink; readonly quit: Promise<number> },
): Promise<number> {
  const { backend, log, quit } = ends;
  machine.log?.subscribe((text) => log.write(text));
  const disconnect = connectConsole(backend, machine.console);
  try {
    machine.start();
    return await Promise.race([machine.finished.then(exitStatus), quit]);
  } finally {
    await machine.stop();
    disconnect();
  }
}

/** A failure never looks like success, even when its code does not fit into the 8 bits of an exit status. */
export function exitStatus({ kind, code }: MachineEnd): number {
  if (kind === 'poweroff' || kind === 'reboot') return 0;
  return kind === 'fail' ? code & 0xff || 1 : 1;
}
