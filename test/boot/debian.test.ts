/** Debian's kernel on the built-in SBI: a session at its shell, reboot, power off. One machine for all of it. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import { createVm, type Vm } from '../../src/index.ts';
import { within } from '../support/machines.ts';

const PROMPT = ':/# ';

let vm: Vm;

beforeAll(async () => {
  vm = await createVm(await defaultGuest());
  vm.start();
  await vm.console.expect(PROMPT);
});
afterAll(() => vm.stop());

/** What a command prints. */
async function shell(command: string): Promise<string> {
  expect(vm.console.write(`${command}\n`)).toBe(command.length + 1);
  const text = await vm.console.expect(PROMPT, { timeoutMs: 20_000 });
  // The terminal's echo, then the output, then the prompt.
  return text.slice(text.indexOf('\n') + 1, text.lastIndexOf('\n') + 1).replaceAll('\r', '');
}

describe('Debian on the built-in SBI', () => {
  it('runs a shell that computes', async () => {
    expect(await shell('echo $((6 * 7)) $((1 << 40))')).toBe('42 1099511627776\n');
    const digest = createHash('sha256').update('bottom half').digest('hex');
    expect(await shell("printf 'bottom half' | sha256sum")).toBe(`${digest}  -\n`);
    let harmonic = 0;
    for (let i = 1; i < 1000; i++) harmonic += 1 / i;
    const sum = await shell('awk \'BEGIN{for(;++i<1000;)s+=1/i;printf "%.12f\\n",s}\'');
    expect(sum).toBe(`${harmonic.toFixed(12)}\n`);
  });

  it('knows its processor, interrupts and time', async () => {
    expect(await shell('cat /proc/cpuinfo')).toMatch(/isa\s*: rv64imafdc[a-z]*_.*zbb.*\n.*mmu\s*: sv57/s);
    expect(await shell('cat /proc/interrupts')).toMatch(/\d+:\s+[1-9]\d*\s.*PLIC\s+10.*ttyS0/);
    expect(await shell('dmesg | grep -c "SBI specification v2.0"')).toBe('1\n');
    const seconds = Number(await shell('date +%s'));
    expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(10);
  });

  it('loads a module', async () => {
    expect(await shell('modprobe virtio_blk && grep -c ^virtio_blk /proc/modules')).toBe('1\n');
  });

  it('takes pasted text whole', async () => {
    const text = Array.from({ length: 300 }, (_, i) => `line ${i} of what was pasted\n`).join('');
    vm.console.write(`cat >/tmp/pasted <<END\n${text}END\n`);
    await vm.console.expect(/> END\s[\s\S]*:\/# /);
    const digest = createHash('sha256').update(text).digest('hex');
    expect(await shell('sha256sum </tmp/pasted')).toBe(`${digest}  -\n`);
  });

  it('reboots to its prompt again', async () => {
    await shell('touch /tmp/from-before');
    vm.console.write('reboot -f\n');
    await vm.console.expect('Linux version');
    await vm.console.expect(PROMPT);
    expect(vm.state).toBe('running');
    expect(await shell('ls /tmp')).toBe('');
  });

  it('powers off', async () => {
    vm.console.write('poweroff -f\n');
    expect(await within(10_000, 'power off', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
    expect(vm.state).toBe('shutdown');
  });
});
