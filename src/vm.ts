/**
 * The library: a machine to start, pause, type to and watch. createVm() checks the configuration and makes the machine;
 * nothing runs before start().
 */
import { randomBytes, randomInt } from 'node:crypto';
import type { MachineEnd } from '../actors/board/machine-end.ts';
import { VirtBoard } from '../actors/board/virt.ts';
import { checkDevices, TAKEN_NAMES, type VmDevice } from '../actors/board/virt-devices.ts';
import { checkPci, type VmPciDevice } from '../actors/board/virt-pci-functions.ts';
import type { PartFailure } from '../actors/board/virt-persist.ts';
import { HARTS_MAX, RAM_DEFAULT_BYTES, RAM_MAX_BYTES, RAM_MIN_BYTES, virtTable } from '../actors/board/virt-table.ts';
import { AIA_KINDS, type Aia } from '../actors/cpu/aia.ts';
import type { RunState } from '../machines/machine.ts';
import {
  type AnyActorRef,
  createActor,
  type InspectionEvent,
  type Observable,
  type Observer,
  Subject,
  type WorkerCode,
} from './actor/index.ts';
import type { ImageSource } from './boot/image-source.ts';
import { ARENA } from './hart/state.ts';
import { createMemory, layOutMemory, type MemoryLayout } from './memory/layout.ts';
import { ConfigError } from './util/config-error.ts';
import { RemoteError } from './util/errors.ts';
import { planBoots } from './vm-boot.ts';
import { VmConsole } from './vm-console.ts';
import { type DeterministicRun, openRun, type VmDeterministic } from './vm-deterministic.ts';
import { loadHartModules } from './vm-modules.ts';
import { guestDigest, type MachineInput } from './vm-recording.ts';
import { type SavedMakeup, type SaveOptions, VmSaver } from './vm-save.ts';
import { type FrozenStates, type FrozenVm, openFrozen, partError } from './vm-snapshot.ts';
import type { SavedVm } from './vm-snapshot-header.ts';

const RAM_UNIT_BYTES = 4096;
const AIA_DEFAULT: Aia = 'none';

export interface VmOptions {
  /** Number of harts, each a vCPU in its own thread; 1 where left out, 64 at most. */
  readonly harts?: number;
  /** Interrupt controllers: a PLIC, an APLIC, or an APLIC and an IMSIC for each hart; `none` (the PLIC) where left out. */
  readonly aia?: Aia;
  /** Names of PCI Express root ports, each with a slot for one function, which can be plugged and unplugged. */
  readonly rootPorts?: readonly string[];
  /** PCI functions, on the root bus or in the slot of a root port. */
  readonly pci?: readonly VmPciDevice[];
  /** Guest RAM in bytes, whole pages of 4 KiB; 512 MiB where left out, 4 MiB at least, 3.5 GiB at most. */
  readonly ramBytes?: number;
  /** ELF, Linux Image or raw bytes, decompressed. A function is called again at each reset, so that nothing is kept. */
  readonly kernel?: ImageSource;
  readonly initrd?: ImageSource;
  /** The kernel's command line. */
  readonly append?: string;
  /** `default`: the built-in SBI. `none`: the kernel runs in M mode from 0x80000000. Bytes: firmware in M mode. */
  readonly bios?: 'default' | 'none' | Uint8Array;
  /** A device-tree blob to use instead of the board's own; /chosen is filled in. */
  readonly dtb?: Uint8Array;
  /** Devices of the caller's own, on the main loop. */
  readonly devices?: readonly VmDevice[];
  /** A guest that asks for a reboot ends the machine instead. */
  readonly noReboot?: boolean;
  /** What goes to vm.log: `in_asm` every instruction once, `int` every trap, `guest_errors` accesses nobody answers. */
  readonly log?: { readonly items: readonly string[] };
  /**
   * The machine is deterministic: all of it runs in the caller's thread, on simulated time, and this number, from 0 to
   * 2^32 - 1, decides the order of everything. Left out: a thread for each hart, on the host's time.
   */
  readonly seed?: number;
  /** Takes a recording of a deterministic run, text to be appended piece by piece; without `seed` one is drawn. */
  readonly record?: (text: string) => void;
  /** Such a recording: the run is repeated, with its inputs in place of the caller's, and then goes on with those. */
  readonly replay?: string;
  /**
   * A file that save() wrote: the machine goes on from there, paused, until start() or resume(). It is made as it was;
   * options may repeat that, and devices may be added. The caller's own devices and functions are given again, under their
   * names; the kernel and other images only if the machine is to survive a reset.
   */
  readonly from?: string;
  /** xstate's inspect observer: receives the events of the whole machine's actors, on every thread. */
  readonly inspect?: Observer<InspectionEvent> | ((event: InspectionEvent) => void);
}

