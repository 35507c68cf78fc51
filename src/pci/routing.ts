/**
 * Who answers where: a configuration cycle finds its function through the bridges' bus numbers (PCI-to-PCI Bridge 1.2,
 * 3.1.2.1), and memory and I/O windows of the host are filled from what functions decode and bridges forward.
 *
 * Only what lies in a window of the host and of every bridge above it can be seen. Where two BARs overlap, the one of
 * the lower bus, device, function and BAR number is seen: what can be seen follows from the registers alone, not from
 * their history. The rest of the windows is the board's, which reads all ones there.
 */
import type { PciSpace } from './bars.ts';
import type { PciInterval } from './bridge.ts';
import type { PciBus, PciSlot } from './bus.ts';

/** A window of the host: `lengthBytes` from `base` on the machine's side are as many from `busBase` on the bus. */
export interface PciHostWindow {
  readonly space: PciSpace;
  readonly base: number;
  readonly busBase: number;
  readonly lengthBytes: number;
}

/** A piece of a window, and who answers in it. */
export interface PciRoute {
  /** Unique: `edu0.bar0`, of the second piece on with its offset. */
  readonly name: string;
  readonly space: PciSpace;
  readonly base: number;
  readonly lengthBytes: number;
  readonly slot: PciSlot;
  /** In the function's register window. */
  readonly offset: number;
}

/** Registers that may be seen: bus addresses, `end` exclusive. */
interface Claim extends PciInterval {
  readonly slot: PciSlot;
  readonly bar: number;
  /** Where the registers themselves begin. */
  readonly origin: number;
  readonly offset: number;
}

/** The function that a configuration cycle is for. */
export function findFunction(root: PciBus, busNumber: number, devfn: number): PciSlot | undefined {
  let bus = root;
  let number = 0;
  while (number !== busNumber) {
    const bridge = bus.slots.find(({ secondary, forwarding }) => {
      if (secondary === null || !secondary.isUp || forwarding.secondary === 0) return false;
      return busNumber >= forwarding.secondary && busNumber <= forwarding.subordinate;
    });
    if (bridge === undefined || bridge.secondary === null) return undefined;
    bus = bridge.secondary;
    number = bridge.forwarding.secondary;
  }
  return bus.slot(devfn);
}

/** Everything that is seen; no two pieces overlap. */
export function routes(root: PciBus, windows: readonly PciHostWindow[]): PciRoute[] {
  const reach = windows.map(({ space, busBase, lengthBytes }) => ({
    space,
    base: busBase,
    end: busBase + lengthBytes,
  }));
  const claims = claimsOf(root, reach);
  return windows.flatMap((window) => fill(window, claims));
}

/** Whether a route is there already: the same registers at the same place. */
export function isSameRoute(a: PciRoute | undefined, b: PciRoute): boolean {
  return (
    a !== undefined &&
    a.base === b.base &&
    a.lengthBytes === b.lengthBytes &&
    a.slot === b.slot &&
    a.offset === b.offset
  );
}

/** What is on a bus and behind it and lies within `reach`, in order of precedence. */
function claimsOf(bus: PciBus, reach: readonly PciInterval[]): Claim[] {
  if (!bus.isUp) return [];
  return bus.slots.flatMap((slot) => {
    const own = slot.ranges.flatMap(({ bar, space, base, lengthBytes, offset }) =>
      intersect({ space, base, end: base + lengthBytes }, reach).map(
        (piece): Claim => ({ ...piece, slot, bar, origin: base, offset }),
      ),
    );
    if (slot.secondary === null) return own;
    const forwarded = slot.forwarding.intervals.flatMap((interval) => intersect(interval, reach));
    return [...own, ...claimsOf(slot.secondary, forwarded)];
  });
}

function intersect({ space, base, end }: PciInterval, reach: readonly PciInterval[]): PciInterval[] {
  return reach.flatMap((one) => {
    const piece = { space, base: Math.max(base, one.base), end: Math.min(end, one.end) };
    return one.space === space && piece.base < piece.end ? [piece] : [];
  });
}

function fill(window: PciHostWindow, claims: readonly Claim[]): PciRoute[] {
  const { space, base, busBase, lengthBytes } = window;
  const whole = { space, base: busBase, end: busBase + lengthBytes };
  let gaps: PciInterval[] = [whole];
  const seen: PciRoute[] = [];
  for (const claim of claims) {
    for (const piece of intersect(claim, gaps)) {
      const skip = piece.base - claim.origin;
      const suffix = skip === 0 ? '' : `+${skip.toString(16)}`;
      seen.push({
        name: `${claim.slot.name}.bar${claim.bar}${suffix}`,
        space,
        base: base + piece.base - busBase,
        lengthBytes: piece.end - piece.base,
        slot: claim.slot,
        offset: claim.offset + skip,
      });
    }
    gaps = gaps.flatMap((gap) => without(gap, claim));
  }
  return seen;
}

function without(gap: PciInterval, taken: PciInterval): PciInterval[] {
  if (taken.space !== gap.space || taken.base >= gap.end || taken.end <= gap.base) return [gap];
  const below = { ...gap, end: taken.base };
  const above = { ...gap, base: taken.end };
  return [below, above].filter(({ base, end }) => base < end);
}
