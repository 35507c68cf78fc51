import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACCESS_OK, BUS_FAULT, MUST_ASK, MUST_WAIT, type RegisterWindow } from '../../src/actor/index.ts';
import { createAddressSpace } from '../../src/bus/address-space.ts';
import { FlatView } from '../../src/bus/flat-view.ts';
import { alias, at, container, flatten, leaf, type MemoryRegion } from '../../src/bus/memory-region.ts';
import { addressSpaceWindow, memoryWindow, openBusWindow } from '../../src/bus/window.ts';
import { ConfigError } from '../../src/util/config-error.ts';

const bytes = (lengthBytes: number, fill = 0) => memoryWindow(new Uint8Array(lengthBytes).fill(fill), true);
const shown = (root: MemoryRegion, base = 0) =>
  flatten(root, base).map((region) => [region.name, region.base, region.lengthBytes, region.windowOffset]);

describe('a tree of regions', () => {
  it('shows the higher priority, and the later of equal ones', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => leaf(name, bytes(8)));
    const root = container('root', 64, [
      at(0, a as MemoryRegion, 1),
      at(4, b as MemoryRegion),
      at(10, c as MemoryRegion),
    ]);
    expect(shown(root, 100)).toEqual([
      ['a', 100, 8, 0],
      ['b', 108, 2, 4],
      ['c', 110, 8, 0],
    ]);
  });

  it('cuts a leaf in pieces where another lies on it', () => {
    const root = container('root', 64, [at(0, leaf('big', bytes(64))), at(16, leaf('small', bytes(8)), 1)]);
    expect(shown(root)).toEqual([
      ['big', 0, 16, 0],
      ['small', 16, 8, 0],
      ['big', 24, 40, 24],
    ]);
  });

  it('clips to its container, and shows through where a container is empty', () => {
    const inner = container('inner', 16, [at(12, leaf('clipped', bytes(8)))]);
    const root = container('root', 32, [at(0, leaf('below', bytes(32))), at(8, inner, 1)]);
    expect(shown(root)).toEqual([
      ['below', 0, 20, 0],
      ['clipped', 20, 4, 0],
      ['below', 24, 8, 24],
    ]);
  });

  it('shows a part of a region a second time', () => {
    const low = container('low', 64, [at(0, leaf('a', bytes(8))), at(32, leaf('b', bytes(8)))]);
    const root = container('root', 256, [at(0, low), at(128, alias('again', low, 4, 32))]);
    expect(shown(root)).toEqual([
      ['a', 0, 8, 0],
      ['b', 32, 8, 0],
      ['a', 128, 4, 4],
      ['b', 156, 4, 0],
    ]);
  });

  it('refuses what is no place', () => {
    expect(() => at(-1, leaf('a', bytes(8)))).toThrow(ConfigError);
    expect(() => container('c', 0.5, [])).toThrow(ConfigError);
    expect(() => flatten(container('c', 2 ** 53 - 1, []), 1)).toThrow(ConfigError);
  });

  it('agrees with asking address by address', () => {
    const tree = fc.letrec<{ node: MemoryRegion; leaf: MemoryRegion; container: MemoryRegion; alias: MemoryRegion }>(
      (tie) => ({
        node: fc.oneof({ maxDepth: 4 }, tie('leaf'), tie('container'), tie('alias')),
        leaf: fc
          .tuple(fc.nat(1e9), fc.integer({ min: 1, max: 30 }))
          .map(([id, length]) => leaf(`leaf ${id}`, bytes(length))),
        container: fc
          .tuple(
            fc.integer({ min: 1, max: 40 }),
            fc.array(fc.tuple(fc.nat(40), tie('node'), fc.integer({ min: -1, max: 1 })), { maxLength: 4 }),
          )
          .map(([length, children]) =>
            container(
              'container',
              length,
              children.map(([offset, region, priority]) => at(offset, region as MemoryRegion, priority)),
            ),
          ),
        alias: fc
          .tuple(tie('node'), fc.nat(20), fc.integer({ min: 1, max: 20 }))
          .map(([target, offset, length]) => alias('alias', target as MemoryRegion, offset, length)),
      }),
    );
    fc.assert(
      fc.property(tree.node, (root) => {
        const regions = flatten(root);
        // Sorted and disjoint, or it throws.
        createAddressSpace(regions);
        for (let address = 0; address < 50; address++) {
          const found = regions.find(({ base, lengthBytes }) => address >= base && address < base + lengthBytes);
          const got = found && [found.name, address - found.base + (found.windowOffset ?? 0)];
          expect(got).toEqual(ask(root, address));
        }
      }),
    );
  });
});

/** What a tree shows at one offset: the definition, without a thought for speed. */
function ask(region: MemoryRegion, offset: number): [string, number] | undefined {
  if (offset < 0 || offset >= region.lengthBytes) return undefined;
  if (region.type === 'leaf') return [region.name, offset];
  if (region.type === 'alias') return ask(region.target, region.targetOffset + offset);
  let best: [string, number] | undefined;
  let bestPriority = Number.NEGATIVE_INFINITY;
  for (const child of region.children) {
    const found = ask(child.region, offset - child.offset);
    if (found === undefined || child.priority < bestPriority) continue;
    best = found;
    bestPriority = child.priority;
  }
  return best;
}

