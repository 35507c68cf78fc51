/** Actors and registers of other loops, in one thread with seeded order: local pipes and real channels. */
import { describe, expect, it, vi } from 'vitest';
import {
  ActorGateway,
  assign,
  BUS_FAULT,
  createActor,
  deviceActorLogic,
  Inspection,
  type InspectionEvent,
  InspectionSource,
  Link,
  LocalPipe,
  MUST_WAIT,
  type RegisterWindow,
  RegisterWindows,
  remoteRegisterWindow,
  setup,
  WindowServer,
} from '../../src/actor/index.ts';
import { Simulation } from '../../src/loop/index.ts';
import { connect, testThread } from '../support/channels.ts';
import { counter } from './counter.ts';

const echoMachine = setup({
  types: { context: {} as { got: number }, events: {} as { type: 'ping' } | { type: 'fail' } | { type: 'end' } },
  actions: {
    count: assign({ got: ({ context }) => context.got + 1 }),
    bug: () => {
      throw new Error('far bug');
    },
  },
}).createMachine({
  context: { got: 0 },
  initial: 'fresh',
  on: { fail: { actions: 'bug' }, end: '.over' },
  states: {
    fresh: { on: { ping: 'pinged' } },
    pinged: { entry: 'count', on: { ping: { target: 'pinged', reenter: true } } },
    over: { type: 'final' },
  },
});

/** Two loops and a link between them, over a local pipe or a channel. */
function twoLoops(carrier: 'local pipe' | 'channel', seed = 1) {
  const simulation = new Simulation(seed);
  const near = simulation.loop('near');
  const far = simulation.loop('far');
  if (carrier === 'local pipe') {
    const [a, b] = LocalPipe.pair(near, far);
    return { simulation, near, far, nearLink: new Link('far', a), farLink: new Link('near', b), channels: null };
  }
  const threads = [testThread(), testThread()] as const;
  const [a, b] = connect(...threads);
  near.doorbell = threads[0].doorbell;
  far.doorbell = threads[1].doorbell;
  near.attach(a);
  far.attach(b);
  return { simulation, near, far, nearLink: new Link('far', a), farLink: new Link('near', b), channels: { a, b } };
}

describe.each(['local pipe', 'channel'] as const)('a proxy over a %s', (carrier) => {
  function bench() {
    const loops = twoLoops(carrier);
    const nearGateway = new ActorGateway('near', loops.nearLink);
    const farGateway = new ActorGateway('far', loops.farLink);
    const far = createActor(echoMachine);
    const failed = vi.fn();
    far.subscribe({ error: failed });
    farGateway.export('echo', far.start());
    const parent = createActor(
      setup({ actors: { echo: nearGateway.proxyLogic('echo') } }).createMachine({
        initial: 'up',
        invoke: { src: 'echo', id: 'echo', onDone: '.done', onError: { target: '.failed' } },
        states: { up: {}, done: {}, failed: {} },
      }),
    ).start();
    nearGateway.export('parent', parent);
    const proxy = parent.getSnapshot().children.echo;
    loops.simulation.run();
    return { ...loops, nearGateway, farGateway, far, parent, proxy };
  }

  it('forwards events and mirrors the far life state', () => {
    const { simulation, far, proxy } = bench();
    expect(proxy?.getSnapshot().value).toBe('fresh');
    proxy?.send({ type: 'ping' });
    proxy?.send({ type: 'ping' });
    expect(far.getSnapshot().value).toBe('fresh');
    simulation.run();
    expect(far.getSnapshot().context.got).toBe(2);
    expect(proxy?.getSnapshot().value).toBe('pinged');
  });

  it('fails, and lets its parent know, when the far actor fails', () => {
    const { simulation, parent, proxy } = bench();
    const error = vi.fn();
    proxy?.subscribe({ error });
    proxy?.send({ type: 'fail' });
    simulation.run();
    expect(error.mock.calls[0]?.[0]).toMatchObject({ name: 'Error', message: 'far bug', where: ['far/echo'] });
    expect(parent.getSnapshot().value).toBe('failed');
  });

  it('is told what it missed before it started', () => {
    const { simulation, far, nearGateway } = bench();
    far.send({ type: 'ping' });
    simulation.run();
    const late = createActor(nearGateway.proxyLogic('echo')).start();
    expect(late.getSnapshot().value).toBe('pinged');
    far.send({ type: 'end' });
    simulation.run();
    expect(createActor(nearGateway.proxyLogic('echo')).start().getSnapshot().status).toBe('done');
  });

  it('is done when the far actor is', () => {
    const { simulation, parent, proxy } = bench();
    proxy?.send({ type: 'end' });
    simulation.run();
    expect(parent.getSnapshot().value).toBe('done');
  });

  it('fails when the other side is lost', () => {
    const { simulation, parent, nearGateway } = bench();
    nearGateway.fail({ name: 'WorkerExit', message: 'gone' });
    simulation.run();
    expect(parent.getSnapshot().value).toBe('failed');
  });

  it('keeps what the link has no room for, in order, and fails the sender when that has no end', () => {
    const { simulation, far, nearGateway } = bench();
    for (let i = 0; i < 2000; i++) nearGateway.send('echo', { type: 'ping' });
    simulation.run();
    expect(far.getSnapshot().context.got).toBe(2000);
    expect(() => {
      for (let i = 0; i < 10_000; i++) nearGateway.send('echo', { type: 'ping' });
    }).toThrow(/no room for actor.event from near to far/);
  });

  it('delivers with the ref of the proxy that stands for the sender', () => {
    const { simulation, parent, proxy, farGateway } = bench();
    const senders: unknown[] = [];
    parent.system.inspect((event) => {
      if (event.type === '@xstate.event' && event.event.type === 'hello') senders.push(event.sourceRef);
    });
    farGateway.send('parent', { type: 'hello' }, 'echo');
    simulation.run();
    expect(senders).toEqual([proxy]);
  });
});