/** Guest RAM, by guest-physical address; for tests and tools. A running guest may change it at any time. */
export interface VmMemory {
  /** @returns a copy; @throws RangeError outside RAM */
  read(gpa: number, lengthBytes: number): Uint8Array;
  write(gpa: number, bytes: Uint8Array): void;
}

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
   * @returns settles with what it returned; rejects with what it threw, or when the machine has ended
   */
  runOnVcpu(hart: number, code: WorkerCode): Promise<unknown> {
    return this.#board.runOnVcpu(hart, code);
  }

  /** Ends the machine and its threads, whatever they are doing. Doing it again changes nothing. */
  async stop(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#saver.close();
      this.#run?.close();
      this.actor.send({ type: 'machine.stop' });
      this.#rejectFinished(new Error('the machine was stopped'));
      this.console.close(new Error('the machine was stopped'));
    }
    await this.#board.close();
  }

  #tell(event: MachineInput): void {
    if (this.#closed || this.#saver.keep(event)) return;
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
    return asError((this.actor.getSnapshot() as { context: { error: unknown } }).context.error);
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

async function makeVm(options: VmOptions, frozen: FrozenVm | null): Promise<Vm> {
  const ramBytes = options.ramBytes ?? RAM_DEFAULT_BYTES;
  checkRam(ramBytes);
  const harts = options.harts ?? 1;
  checkHarts(harts);
  const aia = options.aia ?? AIA_DEFAULT;
  checkAia(aia);
  const devices = options.devices ?? [];
  const run = openRun(options, () => randomInt(2 ** 31));
  checkDevices(devices, ramBytes);
  const pci = { rootPorts: options.rootPorts ?? [], functions: options.pci ?? [] };
  checkPci(pci, [...TAKEN_NAMES, ...devices.map(({ name }) => name)]);
  const layout = layOutMemory({ vcpus: harts, arenaBytes: ARENA.lengthBytes, ramBytes });
  const bios = options.bios ?? 'default';
  const biosKind = frozen?.saved.bios ?? (bios instanceof Uint8Array ? 'firmware' : bios);
  const { plan, takeSegments, canReset } = planBoots(
    options,
    { harts, ramBytes, aia, bios, devices },
    {
      saved: frozen?.saved.plan ?? null,
      rngSeed: () => run?.randomBytes(32) ?? randomBytes(32),
      planned: (segments) => run?.check(guestDigest(segments, ramBytes)),
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
    pci,
    memory,
    layout,
    modules,
    plan,
    takeSegments,
    devices,
    sbi: biosKind === 'default',
    seed: run?.randomInt() ?? randomInt(2 ** 31),
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
    memory: vmMemory(guestRam, virtTable.dram.base),
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

function checkRam(ramBytes: number): void {
  const isWhole = Number.isSafeInteger(ramBytes) && ramBytes % RAM_UNIT_BYTES === 0;
  if (isWhole && ramBytes >= RAM_MIN_BYTES && ramBytes <= RAM_MAX_BYTES) return;
  const range = `from ${RAM_MIN_BYTES / 2 ** 20}M to ${RAM_MAX_BYTES / 2 ** 20}M`;
  throw new ConfigError('-m', `a machine cannot have ${ramBytes} bytes of RAM`, `Give it ${range}, in whole pages.`);
}

function checkHarts(harts: number): void {
  if (Number.isInteger(harts) && harts >= 1 && harts <= HARTS_MAX) return;
  throw new ConfigError('-smp', `a machine cannot have ${harts} harts`, `Give it 1 to ${HARTS_MAX}.`);
}

function checkAia(aia: Aia): void {
  if (AIA_KINDS.includes(aia)) return;
  throw new ConfigError('-M aia', `'${String(aia)}' is not known`, `Write one of ${AIA_KINDS.join(', ')}.`);
}

/** @throws ConfigError where the host has not the address space */
function allocate(layout: MemoryLayout): WebAssembly.Memory {
  try {
    return createMemory(layout);
  } catch (error) {
    const problem = `the host does not give ${layout.ramBytes / 2 ** 20} MiB (${String(error)})`;
    throw new ConfigError('-m', problem, 'Use less, or end what takes the memory.');
  }
}

function vmMemory(ram: Uint8Array, base: number): VmMemory {
  const offsetOf = (gpa: number, lengthBytes: number): number => {
    const isRange = Number.isSafeInteger(gpa) && Number.isSafeInteger(lengthBytes) && lengthBytes >= 0;
    if (isRange && gpa >= base && gpa + lengthBytes <= base + ram.length) return gpa - base;
    throw new RangeError(`${lengthBytes} bytes at 0x${gpa.toString(16)} are not all in guest RAM`);
  };
  return {
    read: (gpa, lengthBytes) => ram.slice(offsetOf(gpa, lengthBytes), offsetOf(gpa, lengthBytes) + lengthBytes),
    write: (gpa, bytes) => ram.set(bytes, offsetOf(gpa, bytes.length)),
  };
}
