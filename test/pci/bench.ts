/**
 * A bench for PCI without a vCPU: host bridge, buses and functions (real actors) on one simulated loop, with a fake
 * memory map that completes changes when told to, fake RAM, and lists of what was sent.
 */
import { pcieHost, pcieHostFunction } from '../../actors/pci/pcie-host.ts';
import { type PcieSlotEvent, pcieRootPort } from '../../actors/pci/root-port.ts';
import { createActor, type DeviceDefinition, deviceActorLogic } from '../../src/actor/index.ts';
import type { PlacedWindow, TopologyChange, TopologyPort } from '../../src/bus/topology.ts';
import type { DmaPort } from '../../src/dma/port.ts';
import { PciBus, type PciFunctionPorts, type PciHostWindow, type PciSlot } from '../../src/pci/index.ts';
import { SimLoop } from '../support/sim-loop.ts';

export type Size = 1 | 2 | 4;

export const RAM_BASE = 0x8000_0000;
const RAM_BYTES = 0x1_0000;
const ECAM_BASE = 0x3000_0000;
export const IO_BASE = 0x300_0000;
export const WINDOWS: readonly PciHostWindow[] = [
  { space: 'io', base: IO_BASE, busBase: 0, lengthBytes: 0x1_0000 },
  { space: 'memory', base: 0x4000_0000, busBase: 0x4000_0000, lengthBytes: 0x4000_0000 },
  { space: 'memory', base: 0x4_0000_0000, busBase: 0x4_0000_0000, lengthBytes: 0x4_0000_0000 },
];
/** Addresses at which there is an interrupt file. */
export const MSI_BASE = 0x2800_0000;
const MSI_BYTES = 0x1000;
const CHAIN_MAX = 16;

/** A memory map that refuses nonsense: what goes must be there, what comes must be free and in a window. */
class FakeTopology implements TopologyPort {
  readonly regions = new Map<string, PlacedWindow>();
  readonly changes: TopologyChange[] = [];
  /** Where false, changes wait for complete(). */
  isAutomatic = true;
  readonly #loop: SimLoop;
  #due: (() => void)[] = [];

  constructor(loop: SimLoop) {
    this.#loop = loop;
  }

  commit(change: TopologyChange, done: () => void): void {
    this.changes.push(change);
    this.#due.push(() => {
      this.#apply(change);
      done();
    });
    if (this.isAutomatic) this.#loop.bottomHalf('commit', () => this.complete()).schedule();
  }

  get waiting(): number {
    return this.#due.length;
  }

  complete(): void {
    this.#due.shift()?.();
  }

  find(gpa: number): PlacedWindow | undefined {
    return [...this.regions.values()].find(({ base, lengthBytes }) => gpa >= base && gpa < base + lengthBytes);
  }

  #apply({ remove, add }: TopologyChange): void {
    for (const name of remove) if (!this.regions.delete(name)) throw new Error(`there is no ${name} to remove`);
    for (const region of add) {
      const end = region.base + region.lengthBytes;
      const other = [...this.regions.values()].find(
        (one) => region.base < one.base + one.lengthBytes && one.base < end,
      );
      if (other !== undefined || this.regions.has(region.name)) throw new Error(`${region.name} meets ${other?.name}`);
      const isInside = WINDOWS.some(({ base, lengthBytes }) => region.base >= base && end <= base + lengthBytes);
      if (!isInside) throw new Error(`${region.name} is in no window`);
      if (region.window.lengthBytes !== region.lengthBytes) throw new Error(`${region.name} has another length`);
      this.regions.set(region.name, region);
    }
  }
}

/** What a definition's actor is, as far as the bench needs it. */
interface Running {
  send(event: { readonly type: string; readonly [field: string]: unknown }): void;
  stop(): void;
  getSnapshot(): { readonly view: object };
  getPersistedSnapshot(): unknown;
}

export interface Plugged {
  readonly name: string;
  readonly slot: PciSlot;
  readonly actor: Running;
}

export class PciBench {
  readonly loop = new SimLoop();
  readonly topology = new FakeTopology(this.loop);
  readonly irqs = [false, false, false, false];
  readonly messages: { readonly address: number; readonly data: number }[] = [];
  readonly slotEvents: PcieSlotEvent[] = [];
  readonly ram = new Uint8Array(RAM_BYTES);
  readonly bus = new PciBus(
    this.irqs.map((_, pin) => ({
      set: (level) => {
        this.irqs[pin] = level;
      },
    })),
  );
  readonly functions = new Map<string, Plugged>();
  readonly host = pcieHost.create({ loop: this.loop, bus: this.bus, topology: this.topology }, { windows: WINDOWS });
  /** Accesses of DMA, in order; for tests that ask who was reached. */
  readonly dma: DmaPort = {
    map: () => null,
    unmap: () => {},
    read: (gpa, lengthBytes, done) => this.#later(() => done(this.#dmaRead(gpa, lengthBytes))),
    // The access itself happens inside the call, the worst case for whoever calls; the answer comes later. A chain of
    // accesses that lead to accesses ends with a bus error, as every DmaPort must see to.
    write: (gpa, bytes, done) => {
      this.#depth += 1;
      const ok = this.#depth <= CHAIN_MAX && this.#dmaWrite(gpa, bytes);
      this.#depth -= 1;
      this.#later(() => done(ok));
    },
  };

  /** Accesses of DMA that are inside one another now. */
  #depth = 0;

  constructor() {
    this.add('gpex', pcieHostFunction, 0, undefined);
    this.loop.advance(0);
  }

