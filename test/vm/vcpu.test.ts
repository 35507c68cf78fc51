/** The vCPU actor on a loop of the test's own: what fails in a slice, and what a stopped actor's runner does. */
import { describe, expect, it } from 'vitest';
import { HartPeers } from '../../actors/cpu/hart-peers.ts';
import { createVcpu, type Vcpu } from '../../actors/cpu/vcpu.ts';
import { type AnyActorRef, BUS_FAULT, createActor, MUST_WAIT, type RegisterWindow } from '../../src/actor/index.ts';
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

/** Reads the device again and again, and counts that in RAM; or counts the faults there instead. */
const READS = `
  la t0, fault
  csrw mtvec, t0
  li s0, ${DEVICE}
  li s1, RAM + 0x1000
again:
  lw t0, 0(s0)
  ld t0, 0(s1)
  addi t0, t0, 1
  sd t0, 0(s1)
  j again
.balign 4
fault:
  ld t0, 8(s1)
  addi t0, t0, 1
  sd t0, 8(s1)
  j again
`;

interface Rig {
  readonly vcpu: Vcpu;
  readonly actor: AnyActorRef;
  readonly errors: unknown[];
  /** Of the counters in RAM. */
  count(index?: number): bigint;
  room(): void;
}

const viewOf = (window: RegisterWindow): FlatView =>
  new FlatView(createAddressSpace([{ name: 'device', base: DEVICE, lengthBytes: 4096, kind: 'mmio', window }]));

/** A vCPU about to execute STORES, or another program, with one register window. */
async function rig(write: RegisterWindow['write'], source = STORES, far: Partial<RegisterWindow> = {}): Promise<Rig> {
  const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });
  const memory = createMemory(layout);
  const ram = new Uint8Array(memory.buffer, layout.ram, RAM_BYTES);
  ram.set(program(source));
  const window: RegisterWindow = { lengthBytes: 4096, read: () => 0, write, readAsync: () => false, ...far };
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
    firstView: () => viewOf(window),
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
    count: (index = 0) => new DataView(memory.buffer, layout.ram + 0x1000).getBigUint64(8 * index, true),
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

  it('takes the fault of a read through a view that came later, and reads anew where one came meanwhile', async () => {
    const asked: ((value: number) => void)[] = [];
    const far: RegisterWindow = {
      lengthBytes: 4096,
      read: () => MUST_WAIT,
      write: () => 0,
      readAsync: (_offset, _size, done) => asked.push(done) > 0,
    };
    const { vcpu, count } = await rig(() => 0, READS, far);
    const answer = (value: number): void => {
      slices(vcpu);
      expect(asked).toHaveLength(1);
      asked.pop()?.(value);
      slices(vcpu);
    };
    answer(5);
    expect([count(), count(1)]).toEqual([1n, 0n]);
    answer(BUS_FAULT);
    expect([count(), count(1)]).toEqual([1n, 1n]);
    for (let views = 0; views < 2; views++) {
      // The read under way goes through the view of before: its registers may have gone.
      vcpu.runner.setView(viewOf(far), true);
      answer(BUS_FAULT);
      expect([count(), count(1)]).toEqual([BigInt(1 + views), BigInt(1 + views)]);
      answer(6);
      answer(BUS_FAULT);
      expect([count(), count(1)]).toEqual([BigInt(2 + views), BigInt(2 + views)]);
    }
  });
});
