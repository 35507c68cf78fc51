/** Answers at a thread's doorbell, as its loop hands them out. */
import { describe, expect, it } from 'vitest';
import { Channel, createChannel, ORDERED_KINDS_END } from '../../src/channel/channel.ts';
import { createDoorbell, DoorbellConsumer, DoorbellProducer } from '../../src/channel/doorbell.ts';
import { EventLoop, SimulatedClock } from '../../src/loop/index.ts';

describe('an answer at the doorbell', () => {
  it('waits for what was sent before it, and not for a flood from elsewhere', () => {
    const bell = createDoorbell(1);
    const loop = new EventLoop({ name: 'x', clock: new SimulatedClock(), seed: 1, workPerTurn: 4 });
    const doorbell = new DoorbellConsumer(bell);
    loop.doorbell = doorbell;
    const seen: string[] = [];
    const [server, flood] = ['server', 'flood'].map((name) => {
      const [near, far] = createChannel();
      const channel = new Channel(near, new DoorbellProducer(createDoorbell(1), null));
      channel.answersAt = doorbell;
      channel.onWords(ORDERED_KINDS_END - 1, () => void seen.push(name));
      loop.attach(channel);
      return { channel, other: new Channel(far, new DoorbellProducer(bell, null)) };
    });
    if (server === undefined || flood === undefined) throw new Error('two channels');
    const send = ({ other }: typeof server): boolean => other.postWords(ORDERED_KINDS_END - 1, 0, 0, 0, 0);
    server.other.onWords(40, (_0, _1, _2, _3, token) => {
      for (let n = 0; n < 3; n++) send(server);
      server.other.replyWords(token, 0, 1);
    });
    loop.turn();
    server.channel.requestWords(40, 0, 0, 0, 0, () => void seen.push('answer'));
    for (let n = 0; n < 20; n++) send(flood);
    server.other.poll(1);
    for (let turns = 0; turns < 10 && !seen.includes('answer'); turns++) {
      for (let n = 0; n < 16; n++) send(flood);
      loop.turn();
    }
    expect(seen.filter((name) => name === 'server')).toHaveLength(3);
    expect(seen.indexOf('answer')).toBeGreaterThan(seen.lastIndexOf('server'));
    expect(seen.indexOf('answer')).toBeLessThan(60);
    expect(loop.inboundPending).toBe(true);
  });
});

describe("an answer in a turn's place", () => {
  function asking() {
    const bell = createDoorbell(1);
    const loop = new EventLoop({ name: 'x', clock: new SimulatedClock(), seed: 1 });
    const doorbell = new DoorbellConsumer(bell);
    loop.doorbell = doorbell;
    const [near, far] = createChannel();
    const channel = new Channel(near, new DoorbellProducer(createDoorbell(1), null));
    channel.answersAt = doorbell;
    loop.attach(channel);
    const other = new Channel(far, new DoorbellProducer(bell, null));
    const seen: string[] = [];
    channel.onWords(40, () => void seen.push('words'));
    other.onWords(40, (_0, _1, _2, _3, token) => other.replyWords(token, 0, 1));
    doorbell.onSignal(4, () => void seen.push('signal'));
    loop.turn();
    const ask = () => {
      channel.requestWords(40, 0, 0, 0, 0, () => void seen.push('answer'));
      other.poll(1);
    };
    return { loop, ask, seen, other, producer: new DoorbellProducer(bell, null) };
  }

  it('is handed out where it is all that has come', () => {
    const { loop, ask, seen } = asking();
    let worked = false;
    loop.takeAnswer();
    expect(seen).toEqual([]);
    ask();
    loop.bottomHalf('work', () => (worked = true)).schedule();
    loop.takeAnswer();
    expect(seen).toEqual(['answer']);
    expect(worked).toBe(false);
    loop.turn();
    expect(seen).toEqual(['answer']);
    expect(worked).toBe(true);
  });

  it.each([
    ['a signal', ({ producer }: ReturnType<typeof asking>) => producer.raise(4), ['signal', 'answer']],
    ['words', ({ other }: ReturnType<typeof asking>) => other.postWords(40, 0, 0, 0, 0), ['words', 'answer']],
  ])('is left to the turn where %s came with it', (_what, send, order) => {
    const rig = asking();
    send(rig);
    rig.ask();
    rig.loop.takeAnswer();
    expect(rig.seen).toEqual([]);
    rig.loop.turn();
    expect(rig.seen).toEqual(order);
  });

  it('passes on what its taker throws, and is not taken from inside a turn', () => {
    const { loop, ask, seen } = asking();
    seen.push = () => {
      throw new Error('a bug');
    };
    ask();
    expect(() => loop.takeAnswer()).toThrow('a bug');
    loop.bottomHalf('nested', () => loop.takeAnswer()).schedule();
    expect(() => loop.turn()).toThrow(/from inside a turn/);
  });
});
