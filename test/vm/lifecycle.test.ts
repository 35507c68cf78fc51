/** Starting, pausing, resetting and stopping a machine, whatever it is doing. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ARENA, HART_STATE_BYTES } from '../../src/hart/state.ts';
import type { RunState, Vm } from '../../src/index.ts';
import { layOutMemory } from '../../src/memory/layout.ts';
import { bare, program, RAM_BASE, sleep, within } from '../support/machines.ts';

/** Says that the program has begun, 6 KiB into RAM. */
const BEGIN = `
  li t0, RAM + 0x1800
  li t1, 1
  sd t1, 0(t0)
`;
/** Counts, and notes the time, 4 KiB into RAM. */
const COUNTER = `${BEGIN}
  li s0, RAM + 0x1000
again:
  ld t0, 0(s0)
  addi t0, t0, 1
  sd t0, 0(s0)
  rdtime t1
  sd t1, 8(s0)
  j again
`;
const IN_WFI = `${BEGIN}\nagain: wfi\nj again`;
/** Every load is a trip to the main loop. */
const IN_ACCESS = `${BEGIN}
  li s0, RTC
again:
  lw t0, 0(s0)
  j again
`;
const WRITING = IN_ACCESS.replace('lw t0, 0(s0)', 'sw zero, 0x10(s0)');
const TRAPPING = `${BEGIN}\ncsrw mtvec, zero\necall`;

const SITUATIONS = [
  ['computing', COUNTER],
  ['in WFI', IN_WFI],
  ['waiting for accesses', IN_ACCESS],
  ['writing faster than it can be taken', WRITING],
  ['looping in traps', TRAPPING],
] as const;

const TICKS_PER_MS = 10_000;

function counter(vm: Vm): { count: bigint; time: bigint } {
  const view = new DataView(vm.memory.read(RAM_BASE + 0x1000, 16).buffer);
  return { count: view.getBigUint64(0, true), time: view.getBigUint64(8, true) };
}

async function started(source: string): Promise<Vm> {
  const vm = await bare(source);
  vm.start();
  await begun(vm);
  return vm;
}

async function begun(vm: Vm): Promise<void> {
  await vi.waitFor(() => expect(vm.memory.read(RAM_BASE + 0x1800, 1)[0]).toBe(1), { timeout: 5000, interval: 5 });
}

async function counts(vm: Vm): Promise<boolean> {
  const before = counter(vm).count;
  await sleep(30);
  return counter(vm).count > before;
}

describe('pause', () => {
  it('stops instructions and time; resume goes on with both', async () => {
    const vm = await started(COUNTER);
    expect(await counts(vm)).toBe(true);
    await vm.pause();
    expect(vm.state).toBe('paused');
    const before = counter(vm);
    await sleep(300);
    expect(counter(vm)).toEqual(before);
    vm.resume();
    await vi.waitFor(() => expect(counter(vm).count).toBeGreaterThan(before.count), { interval: 1 });
    const after = counter(vm);
    expect(after.count).toBeGreaterThan(before.count);
    expect(Number(after.time - before.time)).toBeGreaterThan(0);
    expect(Number(after.time - before.time)).toBeLessThan(250 * TICKS_PER_MS);
  });

  it('that a resume overtakes settles, and the machine runs', async () => {
    const vm = await started(COUNTER);
    const paused = vm.pause();
    vm.resume();
    await within(10_000, 'the pause', paused);
    expect(vm.state).toBe('running');
    expect(await counts(vm)).toBe(true);
    const again = vm.pause();
    vm.reset();
    await within(10_000, 'the pause', again);
    expect(vm.state).toBe('paused');
    expect(counter(vm).count).toBe(0n);
  });

  it('resolves where nothing runs anyway', async () => {
    const vm = await bare(COUNTER);
    await within(10_000, 'pause before start', vm.pause());
    vm.start();
    await vm.pause();
    await within(10_000, 'a second pause', vm.pause());
    expect(vm.state).toBe('paused');
  });

  it('lets code be exchanged', async () => {
    const vm = await started(COUNTER);
    await vm.pause();
    vm.memory.write(RAM_BASE, program(COUNTER.replace('addi t0, t0, 1', 'addi t0, zero, 7')));
    vm.resume();
    await vi.waitFor(() => expect(counter(vm).count).toBe(7n), { interval: 1 });
  });

  it.each(SITUATIONS)('and resume, many times, %s', async (_what, source) => {
    const vm = await started(source);
    for (let i = 0; i < 20; i++) {
      await within(10_000, 'pause', vm.pause());
      vm.resume();
      if (i % 4 === 0) await sleep(2);
    }
    expect(vm.state).toBe('running');
  });
});

describe('reset', () => {
  it('of a running machine runs from the beginning', async () => {
    const vm = await started(COUNTER);
    vm.memory.write(RAM_BASE + 0x2000, new Uint8Array([1, 2, 3]));
    vm.reset();
    await vi.waitFor(() => expect(vm.state).toBe('running'), { timeout: 10_000, interval: 1 });
    await begun(vm);
    expect(await counts(vm)).toBe(true);
    expect(vm.memory.read(RAM_BASE + 0x2000, 3)).toEqual(new Uint8Array(3));
  });

  it('of a paused machine leaves it paused', async () => {
    const vm = await started(COUNTER);
    await vm.pause();
    vm.reset();
    await sleep(30);
    expect(vm.state).toBe('paused');
    expect(counter(vm).count).toBe(0n);
    vm.resume();
    await begun(vm);
    expect(await counts(vm)).toBe(true);
  });

  it('of a machine that has shut down lets it run once more', async () => {
    const vm = await bare('li t0, TEST\nli t1, 0x5555\nsw t1, 0(t0)\nwait: j wait');
    vm.start();
    await within(10_000, 'the end', vm.finished);
    const states: RunState[] = [];
    vm.states.subscribe((state) => states.push(state));
    vm.reset();
    vm.resume();
    await vi.waitFor(() => expect(vm.state).toBe('shutdown'));
    expect(states).toContain('running');
  });

  it.each(SITUATIONS)('many times, %s', async (_what, source) => {
    const vm = await started(source);
    for (let i = 0; i < 10; i++) {
      vm.reset();
      await sleep(5);
    }
    await vi.waitFor(() => expect(vm.state).toBe('running'), { timeout: 10_000 });
    await within(10_000, 'pause', vm.pause());
  });
});

