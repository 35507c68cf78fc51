/** Register accesses that a device answers later: on its own thread, and asked for from another. */
import { describe, expect, it, vi } from 'vitest';
import { UNANSWERED_ACCESSES_MAX } from '../../src/actor/device-logic.ts';
import {
  ACCESS_OK,
  BUS_FAULT,
  createActor,
  type DeviceCore,
  defineDevice,
  deviceActorLogic,
  MUST_ASK,
  MUST_WAIT,
  type RegisterWindow,
  RegisterWindows,
  remoteRegisterWindow,
  WindowServer,
} from '../../src/actor/index.ts';
import { simThreads } from '../support/sim-threads.ts';

/** Takes accesses and answers none by itself: the test does. */
class Slow implements DeviceCore {
  readonly reads: ((value: number) => void)[] = [];
  readonly writes: { readonly value: number; readonly done: () => void }[] = [];

  mmioReadLater(offset: number, _size: number, done: (value: number) => void): void {
    if (offset === 12) throw new Error('a bug in a read');
    this.reads.push(done);
  }
  mmioWriteLater(_offset: number, value: number, _size: number, done: () => void): void {
    this.writes.push({ value, done });
  }
  reset(): void {}
  view(): object {
    return {};
  }
  save(): object {
    return {};
  }
  load(): void {}
}

function bench(seed = 1) {
  const { simulation, threads } = simThreads(seed, ['main', 'vcpu0']);
  const cores: Slow[] = [];
  const windows = new RegisterWindows();
  const slow = defineDevice({
    name: 'slow',
    version: 1,
    lengthBytes: 16,
    create: () => {
      const core = new Slow();
      cores.push(core);
      return core;
    },
  });
  const logic = deviceActorLogic(slow, { loop: threads.main.loop, ports: {}, config: undefined, registers: windows });
  const actor = createActor(logic, { id: 'slow' });
  const error = vi.fn();
  actor.subscribe({ error });
  actor.start().send({ type: 'device.start' });
  const window = windows.get('slow') as RegisterWindow & Required<Pick<RegisterWindow, 'writeAsync'>>;
  const server = new WindowServer(threads.main.channel('vcpu0'));
  server.serve(1, window);
  const remote = (posted: boolean) => {
    const made = remoteRegisterWindow(threads.vcpu0.channel('main'), 1, 16, { posted });
    return made as typeof window;
  };
  return { simulation, threads, actor, error, core: cores[0] as Slow, window, server, remote };
}

describe('an access that is answered later', () => {
  it('is a read that must wait and a write that must ask', () => {
    const { window, core } = bench();
    expect([window.read(0, 4), window.write(0, 1, 4)]).toEqual([MUST_WAIT, MUST_ASK]);
    expect([window.read(14, 4), window.write(-4, 1, 4)]).toEqual([BUS_FAULT, BUS_FAULT]);
    expect([core.reads, core.writes]).toEqual([[], []]);
    const read = vi.fn();
    const written = vi.fn();
    expect(window.readAsync(0, 4, read)).toBe(true);
    expect(window.writeAsync(4, -1, 4, written)).toBe(true);
    expect(read).not.toHaveBeenCalled();
    core.reads[0]?.(-2);
    expect(core.writes[0]?.value).toBe(0xffff_ffff);
    core.writes[0]?.done();
    expect([read.mock.calls, written.mock.calls]).toEqual([[[0xffff_fffe]], [[ACCESS_OK]]]);
  });

  it('is answered once', () => {
    const { window, core } = bench();
    const done = vi.fn();
    window.readAsync(0, 4, done);
    core.reads[0]?.(1);
    core.reads[0]?.(2);
    expect(done.mock.calls).toEqual([[1]]);
  });

  it.each(['device.remove', 'device.reset'] as const)(
    'faults with %s, and what its device says then is ignored',
    (type) => {
      const { window, core, actor } = bench();
      const done = vi.fn();
      window.readAsync(0, 4, done);
      window.writeAsync(0, 1, 4, done);
      actor.send({ type });
      core.reads[0]?.(1);
      core.writes[0]?.done();
      expect(done.mock.calls).toEqual([[BUS_FAULT], [BUS_FAULT]]);
    },
  );

  it('faults when its actor is stopped or fails', () => {
    const stopped = bench();
    const done = vi.fn();
    stopped.window.readAsync(0, 4, done);
    stopped.actor.stop();
    const failed = bench();
    failed.window.readAsync(0, 4, done);
    failed.window.readAsync(12, 4, done);
    expect(done.mock.calls).toEqual([[BUS_FAULT], [BUS_FAULT], [BUS_FAULT]]);
    expect(failed.error).toHaveBeenCalledOnce();
  });

  it('faults at once where too many are not answered', () => {
    const { window, core } = bench();
    const done = vi.fn();
    for (let n = 0; n < UNANSWERED_ACCESSES_MAX; n++) window.readAsync(0, 4, done);
    expect(done).not.toHaveBeenCalled();
    window.readAsync(0, 4, done);
    expect(done.mock.calls).toEqual([[BUS_FAULT]]);
    core.reads[7]?.(5);
    window.readAsync(0, 4, done);
    expect(core.reads).toHaveLength(UNANSWERED_ACCESSES_MAX + 1);
    expect(done.mock.calls).toEqual([[BUS_FAULT], [5]]);
  });
});

