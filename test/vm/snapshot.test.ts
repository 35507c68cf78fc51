/** vm.save() and createVm({ from }): machines that go on from a file, in this process and in a fresh one. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { virtTable } from '../../actors/board/virt-table.ts';
import { defineDevice, StateError } from '../../actors/devices.ts';
import { createVm, SnapshotError, type Vm, type VmDevice, type VmOptions } from '../../src/index.ts';
import { bare, machine, program, RAM_BASE, within } from '../support/machines.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bottomhalf-snapshot-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Threads take a moment to start where others are busy. */
const SOON = { interval: 1, timeout: 10_000 };

let files = 0;
const newFile = (): string => join(folder, `${files++}.vm`);

async function restored(from: string, options: VmOptions = {}): Promise<Vm> {
  const vm = await createVm({ from, ...options });
  onTestFinished(() => vm.stop());
  return vm;
}

const word = (vm: Vm, offset: number): number =>
  new DataView(vm.memory.read(RAM_BASE + offset, 4).buffer).getUint32(0, true);

/** Counts timer interrupts at 4 KiB into RAM, a millisecond apart. */
const TICKING = `
  la t0, trap
  csrw mtvec, t0
  li s0, RAM + 0x1000
  li s1, CLINT + 0x4000
  li s2, CLINT + 0xbff8
  ld t0, 0(s2)
  li t1, 10000
  add t0, t0, t1
  sd t0, 0(s1)
  li t0, 0x80
  csrw mie, t0
  csrsi mstatus, 8
wait: wfi
  j wait
.align 2
trap:
  lw t0, 0(s0)
  addi t0, t0, 1
  sw t0, 0(s0)
  ld t0, 0(s1)
  li t1, 10000
  add t0, t0, t1
  sd t0, 0(s1)
  mret
`;

/** Ends the machine with t0 as its code. */
const END_WITH_T0 = `
  slli t0, t0, 16
  li t1, 0x3333
  or t0, t0, t1
  li t1, TEST
  sw t0, 0(t1)
stay: j stay
`;

/** Polls the UART and echoes; counts what it has echoed, in RAM, slowly. */
const ECHO = `
  li s0, UART
  li s1, RAM + 0x1000
  la s2, greeting
greet:
  lbu t0, 0(s2)
  beqz t0, poll
  sb t0, 0(s0)
  addi s2, s2, 1
  j greet
poll:
  lbu t0, 5(s0)
  andi t0, t0, 1
  beqz t0, poll
  lbu t0, 0(s0)
full:
  lbu t1, 5(s0)
  andi t1, t1, 0x20
  beqz t1, full
  sb t0, 0(s0)
  lw t1, 0(s1)
  addi t1, t1, 1
  sw t1, 0(s1)
  li t1, 5000
slow:
  addi t1, t1, -1
  bnez t1, slow
  j poll
greeting: .asciz "ready"
`;

/** One register, 100 after a reset. */
const cell = defineDevice<object, void, { value: number }>({
  name: 'cell',
  version: 1,
  lengthBytes: 0x1000,
  create() {
    let value = 100;
    return {
      mmioRead: () => value,
      mmioWrite: (_offset, next) => {
        value = next;
      },
      reset: () => {
        value = 100;
      },
      view: () => ({ value }),
      save: () => ({ value }),
      load: (state) => {
        value = state.value;
      },
    };
  },
}) as unknown as VmDevice['definition'];

function refusing<C extends object>(core: C): C {
  const load = (): never => {
    throw new StateError('cell.value', 'to my liking');
  };
  return { ...core, load };
}

