/** What harts in S mode do to each other through the built-in SBI: HSM, IPIs, remote fences, the console. */
import { describe, expect, it, vi } from 'vitest';
import { hartState, sbiError } from '../../src/sbi/host.ts';
import {
  RESULTS_GPA,
  reaches,
  result,
  results,
  SHUTDOWN,
  sbi,
  sbiHarts,
  start,
  startOthers,
} from '../support/harts.ts';
import { within } from '../support/machines.ts';

const END_MS = 60_000;
const POWEROFF = { kind: 'poweroff', code: 0 };

const status = (hart: number): string => `li a0, ${hart}\n${sbi('hsm', 2)}`;
/** Waits until hart_get_status says so. @param label used once */
const untilStatus = (hart: number, state: number, label: string): string => `
  ${label}:
    ${status(hart)}
    li t0, ${state}
    bne a1, t0, ${label}
`;
const ipi = (mask: number, base: number): string => `li a0, ${mask}\nli a1, ${base}\n${sbi('ipi', 0)}`;
/** Leaves SSIP pending seen: waits for it, and clears it. @param label used once */
const untilIpi = (label: string): string => `
  ${label}:
    wfi
    csrr t0, sip
    andi t0, t0, 2
    beqz t0, ${label}
    csrci sip, 2
`;

describe('HSM', () => {
  it('starts, refuses, stops and starts again, from any hart', async () => {
    const vm = await sbiHarts(
      4,
      `
      ${result('a0', 0)}                       # the boot hart's number
      ${status(1)} ${result('a1', 1)}
      ${start(1, 'one', 1234)} ${result('a0', 2)}
      ${untilStatus(1, hartState.started, 'up')}
      ${start(1, 'one')} ${result('a0', 3)}
      ${start(0, 'one')} ${result('a0', 4)}
      ${start(4, 'one')} ${result('a0', 5)}
      li a0, 1
      li a1, 0x1000
      ${sbi('hsm', 0)} ${result('a0', 6)}      # the ROM is no place to begin
      li a0, 64
      ${sbi('hsm', 2)} ${result('a0', 7)}
    waits:
      li t0, ${RESULTS_GPA + 15 * 8}
      ld t0, 0(t0)
      beqz t0, waits
      ${SHUTDOWN}

    one:                                        # on hart 1, twice
      li s0, ${RESULTS_GPA + 8 * 8}
      mv s1, a1
      sd a0, 0(s0)
      sd a1, 8(s0)
      csrr t0, satp
      csrr t1, sstatus
      andi t1, t1, 2
      or t0, t0, t1
      sd t0, 16(s0)
      csrr t1, scounteren
      ${result('t1', 16)}                      # user programs may read the time
      li t0, 5678
      beq s1, t0, second
    answered:                                   # hart 0 still asks for a hart that runs
      li t0, ${RESULTS_GPA + 7 * 8}
      ld t0, 0(t0)
      beqz t0, answered
      ${start(2, 'two', 99)} ${result('a0', 11)}
      ${sbi('hsm', 1)}
      ${result('zero', 20)}
    two:
      ${result('a1', 12)}
      ${untilStatus(1, hartState.stopped, 'down')}
      ${start(1, 'one', 5678)} ${result('a0', 13)}
      ${sbi('hsm', 1)}
    second:
      ${untilStatus(2, hartState.stopped, 'twoDown')}
      li t0, 1
      ${result('t0', 15)}
      ${sbi('hsm', 1)}
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 17)).toEqual([
      ...[0, hartState.stopped, 0, sbiError.alreadyAvailable, sbiError.alreadyAvailable],
      ...[sbiError.invalidParam, sbiError.invalidAddress, sbiError.invalidParam],
      ...[1, 5678, 0, 0, 99, 0, 0, 1, 7],
    ]);
  });

  it('starts and stops the same harts many times', async () => {
    const rounds = 200;
    const vm = await sbiHarts(
      4,
      `
      li s0, ${rounds}
    round:
      li s1, 3
    each:
      ${start('s1', 'other', 's0')}
      li t0, ${sbiError.alreadyAvailable}
      beq a0, t0, each
      bnez a0, shutdown
      addi s1, s1, -1
      bnez s1, each
      addi s0, s0, -1
      bnez s0, round
      ${[1, 2, 3].map((hart) => untilStatus(hart, hartState.stopped, `down${hart}`)).join('')}
      ${SHUTDOWN}
    other:
      slli t0, a0, 3
      li t1, ${RESULTS_GPA}
      add t0, t0, t1
      ld t1, 0(t0)
      add t1, t1, a1
      sd t1, 0(t0)
      ${sbi('hsm', 1)}
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    const sum = (rounds * (rounds + 1)) / 2;
    expect(results(vm, 4)).toEqual([0, sum, sum, sum]);
  });

  it('suspends with and without retention until an enabled interrupt comes', async () => {
    const vm = await sbiHarts(
      2,
      `
      ${start(1, 'one')}
      ${untilStatus(1, hartState.suspended, 'first')}
      ${start(1, 'one')} ${result('a0', 0)}     # it is not stopped
      ${ipi(2, 0)}
      ${untilStatus(1, hartState.suspended, 'second')}
      li t0, ${RESULTS_GPA + 8}
    retained:
      ld t1, 0(t0)
      beqz t1, retained
      ${ipi(2, 0)}
    anew:
      ld t1, 24(t0)
      beqz t1, anew
      ${SHUTDOWN}
    one:
      csrwi sie, 2
      li s5, 77
      li a0, 0
      ${sbi('hsm', 3)}
      ${result('s5', 1)} ${result('a0', 2)}
      csrci sip, 2
    again:
      li a0, 0x80000000
      la a1, resumed
      li a2, 4321
      ${sbi('hsm', 3)}
      ${result('zero', 3)}
    resumed:
      ${result('a1', 3)}
      li t0, 1
      ${result('t0', 4)}
    halt: wfi
      j halt
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 5)).toEqual([sbiError.alreadyAvailable, 77, 0, 4321, 1]);
  });

  it('a suspended hart stays so while what comes is masked', async () => {
    const vm = await sbiHarts(
      2,
      `
      ${start(1, 'one')}
      ${untilStatus(1, hartState.suspended, 'first')}
      li s0, 200
    more:
      ${ipi(2, 0)}
      ${status(1)}
      li t0, ${hartState.suspended}
      bne a1, t0, woken
      addi s0, s0, -1
      bnez s0, more
    woken:
      ${result('s0', 1)}
      ${status(1)} ${result('a1', 0)}
      ${SHUTDOWN}
    one:
      csrwi sie, 0
      li a0, 0
      ${sbi('hsm', 3)}
    halt: j halt
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 2)).toEqual([hartState.suspended, 0]);
  });
});

