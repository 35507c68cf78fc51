/** Steps of a hostile guest, and of whoever plugs and unplugs meanwhile: any writes, and short sequences that make sense. */
import fc from 'fast-check';
import { edu } from '../../actors/devices.ts';
import type { PlacedWindow } from '../../src/bus/topology.ts';
import { CAPABILITY, CONFIG } from '../../src/pci/index.ts';
import { MSI_BASE, PciBench, RAM_BASE, type Size } from './bench.ts';
import { pciCounter } from './example-function.ts';
import { Guest } from './guest.ts';

const KINDS = ['plug', 'unplug', 'pull', 'power on', 'power off', 'scan', 'reset', 'turn', 'hold', 'complete'] as const;

/** `pick` chooses a function or a region among those there are. */
export type Step =
  | { readonly kind: (typeof KINDS)[number] }
  | ({ readonly kind: 'config'; readonly bdf: number; readonly register: number } & Write)
  | ({ readonly kind: 'memory'; readonly pick: number; readonly offset: number } & Write)
  | { readonly kind: 'messages'; readonly bdf: number; readonly address: number; readonly control: number }
  | { readonly kind: 'dma'; readonly pick: number; readonly registers: readonly [number, number, number, number] };

interface Write {
  readonly size: Size;
  readonly value: number;
}

export const DMA_MASK = { dmaMask: 0xffff_ffffn };
const EDU = 0x08;
const PORT = 0x10;
const COUNTER = 0x18;
const BEHIND = 0x100;
const BDFS = [0x00, EDU, PORT, COUNTER, BEHIND, 0x200, 0x701];
const ECAM = 0x3000_0000;
const BUFFER = 0x4_0000;
/** Of the root port. */
const SLOT_CONTROL = 0x70;

const EDGES = [
  0,
  1,
  2,
  4,
  6,
  7,
  0x40,
  0x400,
  0x8000,
  0xc000,
  RAM_BASE,
  MSI_BASE,
  0x4000_0000,
  0x5000_0000,
  0xffff_ffff,
];
const value = fc.oneof(fc.constantFrom(...EDGES), fc.nat(0xfff), fc.integer({ min: 0, max: 0xffff_ffff }));
const size = fc.constantFrom<Size>(1, 2, 4, 4, 4);
/** The header's, then the capabilities': of edu, of the counter, of the root port. */
const HEADER = [0x04, 0x06, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x3c, 0x3e];
const CAPABILITIES = [0x42, 0x44, 0x4a, 0x4c, 0x50, 0x58, 0x62, 0x68, 0x70, 0x72, 0x74];
const register = fc.oneof(fc.constantFrom(...HEADER, ...CAPABILITIES), fc.nat(0xff), fc.nat(0xfff));
const OFFSETS = [0, 4, 8, 0xc, 0x10, 0x1c, 0x20, 0x2c, 0x30, 0x60, 0x64, 0x80, 0x84, 0x88, 0x90, 0x98];
const offset = fc.oneof(fc.constantFrom(...OFFSETS), fc.nat(0x1f_ffff));
const ECAM_PLACES = [EDU, BEHIND].flatMap((bdf) => [CONFIG.command, CONFIG.bar0].map((at) => ECAM + bdf * 0x1000 + at));
const PLACES = [RAM_BASE, RAM_BASE + 0xffe, BUFFER, BUFFER + 4, BUFFER + 0xffc, 0x4000_0004, 0x4000_0060, 0x4000_0098];
const place = fc.constantFrom(...PLACES, ...ECAM_PLACES, MSI_BASE, 0x1000);
const pick = fc.nat(99);
const bdf = fc.constantFrom(...BDFS);
const address = fc.constantFrom(MSI_BASE, MSI_BASE + 4, RAM_BASE + 8, 0x4000_0060, 0);
const count = fc.constantFrom(0, 4, 4, 8, 64, 4096, 5000);
const out = fc.tuple(fc.constantFrom(BUFFER, BUFFER + 0x40), place, count, fc.constant(3));
const registers = fc.oneof(out, fc.tuple(place, place, count, fc.nat(7)));

