import { describe, expect, it } from 'vitest';
import { aplicRegisters as R } from '../../actors/irq/aplic.ts';
import { msiAddress } from '../../actors/irq/aplic-msi.ts';
import { FILES, IE, leaf, MODE, pair, targetOf } from './aplic-rig.ts';

describe('MSI address registers', () => {
  const addresses = [R.mmsiaddrcfg, R.mmsiaddrcfgh, R.smsiaddrcfg, R.smsiaddrcfgh];

  it('keep the bits that exist, at the root with MSIs alone', () => {
    const read = ({ root, child }: ReturnType<typeof pair>) => {
      for (const row of [R.smsiaddrcfg, R.smsiaddrcfgh, R.mmsiaddrcfg]) root.write(row.offset, 0xffff_ffff);
      root.write(R.mmsiaddrcfgh.offset, 0x7fff_ffff);
      for (const row of addresses) child.write(row.offset, 0x1234_5678);
      return [root, child].map((domain) => addresses.map((row) => domain.read(row.offset)));
    };
    const none = [0, 0, 0, 0];
    expect(read(pair({ delivery: 'msi' }))).toEqual([[0xffff_ffff, 0x1f77_ffff, 0xffff_ffff, 0x0070_0fff], none]);
    expect(read(pair({ delivery: 'direct' }))).toEqual([none, none]);
  });

  it('are locked together until a reset', () => {
    const { root } = pair({ delivery: 'msi' });
    root.write(R.mmsiaddrcfg.offset, 0x2_4000);
    root.write(R.smsiaddrcfg.offset, 0x2_8000);
    root.write(R.mmsiaddrcfgh.offset, 0x8000_2000);
    for (const row of addresses) root.write(row.offset, 0);
    expect(addresses.map((row) => root.read(row.offset))).toEqual([0x2_4000, 0x8000_2000, 0x2_8000, 0]);
    root.core.reset();
    expect(addresses.map((row) => root.read(row.offset))).toEqual([0, 0, 0, 0]);
  });

  /** Computed by hand from 4.9.1; fields as in 4.5.3: HHXS 28:24, LHXS 22:20, HHXW 18:16, LHXW 15:12. */
  it.each([
    // virt with four harts: LHXW 2. Hart 3 is page 3.
    { words: [0x2_4000, 0x0000_2000, 0x2_8000, 0], level: 'machine', hart: 3, guest: 0, gpa: 0x2400_3000 },
    { words: [0x2_4000, 0x0000_2000, 0x2_8000, 0], level: 'supervisor', hart: 3, guest: 0, gpa: 0x2800_3000 },
    // Hart indices beyond the width wrap.
    { words: [0x2_4000, 0x0000_2000, 0x2_8000, 0], level: 'machine', hart: 6, guest: 0, gpa: 0x2400_2000 },
    // Two guest files and one of the hart's own in four pages: LHXS 2 in smsiaddrcfgh; hart 1, guest 2: page 6.
    { words: [0x2_4000, 0x0000_2000, 0x2_8000, 0x20_0000], level: 'supervisor', hart: 1, guest: 2, gpa: 0x2800_6000 },
    { words: [0x2_4000, 0x0000_2000, 0x2_8000, 0x20_0000], level: 'machine', hart: 1, guest: 2, gpa: 0x2400_1000 },
    // Two groups of four harts, 16 MiB apart: HHXW 1, HHXS 0, LHXW 2. Hart 6 is number 2 of group 1.
    { words: [0x2_4000, 0x0001_2000, 0x2_8000, 0], level: 'machine', hart: 6, guest: 0, gpa: 0x2500_2000 },
    { words: [0x2_4000, 0x0001_2000, 0x2_8000, 0], level: 'supervisor', hart: 6, guest: 0, gpa: 0x2900_2000 },
    // HHXS 19: a group's number begins at bit 31 of the PPN, so that group 2's is in the upper word: 2 << 31 << 12.
    { words: [0, 0x1302_0000, 0, 0], level: 'machine', hart: 2, guest: 0, gpa: 2 ** 44 },
    { words: [0, 0x1303_0000, 0, 0], level: 'machine', hart: 3, guest: 0, gpa: 2 ** 44 + 2 ** 43 },
    // HHXS 20: bit 32. HHXS 31: bit 43, the last one; of group 2 nothing is left.
    { words: [0, 0x1401_0000, 0, 0], level: 'machine', hart: 1, guest: 0, gpa: 2 ** 44 },
    { words: [0, 0x1f02_0000, 0, 0], level: 'machine', hart: 1, guest: 0, gpa: 2 ** 55 },
    { words: [0, 0x1f02_0000, 0, 0], level: 'machine', hart: 2, guest: 0, gpa: 0 },
    // All of the base, and fields joined by OR.
    { words: [0xffff_ffff, 0xfff, 0, 0], level: 'machine', hart: 5, guest: 0, gpa: 2 ** 56 - 2 ** 12 },
    { words: [0x8000_0001, 0x0000_1800, 0, 0], level: 'machine', hart: 1, guest: 0, gpa: 2 ** 55 + 2 ** 43 + 2 ** 12 },
    // LHXW 15, LHXS 7: the widest there is.
    { words: [0, 0x0070_f000, 0, 0], level: 'machine', hart: 0x3fff, guest: 0, gpa: 0x3fff * 2 ** 19 },
  ] as const)('give $level hart $hart of $words the address $gpa', ({ words, level, hart, guest, gpa }) => {
    const [mmsiaddrcfg, mmsiaddrcfgh, smsiaddrcfg, smsiaddrcfgh] = words;
    expect(msiAddress({ mmsiaddrcfg, mmsiaddrcfgh, smsiaddrcfg, smsiaddrcfgh }, level, hart, guest)).toBe(gpa);
  });

  it('reach the child when the root is told', () => {
    const { root, child } = pair({ delivery: 'msi' });
    root.write(R.mmsiaddrcfgh.offset, 0x2000);
    root.write(R.smsiaddrcfg.offset, 0x2_8000);
    child.write(R.genmsi.offset, targetOf(3, 9));
    expect(child.msis).toEqual([{ gpa: 0x2800_3000, data: 9 }]);
  });
});

