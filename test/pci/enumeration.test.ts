/** What a guest finds when it looks for PCI functions, and where their registers answer. */
import { describe, expect, it } from 'vitest';
import { edu, pcieHostFunction } from '../../actors/devices.ts';
import { BRIDGE, CAPABILITY, COMMAND, CONFIG, PciBus, routes } from '../../src/pci/index.ts';
import { IO_BASE, PciBench } from './bench.ts';
import { pciCounter } from './example-function.ts';
import { Guest } from './guest.ts';

const EDU = 0x08;
const PORT = 0x10;
const BEHIND = 0x100;
const ONES = 0xffff_ffff;

/** edu at 00:01.0; behind the root port at 00:02.0 a counter; a counter of two functions at 00:03. */
function machine(): { bench: PciBench; guest: Guest } {
  const bench = new PciBench();
  bench.add('edu0', edu, EDU, {});
  const { secondary } = bench.addRootPort('rp0', PORT, 'counter0');
  bench.add('counter0', pciCounter, 0, { step: 1 }, { bus: secondary });
  bench.add('many0', pciCounter, 0x18, { step: 2 }, { isMultifunction: true });
  bench.add('many1', pciCounter, 0x1b, { step: 3 });
  bench.loop.advance(0);
  return { bench, guest: new Guest(bench) };
}

