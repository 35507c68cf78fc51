/** Requests and answers in the places at a doorbell, beside and among the records of the rings. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type Channel, REPLY_ABORTED } from '../../src/channel/channel.ts';
import type { ChannelOptions } from '../../src/channel/channel-end.ts';
import type { DoorbellConsumer } from '../../src/channel/doorbell.ts';
import { PLACE_COUNTS_END, PLACE_MESSAGE_BYTES } from '../../src/channel/places.ts';
import { DOORBELL, DOORBELL_PLACE } from '../../src/memory/doorbell-words.ts';
import { connect, type TestThread, testThread } from '../support/channels.ts';

/** Takes all that has come. */
function turn(channel: Channel, doorbell: DoorbellConsumer): void {
  doorbell.begin();
  channel.poll(64);
}

/** The bits of a doorbell's state. */
const stateOf = ({ words }: TestThread): number => new Int32Array(words.buffer, words.byteOffset, 1)[0] ?? 0;

/** Requests of `a` to `b`; what `b` was asked, and what `a` has heard. */
function asking(options: Partial<ChannelOptions> = {}) {
  const [one, other] = [testThread(), testThread()];
  const [a, b] = connect(one, other, options);
  const [atA, atB] = [one.doorbell, other.doorbell];
  a.usePlaces();
  atA.begin();
  atB.begin();
  const tokens: number[] = [];
  const heard: unknown[] = [];
  b.onWords(20, (_0, _1, _2, _3, token) => void tokens.push(token));
  b.onMessage = (_message, token) => void tokens.push(token);
  a.onWords(20, (n) => void heard.push(n));
  a.onMessage = (message) => void heard.push(message);
  const ask = (name: string) =>
    a.requestWords(20, 0, 0, 0, 0, (status, value) => void heard.push([name, status, value]));
  const say = (message: unknown) => a.request(message, (reply, error) => void heard.push(error ?? reply));
  return { one, other, a, b, atA, atB, tokens, heard, ask, say, hear: () => turn(a, atA), serve: () => turn(b, atB) };
}

