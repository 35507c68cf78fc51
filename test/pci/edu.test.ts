/** The educational device, as its specification describes it; and what its DMA may meet. */
import { describe, expect, it } from 'vitest';
import { edu } from '../../actors/devices.ts';
import { COMMAND, CONFIG } from '../../src/pci/index.ts';
import { MSI_BASE, PciBench, type Plugged, RAM_BASE } from './bench.ts';
import { Guest } from './guest.ts';

const DMA = { run: 1, fromDevice: 2, interrupt: 4 } as const;
const FAILED = 0x100;
const BUFFER = 0x4_0000;
const ECAM = 0x3000_0000;
const LONG_NS = 1_000_000;
const EDU = 0x08;

function machine(count = 1) {
  const bench = new PciBench();
  for (let i = 0; i < count; i++) bench.add(`edu${i}`, edu, EDU * (i + 1), { dmaMask: 0xffff_ffffn });
  bench.loop.advance(0);
  const guest = new Guest(bench);
  const bases = guest.scan().flatMap(({ bars }) => bars.map(({ base }) => base));
  const base = bases[0] ?? 0;
  /** Starts a transfer. */
  const copy = (source: number, destination: number, lengthBytes: number, command: number, device = base): void => {
    bench.write(device + 0x80, source);
    bench.write(device + 0x88, destination);
    bench.write(device + 0x90, lengthBytes);
    bench.write(device + 0x98, command);
  };
  const run = (...transfer: Parameters<typeof copy>): number => {
    copy(...transfer);
    bench.loop.advance(LONG_NS);
    return bench.read((transfer[4] ?? base) + 0x20) ?? 0;
  };
  return { bench, guest, base, bases, copy, run };
}

