/** A hostile guest: any writes to anything of PCI, in any order, with functions that come and go. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { edu, pcieHostFunction } from '../../actors/devices.ts';
import { MSI_BASE, PciBench, RAM_BASE, type Size } from './bench.ts';
import { pciCounter } from './example-function.ts';
import { Guest } from './guest.ts';

type Step =
  | {
      readonly kind: 'config';
      readonly bdf: number;
      readonly register: number;
      readonly size: Size;
      readonly value: number;
    }
  | {
      readonly kind: 'memory';
      readonly region: number;
      readonly offset: number;
      readonly size: Size;
      readonly value: number;
    }
  | { readonly kind: 'plug' | 'unplug' | 'pull' | 'reset' | 'turn' | 'hold' | 'complete' };

const size = fc.constantFrom<Size>(1, 2, 4, 4, 4);
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
  0x1000_0000,
  RAM_BASE,
  MSI_BASE,
  0x4000_0000,
  0x5000_0000,
];
const value = fc.oneof(fc.constantFrom(...EDGES, 0xffff_ffff), fc.nat(0xfff), fc.integer({ min: 0, max: 0xffff_ffff }));
const BDFS = [0x00, 0x08, 0x10, 0x18, 0x100, 0x200, 0x701];
/** The header's, then the capabilities': of edu, of the counter, of the root port. */
const HEADER = [0x04, 0x06, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x3c, 0x3e];
const CAPABILITIES = [0x42, 0x44, 0x4a, 0x4c, 0x50, 0x58, 0x62, 0x68, 0x70, 0x72, 0x74];
const REGISTERS = [...HEADER, ...CAPABILITIES];
const register = fc.oneof(fc.constantFrom(...REGISTERS), fc.nat(0xff), fc.nat(0xfff));
const OFFSETS = [0, 4, 8, 0xc, 0x10, 0x1c, 0x20, 0x30, 0x60, 0x64, 0x80, 0x84, 0x88, 0x90, 0x98];
const offset = fc.oneof(fc.constantFrom(...OFFSETS), fc.nat(0x1f_ffff));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('config' as const),
      bdf: fc.constantFrom(...BDFS),
      register,
      size,
      value,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('memory' as const), region: fc.nat(99), offset, size, value }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'plug' as const,
        'unplug' as const,
        'pull' as const,
        'reset' as const,
        'turn' as const,
        'hold' as const,
        'complete' as const,
      ),
    }),
  },
);

function setUp() {
  const bench = new PciBench();
  bench.add('edu0', edu, 0x08, { dmaMask: 0xffff_ffffn });
  const port = bench.addRootPort('rp0', 0x10, 'inner0');
  bench.add('inner0', pciCounter, 0, { step: 1 }, { bus: port.secondary });
  bench.add('counter0', pciCounter, 0x18, { step: 1 });
  bench.loop.advance(0);
  new Guest(bench).scan();
  return { bench, port, plugs: 0 };
}

function take(machine: ReturnType<typeof setUp>, step: Step): void {
  const { bench, port } = machine;
  switch (step.kind) {
    case 'config':
      bench.configRead(step.bdf, step.register, step.size);
      bench.configWriteLater(step.bdf, step.register, step.value, step.size, () => {});
      break;
    case 'memory': {
      const regions = [...bench.topology.regions.values()].sort((a, b) => a.name.localeCompare(b.name));
      const region = regions[step.region % regions.length];
      if (region === undefined) break;
      const at = region.base + Math.min(step.offset, region.lengthBytes - step.size);
      const read = bench.read(at, step.size);
      if (read === null || read < 0 || read >= 2 ** (8 * step.size)) throw new Error(`a read gave ${read}`);
      bench.write(at, step.value, step.size);
      break;
    }
    case 'plug':
      if (port.secondary.slot(0) !== undefined) break;
      machine.plugs += 1;
      bench.add(`plugged${machine.plugs}`, edu, 0, { dmaMask: 0xffff_ffffn }, { bus: port.secondary });
      port.actor.send({ type: 'pci.plug', function: `plugged${machine.plugs}` });
      break;
    case 'unplug':
    case 'pull':
      port.actor.send({ type: 'pci.unplug-request', isSurprise: step.kind === 'pull' });
      break;
    case 'reset':
      for (const { actor } of bench.functions.values()) actor.send({ type: 'device.reset' });
      bench.host.reset();
      break;
    case 'turn':
      bench.loop.advance(200_000);
      break;
    case 'hold':
      bench.topology.isAutomatic = false;
      break;
    case 'complete':
      bench.topology.complete();
  }
}

