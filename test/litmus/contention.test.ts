/** Atomics, locks and code among harts in threads of their own. Needs the build. */
import { afterAll, describe, expect, it } from 'vitest';
import { barrier, begin, finish, HartPool, SHARED } from './pool.ts';

const HARTS = 3;
const ROUNDS = 20_000;
const FLAG = SHARED + 64;
const ANSWER = SHARED + 128;
const RESULT = SHARED + 192;

const pool = new HartPool();
afterAll(() => pool.close());

/** The same loop in every hart, begun together; a0 is SHARED, a1 the hart, a2 the rounds, s8 is 1. */
function loops(harts: number, body: (hart: number) => string, rounds = ROUNDS): string {
  return Array.from(
    { length: harts },
    (_, hart) => `
      ${begin(hart)}
      ${barrier(`start${hart}`, harts)}
      li a0, ${SHARED}
      li a1, ${hart}
      li a2, ${rounds}
      li s8, 1
    round${hart}:
      ${body(hart)}
      addi a2, a2, -1
      bnez a2, round${hart}
      ${finish(`end${hart}`)}`,
  ).join('\n');
}

describe('atomics under contention lose nothing', () => {
  it.each(['w', 'd'])('LR and SC, .%s', async (size) => {
    const add = (hart: number): string => `
      again${hart}: lr.${size} t0, (a0)
      addi t0, t0, 1
      sc.${size} t1, t0, (a0)
      bnez t1, again${hart}`;
    await pool.run(loops(HARTS, add), HARTS);
    expect(pool.read(SHARED)).toBe(BigInt(HARTS * ROUNDS));
  });

  it.each(['w', 'd'])('amoadd.%s returns every value once', async (size) => {
    // The sum of what was found: 0 + 1 + ... + (n - 1).
    const add = (hart: number): string => `
      amoadd.${size} t0, s8, (a0)
      ld t1, ${RESULT - SHARED + hart * 64}(a0)
      add t1, t1, t0
      sd t1, ${RESULT - SHARED + hart * 64}(a0)`;
    await pool.run(loops(HARTS, add), HARTS);
    const total = HARTS * ROUNDS;
    expect(pool.read(SHARED)).toBe(BigInt(total));
    const found = Array.from({ length: HARTS }, (_, hart) => Number(pool.read(RESULT + hart * 64)));
    expect(found.reduce((sum, one) => sum + one, 0)).toBe((total * (total - 1)) / 2);
  });

  const identities = { or: 0, xor: 0, and: -1, max: -(2 ** 30), min: 2 ** 30, maxu: 0, minu: -1, add: 0 };
  const operations = Object.entries(identities).flatMap(([name, operand]) =>
    ['w', 'd'].map((size) => [`amo${name}.${size}`, operand] as const),
  );
  it.each(operations)('%s with %i changes nothing beside an amoadd', async (name, operand) => {
    const size = name.at(-1);
    const body = (hart: number): string =>
      hart === 0 ? `amoadd.${size} t0, s8, (a0)` : `li t1, ${operand}\n ${name} t0, t1, (a0)`;
    await pool.run(loops(2, body), 2);
    expect(pool.read(SHARED)).toBe(BigInt(ROUNDS));
  });

  it('amoswap.d: what was put in is found once', async () => {
    // Each hart sums what it takes out minus what it puts in; with what is left it comes to zero.
    const swap = (hart: number): string => `
      slli t2, a2, 2
      add t2, t2, a1
      amoswap.d t0, t2, (a0)
      ld t1, ${RESULT - SHARED + hart * 64}(a0)
      add t1, t1, t0
      sub t1, t1, t2
      sd t1, ${RESULT - SHARED + hart * 64}(a0)`;
    await pool.run(loops(HARTS, swap), HARTS);
    const balance = Array.from({ length: HARTS }, (_, hart) => pool.read(RESULT + hart * 64));
    expect(
      BigInt.asUintN(
        64,
        balance.reduce((sum, one) => sum + one, pool.read(SHARED)),
      ),
    ).toBe(0n);
  });
});

