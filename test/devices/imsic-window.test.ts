import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { imsicMsiPort, imsicWindow } from '../../actors/irq/imsic-window.ts';
import { BUS_FAULT } from '../../src/actor/register-window.ts';

const FILES = 64;

function rig() {
  const delivered: (readonly [number, number])[] = [];
  const deliver = (hart: number, identity: number) => {
    delivered.push([hart, identity]);
  };
  return { delivered, deliver, window: imsicWindow({ files: FILES, deliver }) };
}

describe("the window of interrupt files' pages", () => {
  it('has a page per hart with a port of each byte order', () => {
    const { window, delivered } = rig();
    expect(window.lengthBytes).toBe(64 * 0x1000);
    expect(window.write(0, 1, 4)).toBe(0);
    window.write(63 * 0x1000, 255, 4);
    window.write(2 * 0x1000 + 4, 0x0700_0000, 4);
    expect(delivered).toEqual([
      [0, 1],
      [63, 255],
      [2, 7],
    ]);
  });

  it('ignores identities that no file has, and the rest of a page', () => {
    const { window, delivered } = rig();
    for (const identity of [0, 256, 2047, 0x0100_0000, 0xffff_ffff, -1]) expect(window.write(0, identity, 4)).toBe(0);
    for (const identity of [0, 1, 0xff]) expect(window.write(4, identity, 4)).toBe(0);
    for (const offset of [8, 0x800, 0xffc]) expect(window.write(offset, 1, 4)).toBe(0);
    expect(delivered).toEqual([]);
  });

  it('reads 0', () => {
    const { window } = rig();
    window.write(0, 1, 4);
    const later: number[] = [];
    window.readAsync(0x1000, 4, (value) => later.push(value));
    expect([window.read(0, 4), window.read(4, 4), window.read(63 * 0x1000 + 0xffc, 4), ...later]).toEqual([0, 0, 0, 0]);
  });

  it('faults for accesses that are not aligned words of it', () => {
    const { window, delivered } = rig();
    for (const [offset, size] of [
      [0, 1],
      [0, 2],
      [2, 4],
      [-4, 4],
      [FILES * 0x1000, 4],
    ] as const) {
      expect([window.read(offset, size), window.write(offset, 1, size)]).toEqual([BUS_FAULT, BUS_FAULT]);
    }
    expect(delivered).toEqual([]);
  });
});

describe('the port of MSIs', () => {
  it('finds level and hart by the address', () => {
    const machine = rig();
    const supervisor = rig();
    const port = imsicMsiPort([
      { base: 0x2400_0000, files: 4, deliver: machine.deliver },
      { base: 0x2800_0000, files: 4, deliver: supervisor.deliver },
    ]);
    expect([port.send(0x2400_3000, 9), port.send(0x2800_0000, 255), port.send(0x2800_1004, 0x0500_0000)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(machine.delivered).toEqual([[3, 9]]);
    expect(supervisor.delivered).toEqual([
      [0, 255],
      [1, 5],
    ]);
    expect([0x2400_4000, 0x23ff_f000, 0x2800_4000, 0, 2 ** 56, -1, Number.NaN].map((gpa) => port.send(gpa, 1))).toEqual(
      new Array(7).fill(false),
    );
    expect([port.send(0x2400_0000, 0), port.send(0x2400_0000, 256), port.send(0x2400_0008, 1)]).toEqual([
      true,
      true,
      true,
    ]);
    expect([machine.delivered.length, supervisor.delivered.length]).toEqual([1, 2]);
  });

  it('does as the window of the same files does', () => {
    fc.assert(
      fc.property(fc.nat(5 * 0x400), fc.nat(0xffff_ffff), (word, data) => {
        const [one, other] = [rig(), rig()];
        const port = imsicMsiPort([{ base: 0x2400_0000, files: FILES, deliver: other.deliver }]);
        one.window.write(word * 4, data % 300, 4);
        port.send(0x2400_0000 + word * 4, data % 300);
        expect(other.delivered).toEqual(one.delivered);
      }),
    );
  });
});