describe('a saved machine', () => {
  it('goes on where it was, from the file and by itself', async () => {
    const vm = await bare(TICKING);
    vm.start();
    await vi.waitFor(() => expect(word(vm, 0x1000)).toBeGreaterThan(3), SOON);
    const file = newFile();
    await within(5000, 'save', vm.save(file));
    expect(vm.state).toBe('running');
    const again = await within(5000, 'restore', restored(file));
    expect(again.state).toBe('paused');
    const at = word(again, 0x1000);
    expect(at).toBeGreaterThan(3);
    again.start();
    await vi.waitFor(() => expect(word(again, 0x1000)).toBeGreaterThan(at + 5), SOON);
    const before = word(vm, 0x1000);
    await vi.waitFor(() => expect(word(vm, 0x1000)).toBeGreaterThan(before + 5), SOON);
  });

  it('goes on in a fresh process', async () => {
    const vm = await bare(TICKING);
    vm.start();
    await vi.waitFor(() => expect(word(vm, 0x1000)).toBeGreaterThan(3), SOON);
    const file = newFile();
    await vm.save(file);
    await vm.stop();
    const script = `(async () => {
      const { createVm } = await import('bottomhalf');
      const vm = await createVm({ from: ${JSON.stringify(file)} });
      const count = () => new DataView(vm.memory.read(${RAM_BASE + 0x1000}, 4).buffer).getUint32(0, true);
      const before = count();
      vm.start();
      while (count() < before + 5) await new Promise((resolve) => setTimeout(resolve, 1));
      console.log(before);
      await vm.stop();
    })()`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { timeout: 20_000 });
    expect(Number(stdout)).toBeGreaterThan(3);
  });

  it.each(['none', 'aplic', 'aplic-imsic'] as const)('may be in S mode on the built-in SBI, aia %s', async (aia) => {
    // The second hart is started and counts; the third is not, and the first stays as the firmware left it.
    const kernel = program(`
      li a7, 0x48534d
      li a6, 0
      li a0, 1
      la a1, second
      ecall
    wait: j wait
    second:
      li s1, RAM + 0x1000
    count:
      lw t0, 0(s1)
      addi t0, t0, 1
      sw t0, 0(s1)
      j count`);
    const vm = await machine({ kernel, harts: 3, aia });
    vm.start();
    await vi.waitFor(() => expect(word(vm, 0x1000)).toBeGreaterThan(0), SOON);
    const file = newFile();
    await vm.save(file);
    const again = await restored(file);
    const before = word(again, 0x1000);
    again.start();
    await vi.waitFor(() => expect(word(again, 0x1000)).toBeGreaterThan(before), SOON);
  });

  it('keeps what was typed and not read, and what was printed comes once', async () => {
    const vm = await bare(ECHO);
    let printed = '';
    const note = (bytes: Uint8Array): void => {
      printed += new TextDecoder().decode(bytes);
    };
    vm.console.output.subscribe(note);
    vm.start();
    await vm.console.expect('ready');
    const typed = `${'typed before '.repeat(200)}\n`;
    vm.console.write(typed);
    await vi.waitFor(() => expect(word(vm, 0x1000)).toBeGreaterThan(0), SOON);
    const file = newFile();
    await vm.pause();
    await vm.save(file);
    expect(vm.state).toBe('paused');
    const before = printed.length;
    const again = await restored(file);
    again.console.output.subscribe(note);
    again.start();
    again.console.write('!');
    await again.console.expect('!');
    // Wherever the pause was between a byte's coming and going: all of it, once.
    expect(printed.slice(printed.indexOf('typed'))).toBe(`${typed}!`);
    expect(printed.length - before).toBeGreaterThan(1);
  });

  it('asks a device again that had not answered', async () => {
    const asked: ((value: number) => void)[] = [];
    const later = (answers: ((value: number) => void)[]): VmDevice => ({
      name: 'later',
      definition: defineDevice<{ answers: ((value: number) => void)[] }, void, null>({
        name: 'later',
        version: 1,
        lengthBytes: 8,
        create: ({ answers: list }) => ({
          mmioReadLater: (_offset, _size, done) => void list.push(done),
          reset: () => {},
          view: () => ({}),
          save: () => null,
          load: () => {},
        }),
      }) as unknown as VmDevice['definition'],
      base: virtTable.platformBus.base,
      ports: { answers },
    });
    const vm = await bare(`li s0, ${virtTable.platformBus.base}\nlw t0, 4(s0)\n${END_WITH_T0}`, {
      devices: [later(asked)],
    });
    vm.start();
    await vi.waitFor(() => expect(asked).toHaveLength(1), SOON);
    const file = newFile();
    await vm.save(file);
    const again: ((value: number) => void)[] = [];
    const other = await restored(file, { devices: [later(again)] });
    other.start();
    await vi.waitFor(() => expect(again).toHaveLength(1), SOON);
    again[0]?.(42);
    expect(await within(5000, 'the end', other.finished)).toEqual({ kind: 'fail', code: 42 });
    asked[0]?.(43);
    expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'fail', code: 43 });
  });

  it('takes devices that came since, as after a reset, and misses those that have gone', async () => {
    const device = (name: string, base: number): VmDevice => ({ name, definition: cell, base });
    const [first, second] = [virtTable.platformBus.base, virtTable.platformBus.base + 0x1000];
    const source = `
      li s0, ${first}
      li t0, 7
      sw t0, 0(s0)
      lw t0, 0(s0)
      li s1, RAM + 0x1000
      sw t0, 0(s1)
      li s3, RAM + 0x1800
    wait:
      lw t1, 0(s3)
      beqz t1, wait
      lw t0, 0(s0)
      li s2, ${second}
      lw t1, 0(s2)
      add t0, t0, t1
      ${END_WITH_T0}`;
    const vm = await bare(source, { devices: [device('one', first)] });
    vm.start();
    await vi.waitFor(() => expect(word(vm, 0x1000)).toBe(7), SOON);
    const file = newFile();
    await vm.save(file);
    const again = await restored(file, { devices: [device('one', first), device('two', second)] });
    again.memory.write(RAM_BASE + 0x1800, Uint8Array.of(1));
    again.start();
    expect(await within(5000, 'the end', again.finished)).toEqual({ kind: 'fail', code: 7 + 100 });
    await expect(createVm({ from: file })).rejects.toMatchObject({ fault: 'unknown-actor', where: 'one' });
    await expect(createVm({ from: file, devices: [device('one', second)] })).rejects.toThrow(/devices: one/);
    const newer = { ...device('one', first), definition: { ...cell, version: 2 } };
    const error = await createVm({ from: file, devices: [newer] }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(SnapshotError);
    expect(error).toMatchObject({ fault: 'actor-version', where: 'one' });
    expect(error.message).toBe('one: it was saved as cell, version 1; here it is cell, version 2');
  });

  it('may be saved while it is paused, while it waits, and with a state that its device then refuses', async () => {
    const stubborn = { ...cell, create: (...args: Parameters<typeof cell.create>) => refusing(cell.create(...args)) };
    const vm = await bare('again: wfi\nj again', {
      devices: [{ name: 'one', definition: cell, base: virtTable.platformBus.base }],
    });
    vm.start();
    await vm.pause();
    const file = newFile();
    await vm.save(file);
    expect(vm.state).toBe('paused');
    const devices = [{ name: 'one', definition: stubborn, base: virtTable.platformBus.base }];
    await expect(createVm({ from: file, devices })).rejects.toMatchObject({ fault: 'actor-state', where: 'one' });
  });
});

