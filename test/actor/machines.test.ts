/** The charts by themselves: every path that a life may take. */
import { describe, expect, it, vi } from 'vitest';
import { createEventLoopActor } from '../../actors/loop/event-loop.ts';
import { eventLoopMachine } from '../../machines/event-loop.ts';
import { type MachineEvent, machineMachine } from '../../machines/machine.ts';
import { vcpuMachine } from '../../machines/vcpu.ts';
import { type AnyActorRef, createActor } from '../../src/actor/index.ts';
import { EventLoop, HostClock } from '../../src/loop/index.ts';

function machine(...events: MachineEvent[]) {
  const calls: string[] = [];
  const log = (name: string) => () => void calls.push(name);
  const actor = createActor(
    machineMachine.provide({
      actions: {
        launch: log('launch'),
        resumeAll: log('resume'),
        pauseVcpus: log('pause'),
        quiesceDevices: log('quiesce'),
        resetAll: log('reset'),
        startHarts: log('begin'),
        haltAll: log('halt'),
        release: log('release'),
      },
    }),
  ).start();
  for (const event of events) actor.send(event);
  return { state: actor.getSnapshot().value, context: actor.getSnapshot().context, calls, actor };
}

const START = { type: 'machine.start' } as const;
const PAUSE = { type: 'machine.pause' } as const;
const PAUSED = { type: 'machine.vcpus-paused' } as const;
const RESUME = { type: 'machine.resume' } as const;
const RESET = { type: 'machine.reset' } as const;
const WAS_RESET = { type: 'machine.was-reset' } as const;
const SHUTDOWN = { type: 'machine.shutdown', reason: 'guest-shutdown', exitCode: 3 } as const;

describe('a machine', () => {
  it.each([
    ['launches', [START], 'running', ['launch', 'resume']],
    ['waits for its vCPUs before it is paused', [START, PAUSE], 'stopping', ['launch', 'resume', 'pause']],
    ['pauses', [START, PAUSE, PAUSED], 'paused', ['launch', 'resume', 'pause', 'quiesce']],
    ['resumes', [START, PAUSE, PAUSED, { type: 'machine.resume' }], 'running', undefined],
    [
      'goes on after a reset',
      [START, RESET, PAUSED, WAS_RESET],
      'running',
      ['launch', 'resume', 'pause', 'quiesce', 'reset', 'begin', 'resume'],
    ],
    ['stands after a reset while paused', [START, PAUSE, PAUSED, RESET, WAS_RESET], 'paused', undefined],
    [
      'stands after a reset that was overtaken by a pause',
      [START, RESET, PAUSE, PAUSED, WAS_RESET],
      'paused',
      undefined,
    ],
    ['begins anew only when all has been reset', [START, RESET, PAUSED], 'resetting', undefined],
    ['goes on when a resume overtakes the pause', [START, PAUSE, RESUME, PAUSED], 'running', undefined],
    ['pauses when that is the newest wish', [START, PAUSE, RESUME, PAUSE, PAUSED], 'paused', undefined],
    [
      'runs after a reset whose pause was taken back',
      [START, RESET, PAUSE, RESUME, PAUSED, WAS_RESET],
      'running',
      undefined,
    ],
    [
      'is reset when that overtakes a pause, and stands',
      [START, PAUSE, RESET, PAUSED, WAS_RESET],
      'paused',
      ['launch', 'resume', 'pause', 'quiesce', 'reset', 'begin'],
    ],
    [
      'is reset when that overtakes a shutdown, and stands',
      [START, SHUTDOWN, RESET, PAUSED, WAS_RESET],
      'paused',
      undefined,
    ],
    ['does not resume from a shutdown', [START, SHUTDOWN, RESUME, PAUSED], 'shutdown', undefined],
    ['shuts down', [START, SHUTDOWN, PAUSED], 'shutdown', undefined],
    ['shuts down even when it was about to pause', [START, PAUSE, SHUTDOWN, PAUSED], 'shutdown', undefined],
    ['remembers a panic', [START, { type: 'machine.panic', message: 'x' }, PAUSED], 'guest-panicked', undefined],
    ['is over', [START, { type: 'machine.stop' }], 'stopped', ['launch', 'resume', 'halt', 'release']],
  ] as const)('%s', (_what, events, state, calls) => {
    const result = machine(...(events as readonly MachineEvent[]));
    expect(result.state).toBe(state);
    if (calls !== undefined) expect(result.calls).toEqual(calls);
  });

  it('keeps the exit code', () => {
    expect(machine(START, SHUTDOWN, PAUSED).context).toMatchObject({ exitCode: 3, shutdownReason: 'guest-shutdown' });
  });

  it('keeps the first cause of an internal error, waits for nobody, and can be stopped', () => {
    const { actor, calls } = machine(START, PAUSE, { type: 'machine.fail', error: 'first' });
    actor.send({ type: 'machine.fail', error: 'second' });
    expect(actor.getSnapshot()).toMatchObject({ value: 'internal-error', context: { error: 'first' } });
    expect(calls.at(-1)).toBe('halt');
    actor.send({ type: 'machine.stop' });
    expect(actor.getSnapshot().value).toBe('stopped');
  });
});

