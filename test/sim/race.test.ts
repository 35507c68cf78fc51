/** Races between harts, and between a hart and a device: some seeds find them, and find them again. */
import { describe, expect, it } from 'vitest';
import { FINISH, runOf, simulated } from './support.ts';

const ROUNDS = 20;
const SEEDS = Array.from({ length: 30 }, (_, i) => i + 1);

/** Two harts add to one counter under a lock. */
const counting = (takeLock: string) => `
  la s0, counter
  la s1, lock
  la s2, done
  li s3, ${ROUNDS}
again:
  ${takeLock}
  ld t0, 0(s0)
  addi t0, t0, 1
  sd t0, 0(s0)
  amoswap.w.rl zero, zero, (s1)
  addi s3, s3, -1
  bnez s3, again
  li t0, 1
  amoadd.w.aqrl zero, t0, (s2)
  csrr t0, mhartid
  bnez t0, stand
others:
  lw t0, 0(s2)
  li t1, 2
  bne t0, t1, others
  ld t0, 0(s0)
  li t1, ${2 * ROUNDS}
  li t2, 0x5555
  beq t0, t1, tell
  li t2, 0x13333
tell:
  ${FINISH}
.align 3
counter: .dword 0
lock: .word 0
done: .word 0
`;

/** Looks, and then takes: two may look before one takes. */
const LOOK_AND_TAKE = `
taken:
  lw t0, 0(s1)
  bnez t0, taken
  li t0, 1
  sw t0, 0(s1)
`;
const TAKE = `
taken:
  li t0, 1
  amoswap.w.aq t0, t0, (s1)
  bnez t0, taken
`;

/** Hart 1 wakes hart 0 through the ACLINT, again and again; the interrupt handler sets the flag that hart 0 waits for. */
const waking = (beforeLook: string, afterWake: string) => `
  la s0, flag
  la s2, round
  li s1, CLINT
  li s3, ${ROUNDS}
  csrr t0, mhartid
  bnez t0, waker
  la t0, handler
  csrw mtvec, t0
  li t0, 8
  csrw mie, t0
  csrsi mstatus, 8
next:
  sw s3, 0(s2)
look:
  ${beforeLook}
  lw t0, 0(s0)
  bnez t0, woken
  wfi
  ${afterWake}
  j look
woken:
  ${afterWake}
  sw zero, 0(s0)
  addi s3, s3, -1
  bnez s3, next
  li t2, 0x5555
  ${FINISH}
handler:
  sw zero, 0(s1)
  li t0, 1
  sw t0, 0(s0)
  mret
waker:
  lw t0, 0(s2)
  bne t0, s3, waker
  li t0, 1
  sw t0, 0(s1)
  addi s3, s3, -1
  bnez s3, waker
  j stand
.align 3
flag: .dword 0
round: .dword 0
`;
const SLEEPS_AFTER_LOOKING = waking('', '');
/** With interrupts off from the look to the sleep: wfi ends for one that is pending all the same. */
const SLEEPS_SAFELY = waking('csrci mstatus, 8', 'csrsi mstatus, 8');

/** How a program ends that should take far less than the time given; `hangs` if it does not. */
async function outcome(source: string, seed: number): Promise<string> {
  const vm = await simulated(source, { seed });
  const run = runOf(vm);
  const over = run.runUntil({ timeNs: 4_000_000 });
  vm.start();
  await over;
  const how = vm.state === 'shutdown' ? (await vm.finished).kind : 'hangs';
  const { steps, logHash } = run;
  await vm.stop();
  return `${how} after ${steps} steps: ${logHash}`;
}

/** The first of the seeds with which it does not end well. */
async function failure(source: string): Promise<{ seed: number; how: string } | null> {
  for (const seed of SEEDS) {
    const how = await outcome(source, seed);
    if (!how.startsWith('poweroff')) return { seed, how };
  }
  return null;
}

describe.each([
  ['two harts in a lock', 'fail', counting(LOOK_AND_TAKE), counting(TAKE)],
  ['an interrupt before wfi', 'hangs', SLEEPS_AFTER_LOOKING, SLEEPS_SAFELY],
])('a race: %s', (_name, how, broken, working) => {
  it('is found by some seed, which finds it each time', async () => {
    const found = await failure(broken);
    expect(found?.how).toMatch(new RegExp(`^${how} `));
    for (let i = 0; i < 3; i++) expect(await outcome(broken, found?.seed ?? 0)).toBe(found?.how);
  });

  it('is found by none once it is gone', async () => {
    expect(await failure(working)).toBeNull();
  });
});
