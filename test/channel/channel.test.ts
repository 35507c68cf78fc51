import { describe, expect, it, vi } from 'vitest';
import { REPLY_ABORTED } from '../../src/channel/channel.ts';
import type { ChannelOptions } from '../../src/channel/channel-end.ts';
import { createDoorbell, DoorbellConsumer, DoorbellProducer } from '../../src/channel/doorbell.ts';
import { DOORBELL, doorbellLengthBytes } from '../../src/memory/doorbell-words.ts';
import { connect, testThread } from '../support/channels.ts';

function pair(options: Partial<ChannelOptions> = {}) {
  const [one, other] = [testThread(), testThread()];
  const [a, b] = connect(one, other, options);
  return { a, b, atA: one.doorbell, atB: other.doorbell };
}

/** Runs `one`, and `other` before its atomic operation of this number. @returns how many operations `one` has made */
function interrupted(one: () => void, step: number, other: () => void): number {
  let steps = 0;
  const spies = (['load', 'store', 'add', 'or', 'exchange'] as const).map((name) => {
    const operation = Atomics[name] as (...operands: unknown[]) => unknown;
    return vi.spyOn(Atomics, name).mockImplementation(((...operands: unknown[]) => {
      if (steps++ === step) other();
      return operation(...operands);
    }) as never);
  });
  one();
  for (const spy of spies) spy.mockRestore();
  if (steps <= step && Number.isFinite(step)) other();
  return steps;
}

