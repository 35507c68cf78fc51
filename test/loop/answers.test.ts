/** Answers at a thread's doorbell, as its loop hands them out. */
import { describe, expect, it } from 'vitest';
import { ORDERED_KINDS_END } from '../../src/channel/channel.ts';
import { EventLoop, SimulatedClock } from '../../src/loop/index.ts';
import { connect, testThread } from '../support/channels.ts';

describe('an answer at the doorbell', () => {
  it('waits for what was sent before it, and not for a flood from elsewhere', () => {
    const thread = testThread();
    const loop = new EventLoop({ name: 'x', clock: new SimulatedClock(), seed: 1, workPerTurn: 4 });
    loop.doorbell = thread.doorbell;
    const seen: string[] = [];
    const [server, flood] = ['server', 'flood'].map((name) => {
      const peer = testThread();
      const [channel, other] = connect(thread, peer);
      channel.usePlaces();
      channel.onWords(ORDERED_KINDS_END - 1, () => void seen.push(name));
      loop.attach(channel);
      const serve = (): void => {
        peer.doorbell.begin();
        other.poll(1);
      };
      return { channel, other, serve };
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
    server.serve();
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
    const [thread, peer] = [testThread(), testThread()];
    const { doorbell } = thread;
    const loop = new EventLoop({ name: 'x', clock: new SimulatedClock(), seed: 1 });
    loop.doorbell = doorbell;
    const [channel, other] = connect(thread, peer);
    channel.usePlaces();
    loop.attach(channel);
    const seen: string[] = [];
    channel.onWords(40, () => void seen.push('words'));
    other.onWords(40, (_0, _1, _2, _3, token) => other.replyWords(token, 0, 1));
    doorbell.onSignal(8, () => void seen.push('signal'));
    loop.turn();
    const ask = () => {
      channel.requestWords(40, 0, 0, 0, 0, () => void seen.push('answer'));
      peer.doorbell.begin();
      other.poll(1);
    };
    return { loop, ask, seen, other, producer: thread.bell };
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
    ['a signal', ({ producer }: ReturnType<typeof asking>) => producer.raise(8), ['signal', 'answer']],
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
