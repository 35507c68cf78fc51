/** Changing the memory map of a machine that runs. */
import type { RegisterWindow } from '../actor/index.ts';

/** Which address space a region lies in. */
export type SpaceName = 'memory' | 'io';

/** A device's registers, as they are to lie. The device lives on the loop of whoever asks. */
export interface PlacedWindow {
  /** Unique among the regions of the machine, e.g. `edu.bar0`. */
  readonly name: string;
  readonly space: SpaceName;
  readonly base: number;
  readonly lengthBytes: number;
  readonly window: RegisterWindow;
}

/** One transaction: what goes, then what comes. A region that moves is in both. */
export interface TopologyChange {
  readonly remove: readonly string[];
  readonly add: readonly PlacedWindow[];
}

export interface TopologyPort {
  /**
   * Publishes the next version of the map. Changes take effect whole and in the order they were asked for. Regions that
   * would overlap what is there already stay invisible where they do.
   * @param done called once, in a later bottom half, when every vCPU and loop uses the new version: no access reaches
   *   what was removed any more
   */
  commit(change: TopologyChange, done: () => void): void;
}