  /** A function as an actor that runs, on the root bus or another one. `saved`: what its actor persisted as. */
  add<P extends object, C, S, E>(
    name: string,
    definition: DeviceDefinition<P & PciFunctionPorts, C, S, E>,
    devfn: number,
    config: C,
    more: { bus?: PciBus; secondary?: PciBus; ports?: object; isMultifunction?: boolean; saved?: unknown } = {},
  ): Plugged {
    const { bus = this.bus, secondary, isMultifunction = false } = more;
    const slot = bus.attach({
      name,
      devfn,
      isMultifunction,
      reset: () => actor.send({ type: 'device.reset' }),
      ...(secondary !== undefined && { secondary }),
    });
    const ports = { slot, dma: this.dma, msi: { send: this.#message }, ...more.ports };
    const logic = deviceActorLogic(definition, { loop: this.loop, ports: ports as never, config, registers: slot });
    const snapshot = more.saved as never;
    const actor = createActor(logic, { id: name, ...(snapshot !== undefined && { snapshot }) });
    actor.start();
    actor.send({ type: 'device.start' } as never);
    const plugged = { name, slot, actor: actor as unknown as Running };
    this.functions.set(name, plugged);
    return plugged;
  }

  /** A root port and the bus behind it. */
  addRootPort(
    name: string,
    devfn: number,
    occupant?: string,
    saved?: unknown,
  ): Plugged & { readonly secondary: PciBus } {
    const secondary = new PciBus();
    const slotEvent = (event: PcieSlotEvent): void => {
      this.slotEvents.push(event);
      if (event.type === 'pci.released') this.remove(event.function);
    };
    const config = { slot: devfn >> 3, ...(occupant !== undefined && { occupant }) };
    const port = this.add(name, pcieRootPort, devfn, config, { secondary, ports: { secondary, slotEvent }, saved });
    return { ...port, secondary };
  }

  /** As a board does with a function that is out. */
  remove(name: string): void {
    const plugged = this.functions.get(name);
    plugged?.slot.detach();
    plugged?.actor.send({ type: 'device.remove' });
    this.functions.delete(name);
  }

  configRead(bdf: number, register: number, size: Size): number {
    return this.host.mmioRead?.(bdf * 0x1000 + register, size) ?? 0;
  }

  /** A write that a vCPU waits for. */
  configWrite(bdf: number, register: number, value: number, size: Size): void {
    let isDone = false;
    this.configWriteLater(bdf, register, value, size, () => {
      isDone = true;
    });
    this.loop.advance(0);
    if (!isDone) throw new Error(`the write to ${bdf.toString(16)} register 0x${register.toString(16)} is not done`);
  }

  configWriteLater(bdf: number, register: number, value: number, size: Size, done: () => void): void {
    this.host.mmioWriteLater?.(bdf * 0x1000 + register, value >>> 0, size, done);
  }

  /** A vCPU's access to memory: the windows are an open bus; what is beside them is null, a bus fault. */
  read(gpa: number, size: Size = 4): number | null {
    const region = this.topology.find(gpa);
    if (region !== undefined) return region.window.read(gpa - region.base, size);
    return WINDOWS.some(({ base, lengthBytes }) => gpa >= base && gpa < base + lengthBytes)
      ? 2 ** (8 * size) - 1
      : null;
  }

  write(gpa: number, value: number, size: Size = 4): void {
    const region = this.topology.find(gpa);
    region?.window.write(gpa - region.base, value >>> 0, size);
  }

  #message = (address: number, data: number): boolean => {
    if (address < MSI_BASE || address >= MSI_BASE + MSI_BYTES) return false;
    this.messages.push({ address, data });
    return true;
  };

  #later(run: () => void): void {
    this.loop.bottomHalf('dma', run).schedule();
  }

  #dmaRead(gpa: number, lengthBytes: number): Uint8Array | null {
    const at = gpa - RAM_BASE;
    if (at >= 0 && at + lengthBytes <= RAM_BYTES) return this.ram.slice(at, at + lengthBytes);
    const bytes = new Uint8Array(lengthBytes);
    for (let i = 0; i < lengthBytes; i++) {
      const value = this.#access(
        gpa + i,
        (region, offset) => region.window.read(offset, 1),
        () => this.#ecam(gpa + i),
      );
      if (value === null) return null;
      bytes[i] = value;
    }
    return bytes;
  }

  #dmaWrite(gpa: number, bytes: Uint8Array): boolean {
    const at = gpa - RAM_BASE;
    if (at >= 0 && at + bytes.length <= RAM_BYTES) {
      this.ram.set(bytes, at);
      return true;
    }
    const words = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i + 4 <= bytes.length; i += 4) {
      const value = words.getUint32(i, true);
      const done = this.#access(
        gpa + i,
        (region, offset) => region.window.write(offset, value, 4),
        () => this.host.mmioWriteLater?.(gpa + i - ECAM_BASE, value, 4, () => {}) ?? 0,
      );
      if (done === null) return false;
    }
    return true;
  }

  #access(gpa: number, use: (region: PlacedWindow, offset: number) => number, ecam: () => number): number | null {
    if (gpa >= ECAM_BASE && gpa < ECAM_BASE + 0x1000_0000) return ecam();
    const region = this.topology.find(gpa);
    return region === undefined ? null : use(region, gpa - region.base);
  }

  #ecam(gpa: number): number {
    return this.host.mmioRead?.(gpa - ECAM_BASE, 1) ?? 0;
  }
}
