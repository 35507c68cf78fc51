/**
 * The owner of a machine's topology, on the main loop: each change makes the next version, and the commit protocol takes
 * all threads to it.
 *
 * A commit: place the windows; serve the new ones to every thread; publish to whoever does DMA, this loop first, and wait
 * until all have answered; publish to the vCPUs and wait; withdraw the windows that are gone; say that it is done.
 *
 * Why no access reaches a removed window once a commit is done:
 * - An access begins with a look into the accessor's current version. Each accessor swaps versions in one step of its
 *   loop, so it makes every access with the old version before it answers, or with the new one after.
 * - Its answer goes through the same ring as its accesses to this thread, which is ordered: whatever it sent with the old
 *   version has been handled here when its answer is. This thread's own accessors swap here and send nothing.
 * - So after the last answer nothing is on its way to a removed window, but for what its device has taken and not
 *   answered, and for the second half of an 8-byte access whose first half was. Withdrawing answers the former with a
 *   bus fault. The latter finds no window under its number: numbers count up and are not given again before 2^31 others.
 * - A thread that has ended makes no access: it counts as having answered.
 *
 * And why it ends: an accessor waits for its own access only, and its loop turns meanwhile; so it answers, even where it
 * waits for the very write that asked for the commit.
 *
 * The windows live on this thread. Not modelled: windows of devices of other threads that come and go.
 */
import type { Link, WindowServer } from '../actor/index.ts';
import type { BottomHalf, LoopPort } from '../loop/port.ts';
import { assert } from '../util/errors.ts';
import type { Region } from './address-space.ts';
import type { PlacedWindow, SpaceName, TopologyChange, TopologyPort } from './topology.ts';
import {
  NAME_MAX_LENGTH,
  OPEN_BUS,
  type ParticipantRole,
  partsOf,
  type TopologyPart,
  type WirePiece,
} from './topology-message.ts';
import { place, SPACES, type TopologyLayout } from './topology-placement.ts';
import { type AddressViews, nextViews } from './topology-views.ts';

/** Windows at one time, visible or not. */
const WINDOWS_MAX = 4096;
/** Changes that wait for those before them; one more becomes part of the last. */
export const QUEUED_CHANGES_MAX = 256;
/** Numbers of windows go round here. */
const WINDOW_ID_END = 2 ** 31;

/** Another thread, or another accessor on it. */
export interface OwnedParticipant {
  readonly link: Link;
  /** Of the link's channel. */
  readonly server: WindowServer;
  readonly role: ParticipantRole;
}

export interface TopologyOwnerOptions {
  readonly loop: LoopPort;
  readonly layout: TopologyLayout;
  /** Of this loop's own accessors (its DMA), of what never changes. */
  readonly views: AddressViews;
  readonly participants: readonly OwnedParticipant[];
  /** Below it the board serves windows that stay. */
  readonly firstWindowId: number;
}

interface Queued {
  readonly change: TopologyChange;
  readonly flush: boolean;
  readonly done: readonly (() => void)[];
}

interface Served {
  readonly placed: PlacedWindow;
  readonly windowId: number;
}

/** A visible piece, as it is told and as this loop sees it. */
interface Piece {
  readonly wire: WirePiece;
  readonly region: Region;
}

export class TopologyOwner implements TopologyPort {
  readonly #options: TopologyOwnerOptions;
  readonly #publishers: readonly { readonly role: ParticipantRole; readonly publisher: Publisher }[];
  readonly #begin: BottomHalf;
  readonly #finish: BottomHalf;
  #views: AddressViews;
  #queue: Queued[] = [];
  #committing = false;
  #finished: (() => void)[] = [];
  /** In the order in which they came. */
  #windows = new Map<string, Served>();
  #visible: ReadonlyMap<string, readonly Piece[]> = new Map();
  #nextWindowId: number;

  constructor(options: TopologyOwnerOptions) {
    this.#options = options;
    this.#views = options.views;
    this.#nextWindowId = options.firstWindowId;
    this.#publishers = options.participants.map(({ link, role }) => ({ role, publisher: new Publisher(link) }));
    this.#begin = options.loop.bottomHalf('topology commit', () => this.#commitNext());
    this.#finish = options.loop.bottomHalf('topology done', () => this.#tellFinished());
  }

