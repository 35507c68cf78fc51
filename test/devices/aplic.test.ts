import { describe, expect, it } from 'vitest';
import { aplicRegisters as R } from '../../actors/irq/aplic.ts';
import {
  DELEGATE,
  FILES,
  HARTS,
  IE,
  idc,
  leaf,
  MODE,
  pair,
  SOURCES,
  sourcecfg,
  target,
  targetOf,
  topOf,
} from './aplic-rig.ts';

describe('registers of an APLIC domain', () => {
  it('keeps only the bits of domaincfg that exist; the delivery mode is fixed', () => {
    for (const [delivery, fixed] of [
      ['direct', 0x8000_0000],
      ['msi', 0x8000_0004],
    ] as const) {
      const { root } = pair({ delivery });
      expect(root.read(R.domaincfg.offset)).toBe(fixed);
      root.write(R.domaincfg.offset, 0xffff_ffff);
      expect(root.read(R.domaincfg.offset)).toBe(fixed + IE);
      root.write(R.domaincfg.offset, 0);
      expect(root.read(R.domaincfg.offset)).toBe(fixed);
    }
  });

  it.each([
    [0x000, 0],
    [0x001, 1],
    [0x002, 0],
    [0x003, 0],
    [0x004, 4],
    [0x005, 5],
    [0x006, 6],
    [0x007, 7],
    [0xffff_fbff, 7],
    [0x400, 0x400],
    [0xffff_ffff, 0x7ff],
  ])('makes sourcecfg of 0x%i read 0x%i where there is a child', (written, read) => {
    const { root } = pair();
    root.write(sourcecfg(5), written);
    expect(root.read(sourcecfg(5))).toBe(read);
  });

  it('sets sourcecfg to 0 for a delegation that a leaf domain cannot make', () => {
    const { read, write } = leaf();
    write(sourcecfg(5), MODE.edge1);
    write(sourcecfg(5), DELEGATE | MODE.edge1);
    expect(read(sourcecfg(5))).toBe(0);
  });

  it('has no sources beyond the last and no source 0', () => {
    const { read, write, wire, core } = leaf();
    const before = core.save();
    for (const source of [SOURCES + 1, 1023]) {
      write(sourcecfg(source), MODE.level0);
      write(target(source), 0xffff_ffff);
      expect([read(sourcecfg(source)), read(target(source))]).toEqual([0, 0]);
    }
    for (const source of [0, SOURCES + 1, 0xffff_ffff]) {
      for (const row of [R.setipnum, R.setienum, R.clripnum, R.clrienum, R.setipnum_le]) write(row.offset, source);
    }
    for (const source of [0, SOURCES + 1, -1, 1.5, Number.NaN]) wire(source, true);
    expect(core.save()).toEqual(before);
  });

  it('has zeros for an inactive source, whatever is written', () => {
    const { read, write } = leaf();
    write(R.setip.offset, 0xffff_ffff);
    write(R.setie.offset, 0xffff_ffff);
    write(target(5), 0xffff_ffff);
    expect([R.setip, R.in_clrip, R.setie].map((row) => read(row.offset))).toEqual([0, 0, 0]);
    expect(read(target(5))).toBe(0);
  });

  it('shows a target that was written before its source became active', () => {
    const { read, write } = leaf();
    write(target(5), targetOf(2, 3));
    write(sourcecfg(5), MODE.edge1);
    expect(read(target(5))).toBe(targetOf(2, 3));
  });

  it('forgets pending and enable bits when a source becomes inactive', () => {
    const { read, write, pending } = leaf();
    write(sourcecfg(40), MODE.detached);
    write(R.setienum.offset, 40);
    write(R.setipnum.offset, 40);
    expect([pending(40), read(R.setie.offset + 4)]).toEqual([true, 1 << 8]);
    write(sourcecfg(40), MODE.inactive);
    write(sourcecfg(40), MODE.detached);
    expect([pending(40), read(R.setie.offset + 4)]).toEqual([false, 0]);
  });

  it('sets and clears enable bits by word and by number', () => {
    const { read, write } = leaf();
    for (const source of [1, 2, 3, 96]) write(sourcecfg(source), MODE.edge1);
    write(R.setie.offset, 0xffff_ffff);
    write(R.setienum.offset, 96);
    const enabled = () => [0, 1, 2, 3].map((word) => read(R.setie.offset + word * 4));
    expect(enabled()).toEqual([0b1110, 0, 0, 1]);
    write(R.clrie.offset, 0b0100);
    write(R.clrienum.offset, 96);
    expect(enabled()).toEqual([0b1010, 0, 0, 0]);
    expect([R.clrie, R.setienum, R.clrienum, R.setipnum].map((row) => read(row.offset))).toEqual([0, 0, 0, 0]);
  });

  it.each([
    ['setipnum', 7],
    ['setipnum_le', 7],
    ['setipnum_be', 0x0700_0000],
  ] as const)('sets a pending bit through %s', (name, value) => {
    const { write, pending } = leaf();
    write(sourcecfg(7), MODE.detached);
    write(R[name].offset, value);
    expect(pending(7)).toBe(true);
    write(R.clripnum.offset, 7);
    expect(pending(7)).toBe(false);
  });

  it.each([
    ['direct', 0, targetOf(0, 1)],
    ['direct', 0xffff_ffff, targetOf(0x3fff, 7)],
    ['direct', 0x0004_0008, targetOf(1, 1)],
    ['msi', 0, 0],
    ['msi', 0xffff_ffff, targetOf(0x3fff, 0x7ff)],
  ] as const)('keeps the fields of target that %s delivery has', (delivery, written, read) => {
    const { root } = pair({ delivery });
    root.write(sourcecfg(1), MODE.edge1);
    root.write(target(1), written);
    expect(root.read(target(1))).toBe(read);
  });

  it('masks the registers of an IDC, and has none with MSIs or beyond the harts', () => {
    const registers = ['idelivery', 'iforce', 'ithreshold', 'topi', 'claimi'] as const;
    const valuesOf = (delivery: 'direct' | 'msi', hart: number) => {
      const { root } = pair({ delivery });
      for (const name of registers) root.write(idc(hart, name), 0xffff_ffff);
      return registers.map((name) => root.read(idc(hart, name)));
    };
    expect(valuesOf('direct', HARTS - 1)).toEqual([1, 1, 7, 0, 0]);
    expect(valuesOf('direct', HARTS)).toEqual([0, 0, 0, 0, 0]);
    expect(valuesOf('msi', 0)).toEqual([0, 0, 0, 0, 0]);
  });

  it('ignores accesses of other widths, and reserved places', () => {
    const { core, read, write } = leaf();
    const before = core.save();
    core.mmioWrite?.(0, 0, 1);
    core.mmioWrite?.(sourcecfg(1), 1, 2);
    core.mmioWrite?.(sourcecfg(1) + 2, 1, 4);
    for (const offset of [0x1000, 0x1bbc, 0x1bd0, 0x1c80, 0x1e80, 0x2008, 0x2ffc, 0x400c, 0x4014, 0x7ffc]) {
      write(offset, 0xffff_ffff);
      expect(read(offset)).toBe(0);
    }
    expect(core.save()).toEqual(before);
    expect([core.mmioRead?.(3, 1), core.mmioRead?.(2, 2), core.mmioRead?.(2, 4)]).toEqual([0, 0, 0]);
  });
});

