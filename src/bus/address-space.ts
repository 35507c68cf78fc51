/**
 * The guest-physical address space as an immutable, versioned value (QEMU: MemoryRegion -> AddressSpace -> FlatView).
 * A change of topology builds the next version with `withRegions`; each vCPU and loop makes its own FlatView of it and
 * swaps at a quiescent point.
 *
 * Addresses are numbers. RISC-V physical addresses have up to 56 bits, a number holds 53 exactly: no region can lie at
 * or above 2^53, and whatever is up there answers with a bus fault.
 *
 * A space is flat: overlap is a configuration error here. Priorities, aliases and containers are memory-region.ts's, which
 * flattens them to what this takes.
 */

import type { RegisterWindow } from '../actor/index.ts';
import { ConfigError } from '../util/config-error.ts';

/**
 * A range of addresses and what answers there. `rom` is memory that the guest can read, at any alignment, but not write;
 * `mmio` registers, on this thread or another. Guest RAM is in no address space: translation reaches it directly.
 */
export interface Region {
  /** What errors, `view()` and the documentation call it. */
  readonly name: string;
  readonly base: number;
  readonly lengthBytes: number;
  readonly kind: 'rom' | 'mmio';
  readonly window: RegisterWindow;
  /** What offset of the window `base` is; 0 when absent. Not 0 for the visible rest of a window that is partly covered. */
  readonly windowOffset?: number;
  /** The pages of interrupt files, one for each hart: what a hart writes there may go straight to the other one. */
  readonly interruptFiles?: 'M' | 'S';
}

export interface AddressSpace {
  readonly version: number;
  /** Sorted by base, disjoint. */
  readonly regions: readonly Region[];
}

/**
 * @param version grows by one with each change of the same machine's topology
 * @throws ConfigError for regions that overlap, are empty, or reach beyond 2^53
 */
export function createAddressSpace(regions: readonly Region[], version = 1): AddressSpace {
  const sorted = [...regions].sort((a, b) => a.base - b.base);
  let previous: Region | undefined;
  for (const region of sorted) {
    checkRegion(region);
    if (previous !== undefined && region.base < previous.base + previous.lengthBytes) {
      throw new ConfigError(
        `memory map: ${region.name}`,
        `overlaps ${previous.name} at ${hex(region.base)}`,
        'Move one of the two, or leave it out.',
      );
    }
    previous = region;
  }
  return Object.freeze({ version, regions: Object.freeze(sorted) });
}

/** The next version, with the named regions removed and others added. */
export function withRegions(
  space: AddressSpace,
  change: { readonly remove?: readonly string[]; readonly add?: readonly Region[] },
): AddressSpace {
  const removed = new Set(change.remove ?? []);
  const kept = space.regions.filter((region) => !removed.has(region.name));
  return createAddressSpace([...kept, ...(change.add ?? [])], space.version + 1);
}

function checkRegion({ name, base, lengthBytes }: Region): void {
  const end = base + lengthBytes;
  if (Number.isSafeInteger(base) && base >= 0 && Number.isSafeInteger(end) && lengthBytes > 0) return;
  throw new ConfigError(
    `memory map: ${name}`,
    `${hex(base)} and ${lengthBytes} bytes are no range below 2^53`,
    'Give it a base and a positive length in whole bytes.',
  );
}

const hex = (value: number) => `0x${value.toString(16)}`;
