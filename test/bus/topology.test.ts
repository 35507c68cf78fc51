/** Changes of the memory map while threads use it, in every order that a seed can decide. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ACCESS_OK, BUS_FAULT, MUST_ASK, MUST_WAIT } from '../../src/actor/index.ts';
import type { FlatView } from '../../src/bus/flat-view.ts';
import { QUEUED_CHANGES_MAX } from '../../src/bus/topology-owner.ts';
import type { AddressViews } from '../../src/bus/topology-views.ts';
import type { EventLoop } from '../../src/loop/index.ts';
import { AssertionError } from '../../src/util/errors.ts';
import { Prng } from '../../src/util/prng.ts';
import { APERTURE, Probe, placed, topologyBench } from './topology-bench.ts';

const regionsOf = (views: AddressViews) =>
  views.memory.space.regions.map(({ name, base, lengthBytes, windowOffset }) => [
    name,
    base - APERTURE.base,
    lengthBytes,
    windowOffset ?? 0,
  ]);
const probeAt = (offset: number, lengthBytes = 0x100) => new Probe(APERTURE.base + offset, lengthBytes);

describe('a change of the topology', () => {
  it('is the same for everybody, and done in a bottom half when all have it', () => {
    const bench = topologyBench(1);
    const probe = probeAt(0x1000);
    const done = vi.fn();
    bench.owner.commit({ remove: [], add: [placed('edu', probe)] }, done);
    expect(done).not.toHaveBeenCalled();
    bench.simulation.run();
    expect(done).toHaveBeenCalledOnce();
    const expected = [
      ['pci', 0, 0x1000, 0],
      ['edu', 0x1000, 0x100, 0],
      ['pci', 0x1100, 0x6f00, 0x1100],
      ['rom', 0x8000, 0x1000, 0],
      ['pci', 0x9000, 0x7000, 0x9000],
    ];
    for (const views of [bench.owner, ...Object.values(bench.participants)].map((one) => one.views)) {
      expect([views.version, views.memory.space.version, views.io.space.version]).toEqual([2, 2, 2]);
      expect(regionsOf(views)).toEqual(expected);
    }
    expect(bench.owner.view()).toMatchObject({ version: 2, committing: false, queued: 0 });
  });

  it('leaves a window invisible where something is already, and outside of the apertures', () => {
    const bench = topologyBench(1);
    const add = [
      placed('first', probeAt(0x100)),
      placed('second', probeAt(0x80)),
      placed('hidden', probeAt(0x100, 0x20)),
      placed('on the rom', probeAt(0x7f00, 0x200)),
      placed('at the end', probeAt(0xff00, 0x200)),
      placed('in ram', new Probe(0x8000_0000, 0x100)),
      placed('nowhere', new Probe(2 ** 60, 0x100)),
      placed('odd', new Probe(0.5, 0x100)),
    ];
    bench.owner.commit({ remove: [], add }, () => {});
    bench.simulation.run();
    const windows = () =>
      regionsOf(bench.participants.vcpu0.views).filter(([name]) => name !== 'pci' && name !== 'rom');
    expect(windows()).toEqual([
      ['second', 0x80, 0x80, 0],
      ['first', 0x100, 0x100, 0],
      ['on the rom', 0x7f00, 0x100, 0],
      ['at the end', 0xff00, 0x100, 0],
    ]);
    bench.owner.commit({ remove: ['first', 'nobody'], add: [] }, () => {});
    bench.simulation.run();
    expect(windows().slice(0, 2)).toEqual([
      ['second', 0x80, 0x100, 0],
      ['on the rom', 0x7f00, 0x100, 0],
    ]);
  });

  it('places ports in their own space', () => {
    const bench = topologyBench(1);
    const window = new Probe(0x20, 8);
    bench.owner.commit({ remove: [], add: [{ ...placed('ports', window), space: 'io' }] }, () => {});
    bench.simulation.run();
    const { views } = bench.participants.vcpu0;
    expect(views.io.space.regions.map(({ name, base }) => [name, base])).toEqual([['ports', 0x20]]);
    expect(views.io.write(0x20, 4, 0x20)).toBe(ACCESS_OK);
    bench.simulation.run();
    expect([window.accesses, window.wrong]).toEqual([1, []]);
  });

  it('is cut into messages that a channel can take', () => {
    const seen: number[] = [];
    const bench = topologyBench(3, (_thread, views) => seen.push(views.memory.space.regions.length));
    const names = Array.from({ length: 1000 }, (_, index) => `${'x'.repeat(56)}${index}`);
    const add = names.map((name, index) => placed(name, probeAt(index * 0x10, 8)));
    bench.owner.commit({ remove: [], add }, () => {});
    bench.simulation.run();
    bench.owner.commit({ remove: names, add: [] }, () => {});
    bench.simulation.run();
    const { length } = bench.owner.views.memory.space.regions;
    expect([new Set(seen.slice(0, 3)).size, seen[0], seen.slice(3), length]).toEqual([1, seen[0], [3, 3, 3], 3]);
    expect(seen[0]).toBeGreaterThan(1500);
  });

  it('asks for a flush only where it was asked to', () => {
    const flushes: boolean[] = [];
    const bench = topologyBench(1, (_thread, _views, flush) => flushes.push(flush));
    bench.owner.commit({ remove: [], add: [] }, () => {});
    bench.owner.commit({ remove: [], add: [] }, () => {}, true);
    bench.simulation.run();
    expect(flushes).toEqual([false, false, false, true, true, true]);
  });

  it('that shows nothing new asks nobody', () => {
    const swap = vi.fn();
    const bench = topologyBench(1, swap);
    const done = vi.fn();
    bench.owner.commit({ remove: [], add: [placed('hidden', new Probe(0, 8))] }, done);
    bench.owner.commit({ remove: ['hidden'], add: [] }, done);
    bench.simulation.run();
    // The open bus.
    expect([swap.mock.calls.length, done.mock.calls.length]).toEqual([3, 2]);
  });

  it('becomes part of the last one where too many wait', () => {
    const swap = vi.fn();
    const bench = topologyBench(1, swap);
    const done = vi.fn();
    const changes = QUEUED_CHANGES_MAX * 3;
    for (let n = 0; n < changes; n++) {
      const remove = n % 2 === 0 ? [] : ['even'];
      const name = n % 2 === 0 ? 'even' : `odd ${n}`;
      bench.owner.commit({ remove, add: [placed(name, probeAt(n * 0x10, 8))] }, done);
    }
    bench.simulation.run();
    expect(done).toHaveBeenCalledTimes(changes);
    expect(swap.mock.calls.length).toBe(QUEUED_CHANGES_MAX * 3);
    const names = bench.participants.vcpu1.views.memory.space.regions.map(({ name }) => name);
    expect(names).not.toContain('even');
    expect(names.filter((name) => name.startsWith('odd'))).toHaveLength(changes / 2);
  });

  it('does not wait for a thread that has ended, before or meanwhile', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const bench = topologyBench(seed);
      const done = vi.fn();
      bench.threads.main.channel('vcpu1').close();
      bench.owner.commit({ remove: [], add: [placed('edu', probeAt(0))] }, done);
      for (let steps = seed % 20; steps > 0; steps--) bench.simulation.step();
      bench.threads.main.channel('io0').close();
      bench.simulation.run();
      expect([seed, done.mock.calls.length]).toEqual([seed, 1]);
      expect(bench.participants.vcpu0.views.version).toBe(2);
    }
  });

  it('reaches whoever does DMA before any vCPU', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const order: string[] = [];
      const bench = topologyBench(seed, (thread, views) => order.push(`${thread} ${views.version}`));
      bench.owner.commit({ remove: [], add: [placed('edu', probeAt(0))] }, () => order.push('done'));
      bench.simulation.run();
      expect(order[0]).toBe('io0 2');
      expect(order.at(-1)).toBe('done');
      expect(order).toHaveLength(4);
    }
  });

  it.each([
    ['a window with the name of another', [placed('edu', probeAt(0)), placed('edu', probeAt(0))]],
    ['a window with the name of what is fixed', [placed('rom', probeAt(0))]],
    ['an empty window', [placed('edu', probeAt(0, 0))]],
    ['a name without end', [placed('x'.repeat(65), probeAt(0))]],
  ])('refuses %s: our own bug', (_what, add) => {
    const bench = topologyBench(1);
    bench.owner.commit({ remove: [], add }, () => {});
    expect(() => bench.simulation.run()).toThrow(AssertionError);
  });
});

describe('an access in flight', () => {
  it('to a window that goes, and its device has taken, faults', () => {
    const bench = topologyBench(5);
    const never = { ...probeAt(0), read: () => MUST_WAIT, write: () => MUST_ASK };
    const silent = () => true;
    const window = { ...never, lengthBytes: 0x100, base: APERTURE.base, readAsync: silent, writeAsync: silent };
    bench.owner.commit({ remove: [], add: [placed('silent', window)] }, () => {});
    bench.simulation.run();
    const { memory } = bench.participants.vcpu0.views;
    expect([memory.read(APERTURE.base, 4), memory.write(APERTURE.base, 4, 1)]).toEqual([MUST_WAIT, MUST_ASK]);
    const faults: boolean[] = [];
    memory.readAsync(APERTURE.base, 4, (fault) => faults.push(fault));
    memory.writeAsync(APERTURE.base, 4, 1, 0, (fault) => faults.push(fault));
    bench.simulation.run();
    expect(faults).toEqual([]);
    bench.owner.commit({ remove: ['silent'], add: [] }, () => {});
    bench.simulation.run();
    expect(faults).toEqual([true, true]);
  });

  it('that asks for the change itself ends when everybody has it', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const bench = topologyBench(seed);
      const config = {
        ...probeAt(0),
        base: APERTURE.base,
        lengthBytes: 0x100,
        read: () => BUS_FAULT,
        write: () => MUST_ASK,
        readAsync: () => false,
        writeAsync: (_offset: number, value: number, _size: number, done: (result: number) => void) => {
          const bar = new Probe(value, 0x100);
          bench.owner.commit({ remove: ['bar'], add: [placed('bar', bar)] }, () => done(ACCESS_OK));
          return true;
        },
      };
      bench.owner.commit({ remove: [], add: [placed('config', config)] }, () => {});
      bench.simulation.run();
      // Both at once: each waits for its own write, and answers for the other's meanwhile.
      const written: string[] = [];
      for (const [index, name] of (['vcpu0', 'vcpu1'] as const).entries()) {
        const base = APERTURE.base + 0x1000 * (index + 1);
        bench.participants[name].views.memory.writeAsync(APERTURE.base, 4, base, 0, (fault) => {
          const { memory, version } = bench.participants[name].views;
          expect([fault, version >= 3, memory.find(base)?.name === 'bar' || version === 4]).toEqual([
            false,
            true,
            true,
          ]);
          written.push(name);
        });
      }
      bench.simulation.run();
      expect([seed, written.length]).toEqual([seed, 2]);
    }
  });
});

/** Accesses at random addresses, with the view of the moment, for ever. */
class Accessor {
  readonly #name: string;
  readonly #prng: Prng;
  readonly #user: { readonly views: AddressViews };
  readonly #again;
  left = 150;
  waiting = 0;
  faults = 0;
  readonly wrong: string[] = [];