describe('a remote register window', () => {
  function bench() {
    const loops = twoLoops('channel');
    const channels = loops.channels as NonNullable<typeof loops.channels>;
    const windows = new RegisterWindows();
    const wiring = { loop: loops.far, ports: { irq: { set: () => {} } }, config: { start: 3 }, registers: windows };
    const actor = createActor(deviceActorLogic(counter, wiring), { id: 'counter0' }).start();
    actor.send({ type: 'device.start' });
    const server = new WindowServer(channels.b);
    server.serve(5, windows.get('counter0') as RegisterWindow);
    const window = remoteRegisterWindow(channels.a, 5, counter.lengthBytes);
    const read = (offset: number): number[] => {
      const got: number[] = [];
      expect(window.readAsync(offset, 4, (result) => got.push(result))).toBe(true);
      loops.simulation.run();
      return got;
    };
    return { ...loops, channels, actor, server, window, read };
  }

  it('posts writes and answers reads later, in order', () => {
    const { window, read } = bench();
    expect(window.read(0, 4)).toBe(MUST_WAIT);
    expect(window.write(0, 0xffff_fff0, 4)).toBe(0);
    expect(read(0)).toEqual([0xffff_fff0]);
  });

  it('faults outside, for an unknown window, and when the device has gone', () => {
    const { window, read, channels, simulation, actor, server } = bench();
    expect(window.read(16, 4)).toBe(BUS_FAULT);
    const done = vi.fn();
    remoteRegisterWindow(channels.a, 77, 8).readAsync(0, 4, done);
    simulation.run();
    expect(done).toHaveBeenCalledWith(BUS_FAULT);
    actor.send({ type: 'device.remove' });
    expect(read(0)).toEqual([BUS_FAULT]);
    window.write(0, 1, 4);
    simulation.run();
    expect(server.faultedWrites).toBe(1);
  });

  it('answers outstanding reads with a bus fault when the channel is closed', () => {
    const { window, channels } = bench();
    const done = vi.fn();
    window.readAsync(0, 4, done);
    channels.a.close();
    expect(done).toHaveBeenCalledWith(BUS_FAULT);
    expect(window.write(0, 1, 4)).toBe(BUS_FAULT);
  });

  it('says that it must wait when credits or room are used up', () => {
    const { window, simulation } = bench();
    let asked = 0;
    const done = vi.fn();
    while (window.readAsync(0, 4, done)) asked++;
    expect(asked).toBe(32);
    let written = 0;
    while (window.write(0, 1, 4) === 0) written++;
    expect(window.write(0, 1, 4)).toBe(MUST_WAIT);
    expect(written).toBeGreaterThan(1000);
    simulation.run();
    expect(done).toHaveBeenCalledTimes(32);
    expect(window.write(0, 1, 4)).toBe(0);
  });
});

describe('inspection', () => {
  it('merges the events of two loops by time, and shows late joiners who is there', () => {
    const { simulation, near, far, nearLink, farLink } = twoLoops('channel', 4);
    const source = new InspectionSource('far', farLink, far);
    const farActor = createActor(echoMachine, { systemId: 'echo' }).start();
    source.watch(farActor);
    farActor.send({ type: 'ping' });
    const seen: string[] = [];
    const inspection = new Inspection('near', near, (event: InspectionEvent) => {
      const payload = 'event' in event ? event.event.type : '';
      seen.push(
        `${event.actorRef.sessionId.includes('/') ? event.actorRef.sessionId : 'local'} ${event.type} ${payload}`,
      );
    });
    const local = createActor(echoMachine, { inspect: inspection.observer }).start();
    expect(inspection.watchThread(nearLink)).toBe(true);
    simulation.run();
    local.send({ type: 'ping' });
    farActor.send({ type: 'ping' });
    local.send({ type: 'end' });
    simulation.run();
    expect(seen.filter((line) => line.startsWith('far'))).toEqual([
      'far/echo @xstate.actor ',
      'far/echo @xstate.event ping',
      'far/echo @xstate.snapshot ping',
    ]);
    const order = seen.filter((line) => / (ping|end)$/.test(line) && line.includes('@xstate.event'));
    expect(order).toEqual(['local @xstate.event ping', 'far/echo @xstate.event ping', 'local @xstate.event end']);

    inspection.detach();
    const { length } = seen;
    farActor.send({ type: 'ping' });
    simulation.run();
    expect(seen.length).toBe(length);
  });

  it('counts what the bounded buffer had no room for', () => {
    const { simulation, near, far, nearLink, farLink } = twoLoops('channel');
    const source = new InspectionSource('far', farLink, far);
    const farActor = createActor(echoMachine, { systemId: 'echo' }).start();
    source.watch(farActor);
    let seen = 0;
    const inspection = new Inspection('near', near, () => seen++);
    inspection.watchThread(nearLink);
    simulation.run();
    for (let i = 0; i < 5000; i++) farActor.send({ type: 'ping' });
    simulation.run();
    expect(inspection.dropped).toBeGreaterThan(0);
    expect(seen + inspection.dropped).toBe(10_001);
  });
});
