/**
 * Where the windows that come and go are seen. What is fixed (RAM, the board's own devices) covers them; they are seen
 * through apertures only (a PCI host bridge's windows), which clip them; and of two that overlap the one that was there
 * first is seen. What a guest does to its base address registers is never an error here: at worst nothing is visible.
 */
import type { Region } from './address-space.ts';
import { alias, at, container, flatten, leaf } from './memory-region.ts';
import type { PlacedWindow, SpaceName } from './topology.ts';
import { openBusWindow } from './window.ts';

export const SPACES: readonly SpaceName[] = ['memory', 'io'];

/** A range that is taken for good. */
export interface FixedRange {
  readonly name: string;
  readonly base: number;
  readonly lengthBytes: number;
}

/** A range in which placed windows are seen. */
export interface Aperture extends FixedRange {
  /** Where no window is, reads give ones and writes go nowhere; else both are bus faults. */
  readonly openBus: boolean;
}

export interface SpaceLayout {
  readonly fixed: readonly FixedRange[];
  readonly apertures: readonly Aperture[];
}

export type TopologyLayout = Readonly<Record<SpaceName, SpaceLayout>>;

/** Everything that an address is a number for. */
const WHOLE_SPACE_BYTES = Number.MAX_SAFE_INTEGER;

/**
 * The visible pieces of one space, sorted by base; those of open buses are called as their aperture.
 * @param windows those of this space, the ones that are there longest first
 */
export function place(layout: SpaceLayout, windows: readonly PlacedWindow[]): Region[] {
  const reachable = windows.filter(({ base, lengthBytes }) => isRange(base, lengthBytes));
  const all = container(
    'placed windows',
    WHOLE_SPACE_BYTES,
    reachable.map(({ name, base, window, lengthBytes }, index) =>
      at(base, leaf(name, window, 'mmio', lengthBytes), -index),
    ),
  );
  const root = container('space', WHOLE_SPACE_BYTES, [
    ...layout.fixed.map(({ name, base, lengthBytes }) => at(base, leaf(name, openBusWindow(lengthBytes)), 1)),
    ...layout.apertures.map((aperture) => at(aperture.base, showThrough(aperture, all))),
  ]);
  const fixed = new Set(layout.fixed.map(({ name }) => name));
  return flatten(root).filter(({ name }) => !fixed.has(name));
}

function showThrough({ name, base, lengthBytes, openBus }: Aperture, all: ReturnType<typeof container>) {
  const seen = at(0, alias(name, all, base, lengthBytes), 1);
  return container(name, lengthBytes, openBus ? [seen, at(0, leaf(name, openBusWindow(lengthBytes)))] : [seen]);
}

function isRange(base: number, lengthBytes: number): boolean {
  return Number.isSafeInteger(base) && base >= 0 && Number.isSafeInteger(base + lengthBytes);
}
