import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACCESS_OK, BUS_FAULT, MUST_WAIT, type ReadDone, type RegisterWindow } from '../../src/actor/index.ts';
import { createAddressSpace, type Region, withRegions } from '../../src/bus/address-space.ts';
import { FlatView } from '../../src/bus/flat-view.ts';
import { elementAt, registerTable, registerTableMarkdown } from '../../src/bus/register-table.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import { ConfigError } from '../../src/util/config-error.ts';

/** Registers that note each access and give their offset. */
function noting(lengthBytes: number, log: (string | number)[][]): RegisterWindow {
  return {
    lengthBytes,
    read(offset, size) {
      log.push(['read', offset, size]);
      return offset;
    },
    write(offset, value, size) {
      log.push(['write', offset, value, size]);
      return ACCESS_OK;
    },
    readAsync(offset, size, done) {
      done(this.read(offset, size));
      return true;
    },
  };
}

/** Registers on another thread: they answer when the test says so, and only `credits` questions at a time. */
class FarWindow implements RegisterWindow {
  readonly lengthBytes = 16;
  credits = 1;
  writes: number[][] = [];
  readonly asked: { offset: number; done: ReadDone }[] = [];

  read(): number {
    return MUST_WAIT;
  }
  write(offset: number, value: number): number {
    if (this.credits === 0) return MUST_WAIT;
    this.credits -= 1;
    this.writes.push([offset, value]);
    return ACCESS_OK;
  }
  readAsync(offset: number, _size: number, done: ReadDone): boolean {
    if (this.credits === 0) return false;
    this.credits -= 1;
    this.asked.push({ offset, done });
    return true;
  }
  answer(value: number): void {
    this.credits += 1;
    this.asked.shift()?.done(value);
  }
}

const mmio = (name: string, base: number, window: RegisterWindow): Region => {
  return { name, kind: 'mmio', base, lengthBytes: window.lengthBytes, window };
};

describe('an address space', () => {
  const window = memoryWindow(new Uint8Array(16), true);

  it.each<[string, Region[]]>([
    ['overlap', [mmio('a', 0, window), mmio('b', 15, window)]],
    ['contain each other', [mmio('a', 0, noting(100, [])), mmio('b', 20, window)]],
    ['are empty', [{ ...mmio('a', 0, window), lengthBytes: 0 }]],
    ['reach beyond 2^53', [mmio('a', 2 ** 53 - 8, window)]],
    ['lie below 0', [mmio('a', -1, window)]],
    ['lie between two bytes', [mmio('a', 0.5, window)]],
  ])('refuses regions that %s', (_, regions) => {
    expect(() => createAddressSpace(regions)).toThrow(ConfigError);
  });

  it('changes by making its next version', () => {
    const first = createAddressSpace([mmio('b', 32, window), mmio('a', 0, window)]);
    const second = withRegions(first, { remove: ['a'], add: [mmio('c', 64, window)] });
    expect([first.version, first.regions.map(({ name }) => name)]).toEqual([1, ['a', 'b']]);
    expect([second.version, second.regions.map(({ name }) => name)]).toEqual([2, ['b', 'c']]);
    expect(() => (first.regions as Region[]).push(mmio('d', 96, window))).toThrow(TypeError);
  });
});