/** Answers when the test says so. */
class Asking implements RegisterWindow {
  readonly lengthBytes = 64;
  readonly asked: { readonly offset: number; readonly value: number; readonly done: (result: number) => void }[] = [];
  full = false;
  read = () => MUST_WAIT;
  write = () => MUST_ASK;
  readAsync(offset: number, _size: number, done: (result: number) => void): boolean {
    return this.writeAsync(offset, 0, 4, done);
  }
  writeAsync(offset: number, value: number, _size: number, done: (result: number) => void): boolean {
    if (this.full) return false;
    this.asked.push({ offset, value, done });
    return true;
  }
  answer(result: number): void {
    this.asked.shift()?.done(result);
  }
}

const viewOf = (root: MemoryRegion) => new FlatView(createAddressSpace(flatten(root)));

describe('a view of a clipped window', () => {
  it('reaches the offset that is seen there', () => {
    const data = new Uint8Array(Array.from({ length: 64 }, (_, index) => index));
    const view = viewOf(
      container('root', 64, [at(0, leaf('data', memoryWindow(data, true))), at(0, leaf('hole', bytes(16)), 1)]),
    );
    view.read(0x10, 4);
    expect(view.lo).toBe(0x13121110);
    view.write(0x20, 8, 0x01020304, 0x05060708);
    expect([...data.subarray(0x20, 0x28)]).toEqual([4, 3, 2, 1, 8, 7, 6, 5]);
    expect(view.read(0xc, 8)).toBe(BUS_FAULT);
  });
});

describe('a write with an answer', () => {
  it('is asked for, half by half where it is wide', () => {
    const asking = new Asking();
    const view = viewOf(leaf('asking', asking));
    const done: boolean[] = [];
    expect(view.write(8, 8, 1, 2)).toBe(MUST_ASK);
    expect(view.writeAsync(8, 8, 1, 2, (fault) => done.push(fault))).toBe(true);
    expect(asking.asked).toMatchObject([{ offset: 8, value: 1 }]);
    asking.answer(ACCESS_OK);
    expect(asking.asked).toMatchObject([{ offset: 12, value: 2 }]);
    expect(done).toEqual([]);
    asking.answer(ACCESS_OK);
    expect(done).toEqual([false]);
    view.writeAsync(8, 8, 1, 2, (fault) => done.push(fault));
    asking.answer(BUS_FAULT);
    expect([done, asking.asked.length]).toEqual([[false, true], 0]);
    asking.full = true;
    expect(view.writeAsync(0, 4, 1, 0, () => done.push(true))).toBe(false);
    expect(done).toHaveLength(2);
  });

  it('works for windows that post, and faults where nothing is', () => {
    const view = viewOf(leaf('plain', bytes(8)));
    const done: boolean[] = [];
    view.writeAsync(0, 8, 1, 2, (fault) => done.push(fault));
    view.writeAsync(6, 4, 1, 0, (fault) => done.push(fault));
    expect(done).toEqual([false, true]);
    view.read(0, 8);
    expect([view.lo, view.hi]).toEqual([1, 2]);
  });

  it('sends the low half once when only the high half must ask, also across a change of version', () => {
    const low = new Uint8Array(4);
    const asking = new Asking();
    const inner = viewOf(
      container('io', 8, [at(0, leaf('low', memoryWindow(low, true))), at(4, leaf('high', asking))]),
    );
    const outer = addressSpaceWindow(() => inner, 8);
    const view = viewOf(leaf('window', outer));
    expect(view.write(0, 8, 1, 2)).toBe(MUST_ASK);
    low.fill(9);
    const next = new FlatView(view.space, view);
    const done: boolean[] = [];
    next.writeAsync(0, 8, 1, 2, (fault) => done.push(fault));
    asking.answer(ACCESS_OK);
    expect([done, [...low], asking.asked.length]).toEqual([[false], [9, 9, 9, 9], 0]);
  });
});

describe('a window onto another address space', () => {
  it('reads, writes and asks there, in the version of the moment', () => {
    const asking = new Asking();
    let view = viewOf(leaf('bytes', bytes(16, 0x11)));
    const window = addressSpaceWindow(() => view, 32);
    expect([window.read(4, 2), window.read(16, 1), window.write(0, 5, 4), window.read(0, 4)]).toEqual([
      0x1111,
      BUS_FAULT,
      ACCESS_OK,
      5,
    ]);
    view = viewOf(container('io', 64, [at(0, leaf('asking', asking))]));
    expect([window.read(0, 4), window.write(0, 1, 4)]).toEqual([MUST_WAIT, MUST_ASK]);
    const results: number[] = [];
    window.readAsync(4, 4, (result) => results.push(result));
    asking.answer(7);
    window.writeAsync?.(4, 1, 4, (result) => results.push(result));
    asking.answer(ACCESS_OK);
    window.readAsync(4, 4, (result) => results.push(result));
    asking.answer(BUS_FAULT);
    expect(results).toEqual([7, ACCESS_OK, BUS_FAULT]);
  });

  it('ends where it ends, whatever lies there', () => {
    const view = viewOf(leaf('bytes', bytes(64)));
    const window = addressSpaceWindow(() => view, 32);
    expect([window.read(32, 4), window.write(30, 0, 4), window.read(-4, 4)]).toEqual([BUS_FAULT, BUS_FAULT, BUS_FAULT]);
    const results: number[] = [];
    window.readAsync(32, 4, (result) => results.push(result));
    window.writeAsync?.(32, 0, 4, (result) => results.push(result));
    expect(results).toEqual([BUS_FAULT, BUS_FAULT]);
  });
});

it('an open bus gives ones and takes everything', () => {
  const window = openBusWindow(16);
  expect([window.read(0, 1), window.read(0, 2), window.read(4, 4), window.write(0, 1, 4)]).toEqual([
    0xff,
    0xffff,
    0xffff_ffff,
    ACCESS_OK,
  ]);
});
