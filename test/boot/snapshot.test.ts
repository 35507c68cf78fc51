/** Debian with two harts, saved: at its prompt, from where it goes on in a fresh process; and deterministically in its boot. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import { createVm, type Vm } from '../../src/index.ts';
import { hashRam } from '../../src/snapshot/ram-hash.ts';
import { machine, RAM_BASE } from '../support/machines.ts';

const PROMPT = ':/# ';

it('Debian goes on at its prompt in another process, and where it was saved', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bottomhalf-debian-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'prompt.vm');
  const ramBytes = 256 * 2 ** 20;
  const vm = await machine({ ...(await defaultGuest()), harts: 2, ramBytes });
  vm.start();
  await vm.console.expect(PROMPT);
  vm.console.write('mkdir /tmp/kept; echo $((40 + 2)) >/tmp/kept/answer\n');
  await vm.console.expect(PROMPT);
  await vm.save(file);
  const { size } = await stat(file);
  expect(size).toBeLessThan(ramBytes);
  vm.console.write('echo still $((2 * 21))\n');
  await vm.console.expect('still 42');
  await vm.stop();

  const child = spawn(process.execPath, ['dist/src/cli/main.js', '--restore', file, '-no-reboot']);
  let text = '';
  child.stdout.on('data', (bytes) => {
    text += String(bytes);
  });
  child.stderr.on('data', (bytes) => {
    text += String(bytes);
  });
  child.stdin.end('cat /tmp/kept/answer; nproc; sleep 1; cat /proc/uptime; echo "up: $?"; poweroff -f\n');
  const status = await new Promise((resolve) => child.on('exit', resolve));
  expect(text).toMatch(/\r\n42\r\n2\r\n\d+\.\d+ [\s\S]*up: 0\r\n/);
  expect(status).toBe(0);

  const again = await createVm({ from: file });
  onTestFinished(() => again.stop());
  again.start();
  again.console.write('taskset -p 1 $$ >/dev/null; cat /tmp/kept/answer\n');
  await again.console.expect('\r\n42\r\n', { timeoutMs: 20_000 });
});

it('a deterministic boot that is saved is the boot that never was, restored or not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bottomhalf-debian-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'boot.vm');
  const options = { ...(await defaultGuest()), harts: 2, ramBytes: 128 * 2 ** 20, seed: 11 };
  const standAt = async (vm: Vm, instructions: number, begin: () => void = () => vm.start()) => {
    const reached = vm.deterministic?.runUntil({ instructions });
    begin();
    expect(await reached).toBe('reached');
    return { log: vm.deterministic?.logHash, ram: hashRam(vm.memory.read(RAM_BASE, options.ramBytes)) };
  };
  const [never, saved] = [await machine(options), await machine(options)];
  await standAt(saved, 80e6);
  await saved.save(file);
  const restored = await createVm({ from: file });
  onTestFinished(() => restored.stop());
  const expected = await standAt(never, 160e6);
  expect(await standAt(restored, 160e6)).toEqual(expected);
  expect(await standAt(saved, 160e6, () => {})).toEqual(expected);
});
