/**
 * The PCI Express host bridge: QEMU's gpex, as its board `virt` has it.
 * Source: PCI Express Base 4.0, 7.2.2 (enhanced configuration access mechanism); Linux binding
 * host-generic-pci.yaml; QEMU's hw/pci-host/gpex.c.
 *
 * The guest sees configuration space of 256 buses, and functions' registers in the windows of the configuration. A
 * configuration write is not posted: it is done when the memory map that follows from it is in use everywhere. Writes
 * that come meanwhile wait their turn; so they take effect in one order. Where no function answers, configuration space
 * reads all ones; that the windows do so too is the board's business, whose map they are.
 *
 * Not modelled: configuration accesses that are not aligned (all ones), error messages, the bridge's own registers.
 */
import { type AccessSize, type DeviceCore, defineDevice } from '../../src/actor/device-core.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { registerTable } from '../../src/bus/register-table.ts';
import type { PlacedWindow, TopologyChange, TopologyPort } from '../../src/bus/topology.ts';
import type { BottomHalf, LoopPort } from '../../src/loop/port.ts';
import {
  definePciFunction,
  findFunction,
  isSameRoute,
  ones,
  type PciBus,
  type PciFunctionCore,
  type PciHostWindow,
  type PciRoute,
  type PciSlot,
  routes,
} from '../../src/pci/index.ts';

export interface PcieHostPorts {
  /** The root bus. The slots on it, and behind it, are the board's to attach. */
  readonly bus: PciBus;
  readonly topology: TopologyPort;
}

export interface PcieHostConfig {
  readonly windows: readonly PciHostWindow[];
}

/** What it decodes is in the functions' registers; a write whose answer is due is asked again by who waits for it. */
export type PcieHostState = Record<string, never>;

const FUNCTION_BYTES = 0x1000;
const BUS_BYTES = 0x10_0000;
const BUSES = 256;
/** Writes that wait for a change of the map. Each vCPU has one at most; the rest are functions that write here. */
const WAITING_MAX = 256;

export const pcieHostRegisters = registerTable({
  CONFIG: {
    offset: 0,
    widthBytes: 4,
    access: 'rw',
    count: (BUSES * BUS_BYTES) / 4,
    doc: 'configuration space: bus [27:20], device [19:15], function [14:12], register [11:2]',
  },
});

export const pcieHost = defineDevice<PcieHostPorts, PcieHostConfig, PcieHostState>({
  name: 'gpex-pcihost',
  version: 1,
  lengthBytes: BUSES * BUS_BYTES,
  create: (ports, config) => new PcieHostCore(ports, config),
});

interface ConfigWrite {
  readonly offset: number;
  readonly value: number;
  readonly size: AccessSize;
  done(): void;
}

class PcieHostCore implements DeviceCore<PcieHostState> {
  readonly #bus: PciBus;
  readonly #topology: TopologyPort;
  readonly #windows: readonly PciHostWindow[];
  readonly #catchUp: BottomHalf;
  /** What has been asked of the topology, by name; null before the first time. */
  #placed: ReadonlyMap<string, PciRoute> | null = null;
  #waiting: ConfigWrite[] = [];
  #isCommitting = false;
  #isPumping = false;
  /** Something may answer elsewhere than `#placed` says. */
  #isStale = true;

  constructor(ports: PcieHostPorts & { readonly loop: LoopPort }, config: PcieHostConfig) {
    this.#bus = ports.bus;
    this.#topology = ports.topology;
    this.#windows = config.windows;
    this.#catchUp = ports.loop.bottomHalf('pcie-host map', () => this.#pump());
    ports.bus.watch(() => this.#routesChanged());
    // The first change comes with the first turn of the loop, even an empty one: with it the windows are there. It also
    // has what functions decode that were restored before.
    this.#catchUp.schedule();
  }

  mmioRead(offset: number, size: AccessSize): number {
    if (offset % size !== 0) return ones(size);
    return this.#function(offset)?.readConfig(offset % FUNCTION_BYTES, size) ?? ones(size);
  }

  mmioWriteLater(offset: number, value: number, size: AccessSize, done: () => void): void {
    // Dropped, as a write that nobody takes: only functions that write here in a loop come so far.
    if (this.#waiting.length >= WAITING_MAX) return done();
    this.#waiting.push({ offset, value, size, done });
    this.#pump();
  }

  reset(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const write of waiting) write.done();
    this.#routesChanged();
  }

  view(): object {
    const regions = [...(this.#placed?.values() ?? [])].map(({ name, base, lengthBytes }) => ({
      name,
      base,
      lengthBytes,
    }));
    return { regions, waiting: this.#waiting.length, isCommitting: this.#isCommitting };
  }

  save(): PcieHostState {
    return {};
  }

  load(state: PcieHostState): void {
    new StateReader('gpex-pcihost', state).finish();
    // At once: what the functions decode must be in use before a vCPU goes on, and this device stands until then.
    this.#isStale = true;
    this.#catchUp.cancel();
    this.#pump();
  }

  #routesChanged(): void {
    this.#isStale = true;
    this.#catchUp.schedule();
  }

  /** One write after the other, each with the change of the map that follows from it, until one has to wait. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (!this.#isCommitting) {
      const write = this.#waiting.shift();
      if (write === undefined && !this.#isStale) break;
      if (write !== undefined) this.#perform(write);
      this.#commit(() => write?.done());
    }
    this.#isPumping = false;
  }

  #perform({ offset, value, size }: ConfigWrite): void {
    if (offset % size === 0) this.#function(offset)?.writeConfig(offset % FUNCTION_BYTES, value, size);
  }

  #function(offset: number): PciSlot | undefined {
    const devfn = Math.floor((offset % BUS_BYTES) / FUNCTION_BYTES);
    return findFunction(this.#bus, Math.floor(offset / BUS_BYTES), devfn);
  }

  /** @param done called at once where the map stays as it is */
  #commit(done: () => void): void {
    const change = this.#isStale ? this.#change() : null;
    if (change === null) return done();
    this.#isCommitting = true;
    this.#topology.commit(change, () => {
      this.#isCommitting = false;
      done();
      this.#pump();
    });
  }

  /** The way from what is placed to what shall be; null where that is the same. */
  #change(): TopologyChange | null {
    this.#isStale = false;
    const placed = this.#placed;
    const wanted = new Map(routes(this.#bus, this.#windows).map((route) => [route.name, route]));
    const isKept = ({ name }: PciRoute): boolean => {
      const [was, is] = [placed?.get(name), wanted.get(name)];
      return is !== undefined && isSameRoute(was, is);
    };
    const remove = [...(placed?.values() ?? [])].filter((route) => !isKept(route)).map(({ name }) => name);
    const add = [...wanted.values()].filter((route) => !isKept(route)).map(placedWindow);
    this.#placed = wanted;
    return placed !== null && remove.length + add.length === 0 ? null : { remove, add };
  }
}

function placedWindow({ name, space, base, lengthBytes, slot, offset }: PciRoute): PlacedWindow {
  return { name, space, base, lengthBytes, window: slot.window(offset, lengthBytes) };
}

/** The host bridge as a function on its own bus, 00:00.0; it has nothing but its identity (QEMU's gpex-root). */
export const pcieHostFunction = definePciFunction<object, void, PcieHostState>({
  name: 'gpex-root',
  version: 1,
  vendorId: 0x1b36,
  deviceId: 0x0008,
  classCode: 0x06_0000,
  create: (): PciFunctionCore<PcieHostState> => ({
    reset() {},
    view: () => ({}),
    save: () => ({}),
    load: (state) => new StateReader('gpex-root', state).finish(),
  }),
});
