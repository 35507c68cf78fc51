/**
 * The library: a machine to start, pause, type to and watch. createVm() checks the configuration and makes the machine;
 * nothing runs before start().
 */
import { randomBytes, randomInt } from 'node:crypto';
import type { MachineEnd } from '../actors/board/machine-end.ts';
import { VirtBoard } from '../actors/board/virt.ts';
import { checkDevices, TAKEN_NAMES } from '../actors/board/virt-devices.ts';
import { checkPci, type VmPciDevice } from '../actors/board/virt-pci-functions.ts';
import type { PartFailure } from '../actors/board/virt-persist.ts';
import { RAM_DEFAULT_BYTES, virtTable } from '../actors/board/virt-table.ts';
import { ACCEL_DEFAULT } from '../actors/cpu/accel.ts';
import type { RunState } from '../machines/machine.ts';
import { type AnyActorRef, createActor, type WorkerCode } from './actor/index.ts';
import { type Observable, Subject } from './actor/rxjs.ts';
import { ARENA } from './hart/state.ts';
import type { DirtyClient } from './memory/dirty-log.ts';
import { layOutMemory } from './memory/layout.ts';
import { ConfigError } from './util/config-error.ts';
import { RemoteError } from './util/errors.ts';
import { planBoots } from './vm-boot.ts';
import { VmConsole } from './vm-console.ts';
import type { DeterministicOptions, DeterministicRun, VmDeterministic } from './vm-deterministic.ts';
import { allocate, type VmMemory, vmMemory } from './vm-memory.ts';
import { haveToShareCores, loadHartModules, needsCompileThread } from './vm-modules.ts';
import { AIA_DEFAULT, checkMachine, machineOf, type VmOptions } from './vm-options.ts';
import { guestDigest, type MachineInput } from './vm-recording.ts';
import { type SavedMakeup, type SaveOptions, VmSaver } from './vm-save.ts';
import { type FrozenStates, type FrozenVm, openFrozen, partError } from './vm-snapshot.ts';
import type { SavedVm } from './vm-snapshot-header.ts';

export class Vm {
  readonly console: VmConsole;
  readonly memory: VmMemory;
  /** The root actor: the machine. */
  readonly actor: AnyActorRef;
  /** The machine's run states, from now on. */
  readonly states: Observable<RunState>;
  /** What `log` asked for. */
  readonly log: Observable<string>;
  /** Settles when the guest has ended by itself; rejects when the machine has failed or was stopped before. */
  readonly finished: Promise<MachineEnd>;
  /** Of a machine with a seed; null for one with threads. */
  readonly deterministic: VmDeterministic | null;
  readonly #run: DeterministicRun | null;
  readonly #board: VirtBoard;
  readonly #states = new Subject<RunState>();
  readonly #saver: VmSaver;
  /** There are images to begin anew with. */
  readonly #canReset: boolean;
  #end: MachineEnd | null = null;
  #resolveFinished: (end: MachineEnd) => void = () => {};
  #rejectFinished: (error: Error) => void = () => {};
  #closed = false;

