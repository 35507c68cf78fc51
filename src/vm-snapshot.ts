/**
 * Saved machines: what is written when one is saved, and how another goes on from it. The file is src/snapshot's, the
 * actors' states are the board's (actors/board/virt-persist.ts), which machine it is says src/vm-snapshot-header.ts.
 *
 * Not in the file: boot images and firmware, the code and the ports of a caller's own devices, what is connected to the
 * console. Bytes that were typed and not yet read by the guest are in it.
 */

import type { VirtOptions } from '../actors/board/virt.ts';
import type { VmDevice } from '../actors/board/virt-devices.ts';
import { loadableParts } from '../actors/board/virt-parts.ts';
import type { PciPlacement, VmPciDevice } from '../actors/board/virt-pci-functions.ts';
import type { SavedPart } from '../actors/board/virt-persist.ts';
import { MAIN_THREAD, threadStateName, vcpuThreadName } from '../actors/cpu/names.ts';
import { edu } from '../actors/pci/edu.ts';
import type { DeviceDefinition } from './actor/index.ts';
import { StateReader } from './bus/device-state.ts';
import { SnapshotError } from './snapshot/error.ts';
import { openSnapshotFile, type SnapshotFile } from './snapshot/file.ts';
import { readSnapshot, readSnapshotHeader } from './snapshot/read.ts';
import type { SnapshotActor } from './snapshot/write.ts';
import { ConfigError } from './util/config-error.ts';
import type { VmOptions } from './vm-options.ts';
import { readHeader, type SavedFunction, type SavedVm } from './vm-snapshot-header.ts';

/** PCI functions that need not be given again: they are made from what the file says. */
const KNOWN_FUNCTIONS: Readonly<Record<string, DeviceDefinition>> = { edu: edu as unknown as DeviceDefinition };
/** Bytes typed that the guest's thread has not got; no actor is called so. */
const CONSOLE_PART = { name: `${MAIN_THREAD}.console`, kind: 'console-input', version: 1 } as const;
const REMEDY_VERSION = 'Use the version of the program that made it.';

/** A file that a machine can go on from, as far as its header says. */
export interface FrozenVm {
  readonly saved: SavedVm;
  /** The machine's own, with what the caller has added. */
  readonly options: VmOptions;
  /** Fills guest RAM. @returns the actors' states, all of which this machine can take; @throws SnapshotError */
  read(ram: Uint8Array, parts: Pick<VirtOptions, 'harts' | 'aia' | 'devices' | 'pci'>): Promise<FrozenStates>;
  close(): Promise<void>;
}

export interface FrozenStates {
  readonly parts: readonly SavedPart[];
  /** To be typed to the guest. */
  readonly input: readonly Uint8Array[];
}

/** @param unsent what waits in the host's end of the console; @returns the sections of the file */
export function actorsOf(parts: readonly SavedPart[], unsent: readonly Uint8Array[]): SnapshotActor[] {
  const first = parts.find(({ name }) => name === threadStateName(vcpuThreadName(0)));
  const state = (first?.state ?? {}) as { readonly console?: { readonly unread: readonly number[] } };
  const pieces = [state.console?.unread ?? [], ...unsent.map((piece) => [...piece])].filter(({ length }) => length > 0);
  return [...parts, { ...CONSOLE_PART, state: { pieces } }];
}

/** What a function is in the header. */
export function savedFunction({ function: { name, definition, bus, config }, device }: PciPlacement): SavedFunction {
  const kind = definition.name;
  const isKnown = KNOWN_FUNCTIONS[kind] === definition;
  return { name, kind, bus: bus ?? null, device, config: isKnown ? (config ?? {}) : null };
}

