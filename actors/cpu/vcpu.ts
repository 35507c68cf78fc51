/**
 * The vCPU actor: the chart of a vCPU's life (machines/vcpu.ts) around its core. This file alone holds the core, and
 * through it the hart. Others get a runner, which does nothing once the actor has stopped or failed, and a timer port.
 *
 * The core is made with the actor: the devices whose registers are in its address space come first.
 */
import { vcpuMachine } from '../../machines/vcpu.ts';
import {
  type AnyActorLogic,
  type AnyActorRef,
  type AnyStateMachine,
  type ChartOwned,
  chartActorLogic,
} from '../../src/actor/index.ts';
import { StateError } from '../../src/bus/device-state.ts';
import type { FlatView } from '../../src/bus/flat-view.ts';
import { Hart, type HartOptions } from '../../src/hart/hart.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import type { RegionCompiler } from '../../src/jit/compile.ts';
import { translatorWith } from '../../src/jit/translator.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import type { DirtyClient, DirtyWriter } from '../../src/memory/dirty-log.ts';
import {
  type HartEntry,
  type HartState,
  hartStartError,
  hartState,
  type RemoteFence,
  type SbiErrorCode,
  type SbiResult,
  sbiError,
} from '../../src/sbi/host.ts';
import type { AclintHartPort } from '../misc/aclint.ts';
import type { Accel } from './accel.ts';
import type { InboundOrder } from './access-order.ts';
import { HartLog, type LogConfig } from './hart-log.ts';
import type { HartServer } from './hart-peers.ts';
import type { HartStart } from './hart-setup.ts';
import { VCPU_STATE_VERSION } from './messages.ts';
import { createSbiHost, type SbiPorts, type SbiVcpu } from './sbi-host.ts';
import { YIELDS_BEFORE_PARKING } from './spinning.ts';
import { TICK_NS, VcpuCore, type VcpuCoreState } from './vcpu-core.ts';
import type { HartAccess } from './vcpu-work.ts';

/** A vCPU as plain data. */
export interface VcpuState extends VcpuCoreState {
  readonly version: number;
  /** The guest wants this hart to execute. */
  readonly started: boolean;
}

export interface VcpuOptions {
  readonly loop: LoopPort;
  /** Where other harts reach devices of this thread; else left out. */
  readonly order?: InboundOrder | null;
  /** There are more harts than cores: one that spins soon gives way to whom it may be waiting for. */
  readonly sharesCores: boolean;
  readonly hart: Omit<HartOptions, 'readMtime'>;
  readonly sbi: SbiPorts;
  readonly log: LogConfig | null;
  readonly accel?: Accel;
  /** Where translated code is compiled; left out: here, at once. */
  readonly compiler?: RegionCompiler | undefined;
  /** What the hart sees besides RAM, in the beginning; asked for once, when the actor is made. */
  firstView(): FlatView;
  /** How this hart begins when the board or another hart starts it. */
  startOf(pc: bigint, argument: bigint): HartStart;
  /** Told when the vCPU stands, having been asked to. */
  paused(): void;
  /** Takes whole lines of what `log` asks for. */
  writeLog(text: string): void;
  /** Calls `handler` whenever the way to far devices has room again after it had none. */
  onSpace(handler: () => void): void;
}

/** What the vCPU's thread and its devices may do with it. Nothing happens once the actor has stopped or failed. */
export interface VcpuRunner {
  /** Whether slice() would do anything now. */
  readonly runnable: boolean;
  /** Whether another thread's answer is all that it waits for. */
  readonly awaitsAnswer: boolean;
  /**
   * Runs the hart for a while. What goes wrong in it fails the actor, not the caller.
   * @param count instructions at most; @returns how many it has lasted
   */
  slice(count?: number): number;
  /** Instructions retired since the slice under way began. */
  readonly retired: number;
  /** Drives a bit of mip. */
  setInterruptLine(bit: number, level: boolean): void;
  /** The hart asked for its machine's end: it does not go on. */
  halt(): void;
  /** The next version of the topology. */
  setView(view: FlatView, flush: boolean): void;
  receiveMsi(file: 'M' | 'S', identity: number): void;
  /** Serves signals to the hart, where the doorbell has rung for nothing else. */
  takeSignals(): void;
  /** As VcpuCore.lookFor. */
  lookFor(durationNs: number): void;
  /** The vCPU as plain data; null when the actor has ended. */
  save(): VcpuState | null;
  /** Of a vCPU that is paused and has not run yet. @throws Error where the state is none of this version */
  restore(state: VcpuState): void;
  /** Lends the hart's state. @throws Error when the actor has ended, and what `run` throws */
  lend<T>(run: (state: HartAccess) => T): T;
}

export interface Vcpu {
  readonly logic: AnyActorLogic;
  readonly runner: VcpuRunner;
  /** What the ACLINT tells the hart. */
  readonly timer: AclintHartPort;
  /** What other harts ask. */
  readonly server: HartServer;
  /** What the hart writes to RAM. */
  readonly dirty: DirtyWriter;
}

/** A vCPU for one thread: `logic` makes one actor. */
export function createVcpu(options: VcpuOptions): Vcpu {
  const body = new VcpuBody(options);
  return { logic: body.logic(), runner: body, timer: body, server: body, dirty: body.dirtyWriter() };
}

class VcpuBody implements VcpuRunner, AclintHartPort, HartServer, SbiVcpu, ChartOwned {
  readonly #options: VcpuOptions;
  #core: VcpuCore | null = null;
  #self: AnyActorRef | null = null;
  /** The guest wants this hart to execute. */
  #started = false;