describe('a machine made from a file', () => {
  it('is what it was: other options are refused, the same ones are not', async () => {
    const vm = await bare(TICKING);
    vm.start();
    const file = newFile();
    await vm.save(file);
    await restored(file, { harts: 1, ramBytes: 16 * 2 ** 20, aia: 'none', bios: 'none' });
    for (const [options, path] of [
      [{ harts: 2 }, '-smp'],
      [{ ramBytes: 32 * 2 ** 20 }, '-m'],
      [{ aia: 'aplic' }, '-M aia'],
      [{ bios: 'default' }, '-bios'],
      [{ kernel: program('nop'), replay: 'x' }, '--replay'],
    ] as const) {
      await expect(createVm({ from: file, ...options })).rejects.toMatchObject({ name: 'ConfigError', path });
    }
  });

  it('is reset with images that are given again, and else ends where it would reboot', async () => {
    const source = `
      li s0, RAM + 0x1000
      lw t0, 0(s0)
      addi t0, t0, 1
      sw t0, 0(s0)
      li s3, RAM + 0x1800
    wait:
      lw t1, 0(s3)
      beqz t1, wait
      li t0, TEST
      li t1, 0x7777
      sw t1, 0(t0)
    stay: j stay`;
    const vm = await bare(source);
    vm.start();
    await vi.waitFor(() => expect(word(vm, 0x1000)).toBe(1), SOON);
    const file = newFile();
    await vm.save(file);
    const without = await restored(file);
    expect(() => without.reset()).toThrow(/no images/);
    without.memory.write(RAM_BASE + 0x1800, Uint8Array.of(1));
    without.start();
    expect(await within(5000, 'the end', without.finished)).toEqual({ kind: 'reboot', code: 0 });
    const again = await restored(file, { kernel: program(source) });
    again.memory.write(RAM_BASE + 0x1004, Uint8Array.of(1));
    again.reset();
    await vi.waitFor(() => expect(word(again, 0x1004)).toBe(0), SOON);
    again.start();
    await vi.waitFor(() => expect(word(again, 0x1000)).toBe(1), SOON);
  });
});