describe('source modes, delivered directly', () => {
  /** Pending after each level of the wire, which begins low. */
  const after = (mode: number, levels: readonly boolean[]) => {
    const { write, wire, pending } = leaf();
    write(sourcecfg(7), mode);
    return levels.map((level) => {
      wire(7, level);
      return pending(7);
    });
  };

  it.each([
    ['inactive', [true, false], [false, false]],
    ['detached', [true, false], [false, false]],
    ['edge1', [true, false, false], [true, true, true]],
    ['level1', [true, false, true], [true, false, true]],
    ['level0', [false, true, false], [true, false, true]],
  ] as const)('%s', (mode, levels, expected) => {
    expect(after(MODE[mode], levels)).toEqual(expected);
  });

  it('edge0 is pending from a fall on, and from the start on a low wire', () => {
    const { write, wire, pending } = leaf();
    wire(7, true);
    write(sourcecfg(7), MODE.edge0);
    expect(pending(7)).toBe(false);
    wire(7, false);
    expect(pending(7)).toBe(true);
    write(R.clripnum.offset, 7);
    wire(7, true);
    expect(pending(7)).toBe(false);
    expect(leafWith(MODE.edge0).pending(7)).toBe(true);
  });

  it('shows rectified inputs', () => {
    const { write, wire, read } = leaf();
    const modes = [MODE.inactive, MODE.detached, MODE.edge1, MODE.edge0, MODE.level1, MODE.level0];
    modes.forEach((mode, index) => {
      write(sourcecfg(index + 1), mode);
    });
    expect(read(R.in_clrip.offset)).toBe(0b101_0000);
    for (let source = 1; source <= 6; source++) wire(source, true);
    expect(read(R.in_clrip.offset)).toBe(0b010_1000);
  });

  it('does not let software touch the pending bit of a level', () => {
    const { write, wire, pending } = leafWith(MODE.level1);
    write(R.setipnum.offset, 7);
    write(R.setip.offset, 1 << 7);
    expect(pending(7)).toBe(false);
    wire(7, true);
    write(R.clripnum.offset, 7);
    write(R.in_clrip.offset, 1 << 7);
    expect(pending(7)).toBe(true);
  });

  it('takes up a wire that is high when its source becomes active', () => {
    const { write, wire, pending } = leaf();
    wire(7, true);
    write(sourcecfg(7), MODE.level1);
    expect(pending(7)).toBe(true);
    write(sourcecfg(7), MODE.level0);
    expect(pending(7)).toBe(false);
  });

  const leafWith = (mode: number) => {
    const only = leaf();
    only.write(sourcecfg(7), mode);
    return only;
  };
});

