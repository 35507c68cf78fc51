import { describe, expect, it, vi } from 'vitest';
import { ORDERED_KINDS_END } from '../../src/channel/channel.ts';
import { HostClock, SimulatedClock } from '../../src/loop/clock.ts';
import { DeliveryLog } from '../../src/loop/delivery-log.ts';
import { runInLibuv } from '../../src/loop/drivers.ts';
import { EventLoop } from '../../src/loop/event-loop.ts';
import { Simulation } from '../../src/loop/simulation.ts';
import { countsByteOffset, DOORBELL, DOORBELL_COUNTS } from '../../src/memory/doorbell-words.ts';
import { Prng } from '../../src/util/prng.ts';
import { connect, testThread } from '../support/channels.ts';

function simulated(options: { workPerTurn?: number; onError?: (e: unknown, where: string) => void } = {}) {
  const clock = new SimulatedClock();
  return { clock, loop: new EventLoop({ name: 'test', clock, seed: 1, ...options }) };
}

describe('bottom halves', () => {
  it('run once for any number of schedules, in the order of the first', () => {
    const { loop } = simulated();
    const seen: string[] = [];
    const a = loop.bottomHalf('a', () => seen.push('a'));
    const b = loop.bottomHalf('b', () => seen.push('b'));
    b.schedule();
    a.schedule();
    b.schedule();
    loop.turn();
    expect(seen).toEqual(['b', 'a']);
  });

  it('do not run when cancelled, and do when scheduled again', () => {
    const { loop } = simulated();
    const run = vi.fn();
    const bh = loop.bottomHalf('x', run);
    bh.schedule();
    bh.cancel();
    loop.turn();
    expect(run).toHaveBeenCalledTimes(0);
    bh.schedule();
    bh.cancel();
    bh.schedule();
    loop.turn();
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('are bounded per turn: one that schedules itself for ever starves nobody', () => {
    const { loop } = simulated({ workPerTurn: 10 });
    let runs = 0;
    const self = loop.bottomHalf('self', () => {
      runs++;
      self.schedule();
    });
    self.schedule();
    loop.turn();
    expect(loop.nextDeadlineNs()).toBeLessThanOrEqual(0);
    expect(runs).toBe(10);
  });

  it('keep their order when the queue grows', () => {
    const { loop } = simulated({ workPerTurn: 1000 });
    const seen: number[] = [];
    for (let i = 0; i < 50; i++) loop.bottomHalf('x', () => {}).schedule();
    loop.turn(40);
    for (let i = 0; i < 200; i++) loop.bottomHalf('x', () => seen.push(i)).schedule();
    loop.turn();
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('that throw are reported and do not stop the others', () => {
    const onError = vi.fn();
    const { loop } = simulated({ onError });
    const run = vi.fn();
    loop
      .bottomHalf('bad', () => {
        throw new Error('bug');
      })
      .schedule();
    loop.bottomHalf('good', run).schedule();
    loop.turn();
    expect(onError.mock.calls[0]?.[1]).toBe('bad');
    expect(run).toHaveBeenCalled();
  });
});

describe('timers', () => {
  it('fire in the order of their deadlines, equal ones in the order of arming, never early', () => {
    const { clock, loop } = simulated({ workPerTurn: 10_000 });
    const prng = new Prng(7);
    const armed: { at: number; n: number }[] = [];
    const fired: { at: number; n: number }[] = [];
    const timers = Array.from({ length: 300 }, (_, n) => {
      const entry = { at: prng.below(50), n };
      armed.push(entry);
      const timer = loop.timer(`t${n}`, () => fired.push(entry));
      timer.arm(entry.at);
      return timer;
    });
    for (let n = 0; n < 300; n += 3) timers[n]?.cancel();
    clock.advanceTo(24);
    loop.turn();
    expect(loop.nextDeadlineNs()).toBe(25);
    clock.advanceTo(60);
    loop.turn();
    expect(loop.nextDeadlineNs()).toBe(Number.POSITIVE_INFINITY);
    const expected = armed.filter(({ n }) => n % 3 !== 0).sort((a, b) => a.at - b.at || a.n - b.n);
    expect(fired).toEqual(expected);
  });

  it('wake the driver where the first deadline moves forward, and only there', () => {
    const { loop } = simulated();
    const wake = vi.fn();
    loop.onWork = wake;
    const timer = loop.timer('t', () => {});
    const later = loop.timer('later', () => {});
    for (const [one, atNs, woken] of [
      [timer, 100, 1],
      [later, 200, 1],
      [timer, 50, 2],
      [timer, 80, 2],
      [later, 70, 3],
    ] as const) {
      one.arm(atNs);
      expect(wake, `armed at ${atNs}`).toHaveBeenCalledTimes(woken);
    }
  });

  it('move when armed again', () => {
    const { clock, loop } = simulated();
    const run = vi.fn();
    const timer = loop.timer('t', run);
    timer.arm(10);
    timer.arm(20);
    expect(timer.deadlineNs).toBe(20);
    clock.advanceTo(15);
    loop.turn();
    expect(loop.nextDeadlineNs()).toBe(20);
    clock.advanceTo(20);
    loop.turn();
    expect(run).toHaveBeenCalledTimes(1);
    expect(timer.deadlineNs).toBe(null);
  });
});

describe('clock', () => {
  it('stands still while stopped and keeps in step with the clocks of other threads', () => {
    const clock = HostClock.running();
    const stoppedNs = clock.stop();
    expect(clock.nowNs()).toBe(stoppedNs);
    const delayNs = Float64Array.of(stoppedNs + 1);
    clock.toHostDelay(delayNs);
    expect(delayNs[0]).toBe(Number.POSITIVE_INFINITY);
    const other = HostClock.stopped();
    other.resume(clock.resume());
    const [before, between, after] = [clock.nowNs(), other.nowNs(), clock.nowNs()];
    expect(before).toBeGreaterThanOrEqual(stoppedNs);
    expect(between).toBeGreaterThanOrEqual(before);
    expect(between).toBeLessThanOrEqual(after);
  });
});

describe('in libuv', () => {
  it('wakes for work from host callbacks, for timers and for the doorbell', async () => {
    const loop = new EventLoop({ name: 'main', clock: HostClock.running(), seed: 1 });
    const driver = runInLibuv(loop, null);
    const seen: string[] = [];
    const bh = loop.bottomHalf('bh', () => seen.push('bottom half'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    bh.schedule();
    await vi.waitFor(() => expect(seen).toEqual(['bottom half']));
    loop.timer('t', () => seen.push('timer')).arm(loop.nowNs() + 3e6);
    await vi.waitFor(() => expect(seen).toEqual(['bottom half', 'timer']));
    driver.stop();
    bh.schedule();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(seen.length).toBe(2);
  });
});

describe('a step', () => {
  /** Steps until nothing is due any more: what was handed out, and what the observer was told. */
  function steps(seed: number): { handed: string[]; told: string[] } {
    const handed: string[] = [];
    const told: string[] = [];
    const clock = new SimulatedClock();
    const loop = new EventLoop({ name: 'x', clock, seed: 1, onDelivery: (kind, name) => told.push(`${kind} ${name}`) });
    const thread = testThread();
    loop.doorbell = thread.doorbell;
    thread.doorbell.onSignal(DOORBELL.firstSignal, () => handed.push(`signal ${DOORBELL.firstSignal}`));
    const [channel, other] = connect(thread, testThread());
    channel.onMessage = (message) => handed.push(`message ${String((message as { type: string }).type)}`);
    channel.observer = (name) => told.push(`message ${name}`);
    loop.attach(channel);
    other.post({ type: 'one' });
    other.post({ type: 'two' });
    thread.bell.raise(DOORBELL.firstSignal);
    loop.timer('late', () => handed.push('timer late')).arm(2);
    loop.timer('early', () => handed.push('timer early')).arm(1);
    for (const name of ['first', 'second']) loop.bottomHalf(name, () => handed.push(`bottom half ${name}`)).schedule();
    const prng = new Prng(seed);
    clock.advanceTo(5);
    for (let count = 0; loop.nextDeadlineNs() <= clock.nowNs(); count++) {
      expect(handed.length).toBe(count);
      loop.step((bound) => prng.below(bound));
    }
    return { handed, told };
  }

  it('hands out one thing; others overtake it, of the same kind none does', () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const { handed, told } = steps(seed);
      expect(told).toEqual(handed);
      expect([...handed].sort()).toHaveLength(7);
      for (const [before, after] of [
        ['message one', 'message two'],
        ['timer early', 'timer late'],
        ['bottom half first', 'bottom half second'],
      ] as const) {
        expect(handed.indexOf(before)).toBeLessThan(handed.indexOf(after));
      }
      orders.add(handed.join());
    }
    expect(orders.size).toBeGreaterThan(50);
  });
});

describe('records of ordered kinds', () => {
  const ORDERED = ORDERED_KINDS_END - 1;
  const FREE = ORDERED_KINDS_END;

  /** A loop at the end of three channels, of which something comes at random; in what order it is handled. */
  function mixed(seed: number, turn: (loop: EventLoop, prng: Prng) => void, ticketsDrawn = 0) {
    const thread = testThread();
    const { buffer, byteOffset } = thread.words;
    // Where a doorbell counts them: to see them wrap, nobody draws two thousand million.
    new Int32Array(buffer, byteOffset + countsByteOffset(1))[DOORBELL_COUNTS.tickets] = ticketsDrawn;
    const loop = new EventLoop({ name: 'x', clock: new SimulatedClock(), seed: 1, workPerTurn: 3 });
    loop.doorbell = thread.doorbell;
    const ordered: number[] = [];
    const free: number[][] = [[], [], []];
    const answers: number[] = [];
    const senders = free.map((its) => {
      const asker = testThread();
      const [channel, other] = connect(thread, asker);
      // Some of them as requests, in places, of which there is one for all three.
      other.usePlaces();
      channel.onWords(ORDERED, (n, _1, _2, _3, token) => {
        ordered.push(n);
        if (token !== 0) channel.replyWords(token, 0, n);
      });
      channel.onWords(FREE, (n) => void its.push(n));
      loop.attach(channel);
      const hear = (): void => {
        asker.doorbell.begin();
        other.poll(8);
      };
      const ask = (n: number): boolean =>
        other.requestWords(ORDERED, n, 0, 0, 0, (_status, value) => answers.push(value));
      return {
        other,
        hear,
        send: (n: number) => ((n & 1) === 0 || !ask(n) ? other.postWords(ORDERED, n, 0, 0, 0) : true),
      };
    });
    const prng = new Prng(seed);
    const COUNT = 300;
    for (let n = 0; n < COUNT; ) {
      if (prng.below(3) > 0) expect(senders[prng.below(3)]?.send(n++)).toBe(true);
      if (prng.below(3) > 0) expect(senders[prng.below(3)]?.other.postWords(FREE, n, 0, 0, 0)).toBe(true);
      if (prng.below(8) === 0) turn(loop, prng);
      if (prng.below(4) === 0) senders[prng.below(3)]?.hear();
    }
    while (loop.nextDeadlineNs() <= 0) turn(loop, prng);
    for (const { hear } of senders) for (let n = 0; n < COUNT; n++) hear();
    expect(new Set(answers).size).toBe(answers.length);
    expect(answers.length).toBeGreaterThan(COUNT / 8);
    expect(ordered).toEqual(Array.from({ length: COUNT }, (_, n) => n));
    for (const its of free) expect(its).toEqual([...its].sort((a, b) => a - b));
  }

  const turns = {
    'in turns': (loop: EventLoop) => loop.turn(),
    'in steps': (loop: EventLoop, prng: Prng) => loop.step((bound) => prng.below(bound)),
  };
  it.each(Object.entries(turns))(
    'are handled in the order they were sent, from whichever channel, %s',
    (_how, turn) => {
      for (let seed = 0; seed < 20; seed++) mixed(seed, turn);
    },
  );

  it.each(Object.entries(turns))('keep it where the tickets wrap, %s', (_how, turn) => {
    mixed(1, turn, 2 ** 30 - 150);
    mixed(1, turn, 2 ** 31 - 150);
  });

  it('are handled all at once where something must not overtake them', () => {
    mixed(1, (loop) => {
      const settle = loop.bottomHalf('settle', () => loop.settleInbound());
      settle.schedule();
      loop.turn();
      expect(loop.inboundPending).toBe(false);
    });
  });

  it('are looked for again when one came while the others were looked at', () => {
    const { doorbell, bell: ring } = testThread();
    const loop = new EventLoop({ name: 'x', clock: new SimulatedClock(), seed: 1 });
    loop.doorbell = doorbell;
    const handled: number[] = [];
    const source = (tickets: number[], looked: () => void) => ({
      poll: () => handled.push(tickets.shift() ?? 0) > 1000,
      pollUnordered: () => 0,
      get ticket() {
        looked();
        return tickets[0] ?? 0;
      },
      pending: true,
    });
    const late: number[] = [];
    const early = [7];
    loop.attach(source(late, () => {}));
    let isFirst = true;
    const look = (): void => {
      if (isFirst) {
        late.push(5);
        ring.ring();
      }
      isFirst = false;
    };
    loop.attach(source(early, look));
    loop.turn();
    expect(handled).toEqual([5, 7]);
  });
});

describe('a simulated clock', () => {
  it('goes on while something lasts, and stays where that ended', () => {
    const clock = new SimulatedClock(1000n);
    clock.advanceTo(10);
    let since = 0;
    clock.pass(
      () => since,
      () => {
        expect(clock.nowNs()).toBe(10);
        since = 7;
        expect(clock.nowNs()).toBe(17);
        expect(clock.wallClockNs()).toBe(1017n);
        return 8;
      },
    );
    expect(clock.nowNs()).toBe(18);
    const fail = (): number => {
      since = 3;
      throw new Error('a bug');
    };
    expect(() => clock.pass(() => since, fail)).toThrow('a bug');
    expect(clock.nowNs()).toBe(18);
    clock.advanceTo(17);
    expect(clock.nowNs()).toBe(18);
  });
});

describe('a delivery log', () => {
  it('has a hash of all that was done, in order', () => {
    const hashOf = (
      ...rows: [step: number, timeNs: number, where: string, kind: 'timer' | 'message', name: string][]
    ) => {
      const log = new DeliveryLog();
      for (const row of rows) log.add(...row);
      expect(log.length).toBe(rows.length);
      return log.hash;
    };
    const hashes = [
      hashOf(),
      hashOf([1, 2, 'a', 'timer', 'x']),
      hashOf([2, 2, 'a', 'timer', 'x']),
      hashOf([1, 3, 'a', 'timer', 'x']),
      hashOf([1, 2, 'b', 'timer', 'x']),
      hashOf([1, 2, 'a', 'message', 'x']),
      hashOf([1, 2, 'a', 'timer', 'y']),
      hashOf([1, 2, 'a', 'timer', 'x'], [1, 2, 'a', 'timer', 'y']),
      hashOf([1, 2, 'a', 'timer', 'y'], [1, 2, 'a', 'timer', 'x']),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(hashOf([1, 2, 'a', 'timer', 'x'])).toBe(hashes[1]);
  });
});

describe('simulation', () => {
  /** Two loops that exchange messages over a real channel while timers run; what happened, in order. */
  function story(seed: number): string[] {
    const log: string[] = [];
    const simulation = new Simulation(seed);
    const threads = [testThread(), testThread()] as const;
    const channels = connect(...threads).map((channel, i) => {
      const loop = simulation.loop(`loop${i}`);
      loop.doorbell = threads[i as 0 | 1].doorbell;
      loop.attach(channel);
      channel.onMessage = (message) => {
        log.push(`${i} got ${String(message)} at ${loop.nowNs()}`);
        if ((message as number) < 20) channel.post((message as number) + 1);
      };
      loop.timer('tick', () => log.push(`${i} tick ${loop.random() & 15}`)).arm(5);
      loop.bottomHalf('start', () => log.push(`${i} starts`)).schedule();
      return channel;
    });
    channels[0]?.post(0);
    channels[1]?.post(0);
    simulation.run();
    return log;
  }

  it('replays the same run from the same seed, and another from another', () => {
    expect(story(1)).toEqual(story(1));
    const stories = new Set([1, 2, 3, 4, 5].map((seed) => story(seed).join()));
    expect(stories.size).toBeGreaterThan(3);
    for (const one of stories) expect(one.split(',').length).toBe(2 * 21 + 4);
  });
});
