/**
 * What guest programs in assembly need to drive PCI Express: they find functions through configuration space, size and
 * place BARs, and take interrupts through whichever controller the machine has. M mode; s11 points to the next result.
 */
import { VIRT_APLIC_M_BASE } from '../../actors/board/virt-aia-tree.ts';
import { VIRT_PCIE_IRQ } from '../../actors/board/virt-pci-tree.ts';
import { virtTable } from '../../actors/board/virt-table.ts';
import type { Aia } from '../../actors/cpu/aia.ts';
import { RESULTS_GPA } from './harts.ts';

export const ECAM = virtTable.pcieEcam.base;
export const MMIO = virtTable.pcieMmio.base;
/** Above RAM of up to 14 GiB. */
export const MMIO_HIGH = 0x4_0000_0000;
export const PIO = virtTable.pciePio.base;
export const IMSIC_M = virtTable.imsicM.base;
export const PLIC = virtTable.plic.base;
export const APLIC_M = VIRT_APLIC_M_BASE;
const PAGE_BYTES = 0x1000;
/** Where a program begins to place memory and I/O BARs. */
export const FIRST_IO = 0x1000;

/** Guest-physical address of a register of configuration space. @param bdf bus times 256, device times 8, function */
export const configGpa = (bdf: number, register = 0): number => ECAM + bdf * PAGE_BYTES + register;

/** The interrupt file of a hart at machine level. */
export const imsicGpa = (hart: number): number => IMSIC_M + hart * PAGE_BYTES;

/** The source that a function on the root bus drives with a pin, 1 to 4. */
export const intxSource = (device: number, pin = 1): number => VIRT_PCIE_IRQ + ((pin - 1 + device) % 4);

/** Appends registers to the results. */
export const push = (...registers: string[]): string =>
  registers.map((register) => ` sd ${register}, 0(s11)\n addi s11, s11, 8\n`).join('');

/** Writes a constant; t5 and t6 are used. */
export const put = (gpa: number | string, value: number | bigint, width: 'b' | 'h' | 'w' | 'd' = 'w'): string =>
  ` li t5, ${gpa}\n li t6, ${value}\n s${width} t6, 0(t5)\n`;

/** Reads, unsigned; t5 is used. */
export const get = (register: string, gpa: number, width: 'b' | 'h' | 'w' = 'w'): string =>
  ` li t5, ${gpa}\n l${width}u ${register}, 0(t5)\n`;

/** Begins a program: only one hart goes on. */
export const onHart = (hart: number): string => `
  la t0, pci_trap
  csrw mtvec, t0
  li s11, ${RESULTS_GPA}
  li t0, ${hart}
  beq a0, t0, pci_begin
pci_halt: wfi
  j pci_halt
pci_begin:
`;

/** The values that a failing program leaves at the end of its results. */
export const TRAPPED = 0xbad;

/** Subroutines; they use t0 to t6 and a1 to a5. Place them behind the program. */
export const PCI_LIBRARY = `
# A function on the root bus. a0: device and vendor -> its configuration space, or 0.
pci_find:
  li t0, ${ECAM}
  li t1, 32
  li t2, 0x8000
1: lwu t3, 0(t0)
  beq t3, a0, 2f
  add t0, t0, t2
  addi t1, t1, -1
  bnez t1, 1b
  li t0, 0
2: mv a0, t0
  ret

# A capability. a0: configuration space, a1: its number -> a1: its address, or 0.
pci_capability:
  lbu t0, 0x34(a0)
1: beqz t0, 2f
  add t1, a0, t0
  lbu t2, 0(t1)
  beq t2, a1, 3f
  lbu t0, 1(t1)
  j 1b
2: li a1, 0
  ret
3: mv a1, t1
  ret

# Sizes and places the BARs of a function, and pushes length and base of each. a0: its configuration space; s2, s3, s4:
# the next free address of memory, I/O and 64-bit memory. Then it lets it answer and be a bus master.
pci_place:
  sh zero, 4(a0)
  addi a1, a0, 0x10
  addi a2, a0, 0x28
  lbu t0, 0x0e(a0)
  andi t0, t0, 0x7f
  beqz t0, pci_bar
  addi a2, a0, 0x18       # a bridge
pci_bar:
  bgeu a1, a2, pci_placed
  lw a3, 0(a1)
  li t0, -1
  sw t0, 0(a1)
  lw a4, 0(a1)
  beqz a4, pci_none
  andi t1, a3, 1
  bnez t1, pci_port
  andi t1, a3, 6
  andi a4, a4, -16
  bnez t1, pci_wide
  neg t3, a4
  addi t4, t3, -1
  add s2, s2, t4
  and s2, s2, a4
  sw s2, 0(a1)
  ${push('t3', 's2')}
  add s2, s2, t3
pci_none:
  addi a1, a1, 4
  j pci_bar
pci_port:
  andi a4, a4, -4
  neg t3, a4
  addi t4, t3, -1
  add s3, s3, t4
  and s3, s3, a4
  sw s3, 0(a1)
  ${push('t3', 's3')}
  add s3, s3, t3
  j pci_none
pci_wide:
  sw t0, 4(a1)
  lw t4, 4(a1)
  slli t4, t4, 32
  slli a4, a4, 32
  srli a4, a4, 32
  or a4, a4, t4
  neg t3, a4
  addi t4, t3, -1
  add s4, s4, t4
  and s4, s4, a4
  sw s4, 0(a1)
  srli t4, s4, 32
  sw t4, 4(a1)
  ${push('t3', 's4')}
  add s4, s4, t3
  addi a1, a1, 8
  j pci_bar
pci_placed:
  li t0, 7
  sh t0, 4(a0)
  ret

# Exceptions: where pci_resume is set, the program goes on there, the cause in a0.
  .align 2
pci_trap:
  csrr a0, mcause
  la t0, pci_resume
  ld t1, 0(t0)
  sd zero, 0(t0)
  csrw mepc, t1
  beqz t1, pci_bad
  mret
pci_bad:
  csrr t1, mepc
  csrr t2, mtval
  li t0, ${TRAPPED}
  ${push('t0', 'a0', 't1', 't2')}
  j finish
  .align 3
pci_resume: .dword 0
`;