describe('a hostile guest', () => {
  it('breaks nothing: no access throws, and the map ends as the registers say', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const machine = setUp();
        const { bench } = machine;
        for (const one of steps) take(machine, one);
        bench.topology.isAutomatic = true;
        for (let i = 0; i < 200 && bench.topology.waiting > 0; i++) bench.topology.complete();
        bench.loop.advance(1_000_000);
        expect(bench.topology.waiting).toBe(0);
        for (const { actor } of bench.functions.values())
          expect(actor.getSnapshot()).toMatchObject({ status: 'active' });
        // What is in the map is what is decoded now, and nothing that has gone.
        const names = [...bench.topology.regions.keys()].filter((name) => name.includes('.bar'));
        for (const name of names) expect([...bench.functions.keys()]).toContain(name.split('.')[0]);
        let isDone = false;
        bench.configWriteLater(0x08, 0x3c, 1, 1, () => {
          isDone = true;
        });
        bench.loop.advance(0);
        expect(isDone).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it('can be saved between any two steps, and goes on the same', () => {
    const guestSteps = fc
      .array(step, { maxLength: 40 })
      .map((steps) => steps.filter(({ kind }) => kind === 'config' || kind === 'memory' || kind === 'turn'));
    fc.assert(
      fc.property(guestSteps, guestSteps, (before, after) => {
        const first = setUp();
        for (const one of before) take(first, one);
        first.bench.loop.advance(0);
        const second = restored(first.bench);
        for (const one of after) {
          take(first, one);
          take(second, one);
          // Changes of the map are complete before the next step.
          first.bench.loop.advance(0);
          second.bench.loop.advance(0);
        }
        expect(stateOf(second.bench)).toEqual(stateOf(first.bench));
        expect(second.bench.irqs).toEqual(first.bench.irqs);
        expect(Buffer.compare(second.bench.ram, first.bench.ram)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

/** Another machine, at the same time, from what the functions of this one persist as. */
function restored(from: PciBench): ReturnType<typeof setUp> {
  const saved = (name: string) => structuredClone(from.functions.get(name)?.actor.getPersistedSnapshot());
  const bench = new PciBench();
  bench.loop.advance(from.loop.nowNs());
  bench.ram.set(from.ram);
  bench.remove('gpex');
  bench.add('gpex', pcieHostFunction, 0, undefined, { saved: saved('gpex') });
  bench.add('edu0', edu, 0x08, { dmaMask: 0xffff_ffffn }, { saved: saved('edu0') });
  const port = bench.addRootPort('rp0', 0x10, 'inner0', saved('rp0'));
  bench.add('inner0', pciCounter, 0, { step: 1 }, { bus: port.secondary, saved: saved('inner0') });
  bench.add('counter0', pciCounter, 0x18, { step: 1 }, { saved: saved('counter0') });
  bench.loop.advance(0);
  return { bench, port, plugs: 0 };
}

function stateOf(bench: PciBench): unknown {
  const functions = Object.fromEntries(
    [...bench.functions].map(([name, { actor }]) => [name, actor.getPersistedSnapshot()]),
  );
  const regions = [...bench.topology.regions.values()].map(({ name, base, lengthBytes }) => [base, name, lengthBytes]);
  return { functions, regions: regions.sort((a, b) => Number(a[0]) - Number(b[0])) };
}
