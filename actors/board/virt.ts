/**
 * Board `virt`: QEMU's machine of that name. The root actor is the machine's chart (machines/machine.ts); its children
 * are the devices of the main loop and proxies of the actors on the vCPUs' threads. The physical layout comes from
 * virt-table.ts, what is loaded where from a boot plan.
 *
 * Not modelled: virtio-mmio, flash and fw_cfg (their addresses are reserved).
 */
import type { MachineEvent } from '../../machines/machine.ts';
import {
  AccessOrigin,
  type AnyActorLogic,
  type AnyActorRef,
  type AnyStateMachine,
  type EventObject,
  Inspection,
  type InspectionEvent,
  type IrqLine,
  type Link,
  type Observer,
  type WorkerCode,
} from '../../src/actor/index.ts';
import type { BootPlan } from '../../src/boot/plan.ts';
import type { BootSegment } from '../../src/boot/segment.ts';
import type { ChannelOptions } from '../../src/channel/channel-end.ts';
import type { DoorbellWords } from '../../src/channel/doorbell.ts';
import { Thread, type ThreadKind, type ThreadPlan, type ThreadWiring, wireThreads } from '../../src/channel/threads.ts';
import { DirtyCollector } from '../../src/dma/dirty-collector.ts';
import type { HartModules } from '../../src/hart/hart.ts';
import { attachThread, EventLoop, type HostClock } from '../../src/loop/index.ts';
import { DirtyBitmap } from '../../src/memory/dirty-log.ts';
import { doorbellLengthBytes } from '../../src/memory/doorbell-words.ts';
import { DOORBELL_BYTES, type MemoryLayout } from '../../src/memory/layout.ts';
import type { SystemReset } from '../../src/sbi/host.ts';
import { assert, type ErrorRecord, RemoteError } from '../../src/util/errors.ts';
import { withTrail } from '../../src/util/trail.ts';
import type { Accel } from '../cpu/accel.ts';
import type { Aia } from '../cpu/aia.ts';
import type { LogConfig } from '../cpu/hart-log.ts';
import { loopActorName, MAIN_THREAD, vcpuThreadName } from '../cpu/names.ts';
import { VCPU_SIGNAL_WORDS, WORDS } from '../cpu/words.ts';
import { createEventLoopActor, type EventLoopActor } from '../loop/event-loop.ts';
import type { FinishRequest } from '../misc/test-finisher.ts';
import { farRegions, firstDevices } from './far-devices.ts';
import { FarWire, FarWires } from './hart-wires.ts';
import type { MachineEnd } from './machine-end.ts';
import { onThreads, type Placement, type RunningThread, startTranslator } from './placement.ts';
import { THREAD_END_MS, VcpuEnd } from './vcpu-end.ts';
import { TAKEN_NAMES, type VmDevice } from './virt-devices.ts';
import { interruptControllers, msiPortOf } from './virt-interrupts.ts';
import { machineLogic } from './virt-machine.ts';
import { NearDevices } from './virt-near.ts';
import { VirtPci } from './virt-pci.ts';
import { checkPciName, type PciPlacement, type VmPciDevice, type VmPciOptions } from './virt-pci-functions.ts';
import { type PartFailure, type SavedPart, VirtPersist } from './virt-persist.ts';
import { virtTable } from './virt-table.ts';
import type { VirtVcpuParameters } from './virt-vcpu.ts';

