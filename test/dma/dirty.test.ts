import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { DirtyCollector, DirtyResponder } from '../../src/dma/dirty-collector.ts';
import { DIRTY_PAGE_BYTES, DirtyBitmap, dirtyBitmapBytes } from '../../src/memory/dirty-log.ts';
import { Prng } from '../../src/util/prng.ts';
import { simThreads } from '../support/sim-threads.ts';

const PAGES = 100;
const RAM_BYTES = PAGES * DIRTY_PAGE_BYTES;

const pagesOf = (bitmap: Uint8Array): number[] =>
  [...bitmap].flatMap((byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => index * 8 + bit),
  );

describe('a dirty bitmap', () => {
  it('has a bit for each page touched, for each client that asks', () => {
    const ranges = fc.array(fc.tuple(fc.integer({ min: -5000, max: RAM_BYTES + 5000 }), fc.nat(200_000)), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(ranges, (writes) => {
        const log = new DirtyBitmap(RAM_BYTES);
        log.start('migration');
        const expected = new Set<number>();
        for (const [offset, length] of writes) {
          log.mark(offset, length);
          for (let page = 0; page < PAGES; page++) {
            const start = page * DIRTY_PAGE_BYTES;
            if (offset < start + DIRTY_PAGE_BYTES && offset + length > start && length > 0) expected.add(page);
          }
        }
        expect(pagesOf(log.take('display'))).toEqual([]);
        expect(pagesOf(log.take('migration'))).toEqual([...expected].sort((a, b) => a - b));
        expect(pagesOf(log.take('migration'))).toEqual([]);
      }),
    );
  });

  it('keeps the clients apart, and begins anew with each start', () => {
    const log = new DirtyBitmap(RAM_BYTES);
    log.mark(0, 1);
    log.start('migration');
    log.mark(4096, 1);
    log.start('display');
    log.mark(2 * 4096, 1);
    expect(pagesOf(log.take('migration'))).toEqual([1, 2]);
    log.start('display');
    log.stop('migration');
    log.mark(3 * 4096, 1);
    expect([pagesOf(log.take('migration')), pagesOf(log.take('display'))]).toEqual([[], [3]]);
  });

  it('is as long as the RAM needs', () => {
    expect([1, 4096, 8 * 4096, 8 * 4096 + 1].map(dirtyBitmapBytes)).toEqual([1, 1, 1, 2]);
  });
});

describe('the collector', () => {
  function bench(seed: number, ramBytes = RAM_BYTES) {
    const { simulation, threads } = simThreads(seed, ['main', 'vcpu0', 'vcpu1']);
    const names = ['main', 'vcpu0', 'vcpu1'] as const;
    const logs = names.map(() => [new DirtyBitmap(ramBytes), new DirtyBitmap(ramBytes)] as const);
    for (const name of ['vcpu0', 'vcpu1'] as const) {
      new DirtyResponder(threads[name].link('main'), logs[names.indexOf(name)] ?? []);
    }
    const links = [threads.main.link('vcpu0'), threads.main.link('vcpu1')];
    const collector = new DirtyCollector({ loop: threads.main.loop, ramBytes, writers: logs[0] ?? [], links });
    return { simulation, threads, names, logs, collector };
  }

  it('misses no write between two collections, whenever it is made, and has each once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (seed) => {
        const { simulation, threads, names, logs, collector } = bench(seed);
        const prng = new Prng(seed);
        const collected = new Map<number, number>();
        const written = new Set<number>();
        const state = { started: false, rounds: 0 };
        const round = (): void => {
          if (state.rounds++ === 6) return;
          collector.collect('migration', (bitmap) => {
            for (const page of pagesOf(bitmap)) collected.set(page, (collected.get(page) ?? 0) + 1);
            round();
          });
        };
        collector.start('migration', () => {
          state.started = true;
          round();
        });
        // Each page is written once, by whichever writer's turn it is.
        const pages = Array.from({ length: PAGES }, (_, page) => page);
        for (const [index, name] of names.entries()) {
          const write = threads[name].loop.bottomHalf('write', () => {
            const page = state.rounds <= 6 ? pages.pop() : undefined;
            if (page === undefined) return;
            logs[index]?.[prng.below(2)]?.mark(page * DIRTY_PAGE_BYTES + prng.below(4096), 1);
            if (state.started) written.add(page);
            write.schedule();
          });
          write.schedule();
        }
        simulation.run();
        collector.collect('migration', (bitmap) => {
          for (const page of pagesOf(bitmap)) collected.set(page, (collected.get(page) ?? 0) + 1);
        });
        simulation.run();
        expect([...written].filter((page) => collected.get(page) !== 1)).toEqual([]);
        expect(written.size).toBeGreaterThan(0);
        expect(Math.max(...collected.values())).toBe(1);
      }),
      { numRuns: 60 },
    );
  });

  it('takes the bitmaps of much RAM in pieces', () => {
    const ramBytes = 2 ** 33;
    const { simulation, logs, collector } = bench(3, ramBytes);
    collector.start('display', () => {});
    simulation.run();
    logs[1]?.[0]?.mark(0, ramBytes);
    logs[2]?.[1]?.mark(4096, 1);
    const seen: number[] = [];
    collector.collect('display', (bitmap) => seen.push(bitmap.length, bitmap.filter((byte) => byte === 0xff).length));
    simulation.run();
    expect(seen).toEqual([2 ** 18, 2 ** 18]);
    collector.stop('display', () => seen.push(-1));
    simulation.run();
    logs[1]?.[0]?.mark(0, 1);
    collector.collect('display', (bitmap) => seen.push(...pagesOf(bitmap)));
    simulation.run();
    expect(seen).toEqual([2 ** 18, 2 ** 18, -1]);
  });

  it('counts everything as written, once for each client, when a thread ends', () => {
    const { simulation, threads, collector } = bench(2);
    const done = vi.fn();
    for (const client of ['migration', 'display'] as const) collector.start(client, done);
    simulation.run();
    expect(done).toHaveBeenCalledTimes(2);
    const counts: number[] = [];
    collector.collect('migration', (bitmap) => counts.push(pagesOf(bitmap).length));
    threads.main.channel('vcpu1').close();
    simulation.run();
    for (const client of ['migration', 'display', 'display'] as const) {
      collector.collect(client, (bitmap) => counts.push(pagesOf(bitmap).length));
      simulation.run();
    }
    expect(counts).toEqual([PAGES, 0, PAGES, 0]);
  });

  it('takes one question at a time for each client', () => {
    const { collector } = bench(1);
    collector.start('migration', () => {});
    expect(() => collector.collect('migration', () => {})).toThrow(/one question at a time/);
  });
});