describe('a view', () => {
  const build = () => {
    const log: (string | number)[][] = [];
    const rom = new Uint8Array(Array.from({ length: 32 }, (_, index) => index));
    const view = new FlatView(
      createAddressSpace([
        mmio('low', 0x1000, noting(12, log)),
        { name: 'rom', kind: 'rom', base: 0x2000, lengthBytes: 32, window: memoryWindow(rom, false) },
        mmio('high', 0x3000, noting(64, log)),
      ]),
    );
    return { view, log };
  };

  it('finds any region, in any order', () => {
    const { view } = build();
    const names = [0x3000, 0x1000, 0x100b, 0x100c, 0x0, 0x2010, 0x303f, 0x3040, 0x1004].map(
      (gpa) => view.find(gpa)?.name,
    );
    const none = undefined;
    expect(names).toEqual(['high', 'low', 'low', none, none, 'rom', 'high', none, 'low']);
    for (const gpa of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) expect(view.find(gpa)).toBeNull();
  });

  it('splits eight bytes in two, low half first', () => {
    const { view, log } = build();
    expect(view.read(0x3008, 8)).toBe(ACCESS_OK);
    expect([view.lo, view.hi]).toEqual([8, 12]);
    expect(view.write(0x3010, 8, -1, -2)).toBe(ACCESS_OK);
    expect(log).toEqual([
      ['read', 8, 4],
      ['read', 12, 4],
      ['write', 0x10, 0xffff_ffff, 4],
      ['write', 0x14, 0xffff_fffe, 4],
    ]);
  });

  it('narrows what is written', () => {
    const { view, log } = build();
    view.write(0x3000, 1, 0x1234_5678);
    view.write(0x3002, 2, -1);
    expect(log.map(([, , value]) => value)).toEqual([0x78, 0xffff]);
  });

  it('faults where nothing is, across an end, and on crooked register accesses', () => {
    const { view, log } = build();
    for (const [gpa, size] of [
      [0, 4],
      [0x1008, 8],
      [0x3001, 2],
      [0x3002, 4],
      [0x3004, 8],
      [0x1fff, 2],
      [-1, 1],
    ] as const) {
      expect(view.read(gpa, size)).toBe(BUS_FAULT);
      expect(view.write(gpa, size, 0)).toBe(BUS_FAULT);
      view.readAsync(gpa, size, (fault) => expect(fault).toBe(true));
    }
    expect(log).toEqual([]);
  });

  it('reads ROM at any alignment and faults on stores to it', () => {
    const { view } = build();
    expect([view.read(0x2001, 4), view.lo]).toEqual([ACCESS_OK, 0x04030201]);
    expect([view.read(0x2003, 8), view.lo, view.hi]).toEqual([ACCESS_OK, 0x06050403, 0x0a090807]);
    expect(view.read(0x201e, 4)).toBe(BUS_FAULT);
    expect(view.write(0x2000, 4, 1)).toBe(BUS_FAULT);
  });

  it('waits for registers on another thread, half by half', () => {
    const far = new FarWindow();
    const view = new FlatView(createAddressSpace([mmio('far', 0, far)]));
    expect(view.read(0, 8)).toBe(MUST_WAIT);
    const answers: unknown[] = [];
    expect(view.readAsync(8, 8, (...result) => answers.push(result))).toBe(true);
    far.answer(5);
    expect(answers).toEqual([]);
    far.answer(6);
    expect(answers).toEqual([[false, 5, 6]]);
    view.readAsync(4, 4, (...result) => answers.push(result));
    far.answer(BUS_FAULT);
    expect(answers[1]).toEqual([true, BUS_FAULT, 0]);
    far.credits = 0;
    expect(view.readAsync(4, 4, () => answers.push('asked'))).toBe(false);
    expect(answers).toHaveLength(2);
  });

  it('does not send the rest of a half-written value to what has come to lie there meanwhile', () => {
    const [far, log] = [new FarWindow(), [] as (string | number)[][]];
    const region = (window: RegisterWindow): Region => ({ name: 'r', base: 0, lengthBytes: 16, kind: 'mmio', window });
    const before = new FlatView(createAddressSpace([region(far)]));
    expect(before.write(0, 8, 1, 2)).toBe(MUST_WAIT);
    expect(far.writes).toHaveLength(1);
    const after = new FlatView(createAddressSpace([region(noting(16, log))]), before);
    expect([after.write(0, 8, 1, 2), log]).toEqual([ACCESS_OK, []]);
    expect([after.write(0, 8, 3, 4), log.length]).toEqual([ACCESS_OK, 2]);
    const nothing = new FlatView(createAddressSpace([]), before);
    expect(nothing.write(0, 8, 1, 2)).toBe(BUS_FAULT);
    expect(new FlatView(createAddressSpace([region(noting(16, log))]), nothing).write(0, 8, 5, 6)).toBe(ACCESS_OK);
    expect(log).toHaveLength(4);
  });

  it('writes each half once to a window that had no room for the second', () => {
    const far = new FarWindow();
    const view = new FlatView(createAddressSpace([mmio('far', 0, far)]));
    expect(view.write(0, 8, 1, 2)).toBe(MUST_WAIT);
    far.credits = 2;
    expect(view.write(0, 8, 1, 2)).toBe(ACCESS_OK);
    expect(far.writes).toEqual([
      [0, 1],
      [4, 2],
    ]);
  });

  it('agrees with a search through the list', () => {
    const { view } = build();
    fc.assert(
      fc.property(fc.nat(0x4000), (gpa) => {
        const expected = view.space.regions.find(({ base, lengthBytes }) => gpa >= base && gpa < base + lengthBytes);
        expect(view.find(gpa)).toBe(expected ?? null);
      }),
    );
  });
});

describe('memory as a window', () => {
  it('keeps what is written, and nothing outside', () => {
    const window = memoryWindow(new Uint8Array(8), true);
    expect(window.write(0, 0x8765_4321, 4)).toBe(ACCESS_OK);
    window.write(4, 0xbeef, 2);
    window.write(6, 0x80, 1);
    expect([window.read(0, 4), window.read(4, 2), window.read(6, 1), window.read(1, 2)]).toEqual([
      0x8765_4321, 0xbeef, 0x80, 0x6543,
    ]);
    expect([window.read(5, 4), window.read(-1, 1), window.write(8, 0, 1)]).toEqual([BUS_FAULT, BUS_FAULT, BUS_FAULT]);
  });
});

describe('a register table', () => {
  const table = registerTable({
    CTRL: { offset: 0, widthBytes: 4, access: 'rw', doc: 'control' },
    slot: { offset: 0x10, widthBytes: 4, access: 'ro', count: 3, strideBytes: 8, doc: 'one each' },
  });

  it('finds the elements of an array', () => {
    expect([0x10, 0x18, 0x20, 0x28, 0x14, 0x8].map((offset) => elementAt(table.slot, offset))).toEqual([
      0, 1, 2, -1, -1, -1,
    ]);
  });

  it('documents itself', () => {
    expect(registerTableMarkdown(table)).toBe(
      [
        '| offset | register | width | access | meaning |',
        '|---|---|---|---|---|',
        '| 0x0 | CTRL | 4 | rw | control |',
        '| 0x10 + 0x8 * n | slot[3] | 4 | ro | one each |',
        '',
      ].join('\n'),
    );
  });
});
