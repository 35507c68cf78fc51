/** A hostile guest: any writes to anything of PCI, in any order, with functions that come and go. */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { edu, pcieHostFunction } from '../../actors/devices.ts';
import { PciBench } from './bench.ts';
import { pciCounter } from './example-function.ts';
import { anyStep, DMA_MASK, guestStep, type Machine, machine, settle, take } from './hostile.ts';

/** What was reached: a guest that only meets closed doors proves nothing. */
const reached = { messages: 0, dma: 0, wires: 0, pulled: 0, changes: 0 };

function count(bench: PciBench): void {
  if (bench.messages.length > 0) reached.messages += 1;
  if (bench.ram.some((byte) => byte !== 0x5a)) reached.dma += 1;
  if (bench.irqs.includes(true)) reached.wires += 1;
  if (bench.slotEvents.some(({ type }) => type === 'pci.released')) reached.pulled += 1;
  reached.changes += bench.topology.changes.length;
}

describe('a hostile guest', () => {
  it('breaks nothing: no access throws, and the map ends as the registers say', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 60, size: 'max' }), (steps) => {
        const all = machine();
        const { bench } = all;
        bench.ram.fill(0x5a);
        for (const one of steps) take(all, one);
        settle(bench);
        bench.loop.advance(1_000_000);
        settle(bench);
        for (const { actor } of bench.functions.values())
          expect(actor.getSnapshot()).toMatchObject({ status: 'active' });
        // Nothing of what has gone is left.
        const owners = [...bench.topology.regions.keys()].map((name) => name.split('.')[0]);
        expect(owners.filter((name) => !bench.functions.has(name ?? ''))).toEqual([]);
        bench.configWrite(0x08, 0x3c, 1, 1);
        count(bench);
      }),
      { numRuns: 100 },
    );
  });

  it('can be saved between any two steps, and goes on the same', () => {
    const steps = fc.array(guestStep, { maxLength: 30, size: 'max' });
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const first = machine();
        first.bench.ram.fill(0x5a);
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
        count(first.bench);
      }),
      { numRuns: 40 },
    );
  });

  afterAll(() => {
    for (const [what, times] of Object.entries(reached)) expect(times, what).toBeGreaterThan(0);
  });
});

/** Another machine, at the same time, from what the functions of this one persist as. */
function restored(from: PciBench): Machine {
  const saved = (name: string) => ({ saved: structuredClone(from.functions.get(name)?.actor.getPersistedSnapshot()) });
  const bench = new PciBench();
  bench.loop.advance(from.loop.nowNs());
  bench.ram.set(from.ram);
  bench.remove('gpex');
  bench.add('gpex', pcieHostFunction, 0, undefined, saved('gpex'));
  bench.add('edu0', edu, 0x08, DMA_MASK, saved('edu0'));
  const port = bench.addRootPort('rp0', 0x10, 'inner0', saved('rp0').saved);
  bench.add('inner0', pciCounter, 0, { step: 1 }, { bus: port.secondary, ...saved('inner0') });
  bench.add('counter0', pciCounter, 0x18, { step: 1 }, saved('counter0'));
  bench.loop.advance(0);
  return { bench, port, plugs: 0 };
}

function stateOf(bench: PciBench): unknown {
  const functions = [...bench.functions].map(([name, { actor }]) => [name, actor.getPersistedSnapshot()]);
  const regions = [...bench.topology.regions.values()].map(({ name, base, lengthBytes }) => [base, name, lengthBytes]);
  return { functions: Object.fromEntries(functions), regions: regions.sort((a, b) => Number(a[0]) - Number(b[0])) };
}
