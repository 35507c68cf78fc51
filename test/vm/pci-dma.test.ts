/**
 * What a guest can make a device do to others, and to itself: edu copies to its own registers, in a circle through a
 * second one, to the board's devices, to interrupt files, to configuration space and to nothing. Each copy ends; the
 * other hart goes on meanwhile.
 */
import { describe, expect, it, vi } from 'vitest';
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import { virtTable } from '../../actors/board/virt-table.ts';
import type { Aia } from '../../actors/cpu/aia.ts';
import { edu } from '../../actors/devices.ts';
import type { Vm } from '../../src/index.ts';
import { bareHarts, FINISH, RESULTS_GPA, results } from '../support/harts.ts';
import { RAM_BASE, within } from '../support/machines.ts';
import {
  APLIC_M,
  configGpa,
  enableInterrupts,
  imsicGpa,
  MMIO,
  PCI_BEGIN,
  PCI_LIBRARY,
  PLIC,
  push,
  put,
} from '../support/pci-guest.ts';

const END_MS = 30_000;
const POWEROFF = { kind: 'poweroff', code: 0 };
const MASK = { config: { dmaMask: 2n ** 64n - 1n } };
const pci: VmPciDevice[] = [
  { name: 'edu0', definition: edu as never, addr: 2, ...MASK },
  { name: 'edu1', definition: edu as never, addr: 3, ...MASK },
];
const [EDU0, EDU1] = [MMIO, MMIO + 0x10_0000];
const BUFFER = 0x4_0000;
const DATA_GPA = RAM_BASE + 0x60_0000;
/** What hart 1 counts up as long as the machine lives. */
const ALIVE_GPA = RAM_BASE + 0x70_0000;
const FAILED = 0x100;

/** Both placed, hart 1 counting; s9 is edu0, s8 edu1. */
const program = (body: string, second = ''): string => `
  la t0, pci_trap
  csrw mtvec, t0
  li s11, ${RESULTS_GPA}
  beqz a0, first
  ${second}
  li t1, ${ALIVE_GPA}
1: ld t0, 0(t1)
  addi t0, t0, 1
  sd t0, 0(t1)
  j 1b
first:
  ${PCI_BEGIN}
  li a0, ${configGpa(2 << 3)}
  call pci_place
  li a0, ${configGpa(3 << 3)}
  call pci_place
  li s11, ${RESULTS_GPA}
  li s9, ${EDU0}
  li s8, ${EDU1}
  ${body}
  j finish
  ${PCI_LIBRARY} ${FINISH}
`;

const start = (source: number, destination: number, count: number, command: number, device = 's9'): string => `
  li t0, ${source}
  sd t0, 0x80(${device})
  li t0, ${destination}
  sd t0, 0x88(${device})
  li t0, ${count}
  sd t0, 0x90(${device})
  li t0, ${command}
  sw t0, 0x98(${device})
`;

/** Until it is over; t1 is 0x100 where it failed. */
const end = (device = 's9'): string => `
5: lwu t0, 0x98(${device})
  andi t0, t0, 1
  bnez t0, 5b
  lwu t1, 0x20(${device})
  andi t1, t1, 0x100
`;

/** Words, put into edu0's buffer. */
const fill = (...words: number[]): string =>
  words.map((word, index) => put(DATA_GPA + 4 * index, word)).join('') +
  start(DATA_GPA, BUFFER, 4 * words.length, 1) +
  end();

const copyTo = (gpa: number, count: number): string => start(BUFFER, gpa, count, 3) + end();

async function run(source: string, aia: Aia = 'none'): Promise<Vm> {
  const vm = await bareHarts(2, source, { aia, pci });
  expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
  const view = new DataView(vm.memory.read(ALIVE_GPA, 8).buffer);
  expect(view.getBigUint64(0, true)).toBeGreaterThan(0n);
  return vm;
}