describe('a request and its answer', () => {
  it('take no room in a ring, and wake the threads', () => {
    const { one, other, a, b, atA, atB, tokens, heard, ask, hear, serve } = asking();
    expect([a.pending, b.pending]).toEqual([false, false]);
    expect([atA.park(), atB.park()]).toEqual([true, true]);
    ask('one');
    expect(stateOf(other)).toBe(DOORBELL.request | DOORBELL.parked);
    expect(b.pending).toBe(false);
    serve();
    b.replyWords(tokens[0] ?? 0, 3, -5);
    expect(stateOf(one)).toBe(DOORBELL.answer | DOORBELL.parked);
    expect(a.pending).toBe(false);
    expect(heard).toEqual([]);
    hear();
    expect(heard).toEqual([['one', 3, -5]]);
    hear();
    expect(heard).toHaveLength(1);
    expect(a.credits).toBe(32);
  });

  it('have their whole values', () => {
    const { a, b, hear, serve } = asking();
    const words = [-1, 2 ** 31 - 1, -(2 ** 31), 7] as const;
    const got: number[] = [];
    b.onWords(40, (w0, w1, w2, w3, token) => {
      got.push(w0, w1, w2, w3);
      b.replyWords(token, -2, -(2 ** 31));
    });
    const done = vi.fn();
    a.requestWords(40, ...words, done);
    serve();
    hear();
    expect(got).toEqual(words);
    expect(done).toHaveBeenCalledWith(-2, -(2 ** 31));
  });

  it('may be short messages; of one that is longer a ring takes the next', () => {
    const { one, other, b, tokens, heard, say, hear, serve } = asking();
    const short = 'x'.repeat(PLACE_MESSAGE_BYTES - 5);
    const states: number[][] = [];
    const trip = (message: string): void => {
      expect(say(message)).toBe(true);
      const asked = stateOf(other);
      serve();
      b.reply(tokens.pop() ?? 0, message);
      states.push([asked, stateOf(one)]);
      hear();
      expect(heard.pop()).toBe(message);
    };
    const [placed, rung] = [
      [DOORBELL.request, DOORBELL.answer],
      [DOORBELL.data, DOORBELL.data],
    ];
    for (const message of [short, `${short}x`, `${short}x`, short, short]) trip(message);
    expect(states).toEqual([placed, rung, rung, rung, placed]);
  });

  it('refuse what cannot be encoded, and have their places back', () => {
    const { one, other, a, b, tokens, heard, say, hear, serve } = asking();
    expect(() => say(() => {})).toThrow(TypeError);
    expect(say('x')).toBe(true);
    expect(stateOf(other)).toBe(DOORBELL.request);
    serve();
    b.reply(tokens.pop() ?? 0, () => {});
    hear();
    expect(heard).toMatchObject([{ name: 'TypeError' }]);
    // The error was long, so the answer behind it is in the ring, the next one in the place again.
    for (const bit of [DOORBELL.data, DOORBELL.answer]) {
      say('y');
      expect(stateOf(other)).toBe(DOORBELL.request);
      serve();
      b.reply(tokens.pop() ?? 0, 'z');
      expect(stateOf(one)).toBe(bit);
      hear();
    }
    expect(heard.slice(1)).toEqual(['z', 'z']);
    expect(a.credits).toBe(32);
  });

  it('are one at a time: the others come through the rings', () => {
    const { b, tokens, heard, ask, hear, serve } = asking();
    for (const name of ['one', 'two', 'three']) ask(name);
    serve();
    b.replyWords(tokens[1] ?? 0, 0, 2);
    b.replyWords(tokens[0] ?? 0, 0, 1);
    hear();
    expect(heard).toEqual([
      ['two', 0, 2],
      ['one', 0, 1],
    ]);
    // The places are free again, also for one that comes while another has none.
    ask('four');
    serve();
    b.replyWords(tokens[3] ?? 0, 0, 4);
    b.replyWords(tokens[2] ?? 0, 0, 3);
    hear();
    expect(heard.slice(2)).toEqual([
      ['four', 0, 4],
      ['three', 0, 3],
    ]);
  });

  it('of one thread keep those of others in the rings, until it has been answered', () => {
    const server = testThread();
    server.doorbell.begin();
    const askers = [1, 2].map((value) => {
      const thread = testThread();
      const [channel, end] = connect(thread, server);
      channel.usePlaces();
      end.onWords(20, (_0, _1, _2, _3, token) => end.replyWords(token, 0, value));
      const answered = vi.fn();
      return {
        ask: () => channel.requestWords(20, 0, 0, 0, 0, answered),
        end,
        answered,
        hear: () => turn(channel, thread.doorbell),
      };
    });
    for (const [early, late] of [askers, askers.toReversed()]) {
      early?.ask();
      expect(stateOf(server)).toBe(DOORBELL.request);
      late?.ask();
      expect(stateOf(server)).toBe(DOORBELL.request | DOORBELL.data);
      server.doorbell.begin();
      for (const { end } of askers) end.poll(8);
      for (const { hear } of askers) hear();
    }
    expect(askers.map(({ answered }) => answered.mock.calls)).toEqual(
      [1, 2].map((value) => [
        [0, value],
        [0, value],
      ]),
    );
  });

  it('of an end that has gone are none, and one that is late tells nobody', () => {
    const { a, b, atA, tokens, heard, ask, hear, serve } = asking();
    ask('one');
    serve();
    a.close();
    expect(heard).toEqual([['one', REPLY_ABORTED, 0]]);
    b.replyWords(tokens[0] ?? 0, 0, 1);
    hear();
    expect(heard).toHaveLength(1);
    expect(atA.findPlaced()).toBe(null);
  });

  it('that comes to an end which has gone is nothing', () => {
    const { b, atB, ask, tokens } = asking();
    b.close();
    ask('one');
    atB.begin();
    expect(atB.findPlaced()).toBe(null);
    expect(b.pending).toBe(false);
    expect(tokens).toEqual([]);
  });

  it('give a credit back: who was refused for want of one is told', () => {
    const { a, b, tokens, ask, hear, serve } = asking({ credits: 1 });
    const space = vi.fn();
    a.onSpace(space);
    expect(ask('one')).toBe(true);
    expect(ask('two')).toBe(false);
    serve();
    b.replyWords(tokens[0] ?? 0, 0, 1);
    hear();
    expect(space).toHaveBeenCalledTimes(1);
    expect(ask('two')).toBe(true);
  });

  it('have their places back where a request found neither place nor room', () => {
    const { other, a, b, tokens, heard, ask, hear, serve } = asking();
    b.onWords(21, () => {});
    expect(ask('one')).toBe(true);
    while (a.postWords(21, 0, 0, 0, 0));
    expect(ask('two')).toBe(false);
    serve();
    b.replyWords(tokens[0] ?? 0, 0, 1);
    for (let n = 0; n < 64; n++) serve();
    hear();
    expect(ask('three')).toBe(true);
    expect(stateOf(other)).toBe(DOORBELL.request);
    serve();
    b.replyWords(tokens[1] ?? 0, 0, 3);
    hear();
    expect(heard).toEqual([
      ['one', 0, 1],
      ['three', 0, 3],
    ]);
  });

  it('find their places after more records than a header can count', () => {
    const { other, b, tokens, heard, ask, hear, serve } = asking();
    for (let n = 0; n < PLACE_COUNTS_END + 10; n++) {
      expect(ask('x')).toBe(true);
      if (stateOf(other) !== DOORBELL.request) expect(n).toBe('in its place');
      serve();
      b.replyWords(tokens.pop() ?? 0, 0, n);
      hear();
      expect(heard.pop()).toEqual(['x', 0, n]);
    }
  });

  it('lie in rings where more records can lie than a header can count', () => {
    const { other, ask } = asking({ capacityBytes: 2 ** 20 });
    ask('one');
    expect(stateOf(other)).toBe(DOORBELL.data);
  });
});

