import { afterEach, describe, expect, it } from 'vitest';
import { MAX_KEPT, MAX_UNSEEN, ServiceClient, serve } from '../../src/channel/service.ts';
import { Thread, wireServer, wireThreads } from '../../src/channel/threads.ts';
import { sleep } from '../support/machines.ts';

type Squares = ServiceClient<number, number, string>;

const open: Thread[] = [];
afterEach(() => {
  for (const thread of open.splice(0)) thread.close();
});

/** A service that squares numbers, and tells the others of it. */
function squares(count: number): readonly Squares[] {
  const names = Array.from({ length: count }, (_, i) => `client ${i}`);
  const wirings = wireThreads(names.map((name) => ({ name, kind: 'parking' as const })));
  const { server, clients } = wireServer('squares', [...wirings.values()]);
  const serving = new Thread(server);
  serve<number, number, string>(
    serving,
    (n) => n * n,
    (n, square) => `${n}: ${square}`,
  );
  const threads = clients.map((wiring) => new Thread(wiring));
  open.push(serving, ...threads);
  return threads.map(
    (thread) => ServiceClient.of<number, number, string>(thread, 'squares') ?? expect.fail('no such service'),
  );
}

function take<T>(next: () => T | null): T[] {
  const taken: T[] = [];
  for (let one = next(); one !== null; one = next()) taken.push(one);
  return taken;
}

const told = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${from + i}: ${(from + i) ** 2}`);

describe('a service', () => {
  it('answers each client in its order, and only when it is asked', async () => {
    const [one, two] = squares(2);
    expect(ServiceClient.of(open[1] as Thread, 'cubes')).toBeNull();
    for (const n of [2, 3]) one?.request(n);
    two?.request(5);
    expect(one?.take()).toBeNull();
    await sleep(50);
    expect([one?.take(), one?.take(), one?.take(), two?.take()]).toEqual([4, 9, null, 25]);
  });

  it('tells all the others what it has answered, beside their own answers', async () => {
    const [one, two, three] = squares(3) as [Squares, Squares, Squares];
    one.request(2);
    await sleep(50);
    two.request(3);
    await sleep(50);
    expect(take(() => one.takeNews())).toEqual(told(3, 4));
    expect(take(() => one.take())).toEqual([4]);
    expect(take(() => two.take())).toEqual([9]);
    expect(take(() => two.takeNews())).toEqual(told(2, 3));
    expect(take(() => three.takeNews())).toEqual(told(2, 4));
    expect(three.take()).toBeNull();
  });

  it('sends one that does not look a few news only, and the rest when it does', async () => {
    const [asking, sleeping] = squares(2) as [Squares, Squares];
    const count = 3 * MAX_UNSEEN;
    for (let n = 0; n < count; n++) asking.request(n);
    await sleep(50);
    expect(take(() => sleeping.takeNews())).toEqual(told(0, MAX_UNSEEN));
    const later: string[] = [];
    while (later.length < count - MAX_UNSEEN) {
      await sleep(10);
      later.push(...take(() => sleeping.takeNews()));
    }
    expect(later).toEqual(told(MAX_UNSEEN, count));
  });

  it('forgets the oldest news for one that never looked', async () => {
    const [asking, sleeping] = squares(2) as [Squares, Squares];
    const count = MAX_UNSEEN + MAX_KEPT + 40;
    for (let n = 0; n < count; n++) asking.request(n);
    await sleep(100);
    expect(take(() => asking.take())).toHaveLength(count);
    const news: string[] = [];
    while (news.at(-1) !== told(count - 1, count)[0]) {
      news.push(...take(() => sleeping.takeNews()));
      await sleep(10);
    }
    expect(news).toEqual([...told(0, MAX_UNSEEN), ...told(count - MAX_KEPT, count)]);
  });
});
