/**
 * The caller's own devices on board `virt`: what is said of one, whether it fits the machine, and its device-tree node.
 * They live on the main loop; the guest reaches their registers as it does the RTC's.
 *
 * Not modelled: devices on other threads, devices that come and go while the machine lives.
 */
import type { DeviceDefinition } from '../../src/actor/index.ts';
import { type FdtTree, fdtNode, findNode, reg64 } from '../../src/fdt/tree.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { HARTS_MAX, VIRT_PLIC_SOURCES, type VirtRow, virtTable } from './virt-table.ts';
import type { VirtTree } from './virt-tree.ts';

export interface VmDevice {
  /** Of its actor (`vm.actor.system.get(name)`) and its device-tree node; lower case, digits and `-`. */
  readonly name: string;
  /** The device as a value. */
  readonly definition: DeviceDefinition;
  /** Guest-physical address of its registers, a multiple of 8; the definition says how long they are. */
  readonly base: number;
  /** Handed to create(). */
  readonly config?: unknown;
  /** What else create() is handed; `irq` comes from the board. */
  readonly ports?: object;
  /** PLIC source, 1 to 96: the board hands the device a port `irq` (an IrqLine) that drives it. */
  readonly irq?: number;
  /** Adds a node `name@base` under /soc to the board's device tree; not to one given as `dtb`. */
  readonly compatible?: string | readonly string[];
}

/** Actors and nodes of the board's own that a device may not be called like. */
export const TAKEN_NAMES: readonly string[] = [
  ...['machine', 'cpu', 'serial0', 'plic', 'aplic-m', 'aplic-s', 'clint', 'test', 'rtc', 'pcie', 'pcie-host'],
  ...Array.from({ length: HARTS_MAX }, (_, hart) => `cpu${hart}`),
];
const NAME = /^[a-z][a-z0-9-]{0,30}$/;
const ALIGNMENT_BYTES = 8;
/** Where a device may lie although the table has a name for it. */
const OPEN_ROWS: readonly string[] = ['platformBus'];

/** @throws ConfigError for a device that collides with the board, with RAM or with another one */
export function checkDevices(devices: readonly VmDevice[], ramBytes: number): void {
  const rows: (readonly [string, VirtRow])[] = Object.entries<VirtRow>(virtTable)
    .filter(([name]) => !OPEN_ROWS.includes(name))
    .map(([name, row]) => (row.use === 'ram' ? ['guest RAM', { ...row, lengthBytes: ramBytes }] : [name, row]));
  const names = new Set(TAKEN_NAMES);
  for (const device of devices) {
    const path = `devices: ${device.name}`;
    checkName(device.name, names, path);
    checkPlace(device, rows, path);
    checkIrq(device.irq, rows, path);
    names.add(device.name);
    rows.push([device.name, rowOf(device)]);
  }
}

/** The tree with a node for each device that says what it is compatible with. */
export function withDeviceNodes({ tree, wiring: wire }: VirtTree, devices: readonly VmDevice[]): FdtTree {
  const soc = findNode(tree.root, '/soc');
  if (soc === undefined) throw new Error("the board's tree has no /soc");
  for (const { name, base, definition, irq, compatible } of devices) {
    if (compatible === undefined) continue;
    const wiring = irq === undefined ? {} : wire(irq);
    const reg = reg64(base, definition.lengthBytes);
    soc.children.push(fdtNode(`${name}@${base.toString(16)}`, { compatible, reg, ...wiring }));
  }
  return tree;
}

function rowOf({ base, definition, irq, name }: VmDevice): VirtRow {
  return { base, lengthBytes: definition.lengthBytes, use: 'device', doc: name, ...(irq !== undefined && { irq }) };
}

function checkName(name: string, names: ReadonlySet<string>, path: string): void {
  if (!NAME.test(name) || name.endsWith('-loop')) {
    throw new ConfigError(path, 'is no name for a device', 'Use lower-case letters, digits and `-`, 31 at most.');
  }
  if (names.has(name)) throw new ConfigError(path, 'there is one of this name already', 'Give it another name.');
}

function checkPlace({ base, definition }: VmDevice, rows: readonly (readonly [string, VirtRow])[], path: string): void {
  const { lengthBytes } = definition;
  const isRange = Number.isSafeInteger(base) && base >= 0 && Number.isSafeInteger(base + lengthBytes);
  if (!isRange || base % ALIGNMENT_BYTES !== 0 || lengthBytes <= 0) {
    const remedy = `Give it a base that is a multiple of ${ALIGNMENT_BYTES}, and a definition with registers.`;
    throw new ConfigError(path, `${lengthBytes} bytes at ${hex(base)} are no place for registers`, remedy);
  }
  const other = rows.find(([, row]) => base < row.base + row.lengthBytes && row.base < base + lengthBytes);
  if (other === undefined) return;
  const [name, row] = other;
  const { base: free } = virtTable.platformBus;
  throw new ConfigError(
    path,
    `${hex(base)} to ${hex(base + lengthBytes - 1)} overlaps ${name} at ${hex(row.base)}`,
    `Move it; 32 MiB from ${hex(free)} on are for such devices.`,
  );
}

function checkIrq(irq: number | undefined, rows: readonly (readonly [string, VirtRow])[], path: string): void {
  if (irq === undefined) return;
  const remedy = `Use another one, up to ${VIRT_PLIC_SOURCES}.`;
  if (!Number.isInteger(irq) || irq < 1 || irq > VIRT_PLIC_SOURCES) {
    throw new ConfigError(path, `there is no interrupt ${irq}`, remedy);
  }
  const other = rows.find(([, row]) => row.irq === irq);
  if (other !== undefined) throw new ConfigError(path, `interrupt ${irq} belongs to ${other[0]}`, remedy);
}

const hex = (value: number): string => `0x${value.toString(16)}`;