describe('enumeration', () => {
  it('finds every function, sizes its BARs and reaches its registers', () => {
    const { bench, guest } = machine();
    const found = guest.scan();
    expect(found.map(({ bdf, id }) => [bdf, id.toString(16)])).toEqual([
      [0x00, '81b36'],
      [EDU, '11e81234'],
      [PORT, 'c1b36'],
      [0x18, '10ff1b36'],
      [0x1b, '10ff1b36'],
    ]);
    expect(found[1]?.bars).toEqual([{ bar: 0, space: 'memory', lengthBytes: 0x10_0000, base: 0x4000_0000 }]);
    expect(bench.read(0x4000_0000)).toBe(0x0100_00ed);

    const [behind] = found[2]?.children ?? [];
    expect(behind?.bdf).toBe(BEHIND);
    expect(behind?.bars.map(({ space, lengthBytes }) => [space, lengthBytes])).toEqual([
      ['memory', 0x1000],
      ['io', 16],
      ['memory', 0x1000],
    ]);
    const [memory, io, wide] = behind?.bars ?? [];
    bench.write(memory?.base ?? 0, 0);
    bench.write(memory?.base ?? 0, 0);
    expect(bench.read(memory?.base ?? 0)).toBe(2);
    bench.write(IO_BASE + (io?.base ?? 0), 0xcafe, 2);
    expect(bench.read(IO_BASE + (io?.base ?? 0), 2)).toBe(0xcafe);
    expect(wide?.base).toBeGreaterThanOrEqual(0x4_0000_0000);
    // The first word of the MSI-X table.
    bench.write(wide?.base ?? 0, 0x1234_5678);
    expect(bench.read(wide?.base ?? 0)).toBe(0x1234_5678);
  });

  it('puts nothing into the map but what functions decode', () => {
    const { bench, guest } = machine();
    guest.scan();
    const bars = (name: string) => [0, 1, 2].map((bar) => `${name}.bar${bar}`);
    const names = ['edu0.bar0', ...['counter0', 'many0', 'many1'].flatMap(bars)];
    expect([...bench.topology.regions.keys()].sort()).toEqual(names.sort());
  });

  it('reads all ones where there is nobody, and where an access is not aligned', () => {
    const { bench } = machine();
    for (const bdf of [0x20, 0x09, BEHIND, 0xffff]) {
      expect(bench.configRead(bdf, 0, 4)).toBe(ONES);
      expect(bench.configRead(bdf, 0, 2)).toBe(0xffff);
      bench.configWrite(bdf, CONFIG.command, 7, 2);
    }
    expect(bench.configRead(EDU, 2, 4)).toBe(ONES);
    bench.configWrite(EDU, 1, ONES, 4);
    expect(bench.configRead(EDU, 0, 4)).toBe(0x11e8_1234);
    expect(bench.configRead(EDU, 0xffc, 4)).toBe(0);
  });

  it('takes each byte of a register', () => {
    const { bench } = machine();
    bench.configWrite(EDU, CONFIG.bar0 + 2, 0x5a, 1);
    expect(bench.configRead(EDU, CONFIG.bar0, 4)).toBe(0x0050_0000);
    bench.configWrite(EDU, CONFIG.bar0 + 2, 0x7b30, 2);
    expect(bench.configRead(EDU, CONFIG.bar0, 4)).toBe(0x7b30_0000);
    expect(bench.configRead(EDU, CONFIG.interruptPin, 1)).toBe(1);
  });

  it('lists capabilities that a guest can walk', () => {
    const { bench, guest } = machine();
    guest.scan();
    for (const id of [CAPABILITY.powerManagement, CAPABILITY.msi, CAPABILITY.msix, CAPABILITY.express]) {
      expect(guest.capability(BEHIND, id)).not.toBe(0);
    }
    const type = (bdf: number) => (guest.read(bdf, guest.capability(bdf, CAPABILITY.express) + 2, 2) >> 4) & 0xf;
    expect([type(BEHIND), type(PORT), type(0x18)]).toEqual([0, 4, 9]);
    expect(bench.configRead(EDU, CONFIG.status, 2) & 0x10).toBe(0x10);
    expect(bench.configRead(0, CONFIG.capabilities, 1)).toBe(0);
  });

  it('lets nothing be seen that is disabled, unassigned or outside a window', () => {
    const { bench, guest } = machine();
    const bars = guest.scan()[2]?.children[0]?.bars ?? [];
    const at = bars[0]?.base ?? 0;
    const isSeen = () => bench.topology.regions.has('counter0.bar0');
    expect(isSeen()).toBe(true);
    bench.configWrite(BEHIND, CONFIG.command, COMMAND.io, 2);
    expect([isSeen(), bench.read(at)]).toEqual([false, ONES]);
    bench.configWrite(BEHIND, CONFIG.command, COMMAND.memory, 2);
    expect([isSeen(), bench.read(at)]).toEqual([true, 0]);
    expect(bench.topology.regions.has('counter0.bar1')).toBe(false);
    for (const base of [0, 0x1000, 0x9000_0000, 0xffff_f000]) {
      bench.configWrite(BEHIND, CONFIG.bar0, base, 4);
      expect(isSeen()).toBe(false);
    }
    bench.configWrite(BEHIND, CONFIG.bar0, at, 4);
    expect(isSeen()).toBe(true);
    // The bridge: its window, its command register, its bus numbers.
    const limit = guest.read(PORT, BRIDGE.memoryLimit, 2);
    bench.configWrite(PORT, BRIDGE.memoryLimit, 0, 2);
    expect(isSeen()).toBe(false);
    bench.configWrite(PORT, BRIDGE.memoryLimit, limit, 2);
    expect(isSeen()).toBe(true);
    bench.configWrite(PORT, CONFIG.command, 0, 2);
    expect(isSeen()).toBe(false);
    bench.configWrite(PORT, BRIDGE.secondaryBus, 7, 1);
    expect(bench.configRead(BEHIND, 0, 4)).toBe(ONES);
    expect(bench.configRead(0x700, 0, 4)).toBe(ONES);
    bench.configWrite(PORT, BRIDGE.subordinateBus, 9, 1);
    expect(bench.configRead(0x700, 0, 4)).toBe(0x10ff_1b36);
  });

  it('gives a place that two BARs claim to the lower function, and what is left to the other', () => {
    const { bench, guest } = machine();
    guest.scan();
    const base = 0x5000_0000;
    bench.configWrite(0x18, CONFIG.bar0, base, 4);
    bench.configWrite(EDU, CONFIG.bar0, base, 4);
    expect(bench.read(base)).toBe(0x0100_00ed);
    expect(bench.topology.regions.has('many0.bar0')).toBe(false);
    bench.configWrite(EDU, CONFIG.bar0, 0x6000_0000, 4);
    expect(bench.read(base)).toBe(0);
    expect(bench.topology.regions.has('many0.bar0')).toBe(true);
  });

  it('shows of a BAR what windows and lower BARs leave of it', () => {
    const bus = new PciBus(Array.from({ length: 4 }, () => ({ set() {} })));
    const slot = (name: string, devfn: number) => bus.attach({ name, devfn, reset() {} });
    const range = (base: number, lengthBytes: number) =>
      ({ bar: 0, space: 'memory', base, lengthBytes, offset: 0x1000 }) as const;
    slot('low', 0x08).decode([range(0x1400, 0x100)]);
    slot('high', 0x10).decode([range(0xf00, 0x1000)]);
    const seen = routes(bus, [{ space: 'memory', base: 0x9000, busBase: 0x1000, lengthBytes: 0x1000 }]);
    expect(seen.map(({ name, base, lengthBytes, offset }) => [name, base, lengthBytes, offset])).toEqual([
      ['low.bar0', 0x9400, 0x100, 0x1000],
      ['high.bar0+100', 0x9000, 0x400, 0x1100],
      ['high.bar0+600', 0x9500, 0xa00, 0x1600],
    ]);
  });

  it('sees a function that power management has put to sleep as gone from memory', () => {
    const { bench, guest } = machine();
    guest.scan();
    const at = guest.capability(BEHIND, CAPABILITY.powerManagement);
    guest.write(BEHIND, at + 4, 3, 2);
    expect(bench.topology.regions.has('counter0.bar0')).toBe(false);
    guest.write(BEHIND, at + 4, 0, 2);
    expect(bench.topology.regions.has('counter0.bar0')).toBe(true);
  });

  it('resets a function that asks for it, and all behind a bridge', () => {
    const { bench, guest } = machine();
    const bars = guest.scan()[2]?.children[0]?.bars ?? [];
    const at = bars[0]?.base ?? 0;
    bench.write(at, 0);
    guest.write(BEHIND, guest.capability(BEHIND, CAPABILITY.express) + 8, 0x8000, 2);
    expect([guest.read(BEHIND, CONFIG.command, 2), bench.read(at)]).toEqual([0, ONES]);
    guest.write(BEHIND, CONFIG.bar0, at, 4);
    guest.write(BEHIND, CONFIG.command, 7, 2);
    expect(bench.read(at)).toBe(0);
    guest.write(PORT, BRIDGE.bridgeControl, 0x40, 2);
    expect([guest.read(BEHIND, CONFIG.command, 2), bench.read(at)]).toEqual([0, ONES]);
    guest.write(PORT, BRIDGE.bridgeControl, 0, 2);
    expect(guest.read(BEHIND, CONFIG.vendorId, 2)).toBe(0x1b36);
  });
});

describe('a function whose actor has stopped', () => {
  it('answers all ones, in configuration space and in its BARs', () => {
    const { bench, guest } = machine();
    guest.scan();
    bench.functions.get('edu0')?.actor.stop();
    expect(bench.configRead(EDU, 0, 4)).toBe(ONES);
    expect(bench.read(0x4000_0000)).toBe(ONES);
    bench.write(0x4000_0004, 1);
    bench.configWrite(EDU, CONFIG.command, 0, 2);
  });
});

describe('a bus', () => {
  it('refuses a second function at a place, a second of a name, and places that do not exist', () => {
    const bench = new PciBench();
    bench.add('edu0', edu, EDU, {});
    expect(() => bench.add('edu1', edu, EDU, {})).toThrow('edu1 cannot be where edu0 is');
    expect(() => bench.add('edu0', edu, 0x10, {})).toThrow('edu0 cannot be where edu0 is');
    for (const devfn of [-1, 256, 1.5]) expect(() => bench.add('x', pcieHostFunction, devfn, undefined)).toThrow('x');
  });
});
