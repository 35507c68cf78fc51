/** Hot-plug as a guest sees it: a program does what Linux's pciehp does with the slot of a root port. */
import { describe, expect, it, vi } from 'vitest';
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import { edu } from '../../actors/devices.ts';
import type { Vm, VmOptions } from '../../src/index.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { FINISH, RESULTS_GPA, reaches, results } from '../support/harts.ts';
import { bare, RAM_BASE, within } from '../support/machines.ts';
import {
  awaitInterrupt,
  completeInterrupt,
  configGpa,
  enableInterrupts,
  enableMsi,
  type InterruptWay,
  intxSource,
  MMIO,
  onHart,
  PCI_LIBRARY,
  push,
  TRAPPED,
} from '../support/pci-guest.ts';

const END_MS = 20_000;
const PORT = configGpa(1 << 3);
const SLOT = configGpa(1 << 8);
/** Behind the port: 2 MiB of memory. */
const BEHIND = MMIO;
const IDENTITY = 9;
/** The program keeps edu's DMA engine busy while this is not 0. */
const BUSY_GPA = RESULTS_GPA + 0x8000;
/** What the program says of itself. */
const SAYS = { ready: 1, plugged: 2, released: 3, gone: 4 } as const;
const ONES = 0xffff_ffff;

const card = (name = 'card', bus = 'rp0'): VmPciDevice => ({
  name,
  definition: edu as never,
  bus,
  config: { dmaMask: 2n ** 64n - 1n },
});

const say = (what: keyof typeof SAYS, ...registers: string[]): string =>
  `${push(...registers)} li t0, ${SAYS[what]}\n ${push('t0')}`;

/** s10: the port, s8: its capability, s9: edu's registers, s7: 1 while there is one. */
function driver(way: InterruptWay): string {
  return `
    ${onHart(way.hart)}
    li s10, ${PORT}
    li t0, 0x010100
    sw t0, 0x18(s10)          # bus 1 is behind it
    li t0, ${(BEHIND / 2 ** 16) | ((BEHIND / 2 ** 16 + 0x10) << 16)}
    sw t0, 0x20(s10)
    li t0, 7
    sh t0, 4(s10)
    mv a0, s10
    ${way.source === undefined ? enableMsi(way.hart, IDENTITY) : ''}
    mv a0, s10
    li a1, 0x10
    call pci_capability
    mv s8, a1
    ${enableInterrupts(way)}
    lhu t0, 0x1a(s8)
    sh t0, 0x1a(s8)           # what was before
    lhu t0, 0x18(s8)
    li t1, 0x1031             # button, completion, interrupt, link
    or t0, t0, t1
    sh t0, 0x18(s8)
    li s7, 0
    ${say('ready')}
  serve:
    ${awaitInterrupt(way, 'wait')}
    mv s6, a0
  look:
    lhu s5, 0x1a(s8)
    andi t0, s5, 0x111
    beqz t0, looked
    sh t0, 0x1a(s8)
    andi t0, s5, 1
    beqz t0, changed
    bnez s7, release          # the button
    lhu t0, 0x18(s8)
    li t1, 0x400
    not t1, t1
    and t0, t0, t1
    sh t0, 0x18(s8)           # power
  train:
    lhu t0, 0x12(s8)
    srli t0, t0, 13
    beqz t0, train
    ${use}
    li s7, 1
    j look
  changed:                    # the link: is it gone?
    beqz s7, look
    lhu t0, 0x12(s8)
    srli t0, t0, 13
    bnez t0, look
    call off
    ${say('gone', 't1', 't2')}
    j look
  looked:
    mv a0, s6
    ${completeInterrupt(way)}
    j serve
  release:
    call off
    ${say('released', 't1', 't2')}
    j look
  off:
    li s7, 0
    lhu t0, 0x18(s8)
    ori t0, t0, 0x400
    sh t0, 0x18(s8)
    lwu t1, 0(s9)             # nobody is there
    li t2, ${SLOT}
    lwu t2, 0(t2)
    ret
    ${PCI_LIBRARY} ${FINISH}
  `;
}

/** Sets up what is behind the port, lets it compute, and, if so told, copy until it is gone. */
const use = `
  li s2, ${BEHIND}
  li a0, ${SLOT}
  call pci_place
  li s9, ${BEHIND}
  li t0, 6
  sw t0, 8(s9)
1: lwu t0, 0x20(s9)
  andi t0, t0, 1
  bnez t0, 1b
  lwu t0, 8(s9)
  lwu t1, 0(s9)
  ${say('plugged', 't0', 't1')}
  li t2, ${BUSY_GPA}
2: lwu t0, 0(t2)
  beqz t0, 3f
  li t0, 0x40000
  sd t0, 0x80(s9)
  li t0, ${RAM_BASE + 0x60_0000}
  sd t0, 0x88(s9)
  li t0, 4096
  sd t0, 0x90(s9)
  li t0, 3
  sw t0, 0x98(s9)
  lwu t0, 0x98(s9)
  addi t0, t0, 1
  srli t0, t0, 32
  beqz t0, 2b                 # all ones: it is not there any more
3:
`;

