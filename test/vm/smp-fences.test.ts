/** Remote fences of the built-in SBI: what one hart maps or writes, and the others see. */
import { describe, expect, it } from 'vitest';
import { sbiError } from '../../src/sbi/host.ts';
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
import { RAM_BASE, within } from '../support/machines.ts';

const END_MS = 60_000;
const POWEROFF = { kind: 'poweroff', code: 0 };

describe('remote fences', () => {
  it('a page that one hart maps elsewhere is seen there by another once the fence is done', async () => {
    const rounds = 100;
    const [root, middle, leaf, a, b] = [0x30_0000, 0x30_1000, 0x30_2000, 0x30_3000, 0x30_4000].map(
      (offset) => RAM_BASE + offset,
    ) as [number, number, number, number, number];
    const pte = (gpa: number, flags: number): string =>
      `0x${(((BigInt((gpa >> 12) >>> 0) & 0xfffffn) << 10n) | BigInt(flags)).toString(16)}`;
    const RWX = 0xcf;
    const vm = await sbiHarts(
      2,
      `
      li t0, ${root}
      li t1, ${pte(RAM_BASE, RWX)}              # a gigapage: RAM where it is
      sd t1, 16(t0)
      li t1, ${pte(middle, 1)}
      sd t1, 8(t0)                              # 0x40000000
      li t0, ${middle}
      li t1, ${pte(leaf, 1)}
      sd t1, 0(t0)
      li s1, ${leaf}
      li s2, ${pte(a, RWX)}
      li s3, ${pte(b, RWX)}
      sd s2, 40(s1)                             # 0x40005000: not where RAM's pages have their place in the TLB
      li t0, ${a}
      li t1, 1
      sd t1, 0(t0)
      li t0, ${b}
      li t1, 2
      sd t1, 0(t0)
      ${start(1, 'one')}
      li s4, ${rounds}
      li s5, 0                                  # step: even seen, odd asked
      li s6, ${RESULTS_GPA}
    round:
      call ask                                  # fills the other's TLB
      sd s3, 40(s1)
      fence
      call ask                                  # may see either
      li a0, 2
      li a1, 0
      li a2, 0x40005000
      li a3, 0x1000
      ${sbi('rfence', 1)}
      bnez a0, shutdown
      call ask                                  # must see the new one
      ld t0, 40(s6)
      ld t1, 48(s6)
      add t0, t0, t1
      sd t0, 40(s6)
      mv t0, s2
      mv s2, s3
      mv s3, t0
      addi s4, s4, -1
      bnez s4, round
      j shutdown
    ask:
      addi s5, s5, 1
      sd s5, 0(s6)
    answered:
      ld t0, 8(s6)
      bne t0, s5, answered
      ret
      ${SHUTDOWN}
    one:
      li t0, ${(8n << 60n).toString()} + ${root >>> 0} / 4096
      csrw satp, t0
      sfence.vma
      li s0, 0x40005000
      li s1, ${RESULTS_GPA}
      li s2, 0
      li s7, 1                                  # what the page was before
    wait:
      ld t0, 0(s1)
      beq t0, s2, wait
      mv s2, t0
      ld s3, 0(s0)
      li t1, 3
      remu t1, t0, t1
      li t2, 2
      beq t1, t2, stale
      beqz t1, fresh
      # First of three: what stands since the last round.
      bne s3, s7, wrong
      j reply
    stale:
      bne s3, s7, reply
      ld t1, 16(s1)                             # the TLB's, still
      addi t1, t1, 1
      sd t1, 16(s1)
      j reply
    fresh:
      li t1, 3
      sub s7, t1, s7
      bne s3, s7, wrong
      ld t1, 24(s1)
      addi t1, t1, 1
      sd t1, 24(s1)
    reply:
      sd s2, 8(s1)
      j wait
    wrong:
      ld t1, 32(s1)
      addi t1, t1, 1
      sd t1, 32(s1)
      j reply
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    const [, , stale = 0, fresh, wrong] = results(vm, 5);
    expect({ fresh, wrong }).toEqual({ fresh: rounds, wrong: 0 });
    // Without a fence the old one is seen, or there would be nothing to test.
    expect(stale).toBeGreaterThan(0);
  });

  it('code that one hart writes is executed by another once fence.i is done, all fencing each other', async () => {
    const rounds = 100;
    const vm = await sbiHarts(
      4,
      `
      ${startOthers(4, 'begin')}
      li a0, 0
    begin:
      # Each hart writes the code that the next one runs: li a0, n; ret.
      mv s0, a0
      li s1, ${rounds}
      li s2, ${RAM_BASE + 0x31_0000}
      slli t0, s0, 12
      add s3, s2, t0                            # mine to run
      addi t0, s0, 1
      andi t0, t0, 3
      li s5, 1
      sll s5, s5, t0                            # who runs what I write
      slli t0, t0, 12
      add s4, s2, t0
      li s6, 0
    round:
      slli t0, s1, 20
      li t1, 0x513
      or t0, t0, t1
      sw t0, 0(s4)
      li t0, 0x8067
      sw t0, 4(s4)
      mv a0, s5
      li a1, 0
      ${sbi('rfence', 0)}
      bnez a0, wrong
      fence rw, rw
      sd s1, 256(s4)                            # the number that it should give
      # Mine has been written?
    mine:
      ld t0, 256(s3)
      bne t0, s1, mine
      jalr s3
      bne a0, s1, wrong
      addi s6, s6, 1
      li t0, -1
      sd t0, 264(s3)
      sd s1, 272(s3)                            # run
    next:
      ld t0, 272(s4)
      bne t0, s1, next                          # the next hart has run what I wrote
      addi s1, s1, -1
      bnez s1, round
    wrong:
      slli t0, s0, 3
      li t1, ${RESULTS_GPA}
      add t0, t0, t1
      sd s6, 0(t0)
    halt: wfi
      j halt
    `,
    );
    await reaches(vm, [rounds, rounds, rounds, rounds]);
  });
  it('refuse ranges that wrap and harts that are not there', async () => {
    const vm = await sbiHarts(
      2,
      `
      li a0, 4
      li a1, 0
      ${sbi('rfence', 0)} ${result('a0', 0)}
      li a0, 2
      li a1, 0
      li a2, -4096
      li a3, 0x2000
      ${sbi('rfence', 1)} ${result('a0', 1)}
      li a0, 3
      li a1, 0
      li a2, 0x1000
      li a3, -8192
      li a4, 1
      ${sbi('rfence', 2)} ${result('a0', 2)}    # longer than a word counts pages; hart 1 is stopped
      ${SHUTDOWN}
    `,
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 3)).toEqual([sbiError.invalidParam, sbiError.invalidAddress, 0]);
  });
});
