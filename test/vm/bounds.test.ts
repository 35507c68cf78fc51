/** What stands between threads is bounded: at the bound it is refused or kept, and goes on when there is room. */
import { describe, expect, it, vi } from 'vitest';
import { FarHartTimer, FarWire } from '../../actors/board/hart-wires.ts';
import { HartPeers } from '../../actors/cpu/hart-peers.ts';
import { Outbox } from '../../actors/cpu/outbox.ts';
import { RelayedConsole, serveRelayedConsole } from '../../actors/cpu/relayed-console.ts';
import { WORDS } from '../../actors/cpu/words.ts';
import { Link, type LinkMessage } from '../../src/actor/index.ts';
import { connect, testThread } from '../support/channels.ts';

const FILLER = 200;

function pair(credits = 8) {
  const [a, b] = connect(testThread(), testThread(), { capacityBytes: 16_384, credits });
  b.onWords(FILLER, () => {});
  const fill = (): void => {
    while (a.postWords(FILLER, 0, 0, 0, 0));
  };
  /** b takes everything, and a hears of it. */
  const drain = (): void => {
    while (b.poll(256));
    while (a.poll(256));
  };
  return { a, b, fill, drain };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('a full ring', () => {
  it('keeps the messages of an outbox, in order', () => {
    const { a, b, fill, drain } = pair();
    const outbox = new Outbox<LinkMessage & { n: number }>(new Link('b', a));
    const seen: number[] = [];
    new Link('a', b).on<LinkMessage & { n: number }>('n', ({ n }) => void seen.push(n));
    fill();
    for (const n of range(100)) outbox.post({ type: 'n', n });
    expect(outbox.empty).toBe(false);
    for (let turn = 0; turn < 10; turn++) drain();
    expect(seen).toEqual(range(100));
    expect(outbox.empty).toBe(true);
  });

  it('lets a wire tell its last level alone, and a comparator its last value', () => {
    const { a, b, fill, drain } = pair();
    const wire = new FarWire(a, WORDS.hartWire, 9);
    const timer = new FarHartTimer(a, new FarWire(a, WORDS.hartWire, 3));
    const [levels, times]: [number[], number[]] = [[], []];
    b.onWords(WORDS.hartWire, (bit, level) => void levels.push(bit * 10 + level));
    b.onWords(WORDS.timecmp, (lo) => void times.push(lo));
    fill();
    for (const n of range(1001)) {
      wire.set(n % 2 === 0);
      timer.setTimecmp(n, 0);
    }
    drain();
    drain();
    expect(levels).toEqual([91]);
    expect(times).toEqual([1000]);
  });

  it('delays remote fences, each of which is answered', () => {
    const { a, b, fill, drain } = pair();
    const peers = new HartPeers();
    peers.add(1, a, testThread().bell);
    let fences = 0;
    b.onWords(WORDS.remoteFence, (_0, _1, _2, _3, token) => {
      fences++;
      b.replyWords(token, 0, 0);
    });
    fill();
    const done = vi.fn();
    const fence = { kind: 'address', harts: [1], start: 0n, lengthBytes: null, asid: 0 } as const;
    peers.fence(fence, done);
    expect(done).not.toHaveBeenCalled();
    for (let turn = 0; turn < 3; turn++) drain();
    expect(done).toHaveBeenCalledTimes(1);
    expect(fences).toBe(1);
  });
});

describe('without a credit', () => {
  it('remote fences wait for one', () => {
    const { a, b, drain } = pair(2);
    const peers = new HartPeers();
    peers.add(1, a, testThread().bell);
    const tokens: number[] = [];
    b.onWords(WORDS.remoteFence, (_0, _1, _2, _3, token) => void tokens.push(token));
    const done = vi.fn();
    for (const _ of range(5)) {
      peers.fence({ kind: 'instruction', harts: [1], start: 0n, lengthBytes: null, asid: 0 }, done);
    }
    for (let answered = 0; answered < 5; answered++) {
      drain();
      b.replyWords(tokens[answered] as number, 0, 0);
      drain();
    }
    expect(done).toHaveBeenCalledTimes(5);
    expect(a.credits).toBe(2);
  });

  it('the relayed console refuses bytes, and loses none', () => {
    const { a, b, drain } = pair(1);
    const near = new RelayedConsole(a);
    const seen: number[] = [];
    let room = 0;
    const port = {
      write: (byte: number) => room > 0 && seen.push(byte) > 0,
      writeMany: (bytes: Uint8Array) => {
        const taken = bytes.subarray(0, room);
        seen.push(...taken);
        return taken.length;
      },
      read: () => -1,
      flush: () => {},
    };
    serveRelayedConsole(b, port as never);
    let sent = 0;
    for (let turn = 0; turn < 400; turn++) {
      room = turn % 4;
      while (sent < 256 && near.write(sent)) sent++;
      near.read();
      drain();
    }
    expect(seen).toEqual(range(256));
  });
});
