/** Functions that were plugged in, in machines that are saved: the restored guest uses them and lets go of them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createVm, type RunGoal, type Vm, type VmOptions } from '../../src/index.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { reaches } from '../support/harts.ts';
import {
  BUSY_GPA,
  COPY_GPA,
  card,
  driver,
  IDENTITY,
  PLUGGED,
  RELEASED,
  SAYS,
  started,
} from '../support/hotplug-guest.ts';
import { program, within } from '../support/machines.ts';
import { type InterruptWay, intxSource } from '../support/pci-guest.ts';

const END_MS = 20_000;
const COPIED_BYTES = 16;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bottomhalf-hotplug-'));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
const newFile = (): string => join(folder, `${files++}.vm`);

async function restored(from: string, options: VmOptions = {}): Promise<Vm> {
  const vm = await createVm({ from, ...options });
  onTestFinished(() => vm.stop());
  return vm;
}

/** The function in the slot writes to RAM. */
async function copies(vm: Vm): Promise<void> {
  vm.memory.write(COPY_GPA, new Uint8Array(COPIED_BYTES).fill(0xff));
  const isCopied = () => expect(vm.memory.read(COPY_GPA, COPIED_BYTES)).toEqual(new Uint8Array(COPIED_BYTES));
  await vi.waitFor(isCopied, { timeout: END_MS, interval: 2 });
}

const WAYS: readonly (readonly [string, InterruptWay])[] = [
  ['INTA through the PLIC', { aia: 'none', hart: 0, source: intxSource(1) }],
  ['INTA through the APLIC, on hart 1', { aia: 'aplic', hart: 1, source: intxSource(1) }],
  ['MSI to hart 1', { aia: 'aplic-imsic', hart: 1, identity: IDENTITY }],
];

describe.each(WAYS)('a machine whose guest hears of its slot by %s', (_name, way) => {
  it('keeps a function that was plugged in while it copies', async () => {
    const vm = await started(way);
    vm.memory.write(BUSY_GPA, Uint8Array.of(1));
    vm.plug(card());
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
    const file = newFile();
    await vm.save(file);
    const again = await restored(file);
    again.start();
    for (const one of [again, vm]) {
      const said: number[] = [SAYS.ready, ...PLUGGED];
      await copies(one);
      expect(() => one.plug(card('second'))).toThrow(ConfigError);
      one.memory.write(BUSY_GPA, Uint8Array.of(0));
      await within(END_MS, 'the guest lets go', one.unplug('card'));
      said.push(...RELEASED);
      await reaches(one, said);
      one.plug(card('next'));
      said.push(...PLUGGED);
      await reaches(one, said);
      expect(one.state).toBe('running');
    }
  });

  it('keeps what its guest has not seen yet: that one came, that one is to go', async () => {
    const vm = await started(way);
    await vm.pause();
    vm.plug(card());
    const came = newFile();
    await vm.save(came);
    const again = await restored(came);
    again.start();
    await reaches(again, [SAYS.ready, ...PLUGGED]);
    await again.pause();
    const out = again.unplug('card').catch(() => {});
    const going = newFile();
    await again.save(going);
    await again.stop();
    await out;
    const last = await restored(going);
    last.start();
    await reaches(last, [SAYS.ready, ...PLUGGED, ...RELEASED]);
    last.plug(card());
    await reaches(last, [SAYS.ready, ...PLUGGED, ...RELEASED, ...PLUGGED]);
  });
});

describe('a deterministic machine with a function that was plugged in', () => {
  it.each(WAYS)('goes on as if it had not been saved: %s', async (_name, way) => {
    const kernel = program(driver(way));
    const base = { kernel, bios: 'none', harts: 2, aia: way.aia, rootPorts: ['rp0'], ramBytes: 16 * 2 ** 20 } as const;
    await fc.assert(
      fc.asyncProperty(fc.nat(0xffff_ffff), fc.integer({ min: 1, max: 400 }), async (seed, later) => {
        const file = newFile();
        const never = await createVm({ ...base, seed });
        const saved = await createVm({ ...base, seed });
        const vms = [never, saved];
        try {
          for (const vm of vms) {
            await runs(vm, {}, 'idle', true);
            vm.memory.write(BUSY_GPA, Uint8Array.of(1));
            vm.plug(card());
            await runs(vm, { steps: deterministic(vm).steps + later }, 'reached');
          }
          await saved.save(file);
          vms.push(await createVm({ from: file }));
          const ends = [];
          for (const vm of vms) {
            await runs(vm, { steps: UNPLUG_AT_STEP }, 'reached', vm === vms[2]);
            await reaches(vm, [SAYS.ready, ...PLUGGED]);
            vm.memory.write(BUSY_GPA, Uint8Array.of(0));
            const out = vm.unplug('card');
            await runs(vm, {}, 'idle');
            await out;
            await reaches(vm, [SAYS.ready, ...PLUGGED, ...RELEASED]);
            const { steps, logHash, instructions, timeNs } = deterministic(vm);
            ends.push({ steps, logHash, instructions: [...instructions], timeNs, ram: vm.memory.hash() });
          }
          expect(ends[1]).toEqual(ends[0]);
          expect(ends[2]).toEqual(ends[0]);
        } finally {
          for (const vm of vms) await vm.stop();
        }
      }),
      { numRuns: 5 },
    );
  });
});

/** Where the guest uses the function. */
const UNPLUG_AT_STEP = 4000;

function deterministic(vm: Vm) {
  if (vm.deterministic === null) throw new Error('no deterministic run');
  return vm.deterministic;
}

async function runs(vm: Vm, goal: RunGoal, how: 'reached' | 'idle', start = false): Promise<void> {
  const reached = deterministic(vm).runUntil(goal);
  if (start) vm.start();
  expect(await reached).toBe(how);
}

describe('while a machine is saved', () => {
  const way: InterruptWay = { aia: 'none', hart: 0, source: intxSource(1) };
  const module = new URL('./vcpu-work-functions.js', import.meta.url).href;
  const work = { module, exportName: 'exchange', parameters: { write: 0, value: 0n, read: 10 } };

  it.each<[string, VmOptions]>([
    ['with threads', {}],
    ['deterministic', { seed: 3 }],
  ])('nothing is plugged, and what else is asked of it waits: %s', async (_name, options) => {
    const vm = await started(way, options);
    vm.plug(card());
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
    const done: string[] = [];
    let asked: Promise<unknown>[] = [];
    const onProgress = (): void => {
      if (asked.length > 0) return;
      expect(() => vm.plug(card('other'))).toThrow(/being saved/);
      asked = [
        vm.runOnVcpu(1, work).then(() => done.push('work')),
        vm.unplug('card').then(() => done.push('unplug')),
        vm.unplug('nobody').catch(() => done.push('nobody')),
      ];
    };
    await vm.save(newFile(), { onProgress });
    expect(asked).toHaveLength(3);
    expect(done).toEqual([]);
    await within(END_MS, 'all that was asked', Promise.all(asked));
    await reaches(vm, [SAYS.ready, ...PLUGGED, ...RELEASED]);
    expect([...done].sort()).toEqual(['nobody', 'unplug', 'work']);
  });

  it('what was asked of it is refused when it is stopped', async () => {
    const vm = await started(way);
    const asked: Promise<unknown>[] = [];
    const onProgress = (): void => {
      if (asked.length === 0) asked.push(vm.runOnVcpu(1, work), vm.unplug('card'));
      void vm.stop();
    };
    await expect(vm.save(newFile(), { onProgress })).rejects.toThrow('the machine was stopped');
    for (const one of asked) await expect(one).rejects.toThrow('the machine was stopped');
  });
});
