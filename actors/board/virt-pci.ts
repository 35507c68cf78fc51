/**
 * PCI Express on board `virt`, on the main loop: the host bridge, root ports, functions, and what they need: the owner of
 * the topology, DMA, and the way of message-signalled interrupts.
 */
import {
  type AccessOrigin,
  type AnyActorLogic,
  type DeviceDefinition,
  deviceActorLogic,
  type IrqLine,
  type RegisterRegistry,
} from '../../src/actor/index.ts';
import type { Region } from '../../src/bus/address-space.ts';
import type { MsiPort } from '../../src/bus/msi.ts';
import { TopologyOwner } from '../../src/bus/topology-owner.ts';
import { firstViews } from '../../src/bus/topology-views.ts';
import { createDmaPorts, type DmaPorts } from '../../src/dma/dma-ports.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import type { DirtyBitmap } from '../../src/memory/dirty-log.ts';
import { PciBus, type PciHostWindow, type PciSlot } from '../../src/pci/index.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { pcieHost, pcieHostFunction } from '../pci/pcie-host.ts';
import { type PcieRootPortEvent, type PcieSlotEvent, pcieRootPort } from '../pci/root-port.ts';
import type { VcpuEnd } from './vcpu-end.ts';
import { numberFunctions, type PciPlacement, type VmPciDevice, type VmPciOptions } from './virt-pci-functions.ts';
import { VIRT_PCIE_IRQ, virtPcieApertures, virtPcieOpenBus, virtPcieWindows } from './virt-pci-tree.ts';

/** Names among the machine's actors. */
export const PCI_ACTORS = { host: 'pcie', hostFunction: 'pcie-host' } as const;

export interface VirtPciOptions extends VmPciOptions {
  readonly loop: LoopPort;
  /** Of the main loop, also of its WindowServers. */
  readonly origin: AccessOrigin;
  readonly vcpus: readonly VcpuEnd[];
  readonly ram: { readonly bytes: Uint8Array; readonly base: number };
  readonly dirty: DirtyBitmap;
  readonly msi: MsiPort | null;
  /** What the main loop reaches besides RAM and PCI. */
  readonly regions: readonly Region[];
  /** Below it the board serves windows that stay. */
  readonly firstWindowId: number;
  wireTo(source: number): IrqLine;
  /** Sends to a device of the board. */
  tell(name: string, event: { readonly type: string }): void;
  /** The slot has let go of a function. */
  released(name: string): void;
  /** A function comes: its actor, and what tells its root port. */
  plugged(name: string, logic: AnyActorLogic, port: string, event: PcieRootPortEvent): void;
  /** Where the host bridge announces its configuration space. */
  readonly registers: RegisterRegistry;
}

const NO_MSI: MsiPort = { send: () => false };

export class VirtPci {
  readonly topology: TopologyOwner;
  readonly dma: DmaPorts;
  readonly #options: VirtPciOptions;
  readonly #root: PciBus;
  /** The buses behind root ports, by the port's name. */
  readonly #secondaries = new Map<string, PciBus>();
  readonly #slots = new Map<string, PciSlot>();
  readonly #windows: readonly PciHostWindow[];
  /** Those that are there now, in the order in which they came. */
  readonly #functions = new Map<string, PciPlacement>();
  /** Who waits for a function to be out. */
  readonly #unplugging = new Map<string, ((error: Error | null) => void)[]>();

