/** createVm({ devices }): a device that this file defines, driven by a program through its registers and the PLIC. */
import { describe, expect, it, vi } from 'vitest';
import { virtTable } from '../../actors/board/virt-table.ts';
import { defineDevice, type IrqLine } from '../../actors/devices.ts';
import { readFdt } from '../../src/fdt/read.ts';
import { findNode, getCells, getStrings } from '../../src/fdt/tree.ts';
import { ConfigError, createVm, type VmDevice } from '../../src/index.ts';
import { bare, RAM_BASE, within } from '../support/machines.ts';

const BASE = virtTable.platformBus.base;
const SOURCE = 40;
const R = { VALUE: 0, ADD: 4, CLEAR: 8 } as const;

interface CounterPorts {
  readonly irq: IrqLine;
  /** Told of each addition. */
  added(value: number): void;
}

/** Counts what is added to it; raises its interrupt once the limit is reached, until it is cleared. */
const counter = defineDevice<CounterPorts, { readonly limit: number }, { value: number }, { type: 'counter.add' }>({
  name: 'counter',
  version: 1,
  lengthBytes: 0x1000,
  create({ irq, added }, { limit }) {
    let value = 0;
    const change = (next: number): void => {
      value = next >>> 0;
      irq.set(value >= limit);
    };
    const add = (amount: number): void => {
      change(value + amount);
      added(value);
    };
    return {
      mmioRead: (offset) => (offset === R.VALUE ? value : 0),
      mmioWrite(offset, amount) {
        if (offset === R.ADD) add(amount);
        if (offset === R.CLEAR) change(0);
      },
      handle: () => add(100),
      reset: () => change(0),
      view: () => ({ value }),
      save: () => ({ value }),
      load: (state) => change(state.value),
    };
  },
});

const device = (changes: Partial<VmDevice> = {}): VmDevice => ({
  name: 'counter',
  definition: counter,
  base: BASE,
  config: { limit: 7 },
  ports: { added: () => {} },
  irq: SOURCE,
  compatible: 'example,counter',
  ...changes,
});

/** Adds 3 and reads it back, adds 4 and takes the interrupt, and ends with the claimed source's number. */
const PROGRAM = `
  la t0, trap
  csrw mtvec, t0
  li s0, ${BASE}
  li s1, PLIC
  li t0, 1
  sw t0, ${SOURCE * 4}(s1)       # priority
  li s2, PLIC + 0x2004           # enable, context 0, sources 32 to 63
  li t0, ${1 << (SOURCE - 32)}
  sw t0, 0(s2)
  li t0, 0x800                   # MEIE
  csrw mie, t0
  csrsi mstatus, 8
  li t0, 3
  sw t0, ${R.ADD}(s0)
  lw s3, ${R.VALUE}(s0)
  li t1, 3
  bne s3, t1, wrong
  li t0, 4
  sw t0, ${R.ADD}(s0)
wait: j wait
wrong:
  li a0, 99
  j end
.align 2
trap:
  li s4, PLIC + 0x200004         # claim
  lw a0, 0(s4)
  sw zero, ${R.CLEAR}(s0)
  sw a0, 0(s4)
end:
  slli a0, a0, 16
  li t0, 0x3333
  or a0, a0, t0
  li t0, TEST
  sw a0, 0(t0)
stay: j stay
`;

describe("a device of the caller's", () => {
  it('is read, written and interrupts', async () => {
    const added: number[] = [];
    const vm = await bare(PROGRAM, { devices: [device({ ports: { added: (value: number) => added.push(value) } })] });
    vm.start();
    expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'fail', code: SOURCE });
    expect(added).toEqual([3, 7]);
    const actor = vm.actor.system.get('counter');
    expect(actor?.getSnapshot().value).toBe('quiesced');
    await vi.waitFor(() => expect(actor?.getSnapshot().view).toEqual({ value: 0 }));
  });

  it('is an actor of the machine: it takes messages, and is reset with it', async () => {
    const values: number[] = [];
    const vm = await bare('wait: wfi\nj wait', {
      devices: [device({ ports: { added: (value: number) => values.push(value) } })],
    });
    vm.start();
    const actor = vm.actor.system.get('counter');
    actor?.send({ type: 'counter.add' });
    actor?.send({ type: 'counter.add' });
    expect(values).toEqual([100, 200]);
    vm.reset();
    await vi.waitFor(() => expect(actor?.getSnapshot().view).toEqual({ value: 0 }), { timeout: 2000 });
  });

  it('that throws fails the machine with the cause', async () => {
    const broken = (): never => {
      throw new Error('a bug in the device');
    };
    const vm = await bare(PROGRAM, { devices: [device({ ports: { added: broken } })] });
    vm.start();
    await expect(within(5000, 'the failure', vm.finished)).rejects.toThrow('a bug in the device');
    expect(vm.state).toBe('internal-error');
  });

  it('is in the device tree that the guest gets', async () => {
    const second = device({ name: 'silent', base: BASE + 0x1000, irq: 41 });
    const vm = await bare('li t0, RAM + 0x1000\nsd a1, 0(t0)\nwait: j wait', {
      devices: [device(), second, { name: 'hidden', definition: counter, base: BASE + 0x2000, config: { limit: 1 } }],
    });
    vm.start();
    const dtbGpa = (): number =>
      Number(new DataView(vm.memory.read(RAM_BASE + 0x1000, 8).buffer).getBigUint64(0, true));
    await vi.waitFor(() => expect(dtbGpa()).not.toBe(0), { timeout: 2000 });
    const [lengthBytes = 0] = getCells(vm.memory.read(dtbGpa() + 4, 4)) ?? [];
    const { root } = readFdt(vm.memory.read(dtbGpa(), lengthBytes));
    const node = findNode(root, `/soc/counter@${BASE.toString(16)}`);
    const bytes = (name: string) => node?.properties.get(name) ?? new Uint8Array(1);
    expect(getStrings(bytes('compatible'))).toEqual(['example,counter']);
    expect(getCells(bytes('reg'))).toEqual([0, BASE, 0, 0x1000]);
    expect(getCells(bytes('interrupts'))).toEqual([SOURCE]);
    expect(findNode(root, `/soc/silent@${(BASE + 0x1000).toString(16)}`)).toBeDefined();
    expect(findNode(root, '/soc')?.children.some(({ name }) => name.startsWith('hidden'))).toBe(false);
  });

  it.each<[string, readonly VmDevice[], RegExp]>([
    ['in RAM', [device({ base: RAM_BASE + 0x1000 })], /overlaps guest RAM/],
    ['over a device of the board', [device({ base: virtTable.uart0.base - 0x800 })], /overlaps uart0/],
    ['over another', [device(), device({ name: 'other', irq: 41 })], /overlaps counter/],
    ['at an odd address', [device({ base: BASE + 3 })], /no place for registers/],
    ['with a name of the board', [device({ name: 'plic' })], /name already/],
    ['with the name of another', [device(), device({ base: BASE + 0x1000, irq: 41 })], /name already/],
    ['with no proper name', [device({ name: 'A b' })], /no name/],
    ["with the UART's interrupt", [device({ irq: virtTable.uart0.irq })], /belongs to uart0/],
    ["with another's interrupt", [device(), device({ name: 'other', base: BASE + 0x1000 })], /belongs to counter/],
    ['with an interrupt that does not exist', [device({ irq: 97 })], /no interrupt 97/],
  ])('%s is refused, with a remedy', async (_what, devices, message) => {
    const error = await createVm({ bios: 'none', kernel: new Uint8Array(4), devices }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(message);
    expect(error.remedy).toMatch(/\.$/);
  });
});