describe('delivery by MSI', () => {
  const msiLeaf = (isTaken: (gpa: number) => boolean = () => true) => {
    const only = leaf({ delivery: 'msi', isTaken });
    only.write(R.mmsiaddrcfg.offset, FILES.machine / 0x1000);
    only.write(R.mmsiaddrcfgh.offset, 0x2000);
    return only;
  };
  const to = (hart: number, data: number) => ({ gpa: FILES.machine + hart * 0x1000, data });

  it('sends what is pending and enabled once, and clears its pending bit', () => {
    const { msis, wire, enable, pending } = msiLeaf();
    enable(10, MODE.edge1, targetOf(2, 33));
    wire(10, true);
    wire(10, false);
    expect([msis, pending(10)]).toEqual([[to(2, 33)], false]);
    wire(10, true);
    expect(msis).toEqual([to(2, 33), to(2, 33)]);
  });

  it('waits for the enable bit and for domaincfg.IE', () => {
    const { msis, wire, enable, write, pending } = msiLeaf();
    enable(10, MODE.edge1, targetOf(2, 33));
    write(R.clrienum.offset, 10);
    write(R.domaincfg.offset, 0);
    wire(10, true);
    write(R.setienum.offset, 10);
    expect([msis, pending(10)]).toEqual([[], true]);
    write(R.clrienum.offset, 10);
    write(R.domaincfg.offset, IE);
    expect([msis, pending(10)]).toEqual([[], true]);
    write(R.setienum.offset, 10);
    expect([msis, pending(10)]).toEqual([[to(2, 33)], false]);
  });

  it('ignores a level after its MSI until the wire has fallen, or software asks again', () => {
    const { msis, wire, enable, write, pending } = msiLeaf();
    enable(10, MODE.level1, targetOf(0, 7));
    wire(10, true);
    write(R.domaincfg.offset, IE);
    expect([msis.length, pending(10)]).toEqual([1, false]);
    write(R.setipnum_le.offset, 10);
    expect(msis.length).toBe(2);
    write(R.setip.offset, 1 << 10);
    expect(msis.length).toBe(3);
    wire(10, false);
    write(R.setipnum.offset, 10);
    expect([msis.length, pending(10)]).toEqual([3, false]);
    wire(10, true);
    expect(msis.length).toBe(4);
  });

  it('takes back a level that is pending and falls, and lets software clear it', () => {
    const { msis, wire, enable, write, pending } = msiLeaf();
    // The wire is low, which is an interrupt here.
    enable(10, MODE.level0, targetOf(0, 7));
    expect(msis.length).toBe(1);
    write(R.clrienum.offset, 10);
    wire(10, true);
    wire(10, false);
    expect(pending(10)).toBe(true);
    write(R.clripnum.offset, 10);
    expect(pending(10)).toBe(false);
    write(R.setipnum.offset, 10);
    wire(10, true);
    expect(pending(10)).toBe(false);
  });

  it('sends by genmsi at once, whatever IE says', () => {
    const { msis, read, write } = msiLeaf();
    write(R.domaincfg.offset, 0);
    write(R.genmsi.offset, 0xffff_ffff & ~(0x3ffe << 18));
    expect(msis).toEqual([to(1, 0x7ff)]);
    // Busy, bit 12, is never seen.
    expect(read(R.genmsi.offset)).toBe(targetOf(1, 0x7ff));
  });

  it('counts and drops what no interrupt file takes', () => {
    const { core, write, enable } = msiLeaf((gpa) => gpa < FILES.machine + 2 * 0x1000);
    enable(10, MODE.detached, targetOf(3, 7));
    write(R.setipnum.offset, 10);
    write(R.genmsi.offset, targetOf(1, 7));
    write(R.genmsi.offset, targetOf(2, 7));
    expect(core.save().droppedMsis).toBe(2);
    expect(core.view()).toMatchObject({ droppedMsis: 2, pending: [] });
  });
});