export interface VirtOptions {
  readonly harts: number;
  readonly memory: WebAssembly.Memory;
  readonly layout: MemoryLayout;
  readonly modules: HartModules;
  readonly plan: Omit<BootPlan, 'segments'>;
  /** Hands over what goes into RAM: called at launch and at each reset; the board keeps nothing of it. */
  loadSegments(put: (segment: BootSegment) => void): void;
  readonly aia: Aia;
  readonly accel: Accel;
  /** Translated code is compiled by a thread of its own. */
  readonly compileThread: boolean;
  /** As in VcpuOptions. */
  readonly sharesCores: boolean;
  /** The caller's own, checked. */
  readonly devices: readonly VmDevice[];
  readonly pci: VmPciOptions;
  /** The built-in SBI serves S mode. */
  readonly sbi: boolean;
  readonly seed: number;
  readonly log: LogConfig | null;
  /** Where its threads are; a thread for each hart where left out. */
  readonly placement?: Placement;
  readonly inspect: Observer<InspectionEvent> | ((event: InspectionEvent) => void) | null;
  /** The guest, or a bare-metal program, wants to end or to begin anew. */
  onEnd(request: MachineEnd): void;
  onLog(text: string): void;
  /** The vCPU's thread is gone: null when it was told to. */
  onThreadEnd(error: ErrorRecord | null): void;
}