  constructor(name: string, loop: EventLoop, user: { readonly views: AddressViews }, seed: number) {
    this.#name = name;
    this.#prng = new Prng(seed);
    this.#user = user;
    this.#again = loop.bottomHalf('access', () => this.#access());
    this.#again.schedule();
  }

  #access(): void {
    if (this.left === 0) return;
    this.left -= 1;
    if (this.waiting < 8) this.#one(this.#user.views.memory);
    this.#again.schedule();
  }

  #one(view: FlatView): void {
    const gpa = APERTURE.base + this.#prng.below(APERTURE.lengthBytes / 0x100) * 0x100;
    const region = view.find(gpa)?.name;
    // The first version has no open bus yet.
    if (region === undefined) return;
    if (this.#prng.below(2) === 0) {
      const status = view.write(gpa, 4, gpa);
      if (status === MUST_ASK && view.writeAsync(gpa, 4, gpa, 0, (fault) => this.#ended(fault, gpa, gpa)))
        this.waiting++;
      if (status === BUS_FAULT && region !== 'rom') this.wrong.push(`${this.#name}: a write to ${region} faulted`);
      return;
    }
    const expected = region === 'pci' ? 0xffff_ffff : region === 'rom' ? 0x5a5a5a5a : gpa;
    const asked = view.readAsync(gpa, 4, (fault, lo) => this.#ended(fault, lo, expected));
    if (asked) this.waiting++;
  }

  #ended(fault: boolean, got: number, expected: number): void {
    this.waiting -= 1;
    if (fault) this.faults += 1;
    else if (got !== expected) this.wrong.push(`${this.#name}: ${got.toString(16)}, not ${expected.toString(16)}`);
  }
}