describe('edu', () => {
  it('identifies itself, and inverts what it is given', () => {
    const { bench, base } = machine();
    expect(bench.read(base)).toBe(0x0100_00ed);
    bench.write(base + 4, 0x0f0f_1234);
    expect(bench.read(base + 4)).toBe(0xf0f0_edcb);
  });

  it('computes factorials later, and does not take another number meanwhile', () => {
    const { bench, base } = machine();
    bench.write(base + 8, 5);
    expect([bench.read(base + 8), bench.read(base + 0x20)]).toEqual([5, 1]);
    bench.write(base + 8, 6);
    bench.loop.advance(0);
    expect([bench.read(base + 8), bench.read(base + 0x20), bench.read(base + 0x24)]).toEqual([120, 0, 0]);
    for (const [n, expected] of [
      [0, 1],
      [13, 1_932_053_504],
      [33, 0x8000_0000],
      [34, 0],
      [0xffff_ffff, 0],
    ] as const) {
      bench.write(base + 8, n);
      bench.loop.advance(0);
      expect(bench.read(base + 8)).toBe(expected);
    }
  });

  it('interrupts when a factorial is there, if asked to', () => {
    const { bench, guest, base } = machine();
    bench.write(base + 0x20, 0xffff_ffff);
    expect(bench.read(base + 0x20)).toBe(0x80);
    bench.write(base + 8, 3);
    bench.loop.advance(0);
    expect([bench.read(base + 0x24), bench.irqs[1]]).toEqual([1, true]);
    bench.write(base + 0x64, 1);
    expect([bench.read(base + 0x24), bench.irqs[1]]).toEqual([0, false]);
    guest.enableMsi(EDU, MSI_BASE, 0x33);
    bench.write(base + 8, 3);
    bench.loop.advance(0);
    expect([bench.messages, bench.irqs[1]]).toEqual([[{ address: MSI_BASE, data: 0x33 }], false]);
  });

  it('takes accesses of 4 bytes, and of 8 from 0x80 on, which arrive as two', () => {
    const { bench, base } = machine();
    expect([bench.read(base, 1), bench.read(base, 2), bench.read(base + 0x98, 1)]).toEqual([0xff, 0xffff, 0xff]);
    bench.write(base + 4, 1, 1);
    bench.write(base + 0x80, 1, 2);
    expect([bench.read(base + 4), bench.read(base + 0x80)]).toEqual([0, 0]);
    bench.write(base + 0x80, 0x89ab_cdef);
    bench.write(base + 0x84, 0x0123_4567);
    expect([bench.read(base + 0x80), bench.read(base + 0x84)]).toEqual([0x89ab_cdef, 0x0123_4567]);
    bench.write(base + 0x80, 1);
    expect([bench.read(base + 0x84), bench.read(base + 0x9c), bench.read(base + 0x200)]).toEqual([0, 0, 0xffff_ffff]);
  });

  it('copies to itself and back, and interrupts when done', () => {
    const { bench, base, copy, run } = machine();
    bench.ram.set(Array.from({ length: 256 }, (_, i) => i));
    copy(RAM_BASE, BUFFER + 0x10, 256, DMA.run | DMA.interrupt);
    expect([bench.read(base + 0x98), bench.read(base + 0x24)]).toEqual([5, 0]);
    // What runs is not to be changed.
    bench.write(base + 0x90, 1);
    bench.write(base + 0x98, DMA.run | DMA.fromDevice);
    bench.loop.advance(LONG_NS);
    expect([bench.read(base + 0x98), bench.read(base + 0x24), bench.read(base + 0x20)]).toEqual([4, 0x100, 0]);
    expect(bench.irqs[1]).toBe(true);
    expect(run(BUFFER + 0x10, RAM_BASE + 0x1000, 256, DMA.run | DMA.fromDevice)).toBe(0);
    expect(bench.ram.slice(0x1000, 0x1100)).toEqual(bench.ram.slice(0, 256));
  });

  it('cuts addresses to its mask', () => {
    const bench = new PciBench();
    bench.add('edu0', edu, EDU, {});
    bench.loop.advance(0);
    const [, found] = new Guest(bench).scan();
    const base = found?.bars[0]?.base ?? 0;
    // 28 bits: RAM at 0x80000000 is out of reach, where it goes there is nothing.
    for (const [at, value] of [
      [0x80, RAM_BASE],
      [0x88, BUFFER],
      [0x90, 4],
      [0x98, 1],
    ] as const)
      bench.write(base + at, value);
    bench.loop.advance(LONG_NS);
    expect(bench.read(base + 0x20)).toBe(FAILED);
  });

  it.each([
    ['beyond the 4 KiB', RAM_BASE, BUFFER + 4000, 97, DMA.run],
    ['before them', BUFFER - 1, RAM_BASE, 1, DMA.run | DMA.fromDevice],
    ['more than there are', RAM_BASE, BUFFER, 0xffff_ffff, DMA.run],
    ['where there is no memory', 0x1000, BUFFER, 4, DMA.run],
    ['past the end of RAM', BUFFER, RAM_BASE + 0xfffe, 4, DMA.run | DMA.fromDevice],
  ])('says that a transfer %s has failed, interrupts, and goes on', (_, source, destination, lengthBytes, command) => {
    const { bench, base, run } = machine();
    bench.ram.fill(7);
    expect(run(source, destination, lengthBytes, command | DMA.interrupt)).toBe(FAILED);
    expect([bench.read(base + 0x98), bench.read(base + 0x24)]).toEqual([
      (command & DMA.fromDevice) | DMA.interrupt,
      0x100,
    ]);
    expect(bench.ram.every((byte) => byte === 7)).toBe(true);
    expect(run(RAM_BASE, BUFFER, 4096, DMA.run)).toBe(0);
    expect(run(RAM_BASE, BUFFER, 0, DMA.run)).toBe(0);
  });

  it('fails a transfer while it is no bus master', () => {
    const { bench, guest, run } = machine();
    guest.write(EDU, CONFIG.command, COMMAND.memory, 2);
    expect(run(RAM_BASE, BUFFER, 4, DMA.run)).toBe(FAILED);
    bench.ram[0] = 9;
    guest.write(EDU, CONFIG.command, COMMAND.memory | COMMAND.busMaster, 2);
    expect(run(RAM_BASE, BUFFER, 4, DMA.run)).toBe(0);
  });

  it('begins a transfer again that was under way when its state was saved', () => {
    const { bench, base, copy } = machine();
    bench.ram.fill(0x42, 0, 16);
    let isSaved = false;
    let saved: unknown;
    const read = bench.dma.read;
    bench.dma.read = (...request) => {
      if (isSaved) return read(...request);
      isSaved = true;
      saved = structuredClone(bench.functions.get('edu0')?.actor.getPersistedSnapshot());
    };
    copy(RAM_BASE, BUFFER, 16, DMA.run);
    bench.loop.advance(LONG_NS);
    expect(bench.read(base + 0x98)).toBe(1);
    bench.remove('edu0');
    bench.add('edu0', edu, EDU, { dmaMask: 0xffff_ffffn }, { saved });
    bench.loop.advance(LONG_NS);
    expect(bench.read(base + 0x98)).toBe(0);
    copy(BUFFER, RAM_BASE + 64, 16, DMA.run | DMA.fromDevice);
    bench.loop.advance(LONG_NS);
    expect(bench.ram[79]).toBe(0x42);
  });

  it('forgets a transfer at a reset, and does not hear its answer', () => {
    const { bench, guest, base, copy } = machine();
    let answer: (bytes: Uint8Array | null) => void = () => {};
    bench.dma.read = (_gpa, _lengthBytes, done) => {
      answer = done;
    };
    copy(RAM_BASE, BUFFER, 16, DMA.run | DMA.interrupt);
    bench.loop.advance(LONG_NS);
    bench.functions.get('edu0')?.actor.send({ type: 'device.reset' });
    answer(new Uint8Array(16));
    bench.loop.advance(LONG_NS);
    guest.write(EDU, CONFIG.bar0, base, 4);
    guest.write(EDU, CONFIG.command, COMMAND.memory, 2);
    expect([bench.read(base + 0x98), bench.read(base + 0x20), bench.read(base + 0x24)]).toEqual([0, 0, 0]);
  });

  it('lets its answer wait while it is quiesced', () => {
    const { bench, base, copy } = machine();
    const { actor } = bench.functions.get('edu0') as Plugged;
    let answer: (bytes: Uint8Array | null) => void = () => {};
    bench.dma.read = (_gpa, _lengthBytes, done) => {
      answer = done;
    };
    copy(RAM_BASE, BUFFER, 16, DMA.run);
    bench.loop.advance(LONG_NS);
    actor.send({ type: 'device.quiesce' });
    answer(new Uint8Array(16));
    bench.loop.advance(LONG_NS);
    expect(bench.read(base + 0x98)).toBe(1);
    actor.send({ type: 'device.resume' });
    bench.loop.advance(0);
    expect(bench.read(base + 0x98)).toBe(0);
  });
});

