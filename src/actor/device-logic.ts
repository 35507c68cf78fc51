/**
 * The logic of a device actor: custom xstate logic around a device core. The shared chart (machines/device.ts) runs when
 * the device's life changes; a message goes straight to the core; a register access comes through the window, the level of
 * a wire through the inputs, and they run neither.
 *
 * This file alone holds references to cores. When the actor stops, for whatever reason, they are dropped, and the window
 * answers with a bus fault.
 */
import type { ActorLogic, ActorScope, EventObject, Snapshot } from 'xstate';
import { type DeviceLife, type DeviceLifeEvent, deviceMachine } from '../../machines/device.ts';
import type { LoopPort } from '../loop/port.ts';
import { toErrorRecord } from '../util/errors.ts';
import type { AccessSize, DeviceCore, DeviceDefinition } from './device-core.ts';
import { GatedPort } from './gated-port.ts';
import {
  ACCESS_OK,
  BUS_FAULT,
  type DeviceInputs,
  MUST_ASK,
  MUST_WAIT,
  type ReadDone,
  type RegisterRegistry,
  type RegisterWindow,
  type WriteDone,
} from './register-window.ts';
import { isStopEvent } from './xstate.ts';

/** Messages that wait while the device is quiesced; one more is a failure of whoever sends them. */
const HELD_MESSAGES_MAX = 1024;
/** Accesses that a device has taken and not answered; one more is a bus fault. */
export const UNANSWERED_ACCESSES_MAX = 256;

/** What a board gives a device. It belongs to the logic, not to its input: a restored actor gets no input. */
export interface DeviceWiring<P extends object, C> {
  readonly loop: LoopPort;
  /** Without the loop, which the logic adds. */
  readonly ports: Omit<P, 'loop'>;
  readonly config: C;
  /** Told the device's registers once the actor has started. */
  readonly registers?: RegisterRegistry;
  /** What works for the device outside its core, and must rest and end with it, e.g. its DMA. */
  readonly attached?: readonly DeviceAttachment[];
}

/** Follows the life of one device, as the loop port does that the device is handed. */
export interface DeviceAttachment {
  /** A new device, held. @param onError takes what code of the device throws: it fails the device, not the caller */
  attach(onError: (error: unknown) => void): void;
  /** Nothing of the device runs from here on, and nothing is forgotten. */
  hold(): void;
  release(): void;
  /** What the device had begun before its reset ends. */
  reset(): void;
  /** For ever, or until another device is attached. */
  close(): void;
}

/** Every message a device actor takes: its life's, and its core's own. */
export type DeviceEvent<E> = DeviceLifeEvent | (E & EventObject) | DeviceFailure | DeviceRestore;

/** Puts a device where another one of its kind was saved; both stand. */
export interface DeviceRestore {
  readonly type: 'device.restore';
  readonly persisted: unknown;
  /** Called when the device cannot be there. */
  readonly failed: (error: unknown) => void;
}

/** Our own bug surfaced outside a message: the actor fails when it handles this. */
interface DeviceFailure {
  readonly type: 'device.failed';
  readonly error: unknown;
}

/** The logic of a device actor. It takes no input. */
export interface DeviceActorLogic<E> extends ActorLogic<DeviceSnapshot, DeviceEvent<E>, void> {}

/** What a device actor persists as. */
export interface PersistedDevice {
  readonly status: 'active' | 'done';
  readonly output: undefined;
  readonly error: undefined;
  readonly name: string;
  readonly version: number;
  readonly life: DeviceLife;
  readonly state: unknown;
  /** Messages that waited for the device to resume. */
  readonly held: readonly unknown[];
}

/** Saved state that this device cannot take. */
export class SnapshotMismatchError extends Error {
  override readonly name = 'SnapshotMismatchError';
}

/** The way from a snapshot to what it shows, for the logic alone. */
let bodyOf: (snapshot: DeviceSnapshot) => DeviceBody;

/** A new one after each message. The view is built when it is first asked for. */
export class DeviceSnapshot {
  static {
    bodyOf = (snapshot) => snapshot.#body;
  }

