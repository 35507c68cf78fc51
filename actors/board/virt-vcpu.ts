/**
 * Board `virt` on the thread of a vCPU: the address space of its hart. The first one has beside it the devices whose
 * registers must not be a thread trip away (interrupt controllers, ACLINT, UART); the others reach those as they reach the devices of the
 * main loop. The worker's main function.
 */
import { STANDING_ANSWER_NUMBERS, StandingAnswer, WindowServer } from '../../src/actor/index.ts';
import type { Region } from '../../src/bus/address-space.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { addressSpaceWindow, memoryWindow } from '../../src/bus/window.ts';
import type { Thread } from '../../src/channel/threads.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { ConsolePort } from '../char/console-port.ts';
import { uart16550 } from '../char/uart16550.ts';
import { MAIN_THREAD, vcpuThreadName } from '../cpu/names.ts';
import { RelayedConsole, serveRelayedConsole } from '../cpu/relayed-console.ts';
import { TICK_NS } from '../cpu/vcpu-core.ts';
import {
  type ThreadDevices,
  type VcpuHost,
  VcpuThread,
  type VcpuThreadParameters,
  type VcpuThreadTime,
} from '../cpu/vcpu-thread.ts';
import { WORDS } from '../cpu/words.ts';
import { type ImsicLevel, imsicWindow } from '../irq/imsic-window.ts';
import { type AclintHartPort, aclint } from '../misc/aclint.ts';
import { farRegions, firstDevices, type MappedWindow, type RemoteDevice } from './far-devices.ts';
import { FarHartTimer, FarWire, FarWires } from './hart-wires.ts';
import { type ImsicReach, imsicLevels, msiPortOf, startInterrupts } from './virt-interrupts.ts';
import { virtPcieOpenBus } from './virt-pci-tree.ts';

export interface VirtVcpuParameters extends VcpuThreadParameters {
  readonly rom: MappedWindow & { readonly bytes: Uint8Array };
  readonly uart: MappedWindow & { readonly source: number };
  readonly aclint: MappedWindow;
  readonly pio: MappedWindow;
  /** Devices of the main loop. */
  readonly remote: readonly RemoteDevice[];
}

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
  return (host) => {
    const { hartId, remote } = parameters;
    const { regions, ...devices } = hartId === 0 ? startDevices(host, parameters) : reachDevices(host, parameters);
    const everywhere = [romRegion(parameters), pioRegion(host, parameters), ...imsicRegions(host, parameters)];
    const open = virtPcieOpenBus(parameters.ram.lengthBytes);
    return {
      ...devices,
      regions: [...everywhere, ...regions, ...farRegions(host.channel, remote), ...open.memory],
      io: open.io,
    };
  };
}

function startDevices(host: VcpuHost, parameters: VirtVcpuParameters): Omit<ThreadDevices, 'io'> {
  const { loop, link, channel, thread } = host;
  const { uart, aclint: timer, aia, harts, start } = parameters;
  const port = new ConsolePort(link, loop, (handler) => channel.onSpace(handler));
  const msi = msiPortOf(aia, imsicReach(host, parameters));
  const hartWires = new FarWires();
  const wires = startInterrupts(host, { aia, harts, supervisorOnly: start.mode === 'S', hartWires }, msi);
  channel.onWords(WORDS.wire, (source, level) => wires.set(source, level !== 0));
  const uartPorts = {
    irq: { set: (level: boolean) => wires.set(uart.source, level) },
    char: port,
    takeBackAnswers: () => thread.doorbell.change(),
  };
  const uartActor = host.startDevice(uart.name, uart16550, uartPorts, undefined);
  port.listener = {
    readable: () => uartActor.send({ type: 'char.readable' }),
    writable: () => uartActor.send({ type: 'char.writable' }),
  };
  const readMtime = (half: 'lo' | 'hi'): number => {
    const ticks = Math.floor(loop.nowNs() / TICK_NS);
    return half === 'lo' ? ticks >>> 0 : Math.floor(ticks / 2 ** 32) >>> 0;
  };
  host.startDevice(timer.name, aclint, { harts: hartTimers(host, parameters, hartWires), readMtime }, undefined);
  const servers = thread.peers.map((peer) => new WindowServer(thread.channel(peer)));
  const regions = firstDevices(parameters).map(({ windowId, ...place }): Region => {
    const window = host.windows.get(place.name);
    if (window === undefined) throw new Error(`device ${place.name} has announced no registers`);
    for (const server of servers) server.serve(windowId, window);
    return { ...place, kind: 'mmio', window };
  });
  for (const peer of vcpuPeers(thread)) serveRelayedConsole(thread.channel(peer), port);
  return {
    console: port,
    regions,
    save: () => ({ console: port.save(), wires: hartWires.save() }),
    load(state) {
      const reader = new StateReader(thread.name, state);
      const high = reader.strings('wires');
      port.load(reader.object('console'));
      reader.finish();
      hartWires.load(high);
    },
  };
}