describe('direct delivery', () => {
  it('goes to the hart of the target alone', () => {
    const { lines, wire, enable, write, read } = leaf();
    enable(10, MODE.level1, targetOf(2, 1));
    wire(10, true);
    expect(lines).toEqual([false, false, true, false]);
    expect(read(idc(2, 'topi'))).toBe(topOf(10, 1));
    write(target(10), targetOf(0, 1));
    expect(lines).toEqual([true, false, false, false]);
    write(target(10), targetOf(HARTS, 1));
    expect(lines).toEqual([false, false, false, false]);
  });

  it.each([
    ['domaincfg.IE', R.domaincfg.offset, IE],
    ['idelivery', idc(1, 'idelivery'), 1],
  ] as const)('needs %s, which topi does not', (_, offset, on) => {
    const { lines, wire, enable, write, read } = leaf();
    enable(10, MODE.level1, targetOf(1, 1));
    wire(10, true);
    write(offset, 0);
    expect([lines[1], read(idc(1, 'topi'))]).toEqual([false, topOf(10, 1)]);
    write(offset, on);
    expect(lines[1]).toBe(true);
  });

  it('is claimed by priority, then by number', () => {
    const { wire, enable, read } = leaf();
    for (const [source, priority] of [
      [90, 2],
      [5, 3],
      [33, 2],
      [96, 1],
      [64, 7],
    ] as const) {
      enable(source, MODE.edge1, targetOf(0, priority));
      wire(source, true);
    }
    const claims = Array.from({ length: 6 }, () => read(idc(0, 'claimi')));
    expect(claims).toEqual([topOf(96, 1), topOf(33, 2), topOf(90, 2), topOf(5, 3), topOf(64, 7), 0]);
  });

  it('ends with the claim of an edge, and comes again with the next', () => {
    const { lines, wire, enable, read } = leaf();
    enable(10, MODE.edge1, targetOf(0, 1));
    wire(10, true);
    expect([read(idc(0, 'claimi')), lines[0], read(idc(0, 'claimi'))]).toEqual([topOf(10, 1), false, 0]);
    wire(10, false);
    wire(10, true);
    expect(lines[0]).toBe(true);
  });

  it('of a level stays through a claim until the wire falls', () => {
    const { lines, wire, enable, read } = leaf();
    enable(10, MODE.level1, targetOf(0, 1));
    wire(10, true);
    expect([read(idc(0, 'claimi')), lines[0], read(idc(0, 'claimi'))]).toEqual([topOf(10, 1), true, topOf(10, 1)]);
    wire(10, false);
    expect([lines[0], read(idc(0, 'claimi'))]).toEqual([false, 0]);
  });

  it('is held back by a threshold from its priority number on', () => {
    const { lines, wire, enable, read, write } = leaf();
    enable(10, MODE.level1, targetOf(0, 3));
    wire(10, true);
    const at = (threshold: number) => {
      write(idc(0, 'ithreshold'), threshold);
      return [lines[0], read(idc(0, 'topi')) !== 0];
    };
    expect([0, 1, 3, 4, 7].map(at)).toEqual([
      [true, true],
      [false, false],
      [false, false],
      [true, true],
      [true, true],
    ]);
  });

  it('can be forced, until a claim finds nothing', () => {
    const { lines, wire, enable, read, write } = leaf();
    enable(10, MODE.edge1, targetOf(0, 1));
    wire(10, true);
    write(idc(0, 'iforce'), 1);
    expect([read(idc(0, 'claimi')), lines[0], read(idc(0, 'iforce'))]).toEqual([topOf(10, 1), true, 1]);
    expect([read(idc(0, 'claimi')), lines[0], read(idc(0, 'iforce'))]).toEqual([0, false, 0]);
  });

  it('has no genmsi', () => {
    const { read, write, msis } = leaf();
    write(R.genmsi.offset, targetOf(1, 5));
    expect([read(R.genmsi.offset), msis]).toEqual([0, []]);
  });

  it('serves 64 harts', () => {
    const { lines, wire, enable, read } = leaf({ harts: 64 });
    enable(10, MODE.level1, targetOf(63, 1));
    wire(10, true);
    expect([lines.indexOf(true), lines.filter(Boolean).length, read(idc(63, 'claimi'))]).toEqual([63, 1, topOf(10, 1)]);
  });
});

