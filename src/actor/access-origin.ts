/**
 * Who is behind an access: the chain of devices that reach each other through DMA. A device that masters the bus while it
 * handles an access continues the chain of that access; src/dma/dma-ports.ts bounds it.
 *
 * One AccessOrigin a loop, shared by everything on it that makes or serves accesses. Across threads the length of the
 * chain travels, its names do not.
 */

/** The last device of a chain, and those before it. */
export interface OriginLink {
  readonly device: string;
  /** Devices in the chain, this one included. */
  readonly depth: number;
  readonly before: OriginLink | null;
}

export class AccessOrigin {
  /** Of the access that is being handled now; null for a vCPU's, a timer's, the host's. */
  current: OriginLink | null = null;

  /** Does some work in the name of a chain. */
  run<T>(link: OriginLink | null, work: () => T): T {
    const outer = this.current;
    this.current = link;
    try {
      return work();
    } finally {
      this.current = outer;
    }
  }
}

/** The chain of an access that `device` makes while it handles one with the chain `before`. */
export function continueOrigin(before: OriginLink | null, device: string): OriginLink {
  return { device, depth: (before?.depth ?? 0) + 1, before };
}

/** Stands for the devices of a chain that came from another thread. */
const FAR_DEVICES = '(another thread)';

/** A chain of which only the length is known; null for 0. */
export function farOrigin(depth: number): OriginLink | null {
  return depth === 0 ? null : { device: FAR_DEVICES, depth, before: null };
}
