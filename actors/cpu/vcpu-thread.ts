/**
 * The thread of a vCPU: its loop, its hart, the vCPU actor, and whatever devices a board puts beside it. A thread of its
 * own does `run()`: it turns the loop between slices and parks when there is nothing to run. The deterministic scheduler
 * steps loop and hart instead (actors/board/simulated-placement.ts).
 */
import {
  ActorGateway,
  type AnyActorRef,
  createActor,
  type DeviceDefinition,
  deviceActorLogic,
  InspectionSource,
  Link,
  loadThreadWork,
  RegisterWindows,
  type Snapshot,
} from '../../src/actor/index.ts';
import type { Region } from '../../src/bus/address-space.ts';
import { TopologyParticipant } from '../../src/bus/topology-participant.ts';
import { type AddressViews, firstViews } from '../../src/bus/topology-views.ts';
import type { Channel } from '../../src/channel/channel.ts';
import type { Thread } from '../../src/channel/threads.ts';
import { DirtyResponder } from '../../src/dma/dirty-collector.ts';
import type { HartModules } from '../../src/hart/hart.ts';
import { MSI_IDENTITIES, msiSignal } from '../../src/hart/hart-signals.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { HostClock } from '../../src/loop/clock.ts';
import { attachThread, type LoopDriver, ParkingDriver } from '../../src/loop/drivers.ts';
import { type DeliveryObserver, EventLoop } from '../../src/loop/event-loop.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import { DirtyBitmap } from '../../src/memory/dirty-log.ts';
import { sbiExtension } from '../../src/sbi/extensions.ts';
import { type ErrorRecord, toErrorRecord } from '../../src/util/errors.ts';
import { withTrail } from '../../src/util/trail.ts';
import type { CharPort } from '../char/char-port.ts';
import { createEventLoopActor } from '../loop/event-loop.ts';
import type { Accel } from './accel.ts';
import { type Aia, HART_AIA } from './aia.ts';
import type { LogConfig } from './hart-log.ts';
import { HartPeers } from './hart-peers.ts';
import type { HartStart } from './hart-setup.ts';
import { Htif, type HtifPort, HtifWatch } from './htif.ts';
import type {
  ActorState,
  BoardMessage,
  ClockMessage,
  DrainRequest,
  RestoreRequest,
  SaveRequest,
  VcpuWorkMessage,
} from './messages.ts';
import { loopActorName, MAIN_THREAD, threadStateName, vcpuActorName, vcpuThreadName } from './names.ts';
import { Outbox } from './outbox.ts';
import { remoteCompiler } from './translator-thread.ts';
import { createVcpu, type Vcpu, type VcpuState } from './vcpu.ts';
import type { HartAccess } from './vcpu-work.ts';
import { SIGNAL, WORDS } from './words.ts';

export interface VcpuThreadParameters {
  readonly memory: WebAssembly.Memory;
  readonly modules: HartModules;
  /** Host offsets. */
  readonly arena: number;
  readonly dirty: number;
  readonly doorbell: number;
  readonly ram: { readonly base: number; readonly host: number; readonly lengthBytes: number };
  readonly hartId: number;
  /** Of the machine. */
  readonly harts: number;
  readonly sbi: boolean;
  readonly aia: Aia;
  readonly accel: Accel;
  readonly start: Omit<HartStart, 'pcGpa' | 'a1'>;
  readonly htif: { readonly tohost: number; readonly fromhost: number | null } | null;
  readonly log: LogConfig | null;
  readonly seed: number;
  /** Whether other harts reach devices on this thread. */
  readonly isReached: boolean;
  /** As in VcpuOptions. */
  readonly sharesCores: boolean;
}

/** What a board finds on the thread when it adds its devices. */
export interface VcpuHost {
  readonly loop: LoopPort;
  readonly thread: Thread;
  /** To the main loop. */
  readonly link: Link;
  readonly channel: Channel;
  readonly vcpu: Pick<Vcpu, 'runner' | 'timer'>;
  /** The registers of the devices started here. */
  readonly windows: RegisterWindows;
  /** The address spaces as they are now; not before the vCPU has started. */
  views(): AddressViews;
  /** Starts a device under a name that the board's gateway knows. */
  startDevice<P extends object, C, S, E>(
    name: string,
    definition: DeviceDefinition<P, C, S, E>,
    ports: P,
    config: C,
  ): AnyActorRef;
}

/** The console of the built-in SBI and of HTIF. */
export interface ThreadConsole extends CharPort {
  /** @returns how many were taken */
  writeMany(bytes: Uint8Array): number;
  /** What was written goes on its way. */
  flush(): void;
}

