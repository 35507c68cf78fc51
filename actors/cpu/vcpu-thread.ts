/**
 * The main function of a vCPU's thread: its hart, the vCPU actor, and the devices whose registers must not be a thread
 * trip away (interrupt controllers and the UART, on the first vCPU's thread). It turns the thread's loop between slices
 * and parks when there is nothing to run.
 */
import {
  ActorGateway,
  type AnyActorRef,
  createActor,
  type DeviceDefinition,
  deviceActorLogic,
  InspectionSource,
  Link,
  RegisterWindows,
  remoteRegisterWindow,
  type Snapshot,
} from '../../src/actor/index.ts';
import { createAddressSpace, type Region } from '../../src/bus/address-space.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import type { Channel } from '../../src/channel/channel.ts';
import type { Thread } from '../../src/channel/threads.ts';
import type { HartModules } from '../../src/hart/hart.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { HostClock } from '../../src/loop/clock.ts';
import { attachThread, type LoopDriver, ParkingDriver } from '../../src/loop/drivers.ts';
import { EventLoop } from '../../src/loop/event-loop.ts';
import { ConsolePort } from '../char/console-port.ts';
import { type Uart16550Ports, uart16550 } from '../char/uart16550.ts';
import { type PlicEvent, plic } from '../irq/plic.ts';
import { createEventLoopActor } from '../loop/event-loop.ts';
import { aclint } from '../misc/aclint.ts';
import type { LogConfig } from './hart-log.ts';
import type { HartStart } from './hart-setup.ts';
import { Htif } from './htif.ts';
import type { BoardMessage, ClockMessage } from './messages.ts';
import { Outbox } from './outbox.ts';
import { createVcpu, type Vcpu } from './vcpu.ts';
import { TICK_NS } from './vcpu-core.ts';

/** Where a window lies, as the board's table says. */
export interface MappedWindow {
  readonly name: string;
  readonly base: number;
  readonly lengthBytes: number;
}

/** A device of the main loop, reached through the channel. */
export interface RemoteDevice extends MappedWindow {
  /** What the main loop's WindowServer serves it under. */
  readonly windowId: number;
}

export interface VcpuThreadParameters {
  readonly memory: WebAssembly.Memory;
  readonly modules: HartModules;
  /** Host offsets. */
  readonly arena: number;
  readonly attention: number;
  readonly ram: { readonly base: number; readonly host: number; readonly lengthBytes: number };
  readonly hartId: number;
  readonly sbi: boolean;
  readonly start: Omit<HartStart, 'pcGpa' | 'a1'>;
  readonly rom: MappedWindow & { readonly bytes: Uint8Array };
  readonly uart: MappedWindow & { readonly source: number };
  readonly plic: MappedWindow & { readonly sources: number };
  readonly aclint: MappedWindow;
  readonly remote: readonly RemoteDevice[];
  readonly htif: { readonly tohost: number; readonly fromhost: number | null } | null;
  readonly log: LogConfig | null;
  readonly seed: number;
}

const MAIN = 'main';
/** Words record from the main loop: a device's wire changed: source, level. */
export const WIRE_KIND = 32;

/** Signal from the board: the thread is to end. It overtakes every message. */
export const CLOSE_SIGNAL = 0;

/** The name of a thread's loop among the machine's actors. */
export const loopActorName = (thread: string): string => `${thread}-loop`;

export function vcpuThreadMain(parameters: VcpuThreadParameters, thread: Thread): void {
  new VcpuThread(parameters, thread).run();
}

class VcpuThread {
  readonly #parameters: VcpuThreadParameters;
  readonly #thread: Thread;
  readonly #channel: Channel;
  readonly #link: Link;
  readonly #outbox: Outbox<BoardMessage>;
  readonly #clock = HostClock.stopped();
  readonly #loop: EventLoop;
  readonly #vcpu: Vcpu;
  readonly #windows = new RegisterWindows();
  readonly #gateway: ActorGateway;
  readonly #inspection: InspectionSource;
  readonly #htif: Htif | null;
  #loopActor: AnyActorRef | null = null;
  #turning = false;