/** Sets s2 to s4 for pci_place. */
export const PCI_BEGIN = ` li s2, ${MMIO}\n li s3, ${FIRST_IO}\n li s4, ${MMIO_HIGH}\n`;

/** One access that may fault: a0 is then the cause, else -1. @param access an instruction */
export const attempt = (access: string): string => `
  la t0, 3f
  la t1, pci_resume
  sd t0, 0(t1)
  ${access}
  li a0, -1
3: la t1, pci_resume
  sd zero, 0(t1)
`;

/** How an interrupt reaches the program. `identity`: of the interrupt file, where there is one. */
export interface InterruptWay {
  readonly aia: Aia;
  readonly hart: number;
  /** Of the wire; none where messages come. */
  readonly source?: number;
  readonly identity?: number;
}

/** Lets interrupts come to the hart that runs this; mstatus.MIE stays 0: the program waits for them. */
export function enableInterrupts({ aia, hart, source, identity = 0 }: InterruptWay): string {
  const lines = [' li t0, 0x800\n csrw mie, t0\n'];
  if (aia === 'none' && source !== undefined) {
    const context = 2 * hart;
    const enables = PLIC + 0x2000 + 0x80 * context + 4 * Math.floor(source / 32);
    lines.push(
      put(PLIC + 4 * source, 5),
      put(enables, 2 ** (source % 32)),
      put(PLIC + 0x20_0000 + context * 0x1000, 0),
    );
  }
  if (aia === 'aplic-imsic') {
    const set = (select: number, value: number): string =>
      ` li t0, ${select}\n csrw miselect, t0\n li t0, ${value}\n csrw mireg, t0\n`;
    lines.push(set(0x70, 1), set(0x72, 0));
    lines.push(` li t0, ${0xc0 + 2 * Math.floor(identity / 64)}\n csrw miselect, t0\n`);
    lines.push(` li t0, ${2n ** BigInt(identity % 64)}\n csrs mireg, t0\n`);
  }
  if (aia !== 'none' && source !== undefined) {
    if (aia === 'aplic-imsic') lines.push(put(APLIC_M + 0x1bc0, IMSIC_M / PAGE_BYTES), put(APLIC_M + 0x1bc4, 6 << 12));
    else lines.push(put(APLIC_M + 0x4000 + 0x20 * hart, 1), put(APLIC_M + 0x4008 + 0x20 * hart, 0));
    lines.push(put(APLIC_M, 0x100), put(APLIC_M + 4 * source, 6));
    lines.push(put(APLIC_M + 0x3000 + 4 * source, hart * 2 ** 18 + (aia === 'aplic-imsic' ? identity : 1)));
    lines.push(put(APLIC_M + 0x1edc, source));
  }
  return lines.join('');
}

/** A loop until an interrupt pends; then a0 is the source or identity, which is claimed. @param label unique */
export function awaitInterrupt({ aia, hart }: InterruptWay, label: string): string {
  const claim = {
    none: get('a0', PLIC + 0x20_0004 + 2 * hart * 0x1000),
    aplic: `${get('a0', APLIC_M + 0x401c + 0x20 * hart)} srli a0, a0, 16\n`,
    'aplic-imsic': ' csrrw a0, mtopei, zero\n srli a0, a0, 16\n',
  }[aia];
  return `
${label}:
  wfi
  csrr t0, mip
  srli t0, t0, 11
  andi t0, t0, 1
  beqz t0, ${label}
  ${claim}
  beqz a0, ${label}
`;
}

/** Says to the controller that the interrupt of a0 has been served. */
export function completeInterrupt({ aia, hart, source }: InterruptWay): string {
  if (aia === 'none') return ` li t5, ${PLIC + 0x20_0004 + 2 * hart * 0x1000}\n sw a0, 0(t5)\n`;
  // A level that was sent as a message pends again where it is still there (AIA 1.0, 4.9.2).
  return aia === 'aplic-imsic' && source !== undefined ? put(APLIC_M + 0x2000, source) : '';
}

/** Sends a function's MSI messages to a hart. a0: its configuration space */
export const enableMsi = (hart: number, identity: number): string => `
  li a1, 5
  call pci_capability
  li t0, ${imsicGpa(hart)}
  sw t0, 4(a1)
  sw zero, 8(a1)
  li t0, ${identity}
  sh t0, 12(a1)
  lhu t0, 2(a1)
  ori t0, t0, 1
  sh t0, 2(a1)
`;