/** What a board has put beside the vCPU. */
export interface ThreadDevices {
  readonly console: ThreadConsole;
  /** What the hart sees besides RAM. */
  readonly regions: readonly Region[];
  /** I/O ports. */
  readonly io: readonly Region[];
  /** What is no actor's; null while something of it is under way. */
  save(): object | null;
  /** @throws Error for what no save() of this version has given */
  load(state: unknown): void;
}

/** What differs between a thread of its own and one that is simulated. */
export interface VcpuThreadTime {
  /** Stopped, at 0. */
  readonly clock: HostClock;
  readonly onDelivery?: DeliveryObserver;
  /** As in HartOptions. */
  readonly exactQuanta?: boolean;
}

export class VcpuThread {
  readonly loop: EventLoop;
  readonly #parameters: VcpuThreadParameters;
  readonly #thread: Thread;
  readonly #channel: Channel;
  readonly #link: Link;
  readonly #outbox: Outbox<BoardMessage>;
  readonly #clock: HostClock;
  readonly #vcpu: Vcpu;
  readonly #windows = new RegisterWindows();
  readonly #gateway: ActorGateway;
  readonly #inspection: InspectionSource;
  readonly #devices: ThreadDevices;
  readonly #topology: TopologyParticipant;
  /** What SBI and HTIF write to RAM in the hart's place. */
  readonly #written: DirtyBitmap;
  /** Started here, by name; the vCPU and the loop are not among them. */
  readonly #deviceActors = new Map<string, AnyActorRef>();
  readonly #peers = new HartPeers();
  readonly #htif: HtifPort | null;
  #loopActor: AnyActorRef | null = null;
  #turning = false;