  /** @internal */
  constructor(parts: {
    board: VirtBoard;
    memory: VmMemory;
    log: Observable<string>;
    setOnEnd: SetOnEnd;
    noReboot: boolean;
    run: DeterministicRun | null;
    makeup: SavedMakeup;
    ram: Uint8Array;
    canReset: boolean;
  }) {
    const { board, run, makeup, ram } = parts;
    this.#canReset = parts.canReset;
    this.#board = board;
    this.#run = run;
    this.deterministic = run;
    this.memory = parts.memory;
    this.log = parts.log;
    const enter = run === null ? undefined : (bytes: Uint8Array) => run.submit({ kind: 'console', bytes });
    this.console = new VmConsole(board.link, (handler) => board.onSpace(handler), enter);
    this.#saver = new VmSaver({
      ...{ board, run, makeup, ram, console: this.console },
      state: () => this.state,
      // In `stopping` it is known what the machine's user wanted last.
      runs: () => this.state !== 'paused' && this.actor.getSnapshot().context.runAfterReset,
      tell: (event) => this.#tell(event),
      pause: () => {
        this.actor.send({ type: 'machine.pause' });
        return this.#standing();
      },
    });
    this.states = this.#states.asObservable();
    this.finished = new Promise((resolve, reject) => {
      this.#resolveFinished = resolve;
      this.#rejectFinished = reject;
    });
    // Whoever does not look at it is not to be punished for a machine that failed: the actor tells as well.
    this.finished.catch(() => {});
    parts.setOnEnd({
      onEnd: (request) => this.#guestEnds(request, parts.noReboot || !parts.canReset),
      onThreadEnd: (error) => {
        if (error !== null && !this.#closed) this.actor.send({ type: 'machine.fail', error: new RemoteError(error) });
      },
    });
    const inspect = board.inspection?.observer;
    this.actor = createActor(board.logic, {
      systemId: 'machine',
      ...(inspect !== undefined && { inspect }),
    }) as AnyActorRef;
    board.connect(this.actor);
    this.actor.subscribe({ next: () => this.#changed(), error: (error) => this.#fail(asError(error)) });
    this.actor.start();
    run?.connect({
      machine: (type) => this.actor.send({ type }),
      type: (bytes) => void this.console.type(bytes),
      live: () => this.console.tellRoom(),
      fail: (error) => this.actor.send({ type: 'machine.fail', error }),
    });
  }

  /** The run state, as QEMU names it. */
  get state(): RunState {
    return (this.actor.getSnapshot() as { value: RunState }).value;
  }

  /** Lets the guest run. */
  start(): void {
    this.#tell('start');
  }

  /**
   * @returns settles when every vCPU stands and virtual time with it; at once where they stand already; and when they
   *   run again because of a later resume(). Rejects when the machine fails or is stopped meanwhile, or was before
   */
  pause(): Promise<void> {
    this.#tell('pause');
    return this.#standing();
  }

  /** Lets a paused machine go on. What was written to guest RAM meanwhile, code included, is what it finds. */
  resume(): void {
    this.#tell('resume');
  }

  /**
   * Writes the machine to a file, from which createVm({ from }) makes it go on. One that runs is paused for it, and runs on
   * afterwards; what is asked of it meanwhile is done then. A deterministic run goes on to the next step where nothing is
   * under way, is written down there, and is not changed by it.
   * @returns settles when the file is there, whole. Rejects with a SnapshotError, and what was there before is still
   *   there: before start(), after the guest's end, while it is being saved, where the host refuses; or with the signal's
   *   reason
   */
  save(path: string, options: SaveOptions = {}): Promise<void> {
    return this.#saver.save(path, options);
  }

  /**
   * Back to power-on, with the same images. A machine that ran runs again; one that stood is then paused.
   * @throws ConfigError for a machine made from a file without images
   */
  reset(): void {
    if (!this.#canReset) {
      throw new ConfigError('from', 'the file has no images to begin anew with', 'Give createVm() the kernel as well.');
    }
    this.#tell('reset');
  }

  /**
   * Runs a function on a vCPU's thread between two guest instructions, with the hart's state in its hands; also while the
   * machine is paused, and before it has started.
   * @param code names the function: `(state: HartAccess, parameters) => result`; plain data goes in and comes back
   * @returns settles with what it returned; rejects with what it threw, or when the machine has ended. While the machine
   *   is being saved it waits
   */
  runOnVcpu(hart: number, code: WorkerCode): Promise<unknown> {
    this.#run?.refuseUnrecorded('work on a vCPU');
    return this.#afterSave(() => this.#board.runOnVcpu(hart, code));
  }

  /**
   * From now on the pages that vCPUs, devices and the host write to guest RAM are noted for this client; nothing that it
   * was told before counts. @returns settles when every writer does; one question about a client at a time
   */
  startDirtyLog(client: DirtyClient): Promise<void> {
    return new Promise((resolve) => this.#board.dirtyPages.start(client, resolve));
  }

  /** @returns as startDirtyLog() */
  stopDirtyLog(client: DirtyClient): Promise<void> {
    return new Promise((resolve) => this.#board.dirtyPages.stop(client, resolve));
  }

  /**
   * The pages written since the client last asked, or started. A write that is under way is in this answer or in the next
   * one. @returns a bitmap of guest RAM: page p, of 4 KiB, is bit p % 8 of byte p / 8
   */
  collectDirty(client: DirtyClient): Promise<Uint8Array> {
    return new Promise((resolve) => this.#board.dirtyPages.collect(client, resolve));
  }

  /**
   * Puts a PCI function into the slot of a root port (`bus`) while the machine lives; its guest is told as when somebody
   * plugs in a card and presses the slot's button. @throws ConfigError where that cannot be, or while the machine is being
   * saved
   */
  plug(device: VmPciDevice): void {
    this.#run?.refuseUnrecorded('a function that is plugged in');
    if (this.#saver.saving) {
      throw new ConfigError(`pci: ${device.name}`, 'the machine is being saved', 'Wait until save() has settled.');
    }
    this.#board.plug(device);
  }

  /**
   * Asks the guest to let go of a function in the slot of a root port, or, as a surprise, pulls it out.
   * @returns settles when it is out: once the guest has switched the slot off; rejects with ConfigError for a name that
   *   is in no slot, or when the machine is stopped before. While the machine is being saved nothing is asked yet
   */
  unplug(name: string, options: { readonly surprise?: boolean } = {}): Promise<void> {
    this.#run?.refuseUnrecorded('a function that is taken out');
    return this.#afterSave(() => this.#board.unplug(name, options.surprise ?? false));
  }

  /**
   * Ends the machine and its threads, whatever they are doing. Doing it again changes nothing.
   * @returns settles when they have ended; rejects when a replay, now at the recording's end, is not what was recorded
   */
  async stop(): Promise<void> {
    let difference: Error | null = null;
    if (!this.#closed) {
      this.#closed = true;
      this.#saver.close();
      difference = this.#run?.close() ?? null;
      this.actor.send({ type: 'machine.stop' });
      this.#rejectFinished(new Error('the machine was stopped'));
      this.console.close(new Error('the machine was stopped'));
    }
    await this.#board.close();
    if (difference !== null) throw difference;
  }

  /** At once, unless the machine is being saved. */
  #afterSave<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        if (this.#closed) reject(new Error('the machine was stopped'));
        else work().then(resolve, reject);
      };
      if (!this.#saver.keep(begin)) begin();
    });
  }

  #tell(event: MachineInput): void {
    if (this.#closed || this.#saver.keep(() => this.#tell(event))) return;
    if (this.#run === null) this.actor.send({ type: `machine.${event}` });
    else this.#run.submit({ kind: 'machine', event });
  }

  #guestEnds(request: MachineEnd, noReboot: boolean): void {
    if (this.#closed) return;
    // A guest that goes on until it is made to stand may ask again: it has ended as it did first.
    if (this.#end !== null) return;
    if (request.kind === 'reboot' && !noReboot) {
      this.actor.send({ type: 'machine.reset' });
      return;
    }
    this.#end = request;
    if (request.kind === 'panic') this.actor.send({ type: 'machine.panic', message: 'the guest reports a failure' });
    else this.actor.send({ type: 'machine.shutdown', reason: 'guest-shutdown', exitCode: request.code });
  }

  #changed(): void {
    const { state } = this;
    this.#states.next(state);
    if (state === 'running' || state === 'paused') this.#end = null;
    if ((state === 'shutdown' || state === 'guest-panicked') && this.#end !== null) this.#resolveFinished(this.#end);
    if (state === 'internal-error') this.#fail(this.#cause());
  }

  #fail(cause: Error): void {
    this.#rejectFinished(cause);
    this.console.close(cause);
  }

  /** Why the machine is in `internal-error`. */
  #cause(): Error {
    return this.#board.withTrail((this.actor.getSnapshot() as { context: { error: unknown } }).context.error);
  }

  /** @internal */
  async restore(frozen: SavedVm, { parts, input }: FrozenStates): Promise<void> {
    for (const piece of input) this.console.type(piece);
    let done: (failure: PartFailure | null) => void = () => {};
    const restored = new Promise<PartFailure | null>((resolve, reject) => {
      done = resolve;
      this.finished.catch(reject);
    });
    this.#board.restore(frozen.timeNs, parts, done);
    this.#run?.settle();
    const failure = await restored;
    if (failure !== null) throw partError(failure.name, failure.error.message);
    this.#run?.goOnFrom(frozen.run, frozen.runs);
  }

  #standing(): Promise<void> {
    return this.#reach(['prelaunch', 'paused', 'shutdown', 'guest-panicked']);
  }

  #reach(goals: readonly RunState[]): Promise<void> {
    return new Promise((resolve, reject) => {
      let stopping = false;
      const look = (): boolean => {
        stopping ||= this.state === 'stopping';
        if (goals.includes(this.state) || (stopping && this.state === 'running')) resolve();
        else if (this.state === 'internal-error') reject(this.#cause());
        else if (this.state === 'stopped') reject(new Error('the machine was stopped'));
        else return false;
        return true;
      };
      if (look()) return;
      const subscription = this.actor.subscribe(() => {
        if (look()) subscription.unsubscribe();
      });
    });
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

interface EndListeners {
  onEnd(request: MachineEnd): void;
  onThreadEnd(error: Parameters<ConstructorParameters<typeof VirtBoard>[0]['onThreadEnd']>[0]): void;
}
type SetOnEnd = (listeners: EndListeners) => void;

/**
 * Makes a machine. @throws ConfigError with the option's name and the remedy, before anything has started
 */
export async function createVm(options: VmOptions = {}): Promise<Vm> {
  const frozen = options.from === undefined ? null : await openFrozen(options.from, options);
  try {
    return await makeVm(frozen?.options ?? options, frozen);
  } finally {
    await frozen?.close();
  }
}

/** @returns null for a machine with threads, which does not load what simulates them; @throws ConfigError */
async function openRun(options: DeterministicOptions): Promise<DeterministicRun | null> {
  const { seed, record, replay } = options;
  if (seed === undefined && record === undefined && replay === undefined) return null;
  const module = await import('./vm-deterministic.ts');
  return module.openRun(options, () => randomInt(2 ** 31));
}

async function makeVm(options: VmOptions, frozen: FrozenVm | null): Promise<Vm> {
  const ramBytes = options.ramBytes ?? RAM_DEFAULT_BYTES;
  const harts = options.harts ?? 1;
  const aia = options.aia ?? AIA_DEFAULT;
  const accel = options.accel ?? ACCEL_DEFAULT;
  checkMachine(ramBytes, harts, aia, accel);
  const devices = options.devices ?? [];
  const run = await openRun(options);
  checkDevices(devices, ramBytes);
  const pci = { rootPorts: options.rootPorts ?? [], functions: options.pci ?? [] };
  checkPci(pci, [...TAKEN_NAMES, ...devices.map(({ name }) => name)]);
  const layout = layOutMemory({ vcpus: harts, arenaBytes: ARENA.lengthBytes, ramBytes });
  const bios = options.bios ?? 'default';
  const biosKind = frozen?.saved.bios ?? (bios instanceof Uint8Array ? 'firmware' : bios);
  const { plan, loadSegments, canReset } = planBoots(
    options,
    { harts, ramBytes, aia, bios, devices },
    {
      saved: frozen?.saved.plan ?? null,
      rngSeed: () => run?.guestSeed(32) ?? randomBytes(32),
      planned: (segments) => run?.check(guestDigest(segments, machineOf(options, harts, ramBytes))),
    },
  );
  const modules = await loadHartModules();
  const memory = allocate(layout);
  const guestRam = new Uint8Array(memory.buffer, layout.ram, ramBytes);
  const states = (await frozen?.read(guestRam, { harts, aia, devices, pci })) ?? null;
  if (frozen?.saved.run != null) run?.beginAt(frozen.saved.run.timeNs);
  const log = new Subject<string>();
  let listeners: EndListeners | null = null;
  const board = new VirtBoard({
    harts,
    aia,
    accel,
    compileThread: accel === 'jit' && (options.compileThread ?? needsCompileThread(harts)),
    // One thread runs all harts of a deterministic machine, on any host in the same way.
    sharesCores: run !== null || haveToShareCores(harts),
    pci,
    memory,
    layout,
    modules,
    plan,
    loadSegments,
    devices,
    sbi: biosKind === 'default',
    seed: run?.loopSeed() ?? randomInt(2 ** 31),
    ...(run !== null && { placement: run.placement }),
    log: options.log ?? null,
    inspect: options.inspect ?? null,
    onEnd: (request) => listeners?.onEnd(request),
    onLog: (text) => log.next(text),
    onThreadEnd: (error) => listeners?.onThreadEnd(error),
  });
  const setOnEnd: SetOnEnd = (given) => {
    listeners = given;
  };
  const savedDevices = devices.map(({ name, base, irq = null }) => ({ name, base, irq }));
  const vm = new Vm({
    board,
    memory: vmMemory(guestRam, virtTable.dram.base, (...range) => board.hostWrote(...range)),
    log: log.asObservable(),
    setOnEnd,
    noReboot: options.noReboot ?? false,
    run,
    makeup: { harts, aia, bios: biosKind, plan, rootPorts: pci.rootPorts, devices: savedDevices },
    ram: guestRam,
    canReset,
  });
  if (frozen !== null && states !== null) await restoreOrStop(vm, frozen, states);
  return vm;
}

async function restoreOrStop(vm: Vm, frozen: FrozenVm, states: FrozenStates): Promise<void> {
  try {
    await vm.restore(frozen.saved, states);
  } catch (error) {
    await vm.stop();
    throw error;
  }
}