describe('channel', () => {
  it('delivers messages and words in order and rings the other side', () => {
    const { a, b, atB } = pair();
    atB.begin();
    const seen: unknown[] = [];
    b.onMessage = (message, token) => seen.push([message, token]);
    b.onWords(20, (...words) => seen.push(words));
    expect(a.post({ type: 'hello' })).toBe(true);
    expect(a.postWords(20, 1, 2, 3, -4)).toBe(true);
    expect(atB.rung()).toBe(true);
    expect(b.poll(1)).toBe(true);
    expect(b.poll(8)).toBe(false);
    expect(seen).toEqual([
      [{ type: 'hello' }, 0],
      [1, 2, 3, -4, 0],
    ]);
  });

  it('takes no second reply to a request', () => {
    const { a, b } = pair();
    const tokens: number[] = [];
    b.onMessage = (_message, token) => tokens.push(token);
    b.onWords(16, (_0, _1, _2, _3, token) => tokens.push(token));
    const done = vi.fn();
    a.request('one', done);
    a.requestWords(16, 0, 0, 0, 0, done);
    b.poll(8);
    for (const send of [() => b.reply(tokens[0] ?? 0, 1), () => b.replyWords(tokens[1] ?? 0, 0, 2)]) {
      send();
      a.poll(8);
      send();
      expect(() => a.poll(8)).toThrow(/reply answers a/);
    }
    expect(done.mock.calls).toEqual([
      [1, null],
      [0, 2],
    ]);
    expect(a.credits).toBe(32);
  });

  it('answers requests, in any order', () => {
    const { a, b } = pair();
    const tokens: number[] = [];
    b.onMessage = (_message, token) => tokens.push(token);
    b.onWords(16, (_0, _1, _2, _3, token) => tokens.push(token));
    const one = vi.fn();
    const two = vi.fn();
    a.request('one', one);
    a.requestWords(16, 0, 0, 0, 0, two);
    b.poll(8);
    b.replyWords(tokens[1] as number, 0, 42);
    b.reply(tokens[0] as number, { answer: 1 });
    a.poll(8);
    expect(two).toHaveBeenCalledWith(0, 42);
    expect(one).toHaveBeenCalledWith({ answer: 1 }, null);
  });

  it('has room for every promised reply even when messages have filled the ring', () => {
    const { a, b } = pair({ capacityBytes: 16_384, credits: 8 });
    const tokens: number[] = [];
    b.onMessage = (_message, token) => tokens.push(token);
    const done = vi.fn();
    let asked = 0;
    while (a.request({ n: asked }, done)) asked++;
    expect(asked).toBe(8);
    expect(a.credits).toBe(0);
    b.poll(100);
    while (b.post('x'.repeat(61)));
    for (const token of tokens) b.reply(token, 'y'.repeat(490));
    a.onMessage = () => {};
    while (a.poll(100));
    expect(done).toHaveBeenCalledTimes(8);
    expect(a.credits).toBe(8);
  });

  it('turns a reply that is too long into an error of the request', () => {
    const { a, b } = pair();
    b.onMessage = (_message, token) => b.reply(token, 'x'.repeat(10_000));
    const done = vi.fn();
    a.request('big', done);
    b.poll(1);
    a.poll(1);
    expect(done.mock.calls[0]?.[1]).toMatchObject({ name: 'MessageTooLargeError' });
  });

  it('says when there is room again', () => {
    const { a, b, atA } = pair();
    b.onWords(16, () => {});
    const onSpace = vi.fn();
    a.onSpace(onSpace);
    while (a.postWords(16, 0, 0, 0, 0));
    atA.begin();
    b.poll(1);
    expect(atA.rung()).toBe(true);
    a.poll(1);
    expect(onSpace).toHaveBeenCalledTimes(1);
    expect(a.postWords(16, 0, 0, 0, 0)).toBe(true);
  });

  it('says when there is a credit again, which no ring but that of a reply tells', () => {
    const { a, b } = pair({ credits: 1 });
    const tokens: number[] = [];
    b.onWords(16, (_0, _1, _2, _3, token) => tokens.push(token));
    const done = vi.fn();
    const onSpace = vi.fn(() => expect(a.requestWords(16, 0, 0, 0, 0, done)).toBe(true));
    a.onSpace(onSpace);
    expect(a.requestWords(16, 0, 0, 0, 0, done)).toBe(true);
    expect(a.requestWords(16, 0, 0, 0, 0, done)).toBe(false);
    b.poll(8);
    a.poll(8);
    expect(onSpace).not.toHaveBeenCalled();
    b.replyWords(tokens[0] as number, 0, 0);
    a.poll(8);
    expect(done).toHaveBeenCalledTimes(1);
    expect(onSpace).toHaveBeenCalledTimes(1);
    b.poll(8);
    expect(tokens).toHaveLength(2);
  });

  it('answers everything outstanding when it is closed', () => {
    const { a } = pair();
    const one = vi.fn();
    const two = vi.fn();
    a.request('one', one);
    a.requestWords(16, 0, 0, 0, 0, two);
    a.close({ name: 'WorkerExit', message: 'gone' });
    expect(one).toHaveBeenCalledWith(undefined, { name: 'WorkerExit', message: 'gone' });
    expect(two).toHaveBeenCalledWith(REPLY_ABORTED, 0);
    expect(a.post('late')).toBe(false);
    expect(a.request('late', one)).toBe(false);
  });
});

