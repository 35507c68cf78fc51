import { describe, expect, it, vi } from 'vitest';
import { machineMachine } from '../../machines/machine.ts';
import {
  ACCESS_OK,
  BUS_FAULT,
  createActor,
  deviceActorLogic,
  type InspectionEvent,
  type RegisterWindow,
  RegisterWindows,
} from '../../src/actor/index.ts';
import { Simulation } from '../../src/loop/index.ts';
import { counter } from './counter.ts';

function bench(name = counter.name) {
  const simulation = new Simulation(1);
  const loop = simulation.loop('main');
  const windows = new RegisterWindows();
  const irq = { set: vi.fn() };
  const logic = deviceActorLogic(
    { ...counter, name },
    { loop, ports: { irq }, config: { start: 3 }, registers: windows },
  );
  const make = (options: object = {}) => createActor(logic, { id: 'counter0', ...options });
  const window = (): RegisterWindow => windows.get('counter0') as RegisterWindow;
  return { simulation, loop, windows, irq, logic, make, window };
}

describe('a device actor', () => {
  it('gives its registers to the bus when it starts, and to nobody before', () => {
    const { make, windows, window } = bench();
    const actor = make();
    expect(windows.get('counter0')).toBe(undefined);
    actor.start();
    expect(window().read(0, 4)).toBe(3);
    expect(window().write(0, -1, 4)).toBe(ACCESS_OK);
    expect(window().read(0, 4)).toBe(0xffff_ffff);
  });

  it('answers with a bus fault outside its window', () => {
    const { make, window } = bench();
    make().start();
    for (const [offset, size] of [
      [16, 1],
      [13, 4],
      [-1, 4],
      [2 ** 31, 4],
    ] as const) {
      expect(window().read(offset, size)).toBe(BUS_FAULT);
      expect(window().write(offset, 0, size)).toBe(BUS_FAULT);
    }
  });

  it.each([
    ['stopped', (actor: ReturnType<ReturnType<typeof bench>['make']>) => actor.stop()],
    ['removed', (actor: ReturnType<ReturnType<typeof bench>['make']>) => actor.send({ type: 'device.remove' })],
  ])('answers with a bus fault for ever once it is %s, and its timers never fire', (_how, end) => {
    const { make, window, simulation, irq } = bench();
    const actor = make().start();
    actor.send({ type: 'device.start' });
    window().write(0, 2000, 4);
    window().write(8, 50, 4);
    end(actor);
    simulation.run();
    expect(window().read(0, 4)).toBe(BUS_FAULT);
    expect(window().write(0, 1, 4)).toBe(BUS_FAULT);
    expect(irq.set).not.toHaveBeenCalled();
  });

  it('has a snapshot of new identity after each message, with its life and a view', () => {
    const { make, window } = bench();
    const actor = make().start();
    const seen: unknown[] = [];
    actor.subscribe((snapshot) => seen.push([snapshot.value, snapshot.revision, snapshot.view]));
    actor.send({ type: 'device.start' });
    actor.send({ type: 'add', n: 4 });
    window().write(0, 9, 4);
    expect(seen).toEqual([
      ['running', 1, { count: 3 }],
      ['running', 2, { count: 7 }],
    ]);
    actor.send({ type: 'device.reset' });
    expect(actor.getSnapshot()).toMatchObject({ value: 'running', revision: 3, view: { count: 3 } });
  });

  it('does nothing by itself and forgets nothing while it is quiesced', () => {
    const { make, window, simulation } = bench();
    const actor = make().start();
    actor.send({ type: 'device.start' });
    window().write(8, 50, 4);
    actor.send({ type: 'device.quiesce' });
    window().write(4, 1, 4);
    window().write(4, 1, 4);
    actor.send({ type: 'add', n: 10 });
    simulation.clock.advanceTo(1000);
    simulation.run();
    expect(window().read(0, 4)).toBe(3);
    actor.send({ type: 'device.resume' });
    simulation.run();
    expect(window().read(0, 4)).toBe(3 + 10 + 1 + 100);
  });

  it('is told the levels of wires without a message, at any time until it stops', () => {
    const { actor, windows, window } = run();
    const inputs = windows.inputs('counter0');
    const before = actor.getSnapshot();
    inputs.set(4, true);
    inputs.set(4, false);
    actor.send({ type: 'device.quiesce' });
    inputs.set(5, true);
    expect(window().read(0, 4)).toBe(3 + 4 + 5);
    expect(before.revision).toBe(1);
    expect(actor.getSnapshot().revision).toBe(2);
    actor.stop();
    expect(() => inputs.set(5, true)).not.toThrow();
    expect(() => windows.inputs('nobody')).toThrow(/nobody has announced no inputs/);
  });

  it('can be saved in any state and goes on from there on another board', () => {
    const one = bench();
    const actor = one.make().start();
    actor.send({ type: 'device.start' });
    one.window().write(8, 50, 4);
    actor.send({ type: 'device.quiesce' });
    actor.send({ type: 'add', n: 10 });
    const saved = structuredClone(actor.getPersistedSnapshot());
    expect(saved).toMatchObject({ name: 'test-counter', version: 1, life: 'quiesced', state: { count: 3 } });

    const other = bench();
    const restored = other.make({ snapshot: saved }).start();
    expect(restored.getPersistedSnapshot()).toEqual(saved);
    restored.send({ type: 'device.resume' });
    other.simulation.run();
    expect(other.window().read(0, 4)).toBe(113);
  });

  it('refuses the saved state of another device or version, and says so', () => {
    const saved = bench('something-else').make().start().getPersistedSnapshot();
    const actor = bench().make({ snapshot: saved });
    const error = vi.fn();
    actor.subscribe({ error });
    actor.start();
    expect(String(error.mock.calls[0]?.[0])).toMatch(
      /test-counter version 1, the saved state is of something-else version 1/,
    );
  });

  it.each([
    ['a message', (d: ReturnType<typeof run>) => d.actor.send({ type: 'boom' })],
    ['a read', (d: ReturnType<typeof run>) => expect(d.window().read(12, 4)).toBe(BUS_FAULT)],
    ['the level of a wire', (d: ReturnType<typeof run>) => d.windows.inputs('counter0').set(12, true)],
    ['a bottom half', (d: ReturnType<typeof run>) => d.window().write(12, 1, 4)],
  ])('fails with the cause when its core throws in %s, and no longer answers', (_where, provoke) => {
    const device = run();
    const error = vi.fn();
    device.actor.subscribe({ error });
    provoke(device);
    device.simulation.run();
    expect(String(error.mock.calls[0]?.[0])).toMatch(/a bug in/);
    expect(device.actor.getSnapshot().status).toBe('error');
    expect(device.window().read(0, 4)).toBe(BUS_FAULT);
    expect(device.actor.getPersistedSnapshot()).toMatchObject({ status: 'error', error: { name: 'Error' } });
  });

  it('keeps its core to itself: neither ref, snapshot nor window lead to it', () => {
    const { actor, window } = run();
    const reachable = new Set<unknown>();
    const visit = (value: unknown): void => {
      if (typeof value !== 'object' || value === null || reachable.has(value)) return;
      reachable.add(value);
      for (const key of Reflect.ownKeys(value)) visit(Reflect.get(value, key));
    };
    visit(actor.getSnapshot());
    visit(window());
    for (const value of reachable) expect(value).not.toHaveProperty('mmioRead');
    expect(Object.getOwnPropertyNames(Object.getPrototypeOf(actor.getSnapshot()))).toEqual([
      'constructor',
      'view',
      'toJSON',
    ]);
  });

  it('brings its machine to internal-error, with the cause, when it fails as a child', () => {
    const { logic, window } = bench();
    const machine = createActor(machineMachine).start();
    // A board spawns its devices; here the parent is given by hand.
    const child = createActor(logic, { id: 'counter0', parent: machine } as object).start();
    machine.send({ type: 'machine.start' });
    child.send({ type: 'device.start' });
    window().read(12, 4);
    expect(machine.getSnapshot().value).toBe('internal-error');
    expect(String(machine.getSnapshot().context.error)).toMatch(/a bug in a read/);
  });

  it('shows every message and snapshot to an inspector, and no register access', () => {
    const { make, window } = bench();
    const events: InspectionEvent[] = [];
    const actor = make({ inspect: (event: InspectionEvent) => events.push(event) }).start();
    actor.send({ type: 'device.start' });
    const before = events.length;
    window().write(0, 1, 4);
    window().read(0, 4);
    expect(events.length).toBe(before);
    expect(events.map((event) => event.type)).toContain('@xstate.snapshot');
  });
});

function run() {
  const b = bench();
  const actor = b.make().start();
  actor.send({ type: 'device.start' });
  return { ...b, actor };
}
