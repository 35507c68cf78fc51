/**
 * Regions that overlap, as an immutable tree (QEMU's MemoryRegion, docs/devel/memory.rst), and how it becomes the flat
 * list an AddressSpace takes.
 *
 * Where regions of one container overlap, the higher priority is seen, and the later of equal ones. A container shows
 * nothing itself: where none of its children is, what lies below it is seen. It clips its children to its length. An
 * alias shows a part of another region at a second place. Priorities compare children of the same container only.
 *
 * Not modelled: regions that are switched off (leave them out of the next tree).
 */
import type { RegisterWindow } from '../actor/index.ts';
import { ConfigError } from '../util/config-error.ts';
import type { Region } from './address-space.ts';

/** Something that answers. */
interface Leaf {
  readonly type: 'leaf';
  readonly name: string;
  readonly lengthBytes: number;
  readonly kind: Region['kind'];
  readonly window: RegisterWindow;
}

interface Container {
  readonly type: 'container';
  readonly name: string;
  readonly lengthBytes: number;
  readonly children: readonly PlacedRegion[];
}

interface Alias {
  readonly type: 'alias';
  readonly name: string;
  readonly lengthBytes: number;
  readonly target: MemoryRegion;
  /** What offset of the target the alias begins with. */
  readonly targetOffset: number;
}

export type MemoryRegion = Leaf | Container | Alias;

/** A child of a container. */
export interface PlacedRegion {
  readonly region: MemoryRegion;
  /** Bytes from the container's start. */
  readonly offset: number;
  readonly priority: number;
}

/** @param lengthBytes of the window, or less; @throws ConfigError for a length that is none */
export function leaf(
  name: string,
  window: RegisterWindow,
  kind: Region['kind'] = 'mmio',
  lengthBytes = window.lengthBytes,
): MemoryRegion {
  return Object.freeze({ type: 'leaf', name, lengthBytes: checked(name, lengthBytes, 1), kind, window });
}

/** @throws ConfigError for a length that is none */
export function container(name: string, lengthBytes: number, children: readonly PlacedRegion[]): MemoryRegion {
  const frozen = Object.freeze([...children]);
  return Object.freeze({ type: 'container', name, lengthBytes: checked(name, lengthBytes, 1), children: frozen });
}

/** @throws ConfigError for an offset or a length that is none */
export function alias(name: string, target: MemoryRegion, targetOffset: number, lengthBytes: number): MemoryRegion {
  checked(name, targetOffset, 0);
  return Object.freeze({ type: 'alias', name, lengthBytes: checked(name, lengthBytes, 1), target, targetOffset });
}

/** @throws ConfigError for an offset that is none */
export function at(offset: number, region: MemoryRegion, priority = 0): PlacedRegion {
  return Object.freeze({ region, offset: checked(region.name, offset, 0), priority });
}

/**
 * What is seen of a tree: disjoint regions, sorted by base, each called as its leaf. A leaf that is partly covered or
 * clipped gives a region for each visible piece.
 * @param base where the root lies; @throws ConfigError where it reaches beyond 2^53
 */
export function flatten(root: MemoryRegion, base = 0): Region[] {
  checked(root.name, base, 0);
  checked(root.name, base + root.lengthBytes, 1);
  const seen: Region[] = [];
  render(root, base, base, base + root.lengthBytes, seen);
  return seen;
}

/** Adds what the region shows between `start` and `end` where nothing is seen yet. `base` may lie below 0. */
function render(region: MemoryRegion, base: number, start: number, end: number, seen: Region[]): void {
  const from = Math.max(start, base);
  const to = Math.min(end, base + region.lengthBytes);
  if (from >= to) return;
  switch (region.type) {
    case 'leaf':
      return addPieces(region, base, from, to, seen);
    case 'alias':
      return render(region.target, base - region.targetOffset, from, to, seen);
    case 'container':
      for (const child of nearestFirst(region.children)) render(child.region, base + child.offset, from, to, seen);
  }
}

function nearestFirst(children: readonly PlacedRegion[]): PlacedRegion[] {
  // Sorting is stable: reversed first, the later of equal priority comes before the earlier.
  return [...children].reverse().sort((a, b) => b.priority - a.priority);
}

function addPieces(region: Leaf, base: number, start: number, end: number, seen: Region[]): void {
  const { name, kind, window } = region;
  const pieces: Region[] = [];
  const add = (from: number, to: number): void => {
    pieces.push({ name, kind, window, base: from, lengthBytes: to - from, windowOffset: from - base });
  };
  let from = start;
  for (const other of seen) {
    if (other.base >= end) break;
    if (other.base > from) add(from, other.base);
    from = Math.max(from, other.base + other.lengthBytes);
  }
  if (from < end) add(from, end);
  seen.push(...pieces);
  seen.sort((a, b) => a.base - b.base);
}

function checked(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigError(`memory region ${name}`, `${value} is no offset or length`, 'Use whole bytes below 2^53.');
}