  constructor(options: VirtPciOptions) {
    this.#options = options;
    const { loop, origin, vcpus, ram, msi, dirty, regions, firstWindowId } = options;
    const apertures = virtPcieApertures(ram.bytes.length);
    const open = virtPcieOpenBus(ram.bytes.length);
    this.#windows = virtPcieWindows(ram.bytes.length).map((window) =>
      // I/O ports are an address space of their own; the board's window onto it is a region like others.
      window.space === 'io' ? { ...window, base: window.busBase } : window,
    );
    this.topology = new TopologyOwner({
      loop,
      layout: {
        memory: {
          fixed: [{ name: 'ram', base: ram.base, lengthBytes: ram.bytes.length }],
          apertures: apertures.memory,
        },
        io: { fixed: [], apertures: apertures.io },
      },
      views: firstViews([...regions, ...open.memory], open.io),
      participants: vcpus.map(({ link, server }) => ({ link, server, role: 'cpu' })),
      firstWindowId,
    });
    this.dma = createDmaPorts({
      loop,
      ram,
      origin,
      view: () => this.topology.views.memory,
      msi,
      dirty,
      onSpace: (handler) => {
        for (const { channel } of vcpus) channel.onSpace(handler);
      },
    });
    this.#root = new PciBus([0, 1, 2, 3].map((pin) => options.wireTo(VIRT_PCIE_IRQ + pin)));
  }

  /** Of all that is here, as it is made. */
  static definitions({ rootPorts, functions }: VmPciOptions): [string, DeviceDefinition][] {
    return [
      [PCI_ACTORS.host, pcieHost],
      [PCI_ACTORS.hostFunction, pcieHostFunction],
      ...rootPorts.map((name): [string, unknown] => [name, pcieRootPort]),
      ...functions.map(({ name, definition }): [string, unknown] => [name, definition]),
    ] as [string, DeviceDefinition][];
  }

  /** Of the actors that are there now. */
  get names(): string[] {
    const { rootPorts } = this.#options;
    return [PCI_ACTORS.host, PCI_ACTORS.hostFunction, ...rootPorts, ...this.#functions.keys()];
  }

  get functions(): PciPlacement[] {
    return [...this.#functions.values()];
  }

  /** Of the host bridge, root ports and functions that are there from the start; by name, in the order to spawn them. */
  logics(): Record<string, AnyActorLogic> {
    const { loop, rootPorts, functions, registers } = this.#options;
    const logics: Record<string, AnyActorLogic> = {
      [PCI_ACTORS.host]: deviceActorLogic(pcieHost, {
        loop,
        ports: { bus: this.#root, topology: this.topology },
        config: { windows: this.#windows },
        registers,
      }) as AnyActorLogic,
      [PCI_ACTORS.hostFunction]: this.#functionLogic(PCI_ACTORS.hostFunction, pcieHostFunction, this.#root, 0),
    };
    const deviceOf = new Map(numberFunctions({ rootPorts, functions }).map(({ name, device }) => [name, device]));
    rootPorts.forEach((name, index) => {
      const occupant = functions.find(({ bus }) => bus === name)?.name;
      const config = { slot: index + 1, ...(occupant !== undefined && { occupant }) };
      const secondary = new PciBus();
      this.#secondaries.set(name, secondary);
      const ports = { secondary, slotEvent: (event: PcieSlotEvent) => this.#slotEvent(event) };
      logics[name] = this.#functionLogic(
        name,
        pcieRootPort,
        this.#root,
        deviceOf.get(name) ?? 0,
        config,
        ports,
        secondary,
      );
    });
    for (const device of functions) logics[device.name] = this.#logicOf(device, deviceOf.get(device.name) ?? 0);
    return logics;
  }

  /** @throws ConfigError where there is no such port, or its slot is taken */
  plug(device: VmPciDevice): void {
    const { name, bus = '' } = device;
    const secondary = this.#secondaries.get(bus);
    if (secondary === undefined) {
      throw new ConfigError(`pci: ${name}`, `there is no root port '${bus}'`, 'Name one of rootPorts as its bus.');
    }
    const other = secondary.slot(0);
    if (other !== undefined) {
      throw new ConfigError(`pci: ${name}`, `${other.name} is in the slot of ${bus}`, 'Unplug that first.');
    }
    this.#options.plugged(name, this.#logicOf(device, 0), bus, { type: 'pci.plug', function: name });
  }

  /**
   * Asks the guest to let go of a function, or pulls it out at once.
   * @param done called when it is out, or the board is closed before; @throws ConfigError for one that is in no slot
   */
  unplug(name: string, isSurprise: boolean, done: (error: Error | null) => void): void {
    const port = [...this.#secondaries].find(([, bus]) => bus.slot(0)?.name === name)?.[0];
    if (port === undefined) {
      throw new ConfigError(
        `pci: ${name}`,
        'is in no slot of a root port',
        'Only what is behind one can be taken out.',
      );
    }
    this.#unplugging.set(name, [...(this.#unplugging.get(name) ?? []), done]);
    const event: PcieRootPortEvent = { type: 'pci.unplug-request', isSurprise };
    this.#options.tell(port, event);
  }

  /** Nothing comes out any more. */
  close(): void {
    const waiting = [...this.#unplugging.values()].flat();
    this.#unplugging.clear();
    for (const done of waiting) done(new Error('the machine was stopped'));
  }

  #logicOf(one: VmPciDevice, device: number): AnyActorLogic {
    const { name, definition, config, ports, bus } = one;
    const on = bus === undefined ? this.#root : this.#secondaries.get(bus);
    if (on === undefined) throw new Error(`there is no root port ${bus}`);
    this.#functions.set(name, { function: one, device });
    return this.#functionLogic(name, definition, on, device, config, ports);
  }

  #functionLogic(
    name: string,
    definition: DeviceDefinition<never, never, never, never> | DeviceDefinition,
    bus: PciBus,
    device: number,
    config: unknown = {},
    ports: object = {},
    secondary?: PciBus,
  ): AnyActorLogic {
    const reset = (): void => this.#options.tell(name, { type: 'device.reset' });
    const slot = bus.attach({ name, devfn: device << 3, reset, ...(secondary !== undefined && { secondary }) });
    this.#slots.set(name, slot);
    const dma = this.dma.portFor(name);
    return deviceActorLogic(definition as DeviceDefinition, {
      loop: this.dma.loop,
      ports: { ...ports, slot, dma, msi: this.#options.msi ?? NO_MSI },
      config,
      registers: slot,
      attached: [dma],
    }) as AnyActorLogic;
  }

  #slotEvent(event: PcieSlotEvent): void {
    if (event.type !== 'pci.released') return;
    this.#slots.get(event.function)?.detach();
    this.#slots.delete(event.function);
    this.#functions.delete(event.function);
    this.#options.released(event.function);
    const waiting = this.#unplugging.get(event.function) ?? [];
    this.#unplugging.delete(event.function);
    for (const done of waiting) done(null);
  }
}