describe('delegation', () => {
  it('gives a source and its wire to the child', () => {
    const { root, child } = pair();
    child.write(sourcecfg(10), MODE.level1);
    expect(child.read(sourcecfg(10))).toBe(0);
    root.wire(10, true);
    root.write(sourcecfg(10), DELEGATE);
    expect([root.read(sourcecfg(10)), child.read(sourcecfg(10))]).toEqual([DELEGATE, 0]);
    child.write(R.domaincfg.offset, IE);
    child.write(idc(1, 'idelivery'), 1);
    child.enable(10, MODE.level1, targetOf(1, 1));
    expect([child.lines[1], root.lines[1]]).toEqual([true, false]);
    root.wire(10, false);
    expect(child.lines[1]).toBe(false);
  });

  it('makes the source inactive in the root, and not there in the child when it is taken back', () => {
    const { root, child } = pair();
    root.write(sourcecfg(10), MODE.detached);
    root.write(R.setipnum.offset, 10);
    root.write(R.setienum.offset, 10);
    root.write(sourcecfg(10), DELEGATE);
    expect([root.pending(10), root.read(R.setie.offset), root.read(target(10))]).toEqual([false, 0, 0]);
    child.enable(10, MODE.detached, targetOf(1, 5));
    child.write(R.setipnum.offset, 10);
    expect(child.pending(10)).toBe(true);
    root.write(sourcecfg(10), MODE.edge1);
    expect([child.pending(10), child.read(sourcecfg(10)), child.read(target(10))]).toEqual([false, 0, 0]);
    child.write(sourcecfg(10), MODE.detached);
    expect(child.read(sourcecfg(10))).toBe(0);
  });

  it('to a child that does not exist leads nowhere', () => {
    const { root, child, told } = pair();
    root.write(sourcecfg(10), DELEGATE | 1);
    child.write(sourcecfg(10), MODE.level1);
    expect([root.read(sourcecfg(10)), child.read(sourcecfg(10)), told]).toEqual([DELEGATE | 1, 0, []]);
  });

  it('tells the child each change once', () => {
    const { root, told } = pair();
    root.write(sourcecfg(10), DELEGATE);
    root.write(sourcecfg(10), DELEGATE);
    root.wire(10, true);
    root.wire(10, true);
    root.write(sourcecfg(10), 0);
    root.write(sourcecfg(10), 0);
    expect(told).toEqual([
      { type: 'aplic.delegate', source: 10, delegated: true },
      [10, true],
      { type: 'aplic.delegate', source: 10, delegated: false },
    ]);
  });

  it('of everything, with addresses, is there from the reset on if the board says so', () => {
    const { root, child, told } = pair({ delivery: 'msi', delegateAll: true, files: FILES, harts: 64 });
    const check = () => {
      expect([1, 50, SOURCES].map((source) => root.read(sourcecfg(source)))).toEqual([DELEGATE, DELEGATE, DELEGATE]);
      const addresses = [R.mmsiaddrcfg, R.mmsiaddrcfgh, R.smsiaddrcfg, R.smsiaddrcfgh];
      expect(addresses.map((row) => root.read(row.offset))).toEqual([0x2_4000, 0x6000, 0x2_8000, 0]);
      child.write(R.domaincfg.offset, IE);
      child.enable(SOURCES, MODE.level1, targetOf(63, 200));
      root.wire(SOURCES, true);
      root.wire(SOURCES, false);
      root.write(R.genmsi.offset, targetOf(62, 1));
      expect(child.msis.splice(0)).toEqual([{ gpa: 0x2803_f000, data: 200 }]);
      expect(root.msis.splice(0)).toEqual([{ gpa: 0x2403_e000, data: 1 }]);
    };
    check();
    root.write(sourcecfg(SOURCES), 0);
    root.write(R.mmsiaddrcfgh.offset, 0);
    told.length = 0;
    child.core.reset();
    root.core.reset();
    expect(told).toEqual([]);
    check();
  });
});