const MAIN_LOOP = loopActorName(MAIN_THREAD);
/** On the first vCPU's thread, under the names that its gateway exports. */
const FAR_DEVICES = { uart: 'serial0', aclint: 'clint' } as const;
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
  readonly #clock: HostClock;
  readonly #loop: EventLoop;
  readonly #thread: Thread;
  readonly #loopActor: EventLoopActor;
  readonly #vcpus: readonly VcpuEnd[];
  readonly #first: VcpuEnd;
  readonly #near: NearDevices;
  readonly #pci: VirtPci;
  /** What the devices of the main loop write to RAM. */
  readonly #dirty: DirtyBitmap;
  readonly #collector: DirtyCollector;
  /** Who is behind the accesses of the main loop. */
  readonly #origin = new AccessOrigin();
  /** Harts that have yet to stand. */
  readonly #toPause = new Set<number>();
  readonly #persist: VirtPersist;
  /** Of the devices here to the first vCPU's thread. */
  readonly #wires = new FarWires();
  #restore: (() => void) | null = null;
  #root: AnyActorRef | null = null;
  #closed: Promise<void> | null = null;
  readonly #translator: RunningThread | null;

  constructor(options: VirtOptions) {
    this.#options = options;
    this.#near = new NearDevices(options.devices);
    const doorbells = options.layout.doorbells.map((byteOffset): DoorbellWords => {
      return { buffer: options.memory.buffer, byteOffset, signalWords: VCPU_SIGNAL_WORDS };
    });
    const placement = options.placement ?? onThreads;
    const wiring = wireMachine(doorbells, placement.mainKind);
    const wiringOf = (name: string) => {
      const part = wiring.get(name);
      assert(part !== undefined, `thread ${name} has its wiring`);
      return part;
    };
    this.#thread = new Thread(wiringOf(MAIN_THREAD));
    this.#clock = placement.clock();
    this.#loop = new EventLoop({
      name: MAIN_THREAD,
      clock: this.#clock,
      seed: options.seed,
      onError: (error) => this.#send({ type: 'machine.fail', error: this.withTrail(error) }),
      onDelivery: placement.observerOf(MAIN_THREAD),
    });
    attachThread(this.#loop, this.#thread);
    this.#loopActor = createEventLoopActor(this.#loop, () => placement.driveMain(this.#loop, this.#thread));
    this.#vcpus = doorbells.map((_, hart) => this.#vcpuEnd(hart));
    const [first] = this.#vcpus;
    assert(first !== undefined, 'a machine has a hart');
    this.#first = first;
    this.link = first.link;
    this.inspection = options.inspect === null ? null : new Inspection(MAIN_THREAD, this.#loop, options.inspect);
    for (const vcpu of this.#vcpus) this.inspection?.watchThread(vcpu.link);
    this.#dirty = new DirtyBitmap(options.layout.ramBytes);
    this.#collector = new DirtyCollector({
      loop: this.#loop,
      ramBytes: options.layout.ramBytes,
      writers: [this.#dirty],
      links: this.#vcpus.map(({ link }) => link),
    });
    this.#pci = this.#createPci();
    this.#persist = this.#createPersist();
    this.logic = this.#machineLogic();
    const wirings = doorbells.map((_, hart) => wiringOf(vcpuThreadName(hart)));
    const { translator, vcpus } = startTranslator(options.compileThread ? placement : null, wirings, (error) =>
      this.#send({ type: 'machine.fail', error: new RemoteError(error) }),
    );
    this.#translator = translator;
    for (const [hart, vcpu] of this.#vcpus.entries()) {
      vcpu.start(placement, this.#threadParameters(hart), vcpus[hart] as ThreadWiring);
    }
  }

  /** The root actor, once it exists: where failures and acknowledgements go. */
  connect(root: AnyActorRef): void {
    this.#root = root;
  }

  /** What the threads answer may come when the machine has been stopped: then it is of no interest. */
  #send(event: MachineEvent): void {
    if (this.#root?.getSnapshot().status === 'active') this.#root.send(event);
  }

  /** A failure, with what the main loop did last, where no other thread has told what it did. */
  withTrail(error: unknown): Error {
    return withTrail(error, this.#loop.trail);
  }

  /** Calls `handler` whenever the first vCPU's thread has made room after a message was refused. */
  onSpace(handler: () => void): void {
    this.link.onSpace(handler);
  }

  /** Runs a function on a vCPU, see actors/cpu/vcpu-work.ts. */
  runOnVcpu(hart: number, code: WorkerCode): Promise<unknown> {
    const vcpu = this.#vcpus[hart];
    if (vcpu === undefined) return Promise.reject(new RangeError(`there is no hart ${hart}`));
    return new Promise((resolve, reject) => {
      vcpu.work(code, ({ result, error }) => (error === null ? resolve(result) : reject(new RemoteError(error))));
    });
  }

  /** The machine stands. @param done told all that it has but its RAM; null when something never came to rest */
  save(done: (parts: SavedPart[] | null) => void): void {
    this.#persist.save(done);
  }

  /** Of a machine whose threads are simulated, where nothing is under way. */
  saveNow(): SavedPart[] | null {
    return this.#persist.saveNow();
  }

  /** The virtual time, and what the machine is made of now. */
  describe(): { readonly timeNs: number; readonly functions: readonly PciPlacement[] } {
    return { timeNs: this.#clock.nowNs(), functions: this.#pci.functions };
  }

  /**
   * Puts a machine that has not begun where another was saved; RAM is there already. It is paused afterwards.
   * @param done told what could not be restored, or null
   */
  restore(timeNs: number, parts: readonly SavedPart[], done: (failure: PartFailure | null) => void): void {
    this.#restore = () => {
      this.#isUsed = true;
      this.#clock.stop(timeNs);
      for (const vcpu of this.#vcpus) vcpu.stopClock(timeNs);
      this.#persist.restore(parts, (failure) => {
        if (failure === null) this.#send({ type: 'machine.restored' });
        done(failure);
      });
    };
    this.#send({ type: 'machine.restore' });
  }

  /** Puts a function into the slot of a root port. @throws ConfigError where that cannot be */
  plug(device: VmPciDevice): void {
    const { system } = this.#root ?? {};
    const taken = system?.get(device.name) === undefined ? [] : [device.name];
    checkPciName(device.name, new Set([...TAKEN_NAMES, ...taken]));
    this.#pci.plug(device);
  }

  /** @returns settles when the guest has let go of it; at once where it is pulled out; rejects as plug() throws, or when the board is closed before */
  unplug(name: string, isSurprise: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pci.unplug(name, isSurprise, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** Writes to RAM by the host. @param offset in RAM */
  hostWrote(offset: number, lengthBytes: number): void {
    this.#dirty.mark(offset, lengthBytes);
  }

  /** What all vCPUs, devices and the host write to RAM. */
  get dirtyPages(): DirtyCollector {
    return this.#collector;
  }

  /** Ends the threads and lets go of everything. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closeThreads();
    this.#pci.close();
    await Promise.all(this.#vcpus.map((vcpu) => vcpu.ended()));
    await this.#translator?.end(THREAD_END_MS);
    this.inspection?.detach();
    this.#thread.close();
  }

  #vcpuEnd(hart: number): VcpuEnd {
    const { onEnd, onLog, onThreadEnd } = this.#options;
    return new VcpuEnd(
      hart,
      { thread: this.#thread, loop: this.#loop, origin: this.#origin },
      {
        onPaused: () => this.#vcpuPaused(hart),
        onLog,
        onProgramEnd: (code) => onEnd({ kind: code === 0 ? 'poweroff' : 'fail', code }),
        onResetRequest: (request) => onEnd(endOfReset(request)),
        onThreadEnd: (_, error) => onThreadEnd(error),
      },
    );
  }

  #createPci(): VirtPci {
    const { harts, aia, memory, layout } = this.#options;
    const reach = { thread: this.#thread, harts, own: null };
    return new VirtPci({
      ...this.#options.pci,
      loop: this.#loop,
      origin: this.#origin,
      vcpus: this.#vcpus,
      ram: { bytes: new Uint8Array(memory.buffer, layout.ram, layout.ramBytes), base: virtTable.dram.base },
      dirty: this.#dirty,
      msi: msiPortOf(aia, reach),
      regions: [...this.#near.regions(), ...farRegions(this.#first.channel, firstDevices(this.#hotDevices()))],
      firstWindowId: this.#near.remote.length,
      wireTo: (source) => this.#wireTo(source),
      tell: (name, event) => this.#root?.system.get(name)?.send(event),
      released: (name) => this.#send({ type: 'machine.unplugged', name }),
      plugged: (name, logic, to, event) => {
        this.#root?.send({ type: 'machine.plug', name, logic, announce: { to, event } });
      },
      registers: this.#near,
    });
  }

  #wireTo(source: number): IrqLine {
    return this.#wires.add(`source ${source}`, new FarWire(this.#first.channel, WORDS.wire, source));
  }

  #createPersist(): VirtPersist {
    const controllers = interruptControllers(this.#options.aia).map(({ name }) => name);
    return new VirtPersist({
      vcpus: this.#vcpus,
      wires: this.#wires,
      far: [...controllers, ...Object.values(FAR_DEVICES)],
      controllers,
      near: () => [...this.#near.names, ...this.#pci.names],
      actor: (name) => this.#root?.system.get(name),
      mapped: (done) => this.#pci.topology.commit({ remove: [], add: [] }, done),
    });
  }

  /** The devices whose registers are on the first vCPU's thread. */
  #hotDevices(): Pick<VirtVcpuParameters, 'uart' | 'aclint' | 'aia'> {
    return {
      uart: { ...row(virtTable.uart0, FAR_DEVICES.uart), source: virtTable.uart0.irq },
      aclint: row(virtTable.clint, FAR_DEVICES.aclint),
      aia: this.#options.aia,
    };
  }

  #machineLogic(): AnyStateMachine {
    const loops: Record<string, AnyActorLogic> = { [MAIN_LOOP]: this.#loopActor.logic };
    const cpus: Record<string, AnyActorLogic> = {};
    for (const { gateway, actorName, loopName } of this.#vcpus) {
      loops[loopName] = gateway.proxyLogic(loopName);
      cpus[actorName] = gateway.proxyLogic(actorName);
    }
    const { mode, pcGpa, a1 } = this.#options.plan.start;
    const names = Object.keys(cpus);
    return machineLogic({
      loops,
      cpus,
      devices: this.#deviceLogics(),
      // In M mode all harts begin, as out of a real reset; the built-in SBI starts one, which starts the others.
      started: mode === 'M' ? names : names.slice(0, 1),
      start: { type: 'vcpu.start', pc: BigInt(pcGpa), argument: BigInt(a1) } as EventObject,
      loadRam: () => this.#loadRam(),
      restore: () => this.#restore?.(),
      resumeClock: () => this.#resumeClock(),
      stopClock: () => this.#stopClock(),
      expectPauses: () => this.#expectPauses(),
      afterReset: () => this.#drain(() => this.#send({ type: 'machine.was-reset' })),
      halt: () => this.#halt(),
      release: () => void this.close(),
    });
  }

  /** Of the devices of the main loop, and of the proxies of those on the first vCPU's thread; by name. */
  #deviceLogics(): Record<string, AnyActorLogic> {
    const near = this.#near.logics({
      loop: this.#loop,
      vcpus: this.#vcpus,
      wireTo: (source) => this.#wireTo(source),
      finish: (request) => this.#options.onEnd(endOfFinisher(request)),
    });
    const controllers = interruptControllers(this.#options.aia).map(({ name }) => name);
    const far = [...controllers, ...Object.values(FAR_DEVICES)].map((name) => [
      name,
      this.#first.gateway.proxyLogic(name),
    ]);
    return { ...near, ...Object.fromEntries(far), ...this.#pci.logics() };
  }

  #expectPauses(): void {
    for (const { hart } of this.#vcpus) this.#toPause.add(hart);
  }

  /** When all stand, whatever they had still sent each other is handled first: nothing of it comes after a reset. */
  #vcpuPaused(hart: number): void {
    if (!this.#toPause.delete(hart) || this.#toPause.size > 0) return;
    this.#drain(() => this.#send({ type: 'machine.vcpus-paused' }));
  }

  /** @param done called when whatever the threads have been sent, and have sent each other, has been handled */
  #drain(done: () => void): void {
    let left = this.#vcpus.length;
    const drained = (): void => {
      left -= 1;
      if (left === 0) done();
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
    this.#dirty.mark(0, layout.ramBytes);
    this.#options.loadSegments(({ bytes, gpa }) => ram.set(bytes, gpa - virtTable.dram.base));
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

  #threadParameters(hart: number): VirtVcpuParameters {
    const { harts, memory, layout, modules, plan, sharesCores, sbi, accel, log, seed } = this.#options;
    return {
      ...this.#hotDevices(),
      memory,
      modules,
      arena: layout.arenas[hart] ?? 0,
      dirty: layout.dirty[hart] ?? 0,
      doorbell: layout.doorbells[hart] ?? 0,
      ram: { base: virtTable.dram.base, host: layout.ram, lengthBytes: layout.ramBytes },
      hartId: hart,
      harts,
      sbi,
      accel,
      start: { mode: plan.start.mode, a2: BigInt(plan.start.a2) },
      rom: { ...row(virtTable.mrom, 'mrom'), bytes: plan.rom },
      pio: row(virtTable.pciePio, 'pcie-pio'),
      remote: this.#near.remote,
      htif: plan.tohostGpa === undefined ? null : { tohost: plan.tohostGpa, fromhost: plan.fromhostGpa ?? null },
      log,
      seed: seed + 1 + hart,
      isReached: hart === 0 && harts > 1,
      sharesCores,
    };
  }
}

/** A row of the table under an actor's name. */
function row({ base, lengthBytes }: { readonly base: number; readonly lengthBytes: number }, name: string) {
  return { name, base, lengthBytes };
}

function wireMachine(doorbells: readonly DoorbellWords[], mainKind: ThreadKind): ReturnType<typeof wireThreads> {
  assert(doorbellLengthBytes(VCPU_SIGNAL_WORDS) <= DOORBELL_BYTES, 'a doorbell fits into its place');
  const vcpus = doorbells.map((doorbell, hart): ThreadPlan => {
    return { name: vcpuThreadName(hart), kind: 'parking', doorbell };
  });
  const isVcpu = ({ name }: ThreadPlan): boolean => name !== MAIN_THREAD;
  return wireThreads([{ name: MAIN_THREAD, kind: mainKind }, ...vcpus], (one, other) =>
    isVcpu(one) && isVcpu(other) ? VCPU_CHANNEL : {},
  );
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