describe('DMA that leads back', () => {
  /** Puts words into a device's buffer. */
  function load(
    bench: PciBench,
    run: ReturnType<typeof machine>['run'],
    words: readonly number[],
    device: number,
  ): void {
    const view = new DataView(bench.ram.buffer);
    words.forEach((word, i) => {
      view.setUint32(0x8000 + 4 * i, word, true);
    });
    expect(run(RAM_BASE + 0x8000, BUFFER, 4 * words.length, DMA.run, device)).toBe(0);
  }

  it('to its own registers: an ordinary write while it runs', () => {
    const { bench, base, run } = machine();
    // Liveness, then a factorial.
    load(bench, run, [0xffff_fffe, 4], base);
    expect(run(BUFFER, base + 4, 8, DMA.run | DMA.fromDevice)).toBe(0);
    expect([bench.read(base + 4), bench.read(base + 8)]).toEqual([1, 24]);
    // Its own command and addresses are locked.
    load(bench, run, [0, 0, 0, 0, 0, 0, 0xff, 0], base);
    expect(run(BUFFER, base + 0x80, 32, DMA.run | DMA.fromDevice)).toBe(0);
    expect([bench.read(base + 0x88), bench.read(base + 0x98)]).toEqual([base + 0x80, DMA.fromDevice]);
    // And reading them gives what they are in the middle of it.
    expect(run(base + 0x98, BUFFER + 64, 4, DMA.run)).toBe(0);
    expect(run(BUFFER + 64, RAM_BASE, 4, DMA.run | DMA.fromDevice)).toBe(0);
  });

  it('from one device to another and back: each transfer starts the next', () => {
    const { bench, bases, run, copy } = machine(2);
    const [a = 0, b = 0] = bases;
    // B is told to write A's liveness register; A's transfer is what tells it.
    load(bench, run, [0xffff_fffc], b);
    load(bench, run, [BUFFER, 0, a + 4, 0, 4, 0, DMA.run | DMA.fromDevice], a);
    copy(BUFFER, b + 0x80, 28, DMA.run | DMA.fromDevice, a);
    bench.loop.advance(LONG_NS);
    expect([bench.read(a + 4), bench.read(a + 0x20), bench.read(b + 0x20)]).toEqual([3, 0, 0]);
  });

  it('by a message to the register that sends it: it ends with the chain', () => {
    const { bench, guest, base } = machine();
    guest.enableMsi(EDU, base + 0x60, 3);
    bench.write(base + 0x60, 1);
    bench.loop.advance(LONG_NS);
    expect([bench.read(base + 0x24), bench.read(base)]).toEqual([3, 0x0100_00ed]);
  });

  it('to each other for ever: every round takes its time', () => {
    const { bench, bases, run, copy } = machine(2);
    const [a = 0, b = 0] = bases;
    load(bench, run, [DMA.run | DMA.fromDevice], b);
    load(bench, run, [DMA.run | DMA.fromDevice], a);
    for (const [device, other] of [
      [b, a],
      [a, b],
    ] as const)
      copy(BUFFER, other + 0x98, 4, 0, device);
    bench.write(a + 0x98, DMA.run | DMA.fromDevice);
    let running = 0;
    for (let i = 0; i < 100; i++) {
      bench.loop.advance(100_000);
      running += (((bench.read(a + 0x98) ?? 0) | (bench.read(b + 0x98) ?? 0)) & DMA.run) === 0 ? 0 : 1;
    }
    expect(running).toBe(100);
  });

  it('to configuration space: it can move itself away, or take its own bus mastering', () => {
    const { bench, base, run, guest } = machine();
    load(bench, run, [0x5000_0000], base);
    expect(run(BUFFER, ECAM + EDU * 0x1000 + CONFIG.bar0, 4, DMA.run | DMA.fromDevice)).toBe(0xffff_ffff);
    expect([bench.read(0x5000_0000), bench.read(0x5000_0098), bench.read(0x5000_0020)]).toEqual([0x0100_00ed, 2, 0]);
    load(bench, run, [COMMAND.memory], 0x5000_0000);
    expect(run(BUFFER, ECAM + EDU * 0x1000 + CONFIG.command, 4, DMA.run | DMA.fromDevice, 0x5000_0000)).toBe(0);
    expect(guest.read(EDU, CONFIG.command, 2)).toBe(COMMAND.memory);
    expect(run(RAM_BASE, BUFFER, 4, DMA.run, 0x5000_0000)).toBe(FAILED);
  });
});
