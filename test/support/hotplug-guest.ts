/** A guest program that does what Linux's pciehp does with the slot of a root port, and what it says of itself. */
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import { edu } from '../../actors/devices.ts';
import type { Vm, VmOptions } from '../../src/index.ts';
import { FINISH, RESULTS_GPA, reaches } from './harts.ts';
import { bare, RAM_BASE } from './machines.ts';
import {
  awaitInterrupt,
  completeInterrupt,
  configGpa,
  enableInterrupts,
  enableMsi,
  type InterruptWay,
  MMIO,
  onHart,
  PCI_LIBRARY,
  push,
} from './pci-guest.ts';

const PORT = configGpa(1 << 3);
const SLOT = configGpa(1 << 8);
/** Behind the port: 2 MiB of memory. */
const BEHIND = MMIO;
/** Of the port's messages. */
export const IDENTITY = 9;
/** Where edu's DMA engine copies to, the zeros that it has. */
export const COPY_GPA: number = RAM_BASE + 0x60_0000;
/** The program keeps edu's DMA engine busy while this is not 0. */
export const BUSY_GPA = RESULTS_GPA + 0x8000;
/** What the program says of itself. */
export const SAYS = { ready: 1, plugged: 2, released: 3, gone: 4 } as const;
const ONES = 0xffff_ffff;

export const card = (name = 'card', bus = 'rp0'): VmPciDevice => ({
  name,
  definition: edu as never,
  bus,
  config: { dmaMask: 2n ** 64n - 1n },
});

const say = (what: keyof typeof SAYS, ...registers: string[]): string =>
  `${push(...registers)} li t0, ${SAYS[what]}\n ${push('t0')}`;

/** s10: the port, s8: its capability, s9: edu's registers, s7: 1 while there is one. */
export function driver(way: InterruptWay): string {
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
  li t0, ${COPY_GPA}
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

/** A machine of two harts whose program waits for its slot. */
export async function started(way: InterruptWay, options: VmOptions = {}): Promise<Vm> {
  const vm = await bare(driver(way), { harts: 2, aia: way.aia, rootPorts: ['rp0'], ...options });
  vm.start();
  await reaches(vm, [SAYS.ready]);
  return vm;
}

/** What it says of a function that came, was let go of, or was pulled out. */
export const PLUGGED = [0x10_0000, BEHIND, 720, 0x0100_00ed, SAYS.plugged];
export const RELEASED = [ONES, ONES, SAYS.released];
export const GONE = [ONES, ONES, SAYS.gone];
