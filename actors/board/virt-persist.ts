/**
 * A machine as plain data: every actor of board `virt`, of all its threads, and back. Both work on a machine that stands:
 * its vCPUs are paused, its devices quiesced, virtual time does not move.
 *
 * Saving: what is under way between threads is handled first, then each thread tells what it has. An access whose answer
 * has not come is not part of it: the restored vCPU makes it again.
 *
 * Restoring, in this order: levels of wires that lead to other threads; devices; interrupt controllers, which know their
 * wires by then; the PCI host bridge, from whose functions the memory map follows; vCPUs. It is done when the map is in
 * use everywhere.
 */
import type { AnyActorRef, PersistedDevice } from '../../src/actor/index.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';
import { toErrorRecord } from '../../src/util/errors.ts';
import type { ActorState } from '../cpu/messages.ts';
import { VCPU_STATE_VERSION } from '../cpu/messages.ts';
import { MAIN_THREAD, threadStateName } from '../cpu/names.ts';
import type { FarWires } from './hart-wires.ts';
import type { VcpuEnd } from './vcpu-end.ts';
import { PCI_ACTORS } from './virt-pci.ts';

/** A part of a saved machine. */
export interface SavedPart extends ActorState, PartKind {}

/** What can load a part. */
export interface PartKind {
  /** The definition's name: `uart16550`. */
  readonly kind: string;
  readonly version: number;
}

/** A part that could not be restored, and why. */
export interface PartFailure {
  readonly name: string;
  readonly error: ErrorRecord;
}

export interface PersistParts {
  readonly vcpus: readonly VcpuEnd[];
  /** Of the main loop to other threads. */
  readonly wires: FarWires;
  /** Names of the devices beside the first vCPU; the interrupt controllers among them. */
  readonly far: readonly string[];
  readonly controllers: readonly string[];
  /** Names of the devices of the main loop, as it is now. */
  near(): readonly string[];
  actor(name: string): AnyActorRef | undefined;
  /** Calls back when every change of the memory map that was asked for is in use. */
  mapped(done: () => void): void;
}

const THREAD_KIND = 'thread';
const THREAD_VERSION = 2;
/** Messages between threads may lead to others: so often each thread says that it has handled all it was sent. */
const DRAINS = 3;
/** Rounds of asking a thread that says that something is still under way. */
const ASKS_MAX = 100;

/** What every machine with so many harts has beside its devices, by name. */
export function commonParts(harts: readonly { actorName: string; threadName: string }[]): Map<string, PartKind> {
  const parts = new Map<string, PartKind>();
  for (const thread of [MAIN_THREAD, ...harts.map(({ threadName }) => threadName)]) {
    parts.set(threadStateName(thread), { kind: THREAD_KIND, version: THREAD_VERSION });
  }
  for (const { actorName } of harts) parts.set(actorName, { kind: 'vcpu', version: VCPU_STATE_VERSION });
  return parts;
}

export class VirtPersist {
  readonly #parts: PersistParts;

  constructor(parts: PersistParts) {
    this.#parts = parts;
  }

  /** @param done told all parts, or null when something never came to rest */
  save(done: (parts: SavedPart[] | null) => void): void {
    this.#parts.mapped(() => this.#drain(DRAINS, () => this.#collect(ASKS_MAX, done), true));
  }

  /** Of a machine that stands by itself between two steps, without a message. @returns null where it has threads */
  saveNow(): SavedPart[] | null {
    const threads = this.#parts.vcpus.map((vcpu) => vcpu.saveNow());
    const states = threads.flatMap((one) => one ?? []);
    return threads.includes(null) ? null : this.#all(states);
  }

