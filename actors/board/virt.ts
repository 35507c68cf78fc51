/**
 * Board `virt`: QEMU's machine of that name. The root actor is the machine's chart (machines/machine.ts); its children
 * are the devices of the main loop and proxies of the actors on the vCPU's thread. The physical layout comes from
 * virt-table.ts, what is loaded where from a boot plan.
 *
 * Not modelled: more than one hart; virtio, PCI Express and flash (their addresses are reserved).
 */
import { type MachineEvent, machineMachine } from '../../machines/machine.ts';
import {
  ActorGateway,
  type AnyActorLogic,
  type AnyStateMachine,
  type DeviceDefinition,
  deviceActorLogic,
  type EventObject,
  enqueueActions,
  Inspection,
  type InspectionEvent,
  type IrqLine,
  Link,
  type Observer,
  RegisterWindows,
  spawnWorker,
  WindowServer,
  type WorkerHandle,
} from '../../src/actor/index.ts';
import type { BootPlan } from '../../src/boot/plan.ts';
import type { BootSegment } from '../../src/boot/segment.ts';
import type { Channel } from '../../src/channel/channel.ts';
import { attentionByteOffset, type DoorbellWords } from '../../src/channel/doorbell.ts';
import { SIGNAL_WORDS, Thread, wireThreads } from '../../src/channel/threads.ts';
import type { HartModules } from '../../src/hart/hart.ts';
import { attachThread, EventLoop, HostClock, runInLibuv } from '../../src/loop/index.ts';
import type { MemoryLayout } from '../../src/memory/layout.ts';
import type { SystemReset } from '../../src/sbi/host.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';
import type { LogConfig } from '../cpu/hart-log.ts';
import type { ClockMessage, LogText, ProgramEnd, ResetRequest, VcpuPaused } from '../cpu/messages.ts';
import { Outbox } from '../cpu/outbox.ts';
import { CLOSE_SIGNAL, loopActorName } from '../cpu/vcpu-thread.ts';
import { createEventLoopActor, type EventLoopActor } from '../loop/event-loop.ts';
import { type FinishRequest, testFinisher } from '../misc/test-finisher.ts';
import { goldfishRtc } from '../time/goldfish-rtc.ts';
import type { MachineEnd } from './machine-end.ts';
import type { VmDevice } from './virt-devices.ts';
import { VIRT_PLIC_SOURCES, virtTable } from './virt-table.ts';
import { type RemoteDevice, type Vcpu0Parameters, WIRE_KIND } from './virt-vcpu0.ts';

export interface VirtOptions {
  readonly memory: WebAssembly.Memory;
  readonly layout: MemoryLayout;
  readonly modules: HartModules;
  readonly plan: Omit<BootPlan, 'segments'>;
  /** What goes into RAM: called at launch and at each reset; the board keeps nothing of it. */
  takeSegments(): readonly BootSegment[];
  /** The caller's own, checked. */
  readonly devices: readonly VmDevice[];
  /** The built-in SBI serves S mode. */
  readonly sbi: boolean;
  readonly seed: number;
  readonly log: LogConfig | null;
  readonly inspect: Observer<InspectionEvent> | ((event: InspectionEvent) => void) | null;
  /** The guest, or a bare-metal program, wants to end or to begin anew. */
  onEnd(request: MachineEnd): void;
  onLog(text: string): void;
  /** The vCPU's thread is gone: null when it was told to. */
  onThreadEnd(error: ErrorRecord | null): void;
}

const MAIN_THREAD = 'main';
const VCPU_THREAD = 'vcpu0';
const MAIN_LOOP = loopActorName(MAIN_THREAD);
const VCPU_LOOP = loopActorName(VCPU_THREAD);
/** A thread looks at its doorbell every few microseconds; one that has not ended by then is stuck. */
const THREAD_END_MS = 1000;
/** On the vCPU's thread, under the names that the gateway exports. */
const CPU = 'cpu';
const FAR_DEVICES = { uart: 'serial0', plic: 'plic', aclint: 'clint' } as const;
const NEAR_DEVICES = { test: 'test', rtc: 'rtc' } as const;

