/** The threads of a machine as loops of one simulation, joined by real channels: every order that threads could take. */
import { Link } from '../../src/actor/index.ts';
import type { Channel } from '../../src/channel/channel.ts';
import { Thread, wireThreads } from '../../src/channel/threads.ts';
import { attachThread, type EventLoop, Simulation } from '../../src/loop/index.ts';

export interface SimThread {
  readonly loop: EventLoop;
  readonly thread: Thread;
  channel(peer: string): Channel;
  link(peer: string): Link;
}

export function simThreads<N extends string>(seed: number, names: readonly N[]) {
  const simulation = new Simulation(seed);
  const wiring = wireThreads(names.map((name) => ({ name, kind: 'parking' })));
  const make = (name: N): SimThread => {
    const loop = simulation.loop(name);
    const thread = new Thread(wiring.get(name) as never);
    attachThread(loop, thread);
    const links = new Map(thread.peers.map((peer) => [peer, new Link(peer, thread.channel(peer))]));
    return { loop, thread, channel: (peer) => thread.channel(peer), link: (peer) => links.get(peer) as Link };
  };
  const threads = Object.fromEntries(names.map((name) => [name, make(name)])) as Record<N, SimThread>;
  return { simulation, threads };
}