/** @throws SnapshotError, or ConfigError where the caller asks for another machine than the saved one */
export async function openFrozen(path: string, given: VmOptions): Promise<FrozenVm> {
  const file = await openSnapshotFile(path);
  try {
    const { machine, ramBytes } = await readSnapshotHeader(file);
    const saved = checkHeader(path, machine);
    const options = mergeOptions(path, saved, ramBytes, given);
    return {
      saved,
      options,
      read: (ram, parts) => readStates(file, ram, loadableParts(parts)),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function checkHeader(path: string, machine: Readonly<Record<string, unknown>>): SavedVm {
  try {
    return readHeader(machine);
  } catch (error) {
    const problem = `it is of a machine that this program does not know: ${(error as Error).message}`;
    throw new SnapshotError('actor-state', path, problem, REMEDY_VERSION);
  }
}

/** The saved machine's options; those of the caller may say the same, and add devices. */
function mergeOptions(path: string, saved: SavedVm, ramBytes: number, given: VmOptions): VmOptions {
  const { harts, aia, bios, rootPorts, run } = saved;
  const same = (option: string, was: unknown, is: unknown): void => {
    if (is === undefined || is === was) return;
    throw new ConfigError(option, `${path} is of a machine with ${String(was)}, not ${String(is)}`, 'Leave it out.');
  };
  same('-smp', harts, given.harts);
  same('-m', ramBytes, given.ramBytes);
  same('-M aia', aia, given.aia);
  same('-bios', bios, given.bios instanceof Uint8Array ? 'firmware' : given.bios);
  if (run !== null) same('--seed', run.seed, given.seed);
  if (given.record !== undefined || given.replay !== undefined) {
    const option = given.record === undefined ? '--replay' : '--record';
    throw new ConfigError(option, 'a recording begins where its machine does', 'Leave out one of it and --restore.');
  }
  const devices = given.devices ?? [];
  for (const device of saved.devices) checkDevice(device, devices);
  return {
    ...given,
    ...{ harts, aia, ramBytes, devices },
    bios: bios === 'firmware' ? (given.bios ?? 'none') : bios,
    rootPorts: [...rootPorts, ...(given.rootPorts ?? []).filter((name) => !rootPorts.includes(name))],
    pci: mergeFunctions(saved.pci, given.pci ?? []),
    ...(run !== null && { seed: run.seed }),
  };
}

function checkDevice(saved: SavedVm['devices'][number], given: readonly VmDevice[]): void {
  const { name, base, irq } = saved;
  const device = given.find((one) => one.name === name);
  if (device === undefined) {
    const problem = "a device of the saved machine's that this one has not";
    throw new SnapshotError(
      'unknown-actor',
      name,
      problem,
      'Give it again, under the same name: createVm({ devices }).',
    );
  }
  if (device.base === base && (device.irq ?? null) === irq) return;
  const place = `0x${base.toString(16)}${irq === null ? '' : `, interrupt ${irq}`}`;
  throw new ConfigError(`devices: ${name}`, `the saved machine has it at ${place}`, 'Put it there.');
}

/** The saved functions where they were, then those that came since. */
function mergeFunctions(saved: readonly SavedFunction[], given: readonly VmPciDevice[]): VmPciDevice[] {
  const restored = saved.map(({ name, kind, bus, device, config }): VmPciDevice => {
    const own = given.find((one) => one.name === name);
    const definition = own?.definition ?? KNOWN_FUNCTIONS[kind];
    if (definition === undefined) {
      const problem = `a PCI function (${kind}) of the saved machine's that this one has not`;
      throw new SnapshotError('unknown-actor', name, problem, 'Give it again, under the same name: createVm({ pci }).');
    }
    if (own !== undefined && (own.bus ?? null) !== bus) {
      throw new ConfigError(`pci: ${name}`, `the saved machine has it on ${bus ?? 'the root bus'}`, 'Put it there.');
    }
    const place = bus === null ? { addr: device } : { bus };
    return own === undefined ? { name, definition, config, ...place } : { ...own, ...place };
  });
  return [...restored, ...given.filter(({ name }) => !saved.some((one) => one.name === name))];
}

async function readStates(
  file: SnapshotFile,
  ram: Uint8Array,
  known: ReadonlyMap<string, { readonly kind: string; readonly version: number }>,
): Promise<FrozenStates> {
  const { actors } = await readSnapshot(file, { ram });
  const input = actors.find(({ name }) => name === CONSOLE_PART.name);
  const parts = actors.filter((actor) => actor !== input);
  const all = new Map([...known, [CONSOLE_PART.name, CONSOLE_PART] as const]);
  for (const { name, kind, version } of actors) {
    const own = all.get(name);
    if (own === undefined) {
      const problem = `a part of the saved machine's (${kind}) that this one has not`;
      throw new SnapshotError('unknown-actor', name, problem, 'Give it again, or use the program that made the file.');
    }
    if (own.kind === kind && own.version === version) continue;
    const problem = `it was saved as ${kind}, version ${version}; here it is ${own.kind}, version ${own.version}`;
    throw new SnapshotError('actor-version', name, problem, REMEDY_VERSION);
  }
  return { parts, input: input === undefined ? [] : inputOf(input) };
}

function inputOf({ name, state }: SnapshotActor): Uint8Array[] {
  try {
    const reader = new StateReader(name, state);
    const pieces = reader.unknown('pieces');
    reader.finish();
    return (Array.isArray(pieces) ? pieces : [null]).map((piece) => {
      const bytes = new StateReader(name, { piece });
      return Uint8Array.from(bytes.uints('piece', 0xff, 1, 65_536));
    });
  } catch (error) {
    throw new SnapshotError('actor-state', name, (error as Error).message, REMEDY_VERSION);
  }
}

/** What could not be restored, as the caller is told. */
export function partError(name: string, message: string): SnapshotError {
  return new SnapshotError('actor-state', name, `its saved state cannot be taken over: ${message}`, REMEDY_VERSION);
}