/** A machine that has its threads and devices and waits for `machine.start`. */
export class VirtBoard {
  readonly link: Link;
  /** The root actor's logic. */
  readonly logic: AnyStateMachine;
  readonly inspection: Inspection | null;
  readonly #options: VirtOptions;
  readonly #clock = HostClock.stopped();
  readonly #loop: EventLoop;
  readonly #thread: Thread;
  readonly #loopActor: EventLoopActor;
  readonly #gateway: ActorGateway;
  readonly #worker: WorkerHandle;
  readonly #outbox: Outbox<ClockMessage>;
  /** Devices of the main loop, as the vCPU's thread reaches them. */
  readonly #near: readonly RemoteDevice[];
  #send: (event: MachineEvent) => void = () => {};
  #closed: Promise<void> | null = null;

  constructor(options: VirtOptions) {
    this.#options = options;
    this.#near = nearDevices(options.devices);
    const doorbell: DoorbellWords = {
      buffer: options.memory.buffer,
      byteOffset: options.layout.doorbells[0] ?? 0,
      signalWords: SIGNAL_WORDS,
    };
    const wiring = wireThreads([
      { name: MAIN_THREAD, kind: 'libuv' },
      { name: VCPU_THREAD, kind: 'parking', doorbell },
    ]);
    const [own, far] = [wiring.get(MAIN_THREAD), wiring.get(VCPU_THREAD)];
    if (own === undefined || far === undefined) throw new Error('a thread has no wiring');
    this.#thread = new Thread(own);
    this.#loop = new EventLoop({
      name: MAIN_THREAD,
      clock: this.#clock,
      seed: options.seed,
      onError: (error) => this.#send({ type: 'machine.fail', error }),
    });
    attachThread(this.#loop, this.#thread);
    this.#loopActor = createEventLoopActor(this.#loop, () => runInLibuv(this.#loop, this.#thread));
    const channel = this.#thread.channel(VCPU_THREAD);
    this.link = new Link(VCPU_THREAD, channel);
    this.#outbox = new Outbox(this.link);
    this.#gateway = new ActorGateway(MAIN_THREAD, this.link);
    this.inspection = options.inspect === null ? null : new Inspection(MAIN_THREAD, this.#loop, options.inspect);
    this.inspection?.watchThread(this.link);
    this.#listen();
    const server = new WindowServer(channel);
    this.logic = this.#machineLogic(server, (source) => new FarWire(channel, source));
    this.#worker = spawnWorker(
      {
        module: new URL(`./virt-vcpu0${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url).href,
        exportName: 'vcpu0Main',
        parameters: this.#threadParameters(attentionByteOffset(doorbell)),
      },
      far,
      (error) => this.#threadEnded(error),
    );
  }

  /** Where failures and acknowledgements go: the root actor, once it exists. */
  connect(send: (event: MachineEvent) => void): void {
    this.#send = send;
  }

  /** Calls `handler` whenever the vCPU's thread has made room after a message was refused. */
  onSpace(handler: () => void): void {
    this.link.onSpace(handler);
  }

  /** Ends the thread and lets go of everything. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closeThread();
    await this.#worker.end(THREAD_END_MS);
    this.inspection?.detach();
    this.#thread.close();
  }

  #machineLogic(server: WindowServer, wireTo: (source: number) => IrqLine): AnyStateMachine {
    const actors = this.#childLogics(server, wireTo);
    const devices = Object.keys(actors).filter((name) => name !== CPU);
    const loops = { [MAIN_LOOP]: this.#loopActor.logic, [VCPU_LOOP]: this.#gateway.proxyLogic(VCPU_LOOP) };
    const spawnAll = (names: readonly string[]) =>
      enqueueActions(({ enqueue }) => {
        for (const name of names) enqueue.spawnChild(name, { id: name, systemId: name });
      });
    const tellAll = (names: readonly string[], event: EventObject) =>
      enqueueActions(({ enqueue }) => {
        for (const name of names) enqueue.sendTo(name, event);
      });
    const start = (): EventObject => {
      const { pcGpa, a1 } = this.#options.plan.start;
      return { type: 'vcpu.start', pc: BigInt(pcGpa), argument: BigInt(a1) } as EventObject;
    };
    // xstate's types know only what the chart itself declares; the board adds its own actors and actions.
    return (machineMachine as AnyStateMachine).provide({
      actors: { ...loops, ...actors },
      actions: {
        startLoops: spawnAll(Object.keys(loops)),
        launch: enqueueActions(({ enqueue }) => {
          enqueue(() => this.#loadRam());
          for (const name of Object.keys(actors)) enqueue.spawnChild(name, { id: name, systemId: name });
          for (const name of devices) enqueue.sendTo(name, { type: 'device.start' });
          enqueue.sendTo(CPU, start());
        }),
        resumeAll: enqueueActions(({ enqueue }) => {
          enqueue(() => this.#resumeClock());
          for (const name of devices) enqueue.sendTo(name, { type: 'device.resume' });
          enqueue.sendTo(CPU, { type: 'vcpu.resume' });
        }),
        pauseVcpus: tellAll([CPU], { type: 'vcpu.pause' }),
        quiesceDevices: enqueueActions(({ enqueue }) => {
          for (const name of devices) enqueue.sendTo(name, { type: 'device.quiesce' });
          enqueue(() => this.#stopClock());
        }),
        resetAll: enqueueActions(({ enqueue }) => {
          enqueue(() => this.#loadRam());
          for (const name of devices) enqueue.sendTo(name, { type: 'device.reset' });
          enqueue.sendTo(CPU, { type: 'vcpu.reset' });
          enqueue.sendTo(CPU, start());
        }),
        haltAll: () => this.#halt(),
        release: () => void this.close(),
      },
    }) as AnyStateMachine;
  }

  /** Of the devices of the main loop, and of the proxies of what is on the vCPU's thread; by name. */
  #childLogics(server: WindowServer, wireTo: (source: number) => IrqLine): Record<string, AnyActorLogic> {
    const windows = new RegisterWindows();
    const near = <P extends object, C, S, E>(definition: DeviceDefinition<P, C, S, E>, ports: P, config: C) =>
      deviceActorLogic(definition, {
        loop: this.#loop,
        ports,
        config,
        registers: {
          realize: (id, window) => {
            windows.realize(id, window);
            const remote = this.#near.find((device) => device.name === id);
            if (remote !== undefined) server.serve(remote.windowId, window);
          },
        },
      }) as AnyActorLogic;
    const finish = (request: FinishRequest): void => this.#options.onEnd(endOfFinisher(request));
    const actors: Record<string, AnyActorLogic> = {
      [NEAR_DEVICES.test]: near(testFinisher, { finish }, undefined),
      [NEAR_DEVICES.rtc]: near(goldfishRtc, { irq: wireTo(virtTable.rtc.irq) }, undefined),
      [CPU]: this.#gateway.proxyLogic(CPU),
    };
    for (const name of Object.values(FAR_DEVICES)) actors[name] = this.#gateway.proxyLogic(name);
    for (const { name, definition, config, ports, irq } of this.#options.devices) {
      const wiring = irq === undefined ? {} : { irq: wireTo(irq) };
      actors[name] = near(definition, { ...ports, ...wiring }, config);
    }
    return actors;
  }

  #listen(): void {
    const { link } = this;
    link.on<VcpuPaused>('board.vcpu-paused', () => this.#send({ type: 'machine.vcpus-paused' }));
    link.on<LogText>('board.log', ({ text }) => this.#options.onLog(text));
    link.on<ProgramEnd>('board.program-end', ({ code }) => {
      this.#options.onEnd({ kind: code === 0 ? 'poweroff' : 'fail', code });
    });
    link.on<ResetRequest>('board.reset-request', ({ request }) => {
      this.#options.onEnd(endOfReset(request));
    });
  }

  /** All of RAM as the boot plan wants it. The vCPU stands, or has not begun. */
  #loadRam(): void {
    const { memory, layout } = this.#options;
    const ram = new Uint8Array(memory.buffer, layout.ram, layout.ramBytes);
    // At launch the memory is fresh, and filling it would make every page of it resident.
    if (this.#isUsed) ram.fill(0);
    this.#isUsed = true;
    for (const segment of this.#options.takeSegments()) ram.set(segment.bytes, segment.gpa - virtTable.dram.base);
  }
  #isUsed = false;

  #resumeClock(): void {
    const originNs = this.#clock.resume();
    this.#outbox.post({ type: 'clock.resume', originNs, atNs: 0 });
    this.#loopActor.wake();
  }

  #stopClock(): void {
    const atNs = this.#clock.stop();
    this.#outbox.post({ type: 'clock.stop', originNs: 0, atNs });
    this.#loopActor.wake();
  }

  /** Nobody is waited for: the vCPU may be what failed. */
  #halt(): void {
    this.#clock.stop();
    this.#closeThread();
  }

  #closeThread(): void {
    this.#thread.bell(VCPU_THREAD).raise(CLOSE_SIGNAL);
  }

  #threadEnded(error: ErrorRecord | null): void {
    if (error !== null) this.#gateway.fail(error);
    this.#options.onThreadEnd(error);
  }

  #threadParameters(attention: number): Vcpu0Parameters {
    const { memory, layout, modules, plan, sbi, log, seed } = this.#options;
    const row = ({ base, lengthBytes }: { base: number; lengthBytes: number }, name: string) => ({
      name,
      base,
      lengthBytes,
    });
    return {
      memory,
      modules,
      arena: layout.arenas[0] ?? 0,
      attention,
      ram: { base: virtTable.dram.base, host: layout.ram, lengthBytes: layout.ramBytes },
      hartId: 0,
      sbi,
      start: { mode: plan.start.mode, a2: BigInt(plan.start.a2) },
      rom: { ...row(virtTable.mrom, 'mrom'), bytes: plan.rom },
      uart: { ...row(virtTable.uart0, FAR_DEVICES.uart), source: virtTable.uart0.irq },
      plic: { ...row(virtTable.plic, FAR_DEVICES.plic), sources: VIRT_PLIC_SOURCES },
      aclint: row(virtTable.clint, FAR_DEVICES.aclint),
      remote: this.#near,
      htif: plan.tohostGpa === undefined ? null : { tohost: plan.tohostGpa, fromhost: plan.fromhostGpa ?? null },
      log,
      seed: seed + 1,
    };
  }
}

/** A device's wire to the PLIC on the vCPU's thread. A level that found no room goes when there is some, if it still holds. */
class FarWire {
  readonly #channel: Channel;
  readonly #source: number;
  #level = false;
  #told = false;

  constructor(channel: Channel, source: number) {
    this.#channel = channel;
    this.#source = source;
    channel.onSpace(() => this.#tell());
  }

  set(level: boolean): void {
    this.#level = level;
    this.#tell();
  }

  #tell(): void {
    if (this.#level === this.#told) return;
    if (this.#channel.postWords(WIRE_KIND, this.#source, this.#level ? 1 : 0, 0, 0)) this.#told = this.#level;
  }
}

function nearDevices(others: readonly VmDevice[]): RemoteDevice[] {
  const { test, rtc } = virtTable;
  const windows = [
    { name: NEAR_DEVICES.test, base: test.base, lengthBytes: test.lengthBytes },
    { name: NEAR_DEVICES.rtc, base: rtc.base, lengthBytes: rtc.lengthBytes },
    ...others.map(({ name, base, definition }) => ({ name, base, lengthBytes: definition.lengthBytes })),
  ];
  return windows.map((window, windowId) => ({ ...window, windowId }));
}

/** A kernel that panics shuts down with this reason. */
function endOfReset({ type, reason }: SystemReset): MachineEnd {
  if (type !== 'shutdown') return { kind: 'reboot', code: 0 };
  return reason === 'system-failure' ? { kind: 'panic', code: 1 } : { kind: 'poweroff', code: 0 };
}

function endOfFinisher({ kind, code }: FinishRequest): MachineEnd {
  if (kind === 'reset') return { kind: 'reboot', code: 0 };
  return { kind: kind === 'pass' ? 'poweroff' : 'fail', code };
}
