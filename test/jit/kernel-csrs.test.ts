/**
 * CSRs that regions read and write themselves: what is more than a register must be left to the runtime, and the hart
 * must not differ from one that interprets.
 */
import { expect, it } from 'vitest';
import { assemble } from '../../src/isa/asm.ts';
import { RegionTranslator } from '../../src/jit/translator.ts';
import { compareStates } from '../lockstep/harness.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';

const BASE = 0x8000_0000n;
const STEPS = 300;

/**
 * S mode turns interrupts off and on. s7 counts those that were pending when they went on, s11 instructions with the
 * floating point off, s10 the times that the loop was entered in U mode, where its first instruction traps.
 */
const PROGRAM = `
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    la t0, handler
    csrw stvec, t0
    li t0, 2
    csrw mideleg, t0
    csrw mie, t0
    li t0, 4
    csrw medeleg, t0
    li t0, 0x800
    csrw mstatus, t0
    la t0, loop
    csrw mepc, t0
    mret
  loop:
    csrrci s2, sstatus, 2
    add s3, s3, s2
    csrrw s4, sscratch, s1
    addi s1, s1, 1
    csrw sepc, s1
    csrr s5, sepc
    add s6, s6, s5
    csrw stval, s6
    csrrsi t0, stval, 5
    csrr t1, scause
    andi t2, s1, 7
    bnez t2, nothing
    csrsi sip, 2
  nothing:
    csrrsi t1, sstatus, 2
    li t3, 0x6000
    andi t2, s1, 15
    bnez t2, on
    csrc sstatus, t3
    j compute
  on:
    csrs sstatus, t3
  compute:
    fadd.d fa0, fa1, fa2
    csrr t1, sstatus
    add s3, s3, t1
    andi t2, s1, 31
    bnez t2, loop
    li t3, 0x100
    csrc sstatus, t3
    la t3, loop
    csrw sepc, t3
    sret
  handler:
    csrr s8, scause
    bltz s8, interrupt
    csrr s9, sstatus
    andi s9, s9, 0x100
    bnez s9, off
    li s9, 0x100
    csrs sstatus, s9
    addi s10, s10, 1
    sret
  off:
    csrr s9, sepc
    addi s9, s9, 4
    csrw sepc, s9
    addi s11, s11, 1
    sret
  interrupt:
    csrci sip, 2
    addi s7, s7, 1
    sret
  `;

/**
 * U mode reads the time; now and then it may not, by mcounteren or by scounteren. s7 counts its reads,
 * s11 illegal instructions, s10 those of them that are writes.
 */
const TIME_PROGRAM = `
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    la t0, handler
    csrw mtvec, t0
    li t0, 2
    csrw mcounteren, t0
    csrw scounteren, t0
    la t0, loop
    csrw mepc, t0
    mret
  loop:
    csrr t1, time
    add s3, s3, t1
    csrrs t2, time, zero
    sub s4, t2, t1
    addi s7, s7, 1
    andi t2, s7, 31
    bnez t2, loop
    csrw time, t1
    ecall
    j loop
  handler:
    csrr s8, mcause
    li s9, 2
    bne s8, s9, change
    addi s11, s11, 1
    csrr s9, mcounteren
    csrr s6, scounteren
    and s9, s9, s6
    beqz s9, forbidden
    addi s10, s10, 1
  forbidden:
    li s9, 2
    csrw mcounteren, s9
    csrw scounteren, s9
    j back
  change:
    andi s9, s7, 32
    bnez s9, supervisor
    csrw mcounteren, zero
    j back
  supervisor:
    csrw scounteren, zero
  back:
    csrr s9, mepc
    addi s9, s9, 4
    csrw mepc, s9
    mret
  `;

/**
 * Flags are saved, cleared and put back; the floating point is off now and then, and comes back as initial, which the next
 * write makes dirty. s7 counts rounds, s11 accesses while it was off, s10 rounds in which they were read as inexact.
 */
const FLAGS_PROGRAM = `
    la t0, handler
    csrw mtvec, t0
    li t5, 0x6000
    li t6, 0x2000
    csrs mstatus, t6
    li t0, 3
    fcvt.d.l fa1, t0
    li t0, 1
    fcvt.d.l fa2, t0
  loop:
    frflags t1
    add s3, s3, t1
    flt.d t2, fa1, fa2
    fsflags t1
    csrr t3, mstatus
    add s6, s6, t3
    csrrsi t3, fflags, 24
    csrrci t4, fflags, 10
    add s4, s4, t3
    xor s4, s4, t4
    andi t2, s7, 7
    bnez t2, same
    fsflags s3, s7
    fdiv.d fa0, fa2, fa1
  same:
    fsub.d fa3, fa1, fa2
    frflags t1
    andi t1, t1, 1
    add s10, s10, t1
    csrr t1, mstatus
    xor s5, s5, t1
    addi s7, s7, 1
    andi t2, s7, 15
    bnez t2, loop
    csrc mstatus, t5
    andi t2, s7, 16
    beqz t2, loop
    csrs mstatus, t6
    j loop
  handler:
    addi s11, s11, 1
    csrs mstatus, t6
    csrr s9, mepc
    addi s9, s9, 4
    csrw mepc, s9
    mret
  `;

it.each([
  [
    'a program that saves floating-point flags and puts them back',
    FLAGS_PROGRAM,
    { 23: 'rounds', 27: 'accesses while it was off', 26: 'inexact rounds' },
  ],
  [
    'a kernel in S mode that turns interrupts off and on',
    PROGRAM,
    { 23: 'interrupts', 27: 'instructions with the floating point off', 26: 'times in U mode' },
  ],
  [
    'a program that may read the time, and may not',
    TIME_PROGRAM,
    { 23: 'reads', 27: 'illegal instructions', 26: 'writes' },
  ],
])('%s', (_, program, counts) => {
  const { bytes: image } = assemble(program, { base: Number(BASE) });
  let translator: RegionTranslator | null = null;
  const machine = new InterpreterMachine('none', (place) => {
    const options = { traceInterval: 31, threshold: 2, batch: 1, urgent: 1, minInsnsPerVisit: 0 };
    translator = new RegionTranslator(place, options);
    return translator;
  });
  const other = new InterpreterMachine();
  for (const one of [machine, other]) one.load({ image, base: BASE });
  for (let i = 0; i < STEPS; i++) {
    for (const one of [machine, other]) one.step(101 + i);
    expect(compareStates(machine.state(), other.state(), TRANSLATOR_STATE), `after step ${i}`).toEqual([]);
  }
  const { statistics } = (translator as RegionTranslator | null) ?? expect.fail('no translator was made');
  for (const [register, name] of Object.entries(counts)) {
    expect(Number(machine.hart.get('x', Number(register))), name).toBeGreaterThan(50);
  }
  expect(statistics.regions).toBeGreaterThan(0);
});
