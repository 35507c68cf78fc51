/** Real threads: windows move thousands of times while others use them. The accessing side runs from the build. */
import { afterEach, describe, expect, it } from 'vitest';
import {
  ACCESS_OK,
  BUS_FAULT,
  Link,
  MUST_ASK,
  spawnWorker,
  WindowServer,
  type WorkerHandle,
} from '../../src/actor/index.ts';
import { TopologyOwner } from '../../src/bus/topology-owner.ts';
import { firstViews } from '../../src/bus/topology-views.ts';
import { Thread, wireThreads } from '../../src/channel/threads.ts';
import { attachThread, EventLoop, HostClock, runInLibuv } from '../../src/loop/index.ts';
import { Prng } from '../../src/util/prng.ts';
import { LAYOUT, Probe, placed } from './topology-bench.ts';

const WORKERS = new URL('./topology-workers.js', import.meta.url).href;
const SLOTS = 64;
const STRIDE = 0x100;
const PAIR_BYTES = SLOTS * STRIDE;
const BASE = 0x4000_0000;
const MOVES = 2000;
const CONFIG = BASE + 2 * PAIR_BYTES + 0x1000;

interface Counts {
  readonly writes: number;
  readonly reads: number;
  readonly wrong: number;
  readonly faults: number;
  readonly halves: number;
  readonly swaps: number;
  readonly configs: number;
}

let cleanUp: (() => Promise<void>) | null = null;

afterEach(async () => {
  await cleanUp?.();
  cleanUp = null;
});

/** Windows `a` and `b`, always so far apart; each move makes new ones and ends the old. */
class Pair {
  readonly all: Probe[] = [];
  moves = 0;
  readonly #owner: TopologyOwner;
  #current: readonly Probe[] = [];

  constructor(owner: TopologyOwner) {
    this.#owner = owner;
  }

  move(slot: number, done: () => void): void {
    const old = this.#current;
    const [a, b] = [0, PAIR_BYTES].map((distance) => new Probe(BASE + slot * STRIDE + distance, STRIDE)) as [
      Probe,
      Probe,
    ];
    this.#current = [a, b];
    this.all.push(a, b);
    this.moves += 1;
    this.#owner.commit({ remove: ['a', 'b'], add: [placed('a', a), placed('b', b)] }, () => {
      for (const probe of old) probe.removed = true;
      done();
    });
  }
}

function start(names: readonly string[], parameters: { total: number; readEvery: number; configWrites: number }) {
  const kinds = names.map((name) => ({ name, kind: 'parking' }) as const);
  const wiring = wireThreads([{ name: 'main', kind: 'libuv' }, ...kinds]);
  const errors: unknown[] = [];
  const clock = HostClock.running();
  const loop = new EventLoop({ name: 'main', clock, seed: 1, onError: (error) => errors.push(error) });
  const thread = new Thread(wiring.get('main') as never);
  attachThread(loop, thread);
  const links = names.map((name) => new Link(name, thread.channel(name)));
  const servers = names.map((name) => new WindowServer(thread.channel(name)));
  const owner = new TopologyOwner({
    loop,
    layout: {
      ...LAYOUT,
      memory: { fixed: [], apertures: [{ name: 'pci', base: BASE, lengthBytes: 0x1_0000, openBus: false }] },
    },
    views: firstViews([]),
    firstWindowId: 0,
    participants: links.map((link, index) => ({ link, server: servers[index] as WindowServer, role: 'cpu' })),
  });
  const counts = links.map(
    (link) => new Promise<Counts>((resolve) => link.on('counts', (m) => resolve((m as never)['counts']))),
  );
  const driver = runInLibuv(loop, thread);
  const shared = { base: BASE, stride: STRIDE, slots: SLOTS, pairBytes: PAIR_BYTES, config: CONFIG, ...parameters };
  const workers: WorkerHandle[] = [];
  const ended = names.map((name, index) => {
    const code = { module: WORKERS, exportName: 'accesses', parameters: { ...shared, seed: index + 1 } };
    return new Promise<unknown>((resolve) => {
      workers.push(spawnWorker(code, wiring.get(name) as never, resolve));
    });
  });
  cleanUp = async () => {
    driver.stop();
    thread.close();
    for (const worker of workers) await worker.terminate();
  };
  const enough = () => {
    for (const link of links) link.post({ type: 'enough' });
  };
  const stop = () => {
    for (const link of links) link.post({ type: 'stop' });
    return Promise.all(ended);
  };
  const faultedWrites = () => servers.reduce((sum, server) => sum + server.faultedWrites, 0);
  const close = (name: string) => thread.channel(name).close();
  return { owner, pair: new Pair(owner), counts: Promise.all(counts), enough, stop, close, errors, faultedWrites };
}

describe('threads that use windows which move', () => {
  it('reach the right one with each of 200,000 accesses, over thousands of moves', async () => {
    const run = start(['vcpu0', 'vcpu1'], { total: 100_000, readEvery: 50, configWrites: 0 });
    const prng = new Prng(7);
    const again = (): void => {
      if (run.pair.moves < MOVES) run.pair.move(prng.below(SLOTS), again);
      else run.enough();
    };
    again();
    const counts = await run.counts;
    for (const one of counts) {
      expect(one).toMatchObject({ wrong: 0, faults: 0, halves: 0 });
      expect(one.writes + one.reads).toBeGreaterThanOrEqual(100_000);
      expect(one.reads).toBeGreaterThan(1000);
      expect(one.swaps).toBe(MOVES);
    }
    expect(await run.stop()).toEqual([null, null]);
    expect(run.errors).toEqual([]);
    expect(run.pair.all.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(run.faultedWrites()).toBe(0);
    const reached = run.pair.all.reduce((sum, { accesses }) => sum + accesses, 0);
    expect(reached).toBe(counts.reduce((sum, { writes, reads }) => sum + writes + reads, 0));
  });

  it('have the version that their own write asked for when it ends, while others ask too', async () => {
    const run = start(['vcpu0', 'vcpu1'], { total: 10_000, readEvery: 50, configWrites: 200 });
    const config = {
      base: CONFIG,
      lengthBytes: 4,
      read: () => BUS_FAULT,
      write: () => MUST_ASK,
      readAsync: () => false,
      writeAsync(_offset: number, value: number, _size: number, done: (result: number) => void): boolean {
        run.pair.move(value % SLOTS, () => done(ACCESS_OK));
        return true;
      },
    };
    run.owner.commit({ remove: [], add: [placed('config', config)] }, () => run.pair.move(0, run.enough));
    for (const one of await run.counts) {
      expect(one).toMatchObject({ wrong: 0, faults: 0, halves: 0, configs: 200 });
    }
    expect(run.pair.moves).toBe(401);
    expect(await run.stop()).toEqual([null, null]);
    expect([run.errors, run.pair.all.flatMap(({ wrong }) => wrong), run.faultedWrites()]).toEqual([[], [], 0]);
  });

  it('do not hold up the others when one of them ends', async () => {
    const run = start(['vcpu0', 'vcpu1'], { total: 1, readEvery: 2, configWrites: 0 });
    await new Promise<void>((resolve) => run.pair.move(1, resolve));
    run.enough();
    await run.counts;
    await run.stop();
    const late = new Promise<string>((resolve) => run.pair.move(2, () => resolve('done')));
    // As a board does when a thread has ended.
    run.close('vcpu0');
    run.close('vcpu1');
    expect(await late).toBe('done');
  });
});
