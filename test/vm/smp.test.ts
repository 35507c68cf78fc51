/** Machines of several harts without firmware: all begin, and what they do to each other through the board's registers. */
import { describe, expect, it, vi } from 'vitest';
import { assemble } from '../../src/isa/asm.ts';
import { makeElf } from '../boot-loaders/files.ts';
import { bareHarts, FINISH, reaches, result, results } from '../support/harts.ts';
import { machine, RAM_BASE, within } from '../support/machines.ts';

const END_MS = 60_000;
const POWEROFF = { kind: 'poweroff', code: 0 };

describe('harts without firmware', () => {
  it.each([2, 4, 16])('%d all begin, each with its number', async (harts) => {
    const vm = await bareHarts(
      harts,
      `
      csrr t0, mhartid
      bne t0, a0, wrong
      slli t1, t0, 3
      li t2, RAM + 0x400000
      add t1, t1, t2
      addi t0, t0, 100
      sd t0, 0(t1)
    wrong:
      wfi
      j wrong
    `,
    );
    await reaches(
      vm,
      Array.from({ length: harts }, (_, i) => 100 + i),
    );
  });

  it('see what the others store, in order, and atomics', async () => {
    const rounds = 20_000;
    const vm = await bareHarts(
      4,
      `
      li s0, RAM + 0x400000
      li s1, ${rounds}
    count:
      li t0, 1
      amoadd.d zero, t0, (s0)
      addi s2, s0, 8
    again:
      lr.d t1, (s2)
      addi t1, t1, 1
      sc.d t2, t1, (s2)
      bnez t2, again
      addi s1, s1, -1
      bnez s1, count
      addi s0, s0, 16
      amoadd.d t0, t0, (s0)
    stop:
      bnez a0, halt
      ld t1, 0(s0)
      li t2, 4
      bne t1, t2, stop
      j finish
    halt: wfi
      j halt
      ${FINISH}
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 3)).toEqual([4 * rounds, 4 * rounds, 4]);
  });

  it('send software interrupts both ways', async () => {
    const rounds = 300;
    const vm = await bareHarts(
      2,
      `
      li s0, CLINT
      slli t0, a0, 2
      add s1, s0, t0          # mine
      xori t0, t0, 4
      add s2, s0, t0          # the other's
      csrwi mie, 8
      li s3, ${rounds}
      li s4, 1
      bnez a0, wait
    send:
      sw s4, 0(s2)
    wait:
      wfi
      csrr t0, mip
      andi t0, t0, 8
      beqz t0, wait
      sw zero, 0(s1)
    fallen:                   # the wire comes from another thread
      csrr t0, mip
      andi t0, t0, 8
      bnez t0, fallen
      addi s3, s3, -1
      slli t0, a0, 3
      li t1, RAM + 0x400000
      add t0, t0, t1
      sd s3, 0(t0)
      bnez s3, send
      beqz a0, finish
      sw s4, 0(s2)
    stay: wfi
      j stay
      ${FINISH}
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 2)).toEqual([0, 0]);
  });

  it('set the timer of another hart', async () => {
    const vm = await bareHarts(
      3,
      `
      li s0, CLINT
      li t0, 0x80
      csrw mie, t0
      li t1, 2
      beq a0, t1, setter
    wait:
      wfi
      csrr t0, mip
      andi t0, t0, 0x80
      beqz t0, wait
      slli t0, a0, 3
      li t1, RAM + 0x400000
      add t0, t0, t1
      li t1, 7
      sd t1, 0(t0)
      j wait
    setter:
      li t2, 0x4000
      add s1, s0, t2
      rdtime t0
      li t1, 20000
      add t0, t0, t1
      sd t0, 0(s1)
      sd t0, 8(s1)
    reads:                    # it reads back what it wrote
      ld t1, 8(s1)
      bne t1, t0, halt
      ${result('t1', 3)}
    halt: wfi
      j halt
    `,
    );
    await reaches(vm, [7, 7]);
    await vi.waitFor(() => expect(results(vm, 1, 3)[0]).toBeGreaterThan(20_000), { timeout: END_MS });
  });

  it('reach UART and PLIC from any hart, and take the interrupt there', async () => {
    // Hart 3, M context 6; THR empty raises source 10.
    const vm = await bareHarts(
      4,
      `
      li t0, 3
      bne a0, t0, halt
      li s0, UART
      la s1, text
    print:
      lbu a1, 0(s1)
      beqz a1, printed
      addi s1, s1, 1
    full:
      lbu t0, 5(s0)
      andi t0, t0, 0x20
      beqz t0, full
      sb a1, 0(s0)
      j print
    printed:
      li s2, PLIC
      li t0, 5
      sw t0, 40(s2)           # priority of source 10
      li t0, 0x400
      li t1, 0x2300           # enables of context 6
      add t1, t1, s2
      sw t0, 0(t1)
      li t0, 0x800
      csrw mie, t0
      li t0, 2
      sb t0, 1(s0)            # IER: THR empty
    wait:
      wfi
      csrr t0, mip
      srli t0, t0, 11
      andi t0, t0, 1
      beqz t0, wait
      li t1, 0x206004         # claim of context 6
      add t1, t1, s2
      lw s3, 0(t1)
      sb zero, 1(s0)
      sw s3, 0(t1)
      ${result('s3', 0)}
    fallen:
      csrr t0, mip
      srli t0, t0, 11
      andi t0, t0, 1
      bnez t0, fallen
      lw s3, 0(t1)
      addi s3, s3, 50
      ${result('s3', 1)}
      j finish
    halt: wfi
      j halt
    text: .asciz "three speaks"
      .align 2
      ${FINISH}
    `,
    );
    await vm.console.expect('three speaks', { timeoutMs: END_MS });
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 2)).toEqual([10, 50]);
  });

  it('go on both where one hammers the UART of the other, which hammers the RTC', async () => {
    const rounds = 2000;
    const vm = await bareHarts(
      2,
      `
      li s0, RTC
      li s1, ${rounds}
      beqz a0, hammer
      li s0, UART + 4
    hammer:
      lbu t0, 0(s0)
      addi s1, s1, -1
      slli t0, a0, 3
      li t1, RAM + 0x400000
      add t0, t0, t1
      sd s1, 0(t0)
      bnez s1, hammer
    halt: wfi
      j halt
    `,
    );
    await reaches(vm, [0, 0]);
  });

  it('write faster to devices of other threads than those take, and lose nothing', async () => {
    // Two harts at the UART's scratch register and the RTC's alarm: rings fill. Hart 2 waits for what it wrote last.
    const writes = 20_000;
    const vm = await bareHarts(
      3,
      `
      beqz a0, halt
      li s1, ${writes}
      li t0, 1
      bne a0, t0, scratch
      li s0, RTC + 8          # ALARM_LOW
    write:
      sw s1, 0(s0)
      addi s1, s1, -1
      bnez s1, write
      li t0, 0x5a
      sw t0, 0(s0)
      lw t1, 0(s0)
      j written
    scratch:
      li s0, UART + 7
    again:
      sb s1, 0(s0)
      addi s1, s1, -1
      bnez s1, again
      li t0, 0x5a
      sb t0, 0(s0)
      lbu t1, 0(s0)
    written:
      slli t0, a0, 3
      li t2, RAM + 0x400000
      add t0, t0, t2
      addi t1, t1, 1
      sd t1, 0(t0)
    halt: wfi
      j halt
    `,
    );
    await reaches(vm, [0x5b], 2);
    // Its alarm register need not read as written; the read is answered behind all writes.
    await vi.waitFor(() => expect(results(vm, 1, 1)[0]).not.toBe(0), { timeout: END_MS });
  });

  it.each([1, 3])('hart %d ends the machine through HTIF', async (who) => {
    const source = `
      li t0, ${who}
      bne a0, t0, halt
      la t0, tohost
      li t1, 11
      sd t1, 0(t0)
    halt: wfi
      j halt
    .align 6
    tohost: .dword 0
    `;
    const { bytes, symbols } = assemble(source, { base: RAM_BASE });
    const tohost = Number(symbols.get('tohost'));
    const kernel = makeElf({ segments: [{ paddr: RAM_BASE, bytes, lengthBytes: bytes.length }], symbols: { tohost } });
    const vm = await machine({ harts: 4, bios: 'none', kernel });
    vm.start();
    expect(await within(END_MS, 'the end', vm.finished)).toEqual({ kind: 'fail', code: 5 });
  });

  it('any hart ends the machine through the test finisher', async () => {
    const vm = await bareHarts(4, `li t0, 2\nbeq a0, t0, finish\nhalt: wfi\nj halt\n${FINISH}`);
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
  });

  it('more than the host has cores pass a lock around', async () => {
    const [harts, rounds] = [16, 40];
    const vm = await bareHarts(
      harts,
      `
      li s0, RAM + 0x400000
      li s1, ${rounds}
      li s3, ${harts}
    ticket:                    # a fair lock: whoever holds the number that is served
      li t0, 1
      amoadd.w s2, t0, (s0)
    spin:
      lw t0, 8(s0)
      bne t0, s2, spin
      ld t1, 16(s0)
      addi t1, t1, 1
      sd t1, 16(s0)
      fence
      addi t0, s2, 1
      sw t0, 8(s0)
      addi s1, s1, -1
      bnez s1, ticket
      li t0, 1
      addi s0, s0, 24
      amoadd.w t0, t0, (s0)
      addi t0, t0, 1
      beq t0, s3, finish
    halt: wfi
      j halt
      ${FINISH}
    `,
    );
    expect(await within(100_000, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 4)).toEqual([harts * rounds, harts * rounds, harts * rounds, harts]);
  });
});
