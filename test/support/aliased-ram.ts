/** RAM at two virtual addresses, for programs of a machine that begin at BASE. */
import { DTLB } from '../../src/hart/state.ts';
import type { InterpreterMachine } from './program-interpreter.ts';

const BASE = 0x8000_0000n;

/** Sv39, in S mode: the first two megabytes, and once more so many megabytes further up. */
export function mapAgain(machine: InterpreterMachine, megabytes: number): void {
  const [root, leaves] = [0x3_0000, 0x3_1000];
  const ram = machine.writableMemory();
  const entryFor = (address: bigint, bits: bigint): bigint => (address >> 2n) | bits;
  ram.setBigUint64(root + 2 * 8, entryFor(BASE + BigInt(leaves), 1n), true);
  for (const index of [0, megabytes / 2]) ram.setBigUint64(leaves + index * 8, entryFor(BASE, 0xcfn), true);
  machine.hart.set('satp', (8n << 60n) | ((BASE + BigInt(root)) >> 12n));
  machine.hart.set('pmpaddr', (1n << 54n) - 1n);
  machine.hart.set('pmpcfg', 0x1fn);
  machine.hart.setWord('priv', 1);
  machine.hart.afterLoad();
}

/** Apart from each other two pages share an entry of the data TLB, which has as many. */
export const COLLIDING_BYTES = DTLB.entries * 4096;

/**
 * Sums over one page, and then over two that share an entry: RAM is to be mapped again COLLIDING_BYTES further up.
 * @param times that they miss
 */
export function collidingSums(times: number): string {
  return `
      li t0, 0x80040000
      mv t1, t0
      li t3, 100
      call sums
      li t1, 0x80040000 + ${COLLIDING_BYTES}
      li t3, ${times / 200}
      call sums
    rest:
      wfi
      j rest
    sums:
      li t2, 100
    again:
      ld a0, 0(t0)
      add s0, s0, a0
      ld a1, 0(t1)
      add s1, s1, a1
      addi t2, t2, -1
      bnez t2, again
      addi t3, t3, -1
      xori t4, t3, 5
      addi t4, t4, 3
      xori t4, t4, 7
      bnez t3, sums
      ret
    `;
}
