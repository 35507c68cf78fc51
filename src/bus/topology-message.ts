/** What the owner of the topology tells the other threads: plain data in pieces that a channel can take. */
import type { LinkMessage } from '../actor/index.ts';
import type { SpaceName } from './topology.ts';

/**
 * What a participant's accesses are for. Whoever does DMA uses the next version before any vCPU does, so that a device
 * can follow each address that a guest could already have given it.
 */
export type ParticipantRole = 'dma' | 'cpu';

/** In the place of a window's number: an open bus. */
export const OPEN_BUS = -1;

/** A visible part of a window of the owner's thread. */
export interface WirePiece {
  readonly name: string;
  readonly space: SpaceName;
  readonly base: number;
  readonly lengthBytes: number;
  /** What offset of the window `base` is. */
  readonly windowOffset: number;
  /** What the owner's WindowServer serves it under, or OPEN_BUS. */
  readonly windowId: number;
  /** Whether writes need no answer. */
  readonly posted: boolean;
}

/**
 * A part of a change. The last one is a request: its reply says that this participant uses the new version, all of it;
 * those before it only wait there.
 */
export interface TopologyPart extends LinkMessage {
  readonly type: `topology.${ParticipantRole}`;
  readonly version: number;
  readonly removed: readonly string[];
  readonly added: readonly WirePiece[];
  readonly last: boolean;
  /** Translations of addresses that the participant keeps (a TLB) are no longer valid. */
  readonly flush: boolean;
}

/** Longest name of a window. */
export const NAME_MAX_LENGTH = 64;
/** Names and pieces in one part: at 64 characters and a dozen fields each, well below half a channel's ring. */
const PART_ITEMS_MAX = 64;

/** Cuts a change into parts. There is one part at least. */
export function partsOf(
  version: number,
  role: ParticipantRole,
  change: { readonly removed: readonly string[]; readonly added: readonly WirePiece[]; readonly flush: boolean },
): TopologyPart[] {
  const { removed, added, flush } = change;
  const count = Math.max(1, Math.ceil((removed.length + added.length) / PART_ITEMS_MAX));
  return Array.from({ length: count }, (_, n) => {
    const from = n * PART_ITEMS_MAX;
    const to = from + PART_ITEMS_MAX;
    const cut = { removed: removed.slice(from, to), added: slice(added, from - removed.length, to - removed.length) };
    return { type: `topology.${role}`, version, ...cut, last: n === count - 1, flush } as const;
  });
}

function slice<T>(items: readonly T[], from: number, to: number): T[] {
  return items.slice(Math.max(0, from), Math.max(0, to));
}
