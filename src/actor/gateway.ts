/**
 * Actors of another thread. Each side of a link has a gateway: it makes local actors known to the other side under a
 * name, and gives logic for proxies of the actors over there. A proxy is an actor like any other: it forwards what it is
 * sent, mirrors the life state of the far actor, ends when that one ends and fails when that one fails, with its cause.
 */
import type { ActorLogic, ActorRefLike, AnyActorRef, EventObject, Snapshot } from 'xstate';
import { assert, type ErrorRecord, RemoteError, toErrorRecord } from '../util/errors.ts';
import { TRAIL, type Trail, withTrail } from '../util/trail.ts';
import { ChannelFullError, type Link } from './link.ts';
import { deliver, isStopEvent } from './xstate.ts';

/** What gateways say to each other; `actor` and `to` are names in the exporting side's gateway. */
interface ActorEventMessage {
  readonly type: 'actor.event';
  readonly to: string;
  /** The sender's name over there, or null. */
  readonly from: string | null;
  readonly event: EventObject;
}
interface ActorStateMessage {
  readonly type: 'actor.state';
  readonly actor: string;
  readonly value: unknown;
}
interface ActorEndMessage {
  readonly type: 'actor.end';
  readonly actor: string;
  readonly error: ErrorRecord | null;
}

type GatewayMessage = ActorEventMessage | ActorStateMessage | ActorEndMessage;

/** Messages kept while the link has no room; when there are more, the other side is stuck and the sender fails. */
const OUTBOX_MAX = 1024;

/** What a proxy's gateway tells it. */
type ProxyEvent =
  | { readonly type: 'remote.state'; readonly value: unknown }
  | { readonly type: 'remote.done' }
  | { readonly type: 'remote.failed'; readonly error: ErrorRecord };

/** A proxy's snapshot. */
export interface RemoteSnapshot {
  readonly status: 'active' | 'done';
  readonly output: undefined;
  readonly error: undefined;
  /** `thread/name` of the far actor. */
  readonly key: string;
  /** Its life state as last heard; undefined until the first news. */
  readonly value: unknown;
}

type ProxySnapshot = RemoteSnapshot & Snapshot<unknown>;

/** The logic of a proxy. It takes every event and no input. */
export interface ProxyLogic extends ActorLogic<ProxySnapshot, EventObject, void> {}

export class ActorGateway {
  readonly #thread: string;
  readonly #link: Link;
  readonly #trail: Trail | null;
  readonly #exported = new Map<string, AnyActorRef>();
  readonly #proxies = new Map<string, AnyActorRef>();
  /** The last life state and the end of far actors, for proxies that start later. */
  readonly #states = new Map<string, ProxyEvent>();
  readonly #ends = new Map<string, ProxyEvent>();
  readonly #outbox: GatewayMessage[] = [];
  #failed: ErrorRecord | null = null;

