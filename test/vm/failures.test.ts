/** What fails in any thread of a machine: the machine fails with the cause, where it was and what came before it. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defineDevice } from '../../src/actor/device-core.ts';
import { ARENA, HART_STATE_BYTES } from '../../src/hart/state.ts';
import type { Vm } from '../../src/index.ts';
import { layOutMemory } from '../../src/memory/layout.ts';
import { bareHarts, RESULTS_GPA, reaches } from '../support/harts.ts';
import { within } from '../support/machines.ts';

const HARTS = 4;
const RAM_BYTES = 16 * 2 ** 20;
const DEVICE = 0x400_0000;
const LATE_MS = 30_000;

/** Every hart says that it is there; hart 1 then stores to the device, the others count. */
const PROGRAM = (store: string) => `
  slli t0, a0, 3
  li t1, ${RESULTS_GPA}
  add s0, t0, t1
  li t1, 1
  sd t1, 0(s0)
  li t2, 1
  bne a0, t2, count
  ${store}
count:
  ld t1, 128(s0)
  addi t1, t1, 1
  sd t1, 128(s0)
  rdtime t2
  j count
`;

interface Failure extends Error {
  readonly where?: readonly string[];
  readonly last?: readonly string[];
}

async function failure(vm: Vm): Promise<Failure> {
  return within(
    LATE_MS,
    'the failure',
    vm.finished.then(
      () => expect.fail('it ended well'),
      (error) => error,
    ),
  );
}

/** Nobody waits, nothing goes on, and the threads end. */
async function isOver(vm: Vm): Promise<void> {
  expect(vm.state).toBe('internal-error');
  await expect(within(LATE_MS, 'a pause', vm.pause())).rejects.toThrow();
  await within(LATE_MS, 'stop', vm.stop());
  expect(vm.state).toBe('stopped');
}

afterEach(() => vi.restoreAllMocks());

describe('what fails in one of four threads', () => {
  it.each([0, 1, 3])('the core of vCPU %d', async (hart) => {
    const Memory = WebAssembly.Memory;
    const made: WebAssembly.Memory[] = [];
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(function make(descriptor) {
      const memory = new Memory(descriptor);
      made.push(memory);
      return memory;
    });
    const vm = await bareHarts(HARTS, PROGRAM(''), { ramBytes: RAM_BYTES });
    await reaches(vm, [1, 1, 1, 1]);
    const waiting = expect(vm.console.expect('never')).rejects.toThrow();
    const layout = layOutMemory({ vcpus: HARTS, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });
    // As a bug of ours might: the hart's own state is overwritten with nonsense.
    new Uint8Array((made[0] as WebAssembly.Memory).buffer, layout.arenas[hart], HART_STATE_BYTES).fill(0xff);
    const { where, last, message } = await failure(vm);
    expect(message).toMatch(/memory access|unaligned|bounds|unreachable/);
    expect(where).toEqual([`vcpu${hart}/cpu${hart}`]);
    expect(last?.length).toBeGreaterThan(0);
    expect(last?.join('\n')).toMatch(new RegExp(`^vcpu${hart} [\\d.]+ ms: event vcpu\\.(start|resume)$`, 'm'));
    await waiting;
    await isOver(vm);
  });

  it("a caller's device that another hart stores to", async () => {
    const definition = defineDevice<object, undefined, object>({
      name: 'thrower',
      version: 1,
      lengthBytes: 4096,
      create: () => ({
        mmioWrite: () => {
          throw new Error('the device broke');
        },
        reset: () => {},
        view: () => ({}),
        save: () => ({}),
        load: () => {},
      }),
    });
    const vm = await bareHarts(HARTS, PROGRAM(`li t3, ${DEVICE}\n sw t1, 0(t3)`), {
      devices: [{ name: 'thrower', definition, config: undefined, ports: {}, base: DEVICE } as never],
    });
    const { message, last } = await failure(vm);
    expect(message).toBe('the device broke');
    // A words record of vCPU 1: the store.
    expect(last?.join('\n')).toMatch(/^main [\d.]+ ms: words vcpu1 17$/m);
    await isOver(vm);
  });
});