const kind = <const K extends string>(name: K) => fc.constant(name);
export const guestStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: kind('config'), bdf, register, size, value }) },
  { weight: 6, arbitrary: fc.record({ kind: kind('memory'), pick, offset, size, value }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('messages'),
      bdf,
      address,
      control: fc.constantFrom(0, 1, 0x21, 0x8000, 0xc000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('dma'), pick, registers }),
  },
  { weight: 3, arbitrary: fc.constantFrom<Step>({ kind: 'turn' }, { kind: 'scan' }) },
);
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: guestStep },
  { weight: 1, arbitrary: fc.constantFrom(...KINDS).map((kind): Step => ({ kind })) },
);

export interface Machine {
  readonly bench: PciBench;
  readonly port: ReturnType<PciBench['addRootPort']>;
  plugs: number;
}

export function machine(): Machine {
  const bench = new PciBench();
  bench.add('edu0', edu, EDU, DMA_MASK);
  const port = bench.addRootPort('rp0', PORT, 'inner0');
  bench.add('inner0', pciCounter, 0, { step: 1 }, { bus: port.secondary });
  bench.add('counter0', pciCounter, COUNTER, { step: 1 });
  bench.loop.advance(0);
  new Guest(bench).scan();
  return { bench, port, plugs: 0 };
}

/** Completes what waits, and lets changes complete by themselves from here on. */
export function settle(bench: PciBench): void {
  bench.topology.isAutomatic = true;
  for (let i = 0; i < 1000 && bench.topology.waiting > 0; i++) bench.topology.complete();
  bench.loop.advance(0);
}

export function take(machine: Machine, step: Step): void {
  const { bench, port } = machine;
  const { topology } = bench;
  const write = (bdf: number, at: number, value: number, size: Size) => {
    bench.configWriteLater(bdf, at, value, size, () => {});
  };
  switch (step.kind) {
    case 'config':
      bench.configRead(step.bdf, step.register, step.size);
      return write(step.bdf, step.register, step.value, step.size);
    case 'memory':
      return takeMemory(bench, step);
    case 'messages': {
      const guest = new Guest(bench);
      const [msi, msix] = [guest.capability(step.bdf, CAPABILITY.msi), guest.capability(step.bdf, CAPABILITY.msix)];
      if (msi !== 0) write(step.bdf, msi + 4, step.address, 4);
      if (msi !== 0) write(step.bdf, msi + 2, step.control, 2);
      if (msix !== 0) write(step.bdf, msix + 2, step.control, 2);
      // What raises an interrupt of edu, and of the counter.
      for (const { base } of topology.regions.values()) for (const at of [0x60, 0]) bench.write(base + at, 1);
      return;
    }
    case 'dma': {
      const base = regionOf(bench, step.pick, (name) => !/counter|inner/.test(name))?.base ?? 0;
      step.registers.forEach((value, index) => {
        bench.write(base + 0x80 + 8 * index, value);
      });
      return;
    }
    case 'plug': {
      if (port.secondary.slot(0) !== undefined) return;
      machine.plugs += 1;
      const name = `plugged${machine.plugs}`;
      bench.add(name, edu, 0, DMA_MASK, { bus: port.secondary });
      return port.actor.send({ type: 'pci.plug', function: name });
    }
    case 'unplug':
    case 'pull':
      return port.actor.send({ type: 'pci.unplug-request', isSurprise: step.kind === 'pull' });
    case 'power on':
      return write(PORT, SLOT_CONTROL, 0x1139, 2);
    case 'power off':
      return write(PORT, SLOT_CONTROL, 0x1739, 2);
    case 'scan':
      settle(bench);
      new Guest(bench).scan();
      return;
    case 'reset':
      for (const { actor } of bench.functions.values()) actor.send({ type: 'device.reset' });
      return bench.host.reset();
    case 'turn':
      return bench.loop.advance(200_000);
    case 'hold':
      topology.isAutomatic = false;
      return;
    case 'complete':
      topology.complete();
  }
}

function takeMemory(bench: PciBench, step: Step & { readonly kind: 'memory' }): void {
  const region = regionOf(bench, step.pick);
  if (region === undefined) return;
  const at = region.base + Math.min(step.offset, region.lengthBytes - step.size);
  const read = bench.read(at, step.size);
  if (read === null || read < 0 || read >= 2 ** (8 * step.size)) throw new Error(`a read gave ${read}`);
  bench.write(at, step.value, step.size);
}

function regionOf(bench: PciBench, pick: number, isWanted = (_name: string) => true): PlacedWindow | undefined {
  const regions = [...bench.topology.regions.values()].filter(({ name }) => isWanted(name));
  regions.sort((a, b) => a.base - b.base);
  return regions[pick % regions.length];
}
