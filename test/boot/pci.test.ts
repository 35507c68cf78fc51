/** Debian's kernel with PCI Express: what it finds, what it moves, and a slot that it is told to switch on. */
import { describe, expect, it } from 'vitest';
import { edu } from '../../actors/devices.ts';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import type { Vm, VmOptions } from '../../src/index.ts';
import { machine, within } from '../support/machines.ts';

const PROMPT = ':/# ';
const DEVICES = '/sys/bus/pci/devices';

async function debian(options: VmOptions): Promise<Vm> {
  const vm = await machine({ ...(await defaultGuest()), ramBytes: 256 * 2 ** 20, ...options });
  vm.start();
  await vm.console.expect(PROMPT, { timeoutMs: 100_000 });
  await shell(vm, 'dmesg -n 1');
  return vm;
}

/** What a command prints. */
async function shell(vm: Vm, command: string): Promise<string> {
  vm.console.write(`${command}\n`);
  const text = await vm.console.expect(PROMPT, { timeoutMs: 60_000 });
  return text.slice(text.indexOf('\n') + 1, text.lastIndexOf('\n') + 1).replaceAll('\r', '');
}

describe('Debian', () => {
  it.each(['none', 'aplic-imsic'] as const)('finds edu, and finds it again elsewhere, aia=%s', async (aia) => {
    const vm = await debian({ aia, pci: [{ name: 'edu0', definition: edu as never, addr: 5 }], rootPorts: ['rp0'] });
    expect(await shell(vm, `ls ${DEVICES}`)).toMatch(/0000:00:00\.0\s+0000:00:01\.0\s+0000:00:05\.0/);
    await shell(vm, `E=${DEVICES}/0000:00:05.0`);
    expect(await shell(vm, 'cat $E/vendor $E/device $E/class $E/revision')).toBe('0x1234\n0x11e8\n0x00ff00\n0x10\n');
    const resource = await shell(vm, 'head -1 $E/resource');
    expect(resource).toMatch(/^0x00000000[4-7][0-9a-f]{2}00000 0x00000000[4-7][0-9a-f]{2}fffff 0x0000000000040200\n$/);
    expect(await shell(vm, 'cut -f2 /proc/bus/pci/devices | sort')).toBe('123411e8\n1b360008\n1b36000c\n');

    await shell(vm, 'echo 1 >$E/remove');
    expect(await shell(vm, 'ls -d $E 2>&1 | grep -c "No such"')).toBe('1\n');
    await shell(vm, 'echo 1 >/sys/bus/pci/rescan');
    expect(await shell(vm, 'head -1 $E/resource; cat $E/device')).toBe(`${resource}0x11e8\n`);
    vm.console.write('poweroff -f\n');
    expect(await within(60_000, 'power off', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });

  it('shows what was plugged once the slot has power', async () => {
    const vm = await debian({ rootPorts: ['rp0'] });
    await shell(vm, `P=${DEVICES}/0000:00:01.0/config`);
    await shell(vm, "b() { od -An -tu1 -j$1 -N1 $P | tr -d ' '; }");
    await shell(vm, 'c=$(b 52); while [ $(b $c) != 16 ]; do c=$(b $((c+1))); done');
    await shell(vm, 'put() { printf "\\\\$(printf %o $2)" | dd of=$P bs=1 seek=$1 conv=notrunc 2>/dev/null; }');
    vm.plug({ name: 'card', definition: edu as never, bus: 'rp0' });
    await shell(vm, 'echo 1 >/sys/bus/pci/rescan');
    expect(await shell(vm, `ls ${DEVICES} | wc -w`)).toBe('2\n');
    await shell(vm, 'h=$(b $((c+25))); put $((c+25)) $((h & ~4))');
    await shell(vm, 'echo 1 >/sys/bus/pci/rescan');
    expect(await shell(vm, `cat ${DEVICES}/0000:01:00.0/device`)).toBe('0x11e8\n');
    await shell(vm, `E=${DEVICES}/0000:01:00.0`);
    expect(await shell(vm, 'head -1 $E/resource')).toMatch(/^0x00000000[4-7][0-9a-f]{2}00000 0x[0-9a-f]{16} /);

    const out = vm.unplug('card');
    await shell(vm, 'echo 1 >$E/remove; put $((c+25)) $((h | 4))');
    await within(60_000, 'the function is out', out);
    vm.console.write('poweroff -f\n');
    expect(await within(60_000, 'power off', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });
});
