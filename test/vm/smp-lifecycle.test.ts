/** Pause, resume, reset and stop of machines whose four harts are in the middle of what they do to each other. */
import { describe, expect, it, vi } from 'vitest';
import type { Vm } from '../../src/index.ts';
import { Prng } from '../../src/util/prng.ts';
import { bareHarts, RESULTS_GPA, results, sbi, sbiHarts } from '../support/harts.ts';
import { sleep, within } from '../support/machines.ts';

const HARTS = 4;
const ROUNDS = 150;
const LATE_MS = 30_000;

/** Counts one in the result of the hart whose number is in s11. */
const count = `
  slli t0, s11, 3
  li t1, ${RESULTS_GPA}
  add t0, t0, t1
  ld t1, 0(t0)
  addi t1, t1, 1
  sd t1, 0(t0)
`;

/** Every hart reads and writes far registers, and sends software interrupts and timers around the ring. */
const BARE = `
  mv s11, a0
  li s0, CLINT
  addi t0, a0, 1
  andi t0, t0, 3
  slli t0, t0, 2
  add s1, s0, t0              # msip of the next
  slli t0, a0, 2
  add s2, s0, t0              # mine
  li s3, UART
  li s4, RTC
  li t0, 0x4000
  slli t1, a0, 3
  add s5, t0, t1
  add s5, s0, s5              # my mtimecmp
  li t0, 0x88
  csrw mie, t0
again:
  li t0, 1
  sw t0, 0(s1)
  lbu t0, 5(s3)
  sb t0, 7(s3)
  lw t0, 0(s4)
  sw t0, 8(s4)
  rdtime t0
  addi t0, t0, 500
  sd t0, 0(s5)
  wfi
  sw zero, 0(s2)
  ${count}
  j again
`;

/** Hart 0 starts the others again and again; they fence each other, suspend, write to the console and stop. */
const SBI = `
  li s11, 0
again:
  ${count}
  li s1, 3
each:
  mv a0, s1
  la a1, other
  li a2, 0
  ${sbi('hsm', 0)}
  li a0, 15
  li a1, 0
  li a2, 0x1000
  li a3, 0x3000
  ${sbi('rfence', 1)}
  li a0, 14
  li a1, 0
  ${sbi('ipi', 0)}
  mv a0, s1
  ${sbi('hsm', 2)}
  addi s1, s1, -1
  bnez s1, each
  j again
other:
  mv s11, a0
  ${count}
  csrwi sie, 2
  li a0, 15
  li a1, 0
  ${sbi('rfence', 0)}
  li a0, 46
  ${sbi('dbcn', 2)}
  li a0, 0
  ${sbi('hsm', 3)}
  csrci sip, 2
  li a0, 1
  li a1, -1
  ${sbi('rfence', 0)}
  ${sbi('hsm', 1)}
wrong: j wrong
`;

const SITUATIONS = [
  ['interrupts and far registers', () => bareHarts(HARTS, BARE)],
  ['HSM, fences and IPIs', () => sbiHarts(HARTS, SBI)],
] as const;

/** All harts count on. */
async function counts(vm: Vm): Promise<void> {
  const before = results(vm, HARTS);
  await vi.waitFor(
    () => {
      const now = results(vm, HARTS);
      for (const [hart, value] of now.entries()) expect(value, `hart ${hart}`).toBeGreaterThan(before[hart] ?? 0);
    },
    { timeout: LATE_MS, interval: 5 },
  );
}

describe.each(SITUATIONS)('four harts in %s', (_what, begin) => {
  it('pause and resume hundreds of times', async () => {
    const vm = await begin();
    const prng = new Prng(1);
    await counts(vm);
    for (let round = 0; round < ROUNDS; round++) {
      await within(LATE_MS, `pause ${round}`, vm.pause());
      if (round % 10 === 0) {
        const standing = results(vm, HARTS);
        await sleep(5);
        expect(results(vm, HARTS)).toEqual(standing);
      }
      vm.resume();
      if (prng.below(2) === 0) await sleep(prng.below(5));
    }
    expect(vm.state).toBe('running');
    await counts(vm);
  });

  it('are reset hundreds of times, also while a pause is under way', async () => {
    const vm = await begin();
    const prng = new Prng(2);
    await counts(vm);
    for (let round = 0; round < ROUNDS; round++) {
      const paused = prng.below(3) === 0 ? vm.pause() : null;
      vm.reset();
      if (paused !== null) await within(LATE_MS, `pause ${round}`, paused);
      vm.resume();
      await sleep(prng.below(5));
    }
    await vi.waitFor(() => expect(vm.state).toBe('running'), { timeout: LATE_MS });
    await counts(vm);
    await within(LATE_MS, 'a pause', vm.pause());
    vm.reset();
    expect(results(vm, HARTS)).toEqual([0, 0, 0, 0]);
    vm.resume();
    await counts(vm);
  });

  it('stop at once', async () => {
    for (let round = 0; round < 3; round++) {
      const vm = await begin();
      await sleep(round * 20);
      if (round === 1) void vm.pause().catch(() => {});
      if (round === 2) vm.reset();
      await within(LATE_MS, 'stop', vm.stop());
      expect(vm.state).toBe('stopped');
    }
  });

  it('stop in the middle of a reset, and send the machine nothing behind that', async () => {
    // How xstate says that something was sent to an actor that has ended.
    const warned = vi.spyOn(globalThis.console as unknown as { warn(text: string): void }, 'warn');
    for (let turns = 0; turns < 12; turns++) {
      const vm = await begin();
      await counts(vm);
      vm.reset();
      await vi.waitUntil(() => vm.state === 'resetting', { timeout: LATE_MS, interval: 0 });
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      await within(LATE_MS, 'stop', vm.stop());
      expect(vm.state).toBe('stopped');
    }
    await sleep(20);
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });
});
