/** A whole machine under the deterministic scheduler: the same run from the same seed, and the life of any machine. */
import { describe, expect, it } from 'vitest';
import { SimulatedPlacement } from '../../actors/board/simulated-placement.ts';
import { virtTable } from '../../actors/board/virt-table.ts';
import type { VirtVcpuParameters } from '../../actors/board/virt-vcpu.ts';
import { defineDevice } from '../../actors/devices.ts';
import { type ThreadWiring, wireThreads } from '../../src/channel/threads.ts';
import { ConfigError, createVm, type Vm } from '../../src/index.ts';
import { Simulation } from '../../src/loop/index.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';
import { bare, RAM_BASE, sleep, within } from '../support/machines.ts';
import { BUSY, COUNTING, FINISH, runOf, runToEnd, simulated, traceOf } from './support.ts';

const counts = (vm: Vm): bigint[] => {
  const view = new DataView(vm.memory.read(RAM_BASE + 0x2000, 16).buffer);
  return [view.getBigUint64(0, true), view.getBigUint64(8, true)];
};

describe('a run', () => {
  it.each([1, 2, 0xffff_ffff])('with seed %i is the same each time', async (seed) => {
    const first = await runToEnd(BUSY, { seed });
    expect(first.end).toEqual({ kind: 'poweroff', code: 0 });
    expect([...first.printed].sort().join('')).toBe('a'.repeat(20) + 'b'.repeat(20));
    expect(await runToEnd(BUSY, { seed })).toEqual(first);
  });

  it('is another with another seed', async () => {
    const SEEDS = 8;
    const traces = [];
    for (let seed = 1; seed <= SEEDS; seed++) traces.push(await runToEnd(BUSY, { seed }));
    expect(new Set(traces.map((trace) => JSON.stringify(trace))).size).toBe(SEEDS);
    expect(new Set(traces.map(({ printed }) => printed)).size).toBeGreaterThan(1);
  });

  it('does not depend on where one stops to look', async () => {
    const whole = await simulated(BUSY, { seed: 5 });
    const parts = await simulated(BUSY, { seed: 5 });
    const run = runOf(parts);
    const first = run.runUntil({ steps: 1 });
    whole.start();
    parts.start();
    expect(await first).toBe('reached');
    for (let steps = 2; steps < 200; steps += 7) {
      expect(await run.runUntil({ steps })).toBe('reached');
      expect(run.steps).toBe(steps);
      await sleep(0);
      expect(run.steps).toBe(steps);
    }
    // To where nothing is left to do.
    expect(await run.runUntil({})).toBe('idle');
    expect(await runOf(whole).runUntil({})).toBe('idle');
    expect(whole.state).toBe('shutdown');
    expect(traceOf(parts)).toEqual(traceOf(whole));
  });

  it('gives a hart that spins for long less and less to do, but not one that wants a lock', async () => {
    /** Instructions in a tenth of a second, most of which the hart has given way. */
    const executed = async (spin: string): Promise<number> => {
      const vm = await simulated(spin, { seed: 1, harts: 1 });
      const run = runOf(vm);
      const reached = run.runUntil({ timeNs: 100_000_000 });
      vm.start();
      expect(await reached).toBe('reached');
      await vm.stop();
      return run.instructions[0] ?? Number.NaN;
    };
    // 64 pauses and jumps each time: parks of 20 us, 40 us, and so on, and 75 of a millisecond.
    const pauses = (await executed('loop: pause\nj loop')) / 128;
    expect(pauses).toBeGreaterThan(15 + 50 + 70);
    expect(pauses).toBeLessThan(15 + 50 + 80);
    const locks = (await executed('li s0, RAM + 0x100000\nloop: lr.w t0, (s0)\nwrs.nto\nj loop')) / 3;
    expect(locks).toBeGreaterThan(4_000);
    expect(locks).toBeLessThan(5_050);
  });

  it('stands at instructions, at a time, and where there is nothing to do', async () => {
    const vm = await simulated(COUNTING, { seed: 1 });
    const run = runOf(vm);
    const reached = run.runUntil({ instructions: 1_000_000 });
    vm.start();
    expect(await reached).toBe('reached');
    const sum = run.instructions.reduce((a, b) => a + b, 0);
    expect(sum).toBeGreaterThanOrEqual(1_000_000);
    expect(sum).toBeLessThan(1_100_000);
    expect(await run.runUntil({ timeNs: 20_000_000 })).toBe('reached');
    expect(run.timeNs).toBeGreaterThanOrEqual(20_000_000);
    expect(run.timeNs).toBeLessThan(21_000_000);
    vm.actor.send({ type: 'machine.pause' });
    expect(await run.runUntil({ timeNs: 1e12 })).toBe('idle');
    expect(vm.state).toBe('paused');
  });

  it('has time that goes on within a slice, the same for all harts, and jumps while all wait', async () => {
    // One hart's time is never before what the other has read before it; and a second of WFI takes none of ours.
    const source = `
      csrr t0, mhartid
      la s0, last
      bnez t0, reader
      li s1, 2000
    check:
      ld t0, 0(s0)
      rdtime t1
      bltu t1, t0, wrong
      addi s1, s1, -1
      bnez s1, check
      rdtime t0
      rdtime t1
      beq t0, t1, check2
    check2:
      li t1, 10000000
      add t0, t0, t1
      li t1, CLINT + 0x4000
      sd t0, 0(t1)
      li t0, 0x80
      csrw mie, t0
      wfi
      li t2, 0x5555
      j tell
    wrong:
      li t2, 0x13333
    tell:
      ${FINISH}
    reader:
      li s1, 2000
    write:
      rdtime t0
      sd t0, 0(s0)
      addi s1, s1, -1
      bnez s1, write
      j stand
    .align 3
    last: .dword 0
    `;
    const vm = await simulated(source, { seed: 3 });
    vm.start();
    expect(await within(10_000, 'the end', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
    expect(runOf(vm).timeNs).toBeGreaterThan(1e9);
    expect(runOf(vm).instructions.every((count) => count < 1_000_000)).toBe(true);
  });

  it('is the same when it is inspected, and when it logs', async () => {
    const watched = async () => {
      let events = 0;
      const inspect = (): void => {
        events += 1;
      };
      const trace = await runToEnd(BUSY, { seed: 6, inspect, log: { items: ['int', 'in_asm'] } });
      expect(events).toBeGreaterThan(10);
      return trace;
    };
    expect(await watched()).toEqual(await watched());
  });

  it('tells of everything that it does', async () => {
    const vm = await simulated(BUSY, { seed: 1 });
    const seen = new Map<string, Set<string>>();
    runOf(vm).log.subscribe(({ where, kind, name }) => {
      seen.set(kind, (seen.get(kind) ?? new Set()).add(`${where} ${kind === 'slice' ? '' : name}`));
    });
    vm.start();
    await within(10_000, 'the end', vm.finished);
    expect([...(seen.get('slice') ?? [])].sort()).toEqual(['vcpu0 ', 'vcpu1 ']);
    expect(seen.get('input')).toContain('host start');
    expect(seen.get('message')).toContain('vcpu0 main actor.event');
    expect(seen.get('message')).toContain('main vcpu0 console.output');
    expect(seen.get('timer')).toContain('vcpu0 console output');
    expect(seen.get('bottom half')).toContain('main drain');
  });
});

describe('a deterministic machine', () => {
  it('is paused, and time with it; and goes on', async () => {
    const vm = await simulated(COUNTING, { seed: 1 });
    vm.start();
    expect(vm.state).toBe('running');
    await runOf(vm).runUntil({ timeNs: 1_000_000 });
    runOf(vm).release();
    await vm.pause();
    expect(vm.state).toBe('paused');
    const [before, time] = [counts(vm), runOf(vm).timeNs];
    await sleep(30);
    expect(counts(vm)).toEqual(before);
    expect(runOf(vm).timeNs).toBe(time);
    vm.resume();
    await runOf(vm).runUntil({ timeNs: time + 1_000_000 });
    expect(counts(vm).every((count, i) => count > (before[i] ?? 0n))).toBe(true);
  });

  it('begins anew at a reset', async () => {
    const vm = await simulated(COUNTING, { seed: 1 });
    const run = runOf(vm);
    vm.start();
    await run.runUntil({ instructions: 2_000_000 });
    const before = counts(vm);
    vm.reset();
    await run.runUntil({ steps: run.steps + 200 });
    const after = counts(vm);
    expect(after.every((count, i) => count > 0n && count < (before[i] ?? 0n))).toBe(true);
    expect(vm.state).toBe('running');
  });

  it.each(['before its start', 'running', 'paused', 'standing at a goal'])('is stopped %s', async (when) => {
    const vm = await simulated(COUNTING, { seed: 1 });
    if (when !== 'before its start') vm.start();
    if (when === 'running') await sleep(5);
    if (when === 'paused') await vm.pause();
    if (when === 'standing at a goal') await runOf(vm).runUntil({ steps: 10 });
    await within(5000, 'the end', vm.stop());
    expect(vm.state).toBe('stopped');
    const { steps } = runOf(vm);
    await sleep(5);
    expect(runOf(vm).steps).toBe(steps);
    await expect(vm.finished).rejects.toThrow('stopped');
  });

  it('fails when a device throws, with the cause', async () => {
    const throwing = defineDevice<object, undefined, null>({
      name: 'throwing',
      version: 1,
      lengthBytes: 0x1000,
      create: () => ({
        mmioRead: () => 0,
        mmioWrite: () => {
          throw new Error('a bug in the device');
        },
        reset: () => {},
        view: () => ({}),
        save: () => null,
        load: () => {},
      }),
    });
    const base = virtTable.platformBus.base;
    const vm = await bare(`li t0, ${base}\nsw t0, 0(t0)\nwait: j wait`, {
      seed: 1,
      devices: [{ name: 'throwing', definition: throwing, base }],
    });
    vm.start();
    await expect(within(5000, 'the failure', vm.finished)).rejects.toThrow('a bug in the device');
    expect(vm.state).toBe('internal-error');
  });

  it('fails when a vCPU cannot begin, and ends', async () => {
    const vm = await simulated(COUNTING, { seed: 1, log: { items: null as never } });
    vm.start();
    await expect(within(5000, 'the failure', vm.finished)).rejects.toThrow();
    expect(vm.state).toBe('internal-error');
    await within(5000, 'the end', vm.stop());
    expect(vm.state).toBe('stopped');
  });

  it('tells of a thread that cannot begin, with the cause', () => {
    const simulation = new Simulation(1);
    let isOutside = false;
    const placement = new SimulatedPlacement(simulation, () => {
      isOutside = true;
    });
    const ends: (ErrorRecord | null)[] = [];
    const part = wireThreads([
      { name: 'main', kind: 'parking' },
      { name: 'vcpu0', kind: 'parking' },
    ]).get('vcpu0') as ThreadWiring;
    placement.startVcpu({ harts: 1, hartId: 0, seed: 1 } as VirtVcpuParameters, part, (error) => ends.push(error));
    expect(ends).toEqual([]);
    simulation.run();
    expect(ends).toEqual([expect.objectContaining({ name: 'TypeError', where: ['vcpu0'] })]);
    expect(isOutside).toBe(true);
  });

  it('is paused by the caller in the midst of what it tells him', async () => {
    const vm = await simulated(BUSY, { seed: 2 });
    const paused = new Promise<void>((resolve) => {
      const subscription = vm.console.output.subscribe(() => {
        subscription.unsubscribe();
        void vm.pause().then(resolve);
      });
    });
    vm.start();
    await within(5000, 'the pause', paused);
    expect(vm.state).toBe('paused');
  });

  it.each([-1, 0.5, 2 ** 32, Number.NaN])('has no seed %d', async (seed) => {
    const error = await createVm({ seed }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain('--seed');
  });
});
