/**
 * The part of board `virt` on the first vCPU's thread: the devices whose registers must not be a thread trip away (PLIC,
 * ACLINT, UART), the boot ROM, and the ways to the devices of the main loop. The worker's main function.
 */
import { type AnyActorRef, remoteRegisterWindow } from '../../src/actor/index.ts';
import type { Region } from '../../src/bus/address-space.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import type { Thread } from '../../src/channel/threads.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { ConsolePort } from '../char/console-port.ts';
import { uart16550 } from '../char/uart16550.ts';
import { TICK_NS } from '../cpu/vcpu-core.ts';
import { type ThreadDevices, type VcpuHost, VcpuThread, type VcpuThreadParameters } from '../cpu/vcpu-thread.ts';
import { type PlicEvent, plic } from '../irq/plic.ts';
import { aclint } from '../misc/aclint.ts';

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

export interface Vcpu0Parameters extends VcpuThreadParameters {
  readonly rom: MappedWindow & { readonly bytes: Uint8Array };
  readonly uart: MappedWindow & { readonly source: number };
  readonly plic: MappedWindow & { readonly sources: number };
  readonly aclint: MappedWindow;
  readonly remote: readonly RemoteDevice[];
}

/** Words record from the main loop: a device's wire changed: source, level. */
export const WIRE_KIND = 32;

/** The PLIC's contexts of a hart: M, then S. */
const CONTEXTS = [INTERRUPT.mei, INTERRUPT.sei] as const;

export function vcpu0Main(parameters: Vcpu0Parameters, thread: Thread): void {
  new VcpuThread(parameters, thread, (host) => startDevices(host, parameters)).run();
}

function startDevices(host: VcpuHost, parameters: Vcpu0Parameters): ThreadDevices {
  const { loop, link, channel, vcpu } = host;
  const { uart, plic: controller, aclint: timer } = parameters;
  const port = new ConsolePort(link, loop, (handler) => channel.onSpace(handler));
  const context = (index: number) => ({
    set: (level: boolean) => vcpu.runner.setInterruptLine(CONTEXTS[index % CONTEXTS.length] ?? 0, level),
  });
  const config = { sources: controller.sources, contexts: CONTEXTS.length };
  const wires = new Wires(host.startDevice(controller.name, plic, { context }, config));
  channel.onWords(WIRE_KIND, (source, level) => wires.set(source, level !== 0));
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
  host.startDevice(timer.name, aclint, { harts: [vcpu.timer], readMtime }, undefined);
  return { console: port, regions: regionsOf(host, parameters) };
}

function regionsOf({ windows, channel }: VcpuHost, parameters: Vcpu0Parameters): Region[] {
  const { rom, uart, plic: controller, aclint: timer, remote } = parameters;
  const bytes = new Uint8Array(rom.lengthBytes);
  bytes.set(rom.bytes);
  const local = [uart, controller, timer].map(({ name, base, lengthBytes }): Region => {
    const window = windows.get(name);
    if (window === undefined) throw new Error(`device ${name} has announced no registers`);
    return { name, base, lengthBytes, kind: 'mmio', window };
  });
  const far = remote.map(({ name, base, lengthBytes, windowId }): Region => {
    return { name, base, lengthBytes, kind: 'mmio', window: remoteRegisterWindow(channel, windowId, lengthBytes) };
  });
  return [{ ...rom, kind: 'rom', window: memoryWindow(bytes, false) }, ...local, ...far];
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
