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
import type { AddressSpace } from '../../src/bus/address-space.ts';
import { FlatView } from '../../src/bus/flat-view.ts';
import { Hart, type HartOptions } from '../../src/hart/hart.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import type { AclintHartPort } from '../misc/aclint.ts';
import { HartLog, type LogConfig } from './hart-log.ts';
import type { HartStart } from './hart-setup.ts';
import { createSbiHost, type SbiPorts } from './sbi-host.ts';
import { TICK_NS, VcpuCore } from './vcpu-core.ts';

export interface VcpuOptions {
  readonly loop: LoopPort;
  readonly hart: Omit<HartOptions, 'mtime'>;
  readonly sbi: SbiPorts;
  readonly log: LogConfig | null;
  /** What the hart sees besides RAM; asked for once, when the actor is made. */
  addressSpace(): AddressSpace;
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
  /** Runs the hart for a while. What goes wrong in it fails the actor, not the caller. */
  slice(): void;
  /** Drives a bit of mip. */
  setInterruptLine(bit: number, level: boolean): void;
  /** The hart asked for its machine's end: it does not go on. */
  halt(): void;
}

export interface Vcpu {
  readonly logic: AnyActorLogic;
  readonly runner: VcpuRunner;
  /** The registers of the hart that the ACLINT decodes. */
  readonly timer: AclintHartPort;
}

/** A vCPU for one thread: `logic` makes one actor. */
export function createVcpu(options: VcpuOptions): Vcpu {
  const body = new VcpuBody(options);
  return { logic: body.logic(), runner: body, timer: body.timer() };
}

class VcpuBody implements VcpuRunner, ChartOwned {
  readonly #options: VcpuOptions;
  #core: VcpuCore | null = null;
  #self: AnyActorRef | null = null;

  constructor(options: VcpuOptions) {
    this.#options = options;
    options.onSpace(() => this.#core?.retry());
  }

  get runnable(): boolean {
    return this.#core?.runnable ?? false;
  }

  slice(): void {
    try {
      this.#core?.slice();
    } catch (error) {
      this.close();
      this.#self?.send({ type: 'vcpu.fail', error });
    }
  }

  setInterruptLine(bit: number, level: boolean): void {
    this.#core?.setInterruptLine(bit, level);
  }

  halt(): void {
    this.#core?.halt();
  }

  timer(): AclintHartPort {
    return {
      softwareInterrupt: () => this.#core?.softwareInterrupt ?? false,
      setSoftwareInterrupt: (level) => this.#core?.setSoftwareInterrupt(level),
      readMtimecmp: (half) => this.#core?.readMtimecmp(half) ?? 0,
      writeMtimecmp: (half, value) => this.#core?.writeMtimecmp(half, value),
    };
  }

  logic(): AnyActorLogic {
    const { startOf, paused } = this.#options;
    const chart = vcpuMachine.provide({
      actions: {
        loadEntry: (_, { pc, argument }) => this.#core?.begin(startOf(pc, argument)),
        enterRunning: () => this.#core?.setRunning(true),
        leaveRunning: () => this.#core?.setRunning(false),
        acknowledgePause: () => paused(),
        resetHart: () => this.#core?.reset(),
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
    const { loop, sbi, log, writeLog, addressSpace } = this.#options;
    const mtime = (): number => Math.floor(loop.nowNs() / TICK_NS);
    const hart = new Hart({ ...this.#options.hart, mtime });
    const sbiHost = createSbiHost(hart, this, sbi);
    return new VcpuCore({
      hart,
      view: new FlatView(addressSpace()),
      loop,
      sbiHost,
      log: log === null ? null : new HartLog(hart, log, writeLog),
    });
  }
}