describe('edu copies', () => {
  it('onto its own registers', async () => {
    const vm = await run(
      program(`
        ${fill(3, 0, 1, 0x0200)}
        ${copyTo(EDU0 + 0x98, 4)} ${push('t1')}
        ${copyTo(EDU0 + 0x80, 32)} ${push('t1')}
        lwu t0, 0x80(s9)
        ${push('t0')}
        ${start(BUFFER + 12, EDU0 + 0x60, 4, 3)} ${end()}
        lwu t0, 0x24(s9)
        ${push('t1', 't0')}
        ${start(BUFFER, EDU0 + 0x08, 4, 3)} ${end()}
      1: lwu t0, 0x20(s9)
        andi t0, t0, 1
        bnez t0, 1b
        lwu t0, 8(s9)
        ${push('t1', 't0')}
        ${start(EDU0, BUFFER, 8, 1)} ${end()} ${push('t1')}
        ${start(BUFFER, DATA_GPA + 0x100, 4, 3)} ${end()}
      `),
    );
    // While it copies its own registers cannot be changed: each copy ends as if they had not been written.
    expect(results(vm, 8)).toEqual([0, 0, BUFFER, 0, 0x200, 0, 6, 0]);
    expect([...vm.memory.read(DATA_GPA + 0x100, 4)]).toEqual([0xed, 0, 0, 1]);
  });

  it('in a circle through another, which starts it again, without end and without holding up anybody', async () => {
    // edu0 writes edu1's registers: copy this buffer to edu0's; its buffer does the same the other way round.
    const registers = (destination: number): number[] => [BUFFER, 0, destination, 0, 32, 0, 3, 0];
    const words = (at: number, values: readonly number[]) => values.map((word, i) => put(at + 4 * i, word)).join('');
    const vm = await bareHarts(
      2,
      program(`
        ${words(DATA_GPA, registers(EDU0 + 0x80))}
        ${words(DATA_GPA + 32, registers(EDU1 + 0x80))}
        ${start(DATA_GPA, BUFFER, 32, 1)} ${end()}
        ${start(DATA_GPA + 32, BUFFER, 32, 1, 's8')} ${end('s8')}
        ${start(BUFFER, EDU1 + 0x80, 32, 3)}
        li s5, 0
        li s6, 0
      3: lwu t0, 0x98(s8)     # how often the other is found at work, and not
        andi t0, t0, 1
        add s5, s5, t0
        xori t0, t0, 1
        add s6, s6, t0
        li t1, ${RESULTS_GPA + 0x100}
        sd s5, 0(t1)
        sd s6, 8(t1)
        j 3b
      `),
      { pci },
    );
    await vi.waitFor(() => expect(Math.min(...results(vm, 2, 32))).toBeGreaterThan(20), { timeout: END_MS });
    await within(END_MS, 'pause', vm.pause());
    const before = results(vm, 2, 32);
    vm.resume();
    await vi.waitFor(() => expect(results(vm, 2, 32)[0]).toBeGreaterThan((before[0] ?? 0) + 20), { timeout: END_MS });
    vm.reset();
    await vi.waitFor(() => expect(vm.state).toBe('running'), { timeout: END_MS });
  });

  it('to and from devices beside the first vCPU', async () => {
    const vm = await bareHarts(
      2,
      program(`
        ${fill(0x44, 7, 0x55, 0)}
        ${copyTo(virtTable.uart0.base, 1)} ${push('t1')}
        ${start(BUFFER + 4, PLIC + 4 * 20, 4, 3)} ${end()} ${push('t1')}
        li t0, ${PLIC + 4 * 20}
        lwu t0, 0(t0)
        ${push('t0')}
        ${start(PLIC + 4 * 20, BUFFER + 0x100, 4, 1)} ${end()} ${push('t1')}
        ${start(BUFFER + 0x100, DATA_GPA + 0x100, 4, 3)} ${end()}
        ${start(BUFFER + 8, virtTable.uart0.base + 7, 1, 3)} ${end()}
        li t0, ${virtTable.uart0.base}
        lbu t0, 7(t0)
        ${push('t1', 't0')}
        ${start(virtTable.clint.base + 0xbff8, BUFFER, 8, 1)} ${end()} ${push('t1')}
      `),
      { pci },
    );
    await vm.console.expect('D', { timeoutMs: END_MS });
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 7)).toEqual([0, 0, 7, 0, 0, 0x55, 0]);
    expect([...vm.memory.read(DATA_GPA + 0x100, 4)]).toEqual([7, 0, 0, 0]);
  });

  it('to an interrupt file: a message, as to the APLIC that sends another', async () => {
    const received = RESULTS_GPA + 0x100;
    const second = `
      ${enableInterrupts({ aia: 'aplic-imsic', hart: 1, identity: 33 })}
      ${enableInterrupts({ aia: 'aplic-imsic', hart: 1, identity: 34 })}
      li s5, ${received}
    2: csrrw t0, mtopei, zero
      srli t0, t0, 16
      beqz t0, 2b
      sd t0, 0(s5)
      addi s5, s5, 8
      li t1, ${received + 16}
      bltu s5, t1, 2b
    `;
    const vm = await run(
      program(
        `
        ${put(APLIC_M + 0x1bc0, imsicGpa(0) / 0x1000)}
        ${put(APLIC_M + 0x1bc4, 1 << 12)}
        ${fill(33, 2 ** 18 + 34, 9999)}
        ${copyTo(imsicGpa(1), 4)} ${push('t1')}
        li t1, ${received}
      6: ld t0, 0(t1)
        beqz t0, 6b
        ${start(BUFFER + 4, APLIC_M + 0x3000, 4, 3)} ${end()} ${push('t1')}
        li t1, ${received + 8}
      7: ld t0, 0(t1)
        beqz t0, 7b
        ${start(BUFFER + 8, imsicGpa(1), 4, 3)} ${end()} ${push('t1')}
        ${start(BUFFER, imsicGpa(1), 2, 3)} ${end()} ${push('t1')}
        ${start(BUFFER, imsicGpa(2), 4, 3)} ${end()} ${push('t1')}
        ${start(imsicGpa(1), BUFFER, 4, 1)} ${end()} ${push('t1')}
      `,
        second,
      ),
      'aplic-imsic',
    );
    // An identity that no file has is ignored; files are no memory: nothing else reaches them.
    expect(results(vm, 6)).toEqual([0, 0, 0, FAILED, FAILED, FAILED]);
    expect(results(vm, 2, 32)).toEqual([33, 34]);
  });

  it('to nothing, to ROM, and over the end of what is there', async () => {
    const vm = await run(
      program(`
        ${fill(1, 2, 3, 4)}
        ${copyTo(virtTable.platformBus.base, 16)} ${push('t1')}
        ${copyTo(virtTable.mrom.base, 16)} ${push('t1')}
        ${start(virtTable.mrom.base, BUFFER, 16, 1)} ${end()} ${push('t1')}
        ${copyTo(MMIO + 0x2000_0000, 16)} ${push('t1')}
        ${start(MMIO + 0x2000_0000, BUFFER, 4, 1)} ${end()} ${push('t1')}
        ${start(BUFFER, DATA_GPA + 0x100, 4, 3)} ${end()}
        ${start(BUFFER, RAM_BASE - 8, 16, 3)} ${end()} ${push('t1')}
        ${start(BUFFER, virtTable.uart0.base + 0xfc, 8, 3)} ${end()} ${push('t1')}
      `),
    );
    // Below RAM ends the window of PCI: half of what goes there is nobody's, the rest is RAM.
    expect(results(vm, 7)).toEqual([FAILED, FAILED, FAILED, 0, 0, 0, FAILED]);
    expect([...vm.memory.read(DATA_GPA + 0x100, 4)]).toEqual([255, 255, 255, 255]);
  });

  it('to configuration space: it moves itself while it copies', async () => {
    const elsewhere = MMIO + 0x1000_0000;
    const vm = await run(
      program(`
        ${fill(elsewhere)}
        ${start(BUFFER, configGpa(2 << 3, 0x10), 4, 3)}
        li s10, ${elsewhere}
      8: lwu t0, 0(s10)
        addi t1, t0, 1
        srli t1, t1, 32
        bnez t1, 8b           # all ones still
        mv s7, t0
        lwu t1, 0(s9)
        mv s9, s10
        ${push('s7', 't1')}
        ${end()} ${push('t1')}
        ${start(configGpa(3 << 3), BUFFER, 4, 1)} ${end()} ${push('t1')}
        ${start(BUFFER, DATA_GPA + 0x100, 4, 3)} ${end()}
      `),
    );
    expect(results(vm, 4)).toEqual([0x0100_00ed, 0xffff_ffff, 0, 0]);
    expect([...vm.memory.read(DATA_GPA + 0x100, 4)]).toEqual([0x34, 0x12, 0xe8, 0x11]);
  });
});
