/** Debian, saved at its prompt with two harts, goes on in a fresh process. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import { createVm } from '../../src/index.ts';
import { machine } from '../support/machines.ts';

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
