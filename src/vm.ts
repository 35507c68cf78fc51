/**
 * The library: a machine to start, pause, type to and watch. createVm() checks the configuration and makes the machine;
 * nothing runs before start().
 */
import { randomBytes, randomInt } from 'node:crypto';
import type { MachineEnd } from '../actors/board/machine-end.ts';
import { VirtBoard } from '../actors/board/virt.ts';
import { checkDevices, TAKEN_NAMES, type VmDevice, withDeviceNodes } from '../actors/board/virt-devices.ts';
import { checkPci, type VmPciDevice } from '../actors/board/virt-pci-functions.ts';
import { HARTS_MAX, RAM_DEFAULT_BYTES, RAM_MAX_BYTES, RAM_MIN_BYTES, virtTable } from '../actors/board/virt-table.ts';
import { virtDeviceTree } from '../actors/board/virt-tree.ts';
import { ACCEL_KINDS, type Accel } from '../actors/cpu/accel.ts';
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
import { bytesOf, type ImageSource } from './boot/image-source.ts';
import { type BootPlan, planBoot } from './boot/plan.ts';
import type { BootSegment } from './boot/segment.ts';
import { readFdt } from './fdt/read.ts';
import { ARENA } from './hart/state.ts';
import type { DirtyClient } from './memory/dirty-log.ts';
import { createMemory, layOutMemory, type MemoryLayout } from './memory/layout.ts';
import { hashRam } from './snapshot/ram-hash.ts';
import { ConfigError } from './util/config-error.ts';
import { RemoteError } from './util/errors.ts';
import { VmConsole } from './vm-console.ts';
import { type DeterministicRun, openRun, type VmDeterministic } from './vm-deterministic.ts';
import { loadHartModules } from './vm-modules.ts';
import { guestDigest, type MachineInput } from './vm-recording.ts';

const RAM_UNIT_BYTES = 4096;
const AIA_DEFAULT: Aia = 'none';

export interface VmOptions {
  /** Number of harts, each a vCPU in its own thread; 1 where left out, 64 at most. */
  readonly harts?: number;
  /** Interrupt controllers: a PLIC, an APLIC, or an APLIC and an IMSIC for each hart; `none` (the PLIC) where left out. */
  readonly aia?: Aia;
  /**
   * How instructions are executed: `interpreter` where left out; `jit` translates what is hot to WebAssembly. The guest
   * can tell by their speed only; a recording of a run with one is one of a run with the other.
   */
  readonly accel?: Accel;
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
  /**
   * What goes to vm.log: `in_asm` every instruction once, `int` every trap, `guest_errors` accesses nobody answers,
   * `jit` what is translated.
   */
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
  /** xstate's inspect observer: receives the events of the whole machine's actors, on every thread. */
  readonly inspect?: Observer<InspectionEvent> | ((event: InspectionEvent) => void);
}

