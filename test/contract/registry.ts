/**
 * Every device that exists, with surroundings that hold no state: what they answer depends on the loop's time alone, so
 * that two devices in the same state at the same time must go on alike.
 */
import fc from 'fast-check';
import { uart16550, uart16550Registers } from '../../actors/char/uart16550.ts';
import { aplic, aplicRegisters } from '../../actors/irq/aplic.ts';
import { plic, plicRegisters } from '../../actors/irq/plic.ts';
import { aclint, aclintRegisters } from '../../actors/misc/aclint.ts';
import { testFinisher, testFinisherRegisters } from '../../actors/misc/test-finisher.ts';
import { edu, eduRegisters } from '../../actors/pci/edu.ts';
import { pcieHost, pcieHostFunction, pcieHostRegisters } from '../../actors/pci/pcie-host.ts';
import { pcieRootPort } from '../../actors/pci/root-port.ts';
import { goldfishRtc, goldfishRtcRegisters } from '../../actors/time/goldfish-rtc.ts';
import type { DeviceCore, DeviceDefinition } from '../../src/actor/device-core.ts';
import type { RegisterTable } from '../../src/bus/register-table.ts';
import { bridgeRegisters, configRegisters, PciBus, type PciFunctionPorts } from '../../src/pci/index.ts';
import type { SimLoop } from '../support/sim-loop.ts';

/** A device and what it has said to the outside, in order. */
export interface Specimen {
  readonly core: DeviceCore<unknown, unknown>;
  readonly said: unknown[];
  /** The levels of its interrupt wires. */
  readonly wires: Map<string, boolean>;
}

export interface DeviceEntry {
  readonly definition: DeviceDefinition<never, never, unknown, never>;
  readonly registers: RegisterTable;
  /** Messages its core takes. */
  readonly events: fc.Arbitrary<unknown> | null;
  make(loop: SimLoop): Specimen;
}

interface Outside {
  readonly said: unknown[];
  say(...what: unknown[]): void;
  irq(name: string): { set(level: boolean): void };
}

/** Erases the device's own types: the suite treats all alike. */
function entry<P extends object, C, S, E>(
  definition: DeviceDefinition<P, C, S, E>,
  registers: RegisterTable,
  events: fc.Arbitrary<E> | null,
  config: C,
  ports: (outside: Outside, loop: SimLoop) => P,
): DeviceEntry {
  return {
    definition: definition as unknown as DeviceEntry['definition'],
    registers,
    events,
    make(loop) {
      const said: unknown[] = [];
      const wires = new Map<string, boolean>();
      const outside: Outside = {
        said,
        say: (...what) => said.push(what),
        irq: (name) => ({
          set: (level) => {
            if ((wires.get(name) ?? false) !== level) said.push([name, level]);
            wires.set(name, level);
          },
        }),
      };
      const core = definition.create({ ...ports(outside, loop), loop }, config);
      return { core: core as unknown as Specimen['core'], said, wires };
    },
  };
}

/** What every PCI function is handed: a slot on a bus of its own, memory that follows from addresses alone. */
function pciPorts({ say, irq }: Outside, loop: SimLoop, secondary?: PciBus): PciFunctionPorts {
  const bus = new PciBus([0, 1, 2, 3].map((pin) => irq(`int ${pin}`)));
  const later = (run: () => void): void => loop.bottomHalf('dma', run).schedule();
  return {
    slot: bus.attach({ name: 'specimen', devfn: 8, reset: () => {}, ...(secondary !== undefined && { secondary }) }),
    msi: {
      send: (address, data) => {
        say('msi', address, data);
        return address % 8 === 0;
      },
    },
    dma: {
      map: () => null,
      unmap: () => {},
      read: (gpa, lengthBytes, done) => {
        say('dma read', gpa, lengthBytes);
        later(() => done(gpa % 3 === 0 ? null : new Uint8Array(lengthBytes).fill(gpa)));
      },
      write: (gpa, bytes, done) => {
        say('dma write', gpa, [...bytes]);
        later(() => done(gpa % 3 !== 0));
      },
    },
  };
}

