/**
 * What a guest's PCI core does, in small: finds functions, sizes and assigns their BARs, numbers the buses behind bridges
 * and opens their windows. The order of accesses is that of Linux's drivers/pci/probe.c and setup-bus.c.
 */
import { BRIDGE, CAPABILITY, COMMAND, CONFIG } from '../../src/pci/index.ts';
import type { PciBench, Size } from './bench.ts';

export interface FoundBar {
  readonly bar: number;
  readonly space: 'io' | 'memory';
  readonly lengthBytes: number;
  readonly base: number;
}

export interface FoundFunction {
  /** Bus times 256 plus device times 8 plus function. */
  readonly bdf: number;
  readonly id: number;
  readonly bars: readonly FoundBar[];
  readonly children: readonly FoundFunction[];
}

const BRIDGE_ALIGNMENT = { io: 0x1000, memory: 0x10_0000 } as const;

export class Guest {
  readonly #bench: PciBench;
  /** The next free address, and bus number. */
  readonly #next = { io: 0x1000, memory: 0x4000_0000, memory64: 0x4_0000_0000, bus: 1 };

  constructor(bench: PciBench) {
    this.#bench = bench;
  }

  read(bdf: number, register: number, size: Size): number {
    return this.#bench.configRead(bdf, register, size);
  }

  write(bdf: number, register: number, value: number, size: Size): void {
    this.#bench.configWrite(bdf, register, value, size);
  }

  /** Finds and sets up everything on a bus and behind it. */
  scan(bus = 0): FoundFunction[] {
    return Array.from({ length: bus === 0 ? 32 : 1 }, (_, device) => device).flatMap((device) => {
      const first = (bus << 8) | (device << 3);
      if (this.read(first, CONFIG.vendorId, 4) === 0xffff_ffff) return [];
      const isMany = (this.read(first, CONFIG.headerType, 1) & 0x80) !== 0;
      const functions = Array.from({ length: isMany ? 8 : 1 }, (_, index) => first + index);
      return functions
        .filter((bdf) => this.read(bdf, CONFIG.vendorId, 4) !== 0xffff_ffff)
        .map((bdf) => this.#setUp(bdf));
    });
  }

  /** Offset of a capability, or 0. */
  capability(bdf: number, id: number): number {
    let at = this.read(bdf, CONFIG.capabilities, 1);
    for (let steps = 0; at !== 0 && steps < 48; steps++) {
      if (this.read(bdf, at, 1) === id) return at;
      at = this.read(bdf, at + 1, 1);
    }
    return 0;
  }

  /** Lets MSI messages go to `address`. */
  enableMsi(bdf: number, address: number, data: number): number {
    const at = this.capability(bdf, CAPABILITY.msi);
    this.write(bdf, at + 4, address, 4);
    this.write(bdf, at + 8, 0, 4);
    this.write(bdf, at + 12, data, 2);
    this.write(bdf, at + 2, this.read(bdf, at + 2, 2) | 1, 2);
    return at;
  }

  #setUp(bdf: number): FoundFunction {
    const isBridge = (this.read(bdf, CONFIG.headerType, 1) & 0x7f) === 1;
    const bars = this.#assignBars(bdf, isBridge ? 2 : 6);
    const children = isBridge ? this.#openBridge(bdf) : [];
    this.write(bdf, CONFIG.command, COMMAND.io | COMMAND.memory | COMMAND.busMaster, 2);
    return { bdf, id: this.read(bdf, CONFIG.vendorId, 4), bars, children };
  }

  #assignBars(bdf: number, count: number): FoundBar[] {
    const bars: FoundBar[] = [];
    this.write(bdf, CONFIG.command, 0, 2);
    for (let bar = 0; bar < count; bar++) {
      const at = CONFIG.bar0 + 4 * bar;
      const isIo = (this.read(bdf, at, 4) & 1) !== 0;
      const isWide = !isIo && (this.read(bdf, at, 4) & 6) === 4;
      const mask = this.#size(bdf, at) - (this.#size(bdf, at) & (isIo ? 3 : 15));
      const high = isWide ? this.#size(bdf, at + 4) : 0xffff_ffff;
      if (mask === 0 && (!isWide || high === 0)) continue;
      const lengthBytes = exactLength(mask, high);
      const base = this.#place(isIo ? 'io' : isWide ? 'memory64' : 'memory', lengthBytes);
      this.write(bdf, at, base % 2 ** 32, 4);
      if (isWide) this.write(bdf, at + 4, Math.floor(base / 2 ** 32), 4);
      bars.push({ bar, space: isIo ? 'io' : 'memory', lengthBytes, base });
      if (isWide) bar += 1;
    }
    return bars;
  }

  #size(bdf: number, at: number): number {
    const old = this.read(bdf, at, 4);
    this.write(bdf, at, 0xffff_ffff, 4);
    const mask = this.read(bdf, at, 4);
    this.write(bdf, at, old, 4);
    return mask;
  }

  #place(kind: 'io' | 'memory' | 'memory64', lengthBytes: number): number {
    const base = Math.ceil(this.#next[kind] / lengthBytes) * lengthBytes;
    this.#next[kind] = base + lengthBytes;
    return base;
  }

  #openBridge(bdf: number): FoundFunction[] {
    const bus = this.#next.bus++;
    this.write(bdf, BRIDGE.primaryBus, bdf >> 8, 1);
    this.write(bdf, BRIDGE.secondaryBus, bus, 1);
    this.write(bdf, BRIDGE.subordinateBus, 0xff, 1);
    const align = (): void => {
      this.#next.io = Math.ceil(this.#next.io / BRIDGE_ALIGNMENT.io) * BRIDGE_ALIGNMENT.io;
      this.#next.memory = Math.ceil(this.#next.memory / BRIDGE_ALIGNMENT.memory) * BRIDGE_ALIGNMENT.memory;
      this.#next.memory64 = Math.ceil(this.#next.memory64 / BRIDGE_ALIGNMENT.memory) * BRIDGE_ALIGNMENT.memory;
    };
    align();
    const { io, memory, memory64 } = this.#next;
    const children = this.scan(bus);
    // Room for what is plugged later, as Linux keeps for hot-plug bridges.
    this.#next.memory += 0x20_0000;
    align();
    this.write(bdf, BRIDGE.subordinateBus, this.#next.bus - 1, 1);
    const last = this.#next;
    this.write(bdf, BRIDGE.ioBase, ((io >> 8) & 0xf0) | ((last.io - 1) & 0xf000), 2);
    this.write(bdf, BRIDGE.ioBaseUpper, 0, 4);
    this.write(bdf, BRIDGE.memoryBase, memory / 2 ** 16, 2);
    this.write(bdf, BRIDGE.memoryLimit, (last.memory - 0x10_0000) / 2 ** 16, 2);
    this.write(bdf, BRIDGE.prefetchBase, (memory64 % 2 ** 32) / 2 ** 16, 2);
    this.write(bdf, BRIDGE.prefetchLimit, ((last.memory64 - 0x10_0000) % 2 ** 32) / 2 ** 16, 2);
    this.write(bdf, BRIDGE.prefetchBaseUpper, Math.floor(memory64 / 2 ** 32), 4);
    this.write(bdf, BRIDGE.prefetchLimitUpper, Math.floor((last.memory64 - 0x10_0000) / 2 ** 32), 4);
    return children;
  }
}

/** The length that a mask of address bits means; exact beyond 2^53. */
function exactLength(mask: number, high: number): number {
  return Number(2n ** 64n - (BigInt(high) * 2n ** 32n + BigInt(mask)));
}