  constructor(options: VcpuOptions) {
    this.#options = options;
    options.onSpace(() => this.#core?.retry());
  }

  get runnable(): boolean {
    return this.#core?.runnable ?? false;
  }

  get awaitsAnswer(): boolean {
    return this.#core?.awaitsAnswer ?? false;
  }

  slice(count?: number): number {
    try {
      return this.#core?.slice(count) ?? 0;
    } catch (error) {
      this.close();
      this.#self?.send({ type: 'vcpu.fail', error });
      return 0;
    }
  }

  get retired(): number {
    return this.#core?.retired ?? 0;
  }

  setInterruptLine(bit: number, level: boolean): void {
    this.#core?.setInterruptLine(bit, level);
  }

  halt(): void {
    this.#core?.halt();
  }

  setView(view: FlatView, flush: boolean): void {
    this.#core?.setView(view, flush);
  }

  receiveMsi(file: 'M' | 'S', identity: number): void {
    this.#core?.receiveMsi(file, identity);
  }

  takeSignals(): void {
    this.#core?.takeSignals();
  }
  lookFor(durationNs: number): void {
    this.#core?.lookFor(durationNs);
  }

  save(): VcpuState | null {
    const core = this.#core?.save();
    return core === undefined ? null : { version: VCPU_STATE_VERSION, started: this.#started, ...core };
  }

  /** Of one that the guest has started the chart must know it; what its hart then is, is overwritten. */
  restore(state: VcpuState): void {
    if (state.version !== VCPU_STATE_VERSION) {
      throw new StateError('vcpu.version', `${VCPU_STATE_VERSION}, but ${String(state.version)}`);
    }
    if (typeof state.started !== 'boolean') throw new StateError('vcpu.started', 'true or false');
    if (this.#core === null) throw new Error('the vCPU has ended');
    if (state.started) this.#self?.send({ type: 'vcpu.start', pc: 0n, argument: 0n });
    this.#core.load(state);
  }

  dirtyWriter(): DirtyWriter {
    const clients = new Set<DirtyClient>();
    return {
      start: (client) => {
        clients.add(client);
        this.#core?.startDirtyLog(client);
      },
      stop: (client) => {
        clients.delete(client);
        this.#core?.stopDirtyLog(client);
      },
      // One that has ended writes nothing; what it had written nobody can tell any more, but its machine has failed.
      take: (client) => (clients.has(client) && this.#core?.collectDirty(client)) || new Uint8Array(),
    };
  }

  lend<T>(run: (state: HartAccess) => T): T {
    if (this.#core === null) throw new Error('the vCPU has ended');
    return this.#core.lend(run);
  }

  setSoftwareInterrupt(level: boolean): void {
    this.#core?.setInterruptLine(INTERRUPT.msi, level);
  }

  setTimecmp(lo: number, hi: number): void {
    this.#core?.setTimecmp(lo, hi);
  }

  get hartState(): HartState {
    return this.#started ? (this.#core?.hartState ?? hartState.stopped) : hartState.stopped;
  }

  startHart({ startGpa, opaque }: HartEntry): SbiErrorCode {
    if (this.#core === null) return sbiError.failed;
    const error = hartStartError(this.hartState);
    if (error === sbiError.success) this.#self?.send({ type: 'vcpu.start', pc: BigInt(startGpa), argument: opaque });
    return error;
  }

  stopHart(): void {
    this.#started = false;
    this.#self?.send({ type: 'vcpu.stop' });
  }

  fence(fence: Omit<RemoteFence, 'harts'>): void {
    this.#core?.fence(fence);
  }

  pend(): (result: SbiResult) => void {
    return this.#core?.pend() ?? (() => {});
  }

  suspend(entry: HartEntry | null): void {
    this.#core?.suspend(entry);
  }

  logic(): AnyActorLogic {
    const { startOf, paused } = this.#options;
    const chart = vcpuMachine.provide({
      actions: {
        loadEntry: (_, { pc, argument }) => {
          this.#started = true;
          this.#core?.begin(startOf(pc, argument));
        },
        enterRunning: () => this.#core?.setRunning(true),
        leaveRunning: () => this.#core?.setRunning(false),
        acknowledgePause: () => paused(),
        resetHart: () => {
          this.#started = false;
          this.#core?.reset();
        },
        // The actor ends with the cause, so that its supervisor hears of it.
        giveUp: ({ context }) => {
          throw context.error;
        },
      },
    });
    return chartActorLogic(chart as AnyStateMachine, this);
  }

  open(): void {
    this.#core = this.#createCore();
  }

  started(self: AnyActorRef): void {
    this.#self = self;
  }

  view(): object {
    return this.#core?.view() ?? {};
  }

  close(): void {
    this.#core = null;
  }

  #createCore(): VcpuCore {
    const { loop, order = null, sharesCores, sbi, log, writeLog, firstView, accel, compiler } = this.#options;
    const readMtime = (ticks: Float64Array): void => {
      loop.readClock(ticks);
      ticks[0] = Math.floor((ticks[0] as number) / TICK_NS);
    };
    const translator = accel === 'jit' ? { translator: translatorWith({}, compiler) } : {};
    const hart = new Hart({ ...this.#options.hart, ...translator, readMtime });
    const sbiHost = createSbiHost(hart, this, sbi);
    return new VcpuCore({
      hart,
      view: firstView(),
      loop,
      order,
      yieldsBeforeParking: YIELDS_BEFORE_PARKING[sharesCores ? 'shared' : 'own'],
      sbiHost,
      log: log === null ? null : new HartLog(hart, log, writeLog),
    });
  }
}