describe('states', () => {
  it('are told in order', async () => {
    const vm = await bare(COUNTER);
    const states: RunState[] = [];
    vm.states.subscribe((state) => states.push(state));
    expect(vm.state).toBe('prelaunch');
    vm.start();
    await vm.pause();
    vm.resume();
    await vm.stop();
    expect(states).toEqual(['running', 'stopping', 'paused', 'running', 'stopped']);
  });
});

describe('stop', () => {
  /** Handles of threads and their ports; timers come and go. */
  const handles = () => process.getActiveResourcesInfo().filter((name) => /Port|Worker/i.test(name)).length;

  it.each(SITUATIONS)('leaves no thread, %s', async (_what, source) => {
    const before = handles();
    const vm = await started(source);
    expect(handles()).toBeGreaterThan(before);
    await within(10_000, 'stop', vm.stop());
    await within(10_000, 'a second stop', vm.stop());
    await vi.waitFor(() => expect(handles()).toBe(before));
    expect(vm.state).toBe('stopped');
    await expect(vm.finished).rejects.toThrow('stopped');
    await expect(vm.pause()).rejects.toThrow('stopped');
    await expect(vm.console.expect('anything')).rejects.toThrow('stopped');
    vm.start();
    vm.reset();
    expect(vm.state).toBe('stopped');
  });

  it('before start, and while paused', async () => {
    const before = handles();
    const fresh = await bare(COUNTER);
    await within(10_000, 'stop', fresh.stop());
    const paused = await started(COUNTER);
    await paused.pause();
    await within(10_000, 'stop', paused.stop());
    await vi.waitFor(() => expect(handles()).toBe(before));
  });

  it('lets the process end', async () => {
    const script = `(async () => {
      const { createVm } = await import('bottomhalf');
      const vm = await createVm({ ramBytes: 4194304, bios: 'none', kernel: new Uint8Array([0x6f, 0, 0, 0]) });
      vm.start();
      await vm.pause();
      vm.resume();
      await vm.stop();
    })()`;
    await promisify(execFile)(process.execPath, ['-e', script], { timeout: 10_000 });
  });
});

describe('a vCPU thread that fails', () => {
  afterEach(() => vi.restoreAllMocks());

  /** A machine, with the memory that holds its hart's state. */
  async function exposed(source: string): Promise<{ vm: Vm; arena: Uint8Array }> {
    const Memory = WebAssembly.Memory;
    const made: WebAssembly.Memory[] = [];
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(function make(descriptor) {
      const memory = new Memory(descriptor);
      made.push(memory);
      return memory;
    });
    const vm = await bare(source);
    const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: 16 * 2 ** 20 });
    const [memory] = made;
    return { vm, arena: new Uint8Array((memory as WebAssembly.Memory).buffer, layout.arenas[0], HART_STATE_BYTES) };
  }

  it('fails the machine with the cause, and nobody waits', async () => {
    const { vm, arena } = await exposed(COUNTER);
    vm.start();
    await begun(vm);
    const typed = expect(vm.console.expect('never')).rejects.toThrow();
    // As a bug of ours might: the hart's own state is overwritten with nonsense.
    arena.fill(0xff);
    await expect(within(5000, 'the failure', vm.finished)).rejects.toThrow(
      /RuntimeError|memory access|unaligned|bounds/,
    );
    await typed;
    expect(vm.state).toBe('internal-error');
    await expect(vm.pause()).rejects.toThrow(/RuntimeError|memory access|unaligned|bounds/);
    vm.reset();
    vm.resume();
    expect(vm.state).toBe('internal-error');
    await within(10_000, 'stop', vm.stop());
    expect(vm.state).toBe('stopped');
  });

  it('before it was started fails as well', async () => {
    const vm = await bare(COUNTER, { log: { items: null as never } });
    await expect(within(5000, 'the failure', vm.finished)).rejects.toThrow();
    expect(vm.state).toBe('internal-error');
    vm.start();
    await within(10_000, 'stop', vm.stop());
  });
});

describe('guest memory', () => {
  it('is read and written by guest-physical address, within RAM only', async () => {
    const vm = await bare(COUNTER);
    const end = RAM_BASE + 16 * 2 ** 20;
    vm.memory.write(end - 4, new Uint8Array([1, 2, 3, 4]));
    expect(vm.memory.read(end - 4, 4)).toEqual(new Uint8Array([1, 2, 3, 4]));
    expect(vm.memory.read(end, 0)).toHaveLength(0);
    for (const [gpa, length] of [
      [end - 3, 4],
      [RAM_BASE - 1, 2],
      [0, 1],
      [RAM_BASE, -1],
      [RAM_BASE + 0.5, 1],
      [Number.NaN, 1],
      [RAM_BASE, 2 ** 40],
    ] as const) {
      expect(() => vm.memory.read(gpa, length)).toThrow(RangeError);
    }
    expect(() => vm.memory.write(end - 3, new Uint8Array(4))).toThrow(RangeError);
  });
});
