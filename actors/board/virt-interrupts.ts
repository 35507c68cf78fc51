/**
 * The interrupt controllers of board `virt`, beside the first vCPU: a PLIC, or the two domains of an APLIC, whose
 * interrupts go to the harts by wire or as messages to their interrupt files (QEMU's `aia`).
 */
import type { DeviceDefinition, DeviceInputs, IrqLine } from '../../src/actor/index.ts';
import type { MsiPort } from '../../src/bus/msi.ts';
import type { Thread } from '../../src/channel/threads.ts';
import { msiSignal } from '../../src/hart/hart-signals.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { uart16550 } from '../char/uart16550.ts';
import type { Aia } from '../cpu/aia.ts';
import { vcpuThreadName } from '../cpu/names.ts';
import type { VcpuHost } from '../cpu/vcpu-thread.ts';
import { WORDS } from '../cpu/words.ts';
import { aplic } from '../irq/aplic.ts';
import { type ImsicLevel, imsicMsiPort } from '../irq/imsic-window.ts';
import { plic } from '../irq/plic.ts';
import { aclint } from '../misc/aclint.ts';
import { FarWire, type FarWires } from './hart-wires.ts';
import { VIRT_APLIC_M_BASE, VIRT_APLIC_S_BASE } from './virt-aia-tree.ts';
import { VIRT_PLIC_SOURCES, virtTable } from './virt-table.ts';

/** Names among the machine's actors, and where their registers lie. */
const CONTROLLERS = {
  plic: { name: 'plic', base: virtTable.plic.base, lengthBytes: virtTable.plic.lengthBytes },
  aplicM: { name: 'aplic-m', base: VIRT_APLIC_M_BASE, lengthBytes: aplic.lengthBytes },
  aplicS: { name: 'aplic-s', base: VIRT_APLIC_S_BASE, lengthBytes: aplic.lengthBytes },
} as const;

/** Of a machine with this `aia`. */
export function interruptControllers(aia: Aia): { readonly name: string; base: number; lengthBytes: number }[] {
  return aia === 'none' ? [CONTROLLERS.plic] : [CONTROLLERS.aplicM, CONTROLLERS.aplicS];
}

/** Definitions of the devices beside the first vCPU, by name. */
export function hotDefinitions(aia: Aia): [string, DeviceDefinition][] {
  const controllers = interruptControllers(aia).map(({ name }): [string, unknown] => [
    name,
    aia === 'none' ? plic : aplic,
  ]);
  const others: [string, unknown][] = [
    ['serial0', uart16550],
    ['clint', aclint],
  ];
  return [...controllers, ...others] as [string, DeviceDefinition][];
}

export interface InterruptConfig {
  readonly aia: Aia;
  readonly harts: number;
  /** There is no firmware in M mode that would delegate interrupts to S mode. */
  readonly supervisorOnly: boolean;
  /** Where the wires to harts of other threads are kept. */
  readonly hartWires: FarWires;
}

/** Starts the controllers on the first vCPU's thread. @returns where devices' wires lead to, by source */
export function startInterrupts(host: VcpuHost, config: InterruptConfig, msi: MsiPort | null): DeviceInputs {
  const { aia, harts, hartWires } = config;
  if (aia === 'none') {
    const lines = Array.from({ length: harts }, (_, hart) =>
      [INTERRUPT.mei, INTERRUPT.sei].map((bit) => hartLine(host, hart, bit, hartWires)),
    ).flat();
    const ports = { context: (index: number): IrqLine => lines[index] ?? NO_LINE };
    const plicConfig = { sources: VIRT_PLIC_SOURCES, contexts: lines.length };
    host.startDevice(CONTROLLERS.plic.name, plic, ports, plicConfig);
    return host.windows.inputs(CONTROLLERS.plic.name);
  }
  const delivery = aia === 'aplic' ? 'direct' : 'msi';
  const files = { machine: virtTable.imsicM.base, supervisor: virtTable.imsicS.base };
  const domain = {
    delivery,
    sources: VIRT_PLIC_SOURCES,
    harts,
    delegateAll: config.supervisorOnly,
    ...(delivery === 'msi' && { files }),
  } as const;
  const lines = (bit: number) => (hart: number) => hartLine(host, hart, bit, hartWires);
  const way = (bit: number) => (msi === null || delivery === 'direct' ? { context: lines(bit) } : { msi });
  const { aplicM, aplicS } = CONTROLLERS;
  const actor = host.startDevice(aplicS.name, aplic, way(INTERRUPT.sei), { ...domain, level: 'supervisor' });
  const child = { actor, inputs: host.windows.inputs(aplicS.name) };
  host.startDevice(aplicM.name, aplic, { ...way(INTERRUPT.mei), child }, { ...domain, level: 'machine' });
  return host.windows.inputs(aplicM.name);
}

const NO_LINE: IrqLine = { set: () => {} };

/** A wire to a hart, of this thread or another. */
function hartLine({ vcpu, thread }: VcpuHost, hart: number, bit: number, wires: FarWires): IrqLine {
  if (hart === 0) return { set: (level) => vcpu.runner.setInterruptLine(bit, level) };
  return wires.add(`hart${hart} ${bit}`, new FarWire(thread.channel(vcpuThreadName(hart)), WORDS.hartWire, bit));
}

/** What a thread needs to reach the interrupt files of all harts. */
export interface ImsicReach {
  readonly thread: Thread;
  readonly harts: number;
  /** The hart of this thread, and how it takes its own; null on the main loop's thread. */
  readonly own: { readonly hart: number; receive(file: 'M' | 'S', identity: number): void } | null;
}

/** The files of both levels: a message goes as a signal to the hart's own thread, through no other loop. */
export function imsicLevels({
  thread,
  harts,
  own,
}: ImsicReach): readonly [machine: ImsicLevel, supervisor: ImsicLevel] {
  const bells = Array.from({ length: harts }, (_, hart) =>
    hart === own?.hart ? null : thread.bell(vcpuThreadName(hart)),
  );
  const level = (file: 'M' | 'S', base: number): ImsicLevel => ({
    base,
    files: harts,
    deliver(hart, identity) {
      if (hart === own?.hart) own.receive(file, identity);
      else bells[hart]?.raise(msiSignal(file, identity));
    },
  });
  return [level('M', virtTable.imsicM.base), level('S', virtTable.imsicS.base)];
}

/** The way of messages from this thread; null on a machine without interrupt files. */
export function msiPortOf(aia: Aia, reach: ImsicReach): MsiPort | null {
  return aia === 'aplic-imsic' ? imsicMsiPort(imsicLevels(reach)) : null;
}
