/**
 * Board `virt`: QEMU's machine of that name. The root actor is the machine's chart (machines/machine.ts); its children
 * are the devices of the main loop and proxies of the actors on the vCPU's thread. The physical layout comes from
 * virt-table.ts, what is loaded where from a boot plan.
 *
 * Not modelled: more than one hart; virtio, PCI Express and flash (their addresses are reserved).
 */
import { type MachineEvent, machineMachine } from '../../machines/machine.ts';
import {
  type AnyActorLogic,
  type AnyStateMachine,
  type DeviceDefinition,
  deviceActorLogic,
  type EventObject,
  enqueueActions,
  Inspection,
  type InspectionEvent,
  type IrqLine,
  type Link,
  type Observer,
  RegisterWindows,
} from '../../src/actor/index.ts';
import type { BootPlan } from '../../src/boot/plan.ts';
import type { BootSegment } from '../../src/boot/segment.ts';
import type { ChannelOptions } from '../../src/channel/channel.ts';
import { attentionByteOffset, type DoorbellWords, doorbellLengthBytes } from '../../src/channel/doorbell.ts';
import { Thread, type ThreadPlan, wireThreads } from '../../src/channel/threads.ts';
import type { HartModules } from '../../src/hart/hart.ts';
import { attachThread, EventLoop, HostClock, runInLibuv } from '../../src/loop/index.ts';
import { DOORBELL_BYTES, type MemoryLayout } from '../../src/memory/layout.ts';
import type { SystemReset } from '../../src/sbi/host.ts';
import { assert, type ErrorRecord } from '../../src/util/errors.ts';
import { withTrail } from '../../src/util/trail.ts';
import type { LogConfig } from '../cpu/hart-log.ts';
import { loopActorName, MAIN_THREAD, vcpuThreadName } from '../cpu/vcpu-thread.ts';
import { VCPU_SIGNAL_WORDS, WORDS } from '../cpu/words.ts';
import { createEventLoopActor, type EventLoopActor } from '../loop/event-loop.ts';
import { type FinishRequest, testFinisher } from '../misc/test-finisher.ts';
import { goldfishRtc } from '../time/goldfish-rtc.ts';
import { FarWire } from './hart-wires.ts';
import type { MachineEnd } from './machine-end.ts';
import { VcpuEnd } from './vcpu-end.ts';
import type { VmDevice } from './virt-devices.ts';
import { VIRT_PLIC_SOURCES, virtTable } from './virt-table.ts';
import type { RemoteDevice, VirtVcpuParameters } from './virt-vcpu.ts';

export interface VirtOptions {
  readonly harts: number;
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

const MAIN_LOOP = loopActorName(MAIN_THREAD);
/** On the first vCPU's thread, under the names that its gateway exports. */
const FAR_DEVICES = { uart: 'serial0', plic: 'plic', aclint: 'clint' } as const;
const NEAR_DEVICES = { test: 'test', rtc: 'rtc' } as const;
/** Between two vCPUs go single words and few requests: each waits for one access or SBI call at a time. */
const VCPU_CHANNEL: Partial<ChannelOptions> = { capacityBytes: 16_384, credits: 8 };

/** A machine that has its threads and devices and waits for `machine.start`. */
export class VirtBoard {
  /** To the first vCPU's thread, which has the console. */
  readonly link: Link;
  /** The root actor's logic. */
  readonly logic: AnyStateMachine;
  readonly inspection: Inspection | null;
  readonly #options: VirtOptions;
  readonly #clock = HostClock.stopped();
  readonly #loop: EventLoop;
  readonly #thread: Thread;
  readonly #loopActor: EventLoopActor;
  readonly #vcpus: readonly VcpuEnd[];
  readonly #first: VcpuEnd;
  /** Devices of the main loop, as the vCPUs' threads reach them. */
  readonly #near: readonly RemoteDevice[];
  /** Harts that have yet to stand. */
  readonly #toPause = new Set<number>();
  #send: (event: MachineEvent) => void = () => {};
  #closed: Promise<void> | null = null;

