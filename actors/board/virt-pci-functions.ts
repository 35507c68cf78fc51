/**
 * The PCI functions of board `virt` as its user names them: what is said of one, whether it can be, and where it goes.
 */
import type { DeviceDefinition } from '../../src/actor/index.ts';
import { ConfigError } from '../../src/util/config-error.ts';

export interface VmPciDevice {
  /** Of its actor (`vm.actor.system.get(name)`) and its regions; lower case, digits and `-`. */
  readonly name: string;
  /** What `definePciFunction` gave. */
  readonly definition: DeviceDefinition;
  /** Handed to create(). */
  readonly config?: unknown;
  /** What else create() is handed. */
  readonly ports?: object;
  /** The root port it is behind, where it can be taken out again; left out: the root bus. */
  readonly bus?: string;
  /** Device number on the root bus, 1 to 31; left out: the next that is free. */
  readonly addr?: number;
}

export interface VmPciOptions {
  /** Names of root ports, each with a slot for one function. */
  readonly rootPorts: readonly string[];
  readonly functions: readonly VmPciDevice[];
}

/** A function that is there now, and its device number on its bus. */
export interface PciPlacement {
  readonly function: VmPciDevice;
  readonly device: number;
}

/** A place on the root bus. */
export interface RootBusPlace {
  readonly name: string;
  readonly device: number;
}

const DEVICES = 32;
const NAME = /^[a-z][a-z0-9-]{0,30}$/;

/**
 * @param taken names of the board's own, and of the caller's other devices
 * @throws ConfigError for what cannot be
 */
export function checkPci({ rootPorts, functions }: VmPciOptions, taken: readonly string[]): void {
  const names = new Set(taken);
  for (const name of [...rootPorts, ...functions.map((one) => one.name)]) checkPciName(name, names);
  const slots = new Map<string, string>();
  for (const { name, bus } of functions) {
    if (bus === undefined) continue;
    if (!rootPorts.includes(bus)) {
      throw new ConfigError(
        `pci: ${name}`,
        `there is no root port ${bus}`,
        `Add one: -device pcie-root-port,id=${bus}`,
      );
    }
    const other = slots.get(bus);
    if (other !== undefined) {
      throw new ConfigError(`pci: ${name}`, `${other} is in the slot of ${bus}`, 'Give it a root port of its own.');
    }
    slots.set(bus, name);
  }
  numberFunctions({ rootPorts, functions });
}

/** @throws ConfigError; adds the name to those that are taken */
export function checkPciName(name: string, names: Set<string>): void {
  if (!NAME.test(name) || name.endsWith('-loop')) {
    throw new ConfigError(`pci: ${name}`, 'is no name for a function', 'Use lower-case letters, digits and `-`.');
  }
  if (names.has(name)) throw new ConfigError(`pci: ${name}`, 'there is one of this name already', 'Give it another.');
  names.add(name);
}

/** Gives each root port and each function on the root bus its device number. @throws ConfigError */
export function numberFunctions({ rootPorts, functions }: VmPciOptions): RootBusPlace[] {
  // 0 is the host bridge.
  const free = new Set(Array.from({ length: DEVICES - 1 }, (_, index) => index + 1));
  const take = (name: string, device: number | undefined): RootBusPlace => {
    if (device === undefined || !free.delete(device)) {
      const problem = device === undefined ? 'the root bus is full' : `device ${device} is taken, or none of 1 to 31`;
      throw new ConfigError(`pci: ${name}`, problem, 'Put it behind a root port, or leave out its address.');
    }
    return { name, device };
  };
  const onRoot = functions.filter(({ bus }) => bus === undefined);
  const fixed = onRoot.filter(({ addr }) => addr !== undefined).map(({ name, addr }) => take(name, addr));
  const others = [...rootPorts, ...onRoot.filter(({ addr }) => addr === undefined).map(({ name }) => name)];
  const next = (name: string): RootBusPlace => take(name, free.values().next().value);
  return [...fixed, ...others.map(next)];
}
