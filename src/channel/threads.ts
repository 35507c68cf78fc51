/**
 * The wiring between the threads of a machine: a doorbell for each, a channel between any two, and a wake-up port for
 * each thread that sleeps in its host's event loop. Made once, by the thread that starts the others; each thread is
 * handed its part as plain data and opens it.
 *
 * Not modelled: threads that join later.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { assert } from '../util/errors.ts';
import { Channel } from './channel.ts';
import { type ChannelEnd, type ChannelOptions, createChannel } from './channel-end.ts';
import { createDoorbell, DoorbellConsumer, DoorbellProducer, type DoorbellWords } from './doorbell.ts';

/** How a thread sleeps: `parking` in Atomics.wait, `libuv` in its host's event loop. */
export type ThreadKind = 'parking' | 'libuv';

export interface ThreadPlan {
  readonly name: string;
  readonly kind: ThreadKind;
  /** Where its doorbell lies, when it must lie in a certain memory; else one is made. */
  readonly doorbell?: DoorbellWords;
}

interface PeerWiring {
  readonly name: string;
  readonly doorbell: DoorbellWords;
  /** This thread's end of the port that wakes the peer; null for one that parks. */
  readonly wakePort: MessagePort | null;
  readonly channel: ChannelEnd;
}

/** One thread's part: post it with `portsOf(wiring)` as transfer list. */
export interface ThreadWiring {
  readonly name: string;
  readonly kind: ThreadKind;
  readonly doorbell: DoorbellWords;
  /** What others wake this thread with. */
  readonly wakePorts: readonly MessagePort[];
  readonly peers: readonly PeerWiring[];
  /** Ports to those that it serves, or is served by, by the name of the server. */
  readonly services: readonly ServiceWiring[];
}

interface ServiceWiring {
  readonly server: string;
  readonly port: MessagePort;
}

export const SIGNAL_WORDS = 4;

/**
 * Wires every thread to every other.
 * @param optionsOf what the channel between two threads is like
 * @returns a part for each, by name
 */
export function wireThreads(
  plans: readonly ThreadPlan[],
  optionsOf: (one: ThreadPlan, other: ThreadPlan) => Partial<ChannelOptions> = () => ({}),
): ReadonlyMap<string, ThreadWiring> {
  const doorbells = plans.map((plan) => plan.doorbell ?? createDoorbell(SIGNAL_WORDS));
  const parts = plans.map((plan, i) => ({
    name: plan.name,
    kind: plan.kind,
    doorbell: doorbells[i] as DoorbellWords,
    wakePorts: [] as MessagePort[],
    peers: [] as PeerWiring[],
    services: [],
  }));
  for (const [i, one] of parts.entries()) {
    for (const other of parts.slice(i + 1)) {
      const [mine, theirs] = createChannel([i + 1, parts.indexOf(other) + 1], optionsOf(one, other));
      one.peers.push({ name: other.name, doorbell: other.doorbell, wakePort: wakePortOf(other), channel: mine });
      other.peers.push({ name: one.name, doorbell: one.doorbell, wakePort: wakePortOf(one), channel: theirs });
    }
  }
  const byName = new Map(parts.map((part) => [part.name, part] as const));
  assert(byName.size === plans.length, 'threads have different names');
  return byName;
}

/**
 * A thread outside of that mesh, which lives in its host's event loop and answers others (service.ts).
 * @returns its part, and what takes the place of theirs
 */
export function wireServer(
  name: string,
  clients: readonly ThreadWiring[],
): { readonly server: ThreadWiring; readonly clients: readonly ThreadWiring[] } {
  const ports = clients.map(() => new MessageChannel());
  const doorbell = createDoorbell(SIGNAL_WORDS);
  const services = ports.map(({ port2 }) => ({ server: name, port: port2 }));
  return {
    server: { name, kind: 'libuv', doorbell, wakePorts: [], peers: [], services },
    clients: clients.map((client, i) => {
      const { port1: port } = ports[i] as MessageChannel;
      return { ...client, services: [...client.services, { server: name, port }] };
    }),
  };
}

function wakePortOf(part: { readonly kind: ThreadKind; readonly wakePorts: MessagePort[] }): MessagePort | null {
  if (part.kind === 'parking') return null;
  const { port1, port2 } = new MessageChannel();
  part.wakePorts.push(port1);
  return port2;
}

/** The ports that must be transferred along with a wiring. */
export function portsOf(wiring: ThreadWiring): MessagePort[] {
  const wakePorts = wiring.peers.flatMap((peer) => (peer.wakePort === null ? [] : [peer.wakePort]));
  return [...wiring.wakePorts, ...wakePorts, ...wiring.services.map(({ port }) => port)];
}

/** A thread's own end of everything. */
export class Thread {
  readonly name: string;
  readonly kind: ThreadKind;
  readonly doorbell: DoorbellConsumer;
  readonly #wakePorts: readonly MessagePort[];
  readonly #channels = new Map<string, Channel>();
  readonly #bells = new Map<string, DoorbellProducer>();
  readonly #sendPorts: MessagePort[] = [];
  readonly #services: readonly ServiceWiring[];

  constructor(wiring: ThreadWiring) {
    this.#services = wiring.services;
    this.name = wiring.name;
    this.kind = wiring.kind;
    this.doorbell = new DoorbellConsumer(wiring.doorbell);
    this.#wakePorts = wiring.wakePorts;
    for (const peer of wiring.peers) {
      const bell = new DoorbellProducer(peer.doorbell, peer.wakePort);
      peer.wakePort?.unref();
      if (peer.wakePort !== null) this.#sendPorts.push(peer.wakePort);
      this.#bells.set(peer.name, bell);
      this.#channels.set(peer.name, new Channel(peer.channel, bell, this.doorbell));
    }
  }

  get peers(): readonly string[] {
    return [...this.#channels.keys()];
  }

  channel(peer: string): Channel {
    const channel = this.#channels.get(peer);
    assert(channel !== undefined, `no thread ${peer}`);
    return channel;
  }

  /** The doorbell of another thread, for its signals. */
  bell(peer: string): DoorbellProducer {
    const bell = this.#bells.get(peer);
    assert(bell !== undefined, `no thread ${peer}`);
    return bell;
  }

  /** The ports of a service that this thread gives or takes; those of one that does not exist are none. */
  servicePorts(server: string): MessagePort[] {
    return this.#services.filter((service) => service.server === server).map(({ port }) => port);
  }

  /** Calls `wake` whenever another thread wakes this one; keeps the process alive until close(). */
  onWake(wake: () => void): void {
    for (const port of this.#wakePorts) port.on('message', wake);
  }

  /** Answers everything outstanding with an error and lets go of the ports. */
  close(): void {
    for (const channel of this.#channels.values()) channel.close();
    for (const port of this.#wakePorts) port.close();
    for (const port of this.#sendPorts) port.close();
    for (const { port } of this.#services) port.close();
  }
}