describe('signals', () => {
  it('are idempotent while pending, each with its handler', () => {
    const words = createDoorbell(2);
    const bell = new DoorbellProducer(words, null);
    const consumer = new DoorbellConsumer(words);
    const seen: number[] = [];
    for (const signal of [DOORBELL.firstSignal, 31, 32, 63]) consumer.onSignal(signal, (n) => seen.push(n));
    for (const signal of [63, 31, 31, 32, DOORBELL.firstSignal, 63]) bell.raise(signal);
    expect(consumer.begin()).toBe(true);
    expect(consumer.hasSignals).toBe(true);
    expect(consumer.takeSignals()).toBe(4);
    expect(seen).toEqual([DOORBELL.firstSignal, 31, 32, 63]);
    expect(consumer.hasSignals).toBe(false);
    expect(consumer.takeSignals()).toBe(0);
  });

  it('are told apart from data that was published', () => {
    const words = createDoorbell(2);
    const bell = new DoorbellProducer(words, null);
    const consumer = new DoorbellConsumer(words);
    consumer.begin();
    consumer.takeSignals();
    bell.raise(5);
    expect(consumer.begin()).toBe(false);
    bell.ring();
    expect(consumer.begin()).toBe(true);
    // What one look has found is there until somebody takes it.
    expect(consumer.takeSignals()).toBe(1);
  });

  it.each([0, DOORBELL.firstSignal - 1, 64])('there is no signal %d', (signal) => {
    const words = createDoorbell(2);
    expect(() => new DoorbellProducer(words, null).raise(signal)).toThrow(`signal ${signal}`);
    expect(() => new DoorbellConsumer(words).onSignal(signal, () => {})).toThrow(`signal ${signal}`);
  });

  it('may lie anywhere in a shared memory, where other code can poll the state', () => {
    const words = { buffer: new SharedArrayBuffer(64 + doorbellLengthBytes(1)), byteOffset: 64, signalWords: 1 };
    const state = new Int32Array(words.buffer, words.byteOffset, 1);
    const consumer = new DoorbellConsumer(words);
    consumer.begin();
    expect(state[0]).toBe(0);
    new DoorbellProducer(words, null).raise(DOORBELL.firstSignal);
    expect(state[0]).toBe(1 << DOORBELL.firstSignal);
    expect(new Int32Array(words.buffer, 0, 16).every((word) => word === 0)).toBe(true);
    consumer.begin();
    expect(state[0]).toBe(0);
  });

  it('say the same to compiled code as to the loop, wherever a ring and a look meet', () => {
    const words = createDoorbell(2);
    const state = new Int32Array(words.buffer, words.byteOffset, 1);
    const bell = new DoorbellProducer(words, null);
    const consumer = new DoorbellConsumer(words);
    let taken = 0;
    // One behind the state, which takes two steps.
    const ring = (): void => bell.raise(40);
    const look = (): void => {
      consumer.begin();
      taken += consumer.takeSignals();
    };
    for (const [one, other] of [
      [ring, look],
      [look, ring],
    ] as const) {
      look();
      const steps = interrupted(one, Number.POSITIVE_INFINITY, other);
      expect(steps).toBeGreaterThanOrEqual(one === ring ? 2 : 1);
      for (let step = 0; step <= steps; step++) {
        look();
        taken = 0;
        interrupted(one, step, other);
        expect(consumer.rung()).toBe(state[0] !== 0);
        if (consumer.rung()) look();
        expect(taken).toBe(1);
        expect(state[0]).toBe(0);
      }
    }
  });

  it('keep a consumer awake that had looked before', () => {
    const words = createDoorbell(1);
    const bell = new DoorbellProducer(words, null);
    const consumer = new DoorbellConsumer(words);
    consumer.begin();
    expect(consumer.park()).toBe(true);
    consumer.unpark();
    bell.raise(DOORBELL.firstSignal);
    expect(consumer.park()).toBe(false);
    expect(consumer.wait(Float64Array.of(1e12))).toBe(true);
  });

  it('post one wake-up for each sleep of a libuv consumer', () => {
    const words = createDoorbell(1);
    const postMessage = vi.fn();
    const bells = [new DoorbellProducer(words, { postMessage }), new DoorbellProducer(words, { postMessage })];
    const consumer = new DoorbellConsumer(words);
    consumer.begin();
    for (const bell of bells) bell.ring();
    expect(postMessage).toHaveBeenCalledTimes(0);
    for (let sleep = 1; sleep <= 3; sleep++) {
      consumer.begin();
      expect(consumer.park()).toBe(true);
      for (const bell of bells) bell.ring();
      expect(postMessage).toHaveBeenCalledTimes(sleep);
      consumer.unpark();
    }
  });
});
