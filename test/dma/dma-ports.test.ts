/** DMA of devices on one loop. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ACCESS_OK, MUST_ASK, MUST_WAIT, type RegisterWindow } from '../../src/actor/index.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import { DMA_MAPS_MAX, DMA_REQUEST_MAX_BYTES, DMA_REQUESTS_MAX } from '../../src/dma/dma-ports.ts';
import { at, counting, dmaBench, MSI, RAM_BASE, RAM_BYTES, startDoorbell } from './dma-bench.ts';

const noWait = { readAsync: () => false };

describe('a DMA port', () => {
  it('reads and writes RAM in a later bottom half', () => {
    const { simulation, ram, ports } = dmaBench();
    const port = ports.portFor('edu');
    const done = vi.fn();
    port.write(RAM_BASE + 5, counting(4), done);
    port.read(RAM_BASE + 4, 6, done);
    expect([done.mock.calls.length, ram.bytes[5]]).toEqual([0, 0]);
    simulation.run();
    expect(done.mock.calls).toEqual([[true], [Uint8Array.of(0, 1, 2, 3, 4, 0)]]);
  });

  it('cuts what is not RAM into aligned accesses, one a bottom half', () => {
    const log: (string | number)[][] = [];
    const window: RegisterWindow = {
      ...noWait,
      lengthBytes: 64,
      read(offset, size) {
        log.push(['read', offset, size]);
        return offset;
      },
      write(offset, value, size) {
        log.push(['write', offset, value, size]);
        return ACCESS_OK;
      },
    };
    const { simulation, ports, loop } = dmaBench([at(0x1000, window)]);
    const port = ports.portFor('edu');
    const done = vi.fn();
    port.write(0x1001, counting(10), done);
    expect(loop.pendingBottomHalves).toBe(1);
    simulation.step();
    expect(log).toEqual([['write', 1, 1, 1]]);
    simulation.run();
    port.read(0x1003, 3, done);
    simulation.run();
    expect(log.slice(1)).toEqual([
      ['write', 2, 0x0302, 2],
      ['write', 4, 0x07060504, 4],
      ['write', 8, 0x0908, 2],
      ['write', 10, 0x0a, 1],
      ['read', 3, 1],
      ['read', 4, 2],
    ]);
    expect(done.mock.calls).toEqual([[true], [Uint8Array.of(3, 4, 0)]]);
  });

  it('splits a request where RAM begins and ends', () => {
    const [low, high] = [new Uint8Array(16), new Uint8Array(16)];
    const { simulation, ram, ports } = dmaBench([
      at(RAM_BASE - 16, memoryWindow(low, true)),
      at(RAM_BASE + RAM_BYTES, memoryWindow(high, true)),
    ]);
    const port = ports.portFor('edu');
    const done = vi.fn();
    port.write(RAM_BASE - 3, counting(6), done);
    port.write(RAM_BASE + RAM_BYTES - 2, counting(6), done);
    port.read(RAM_BASE - 3, 6, done);
    simulation.run();
    expect([...low.subarray(13), ...ram.bytes.subarray(0, 3)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...ram.bytes.subarray(-2), ...high.subarray(0, 4)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(done.mock.calls).toEqual([[true], [true], [counting(6)]]);
  });

  it('answers with a bus error where nothing is, after the pieces before it', () => {
    const { simulation, ram, ports } = dmaBench();
    const port = ports.portFor('edu');
    const done = vi.fn();
    const places = [0, -4, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53 - 1, 2 ** 64];
    for (const gpa of places) port.read(gpa, 4, done);
    port.write(RAM_BASE + RAM_BYTES - 2, counting(4), done);
    for (const length of [-1, 1.5, DMA_REQUEST_MAX_BYTES + 1]) port.read(RAM_BASE, length, done);
    port.read(RAM_BASE, 0, done);
    simulation.run();
    expect(done.mock.calls).toEqual([
      ...places.map(() => [null]),
      [false],
      [null],
      [null],
      [null],
      [new Uint8Array(0)],
    ]);
    expect([...ram.bytes.subarray(-2)]).toEqual([1, 2]);
  });

  it('sends interrupts, behind the data that was written before', () => {
    const { simulation, ports, msi, ram } = dmaBench();
    const port = ports.portFor('edu');
    const seen: unknown[] = [];
    port.write(RAM_BASE, counting(2), () => seen.push(['data', msi.length]));
    port.write(MSI, Uint8Array.of(0xff, 0, 0, 0x80), (ok) => seen.push(['msi', ok, ram.bytes[0]]));
    port.write(MSI + 4, counting(4), (ok) => seen.push(['beside', ok]));
    simulation.run();
    expect(msi).toEqual([[MSI, 0x8000_00ff]]);
    expect(seen).toEqual([
      ['data', 0],
      ['msi', true, 1],
      ['beside', false],
    ]);
  });

  it('waits for registers that are answered later, and for room on the way to them', () => {
    const asked: ((result: number) => void)[] = [];
    const state = { room: false };
    const ask = (done: (result: number) => void) => state.room && asked.push(done) > 0;
    const window: RegisterWindow = {
      lengthBytes: 8,
      read: () => MUST_WAIT,
      write: () => MUST_ASK,
      readAsync: (_offset, _size, done) => ask(done),
      writeAsync: (_offset, _value, _size, done) => ask(done),
    };
    const { simulation, ports, space } = dmaBench([at(0x1000, window)]);
    const port = ports.portFor('edu');
    const done = vi.fn();
    port.read(0x1000, 4, done);
    port.write(0x1004, counting(4), done);
    simulation.run();
    space();
    simulation.run();
    expect(asked).toEqual([]);
    state.room = true;
    space();
    simulation.run();
    asked[0]?.(0x04030201);
    expect(done).not.toHaveBeenCalled();
    simulation.run();
    expect(done.mock.calls).toEqual([[counting(4)]]);
    asked[1]?.(ACCESS_OK);
    simulation.run();
    expect(done.mock.calls[1]).toEqual([true]);
  });

  it('bounds what a device may ask for at one time', () => {
    const { simulation, ports } = dmaBench();
    const port = ports.portFor('edu');
    const results: boolean[] = [];
    for (let n = 0; n < DMA_REQUESTS_MAX + 3; n++) port.write(RAM_BASE, counting(1), (ok) => results.push(ok));
    simulation.run();
    expect(results.filter((ok) => ok)).toHaveLength(DMA_REQUESTS_MAX);
    expect(results.slice(DMA_REQUESTS_MAX)).toEqual([false, false, false]);
    port.write(RAM_BASE, counting(1), (ok) => results.push(ok));
    simulation.run();
    expect(results.at(-1)).toBe(true);
  });

  it('maps RAM and nothing else, so often and no more', () => {
    const { ports, ram } = dmaBench([at(0x1000, memoryWindow(new Uint8Array(64), true))]);
    const port = ports.portFor('edu');
    const [segment] = port.map(RAM_BASE + 16, 8, 'write') ?? [];
    segment?.fill(7);
    expect([...ram.bytes.subarray(15, 25)]).toEqual([0, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
    for (const [gpa, length] of [
      [0x1000, 4],
      [RAM_BASE - 1, 4],
      [RAM_BASE + RAM_BYTES - 3, 4],
      [RAM_BASE, 0],
      [RAM_BASE, -1],
      [Number.NaN, 4],
      [2 ** 70, 4],
    ] as const) {
      expect(port.map(gpa, length, 'read')).toBe(null);
    }
    for (let n = 1; n < DMA_MAPS_MAX; n++) expect(port.map(RAM_BASE, 4, 'read')).toHaveLength(1);
    expect(port.map(RAM_BASE, 4, 'read')).toBe(null);
    port.unmap(RAM_BASE, 4, 'read');
    expect(port.map(RAM_BASE, 4, 'read')).toHaveLength(1);
    expect(ports.portFor('other').map(RAM_BASE, 4, 'read')).toHaveLength(1);
  });

  it('notes what it writes, and what is mapped for writing as long as it is', () => {
    const { simulation, ports, dirty } = dmaBench();
    const port = ports.portFor('edu');
    dirty.start('migration');
    const pages = () => [...dirty.take('migration').subarray(0, 2)];
    port.write(RAM_BASE + 0xfff, counting(2), () => {});
    port.read(RAM_BASE + 0x5000, 2, () => {});
    port.map(RAM_BASE + 0x9000, 1, 'read');
    simulation.run();
    expect([pages(), pages()]).toEqual([
      [3, 0],
      [0, 0],
    ]);
    port.map(RAM_BASE + 0x8000, 0x1001, 'write');
    expect([pages(), pages()]).toEqual([
      [0, 3],
      [0, 3],
    ]);
    port.unmap(RAM_BASE + 0x8000, 0x1001, 'write');
    expect([pages(), pages()]).toEqual([
      [0, 3],
      [0, 0],
    ]);
  });

  it('agrees with a plain copy, whatever lies where', () => {
    const regions = [at(RAM_BASE - 64, memoryWindow(new Uint8Array(64), true))];
    const span = { min: RAM_BASE - 64, max: RAM_BASE + 64 };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer(span), fc.uint8Array({ maxLength: 40 })), { maxLength: 8 }),
        (writes) => {
          const { simulation, ports } = dmaBench(regions);
          const [one, other] = [ports.portFor('one'), ports.portFor('other')];
          const expected = new Uint8Array(192);
          one.write(RAM_BASE - 64, expected, () => {});
          for (const [gpa, bytes] of writes) {
            one.write(gpa, bytes, () => {});
            expected.set(bytes, gpa - span.min);
          }
          simulation.run();
          let got: Uint8Array | null = null;
          other.read(span.min, 192, (bytes) => {
            got = bytes;
          });
          simulation.run();
          expect(got).toEqual(expected);
        },
      ),
    );
  });
});

describe('a device with DMA in flight', () => {
  function start() {
    const bare = dmaBench();
    const device = startDoorbell('a', bare.ports, { how: 'at once', target: () => RAM_BASE });
    return { ...bare, device };
  }

  it('finishes nothing while it is quiesced', () => {
    const { simulation, device } = start();
    device.actor.send({ type: 'device.quiesce' });
    device.window.write(0, 0, 4);
    simulation.run();
    expect(device.actor.getSnapshot().view).toMatchObject({ results: [] });
    device.actor.send({ type: 'device.resume' });
    simulation.run();
    expect(device.view().results).toEqual([true]);
  });

  it.each(['device.remove', 'device.reset'] as const)('is told nothing more after %s', (type) => {
    const { simulation, device } = start();
    const done = vi.fn();
    device.port.write(RAM_BASE, counting(4), done);
    device.port.map(RAM_BASE, 4, 'write');
    device.actor.send({ type });
    simulation.run();
    expect(done).not.toHaveBeenCalled();
    device.port.unmap(RAM_BASE, 4, 'write');
    const removed = type === 'device.remove';
    expect(device.port.map(RAM_BASE, 4, 'read') === null).toBe(removed);
    device.port.read(RAM_BASE, 4, done);
    simulation.run();
    expect(done).toHaveBeenCalledTimes(removed ? 0 : 1);
  });

  it('may go in the middle of a request: what is written is written, and no more', () => {
    const asked: ((result: number) => void)[] = [];
    const written: number[] = [];
    const window: RegisterWindow = {
      lengthBytes: 16,
      read: () => MUST_WAIT,
      write: () => MUST_ASK,
      readAsync: (_offset, _size, done) => asked.push(done) > 0,
      writeAsync: (offset, _value, _size, done) => written.push(offset) > 0 && asked.push(done) > 0,
    };
    const { simulation, device, setView, ports, dirty } = start();
    setView([at(0x1000, window)]);
    const done = vi.fn();
    device.port.write(0x1000, counting(12), done);
    simulation.run();
    asked[0]?.(ACCESS_OK);
    simulation.run();
    dirty.start('display');
    device.port.map(RAM_BASE, 4, 'write');
    device.actor.stop();
    asked[1]?.(ACCESS_OK);
    simulation.run();
    expect([written, done.mock.calls]).toEqual([[0, 4], []]);
    expect(dirty.take('display')[0]).toBe(1);
    expect(dirty.take('display')[0]).toBe(0);
    // Its name is free for the next.
    const next = startDoorbell('a', ports, { how: 'at once', target: () => RAM_BASE });
    next.window.write(0, 0, 4);
    simulation.run();
    expect(next.view().results).toEqual([true]);
    expect(ports.view()).toEqual({ a: { requests: 0, maps: 0 } });
  });

  it('fails alone when it throws in an answer', () => {
    const { simulation, device } = start();
    const error = vi.fn();
    device.actor.subscribe({ error });
    device.port.write(RAM_BASE, counting(4), () => {
      throw new Error('a bug in an answer');
    });
    simulation.run();
    expect(String(error.mock.calls[0]?.[0])).toMatch(/a bug in an answer/);
    expect(device.port.map(RAM_BASE, 4, 'read')).toBe(null);
  });
});