  readonly status: 'active' | 'done';
  readonly output = undefined;
  readonly error = undefined;
  readonly value: DeviceLife;
  /** Counts the messages handled. */
  readonly revision: number;
  readonly #body: DeviceBody;
  #view: object | null = null;

  constructor(body: DeviceBody, revision: number) {
    this.#body = body;
    this.revision = revision;
    this.value = body.life;
    this.status = body.life === 'removed' ? 'done' : 'active';
  }

  /** The device's registers and queues for a reader; of the moment it is first asked for. */
  get view(): object {
    this.#view ??= this.#body.view();
    return this.#view;
  }

  toJSON(): object {
    return { status: this.status, value: this.value, revision: this.revision, view: this.view };
  }
}

/**
 * Makes the logic of one device on one board.
 * @returns logic whose restored snapshots are checked: SnapshotMismatchError for another device's or version's
 */
export function deviceActorLogic<P extends object, C, S, E>(
  definition: DeviceDefinition<P, C, S, E>,
  wiring: DeviceWiring<P, C>,
): DeviceActorLogic<E> {
  type Scope = ActorScope<DeviceSnapshot, DeviceEvent<E>>;
  const make = (scope: Scope): TypedBody<S, E> =>
    new TypedBody(
      definition,
      wiring.loop,
      (loop) => definition.create({ ...wiring.ports, loop } as P & { loop: LoopPort }, wiring.config),
      // The failure is a message, so that it reaches the supervisor from wherever it happened.
      (error) => scope.self.send({ type: 'device.failed', error }),
      wiring.attached ?? [],
    );
  return {
    getInitialSnapshot: (scope) => new DeviceSnapshot(make(scope), 0),
    restoreSnapshot: (persisted, scope) => {
      const body = make(scope as Scope);
      body.restore(persisted);
      return new DeviceSnapshot(body, 0);
    },
    start: (snapshot, scope) => {
      const body = bodyOf(snapshot);
      body.start();
      if (definition.lengthBytes > 0 && !body.closed) wiring.registers?.realize(scope.id, body.registers, body.inputs);
    },
    transition: (snapshot, event, scope) => {
      const body = bodyOf(snapshot) as TypedBody<S, E>;
      try {
        if (isStopEvent(event)) body.close();
        else body.receive(event, scope);
      } catch (error) {
        body.close();
        throw error;
      }
      return new DeviceSnapshot(body, snapshot.revision + 1);
    },
    getPersistedSnapshot: (snapshot: DeviceSnapshot | Snapshot<unknown>) => {
      if (snapshot instanceof DeviceSnapshot) return bodyOf(snapshot).persist() as Snapshot<unknown>;
      // xstate replaces the snapshot of an actor that failed: only the cause is left.
      return { status: 'error', output: undefined, error: toErrorRecord(snapshot.error) };
    },
  };
}

type DeviceChart = ReturnType<typeof deviceMachine.resolveState>;

/** A device actor's insides, as its snapshots know them. */
interface DeviceBody {
  readonly life: DeviceLife;
  readonly closed: boolean;
  readonly registers: RegisterWindow;
  readonly inputs: DeviceInputs;
  start(): void;
  view(): object;
  persist(): PersistedDevice;
}

class TypedBody<S, E> implements DeviceBody {
  readonly registers: CoreRegisters;
  readonly inputs: CoreInputs;
  readonly #identity: { readonly name: string; readonly version: number };
  readonly #port: GatedPort;
  readonly #attached: readonly DeviceAttachment[];
  #core: DeviceCore<S, E> | null;
  #chart: DeviceChart = deviceMachine.resolveState({ value: 'realized' });
  #held: E[] = [];