  /** @param addDevices called once, before the vCPU's actor starts */
  constructor(
    parameters: VcpuThreadParameters,
    thread: Thread,
    addDevices: (host: VcpuHost) => ThreadDevices,
    time: VcpuThreadTime = { clock: HostClock.stopped() },
  ) {
    this.#parameters = parameters;
    this.#thread = thread;
    const { clock, onDelivery, exactQuanta = false } = time;
    this.#clock = clock;
    this.loop = new EventLoop({ name: thread.name, clock, seed: parameters.seed, onDelivery });
    attachThread(this.loop, thread);
    this.#channel = thread.channel(MAIN_THREAD);
    this.#link = new Link(MAIN_THREAD, this.#channel);
    this.#outbox = new Outbox(this.#link);
    this.#gateway = new ActorGateway(thread.name, this.#link, this.loop.trail);
    this.#inspection = new InspectionSource(thread.name, this.#link, this.loop);
    this.#listen();
    this.#startLoop();

    const ram = new Uint8Array(parameters.memory.buffer, parameters.ram.host, parameters.ram.lengthBytes);
    this.#written = new DirtyBitmap(parameters.ram.lengthBytes);
    this.#addPeers();
    this.#vcpu = this.#createVcpu(ram, exactQuanta);
    this.#listenToPeers();
    new DirtyResponder(this.#link, [this.#vcpu.dirty, this.#written]);
    this.#devices = addDevices({
      loop: this.loop,
      thread,
      link: this.#link,
      channel: this.#channel,
      vcpu: this.#vcpu,
      windows: this.#windows,
      views: () => this.#topology.views,
      startDevice: (name, definition, ports, config) => this.#startDevice(name, definition, ports, config),
    });
    this.#topology = new TopologyParticipant({
      link: this.#link,
      channel: this.#channel,
      role: 'cpu',
      views: firstViews(this.#devices.regions, this.#devices.io),
      swap: (views, flush) => this.#vcpu.runner.setView(views.memory, flush),
    });
    this.#htif = this.#createHtif(ram);
    this.#startActor(vcpuActorName(parameters.hartId), this.#vcpu.logic);
  }

  /** Whether there is more to come: until the loop's actor has stopped. */
  get turning(): boolean {
    return this.#turning;
  }

  /** Whether slice() would do anything now. A log that the board has not taken yet holds the vCPU back. */
  get runnable(): boolean {
    return this.#vcpu.runner.runnable && this.#outbox.empty;
  }

  /** @param count instructions at most; @returns how many it has lasted */
  slice(count?: number): number {
    const lasted = this.#vcpu.runner.slice(count);
    this.#htif?.poll();
    return lasted;
  }

  /** Instructions retired since the slice under way began. */
  get retired(): number {
    return this.#vcpu.runner.retired;
  }

  /** The end of a thread that no longer turns. */
  close(): void {
    this.#thread.close();
  }

  /** All that a thread of its own does. */
  run(): void {
    const driver = new ParkingDriver(this.loop, this.#thread);
    try {
      while (this.turning) {
        driver.turn();
        if (!this.turning) break;
        if (!this.runnable) {
          const { runner } = this.#vcpu;
          const { awaitsAnswer } = runner;
          driver.park(awaitsAnswer ? 'answer' : 'work');
          // The hart goes on with the answer, or the interrupt, that it waits for, and the loop turns behind that.
          if (awaitsAnswer) this.loop.takeAnswer();
          else runner.takeSignals();
          runner.lookFor(driver.spinNs);
        }
        if (this.runnable) this.slice();
      }
    } catch (error) {
      throw withTrail(error, this.loop.trail);
    }
    this.close();
  }

  /** The loop turns as long as its actor lives. */
  #startLoop(): void {
    const drive = (): LoopDriver => {
      this.#turning = true;
      return {
        stop: () => {
          this.#turning = false;
        },
        // Whoever could ask is on this thread: it does not sleep.
        wake: () => {},
      };
    };
    const name = loopActorName(this.#thread.name);
    this.#loopActor = this.#startActor(name, createEventLoopActor(this.loop, drive).logic);
  }

  #createVcpu(ram: Uint8Array, exactQuanta: boolean): Vcpu {
    const {
      memory,
      modules,
      arena,
      dirty,
      doorbell,
      ram: place,
      hartId,
      harts,
      sbi,
      aia,
      accel,
      start,
      log,
      isReached,
      sharesCores,
    } = this.#parameters;
    const { base } = place;
    return createVcpu({
      loop: this.loop,
      order: isReached ? this.loop : null,
      sharesCores,
      hart: {
        memory,
        modules,
        arena,
        dirty,
        doorbell,
        ram: place,
        hartId,
        sbi,
        aia: HART_AIA[aia],
        exactQuanta,
        // Where runs are repeated exactly each signal is a delivery that a loop makes.
        ...(!exactQuanta && { neighbours: { harts, ipiExtension: sbiExtension.ipi } }),
      },
      sbi: {
        ram: { base, bytes: ram },
        written: (...range) => this.#written.mark(...range),
        peers: this.#peers,
        harts,
        systemReset: (request) => this.#outbox.post({ type: 'board.reset-request', request }),
        consoleWrite: (bytes) => this.#devices.console.writeMany(bytes),
        consoleRead: (maxBytes) => readSome(this.#devices.console, maxBytes),
      },
      log,
      accel,
      compiler: remoteCompiler(this.#thread),
      firstView: () => this.#topology.views.memory,
      startOf: (pc, argument) => ({ ...start, pcGpa: Number(pc), a1: argument }),
      paused: () => this.#tellPaused(),
      writeLog: (text) => this.#outbox.post({ type: 'board.log', text }),
      onSpace: (handler) => {
        for (const peer of this.#thread.peers) this.#thread.channel(peer).onSpace(handler);
      },
    });
  }

  #startDevice<P extends object, C, S, E>(
    name: string,
    definition: DeviceDefinition<P, C, S, E>,
    ports: P,
    config: C,
  ): AnyActorRef {
    const logic = deviceActorLogic(definition, { loop: this.loop, ports, config, registers: this.#windows });
    const actor = this.#startActor(name, logic);
    this.#deviceActors.set(name, actor);
    return actor;
  }

  #startActor(name: string, logic: Parameters<typeof createActor>[0]): AnyActorRef {
    const actor = createActor(logic, { id: name, systemId: name }) as AnyActorRef;
    // The board hears of the end through the gateway; here nobody else would catch it.
    actor.subscribe({ error: () => {} });
    this.#inspection.watch(actor);
    this.#gateway.export(name, actor);
    actor.start();
    const { status, error } = actor.getSnapshot() as Snapshot<unknown>;
    // One that cannot even begin fails the thread: its proxy may not be there yet.
    if (status === 'error') throw error;
    return actor;
  }

  #listen(): void {
    this.#link.on<ClockMessage>('clock.resume', ({ originNs }) => void this.#clock.resume(originNs));
    this.#link.on<ClockMessage>('clock.stop', ({ atNs }) => void this.#clock.stop(atNs));
    this.#link.on<DrainRequest>('thread.drain', ({ flush }, token) => this.#drain(flush === true, token));
    this.#link.on<VcpuWorkMessage>('vcpu.work', (message) => this.#work(message));
    this.#link.on<SaveRequest>('thread.save', () => this.#sendSaved());
    this.#link.on<RestoreRequest>('thread.restore', (request, token) => this.#restore(request, token));
    this.#thread.doorbell.onSignal(SIGNAL.close, () => this.#loopActor?.send({ type: 'loop.stop' }));
  }

  #addPeers(): void {
    const { harts, hartId } = this.#parameters;
    for (let hart = 0; hart < harts; hart++) {
      const peer = vcpuThreadName(hart);
      if (hart !== hartId) this.#peers.add(hart, this.#thread.channel(peer), this.#thread.bell(peer));
    }
  }

  #listenToPeers(): void {
    const { runner, timer, server } = this.#vcpu;
    this.#peers.serve(server);
    this.#thread.doorbell.onSignal(SIGNAL.ipi, () => runner.setInterruptLine(INTERRUPT.ssi, true));
    for (const file of ['M', 'S'] as const) {
      for (let identity = 0; identity < MSI_IDENTITIES; identity++) {
        this.#thread.doorbell.onSignal(msiSignal(file, identity), () => runner.receiveMsi(file, identity));
      }
    }
    for (const peer of this.#thread.peers) {
      const channel = this.#thread.channel(peer);
      channel.onWords(WORDS.hartWire, (bit, level) => runner.setInterruptLine(bit, level !== 0));
      channel.onWords(WORDS.timecmp, (lo, hi) => timer.setTimecmp(lo >>> 0, hi >>> 0));
      channel.onWords(WORDS.drain, (_0, _1, _2, _3, token) => channel.replyWords(token, 0, 0));
    }
  }

  /** Answers when whatever this thread has sent to the other vCPUs, and they to it, has been handled. */
  #drain(flush: boolean, token: number): void {
    if (flush) this.#devices.console.flush();
    const others = this.#thread.peers.filter((peer) => peer !== MAIN_THREAD);
    let left = others.length;
    const answered = (): void => {
      left -= 1;
      if (left <= 0) this.#link.reply(token, null);
    };
    if (left === 0) answered();
    for (const peer of others) {
      const channel = this.#thread.channel(peer);
      // Asked until there is room: the other side serves its ring whatever it does.
      const ask = this.loop.bottomHalf('drain', () => {
        if (channel.closed) answered();
        else if (!channel.requestWords(WORDS.drain, 0, 0, 0, 0, answered)) ask.schedule();
      });
      ask.schedule();
    }
  }

  /** A bottom half of the vCPU's loop: the hart is between two instructions. */
  #work({ id, code }: VcpuWorkMessage): void {
    let result: unknown;
    let error: ErrorRecord | null = null;
    try {
      const work = loadThreadWork<HartAccess>(code);
      result = this.#vcpu.runner.lend((state) => work(state, code.parameters));
    } catch (thrown) {
      error = toErrorRecord(thrown, this.#thread.name);
    }
    this.#outbox.post({ type: 'board.work-done', id, result, error });
  }

  /** All of this thread as plain data, by actor; null while something between the threads is under way. */
  save(): ActorState[] | null {
    const rest = this.#devices.save();
    if (rest === null || !this.#outbox.empty) return null;
    const devices = [...this.#deviceActors].map(([name, actor]) => ({ name, state: actor.getPersistedSnapshot() }));
    const cpu = { name: vcpuActorName(this.#parameters.hartId), state: this.#vcpu.runner.save() };
    return [...devices, { name: threadStateName(this.#thread.name), state: rest }, cpu];
  }

  #sendSaved(): void {
    const saved = this.save();
    for (const one of saved ?? []) this.#outbox.post({ type: 'board.saved', ...one });
    this.#outbox.post({ type: 'board.saved-thread', isWhole: saved !== null });
  }

  #restore({ name, state }: RestoreRequest, token: number): void {
    let failure: unknown = null;
    try {
      const device = this.#deviceActors.get(name);
      if (name === threadStateName(this.#thread.name)) this.#devices.load(state);
      else if (device === undefined) this.#vcpu.runner.restore(state as VcpuState);
      else device.send({ type: 'device.restore', persisted: state, failed: (error: unknown) => (failure = error) });
    } catch (error) {
      failure = error;
    }
    if (failure === null) this.#link.reply(token, null);
    else this.#link.replyError(token, toErrorRecord(failure));
  }

  /** What the guest has printed so far comes before the news. */
  #tellPaused(): void {
    this.#devices.console.flush();
    this.#outbox.post({ type: 'board.vcpu-paused' });
  }

  /** The first vCPU serves the mailbox; the others tell it when there is something in it. */
  #createHtif(ram: Uint8Array): HtifPort | null {
    const { htif, hartId, ram: place } = this.#parameters;
    if (htif === null) return null;
    const first = vcpuThreadName(0);
    if (hartId !== 0)
      return new HtifWatch(ram, place.base, htif.tohost, () => this.#thread.bell(first).raise(SIGNAL.htif));
    const server = new Htif(ram, place.base, htif, this.#devices.console, (...range) => this.#written.mark(...range));
    const poll = (): void => {
      const end = server.poll();
      if (end === null) return;
      this.#vcpu.runner.halt();
      this.#outbox.post({ type: 'board.program-end', code: end });
    };
    this.#thread.doorbell.onSignal(SIGNAL.htif, poll);
    return { poll };
  }
}

function readSome(port: CharPort, maxBytes: number): Uint8Array {
  const bytes: number[] = [];
  while (bytes.length < maxBytes) {
    const byte = port.read();
    if (byte < 0) break;
    bytes.push(byte);
  }
  return new Uint8Array(bytes);
}
