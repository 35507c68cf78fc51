/** Threads that share a topology, and windows that know where they lie and whether anybody may still reach them. */
import {
  ACCESS_OK,
  type AccessSize,
  MUST_ASK,
  MUST_WAIT,
  type RegisterWindow,
  WindowServer,
} from '../../src/actor/index.ts';
import type { PlacedWindow } from '../../src/bus/topology.ts';
import type { ParticipantRole } from '../../src/bus/topology-message.ts';
import { TopologyOwner } from '../../src/bus/topology-owner.ts';
import { TopologyParticipant } from '../../src/bus/topology-participant.ts';
import type { TopologyLayout } from '../../src/bus/topology-placement.ts';
import { type AddressViews, firstViews } from '../../src/bus/topology-views.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import { simThreads } from '../support/sim-threads.ts';

export const APERTURE = { name: 'pci', base: 0x4000_0000, lengthBytes: 0x1_0000, openBus: true };
const PORTS = { name: 'pio', base: 0, lengthBytes: 0x1000, openBus: false };
const RAM = { name: 'ram', base: 0x8000_0000, lengthBytes: 0x1000_0000 };
export const ROM = { name: 'rom', base: 0x4000_8000, lengthBytes: 0x1000 };

export const LAYOUT: TopologyLayout = {
  memory: { fixed: [RAM, ROM], apertures: [APERTURE] },
  io: { fixed: [], apertures: [PORTS] },
};

/** Registers that hold their own address and take nothing else; `removed` ones must not be reached. */
export class Probe implements RegisterWindow {
  readonly lengthBytes: number;
  readonly base: number;
  readonly #later: { readonly loop: LoopPort; readonly reads: boolean } | null;
  readonly writeAsync?: NonNullable<RegisterWindow['writeAsync']>;
  removed = false;
  accesses = 0;
  wrong: string[] = [];

  /** @param later whether reads (and writes) are answered in a later bottom half */
  constructor(base: number, lengthBytes: number, later: { loop: LoopPort; reads: boolean } | null = null) {
    this.base = base;
    this.lengthBytes = lengthBytes;
    this.#later = later;
    if (later !== null) {
      this.writeAsync = (offset, value, _size, done) => {
        this.#take(offset, value);
        later.loop.bottomHalf('answer', () => done(ACCESS_OK)).schedule();
        return true;
      };
    }
  }

  read(offset: number): number {
    if (this.#later?.reads === true) return MUST_WAIT;
    this.#reached();
    return this.base + offset;
  }

  write(offset: number, value: number): number {
    if (this.writeAsync !== undefined) return MUST_ASK;
    this.#take(offset, value);
    return ACCESS_OK;
  }

  readAsync(offset: number, _size: AccessSize, done: (result: number) => void): boolean {
    this.#reached();
    const later = this.#later;
    if (later === null) done(this.base + offset);
    else later.loop.bottomHalf('answer', () => done(this.base + offset)).schedule();
    return true;
  }

  #take(offset: number, value: number): void {
    this.#reached();
    if (value !== this.base + offset) this.wrong.push(`${value.toString(16)} at ${(this.base + offset).toString(16)}`);
  }

  #reached(): void {
    this.accesses += 1;
    if (this.removed) this.wrong.push('reached after it was removed');
  }
}

export const placed = (name: string, window: RegisterWindow & { readonly base: number }): PlacedWindow => {
  return { name, space: 'memory', base: window.base, lengthBytes: window.lengthBytes, window };
};

const PARTICIPANTS = { vcpu0: 'cpu', vcpu1: 'cpu', io0: 'dma' } as const satisfies Record<string, ParticipantRole>;

/** Three threads that follow the topology of the main loop. `onSwap` sees each version as it is put in place. */
export function topologyBench(
  seed: number,
  onSwap: (thread: string, views: AddressViews, flush: boolean) => void = () => {},
) {
  const { simulation, threads } = simThreads(seed, ['main', 'vcpu0', 'vcpu1', 'io0']);
  const rom = { ...ROM, kind: 'rom', window: memoryWindow(new Uint8Array(ROM.lengthBytes).fill(0x5a), false) } as const;
  const names = Object.keys(PARTICIPANTS) as (keyof typeof PARTICIPANTS)[];
  const servers = names.map((name) => new WindowServer(threads.main.channel(name)));
  const owner = new TopologyOwner({
    loop: threads.main.loop,
    layout: LAYOUT,
    views: firstViews([rom]),
    firstWindowId: 10,
    participants: names.map((name, index) => ({
      link: threads.main.link(name),
      server: servers[index] as WindowServer,
      role: PARTICIPANTS[name],
    })),
  });
  const participants = Object.fromEntries(
    names.map((name) => {
      const participant = new TopologyParticipant({
        link: threads[name].link('main'),
        channel: threads[name].channel('main'),
        role: PARTICIPANTS[name],
        views: firstViews([rom]),
        swap: (views, flush) => onSwap(name, views, flush),
      });
      return [name, participant];
    }),
  ) as Record<keyof typeof PARTICIPANTS, TopologyParticipant>;
  const faultedWrites = () => servers.reduce((sum, server) => sum + server.faultedWrites, 0);
  return { simulation, threads, owner, participants, names, faultedWrites };
}