  constructor(
    definition: { readonly name: string; readonly version: number; readonly lengthBytes: number },
    loop: LoopPort,
    create: (loop: LoopPort) => DeviceCore<S, E>,
    fail: (error: unknown) => void,
    attached: readonly DeviceAttachment[],
  ) {
    const onError = (error: unknown): void => {
      this.close();
      fail(error);
    };
    this.#identity = definition;
    this.#port = new GatedPort(loop, onError);
    this.#attached = attached;
    for (const attachment of attached) attachment.attach(onError);
    this.#core = create(this.#port);
    this.registers = new CoreRegisters(this.#core, definition.lengthBytes, onError);
    this.inputs = new CoreInputs(this.#core, onError);
  }

  get life(): DeviceLife {
    return this.#chart.value as DeviceLife;
  }

  get closed(): boolean {
    return this.#core === null;
  }

  start(): void {
    if (this.life === 'running') this.#release();
  }

  /** One message. @param scope the actor's, as the chart is handed it; @throws what the core throws */
  receive(event: DeviceEvent<E>, scope: unknown): void {
    switch (event.type) {
      case 'device.start':
      case 'device.quiesce':
      case 'device.resume':
      case 'device.remove':
        return this.#live(event as DeviceLifeEvent, scope);
      case 'device.reset':
        this.#held = [];
        for (const attachment of this.#attached) attachment.reset();
        this.#core?.reset();
        return this.registers.abort();
      case 'device.restore':
        return this.#restoreFrom(event as DeviceRestore);
      case 'device.failed':
        throw (event as DeviceFailure).error;
      default:
        return this.#message(event as E);
    }
  }

  /** For ever: no register answers, no bottom half runs, the core is let go. */
  close(): void {
    this.#core = null;
    this.#held = [];
    this.#port.close();
    for (const attachment of this.#attached) attachment.close();
    this.registers.close();
    this.inputs.close();
  }

  view(): object {
    return this.#core?.view() ?? {};
  }

  persist(): PersistedDevice {
    const { name, version } = this.#identity;
    const { life } = this;
    const status = life === 'removed' ? 'done' : 'active';
    const state = this.#core?.save();
    return { status, output: undefined, error: undefined, name, version, life, state, held: [...this.#held] };
  }

  restore(persisted: unknown): void {
    const { name, version, life, state, held } = persisted as Partial<PersistedDevice>;
    const own = this.#identity;
    if (name !== own.name || version !== own.version) {
      const found = `${String(name)} version ${String(version)}`;
      throw new SnapshotMismatchError(`this is ${own.name} version ${own.version}, the saved state is of ${found}`);
    }
    this.#chart = deviceMachine.resolveState({ value: life ?? 'realized' });
    this.#held = [...(held ?? [])] as E[];
    if (life === 'removed') this.close();
    else this.#core?.load(state as S);
  }

  #restoreFrom({ persisted, failed }: DeviceRestore): void {
    try {
      this.restore(persisted);
    } catch (error) {
      return failed(error);
    }
    // Saved in whatever it did: it stands here, like all others, until the machine goes on.
    if (this.life !== 'removed') this.#chart = deviceMachine.resolveState({ value: 'quiesced' });
  }

  #live(event: DeviceLifeEvent, scope: unknown): void {
    // The chart has no actions and no children, so the scope is only there for the inspector.
    this.#chart = deviceMachine.transition(this.#chart, event, scope as never) as DeviceChart;
    if (this.life === 'removed') return this.close();
    if (this.life !== 'running') return this.#hold();
    this.#release();
    const held = this.#held;
    this.#held = [];
    for (const message of held) this.#core?.handle?.(message);
  }

  #hold(): void {
    this.#port.hold();
    for (const attachment of this.#attached) attachment.hold();
  }

  #release(): void {
    this.#port.release();
    for (const attachment of this.#attached) attachment.release();
  }

  #message(event: E): void {
    if (this.life === 'running') return this.#core?.handle?.(event);
    if (this.#held.length >= HELD_MESSAGES_MAX) {
      throw new Error(`${this.#identity.name}: more than ${HELD_MESSAGES_MAX} messages while ${this.life}`);
    }
    this.#held.push(event);
  }
}

/** The one entry for wires. Like an access to a register, a level is taken at any time of the device's life. */
class CoreInputs implements DeviceInputs {
  readonly #onError: (error: unknown) => void;
  #core: DeviceCore<never, never> | null;

  constructor(core: unknown, onError: (error: unknown) => void) {
    this.#core = core as DeviceCore<never, never>;
    this.#onError = onError;
  }

  set(input: number, level: boolean): void {
    try {
      this.#core?.input?.(input, level);
    } catch (error) {
      this.#onError(error);
    }
  }

  close(): void {
    this.#core = null;
  }
}

/** An access that the core has taken and not answered. */
interface Unanswered {
  readonly done: (result: number) => void;
}

/**
 * The one entry for register accesses: one that is answered at once does not allocate, and what a core throws fails the
 * actor, not the caller. An access that the core answers later ends with the device at the latest: with a bus fault.
 */
class CoreRegisters implements RegisterWindow {
  readonly lengthBytes: number;
  readonly writeAsync?: NonNullable<RegisterWindow['writeAsync']>;
  readonly #onError: (error: unknown) => void;
  readonly #unanswered = new Set<Unanswered>();
  #core: DeviceCore<never, never> | null;

  constructor(core: unknown, lengthBytes: number, onError: (error: unknown) => void) {
    this.#core = core as DeviceCore<never, never>;
    this.lengthBytes = lengthBytes;
    this.#onError = onError;
    if (this.#core.mmioWriteLater !== undefined) {
      this.writeAsync = (offset, value, size, done) => this.#writeLater(offset, value, size, done);
    }
  }

  read(offset: number, size: AccessSize): number {
    const core = this.#core;
    if (core === null || offset < 0 || offset + size > this.lengthBytes) return BUS_FAULT;
    if (core.mmioReadLater !== undefined) return MUST_WAIT;
    if (core.mmioRead === undefined) return BUS_FAULT;
    try {
      return core.mmioRead(offset, size) >>> 0;
    } catch (error) {
      this.#onError(error);
      return BUS_FAULT;
    }
  }

  standing(offset: number, size: AccessSize): number {
    try {
      return this.#core?.standing?.(offset, size) ?? 0;
    } catch (error) {
      this.#onError(error);
      return 0;
    }
  }

  write(offset: number, value: number, size: AccessSize): number {
    const core = this.#core;
    if (core === null || offset < 0 || offset + size > this.lengthBytes) return BUS_FAULT;
    if (core.mmioWriteLater !== undefined) return MUST_ASK;
    if (core.mmioWrite === undefined) return BUS_FAULT;
    try {
      core.mmioWrite(offset, value >>> 0, size);
      return ACCESS_OK;
    } catch (error) {
      this.#onError(error);
      return BUS_FAULT;
    }
  }

  readAsync(offset: number, size: AccessSize, done: ReadDone): boolean {
    const result = this.read(offset, size);
    if (result === MUST_WAIT) {
      this.#defer(done, (answer) => this.#core?.mmioReadLater?.(offset, size, (value) => answer(value >>> 0)));
    } else done(result);
    return true;
  }

  /** Nobody waits any longer for what the core has not answered. */
  abort(): void {
    const unanswered = [...this.#unanswered];
    this.#unanswered.clear();
    for (const access of unanswered) access.done(BUS_FAULT);
  }

  close(): void {
    this.#core = null;
    this.abort();
  }

  #writeLater(offset: number, value: number, size: AccessSize, done: WriteDone): boolean {
    const result = this.write(offset, value, size);
    if (result === MUST_ASK) {
      this.#defer(done, (answer) => this.#core?.mmioWriteLater?.(offset, value >>> 0, size, () => answer(ACCESS_OK)));
    } else done(result);
    return true;
  }

  /** Hands an access to the core; the first answer counts, and none after the device has ended. */
  #defer(done: (result: number) => void, start: (answer: (result: number) => void) => void): void {
    if (this.#unanswered.size >= UNANSWERED_ACCESSES_MAX) return done(BUS_FAULT);
    const access: Unanswered = { done };
    this.#unanswered.add(access);
    try {
      start((result) => {
        if (this.#unanswered.delete(access)) access.done(result);
      });
    } catch (error) {
      this.#onError(error);
    }
  }
}