  constructor(parameters: VcpuThreadParameters, thread: Thread) {
    this.#parameters = parameters;
    this.#thread = thread;
    this.#loop = new EventLoop({ name: thread.name, clock: this.#clock, seed: parameters.seed });
    attachThread(this.#loop, thread);
    this.#channel = thread.channel(MAIN);
    this.#link = new Link(MAIN, this.#channel);
    this.#outbox = new Outbox(this.#link);
    this.#gateway = new ActorGateway(thread.name, this.#link);
    this.#inspection = new InspectionSource(thread.name, this.#link, this.#loop);
    this.#listen();
    this.#startLoop();

    const ram = new Uint8Array(parameters.memory.buffer, parameters.ram.host, parameters.ram.lengthBytes);
    const consolePort = new ConsolePort(this.#link, this.#loop, (handler) => this.#channel.onSpace(handler));
    this.#htif = parameters.htif === null ? null : new Htif(ram, parameters.ram.base, parameters.htif, consolePort);
    this.#vcpu = this.#createVcpu(ram, consolePort);
    this.#startDevices(consolePort);
    this.#startActor('cpu', this.#vcpu.logic);
  }

  run(): void {
    const driver = new ParkingDriver(this.#loop, this.#thread);
    const { runner } = this.#vcpu;
    while (this.#turning) {
      driver.turn();
      // A log that the board has not taken yet holds the vCPU back: it would only make more.
      if (runner.runnable && this.#outbox.empty) {
        runner.slice();
        this.#pollHtif();
      } else if (this.#turning) driver.park();
    }
    this.#thread.close();
  }

  /** The loop turns in run(), as long as its actor lives. */
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
    this.#loopActor = this.#startActor(name, createEventLoopActor(this.#loop, drive).logic);
  }

  #createVcpu(ram: Uint8Array, consolePort: ConsolePort): Vcpu {
    const { memory, modules, arena, attention, ram: place, hartId, sbi, start, log } = this.#parameters;
    const { base } = place;
    return createVcpu({
      loop: this.#loop,
      hart: { memory, modules, arena, doorbell: attention, ram: place, hartId, sbi },
      sbi: {
        ram: { base, bytes: ram },
        systemReset: (request) => this.#outbox.post({ type: 'board.reset-request', request }),
        consoleWrite: (bytes) => consolePort.writeMany(bytes),
        consoleRead: (maxBytes) => readSome(consolePort, maxBytes),
      },
      log,
      addressSpace: () => createAddressSpace(this.#regions()),
      startOf: (pc, argument) => ({ ...start, pcGpa: Number(pc), a1: argument }),
      paused: () => this.#tellPaused(consolePort),
      writeLog: (text) => this.#outbox.post({ type: 'board.log', text }),
      onSpace: (handler) => this.#channel.onSpace(handler),
    });
  }

  #startDevices(consolePort: ConsolePort): void {
    const { uart, plic: controller, aclint: timer } = this.#parameters;
    const plicActor = this.#startDevice(
      controller.name,
      plic,
      { context: (index) => ({ set: (level) => this.#vcpu.runner.setInterruptLine(contextBit(index), level) }) },
      { sources: controller.sources, contexts: 2 },
    );
    const wires = new Wires(plicActor);
    this.#channel.onWords(WIRE_KIND, (source, level) => wires.set(source, level !== 0));
    const uartPorts: Uart16550Ports = { irq: { set: (level) => wires.set(uart.source, level) }, char: consolePort };
    const uartActor = this.#startDevice(uart.name, uart16550, uartPorts, undefined);
    consolePort.listener = {
      readable: () => uartActor.send({ type: 'char.readable' }),
      writable: () => uartActor.send({ type: 'char.writable' }),
    };
    const readMtime = (half: 'lo' | 'hi'): number => {
      const ticks = Math.floor(this.#clock.nowNs() / TICK_NS);
      return half === 'lo' ? ticks >>> 0 : Math.floor(ticks / 2 ** 32) >>> 0;
    };
    this.#startDevice(timer.name, aclint, { harts: [this.#vcpu.timer], readMtime }, undefined);
  }

  #startDevice<P extends object, C, S, E>(
    name: string,
    definition: DeviceDefinition<P, C, S, E>,
    ports: P,
    config: C,
  ): AnyActorRef {
    const logic = deviceActorLogic(definition, { loop: this.#loop, ports, config, registers: this.#windows });
    return this.#startActor(name, logic);
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

  #regions(): Region[] {
    const { rom, uart, plic: controller, aclint: timer, remote } = this.#parameters;
    const local = [uart, controller, timer].map(({ name, base, lengthBytes }): Region => {
      const window = this.#windows.get(name);
      if (window === undefined) throw new Error(`device ${name} has announced no registers`);
      return { name, base, lengthBytes, kind: 'mmio', window };
    });
    const far = remote.map(
      ({ name, base, lengthBytes, windowId }): Region => ({
        name,
        base,
        lengthBytes,
        kind: 'mmio',
        window: remoteRegisterWindow(this.#channel, windowId, lengthBytes),
      }),
    );
    const bytes = new Uint8Array(rom.lengthBytes);
    bytes.set(rom.bytes);
    return [{ ...rom, kind: 'rom', window: memoryWindow(bytes, false) }, ...local, ...far];
  }

  #listen(): void {
    this.#link.on<ClockMessage>('clock.resume', ({ originNs }) => void this.#clock.resume(originNs));
    this.#link.on<ClockMessage>('clock.stop', ({ atNs }) => void this.#clock.stop(atNs));
    this.#thread.doorbell.onSignal(CLOSE_SIGNAL, () => this.#loopActor?.send({ type: 'loop.stop' }));
  }

  /** What the guest has printed so far comes before the news. */
  #tellPaused(consolePort: ConsolePort): void {
    consolePort.flush();
    this.#outbox.post({ type: 'board.vcpu-paused' });
  }

  #pollHtif(): void {
    const end = this.#htif?.poll() ?? null;
    if (end === null) return;
    this.#vcpu.runner.halt();
    this.#outbox.post({ type: 'board.program-end', code: end });
  }
}

/** Contexts of hart 0: M, then S. */
function contextBit(index: number): number {
  return index % 2 === 0 ? INTERRUPT.mei : INTERRUPT.sei;
}

/** The PLIC's inputs: one event object for each wire and level. */
class Wires {
  readonly #plic: AnyActorRef;
  readonly #events = new Map<number, PlicEvent>();
  readonly #levels = new Map<number, boolean>();

  constructor(controller: AnyActorRef) {
    this.#plic = controller;
  }

  set(source: number, level: boolean): void {
    if ((this.#levels.get(source) ?? false) === level) return;
    this.#levels.set(source, level);
    const key = source * 2 + (level ? 1 : 0);
    const event = this.#events.get(key) ?? { type: 'plic.source', source, level };
    this.#events.set(key, event);
    this.#plic.send(event);
  }
}

function readSome(port: ConsolePort, maxBytes: number): Uint8Array {
  const bytes: number[] = [];
  while (bytes.length < maxBytes) {
    const byte = port.read();
    if (byte < 0) break;
    bytes.push(byte);
  }
  return new Uint8Array(bytes);
}