describe('a vCPU', () => {
  function vcpu() {
    const acknowledgePause = vi.fn();
    const loadEntry = vi.fn();
    const actor = createActor(
      vcpuMachine.provide({ actions: { acknowledgePause, loadEntry: (_, entry) => loadEntry(entry) } }),
    ).start();
    return { actor, acknowledgePause, loadEntry, state: () => actor.getSnapshot().value };
  }
  const START_AT = { type: 'vcpu.start', pc: 0x8000_0000n, argument: 1n } as const;

  it('comes back from a pause to what the guest wants by then', () => {
    const { actor, state, acknowledgePause, loadEntry } = vcpu();
    actor.send({ type: 'vcpu.pause' });
    actor.send({ type: 'vcpu.resume' });
    expect(state()).toBe('stopped');
    actor.send({ type: 'vcpu.pause' });
    actor.send(START_AT);
    expect(state()).toBe('paused');
    actor.send({ type: 'vcpu.resume' });
    expect(state()).toBe('running');
    expect(loadEntry).toHaveBeenCalledWith({ pc: 0x8000_0000n, argument: 1n });
    actor.send({ type: 'vcpu.pause' });
    actor.send({ type: 'vcpu.stop' });
    actor.send({ type: 'vcpu.resume' });
    expect(state()).toBe('stopped');
    expect(acknowledgePause).toHaveBeenCalledTimes(3);
  });

  it('acknowledges a pause that it is in already', () => {
    const { actor, acknowledgePause } = vcpu();
    actor.send({ type: 'vcpu.pause' });
    actor.send({ type: 'vcpu.pause' });
    expect(acknowledgePause).toHaveBeenCalledTimes(2);
  });

  it('fails from any state', () => {
    const { actor, state } = vcpu();
    actor.send(START_AT);
    actor.send({ type: 'vcpu.fail', error: 'why' });
    expect(state()).toBe('failed');
    expect(actor.getSnapshot().context.error).toBe('why');
  });
});

describe('an event loop', () => {
  function loopActor() {
    const loop = new EventLoop({ name: 'one', clock: HostClock.stopped(), seed: 1 });
    const driver = { stop: vi.fn(), wake: vi.fn() };
    const drive = vi.fn(() => driver);
    const { logic, wake } = createEventLoopActor(loop, drive);
    return { loop, driver, drive, wake, actor: createActor(logic) as AnyActorRef };
  }

  it('is an actor that owns its driver', () => {
    const { driver, drive, wake, actor } = loopActor();
    wake();
    expect(drive).not.toHaveBeenCalled();
    actor.start();
    expect(drive).toHaveBeenCalledTimes(1);
    wake();
    expect(driver.wake).toHaveBeenCalledTimes(1);
    actor.stop();
    wake();
    expect(driver.wake).toHaveBeenCalledTimes(1);
    expect(driver.stop).toHaveBeenCalledTimes(1);
  });

  it('shows what it has to do, and stops when it has drained', () => {
    const { loop, driver, actor } = loopActor();
    actor.start();
    expect(actor.getSnapshot().view).toEqual({ name: 'one', deadlineNs: null, pendingBottomHalves: 0 });
    const ran = vi.fn();
    const first = loop.bottomHalf('first', () => second.schedule());
    const second = loop.bottomHalf('second', ran);
    first.schedule();
    actor.send({ type: 'loop.drain' });
    expect(actor.getSnapshot().toJSON()).toMatchObject({ value: 'draining', view: { pendingBottomHalves: 2 } });
    loop.turn();
    expect(ran).toHaveBeenCalledTimes(1);
    expect(actor.getSnapshot()).toMatchObject({ value: 'stopped', status: 'done' });
    expect(driver.stop).toHaveBeenCalledTimes(1);
  });

  it('drains, resumes and stops', () => {
    const stopDriver = vi.fn();
    const actor = createActor(eventLoopMachine.provide({ actions: { stopDriver } })).start();
    actor.send({ type: 'loop.drain' });
    actor.send({ type: 'loop.resume' });
    expect(actor.getSnapshot().value).toBe('running');
    actor.send({ type: 'loop.drain' });
    actor.send({ type: 'loop.drained' });
    expect(actor.getSnapshot()).toMatchObject({ value: 'stopped', status: 'done' });
    expect(stopDriver).toHaveBeenCalledTimes(1);
  });
});
