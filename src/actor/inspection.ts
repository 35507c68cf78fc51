/**
 * Inspection of a whole machine: xstate's own observer receives the events of the actors on every thread, merged by
 * (time, thread, sequence number). Detached, nothing observes any actor system and it costs nothing.
 *
 * The events of other threads are captured there, as plain data, into a bounded buffer, and sent in batches. To know
 * that nothing older is still to come, the merging side asks every thread to flush and emits what is older than the
 * question once all have answered: no timer, no guess.
 *
 * Not modelled: events of kind action, microstep and transition from other threads; what a buffer had no room for is
 * counted, not kept.
 */
import { type ActorRefLike, type AnyActorRef, type InspectionEvent, type Observer, toObserver } from 'xstate';
import { MessageTooLargeError } from '../channel/ring.ts';
import type { BottomHalf, LoopPort } from '../loop/port.ts';
import { hostNowNs } from '../util/host-clock.ts';
import type { Link, LinkMessage } from './link.ts';
import { toPlain } from './plain.ts';

/** Events that a thread keeps for its next batch. */
const BUFFERED_MAX = 4096;
/** Events that wait for a slow thread to say that it has none before them. */
const WAITING_MAX = 65_536;
/** Keeps a batch well below the size of a message. */
const BATCH_MAX = 32;

/** An inspection event as it travels. */
interface WireEvent {
  readonly kind: '@xstate.actor' | '@xstate.event' | '@xstate.snapshot';
  readonly timeNs: number;
  readonly seq: number;
  /** `thread/systemId`, or `thread/sessionId` for an actor without. */
  readonly key: string;
  readonly parent: string | null;
  readonly sender: string | null;
  readonly event: unknown;
  readonly snapshot: unknown;
}

interface BatchMessage extends LinkMessage {
  readonly type: 'inspection.batch';
  readonly events: readonly WireEvent[];
  /** Events lost since the last batch. */
  readonly dropped: number;
}
/** Whether every event older than the question is on its way; if not, there was no room. */
interface FlushReply {
  readonly complete: boolean;
}
type ControlMessage = LinkMessage & { readonly type: 'inspection.attach' | 'inspection.detach' | 'inspection.flush' };

/** The inspected thread's side. It watches nothing until the other side attaches. */
export class InspectionSource {
  readonly #thread: string;
  readonly #link: Link;
  readonly #flushSoon: BottomHalf;
  readonly #roots = new Set<AnyActorRef>();
  #buffer: WireEvent[] = [];
  #dropped = 0;
  #seq = 0;
  #stopWatching: (() => void)[] | null = null;