function reachDevices({ thread }: VcpuHost, parameters: VirtVcpuParameters): Omit<ThreadDevices, 'io'> {
  const first = thread.channel(FIRST);
  const relayed = new RelayedConsole(first);
  const uartAnswer = new StandingAnswer(thread.bell(FIRST));
  return {
    console: relayed,
    regions: farRegions(first, firstDevices(parameters), { [parameters.uart.name]: uartAnswer }),
    save: () => {
      const saved = relayed.save();
      return saved === null ? null : { console: saved, uartAnswer: uartAnswer.save() };
    },
    load(state) {
      const reader = new StateReader(thread.name, state);
      const answer = reader.uints('uartAnswer', 0xffff_ffff, 0, STANDING_ANSWER_NUMBERS);
      relayed.load(reader.object('console'));
      reader.finish();
      uartAnswer.load(answer);
    },
  };
}

function romRegion({ rom }: VirtVcpuParameters): Region {
  const bytes = new Uint8Array(rom.lengthBytes);
  bytes.set(rom.bytes);
  const { name, base, lengthBytes } = rom;
  return { name, base, lengthBytes, kind: 'rom', window: memoryWindow(bytes, false) };
}

/** The port I/O address space, seen through the host bridge's window. */
function pioRegion({ views }: VcpuHost, { pio }: VirtVcpuParameters): Region {
  return { ...pio, kind: 'mmio', window: addressSpaceWindow(() => views().io, pio.lengthBytes) };
}

function imsicRegions(host: VcpuHost, parameters: VirtVcpuParameters): Region[] {
  if (parameters.aia !== 'aplic-imsic') return [];
  const [machine, supervisor] = imsicLevels(imsicReach(host, parameters));
  const region = (name: string, level: ImsicLevel, interruptFiles: 'M' | 'S'): Region => {
    const window = imsicWindow(level);
    return { name, base: level.base, lengthBytes: window.lengthBytes, kind: 'mmio', window, interruptFiles };
  };
  return [region('imsic-m', machine, 'M'), region('imsic-s', supervisor, 'S')];
}

function imsicReach({ thread, vcpu }: VcpuHost, { harts, hartId }: VirtVcpuParameters): ImsicReach {
  return { thread, harts, own: { hart: hartId, receive: (file, id) => vcpu.runner.receiveMsi(file, id) } };
}

const vcpuPeers = (thread: Thread): string[] => thread.peers.filter((peer) => peer !== MAIN_THREAD);

function hartTimers({ vcpu, thread }: VcpuHost, { harts }: VirtVcpuParameters, wires: FarWires): AclintHartPort[] {
  const far = (hart: number): FarHartTimer => {
    const channel = thread.channel(vcpuThreadName(hart));
    const software = wires.add(`hart${hart} msip`, new FarWire(channel, WORDS.hartWire, INTERRUPT.msi));
    return new FarHartTimer(channel, software);
  };
  return Array.from({ length: harts }, (_, hart) => (hart === 0 ? vcpu.timer : far(hart)));
}