  /**
   * @param thread this side's name
   * @param trail of this side's loop: it is told of the events that come, and goes with the failures of actors here
   */
  constructor(thread: string, link: Link, trail: Trail | null = null) {
    this.#trail = trail;
    this.#thread = thread;
    this.#link = link;
    link.onSpace(() => this.#flush());
    link.on<ActorEventMessage>('actor.event', (message) => this.#receive(message));
    link.on<ActorStateMessage>('actor.state', ({ actor, value }) =>
      this.#tell(this.#states, actor, { type: 'remote.state', value }),
    );
    link.on<ActorEndMessage>('actor.end', ({ actor, error }) =>
      this.#tell(this.#ends, actor, error === null ? { type: 'remote.done' } : { type: 'remote.failed', error }),
    );
  }

  /** Makes a local actor reachable from the other side, and tells that side of its life states and its end. */
  export(name: string, actor: AnyActorRef): void {
    assert(!this.#exported.has(name), `an actor ${name} is exported already`);
    this.#exported.set(name, actor);
    let last: unknown;
    const tellState = (snapshot: unknown): void => {
      const value = (snapshot as { readonly value?: unknown }).value;
      if (value === undefined || value === last) return;
      last = value;
      this.#post({ type: 'actor.state', actor: name, value });
    };
    actor.subscribe({
      next: tellState,
      complete: () => this.#post({ type: 'actor.end', actor: name, error: null }),
      error: (thrown) => {
        const error = this.#trail === null ? thrown : withTrail(thrown, this.#trail);
        this.#post({ type: 'actor.end', actor: name, error: toErrorRecord(error, `${this.#thread}/${name}`) });
      },
    });
    tellState(actor.getSnapshot());
  }

  /** Sends to an actor over there. @param from the exported name of the sender; @throws ChannelFullError */
  send(to: string, event: EventObject, from: string | null = null): void {
    this.#post({ type: 'actor.event', to, from, event });
  }

  /** Logic for a proxy of the actor that the other side exports as `name`. What it is sent comes from its parent. */
  proxyLogic(name: string): ProxyLogic {
    const key = `${this.#link.peer}/${name}`;
    const idle = { status: 'active', output: undefined, error: undefined, key, value: undefined } as ProxySnapshot;
    return {
      getInitialSnapshot: () => idle,
      restoreSnapshot: () => idle,
      start: (_snapshot, scope) => {
        this.#proxies.set(name, scope.self);
        for (const memory of [this.#states, this.#ends]) {
          const news = memory.get(name);
          if (news !== undefined) scope.self.send(news);
        }
        if (this.#failed !== null && !this.#ends.has(name)) {
          scope.self.send({ type: 'remote.failed', error: this.#failed } as ProxyEvent);
        }
      },
      transition: (snapshot, event, scope) => {
        if (isStopEvent(event)) {
          this.#proxies.delete(name);
          return snapshot;
        }
        const news = event as ProxyEvent;
        switch (news.type) {
          case 'remote.failed':
            this.#proxies.delete(name);
            throw new RemoteError(news.error);
          case 'remote.done':
            this.#proxies.delete(name);
            return { ...snapshot, status: 'done' } as ProxySnapshot;
          case 'remote.state':
            return { ...snapshot, value: news.value } as ProxySnapshot;
          default:
            this.send(name, event, this.#nameOf(scope.self._parent));
            return snapshot;
        }
      },
      // The far actor is persisted over there, by whoever persists that thread.
      getPersistedSnapshot: () => idle,
    };
  }

  /** The other side is gone: every proxy of an actor over there fails, now or when it starts. */
  fail(error: ErrorRecord): void {
    this.#failed ??= error;
    for (const proxy of [...this.#proxies.values()]) proxy.send({ type: 'remote.failed', error: this.#failed });
  }

  #receive(message: ActorEventMessage): void {
    const target = this.#exported.get(message.to);
    assert(target !== undefined, `${this.#link.peer} sent ${message.event.type} to ${message.to}, which is not here`);
    this.#trail?.note(TRAIL.event, message.event.type, 0);
    const sender: ActorRefLike | undefined = message.from === null ? undefined : this.#proxies.get(message.from);
    deliver(target, message.event, sender);
  }

  #tell(memory: Map<string, ProxyEvent>, name: string, event: ProxyEvent): void {
    memory.set(name, event);
    this.#proxies.get(name)?.send(event);
  }

  #nameOf(actor: AnyActorRef | undefined): string | null {
    if (actor === undefined) return null;
    for (const [name, exported] of this.#exported) if (exported === actor) return name;
    return null;
  }

  #post(message: GatewayMessage): void {
    // When the other side has gone, fail() has told whoever has to know.
    if (this.#failed !== null || this.#link.closed) return;
    if (this.#outbox.length === 0 && this.#link.post(message)) return;
    if (this.#outbox.length >= OUTBOX_MAX) {
      throw new ChannelFullError(`no room for ${message.type} from ${this.#thread} to ${this.#link.peer}`);
    }
    this.#outbox.push(message);
  }

  #flush(): void {
    let sent = 0;
    for (const message of this.#outbox) {
      if (!this.#link.post(message)) break;
      sent++;
    }
    this.#outbox.splice(0, sent);
  }
}