/** A function's registers: configuration space, and its BARs behind it. */
function withBar0(table: RegisterTable): RegisterTable {
  const rows = Object.entries(table).map(([name, row]) => [`BAR0.${name}`, { ...row, offset: 0x1000 + row.offset }]);
  return { ...configRegisters, ...Object.fromEntries(rows) };
}

const half = (ticks: number, name: 'lo' | 'hi') => (name === 'lo' ? ticks >>> 0 : Math.floor(ticks / 2 ** 32));

export const devices: readonly DeviceEntry[] = [
  entry(testFinisher, testFinisherRegisters, null, undefined, ({ say }) => ({
    finish: (request) => say('finish', request),
  })),
  entry(goldfishRtc, goldfishRtcRegisters, null, undefined, ({ irq }) => ({ irq: irq('irq') })),
  entry(
    uart16550,
    uart16550Registers,
    fc.constantFrom({ type: 'char.readable' } as const, { type: 'char.writable' } as const),
    undefined,
    ({ irq, say }, loop) => ({
      irq: irq('irq'),
      char: {
        read: () => (loop.nowNs() % 3 === 0 ? 65 : -1),
        write: (byte) => {
          const taken = loop.nowNs() % 2 === 0;
          say('write', byte, taken);
          return taken;
        },
      },
    }),
  ),
  entry(
    plic,
    plicRegisters,
    fc.record({
      type: fc.constant('plic.source' as const),
      source: fc.integer({ min: -1, max: 98 }),
      level: fc.boolean(),
    }),
    { sources: 96, contexts: 4 },
    ({ irq }) => ({ context: (index) => irq(`context ${index}`) }),
  ),
  entry(
    aplic,
    aplicRegisters,
    fc.record({
      type: fc.constant('aplic.source' as const),
      source: fc.integer({ min: -1, max: 98 }),
      level: fc.boolean(),
    }),
    // The root, delivering directly; the other kinds of domain are in test/devices.
    { level: 'machine', delivery: 'direct', sources: 96, harts: 3, delegateAll: false },
    ({ irq, say }) => ({
      context: (hart) => irq(`context ${hart}`),
      child: {
        actor: { send: (event) => say('child', event) },
        inputs: { set: (source, level) => say('child', source, level) },
      },
    }),
  ),
  entry(aclint, aclintRegisters, null, undefined, ({ say }, loop) => ({
    harts: [0, 1].map((hart) => ({
      setSoftwareInterrupt: (level: boolean) => say('msip', hart, level),
      setTimecmp: (lo: number, hi: number) => say('mtimecmp', hart, lo, hi),
    })),
    readMtime: (name) => half(Math.floor(loop.nowNs() / 100), name),
  })),
  entry(pcieHost, pcieHostRegisters, null, { windows: [] }, () => ({
    bus: new PciBus([0, 1, 2, 3].map(() => ({ set: () => {} }))),
    topology: { commit: (_change, done) => done() },
  })),
  entry(pcieHostFunction, configRegisters, null, undefined, pciPorts),
  entry(
    pcieRootPort,
    bridgeRegisters,
    fc.oneof(
      fc.record({ type: fc.constant('pci.plug' as const), function: fc.constantFrom('a', 'b') }),
      fc.record({ type: fc.constant('pci.unplug-request' as const), isSurprise: fc.boolean() }),
    ),
    { slot: 1 },
    (outside, loop) => {
      const secondary = new PciBus();
      const slotEvent = (event: object) => outside.say('slot', event);
      return { ...pciPorts(outside, loop, secondary), secondary, slotEvent };
    },
  ),
  entry(edu, withBar0(eduRegisters), null, {}, pciPorts),
];