describe('the order of what one thread sends another', () => {
  it('is kept where an answer lies between records of a ring', () => {
    const { b, tokens, heard, ask, a, atA, hear, serve } = asking();
    ask('one');
    serve();
    b.postWords(20, 1, 0, 0, 0);
    b.postWords(20, 2, 0, 0, 0);
    b.replyWords(tokens[0] ?? 0, 0, 9);
    b.postWords(20, 3, 0, 0, 0);
    atA.begin();
    atA.takeSignals();
    a.poll(1);
    expect(heard).toEqual([1]);
    hear();
    expect(heard).toEqual([1, 2, ['one', 0, 9], 3]);
  });

  const ACTIONS = [
    'words',
    'message',
    'long',
    'ask words',
    'ask message',
    'ask long',
    'answer',
    'look',
    'poll',
  ] as const;
  /** How often a record was found in a place. */
  const reached = { request: 0, answer: 0 };

  /** Both ends send what they like, in places and in rings, and look now and then, at some of it. */
  function exchange(steps: readonly { end: 0 | 1; action: (typeof ACTIONS)[number] }[]): void {
    const threads = [testThread(), testThread()] as const;
    const channels = connect(...threads, { capacityBytes: 16_384, credits: 8 });
    const sent: unknown[][] = [[], []];
    const got: unknown[][] = [[], []];
    const owed: (() => void)[][] = [[], []];
    let numbers = 0;
    for (const end of [0, 1] as const) {
      const channel = channels[end];
      channel.usePlaces();
      const take = (what: unknown, token: number, answer: unknown, send: () => void): void => {
        got[end]?.push(what);
        if (token === 0) return;
        owed[end]?.push(() => {
          sent[end]?.push(answer);
          send();
        });
      };
      channel.onWords(20, (n, _1, _2, _3, token) => take(n, token, -n, () => channel.replyWords(token, 0, -n)));
      channel.onMessage = (message, token) => take(message, token, message, () => channel.reply(token, message));
    }
    const look = (end: 0 | 1): void => {
      const state = stateOf(threads[end]);
      if ((state & DOORBELL.request) !== 0) reached.request++;
      if ((state & DOORBELL.answer) !== 0) reached.answer++;
      threads[end].doorbell.begin();
    };
    const does = (end: 0 | 1, action: (typeof ACTIONS)[number]): void => {
      const channel = channels[end];
      const n = ++numbers;
      const message = action.endsWith('long') ? [n, 'x'.repeat(100)] : [n];
      const send = (isSent: boolean, what: unknown): void => {
        if (isSent) sent[end]?.push(what);
      };
      if (action === 'words') send(channel.postWords(20, n, 0, 0, 0), n);
      else if (action === 'message' || action === 'long') send(channel.post(message), message);
      else if (action === 'ask words')
        send(
          channel.requestWords(20, n, 0, 0, 0, (_status, value) => got[end]?.push(value)),
          n,
        );
      else if (action.startsWith('ask'))
        send(
          channel.request(message, (reply) => got[end]?.push(reply)),
          message,
        );
      else if (action === 'answer') owed[end]?.shift()?.();
      else if (action === 'look') look(end);
      else channel.poll(1 + (n & 3));
    };
    for (const { end, action } of steps) does(end, action);
    for (let round = 0; round < 400; round++) {
      for (const end of [0, 1] as const) {
        look(end);
        channels[end].poll(8);
        owed[end]?.shift()?.();
      }
    }
    for (const end of [0, 1] as const) {
      expect(got[1 - end]).toEqual(sent[end]);
      expect(channels[end].credits).toBe(8);
      expect(threads[end].doorbell.findPlaced()).toBe(null);
    }
  }

  it('is kept by both ends, whatever lies where', () => {
    const step = fc.record({ end: fc.constantFrom(0 as const, 1 as const), action: fc.constantFrom(...ACTIONS) });
    fc.assert(fc.property(fc.array(step, { minLength: 20, maxLength: 200 }), exchange), { numRuns: 300 });
    expect(Math.min(reached.request, reached.answer)).toBeGreaterThan(300);
  });

  it('is kept wherever the other one looks meanwhile', () => {
    for (let at = 0, steps = 1; at < steps; at++) {
      const [one, other] = [testThread(), testThread()];
      const [a, b] = connect(one, other);
      a.usePlaces();
      const got: unknown[] = [];
      b.onMessage = (message) => void got.push(message);
      b.onWords(20, (n) => void got.push(n));
      const serve = (): void => turn(b, other.doorbell);
      let count = 0;
      const spies = (['load', 'store', 'add', 'or', 'exchange', 'compareExchange'] as const).map((name) => {
        const operation = Atomics[name] as (...operands: unknown[]) => unknown;
        return vi.spyOn(Atomics, name).mockImplementation(((...operands: unknown[]) => {
          // What it does itself is counted, and not interrupted.
          if (count++ === at) serve();
          return operation(...operands);
        }) as never);
      });
      a.postWords(20, 1, 0, 0, 0);
      a.request('two', () => {});
      a.postWords(20, 3, 0, 0, 0);
      for (const spy of spies) spy.mockRestore();
      steps = Math.max(steps, count);
      serve();
      expect(steps).toBeGreaterThan(4);
      expect(got).toEqual([1, 'two', 3]);
    }
  });
});

describe('a doorbell', () => {
  it('does not know every sender', () => {
    const { words, doorbell, bell } = testThread();
    doorbell.begin();
    bell.putRequest(0, new Int32Array(5), 1000);
    expect(new Int32Array(words.buffer, words.byteOffset)[DOORBELL_PLACE.sender]).toBe(1000);
    doorbell.begin();
    expect(() => doorbell.findPlaced()).toThrow('there is no sender 1000');
  });
});
