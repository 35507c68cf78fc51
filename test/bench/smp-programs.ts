/** Guest programs of the benchmark `smp`: what harts compute side by side, and how long they take to reach each other. */
import { sbiExtension } from '../../src/sbi/extensions.ts';

export const RAM_BASE = 0x8000_0000;
/** Doublewords that a program leaves. In front of them harts tell each other how far they are. */
export const RESULTS_GPA = RAM_BASE + 0x40_0000;
/** Of a measurement by reads(), ipis() or msis(), in ticks and one more. */
export const SAMPLES = 2000;
/** Before them. */
export const WARM_UP_EVENTS = 60_000;
/** Of compute(). */
export const TURNS = 2_000_000_000;

/** Each hart runs a loop and notes begin and end, once all have come: threads start one after the other. */
export const compute = (harts: number): string => `
  li s0, ${RESULTS_GPA - 64}
  li t0, 1
  amoadd.d t0, t0, (s0)
gate:
  ld t0, 0(s0)
  li t1, ${harts}
  bne t0, t1, gate
  slli t0, a0, 4
  li s0, ${RESULTS_GPA}
  add s1, s0, t0
  rdtime t0
  sd t0, 16(s1)
  li t1, ${TURNS}
again:
  addi t2, t2, 3
  xor t3, t2, t1
  addi t1, t1, -1
  bnez t1, again
  rdtime t0
  sd t0, 24(s1)
halt: wfi
  j halt
`;

/** Notes the ticks in t0, of the last SAMPLES events only; goes on at `next` as long as there are some left. */
const NOTE = `
  addi t0, t0, 1
  sd t0, 0(s1)
  addi s2, s2, -1
  li t6, ${SAMPLES}
  bgeu s2, t6, next
  addi s1, s1, 8
  bnez s2, next
halt: wfi
  j halt
`;
const TO_NOTE = `
  li s1, ${RESULTS_GPA}
  li s2, ${WARM_UP_EVENTS + SAMPLES}
`;

/** Hart 1 reads a register on hart 0's thread again and again, and notes how long each took. */
export const reads = (hart0: string): string => `
  bnez a0, reader
rest: ${hart0}
  j rest
reader:
  li s0, 0x10000005
  ${TO_NOTE}
next:
  rdtime t1
  lbu t2, 0(s0)
  rdtime t0
  sub t0, t0, t1
  ${NOTE}
`;

/**
 * Hart 0 sends something again and again, and notes how long it took until hart 1's handler noted the time.
 * @param send an instruction or some, at which time starts
 */
const sendsTo = (send: string): string => `
  li s0, ${RESULTS_GPA - 64}
  li s3, 0
  ${TO_NOTE}
ready:
  ld t0, 16(s0)
  beqz t0, ready
next:
  li t0, 3000               # it has gone back to what it was doing
pause:
  addi t0, t0, -1
  bnez t0, pause
  rdtime s4
  ${send}
  addi s3, s3, 1
taken:
  ld t0, 0(s0)
  bne t0, s3, taken
  ld t0, 8(s0)
  sub t0, t0, s4
  ${NOTE}
`;

/** The other side: what hart 1 does until it is told, and a handler that acknowledges and notes the time. */
const isTold = (hart1: string, acknowledge: string, back: string): string => `
  li s0, ${RESULTS_GPA - 64}
  li t0, 1
  sd t0, 16(s0)
rest: ${hart1}
  j rest
.align 3
handler:
  rdtime t0
  ${acknowledge}
  sd t0, 8(s0)
  ld t0, 0(s0)
  addi t0, t0, 1
  sd t0, 0(s0)
  ${back}
`;

/** As sendsTo and isTold on one hart. */
const tellsItself = (send: string): string => `
  li s0, ${RESULTS_GPA - 64}
  li t0, 1
  sd t0, 16(s0)
  ${sendsTo(send)}
`;

const sendIpi = (mask: number): string => `
  li a0, ${mask}
  li a1, 0
  li a7, ${sbiExtension.ipi}
  li a6, 0
  ecall
`;
const TAKE_IPIS = `
  la t0, handler
  csrw stvec, t0
  csrwi sie, 2
  csrsi sstatus, 2
`;

/** Hart 0 sends IPIs through the SBI to hart 1, whose handler notes the time. */
export const ipis = (hart1: string): string => `
  li a0, 1
  la a1, other
  li a2, 0
  li a7, ${sbiExtension.hsm}
  li a6, 0
  ecall
  ${sendsTo(sendIpi(2))}
other:
  ${TAKE_IPIS}
  ${isTold(hart1, 'csrci sip, 2', 'sret')}
`;

/** Hart 0 does both sides: what is not the way between threads. */
export const ipisToItself = `
  ${TAKE_IPIS}
  ${tellsItself(sendIpi(1))}
  ${isTold('wfi', 'csrci sip, 2', 'sret')}
`;

const TAKE_MSIS = `
  la t0, handler
  csrw mtvec, t0
  li t0, 0x70               # eidelivery
  csrw miselect, t0
  li t1, 1
  csrw mireg, t1
  li t0, 0xc0               # eie0
  csrw miselect, t0
  li t1, 32
  csrw mireg, t1
  li t0, 2048
  csrw mie, t0
  csrsi mstatus, 8
`;

/** Hart 0 writes to the M-level interrupt file of hart 1, whose handler claims and notes the time. */
export const msis = (hart1: string): string => `
  bnez a0, other
  li s5, 0x24001000
  li s6, 5
  ${sendsTo('sw s6, 0(s5)')}
other:
  ${TAKE_MSIS}
  ${isTold(hart1, 'csrrw t1, mtopei, x0', 'mret')}
`;

export const msisToItself = `
  bnez a0, rest
  ${TAKE_MSIS}
  li s5, 0x24000000
  li s6, 5
  ${tellsItself('sw s6, 0(s5)')}
  ${isTold('wfi', 'csrrw t1, mtopei, x0', 'mret')}
`;