  constructor(thread: string, link: Link, loop: LoopPort) {
    this.#thread = thread;
    this.#link = link;
    this.#flushSoon = loop.bottomHalf('inspection flush', () => this.#flush());
    link.on<ControlMessage>('inspection.attach', () => this.#attach());
    link.on<ControlMessage>('inspection.detach', () => this.#detach());
    link.on<ControlMessage>('inspection.flush', (_message, token) => {
      this.#flush();
      this.#link.reply(token, { complete: this.#buffer.length === 0 } satisfies FlushReply);
    });
  }

  /** Shows a root actor and everything below it to whoever attaches, now or later. */
  watch(root: AnyActorRef): void {
    this.#roots.add(root);
    root.subscribe({ complete: () => this.#roots.delete(root), error: () => this.#roots.delete(root) });
    if (this.#stopWatching !== null) this.#observe(root);
  }

  #attach(): void {
    if (this.#stopWatching !== null) return;
    this.#stopWatching = [];
    for (const root of this.#roots) this.#observe(root);
  }

  #detach(): void {
    for (const stop of this.#stopWatching ?? []) stop();
    this.#stopWatching = null;
    this.#buffer = [];
  }

  #observe(root: AnyActorRef): void {
    for (const actor of existingActors(root)) this.#record('@xstate.actor', actor, undefined, undefined, undefined);
    const subscription = root.system.inspect((event) => this.#capture(event));
    this.#stopWatching?.push(() => subscription.unsubscribe());
  }

  #capture(event: InspectionEvent): void {
    switch (event.type) {
      case '@xstate.actor':
        return this.#record(event.type, event.actorRef, undefined, undefined, undefined);
      case '@xstate.event':
        return this.#record(event.type, event.actorRef, event.sourceRef, event.event, undefined);
      case '@xstate.snapshot':
        return this.#record(event.type, event.actorRef, undefined, event.event, event.snapshot);
    }
  }

  #record(
    kind: WireEvent['kind'],
    actor: ActorRefLike,
    sender: ActorRefLike | undefined,
    event: unknown,
    snapshot: unknown,
  ): void {
    const seq = this.#seq++;
    if (this.#buffer.length >= BUFFERED_MAX) {
      this.#dropped++;
      return;
    }
    const { _parent } = actor as AnyActorRef;
    this.#buffer.push({
      kind,
      timeNs: hostNowNs(),
      seq,
      key: keyOf(this.#thread, actor),
      parent: _parent === undefined ? null : keyOf(this.#thread, _parent),
      sender: sender === undefined ? null : keyOf(this.#thread, sender),
      event: toPlain(event),
      snapshot: toPlain(snapshot),
    });
    this.#flushSoon.schedule();
  }

  #flush(): void {
    while (this.#buffer.length > 0 || this.#dropped > 0) {
      const sent = this.#post(this.#buffer.slice(0, BATCH_MAX));
      // No room: they stay, bounded, until the next event or question.
      if (sent < 0) return;
      this.#buffer.splice(0, sent);
    }
  }

  /** Posts the first of these events, as many as a message can take. @returns how many are done with, -1: no room */
  #post(events: readonly WireEvent[]): number {
    try {
      if (!this.#link.post({ type: 'inspection.batch', events, dropped: this.#dropped } as BatchMessage)) return -1;
      this.#dropped = 0;
      return events.length;
    } catch (error) {
      if (!(error instanceof MessageTooLargeError)) throw error;
      if (events.length > 1) return this.#post(events.slice(0, events.length / 2));
      this.#dropped++;
      return 1;
    }
  }
}

interface Merged {
  readonly timeNs: number;
  readonly thread: string;
  readonly seq: number;
  readonly event: InspectionEvent;
}

/** The merging side, on the thread that has the observer. */
export class Inspection {
  readonly #thread: string;
  readonly #observer: Observer<InspectionEvent>;
  readonly #links: Link[] = [];
  readonly #stopWatching: (() => void)[] = [];
  readonly #refs = new Map<string, FarActor>();
  readonly #askSoon: BottomHalf;
  #waiting: Merged[] = [];
  #seq = 0;
  #unanswered = 0;
  #detached = false;
  /** Events that there was no room for, here or on their thread. */
  dropped = 0;

  constructor(thread: string, loop: LoopPort, observer: Observer<InspectionEvent> | ((e: InspectionEvent) => void)) {
    this.#thread = thread;
    this.#observer = toObserver(observer);
    this.#askSoon = loop.bottomHalf('inspection merge', () => this.#ask());
  }

  /** Watches the actors of a system on this thread. */
  watch(root: AnyActorRef): void {
    const subscription = root.system.inspect(this.observer);
    this.#stopWatching.push(() => subscription.unsubscribe());
  }

  /** An observer to hand to createActor({ inspect }), so that not even the root's own first event is missed. */
  get observer(): (event: InspectionEvent) => void {
    return (event) => {
      if (this.#detached) return;
      captureView(event);
      this.#add({ timeNs: hostNowNs(), thread: this.#thread, seq: this.#seq++, event });
    };
  }

  /** Watches the thread at the other end of a link. It must have an InspectionSource. @returns false without room */
  watchThread(link: Link): boolean {
    link.on<BatchMessage>('inspection.batch', (batch) => this.#receive(link.peer, batch));
    this.#links.push(link);
    return link.post({ type: 'inspection.attach' });
  }

  /** Shows what is left and stops watching. */
  detach(): void {
    if (this.#detached) return;
    this.#emitUntil(Number.POSITIVE_INFINITY);
    this.#detached = true;
    for (const stop of this.#stopWatching) stop();
    for (const link of this.#links) link.post({ type: 'inspection.detach' });
    this.#observer.complete?.();
  }

  #receive(thread: string, batch: BatchMessage): void {
    if (this.#detached) return;
    this.dropped += batch.dropped;
    for (const wire of batch.events) {
      this.#add({ timeNs: wire.timeNs, thread, seq: wire.seq, event: this.#revive(wire) });
    }
  }

  #revive(wire: WireEvent): InspectionEvent {
    const actorRef = this.#ref(wire.key, wire.parent);
    const base = { rootId: wire.key.slice(0, wire.key.indexOf('/')), actorRef };
    if (wire.kind === '@xstate.actor') return { ...base, type: wire.kind };
    const event = wire.event as { type: string };
    if (wire.kind === '@xstate.event') {
      const sourceRef = wire.sender === null ? undefined : this.#ref(wire.sender, null);
      return { ...base, type: wire.kind, event, sourceRef };
    }
    actorRef.snapshot = wire.snapshot;
    return { ...base, type: wire.kind, event, snapshot: wire.snapshot as never };
  }

  #ref(key: string, parent: string | null): FarActor {
    let ref = this.#refs.get(key);
    if (ref === undefined) {
      ref = new FarActor(key, parent === null ? undefined : this.#ref(parent, null));
      this.#refs.set(key, ref);
    }
    return ref;
  }

  #add(merged: Merged): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.dropped++;
      return;
    }
    this.#waiting.push(merged);
    this.#askSoon.schedule();
  }

  #ask(): void {
    if (this.#unanswered > 0 || this.#detached || this.#waiting.length === 0) return;
    const askedNs = hostNowNs();
    this.#unanswered = 1;
    let complete = true;
    const answered = (reply: unknown): void => {
      // A thread that has gone answers with an error: nothing older will come from it.
      if (reply !== undefined && !(reply as FlushReply).complete) complete = false;
      if (--this.#unanswered > 0) return;
      if (complete) this.#emitUntil(askedNs);
      if (this.#waiting.length > 0) this.#askSoon.schedule();
    };
    for (const link of this.#links) {
      this.#unanswered++;
      if (!link.request({ type: 'inspection.flush' }, answered)) this.#unanswered--;
    }
    answered(undefined);
  }

  #emitUntil(timeNs: number): void {
    const waiting = this.#waiting.sort(before);
    let count = waiting.findIndex((merged) => merged.timeNs > timeNs);
    if (count < 0) count = waiting.length;
    this.#waiting = waiting.slice(count);
    for (const { event } of waiting.slice(0, count)) this.#observer.next?.(event);
  }
}

/** Stands for an actor of another thread in inspection events. It cannot be sent to. */
class FarActor {
  /** `thread/systemId`. */
  readonly sessionId: string;
  readonly id: string;
  readonly systemId: string;
  readonly _parent: FarActor | undefined;
  snapshot: unknown = { status: 'active', output: undefined, error: undefined };

  constructor(key: string, parent: FarActor | undefined) {
    this.sessionId = key;
    this.id = key.slice(key.indexOf('/') + 1);
    this.systemId = key;
    this._parent = parent;
  }

  send(): void {
    throw new Error(`${this.sessionId} lives on another thread: inspection only shows it`);
  }

  /** As last inspected. */
  getSnapshot(): never {
    return this.snapshot as never;
  }
}

function keyOf(thread: string, actor: ActorRefLike): string {
  const { systemId, id } = actor as AnyActorRef & { readonly systemId?: string };
  return `${thread}/${systemId ?? (id === undefined ? actor.sessionId : id)}`;
}

/** Whoever joins late is told who is there: the root, its children, their children. */
function existingActors(root: AnyActorRef): AnyActorRef[] {
  const found = [root];
  for (const actor of found) {
    const { children } = actor.getSnapshot() as { readonly children?: Record<string, AnyActorRef | undefined> };
    for (const child of Object.values(children ?? {})) if (child !== undefined) found.push(child);
  }
  return found;
}

/** A device's snapshot builds its view when first asked: ask now, while it is true. */
function captureView(event: InspectionEvent): void {
  if (event.type === '@xstate.snapshot') void (event.snapshot as { readonly view?: object }).view;
}

function before(a: Merged, b: Merged): number {
  if (a.timeNs !== b.timeNs) return a.timeNs - b.timeNs;
  if (a.thread !== b.thread) return a.thread < b.thread ? -1 : 1;
  return a.seq - b.seq;
}