  /** The version that this loop's own accessors use: ask at each access. */
  get views(): AddressViews {
    return this.#views;
  }

  /**
   * The first commit, which may be empty, also shows the open buses of the layout; whoever has regions of their names
   * already exchanges them.
   * @param flush whether participants must forget translations of addresses
   */
  commit(change: TopologyChange, done: () => void, flush = false): void {
    const last = this.#queue.at(-1);
    if (last === undefined || this.#queue.length < QUEUED_CHANGES_MAX) {
      this.#queue.push({ change, flush, done: [done] });
    } else {
      const merged = { change: merge(last.change, change), flush: last.flush || flush, done: [...last.done, done] };
      this.#queue[this.#queue.length - 1] = merged;
    }
    this.#begin.schedule();
  }

  /** What the inspector shows. */
  view(): object {
    const visible = [...this.#visible.values()].flat().map(({ wire }) => ({ ...wire }));
    return { version: this.#views.version, committing: this.#committing, queued: this.#queue.length, visible };
  }

  #commitNext(): void {
    if (this.#committing) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#committing = true;
    const gone = this.#apply(next.change);
    const visible = this.#place();
    const removed = [...namesOf(this.#visible, visible), ...this.#openBuses()];
    const added = namesOf(visible, this.#visible).flatMap((name) => visible.get(name) ?? []);
    this.#visible = visible;
    const complete = (): void => this.#complete(gone, next.done);
    if (removed.length === 0 && added.length === 0 && !next.flush) return complete();
    const version = this.#views.version + 1;
    const regions = added.map(({ wire, region }) => ({ space: wire.space, region }));
    this.#views = nextViews(this.#views, { version, removed: new Set(removed), added: regions });
    const change = { removed, added: added.map(({ wire }) => wire), flush: next.flush };
    this.#publish('dma', partsOf(version, 'dma', change), () => {
      this.#publish('cpu', partsOf(version, 'cpu', change), complete);
    });
  }

  /** The names of those that the first version is the first to place. */
  #openBuses(): string[] {
    const { layout, views } = this.#options;
    if (this.#views.version !== views.version) return [];
    const apertures = SPACES.flatMap((space) => layout[space].apertures);
    return apertures.filter(({ openBus }) => openBus).map(({ name }) => name);
  }

  /** @returns the numbers of the windows that are to be withdrawn */
  #apply({ remove, add }: TopologyChange): number[] {
    const gone: number[] = [];
    for (const name of remove) {
      const served = this.#windows.get(name);
      if (served === undefined) continue;
      this.#windows.delete(name);
      gone.push(served.windowId);
    }
    for (const placed of add) {
      this.#check(placed);
      const windowId = this.#newWindowId(gone);
      this.#windows.set(placed.name, { placed, windowId });
      for (const { server } of this.#options.participants) server.serve(windowId, placed.window);
    }
    return gone;
  }

  #check({ name, lengthBytes }: PlacedWindow): void {
    const { layout } = this.#options;
    const fixed = SPACES.some((space) =>
      [...layout[space].fixed, ...layout[space].apertures].some((range) => range.name === name),
    );
    assert(!fixed && !this.#windows.has(name), `a region is called ${name} already`);
    assert(name.length <= NAME_MAX_LENGTH, `${name}: a region's name has at most ${NAME_MAX_LENGTH} characters`);
    assert(Number.isSafeInteger(lengthBytes) && lengthBytes > 0, `${name}: ${lengthBytes} is no length`);
    assert(this.#windows.size < WINDOWS_MAX, `at most ${WINDOWS_MAX} windows`);
  }

  #newWindowId(gone: readonly number[]): number {
    const taken = new Set([...this.#windows.values()].map(({ windowId }) => windowId).concat(gone));
    let id = this.#nextWindowId;
    while (taken.has(id)) id = this.#idAfter(id);
    this.#nextWindowId = this.#idAfter(id);
    return id;
  }

  #idAfter(id: number): number {
    return id + 1 < WINDOW_ID_END ? id + 1 : this.#options.firstWindowId;
  }

  #place(): Map<string, Piece[]> {
    const visible = new Map<string, Piece[]>();
    for (const space of SPACES) {
      const windows = [...this.#windows.values()]
        .map(({ placed }) => placed)
        .filter((window) => window.space === space);
      for (const region of place(this.#options.layout[space], windows)) {
        const piece = { region, wire: this.#wire(space, region) };
        const pieces = visible.get(region.name);
        if (pieces === undefined) visible.set(region.name, [piece]);
        else pieces.push(piece);
      }
    }
    return visible;
  }

  #wire(space: SpaceName, { name, base, lengthBytes, windowOffset = 0 }: Region): WirePiece {
    const served = this.#windows.get(name);
    const windowId = served?.windowId ?? OPEN_BUS;
    const posted = served?.placed.window.writeAsync === undefined;
    return { name, space, base, lengthBytes, windowOffset, windowId, posted };
  }

  #publish(role: ParticipantRole, parts: readonly TopologyPart[], done: () => void): void {
    const publishers = this.#publishers.filter((participant) => participant.role === role);
    let waiting = publishers.length;
    if (waiting === 0) return done();
    const acknowledged = (): void => {
      waiting -= 1;
      if (waiting === 0) done();
    };
    for (const { publisher } of publishers) publisher.publish(parts, acknowledged);
  }

  #complete(gone: readonly number[], done: readonly (() => void)[]): void {
    for (const windowId of gone) {
      for (const { server } of this.#options.participants) server.withdraw(windowId);
    }
    this.#committing = false;
    this.#finished.push(...done);
    this.#finish.schedule();
    this.#begin.schedule();
  }

  #tellFinished(): void {
    const finished = this.#finished;
    this.#finished = [];
    for (const done of finished) done();
  }
}

/** Sends a change to one participant, part by part as there is room, and waits for its answer. One change at a time. */
class Publisher {
  readonly #link: Link;
  #parts: readonly TopologyPart[] = [];
  #sent = 0;
  #done: (() => void) | null = null;

  constructor(link: Link) {
    this.#link = link;
    link.onSpace(() => this.#pump());
  }

  publish(parts: readonly TopologyPart[], done: () => void): void {
    assert(this.#done === null, 'one change of the topology at a time');
    this.#parts = parts;
    this.#sent = 0;
    this.#done = done;
    this.#pump();
  }

  #pump(): void {
    for (let part = this.#parts[this.#sent]; part !== undefined; part = this.#parts[this.#sent]) {
      // A thread that has ended uses no version.
      if (this.#link.closed) return this.#acknowledge();
      if (!this.#send(part)) return;
      this.#sent += 1;
    }
  }

  #send(part: TopologyPart): boolean {
    if (!part.last) return this.#link.post(part);
    return this.#link.request(part, (_reply, error) => {
      assert(error === null || this.#link.closed, `${this.#link.peer}: ${error?.message}`);
      this.#acknowledge();
    });
  }

  #acknowledge(): void {
    const done = this.#done;
    this.#parts = [];
    this.#sent = 0;
    this.#done = null;
    done?.();
  }
}

/** The names whose pieces differ from those of the other version, or which the other has not. */
function namesOf(one: ReadonlyMap<string, readonly Piece[]>, other: ReadonlyMap<string, readonly Piece[]>): string[] {
  return [...one].filter(([name, pieces]) => !same(pieces, other.get(name) ?? [])).map(([name]) => name);
}

function same(one: readonly Piece[], other: readonly Piece[]): boolean {
  return one.length === other.length && one.every(({ wire }, index) => sameWire(wire, (other[index] as Piece).wire));
}

/** A number stands for one window as long as it is served. */
function sameWire(one: WirePiece, other: WirePiece): boolean {
  return (
    one.windowId === other.windowId &&
    one.space === other.space &&
    one.base === other.base &&
    one.lengthBytes === other.lengthBytes &&
    one.windowOffset === other.windowOffset
  );
}

/** Two changes, one after the other, as one. */
function merge(first: TopologyChange, then: TopologyChange): TopologyChange {
  const gone = new Set(then.remove);
  return {
    remove: [...first.remove, ...then.remove],
    add: [...first.add.filter(({ name }) => !gone.has(name)), ...then.add],
  };
}
