/** Devices that reach each other through DMA: on one loop and between loops, in the order that a seed decides. */
import { describe, expect, it } from 'vitest';
import { AccessOrigin, remoteRegisterWindow, WindowServer } from '../../src/actor/index.ts';
import { createAddressSpace } from '../../src/bus/address-space.ts';
import { FlatView } from '../../src/bus/flat-view.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import { createDmaPorts, DMA_CHAIN_MAX, DMA_REENTRIES_MAX } from '../../src/dma/dma-ports.ts';
import { simThreads } from '../support/sim-threads.ts';
import { at, type DoorbellConfig, dmaBench, RAM_BASE, startDoorbell } from './dma-bench.ts';

describe('devices that reach each other', () => {
  /** `b` may be `a` itself. */
  function pair(how: DoorbellConfig['how'], targets: { a: number; b: number }, seed = 1) {
    const bare = dmaBench([], seed);
    const a = startDoorbell('a', bare.ports, { how, target: () => targets.a });
    const b = startDoorbell('b', bare.ports, { how, target: () => targets.b });
    bare.setView([at(0x1000, a.window), at(0x2000, b.window)]);
    return { ...bare, a, b };
  }

  it.each(['at once', 'bottom half', 'deferred'] as const)('end with a bus error on their own doorbell (%s)', (how) => {
    const { simulation, ports, a } = pair(how, { a: 0x1000, b: 0 });
    ports.portFor('outsider').write(0x1000, new Uint8Array(4), () => {});
    simulation.run(undefined, 1000);
    const { rings, results } = a.view();
    expect(rings).toBe(DMA_REENTRIES_MAX + 1);
    expect(results.filter((ok) => !ok)).toHaveLength(1);
    expect(results).toHaveLength(DMA_REENTRIES_MAX + 1);
  });

  it.each(['at once', 'bottom half', 'deferred'] as const)('end with a bus error in a circle (%s)', (how) => {
    for (let seed = 1; seed <= 30; seed++) {
      const { simulation, ports, a, b } = pair(how, { a: 0x2000, b: 0x1000 }, seed);
      ports.portFor('outsider').write(0x1000, new Uint8Array(4), () => {});
      simulation.run(undefined, 1000);
      const [one, other] = [a.view(), b.view()];
      expect(one.rings + other.rings).toBeLessThanOrEqual(DMA_CHAIN_MAX);
      expect([...one.results, ...other.results].filter((ok) => !ok)).toHaveLength(1);
    }
  });

  it('end a chain that is too long, however many are in it', () => {
    const bare = dmaBench();
    const count = DMA_CHAIN_MAX + 4;
    const devices = Array.from({ length: count }, (_, n) =>
      startDoorbell(`d${n}`, bare.ports, { how: 'at once', target: () => 0x1000 * (n + 2) }),
    );
    bare.setView(devices.map(({ window }, n) => at(0x1000 * (n + 1), window)));
    devices[0]?.window.write(0, 0, 4);
    bare.simulation.run();
    const rung = devices.filter(({ view }) => view().rings === 1);
    expect(rung).toHaveLength(DMA_CHAIN_MAX + 1);
  });

  it('begin anew with a timer: time passes, and nothing starves', () => {
    const { simulation, a } = pair('timer', { a: 0x1000, b: 0 });
    a.window.write(0, 0, 4);
    simulation.run(() => simulation.clock.nowNs() >= 100_000, 100_000);
    const { rings, results } = a.view();
    expect(rings).toBeGreaterThan(900);
    expect(results).not.toContain(false);
  });

  it('are served again after an error', () => {
    const { simulation, a } = pair('at once', { a: 0x1000, b: 0 });
    for (let n = 1; n <= 3; n++) {
      a.window.write(0, 0, 4);
      simulation.run(undefined, 1000);
      expect(a.view().results.filter((ok) => !ok)).toHaveLength(n);
    }
  });

  it('end in the same way across threads, where only the length of the chain is known', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const { simulation, threads } = simThreads(seed, ['main', 'io0']);
      const sides = (['main', 'io0'] as const).map((name) => {
        const { loop, channel } = threads[name];
        const peer = name === 'main' ? 'io0' : 'main';
        const origin = new AccessOrigin();
        const far = remoteRegisterWindow(channel(peer), 1, 16, { posted: true, origin });
        const view = new FlatView(createAddressSpace([at(0x1000, far)]));
        const ports = createDmaPorts({
          loop,
          ram: { bytes: new Uint8Array(0), base: RAM_BASE },
          view: () => view,
          msi: null,
          dirty: null,
          origin,
          onSpace: (handler) => channel(peer).onSpace(handler),
        });
        const device = startDoorbell(`${name}-device`, ports, { how: 'bottom half', target: () => 0x1000 });
        new WindowServer(channel(peer), origin).serve(1, device.window);
        return device;
      });
      // Both at once.
      for (const device of sides) device.window.write(0, 0, 4);
      simulation.run(undefined, 10_000);
      const views = sides.map(({ view }) => view());
      const rings = views.reduce((sum, { rings }) => sum + rings, 0);
      expect(rings).toBeGreaterThan(2);
      expect(rings).toBeLessThanOrEqual(2 * (DMA_CHAIN_MAX + 1));
      expect(views.flatMap(({ results }) => results)).toContain(false);
    }
  });
});

it('two loops that read and write each other’s registers at once both go on', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { simulation, threads } = simThreads(seed, ['main', 'io0']);
    const counts = (['main', 'io0'] as const).map((name) => {
      const { loop, channel } = threads[name];
      const peer = name === 'main' ? 'io0' : 'main';
      const own = new Uint8Array(64);
      new WindowServer(channel(peer)).serve(1, memoryWindow(own, true));
      const view = new FlatView(createAddressSpace([at(0x1000, remoteRegisterWindow(channel(peer), 1, 64))]));
      const ports = createDmaPorts({
        loop,
        ram: { bytes: new Uint8Array(0), base: RAM_BASE },
        view: () => view,
        msi: null,
        dirty: null,
        onSpace: (handler) => channel(peer).onSpace(handler),
      });
      const count = { rounds: 0, wrong: 0 };
      // As many devices as have more requests than the channel has credits.
      for (let d = 0; d < 60; d++) {
        const port = ports.portFor(`d${d}`);
        const round = (n: number): void => {
          if (n === 5) return;
          const bytes = Uint8Array.of(d, n);
          port.write(0x1000 + (d % 30) * 2, bytes, () => {});
          port.read(0x1000 + (d % 30) * 2, 2, (got) => {
            if (got === null || (got[0] ?? 0) % 30 !== d % 30) count.wrong += 1;
            count.rounds += 1;
            round(n + 1);
          });
        };
        round(0);
      }
      return count;
    });
    simulation.run();
    expect([seed, counts]).toEqual([seed, counts.map(() => ({ rounds: 300, wrong: 0 }))]);
  }
});
