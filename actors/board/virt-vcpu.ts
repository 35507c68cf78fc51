/**
 * Board `virt` on the thread of a vCPU: the address space of its hart. The first one has beside it the devices whose
 * registers must not be a thread trip away (PLIC, ACLINT, UART); the others reach those as they reach the devices of the
 * main loop. The worker's main function.
 */
import { type AnyActorRef, type IrqLine, remoteRegisterWindow, WindowServer } from '../../src/actor/index.ts';
import type { Region } from '../../src/bus/address-space.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import type { Channel } from '../../src/channel/channel.ts';
import type { Thread } from '../../src/channel/threads.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { ConsolePort } from '../char/console-port.ts';
import { uart16550 } from '../char/uart16550.ts';
import { RelayedConsole, serveRelayedConsole } from '../cpu/relayed-console.ts';
import { TICK_NS } from '../cpu/vcpu-core.ts';
import {
  MAIN_THREAD,
  type ThreadDevices,
  type VcpuHost,
  VcpuThread,
  type VcpuThreadParameters,
  type VcpuThreadTime,
  vcpuThreadName,
} from '../cpu/vcpu-thread.ts';
import { WORDS } from '../cpu/words.ts';
import { type PlicEvent, plic } from '../irq/plic.ts';
import { type AclintHartPort, aclint } from '../misc/aclint.ts';
import { FarHartTimer, FarWire } from './hart-wires.ts';

/** Where a window lies, as the board's table says. */
export interface MappedWindow {
  readonly name: string;
  readonly base: number;
  readonly lengthBytes: number;
}

/** A device of another loop, reached through the channel. */
export interface RemoteDevice extends MappedWindow {
  /** What that loop's WindowServer serves it under. */
  readonly windowId: number;
}

export interface VirtVcpuParameters extends VcpuThreadParameters {
  readonly rom: MappedWindow & { readonly bytes: Uint8Array };
  readonly uart: MappedWindow & { readonly source: number };
  readonly plic: MappedWindow & { readonly sources: number };
  readonly aclint: MappedWindow;
  /** Devices of the main loop. */
  readonly remote: readonly RemoteDevice[];
}

/** The PLIC's contexts of a hart: M, then S. */
const CONTEXTS = [INTERRUPT.mei, INTERRUPT.sei] as const;
/** The thread that has the board's devices. */
const FIRST = vcpuThreadName(0);

export function virtVcpuMain(parameters: VirtVcpuParameters, thread: Thread): void {
  virtVcpuThread(parameters, thread).run();
}

export function virtVcpuThread(parameters: VirtVcpuParameters, thread: Thread, time?: VcpuThreadTime): VcpuThread {
  return new VcpuThread(parameters, thread, virtThreadDevices(parameters), time);
}

/** What the board puts beside the vCPU, for VcpuThread. */
function virtThreadDevices(parameters: VirtVcpuParameters): (host: VcpuHost) => ThreadDevices {
  return (host) => (parameters.hartId === 0 ? startDevices(host, parameters) : reachDevices(host, parameters));
}

function startDevices(host: VcpuHost, parameters: VirtVcpuParameters): ThreadDevices {
  const { loop, link, channel, thread } = host;
  const { uart, plic: controller, aclint: timer } = parameters;
  const port = new ConsolePort(link, loop, (handler) => channel.onSpace(handler));
  const lines = contextLines(host, parameters);
  const ports = { context: (index: number) => lines[index] ?? NO_LINE };
  const config = { sources: controller.sources, contexts: lines.length };
  const wires = new Wires(host.startDevice(controller.name, plic, ports, config));
  channel.onWords(WORDS.wire, (source, level) => wires.set(source, level !== 0));
  const uartPorts = { irq: { set: (level: boolean) => wires.set(uart.source, level) }, char: port };
  const uartActor = host.startDevice(uart.name, uart16550, uartPorts, undefined);
  port.listener = {
    readable: () => uartActor.send({ type: 'char.readable' }),
    writable: () => uartActor.send({ type: 'char.writable' }),
  };
  const readMtime = (half: 'lo' | 'hi'): number => {
    const ticks = Math.floor(loop.nowNs() / TICK_NS);
    return half === 'lo' ? ticks >>> 0 : Math.floor(ticks / 2 ** 32) >>> 0;
  };
  host.startDevice(timer.name, aclint, { harts: hartTimers(host, parameters), readMtime }, undefined);
  const servers = thread.peers.map((peer) => new WindowServer(thread.channel(peer)));
  const local = firstDevices(parameters).map(({ windowId, ...place }): Region => {
    const window = host.windows.get(place.name);
    if (window === undefined) throw new Error(`device ${place.name} has announced no registers`);
    for (const server of servers) server.serve(windowId, window);
    return { ...place, kind: 'mmio', window };
  });
  for (const peer of vcpuPeers(thread)) serveRelayedConsole(thread.channel(peer), port);
  return { console: port, regions: [romRegion(parameters), ...local, ...farRegions(channel, parameters.remote)] };
}

function reachDevices({ thread, channel }: VcpuHost, parameters: VirtVcpuParameters): ThreadDevices {
  const first = thread.channel(FIRST);
  const regions = [
    romRegion(parameters),
    ...farRegions(first, firstDevices(parameters)),
    ...farRegions(channel, parameters.remote),
  ];
  return { console: new RelayedConsole(first), regions };
}

/** The devices beside the first vCPU, as the others and the main loop reach them. */
function firstDevices({ uart, plic: controller, aclint: timer }: VirtVcpuParameters): RemoteDevice[] {
  return [uart, controller, timer].map(({ name, base, lengthBytes }, windowId) => ({
    name,
    base,
    lengthBytes,
    windowId,
  }));
}

function romRegion({ rom }: VirtVcpuParameters): Region {
  const bytes = new Uint8Array(rom.lengthBytes);
  bytes.set(rom.bytes);
  const { name, base, lengthBytes } = rom;
  return { name, base, lengthBytes, kind: 'rom', window: memoryWindow(bytes, false) };
}

function farRegions(channel: Channel, devices: readonly RemoteDevice[]): Region[] {
  return devices.map(({ name, base, lengthBytes, windowId }) => {
    return { name, base, lengthBytes, kind: 'mmio', window: remoteRegisterWindow(channel, windowId, lengthBytes) };
  });
}

const vcpuPeers = (thread: Thread): string[] => thread.peers.filter((peer) => peer !== MAIN_THREAD);

const NO_LINE: IrqLine = { set: () => {} };

/** The PLIC's outputs: for each hart M, then S. */
function contextLines({ vcpu, thread }: VcpuHost, { harts }: VirtVcpuParameters): IrqLine[] {
  return Array.from({ length: harts }, (_, hart) =>
    CONTEXTS.map((bit): IrqLine => {
      if (hart === 0) return { set: (level) => vcpu.runner.setInterruptLine(bit, level) };
      return new FarWire(thread.channel(vcpuThreadName(hart)), WORDS.hartWire, bit);
    }),
  ).flat();
}

function hartTimers({ vcpu, thread }: VcpuHost, { harts }: VirtVcpuParameters): AclintHartPort[] {
  return Array.from({ length: harts }, (_, hart) =>
    hart === 0 ? vcpu.timer : new FarHartTimer(thread.channel(vcpuThreadName(hart))),
  );
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