async function started(way: InterruptWay, options: VmOptions = {}): Promise<Vm> {
  const vm = await bare(driver(way), { harts: 2, aia: way.aia, rootPorts: ['rp0'], ...options });
  vm.start();
  await reaches(vm, [SAYS.ready]);
  return vm;
}

const PLUGGED = [0x10_0000, BEHIND, 720, 0x0100_00ed, SAYS.plugged];
const RELEASED = [ONES, ONES, SAYS.released];
const GONE = [ONES, ONES, SAYS.gone];

describe.each<readonly [string, InterruptWay]>([
  ['INTA through the PLIC', { aia: 'none', hart: 0, source: intxSource(1) }],
  ['INTA through the APLIC, on hart 1', { aia: 'aplic', hart: 1, source: intxSource(1) }],
  ['MSI to hart 0', { aia: 'aplic-imsic', hart: 0, identity: IDENTITY }],
  ['MSI to hart 1', { aia: 'aplic-imsic', hart: 1, identity: IDENTITY }],
])('a guest that hears of its slot by %s', (_name, way) => {
  it('takes functions in and lets go of them', async () => {
    const vm = await started(way);
    const said: number[] = [SAYS.ready];
    for (const name of ['card', 'card', 'other']) {
      vm.plug(card(name));
      said.push(...PLUGGED);
      await reaches(vm, said);
      await within(END_MS, 'the guest lets go', vm.unplug(name));
      said.push(...RELEASED);
      await reaches(vm, said);
    }
    expect(results(vm, 1, said.length)).toEqual([0]);
    expect(vm.state).toBe('running');
  });

  it('survives that one is pulled out while it copies', async () => {
    const vm = await started(way);
    const said: number[] = [SAYS.ready];
    for (let round = 0; round < 3; round++) {
      vm.memory.write(BUSY_GPA, Uint8Array.of(1));
      vm.plug(card());
      said.push(...PLUGGED);
      await reaches(vm, said);
      await within(END_MS, 'it is out', vm.unplug('card', { surprise: true }));
      said.push(...GONE);
      await reaches(vm, said);
      vm.memory.write(BUSY_GPA, Uint8Array.of(0));
      vm.plug(card());
      said.push(...PLUGGED);
      await reaches(vm, said);
      await within(END_MS, 'the guest lets go', vm.unplug('card'));
      said.push(...RELEASED);
      await reaches(vm, said);
    }
    expect(results(vm, 200).includes(TRAPPED)).toBe(false);
  });
});

describe('a slot', () => {
  const way: InterruptWay = { aia: 'none', hart: 0, source: intxSource(1) };

  it('takes one function, by a name that is free, where there is a port', async () => {
    const root: VmPciDevice = { name: 'fixed', definition: edu as never };
    const vm = await started(way, { pci: [root], rootPorts: ['rp0', 'rp1'] });
    vm.plug(card());
    const refused = (device: VmPciDevice): void => expect(() => vm.plug(device)).toThrow(ConfigError);
    refused(card('second'));
    refused(card('card', 'rp1'));
    refused(card('fixed', 'rp1'));
    refused(card('rp1', 'rp1'));
    refused(card('serial0', 'rp1'));
    refused(card('Not A Name', 'rp1'));
    refused(card('second', 'rp7'));
    refused({ name: 'second', definition: edu as never });
    await expect(vm.unplug('nobody')).rejects.toThrow(ConfigError);
    await expect(vm.unplug('fixed')).rejects.toThrow(ConfigError);
    await expect(vm.unplug('rp1')).rejects.toThrow(ConfigError);
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
    // A slot that the guest has not switched on lets go at once.
    vm.plug(card('second', 'rp1'));
    await within(END_MS, 'out of the other', vm.unplug('second'));
    const one = vm.unplug('card');
    const same = vm.unplug('card');
    await within(END_MS, 'both hear of it', Promise.all([one, same]));
    await expect(vm.unplug('card')).rejects.toThrow(ConfigError);
    vm.plug(card());
    await reaches(vm, [SAYS.ready, ...PLUGGED, ...RELEASED, ...PLUGGED]);
  });

  it('keeps what is in it over a reset, and what was plugged while the machine stood', async () => {
    const vm = await started(way);
    await vm.pause();
    vm.plug(card());
    vm.resume();
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
    vm.reset();
    await vi.waitFor(() => expect(vm.state).toBe('running'), { timeout: END_MS });
    await reaches(vm, [SAYS.ready, 0]);
    await within(END_MS, 'it is out', vm.unplug('card', { surprise: true }));
    vm.plug(card('next'));
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
  });

  it('tells who waits for a guest that does not answer when the machine is stopped', async () => {
    const vm = await bare('halt: wfi\nj halt', { rootPorts: ['rp0'], pci: [card()] });
    vm.start();
    const asked = vm.unplug('card').then(
      () => 'out',
      (error: Error) => error.message,
    );
    await vm.stop();
    expect(await within(END_MS, 'the answer', asked)).toBe('the machine was stopped');
  });
});