describe('saving', () => {
  it('is refused where there is nothing to save, and one at a time', async () => {
    const vm = await bare(TICKING);
    const file = newFile();
    await expect(vm.save(file)).rejects.toMatchObject({ fault: 'machine-state' });
    vm.start();
    const first = vm.save(file);
    await expect(vm.save(file)).rejects.toThrow(/being saved already/);
    await first;
    await vm.stop();
    await expect(vm.save(file)).rejects.toMatchObject({ fault: 'machine-state' });
    const ended = await bare(`li t0, 0\n${END_WITH_T0}`);
    ended.start();
    await ended.finished;
    await expect(ended.save(file)).rejects.toThrow(/has ended/);
  });

  it('given up, or into a folder that is not there, leaves what was there', async () => {
    const vm = await bare(TICKING);
    vm.start();
    const file = newFile();
    await writeFile(file, 'before');
    const reason = new Error('the user has other plans');
    await expect(vm.save(file, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const onProgress = () => controller.abort(reason);
    await expect(vm.save(file, { signal: controller.signal, onProgress })).rejects.toBe(reason);
    expect(vm.state).toBe('running');
    await expect(vm.save(join(folder, 'nowhere', 'file'))).rejects.toMatchObject({ fault: 'host' });
    const stopped = vm.save(file, { onProgress: () => void vm.stop() });
    await expect(stopped).rejects.toThrow('the machine was stopped');
    expect(await readFile(file, 'utf8')).toBe('before');
    expect((await readdir(folder)).filter((name) => name.includes('.part-'))).toEqual([]);
  });

  it('holds back what is asked of the machine meanwhile', async () => {
    const vm = await bare(TICKING);
    vm.start();
    const file = newFile();
    let states: string[] = [];
    const onProgress = () => {
      vm.resume();
      states = [...states, vm.state];
    };
    await vm.save(file, { onProgress });
    expect(new Set(states)).toEqual(new Set(['paused']));
    expect(vm.state).toBe('running');
    await vm.save(file, { onProgress: () => void vm.pause() });
    await vi.waitFor(() => expect(vm.state).toBe('paused'), SOON);
  });
});

describe('a damaged file', () => {
  it.each<[string, (bytes: Uint8Array) => Uint8Array, string]>([
    ['cut off', (bytes) => bytes.subarray(0, bytes.length - 100), 'incomplete'],
    ['with a byte of RAM changed', (bytes) => flip(bytes, bytes.length - 5000), 'damaged'],
    ['with a byte of its header changed', (bytes) => flip(bytes, 60), 'damaged'],
    ['empty', () => new Uint8Array(0), 'not-a-snapshot'],
    ['of another kind', () => new TextEncoder().encode('#!/bin/sh\n'.repeat(20)), 'not-a-snapshot'],
    ['of a later format', (bytes) => versioned(bytes, 2), 'format-version'],
  ])('%s is refused', async (_what, damage, fault) => {
    const vm = await bare(TICKING);
    vm.start();
    const file = newFile();
    await vm.save(file);
    await writeFile(file, damage(new Uint8Array(await readFile(file))));
    const error = await createVm({ from: file }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(SnapshotError);
    expect(error.fault).toBe(fault);
    expect(error.remedy).toMatch(/\.$/);
  });

  it('that is not there is told', async () => {
    await expect(createVm({ from: join(folder, 'none') })).rejects.toMatchObject({ fault: 'host' });
  });
});

function flip(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}

function versioned(bytes: Uint8Array, version: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(8, version, true);
  view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
  return bytes;
}
