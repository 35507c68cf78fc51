/** Debian's kernel on several harts: on the built-in SBI, and on OpenSBI. BOTTOMHALF_SOAK=1 adds 16 harts. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import type { Vm, VmOptions } from '../../src/index.ts';
import { machine, within } from '../support/machines.ts';
import { hasTool, skipReason } from '../support/tools.ts';

const PROMPT = ':/# ';
const RAM_BYTES = 256 * 2 ** 20;
const OPENSBI = '/usr/lib/riscv64-linux-gnu/opensbi/generic';
const POWEROFF = { kind: 'poweroff', code: 0 };

async function debian(options: VmOptions): Promise<Vm> {
  const vm = await machine({ ...(await defaultGuest()), ramBytes: RAM_BYTES, ...options });
  vm.start();
  await vm.console.expect(PROMPT, { timeoutMs: 100_000 });
  return vm;
}

/** What a command prints. */
async function shell(vm: Vm, command: string): Promise<string> {
  vm.console.write(`${command}\n`);
  const text = await vm.console.expect(PROMPT, { timeoutMs: 60_000 });
  return text.slice(text.indexOf('\n') + 1, text.lastIndexOf('\n') + 1).replaceAll('\r', '');
}

async function powerOff(vm: Vm): Promise<void> {
  vm.console.write('poweroff -f\n');
  expect(await within(60_000, 'power off', vm.finished)).toEqual(POWEROFF);
}

const PROCESSORS = 'grep -c ^processor /proc/cpuinfo; nproc';

describe('Debian on the built-in SBI', () => {
  it('takes a processor away and back with work on both', async () => {
    const vm = await debian({ harts: 2 });
    expect(await shell(vm, PROCESSORS)).toBe('2\n2\n');
    await shell(vm, 'dmesg -n 1; ln -s /sys/devices/system/cpu/cpu1/online /tmp/o');
    await shell(vm, 'work() { i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo $i; }');
    await shell(vm, 'for f in a b c; do (work >/tmp/$f &) done');
    for (let round = 0; round < 3; round++) {
      expect(await shell(vm, 'echo 0 >/tmp/o; nproc; cat /tmp/o')).toBe('1\n0\n');
      expect(await shell(vm, 'echo 1 >/tmp/o; nproc; cat /tmp/o')).toBe('2\n1\n');
    }
    await shell(vm, 'ready() { [ "$(cat /tmp/[abc] | wc -l)" = 3 ]; }');
    expect(await shell(vm, 'until ready; do sleep 0.1; done; cat /tmp/[abc]')).toBe('3000\n3000\n3000\n');
    expect(await shell(vm, 'taskset 2 cut -d" " -f39 /proc/self/stat')).toBe('1\n');
    await powerOff(vm);
  });

  it('runs work on each of four, before and after a reboot', async () => {
    const vm = await debian({ harts: 4 });
    const eachRuns = async (): Promise<void> => {
      expect(await shell(vm, PROCESSORS)).toBe('4\n4\n');
      // The processor that a process last ran on.
      expect(await shell(vm, 'on() { taskset $1 cut -d" " -f39 /proc/self/stat; }')).toBe('');
      expect(await shell(vm, 'for c in 1 2 4 8; do on $c; done')).toBe('0\n1\n2\n3\n');
    };
    await eachRuns();
    vm.console.write('reboot -f\n');
    await vm.console.expect('Linux version', { timeoutMs: 60_000 });
    await vm.console.expect(PROMPT, { timeoutMs: 60_000 });
    await eachRuns();
    await powerOff(vm);
  });

  it.each(process.env['BOTTOMHALF_SOAK'] === undefined ? [8] : [8, 16])('runs on %d', async (harts) => {
    const vm = await debian({ harts });
    expect(await shell(vm, PROCESSORS)).toBe(`${harts}\n${harts}\n`);
    await powerOff(vm);
  });
});

const noOpensbi = hasTool('opensbi') ? '' : skipReason('opensbi');
describe.skipIf(noOpensbi !== '')(`OpenSBI ${noOpensbi}`, () => {
  it.each([
    ['fw_dynamic.bin', 2],
    ['fw_jump.elf', 4],
  ] as const)('%s starts %d harts for Debian', async (name, harts) => {
    const bios = new Uint8Array(readFileSync(`${OPENSBI}/${name}`));
    const vm = await debian({ harts, bios });
    expect(await shell(vm, PROCESSORS)).toBe(`${harts}\n${harts}\n`);
    expect(await shell(vm, 'dmesg | grep -c "SBI implementation ID=0x1 "')).toBe('1\n');
    await powerOff(vm);
  });
});
