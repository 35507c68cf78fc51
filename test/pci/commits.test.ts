/** A configuration write is done when the memory map that follows from it is in use. */
import { describe, expect, it } from 'vitest';
import { edu } from '../../actors/devices.ts';
import { COMMAND, CONFIG } from '../../src/pci/index.ts';
import { PciBench } from './bench.ts';
import { Guest } from './guest.ts';

const EDU = 0x08;
const OTHER = 0x10;
const HERE = 0x4000_0000;
const THERE = 0x5000_0000;

function machine(): PciBench {
  const bench = new PciBench();
  bench.add('edu0', edu, EDU, {});
  bench.add('edu1', edu, OTHER, {});
  bench.loop.advance(0);
  new Guest(bench).scan();
  bench.topology.isAutomatic = false;
  bench.topology.changes.length = 0;
  return bench;
}

it('the host bridge asks for the map once at its start, though nothing is in it', () => {
  expect(new PciBench().topology.changes).toEqual([{ remove: [], add: [] }]);
});

describe('a configuration write', () => {
  it('that moves a BAR is done after the change, which is one', () => {
    const bench = machine();
    const log: string[] = [];
    bench.configWriteLater(EDU, CONFIG.bar0, THERE, 4, () => log.push('done'));
    bench.loop.advance(1_000_000);
    expect([log, bench.topology.waiting]).toEqual([[], 1]);
    // The register has its value; the map is still the old one.
    expect(bench.configRead(EDU, CONFIG.bar0, 4)).toBe(THERE);
    expect([bench.read(HERE), bench.read(THERE)]).toEqual([0x0100_00ed, 0xffff_ffff]);
    bench.topology.complete();
    expect(log).toEqual(['done']);
    expect([bench.read(HERE), bench.read(THERE)]).toEqual([0xffff_ffff, 0x0100_00ed]);
    const [change] = bench.topology.changes;
    expect(bench.topology.changes).toHaveLength(1);
    expect(change?.remove).toEqual(['edu0.bar0']);
    expect(change?.add.map(({ name, space, base }) => [name, space, base])).toEqual([['edu0.bar0', 'memory', THERE]]);
  });

  it('that changes nothing of the map is done at once', () => {
    const bench = machine();
    let isDone = false;
    bench.configWriteLater(EDU, CONFIG.interruptLine, 5, 1, () => {
      isDone = true;
    });
    expect([isDone, bench.topology.changes]).toEqual([true, []]);
    bench.configWriteLater(EDU, CONFIG.bar0, HERE, 4, () => {});
    expect(bench.topology.changes).toEqual([]);
  });

  it('waits for those before it, and all take effect in their order', () => {
    const bench = machine();
    const log: string[] = [];
    bench.configWriteLater(EDU, CONFIG.bar0, THERE, 4, () => log.push('move'));
    bench.configWriteLater(OTHER, CONFIG.bar0, HERE, 4, () => log.push('other'));
    bench.configWriteLater(EDU, CONFIG.interruptLine, 9, 1, () => log.push('line'));
    bench.configWriteLater(EDU, CONFIG.command, 0, 2, () => log.push('off'));
    expect(bench.configRead(OTHER, CONFIG.bar0, 4)).not.toBe(HERE);
    bench.topology.complete();
    expect(log).toEqual(['move']);
    expect(bench.configRead(OTHER, CONFIG.bar0, 4)).toBe(HERE);
    expect(bench.configRead(EDU, CONFIG.interruptLine, 1)).toBe(0);
    bench.topology.complete();
    expect(log).toEqual(['move', 'other', 'line']);
    bench.topology.complete();
    expect(log).toEqual(['move', 'other', 'line', 'off']);
    expect(bench.topology.waiting).toBe(0);
    expect([bench.read(HERE), bench.read(THERE)]).toEqual([0x0100_00ed, 0xffff_ffff]);
  });

  it('is not kept beyond a bound: the guest goes on, the write is dropped', () => {
    const bench = machine();
    bench.configWriteLater(EDU, CONFIG.bar0, THERE, 4, () => {});
    let done = 0;
    for (let i = 0; i < 3000; i++) bench.configWriteLater(OTHER, CONFIG.interruptLine, 1, 1, () => done++);
    expect(done).toBe(3000 - 256);
    bench.topology.complete();
    expect(done).toBe(3000);
  });

  it('from before a reset is done without effect', () => {
    const bench = machine();
    const log: string[] = [];
    bench.configWriteLater(EDU, CONFIG.bar0, THERE, 4, () => log.push('move'));
    bench.configWriteLater(OTHER, CONFIG.interruptLine, 7, 1, () => log.push('line'));
    bench.host.reset();
    expect(log).toEqual(['line']);
    bench.topology.complete();
    expect([log, bench.configRead(OTHER, CONFIG.interruptLine, 1)]).toEqual([['line', 'move'], 0]);
  });

  it('may be answered from inside commit()', () => {
    const bench = machine();
    const commit = bench.topology.commit.bind(bench.topology);
    bench.topology.commit = (change, done) => {
      commit(change, done);
      bench.topology.complete();
    };
    for (let i = 0; i < 5; i++) bench.configWrite(EDU, CONFIG.bar0, THERE + i * 0x10_0000, 4);
    expect(bench.read(THERE + 0x40_0000)).toBe(0x0100_00ed);
  });
});

describe('a BAR that goes by itself', () => {
  it('leaves the map with the next bottom half; until then it answers', () => {
    const bench = machine();
    bench.functions.get('edu0')?.actor.send({ type: 'device.reset' });
    expect(bench.topology.find(HERE)?.name).toBe('edu0.bar0');
    expect(bench.read(HERE)).toBe(0x0100_00ed);
    bench.loop.advance(0);
    bench.topology.complete();
    expect(bench.topology.find(HERE)).toBeUndefined();
  });

  it('that went while a change was under way goes with the next one', () => {
    const bench = machine();
    bench.configWriteLater(EDU, CONFIG.bar0, THERE, 4, () => {});
    bench.remove('edu0');
    bench.loop.advance(0);
    expect(bench.topology.waiting).toBe(1);
    bench.topology.complete();
    expect(bench.topology.regions.has('edu0.bar0')).toBe(true);
    bench.topology.complete();
    expect(bench.topology.regions.has('edu0.bar0')).toBe(false);
    expect(bench.read(THERE)).toBe(0xffff_ffff);
  });

  it('may come back under its name at once', () => {
    const bench = machine();
    bench.remove('edu0');
    bench.add('edu0', edu, EDU, {});
    bench.topology.isAutomatic = true;
    bench.topology.complete();
    bench.configWrite(EDU, CONFIG.bar0, HERE, 4);
    bench.configWrite(EDU, CONFIG.command, COMMAND.memory, 2);
    bench.loop.advance(0);
    expect(bench.read(HERE)).toBe(0x0100_00ed);
  });
});
