/**
 * Base address registers (PCI Local Bus 3.0, 6.2.5): their bits, and where a function's registers lie by them.
 *
 * A base of 0 is none: nothing answers there, as on QEMU. Not modelled: expansion ROM (its register reads zero), memory
 * below 1 MiB.
 */
import type { ConfigSpace } from './config-space.ts';
import { COMMAND, CONFIG, CONFIG_SPACE_BYTES, HEADER } from './registers.ts';

export interface BarShape {
  /** 0 to 5; of a bridge 0 or 1. A `memory64` takes the next one too. */
  readonly bar: number;
  readonly kind: 'memory32' | 'memory64' | 'io';
  /** A power of two: of memory 16 to 2^40 (`memory32`: 2^31), of I/O 4 to 256. */
  readonly lengthBytes: number;
  readonly prefetchable?: boolean;
}

/** Which of PCI's two address spaces. */
export type PciSpace = 'memory' | 'io';

/** Registers of a function where they answer now. */
export interface PciRange {
  readonly bar: number;
  readonly space: PciSpace;
  /** On the bus; below 2^53. */
  readonly base: number;
  readonly lengthBytes: number;
  /** Where they begin in the function's register window. */
  readonly offset: number;
}

interface PlacedBar extends BarShape {
  readonly offset: number;
}

const KIND = {
  memory32: { space: 'memory', type: 0, minBytes: 16, maxBytes: 2 ** 31 },
  memory64: { space: 'memory', type: 4, minBytes: 16, maxBytes: 2 ** 40 },
  io: { space: 'io', type: 1, minBytes: 4, maxBytes: 256 },
} as const;
const PREFETCHABLE = 8;
const IO_FLAGS = 0x3;
const MEMORY_FLAGS = 0xf;

/** All BARs of a function. Their registers follow its configuration space in one window, in the order given. */
export class Bars {
  readonly #config: ConfigSpace;
  readonly #bars: readonly PlacedBar[];

  /** Writes type bits and masks. @throws for BARs that cannot be */
  constructor(config: ConfigSpace, shapes: readonly BarShape[], header: 'endpoint' | 'bridge') {
    this.#config = config;
    this.#bars = placeBars(shapes);
    const registers = shapes.flatMap(({ bar, kind }) => (kind === 'memory64' ? [bar, bar + 1] : [bar]));
    const limit = header === 'bridge' ? 2 : 6;
    if (new Set(registers).size !== registers.length || registers.some((bar) => !(bar >= 0 && bar < limit))) {
      throw new Error(`there is no room for BARs ${registers.join(', ')}`);
    }
    for (const shape of shapes) install(config, shape);
  }

  /** The BAR whose registers hold this offset of the window, or undefined. */
  at(offset: number): PlacedBar | undefined {
    for (const bar of this.#bars) if (offset >= bar.offset && offset - bar.offset < bar.lengthBytes) return bar;
    return undefined;
  }

  lengthBytes(bar: number): number {
    return this.#bars.find((one) => one.bar === bar)?.lengthBytes ?? 0;
  }

  /** Whether the command register lets a BAR of this kind answer. */
  isEnabled({ kind }: BarShape): boolean {
    const bit = kind === 'io' ? COMMAND.io : COMMAND.memory;
    return (this.#config.get(CONFIG.command, 2) & bit) !== 0;
  }

  /** Those that answer: enabled and assigned. */
  decoded(): PciRange[] {
    return this.#bars.flatMap((shape) => {
      const base = this.#base(shape);
      if (!this.isEnabled(shape) || base === 0 || !Number.isSafeInteger(base + shape.lengthBytes)) return [];
      const { bar, kind, lengthBytes, offset } = shape;
      return [{ bar, space: KIND[kind].space, base, lengthBytes, offset }];
    });
  }

  #base({ bar, kind }: BarShape): number {
    const at = CONFIG.bar0 + 4 * bar;
    const low = this.#config.get(at, 4);
    if (kind === 'io') return low - (low & IO_FLAGS);
    return low - (low & MEMORY_FLAGS) + (kind === 'memory64' ? this.#config.get(at + 4, 4) * 2 ** 32 : 0);
  }
}

/** Length of a function's register window: configuration space, then its BARs. */
export function functionWindowBytes(shapes: readonly BarShape[]): number {
  return shapes.reduce((sum, { lengthBytes }) => sum + lengthBytes, CONFIG_SPACE_BYTES);
}

/** Header type as the header register wants it. */
export function headerType(header: 'endpoint' | 'bridge', isMultifunction: boolean): number {
  return HEADER[header] | (isMultifunction ? HEADER.multifunction : 0);
}

function placeBars(shapes: readonly BarShape[]): PlacedBar[] {
  let offset: number = CONFIG_SPACE_BYTES;
  return shapes.map((shape) => {
    const placed = { ...shape, offset };
    offset += shape.lengthBytes;
    return placed;
  });
}

function install(config: ConfigSpace, { bar, kind, lengthBytes, prefetchable }: BarShape): void {
  const { type, minBytes, maxBytes } = KIND[kind];
  if (!Number.isInteger(Math.log2(lengthBytes)) || lengthBytes < minBytes || lengthBytes > maxBytes) {
    throw new Error(`BAR ${bar} cannot be ${lengthBytes} bytes of ${kind}`);
  }
  const at = CONFIG.bar0 + 4 * bar;
  config.set(at, type | (prefetchable === true ? PREFETCHABLE : 0), 4);
  // The address bits below the length are wired to zero: that is how software sizes a BAR.
  config.allow(at, lengthBytes >= 2 ** 32 ? 0 : -lengthBytes, 4);
  if (kind === 'memory64') config.allow(at + 4, -Math.max(1, lengthBytes / 2 ** 32), 4);
}
