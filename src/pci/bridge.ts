/**
 * The type 1 header (PCI-to-PCI Bridge Architecture 1.2, 3.2): bus numbers and the windows a bridge forwards downstream.
 * I/O windows have 32 bits, prefetchable ones 64.
 *
 * Not modelled: VGA and ISA modes (their bits are not writable), subtractive decoding, the bridge's bus master bit (what
 * is behind it is gated by its own).
 */
import type { PciSpace } from './bars.ts';
import type { ConfigSpace } from './config-space.ts';
import { BRIDGE, BRIDGE_CONTROL, COMMAND, CONFIG, STATUS } from './registers.ts';

/** Addresses on the bus, `end` exclusive. */
export interface PciInterval {
  readonly space: PciSpace;
  readonly base: number;
  readonly end: number;
}

/** What a bridge passes on, as its registers say now. */
export interface PciForwarding {
  /** Configuration cycles: buses `secondary` to `subordinate`; none when `secondary` is 0. */
  readonly secondary: number;
  readonly subordinate: number;
  readonly intervals: readonly PciInterval[];
}

const IO_32_BIT = 0x01;
const PREFETCH_64_BIT = 0x01;
const MIB = 2 ** 20;
const IO_BLOCK = 0x1000;

export function installBridge(config: ConfigSpace): void {
  for (const at of [BRIDGE.primaryBus, BRIDGE.secondaryBus, BRIDGE.subordinateBus]) config.allow(at, 0xff, 1);
  for (const at of [BRIDGE.ioBase, BRIDGE.ioLimit]) {
    config.set(at, IO_32_BIT, 1);
    config.allow(at, 0xf0, 1);
  }
  for (const at of [BRIDGE.prefetchBase, BRIDGE.prefetchLimit]) config.set(at, PREFETCH_64_BIT, 2);
  for (const at of [BRIDGE.memoryBase, BRIDGE.memoryLimit, BRIDGE.prefetchBase, BRIDGE.prefetchLimit]) {
    config.allow(at, 0xfff0, 2);
  }
  for (const at of [BRIDGE.prefetchBaseUpper, BRIDGE.prefetchLimitUpper]) config.allow(at, ~0, 4);
  for (const at of [BRIDGE.ioBaseUpper, BRIDGE.ioLimitUpper]) config.allow(at, 0xffff, 2);
  config.allow(BRIDGE.bridgeControl, BRIDGE_CONTROL.parity | BRIDGE_CONTROL.serr | BRIDGE_CONTROL.secondaryReset, 2);
  config.allowClear(BRIDGE.secondaryStatus, STATUS.errors, 2);
}

/** What the registers say. */
export function forwarding(config: ConfigSpace): PciForwarding {
  const command = config.get(CONFIG.command, 2);
  const intervals: PciInterval[] = [];
  const add = (space: PciSpace, base: number, last: number, block: number): void => {
    const end = last + block;
    if (base <= last && Number.isSafeInteger(end)) intervals.push({ space, base, end });
  };
  const io = (low: number, upper: number) => config.get(upper, 2) * 2 ** 16 + ((config.get(low, 1) & 0xf0) << 8);
  const memory = (low: number) => (config.get(low, 2) & 0xfff0) * 2 ** 16;
  const wide = (low: number, upper: number) => config.get(upper, 4) * 2 ** 32 + memory(low);
  if ((command & COMMAND.io) !== 0) {
    add('io', io(BRIDGE.ioBase, BRIDGE.ioBaseUpper), io(BRIDGE.ioLimit, BRIDGE.ioLimitUpper), IO_BLOCK);
  }
  if ((command & COMMAND.memory) !== 0) {
    add('memory', memory(BRIDGE.memoryBase), memory(BRIDGE.memoryLimit), MIB);
    const base = wide(BRIDGE.prefetchBase, BRIDGE.prefetchBaseUpper);
    add('memory', base, wide(BRIDGE.prefetchLimit, BRIDGE.prefetchLimitUpper), MIB);
  }
  const secondary = config.get(BRIDGE.secondaryBus, 1);
  return { secondary, subordinate: config.get(BRIDGE.subordinateBus, 1), intervals };
}