/** Guest RAM, by guest-physical address; for tests and tools. A running guest may change it at any time. */
export interface VmMemory {
  /** @returns a copy; @throws RangeError outside RAM */
  read(gpa: number, lengthBytes: number): Uint8Array;
  write(gpa: number, bytes: Uint8Array): void;
  /** @returns a 64-bit hash of all of it; of a machine that stands it says whether two of them are at the same point */
  hash(): bigint;
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
  }) {
    const { board, run } = parts;
    this.#board = board;
    this.#run = run;
    this.deterministic = run;
    this.memory = parts.memory;
    this.log = parts.log;
    const enter = run === null ? undefined : (bytes: Uint8Array) => run.submit({ kind: 'console', bytes });
    this.console = new VmConsole(board.link, (handler) => board.onSpace(handler), enter);
    this.states = this.#states.asObservable();
    this.finished = new Promise((resolve, reject) => {
      this.#resolveFinished = resolve;
      this.#rejectFinished = reject;
    });
    // Whoever does not look at it is not to be punished for a machine that failed: the actor tells as well.
    this.finished.catch(() => {});
    parts.setOnEnd({
      onEnd: (request) => this.#guestEnds(request, parts.noReboot),
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
    return this.#reach(['prelaunch', 'paused', 'shutdown', 'guest-panicked']);
  }

  /** Lets a paused machine go on. What was written to guest RAM meanwhile, code included, is what it finds. */
  resume(): void {
    this.#tell('resume');
  }

  /** Back to power-on, with the same images. A machine that ran runs again; one that stood is then paused. */
  reset(): void {
    this.#tell('reset');
  }

  /**
   * Runs a function on a vCPU's thread between two guest instructions, with the hart's state in its hands; also while the
   * machine is paused, and before it has started.
   * @param code names the function: `(state: HartAccess, parameters) => result`; plain data goes in and comes back
   * @returns settles with what it returned; rejects with what it threw, or when the machine has ended
   */
  runOnVcpu(hart: number, code: WorkerCode): Promise<unknown> {
    this.#run?.refuseUnrecorded('work on a vCPU');
    return this.#board.runOnVcpu(hart, code);
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
   * plugs in a card and presses the slot's button. @throws ConfigError where that cannot be
   */
  plug(device: VmPciDevice): void {
    this.#run?.refuseUnrecorded('a function that is plugged in');
    this.#board.plug(device);
  }

  /**
   * Asks the guest to let go of a function in the slot of a root port, or, as a surprise, pulls it out.
   * @returns settles when it is out: once the guest has switched the slot off; rejects with ConfigError for a name that
   *   is in no slot
   */
  unplug(name: string, options: { readonly surprise?: boolean } = {}): Promise<void> {
    this.#run?.refuseUnrecorded('a function that is taken out');
    return this.#board.unplug(name, options.surprise ?? false);
  }

  /**
   * Ends the machine and its threads, whatever they are doing. Doing it again changes nothing.
   * @returns settles when they have ended; rejects when a replay, now at the recording's end, is not what was recorded
   */
  async stop(): Promise<void> {
    let difference: Error | null = null;
    if (!this.#closed) {
      this.#closed = true;
      difference = this.#run?.close() ?? null;
      this.actor.send({ type: 'machine.stop' });
      this.#rejectFinished(new Error('the machine was stopped'));
      this.console.close(new Error('the machine was stopped'));
    }
    await this.#board.close();
    if (difference !== null) throw difference;
  }

  #tell(event: MachineInput): void {
    if (this.#closed) return;
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
  const ramBytes = options.ramBytes ?? RAM_DEFAULT_BYTES;
  checkRam(ramBytes);
  const harts = options.harts ?? 1;
  checkHarts(harts);
  const aia = options.aia ?? AIA_DEFAULT;
  checkAia(aia);
  const accel = options.accel ?? 'interpreter';
  checkAccel(accel);
  const devices = options.devices ?? [];
  const run = openRun(options, () => randomInt(2 ** 31));
  checkDevices(devices, ramBytes);
  const pci = { rootPorts: options.rootPorts ?? [], functions: options.pci ?? [] };
  checkPci(pci, [...TAKEN_NAMES, ...devices.map(({ name }) => name)]);
  const layout = layOutMemory({ vcpus: harts, arenaBytes: ARENA.lengthBytes, ramBytes });
  const bios = options.bios ?? 'default';
  const ram = { base: virtTable.dram.base, lengthBytes: ramBytes };
  const makePlan = (): BootPlan =>
    planBoot({
      ram,
      romGpa: virtTable.mrom.base,
      bios: bios === 'default' ? 'builtin' : bios,
      kernel: options.kernel && bytesOf(options.kernel),
      initrd: options.initrd && bytesOf(options.initrd),
      append: options.append,
      deviceTree:
        options.dtb === undefined
          ? withDeviceNodes(virtDeviceTree({ harts, ramBytes, aia, supervisorOnly: bios === 'default' }), devices)
          : readFdt(options.dtb),
      rngSeed: run?.guestSeed(32) ?? randomBytes(32),
    });
  const { segments, ...start } = makePlan();
  run?.check(guestDigest(segments, machineOf(options, harts, ramBytes)));
  let first: readonly BootSegment[] | null = segments;
  // Planned anew for each reset: what was loaded once is in guest RAM and need not lie here too.
  const takeSegments = (): readonly BootSegment[] => {
    const taken = first ?? makePlan().segments;
    first = null;
    return taken;
  };
  const modules = await loadHartModules();
  const memory = allocate(layout);
  const log = new Subject<string>();
  let listeners: EndListeners | null = null;
  const board = new VirtBoard({
    harts,
    aia,
    accel,
    pci,
    memory,
    layout,
    modules,
    plan: start,
    takeSegments,
    devices,
    sbi: bios === 'default',
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
  const guestRam = new Uint8Array(memory.buffer, layout.ram, ramBytes);
  return new Vm({
    board,
    memory: vmMemory(guestRam, ram.base, (...range) => board.hostWrote(...range)),
    log: log.asObservable(),
    setOnEnd,
    noReboot: options.noReboot ?? false,
    run,
  });
}

/** What of the options a recorded run depends on, beside what lies in RAM. */
function machineOf(options: VmOptions, harts: number, ramBytes: number): object {
  const { bios = 'default', noReboot = false, log, inspect, devices = [], aia = AIA_DEFAULT } = options;
  const { rootPorts = [], pci = [] } = options;
  return {
    harts,
    ramBytes,
    bios: typeof bios === 'string' ? bios : 'firmware',
    noReboot,
    log: log?.items ?? [],
    inspected: inspect !== undefined,
    devices: devices.map(({ name, base, irq }) => [name, base, irq]),
    aia,
    rootPorts,
    pci: pci.map(({ name, definition, bus = null, addr = null }) => [name, definition.name, bus, addr]),
  };
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

function checkAccel(accel: Accel): void {
  if (ACCEL_KINDS.includes(accel)) return;
  throw new ConfigError('-accel', `'${String(accel)}' is not known`, `Write one of ${ACCEL_KINDS.join(', ')}.`);
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

function vmMemory(ram: Uint8Array, base: number, wrote: (offset: number, lengthBytes: number) => void): VmMemory {
  const offsetOf = (gpa: number, lengthBytes: number): number => {
    const isRange = Number.isSafeInteger(gpa) && Number.isSafeInteger(lengthBytes) && lengthBytes >= 0;
    if (isRange && gpa >= base && gpa + lengthBytes <= base + ram.length) return gpa - base;
    throw new RangeError(`${lengthBytes} bytes at 0x${gpa.toString(16)} are not all in guest RAM`);
  };
  return {
    read: (gpa, lengthBytes) => ram.slice(offsetOf(gpa, lengthBytes), offsetOf(gpa, lengthBytes) + lengthBytes),
    write: (gpa, bytes) => {
      const offset = offsetOf(gpa, bytes.length);
      ram.set(bytes, offset);
      wrote(offset, bytes.length);
    },
    hash: () => hashRam(ram),
  };
}