/** Moves two windows together, again and again; what is removed knows it from `done` on. */
function moveAbout(bench: ReturnType<typeof topologyBench>, seed: number, slow: boolean) {
  const prng = new Prng(seed);
  const { loop } = bench.threads.main;
  const all: Probe[] = [];
  const state = { commits: 0, all };
  let current: Probe[] = [];
  const make = (base: number): Probe => {
    const probe = new Probe(base, 0x1000, slow && prng.below(2) === 0 ? { loop, reads: prng.below(2) === 0 } : null);
    all.push(probe);
    return probe;
  };
  const move = (): void => {
    if (state.commits >= 25) return;
    state.commits += 1;
    const old = current;
    const base = APERTURE.base + prng.below(7) * 0x1000;
    current = prng.below(5) === 0 ? [] : [make(base), make(base + 0x9000)];
    const [a, b] = current;
    const add = a === undefined || b === undefined ? [] : [placed('a', a), placed('b', b)];
    bench.owner.commit({ remove: ['a', 'b'], add }, () => {
      for (const probe of old) probe.removed = true;
      move();
    });
  };
  move();
  return state;
}

describe.each([
  ['posted', false],
  ['partly answered later', true],
])('threads that use windows which move, %s', (_how, slow) => {
  it('reach the right one or none, and see each change whole', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (seed) => {
        const halves: string[] = [];
        const bench = topologyBench(seed, (thread, views) => {
          const [a, b] = ['a', 'b'].map((name) => views.memory.space.regions.find((region) => region.name === name));
          if ((b?.base ?? 0x9000) - (a?.base ?? 0) !== 0x9000) halves.push(`${thread} ${views.version}`);
        });
        const accessors = bench.names.map(
          (name, index) => new Accessor(name, bench.threads[name].loop, bench.participants[name], seed + index),
        );
        accessors.push(new Accessor('main', bench.threads.main.loop, bench.owner, seed + 3));
        const mover = moveAbout(bench, seed, slow);
        bench.simulation.run();
        expect(halves).toEqual([]);
        expect(mover.commits).toBe(25);
        expect(mover.all.flatMap((probe) => probe.wrong)).toEqual([]);
        expect(accessors.flatMap((accessor) => accessor.wrong)).toEqual([]);
        expect(accessors.map((accessor) => accessor.waiting)).toEqual([0, 0, 0, 0]);
        expect(mover.all.reduce((sum, probe) => sum + probe.accesses, 0)).toBeGreaterThan(10);
        // Only what a device had taken and not answered may fault when its window goes.
        if (!slow) expect(accessors.map((accessor) => accessor.faults)).toEqual([0, 0, 0, 0]);
        expect(bench.faultedWrites()).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});
