/** The vCPU actor on a loop of the test's own: what fails in a slice, and what a stopped actor's runner does. */
import { describe, expect, it } from 'vitest';
import { HartPeers } from '../../actors/cpu/hart-peers.ts';
import { createVcpu, type Vcpu } from '../../actors/cpu/vcpu.ts';
import { type AnyActorRef, createActor, MUST_WAIT, type RegisterWindow } from '../../src/actor/index.ts';
import { createAddressSpace } from '../../src/bus/address-space.ts';
import { FlatView } from '../../src/bus/flat-view.ts';
import { ARENA } from '../../src/hart/state.ts';
import { Simulation } from '../../src/loop/index.ts';
import { createMemory, layOutMemory } from '../../src/memory/layout.ts';
import { loadHartModules } from '../../src/vm-modules.ts';
import { program, RAM_BASE } from '../support/machines.ts';

const DEVICE = 0x1000_0000;
const RAM_BYTES = 4 * 2 ** 20;
/** Stores to the device, then counts in RAM. */
const STORES = `
  li s0, ${DEVICE}
  li t0, 7
  sw t0, 0(s0)
  li s0, RAM + 0x1000
again:
  ld t0, 0(s0)
  addi t0, t0, 1
  sd t0, 0(s0)
  j again
`;

interface Rig {
  readonly vcpu: Vcpu;
  readonly actor: AnyActorRef;
  readonly errors: unknown[];
  count(): bigint;
  room(): void;
}

/** A vCPU about to execute STORES, with one register window. */
async function rig(write: RegisterWindow['write']): Promise<Rig> {
  const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });
  const memory = createMemory(layout);
  const ram = new Uint8Array(memory.buffer, layout.ram, RAM_BYTES);
  ram.set(program(STORES));
  const window: RegisterWindow = { lengthBytes: 4096, read: () => 0, write, readAsync: () => false };
  const rooms: (() => void)[] = [];
  const vcpu = createVcpu({
    loop: new Simulation(1).loop('vcpu'),
    sharesCores: false,
    hart: {
      memory,
      modules: await loadHartModules(),
      arena: layout.arenas[0] ?? 0,
      doorbell: layout.doorbells[0] ?? 0,
      ram: { base: RAM_BASE, host: layout.ram, lengthBytes: RAM_BYTES },
      hartId: 0,
      sbi: false,
    },
    sbi: {
      ram: { base: RAM_BASE, bytes: ram },
      written: () => {},
      peers: new HartPeers(),
      harts: 1,
      systemReset: () => {},
      consoleWrite: () => 0,
      consoleRead: () => null,
    },
    log: null,
    firstView: () =>
      new FlatView(createAddressSpace([{ name: 'device', base: DEVICE, lengthBytes: 4096, kind: 'mmio', window }])),
    startOf: (pc, a1) => ({ mode: 'M', pcGpa: Number(pc), a1, a2: 0n }),
    paused: () => {},
    writeLog: () => {},
    onSpace: (handler) => void rooms.push(handler),
  });
  const actor = createActor(vcpu.logic) as AnyActorRef;
  const errors: unknown[] = [];
  actor.subscribe({ error: (error) => void errors.push(error) });
  actor.start();
  actor.send({ type: 'vcpu.start', pc: BigInt(RAM_BASE), argument: 0n });
  return {
    vcpu,
    actor,
    errors,
    count: () => new DataView(memory.buffer, layout.ram + 0x1000).getBigUint64(0, true),
    room: () => {
      for (const handler of rooms) handler();
    },
  };
}

function slices(vcpu: Vcpu, count = 5): void {
  for (let i = 0; i < count; i++) vcpu.runner.slice();
}

describe('a vCPU', () => {
  it('that throws in a slice fails with the cause, and does nothing any more', async () => {
    const cause = new Error('our own bug');
    const { vcpu, actor, errors, count } = await rig(() => {
      throw cause;
    });
    expect(vcpu.runner.runnable).toBe(true);
    slices(vcpu);
    expect(errors).toEqual([cause]);
    expect(actor.getSnapshot().status).toBe('error');
    expect(vcpu.runner.runnable).toBe(false);
    slices(vcpu);
    vcpu.runner.setInterruptLine(3, true);
    vcpu.runner.halt();
    expect(count()).toBe(0n);
  });

  it('whose actor has stopped does nothing any more', async () => {
    const { vcpu, actor, count } = await rig(() => 0);
    slices(vcpu);
    const before = count();
    expect(before).toBeGreaterThan(0n);
    actor.stop();
    expect(vcpu.runner.runnable).toBe(false);
    slices(vcpu);
    vcpu.timer.setSoftwareInterrupt(true);
    expect(count()).toBe(before);
  });

  it('waits for room without being runnable, and then makes its access again', async () => {
    let full = true;
    const taken: number[] = [];
    const { vcpu, count, room } = await rig((_offset, value) => {
      if (full) return MUST_WAIT;
      taken.push(value);
      return 0;
    });
    slices(vcpu, 1);
    expect(vcpu.runner.runnable).toBe(false);
    room();
    expect(vcpu.runner.runnable).toBe(true);
    slices(vcpu, 1);
    expect(vcpu.runner.runnable).toBe(false);
    full = false;
    room();
    slices(vcpu);
    expect(taken).toEqual([7]);
    expect(count()).toBeGreaterThan(0n);
  });
});