describe('locks', () => {
  const counted = `
    ld t1, 64(a0)
    addi t1, t1, 1
    sd t1, 64(a0)`;

  it('amoswap.aq and amoswap.rl guard a plain counter, with more harts than cores', async () => {
    const body = (hart: number): string => `
      take${hart}: amoswap.w.aq t0, s8, (a0)
      beqz t0, taken${hart}
      pause
      j take${hart}
    taken${hart}: ${counted}
      amoswap.w.rl zero, zero, (a0)`;
    await pool.run(loops(4, body, ROUNDS / 4), 4);
    expect(pool.read(SHARED + 64)).toBe(BigInt(ROUNDS));
  });

  it('a ticket lock that waits in wrs.sto', async () => {
    const body = (hart: number): string => `
      addi a3, a0, 128
      amoadd.w.aq t0, s8, (a0)
    look${hart}: lr.w.aq t1, (a3)
      beq t0, t1, taken${hart}
      wrs.sto
      j look${hart}
    taken${hart}: ${counted}
      addi t1, t0, 1
      fence rw, w
      sw t1, 0(a3)`;
    await pool.run(loops(HARTS, body, 500), HARTS);
    expect(pool.read(SHARED + 64)).toBe(BigInt(HARTS * 500));
  });
});

/** Hart 0 reserves, hart 1 stores, hart 0 tries to store; RESULT counts how often it could. */
function betweenLrAndSc(store: string): string {
  const handshake = (hart: number): string =>
    hart === 0
      ? `lr.w t0, (a0)
      sw a2, ${FLAG - SHARED}(a0)
    wait0: pause
      lw t1, ${ANSWER - SHARED}(a0)
      bne t1, a2, wait0
      fence rw, rw
      sc.w t1, s8, (a0)
      bnez t1, failed
      ld t1, ${RESULT - SHARED}(a0)
      addi t1, t1, 1
      sd t1, ${RESULT - SHARED}(a0)
    failed: fence rw, rw
      sw zero, 0(a0)
      fence rw, rw
      sw zero, ${FLAG - SHARED}(a0)
    done0: pause
      lw t1, ${ANSWER - SHARED}(a0)
      bnez t1, done0`
      : `wait1: pause
      lw t1, ${FLAG - SHARED}(a0)
      bne t1, a2, wait1
      fence rw, rw
      ${store}
      fence rw, rw
      sw a2, ${ANSWER - SHARED}(a0)
    done1: pause
      lw t1, ${FLAG - SHARED}(a0)
      bnez t1, done1
      sw zero, ${ANSWER - SHARED}(a0)`;
  return loops(2, handshake, 500);
}

describe('SC', () => {
  it('fails when another hart has written', async () => {
    await pool.run(betweenLrAndSc('li t0, 7\n sw t0, 0(a0)'), 2);
    expect(pool.read(RESULT)).toBe(0n);
  });

  it('succeeds where another hart has written the value that was there: the deviation', async () => {
    await pool.run(betweenLrAndSc('sw zero, 0(a0)'), 2);
    expect(pool.read(RESULT)).toBe(500n);
  });
});

describe('code that another hart has written', () => {
  it('runs behind fence.i', async () => {
    // Hart 0 writes `addi a5, zero, n`, hart 1 runs it and answers with a5; RESULT counts wrong answers.
    const opcode = 0x793;
    const body = (hart: number): string =>
      hart === 0
        ? `andi t0, a2, 0x7ff
      slli t1, t0, 20
      addi t1, t1, ${opcode}
      la t2, patch
      sw t1, 0(t2)
      fence rw, rw
      sw a2, ${FLAG - SHARED}(a0)
    wait0: pause
      lw t1, ${ANSWER - SHARED}(a0)
      bne t1, a2, wait0
      fence rw, rw
      lw t1, ${ANSWER - SHARED + 4}(a0)
      beq t1, t0, right
      ld t1, ${RESULT - SHARED}(a0)
      addi t1, t1, 1
      sd t1, ${RESULT - SHARED}(a0)
    right:`
        : `wait1: pause
      lw t1, ${FLAG - SHARED}(a0)
      bne t1, a2, wait1
      fence.i
    patch: addi a5, zero, 0
      sw a5, ${ANSWER - SHARED + 4}(a0)
      fence rw, rw
      sw a2, ${ANSWER - SHARED}(a0)`;
    await pool.run(loops(2, body, 2000), 2);
    expect(pool.read(RESULT)).toBe(0n);
  });
});