describe('IPIs', () => {
  it('go to the harts of a mask, and to no others', async () => {
    // Each hart counts in its result what it has had; hart 0 sends the next when both have counted.
    const rounds = 50;
    const vm = await sbiHarts(
      4,
      `
      ${startOthers(4, 'other')}
      csrwi sie, 2
      li s2, 0
      li s3, ${RESULTS_GPA}
    round:
      ${ipi(0b101, 1)}                          # 1 and 3
      addi s2, s2, 1
    counted:
      ld t0, 8(s3)
      bne t0, s2, counted
      ld t0, 24(s3)
      bne t0, s2, counted
      li t0, ${rounds}
      bne s2, t0, round
      ${ipi(0b10000, 0)} ${result('a0', 4)}     # no hart 4
      li a0, 0
      li a1, -1
      ${sbi('ipi', 0)}                          # all, itself too
      ${untilIpi('self')}
      li t0, 1
      ${result('t0', 0)}
      j halt
    other:
      csrwi sie, 2
      slli s0, a0, 3
      li t1, ${RESULTS_GPA}
      add s0, s0, t1
    next:
      ${untilIpi('mine')}
      ld t0, 0(s0)
      addi t0, t0, 1
      sd t0, 0(s0)
      j next
    halt: wfi
      j halt
    `,
    );
    await reaches(vm, [1, rounds + 1, 1, rounds + 1, sbiError.invalidParam]);
  });
});

describe('the console', () => {
  it('is written and read by a hart that has none beside it', async () => {
    const vm = await sbiHarts(
      2,
      `
      ${start(1, 'one')}
    halt: wfi
      j halt
    one:
      li s0, 400                                # 400 lines of 26
    line:
      li a0, 26
      la a1, text
    rest:
      mv s1, a0
      mv s2, a1
      li a2, 0
      ${sbi('dbcn', 0)}
      bnez a0, halt
      add s2, s2, a1
      sub a0, s1, a1
      mv a1, s2
      bnez a0, rest
      addi s0, s0, -1
      bnez s0, line
    echo:
      li a0, 16
      li a1, ${RESULTS_GPA}
      li a2, 0
      ${sbi('dbcn', 1)}
      bnez a0, halt
      beqz a1, echo
      mv s1, a1
      li s2, ${RESULTS_GPA}
    bytes:
      lbu a0, 0(s2)
      ${sbi('dbcn', 2)}
      addi s2, s2, 1
      addi s1, s1, -1
      bnez s1, bytes
      j echo
    text: .ascii "abcdefghijklmnopqrstuvwxy\\n"
    `,
    );
    const line = 'abcdefghijklmnopqrstuvwxy\n';
    expect(await vm.console.expect(line.repeat(400), { timeoutMs: END_MS })).toBe(line.repeat(400));
    const text = `${Array.from({ length: 300 }, (_, i) => i).join(' ')}.`;
    vm.console.write(text);
    expect(await vm.console.expect('.', { timeoutMs: END_MS })).toBe(text);
  });
});

it('any hart may end the machine, or begin it anew', async () => {
  const vm = await sbiHarts(
    3,
    `
    ${start(2, 'two')}
  halt: wfi
    j halt
  two:
    ${SHUTDOWN.replace('li a0, 0', 'li a0, 1')}
  `,
  );
  const states: string[] = [];
  vm.states.subscribe((state) => states.push(state));
  await vi.waitFor(() => expect(states.filter((state) => state === 'stopping').length).toBeGreaterThan(5), {
    timeout: END_MS,
  });
});