  constructor(options: VirtOptions) {
    this.#options = options;
    this.#near = nearDevices(options.devices);
    const doorbells = options.layout.doorbells.map((byteOffset): DoorbellWords => {
      return { buffer: options.memory.buffer, byteOffset, signalWords: VCPU_SIGNAL_WORDS };
    });
    const wiring = wireMachine(doorbells);
    const wiringOf = (name: string) => {
      const part = wiring.get(name);
      assert(part !== undefined, `thread ${name} has its wiring`);
      return part;
    };
    this.#thread = new Thread(wiringOf(MAIN_THREAD));
    this.#loop = new EventLoop({
      name: MAIN_THREAD,
      clock: this.#clock,
      seed: options.seed,
      onError: (error) => this.#send({ type: 'machine.fail', error: this.withTrail(error) }),
    });
    attachThread(this.#loop, this.#thread);
    this.#loopActor = createEventLoopActor(this.#loop, () => runInLibuv(this.#loop, this.#thread));
    this.#vcpus = doorbells.map((_, hart) => this.#vcpuEnd(hart));
    const [first] = this.#vcpus;
    assert(first !== undefined, 'a machine has a hart');
    this.#first = first;
    this.link = first.link;
    this.inspection = options.inspect === null ? null : new Inspection(MAIN_THREAD, this.#loop, options.inspect);
    for (const vcpu of this.#vcpus) this.inspection?.watchThread(vcpu.link);
    this.logic = this.#machineLogic();
    for (const [hart, vcpu] of this.#vcpus.entries()) {
      const attention = attentionByteOffset(doorbells[hart] as DoorbellWords);
      vcpu.start(this.#threadParameters(hart, attention), wiringOf(vcpuThreadName(hart)));
    }
  }

  /** Where failures and acknowledgements go: the root actor, once it exists. */
  connect(send: (event: MachineEvent) => void): void {
    this.#send = send;
  }

  /** A failure, with what the main loop did last, where no other thread has told what it did. */
  withTrail(error: unknown): Error {
    return withTrail(error, this.#loop.trail);
  }

  /** Calls `handler` whenever the first vCPU's thread has made room after a message was refused. */
  onSpace(handler: () => void): void {
    this.link.onSpace(handler);
  }

  /** Ends the threads and lets go of everything. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closeThreads();
    await Promise.all(this.#vcpus.map((vcpu) => vcpu.ended()));
    this.inspection?.detach();
    this.#thread.close();
  }

  #vcpuEnd(hart: number): VcpuEnd {
    const { onEnd, onLog, onThreadEnd } = this.#options;
    return new VcpuEnd(hart, this.#thread, this.#loop, {
      onPaused: () => this.#vcpuPaused(hart),
      onLog,
      onProgramEnd: (code) => onEnd({ kind: code === 0 ? 'poweroff' : 'fail', code }),
      onResetRequest: (request) => onEnd(endOfReset(request)),
      onThreadEnd: (_, error) => onThreadEnd(error),
    });
  }

  #machineLogic(): AnyStateMachine {
    const actors = this.#deviceLogics();
    const devices = Object.keys(actors);
    const cpus = this.#vcpus.map(({ actorName }) => actorName);
    const loops: Record<string, AnyActorLogic> = { [MAIN_LOOP]: this.#loopActor.logic };
    for (const { gateway, actorName, loopName } of this.#vcpus) {
      loops[loopName] = gateway.proxyLogic(loopName);
      actors[actorName] = gateway.proxyLogic(actorName);
    }
    const spawnAll = (names: readonly string[]) =>
      enqueueActions(({ enqueue }) => {
        for (const name of names) enqueue.spawnChild(name, { id: name, systemId: name });
      });
    const { mode, pcGpa, a1 } = this.#options.plan.start;
    const start = { type: 'vcpu.start', pc: BigInt(pcGpa), argument: BigInt(a1) } as EventObject;
    // In M mode all harts begin, as out of a real reset; the built-in SBI starts one, which starts the others.
    const started = mode === 'M' ? cpus : cpus.slice(0, 1);
    // xstate's types know only what the chart itself declares; the board adds its own actors and actions.
    return (machineMachine as AnyStateMachine).provide({
      actors: { ...loops, ...actors },
      actions: {
        startLoops: spawnAll(Object.keys(loops)),
        launch: enqueueActions(({ enqueue }) => {
          enqueue(() => this.#loadRam());
          for (const name of Object.keys(actors)) enqueue.spawnChild(name, { id: name, systemId: name });
          for (const name of devices) enqueue.sendTo(name, { type: 'device.start' });
          for (const name of started) enqueue.sendTo(name, start);
        }),
        resumeAll: enqueueActions(({ enqueue }) => {
          enqueue(() => this.#resumeClock());
          for (const name of devices) enqueue.sendTo(name, { type: 'device.resume' });
          for (const name of cpus) enqueue.sendTo(name, { type: 'vcpu.resume' });
        }),
        pauseVcpus: enqueueActions(({ enqueue }) => {
          enqueue(() => this.#expectPauses());
          for (const name of cpus) enqueue.sendTo(name, { type: 'vcpu.pause' });
        }),
        quiesceDevices: enqueueActions(({ enqueue }) => {
          for (const name of devices) enqueue.sendTo(name, { type: 'device.quiesce' });
          enqueue(() => this.#stopClock());
        }),
        resetAll: enqueueActions(({ enqueue }) => {
          enqueue(() => this.#loadRam());
          for (const name of devices) enqueue.sendTo(name, { type: 'device.reset' });
          for (const name of cpus) enqueue.sendTo(name, { type: 'vcpu.reset' });
          for (const name of started) enqueue.sendTo(name, start);
        }),
        haltAll: () => this.#halt(),
        release: () => void this.close(),
      },
    }) as AnyStateMachine;
  }

  /** Of the devices of the main loop, and of the proxies of those on the first vCPU's thread; by name. */
  #deviceLogics(): Record<string, AnyActorLogic> {
    const wireTo = (source: number): IrqLine => new FarWire(this.#first.channel, WORDS.wire, source);
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
            if (remote === undefined) return;
            for (const { server } of this.#vcpus) server.serve(remote.windowId, window);
          },
        },
      }) as AnyActorLogic;
    const finish = (request: FinishRequest): void => this.#options.onEnd(endOfFinisher(request));
    const actors: Record<string, AnyActorLogic> = {
      [NEAR_DEVICES.test]: near(testFinisher, { finish }, undefined),
      [NEAR_DEVICES.rtc]: near(goldfishRtc, { irq: wireTo(virtTable.rtc.irq) }, undefined),
    };
    for (const name of Object.values(FAR_DEVICES)) actors[name] = this.#first.gateway.proxyLogic(name);
    for (const { name, definition, config, ports, irq } of this.#options.devices) {
      const wiring = irq === undefined ? {} : { irq: wireTo(irq) };
      actors[name] = near(definition, { ...ports, ...wiring }, config);
    }
    return actors;
  }

  #expectPauses(): void {
    for (const { hart } of this.#vcpus) this.#toPause.add(hart);
  }

  /** When all stand, whatever they had still sent each other is handled first: nothing of it comes after a reset. */
  #vcpuPaused(hart: number): void {
    if (!this.#toPause.delete(hart) || this.#toPause.size > 0) return;
    let left = this.#vcpus.length;
    const drained = (): void => {
      left -= 1;
      if (left === 0) this.#send({ type: 'machine.vcpus-paused' });
    };
    for (const vcpu of this.#vcpus) vcpu.drain(drained);
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
    for (const vcpu of this.#vcpus) vcpu.resumeClock(originNs);
    this.#loopActor.wake();
  }

  #stopClock(): void {
    const atNs = this.#clock.stop();
    for (const vcpu of this.#vcpus) vcpu.stopClock(atNs);
    this.#loopActor.wake();
  }

  /** Nobody is waited for: the vCPU may be what failed. */
  #halt(): void {
    this.#clock.stop();
    this.#closeThreads();
  }

  #closeThreads(): void {
    for (const vcpu of this.#vcpus) vcpu.tellClose();
  }

  #threadParameters(hart: number, attention: number): VirtVcpuParameters {
    const { harts, memory, layout, modules, plan, sbi, log, seed } = this.#options;
    const row = ({ base, lengthBytes }: { base: number; lengthBytes: number }, name: string) => ({
      name,
      base,
      lengthBytes,
    });
    return {
      memory,
      modules,
      arena: layout.arenas[hart] ?? 0,
      attention,
      ram: { base: virtTable.dram.base, host: layout.ram, lengthBytes: layout.ramBytes },
      hartId: hart,
      harts,
      sbi,
      start: { mode: plan.start.mode, a2: BigInt(plan.start.a2) },
      rom: { ...row(virtTable.mrom, 'mrom'), bytes: plan.rom },
      uart: { ...row(virtTable.uart0, FAR_DEVICES.uart), source: virtTable.uart0.irq },
      plic: { ...row(virtTable.plic, FAR_DEVICES.plic), sources: VIRT_PLIC_SOURCES },
      aclint: row(virtTable.clint, FAR_DEVICES.aclint),
      remote: this.#near,
      htif: plan.tohostGpa === undefined ? null : { tohost: plan.tohostGpa, fromhost: plan.fromhostGpa ?? null },
      log,
      seed: seed + 1 + hart,
    };
  }
}

function wireMachine(doorbells: readonly DoorbellWords[]): ReturnType<typeof wireThreads> {
  assert(doorbellLengthBytes(VCPU_SIGNAL_WORDS) <= DOORBELL_BYTES, 'a doorbell fits into its place');
  const vcpus = doorbells.map((doorbell, hart): ThreadPlan => {
    return { name: vcpuThreadName(hart), kind: 'parking', doorbell };
  });
  const isVcpu = ({ kind }: ThreadPlan): boolean => kind === 'parking';
  return wireThreads([{ name: MAIN_THREAD, kind: 'libuv' }, ...vcpus], (one, other) =>
    isVcpu(one) && isVcpu(other) ? VCPU_CHANNEL : {},
  );
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
