import { describe, expect, it } from 'vitest';
import { plic } from '../../actors/irq/plic.ts';
import { SimLoop } from '../support/sim-loop.ts';

const enableOf = (context: number, word = 0) => 0x2000 + context * 0x80 + word * 4;
const thresholdOf = (context: number) => 0x20_0000 + context * 0x1000;
const claimOf = (context: number) => thresholdOf(context) + 4;

function rig(contexts = 4) {
  const lines = new Array<boolean>(contexts).fill(false);
  const ports = {
    loop: new SimLoop(),
    context: (index: number) => ({
      set: (level: boolean) => {
        lines[index] = level;
      },
    }),
  };
  const core = plic.create(ports, { sources: 96, contexts: lines.length });
  const read = (offset: number) => core.mmioRead?.(offset, 4) as number;
  const write = (offset: number, value: number) => core.mmioWrite?.(offset, value, 4);
  const wire = (source: number, level: boolean) => core.input?.(source, level);
  /** Priority 1 for these sources, enabled in the context. */
  const enable = (context: number, ...sources: number[]) => {
    for (const source of sources) {
      write(source * 4, 1);
      const offset = enableOf(context, source >>> 5);
      write(offset, read(offset) | (1 << (source & 31)));
    }
  };
  return { core, lines, read, write, wire, enable };
}

describe('the PLIC', () => {
  it('interrupts the contexts that have enabled a source, and no others', () => {
    const { lines, wire, enable } = rig();
    enable(1, 10);
    enable(3, 96);
    wire(10, true);
    expect(lines).toEqual([false, true, false, false]);
    wire(96, true);
    expect(lines).toEqual([false, true, false, true]);
  });

  it('serves two contexts of each of 64 harts', () => {
    const { core, lines, read, write, wire, enable } = rig(128);
    // Hart 63 in S mode is the last, hart 63 in M mode the one before it.
    enable(127, 10, 96);
    enable(126, 96);
    write(enableOf(128), 0xffff_ffff);
    expect(read(enableOf(128))).toBe(0);
    wire(10, true);
    expect(lines.flatMap((level, context) => (level ? [context] : []))).toEqual([127]);
    wire(96, true);
    expect(lines.flatMap((level, context) => (level ? [context] : []))).toEqual([126, 127]);
    expect([read(claimOf(126)), read(claimOf(127)), read(claimOf(127))]).toEqual([96, 10, 0]);
    expect(lines).not.toContain(true);
    const second = rig(128);
    second.core.load(core.save());
    write(claimOf(127), 96);
    second.write(claimOf(127), 96);
    expect([lines[126], lines[127]]).toEqual([true, true]);
    expect(second.lines).toEqual(lines);
  });

  it('hands out a source once, and again after completion while the wire is high', () => {
    const { lines, read, write, wire, enable } = rig();
    enable(1, 10);
    wire(10, true);
    expect([read(claimOf(1)), lines[1], read(claimOf(1))]).toEqual([10, false, 0]);
    write(claimOf(1), 10);
    expect([lines[1], read(claimOf(1))]).toEqual([true, 10]);
    wire(10, false);
    write(claimOf(1), 10);
    expect([lines[1], read(claimOf(1))]).toEqual([false, 0]);
  });

  it('keeps a request whose wire falls before the claim', () => {
    const { lines, read, wire, enable } = rig();
    enable(1, 10);
    wire(10, true);
    wire(10, false);
    expect([lines[1], read(0x1000), read(claimOf(1))]).toEqual([true, 1 << 10, 10]);
  });

  it('goes by priority, then by number', () => {
    const { read, write, wire, enable } = rig();
    enable(0, 3, 40, 5);
    write(40 * 4, 7);
    for (const source of [5, 3, 40]) wire(source, true);
    expect([read(claimOf(0)), read(claimOf(0)), read(claimOf(0)), read(claimOf(0))]).toEqual([40, 3, 5, 0]);
  });

  it('does not interrupt at or below the threshold, but lets be claimed', () => {
    const { lines, read, write, wire, enable } = rig();
    enable(0, 3);
    write(thresholdOf(0), 1);
    wire(3, true);
    expect([lines[0], read(claimOf(0))]).toEqual([false, 3]);
  });

  it('never interrupts with priority 0', () => {
    const { lines, read, write, wire, enable } = rig();
    enable(0, 3);
    write(3 * 4, 0);
    wire(3, true);
    expect([lines[0], read(claimOf(0))]).toEqual([false, 0]);
    write(3 * 4, 1);
    expect(lines[0]).toBe(true);
  });

  it('ignores completions of what the context has not enabled', () => {
    const { lines, read, write, wire, enable } = rig();
    enable(1, 10);
    wire(10, true);
    read(claimOf(1));
    write(claimOf(0), 10);
    write(claimOf(1), 11);
    write(claimOf(1), 0xffff_ffff);
    expect(lines[1]).toBe(false);
    write(claimOf(1), 10);
    expect(lines[1]).toBe(true);
  });

  it('keeps only the bits that exist', () => {
    const { read, write } = rig();
    write(4, 0xff);
    write(0, 7);
    write(97 * 4, 7);
    write(thresholdOf(2), 0xff);
    for (let word = 0; word < 4; word++) write(enableOf(2, word), 0xffff_ffff);
    write(0x1000, 0xffff_ffff);
    expect([read(4), read(0), read(97 * 4), read(thresholdOf(2)), read(0x1000)]).toEqual([7, 0, 0, 7, 0]);
    expect([0, 1, 2, 3, 4].map((word) => read(enableOf(2, word)))).toEqual([
      0xffff_fffe, 0xffff_ffff, 0xffff_ffff, 1, 0,
    ]);
    expect([read(enableOf(4)), read(thresholdOf(4)), read(claimOf(4))]).toEqual([0, 0, 0]);
  });

  it('ignores wires that do not exist', () => {
    const { core, wire } = rig();
    const before = core.save();
    for (const source of [0, 97, -1, 1.5, Number.NaN]) wire(source, true);
    expect(core.save()).toEqual(before);
  });

  it('hears a wire that is still high after a reset', () => {
    const { core, lines, wire, enable } = rig();
    enable(1, 10);
    wire(10, true);
    core.reset();
    expect(lines[1]).toBe(false);
    enable(1, 10);
    expect(lines[1]).toBe(true);
  });

  it('drives its outputs again when it is loaded', () => {
    const first = rig();
    first.enable(1, 10);
    first.wire(10, true);
    const second = rig();
    second.core.load(structuredClone(first.core.save()));
    expect([second.lines[1], second.read(claimOf(1))]).toEqual([true, 10]);
  });
});