  /** @param done told the first part that could not be restored, or null */
  restore(saved: readonly SavedPart[], done: (failure: PartFailure | null) => void): void {
    let first: PartFailure | null = null;
    const failed = (failure: PartFailure): void => {
      first ??= failure;
    };
    const phases = this.#phases(saved);
    const next = (): void => {
      const phase = phases.shift();
      if (first !== null) return done(first);
      if (phase === undefined) return this.#parts.mapped(() => this.#drain(1, () => done(first)));
      let left = phase.length;
      const restored = (): void => {
        left -= 1;
        if (left === 0) this.#drain(1, next);
      };
      if (left === 0) return next();
      for (const part of phase) this.#restorePart(part, failed, restored);
    };
    next();
  }

  #collect(asks: number, done: (parts: SavedPart[] | null) => void): void {
    const { vcpus } = this.#parts;
    const states: ActorState[] = [];
    let left = vcpus.length;
    let isWhole = true;
    const one = (saved: readonly ActorState[] | null): void => {
      left -= 1;
      isWhole &&= saved !== null;
      states.push(...(saved ?? []));
      if (left > 0) return;
      if (isWhole) done(this.#all(states));
      else if (asks === 0) done(null);
      else this.#drain(1, () => this.#collect(asks - 1, done), true);
    };
    for (const vcpu of vcpus) vcpu.save(one);
  }

  #all(far: readonly ActorState[]): SavedPart[] {
    const near = this.#parts.near().map((name): ActorState => {
      const actor = this.#parts.actor(name);
      return { name, state: (actor as { getPersistedSnapshot(): unknown } | undefined)?.getPersistedSnapshot() };
    });
    const main = { name: threadStateName(MAIN_THREAD), state: { wires: this.#parts.wires.save() } };
    const common = commonParts(this.#parts.vcpus);
    return [main, ...near, ...far].map(({ name, state }) => {
      const { kind, version } = common.get(name) ?? kindOf(state as PersistedDevice);
      return { name, kind, version, state };
    });
  }

  /** Parts that do not depend on each other, one set after the other. */
  #phases(saved: readonly SavedPart[]): SavedPart[][] {
    const { vcpus, controllers } = this.#parts;
    const cpus = new Set(vcpus.map(({ actorName }) => actorName));
    const phaseOf = ({ name, kind }: SavedPart): number => {
      if (kind === THREAD_KIND) return 0;
      if (cpus.has(name)) return 4;
      if (name === PCI_ACTORS.host) return 3;
      return controllers.includes(name) ? 2 : 1;
    };
    return [0, 1, 2, 3, 4].map((phase) => saved.filter((part) => phaseOf(part) === phase));
  }

  #restorePart({ name, state }: SavedPart, failed: (failure: PartFailure) => void, done: () => void): void {
    const failedWith = (error: unknown): void => failed({ name, error: toErrorRecord(error) });
    const vcpu = this.#threadOf(name);
    if (vcpu !== undefined) {
      return vcpu.restore({ name, state }, (error) => {
        if (error !== null) failedWith(error);
        done();
      });
    }
    try {
      if (name === threadStateName(MAIN_THREAD)) {
        const reader = new StateReader(name, state);
        this.#parts.wires.load(reader.strings('wires'));
        reader.finish();
      } else this.#parts.actor(name)?.send({ type: 'device.restore', persisted: state, failed: failedWith });
    } catch (error) {
      failedWith(error);
    }
    done();
  }

  #threadOf(name: string): VcpuEnd | undefined {
    const { vcpus, far } = this.#parts;
    if (far.includes(name)) return vcpus[0];
    return vcpus.find(({ actorName, threadName }) => name === actorName || name === threadStateName(threadName));
  }

  #drain(rounds: number, done: () => void, flush = false): void {
    if (rounds === 0) return done();
    let left = this.#parts.vcpus.length;
    for (const vcpu of this.#parts.vcpus) {
      vcpu.drain(() => {
        left -= 1;
        if (left === 0) this.#drain(rounds - 1, done, flush);
      }, flush);
    }
  }
}

function kindOf({ name, version }: PersistedDevice): PartKind {
  return { kind: name, version };
}