describe('from another thread, an access that is answered later', () => {
  it('is answered when the device answers', () => {
    const { simulation, core, remote } = bench();
    const window = remote(false);
    const done = vi.fn();
    expect(window.write(0, 1, 4)).toBe(MUST_ASK);
    window.readAsync(0, 4, done);
    window.writeAsync(0, 0xffff_fff0, 4, done);
    simulation.run();
    expect(done).not.toHaveBeenCalled();
    core.writes[0]?.done();
    simulation.run();
    core.reads[0]?.(0xffff_fff1);
    simulation.run();
    expect(core.writes[0]?.value).toBe(0xffff_fff0);
    expect(done.mock.calls).toEqual([[ACCESS_OK], [0xffff_fff1]]);
  });

  it('may be posted all the same', () => {
    const { simulation, core, remote, server, actor } = bench();
    expect(remote(true).writeAsync).toBe(undefined);
    expect(remote(true).write(0, 7, 4)).toBe(ACCESS_OK);
    simulation.run();
    expect(core.writes[0]?.value).toBe(7);
    expect(server.faultedWrites).toBe(0);
    actor.send({ type: 'device.remove' });
    expect(server.faultedWrites).toBe(1);
  });

  it('faults when its window is withdrawn or the channel closed', () => {
    const { simulation, core, remote, server, threads } = bench();
    const window = remote(false);
    const done = vi.fn();
    window.readAsync(0, 4, done);
    window.writeAsync(0, 1, 4, done);
    simulation.run();
    server.withdraw(1);
    core.reads[0]?.(1);
    core.writes[0]?.done();
    simulation.run();
    expect(done.mock.calls).toEqual([[BUS_FAULT], [BUS_FAULT]]);
    window.writeAsync(0, 1, 4, done);
    simulation.run();
    expect(done.mock.calls).toHaveLength(3);
    window.writeAsync(0, 1, 4, done);
    threads.vcpu0.thread.close();
    expect(done.mock.calls).toHaveLength(4);
    expect(window.write(0, 1, 4)).toBe(BUS_FAULT);
    expect(core.writes).toHaveLength(1);
  });

  it('is told when there are credits again, and when the other thread has gone', () => {
    const { simulation, core, remote, threads } = bench();
    const window = remote(false);
    const done = vi.fn();
    while (window.readAsync(0, 4, done));
    const retry = vi.fn();
    threads.vcpu0.channel('main').onSpace(retry);
    simulation.run();
    expect(retry).not.toHaveBeenCalled();
    core.reads[0]?.(1);
    simulation.run();
    expect([done.mock.calls.length, retry.mock.calls.length]).toEqual([1, 1]);
    while (window.readAsync(0, 4, done));
    threads.vcpu0.thread.close();
    expect(retry).toHaveBeenCalledTimes(2);
  });
});
