/**
 * A memory map that changes while others look: one hart moves BARs, disables and enables them, lays one over the other,
 * and the others read all the places meanwhile. What a register reads says which one it was. BOTTOMHALF_SOAK=1: a
 * million accesses.
 */
import { describe, expect, it } from 'vitest';
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import { FINISH, results } from '../support/harts.ts';
import { bare, RAM_BASE, within } from '../support/machines.ts';
import { beacon, beaconValue } from '../support/pci-beacon.ts';
import { configGpa, MMIO, MMIO_HIGH, PCI_LIBRARY, PIO, TRAPPED } from '../support/pci-guest.ts';

const IS_SOAK = process.env['BOTTOMHALF_SOAK'] !== undefined;
const END_MS = 110_000;
const POWEROFF = { kind: 'poweroff', code: 0 };

const [A, B] = [0xa1, 0xb2];
const [CONFIG_A, CONFIG_B] = [configGpa(2 << 3), configGpa(3 << 3)];
const functions: VmPciDevice[] = [
  { name: 'a', definition: beacon as never, addr: 2, config: { mark: A } },
  { name: 'b', definition: beacon as never, addr: 3, config: { mark: B } },
];
/** Places of both BARs 0: pages that lie apart, and side by side. */
const [P0, P1, P2] = [MMIO + 0x10_0000, MMIO + 0x3000, MMIO + 0x4000];
const [Q0, Q1] = [0x2000, 0x8000];
const [H0, H1] = [MMIO_HIGH + 0x10_0000, MMIO_HIGH + 2 ** 32 + 0x10_0000];
const OUTSIDE = 0x1000_0000;

const BAR0 = 0x10;
const BAR1 = 0x14;
const BAR2_HIGH = 0x1c;
const COMMAND = 0x04;
const ONES = 0xffff_ffff;

/** A write to configuration space, and what two places read as soon as it is done. */
interface Move {
  readonly at: number;
  readonly value: number;
  readonly after: readonly [place: number, value: number][];
}

const at = (place: number, mark: number, bar: number): [number, number] => [place + 0x24, beaconValue(mark, bar, 0x24)];
const nobody = (place: number): [number, number] => [place + 0x24, ONES];

/** Begins and ends with A at P0, B at P2, the others at the places numbered 0. */
const MOVES: readonly Move[] = [
  { at: CONFIG_A + BAR0, value: P1, after: [at(P1, A, 0), nobody(P0)] },
  { at: CONFIG_B + BAR0, value: P0, after: [at(P0, B, 0), nobody(P2)] },
  // One over the other: the lower device number is seen.
  { at: CONFIG_A + BAR0, value: P0, after: [at(P0, A, 0), nobody(P1)] },
  { at: CONFIG_A + COMMAND, value: 5, after: [at(P0, B, 0), nobody(P1)] },
  { at: CONFIG_A + BAR0, value: P1, after: [nobody(P1), at(P0, B, 0)] },
  { at: CONFIG_A + COMMAND, value: 7, after: [at(P1, A, 0), at(P0, B, 0)] },
  { at: CONFIG_B + BAR0, value: P2, after: [at(P2, B, 0), nobody(P0)] },
  { at: CONFIG_A + BAR0, value: OUTSIDE, after: [nobody(P1), at(P2, B, 0)] },
  { at: CONFIG_A + BAR0, value: P0, after: [at(P0, A, 0), nobody(P1)] },
  { at: CONFIG_A + BAR2_HIGH, value: H1 / 2 ** 32, after: [at(H1, A, 2), nobody(H0)] },
  { at: CONFIG_A + BAR2_HIGH, value: H0 / 2 ** 32, after: [at(H0, A, 2), nobody(H1)] },
  { at: CONFIG_A + BAR1, value: Q1, after: [at(PIO + Q1, A, 1), nobody(PIO + Q0)] },
  { at: CONFIG_A + BAR1, value: Q0, after: [at(PIO + Q0, A, 1), nobody(PIO + Q1)] },
];

/** What others may read. */
const LOOKS: readonly (readonly [place: number, bar: number, marks: readonly [number, number]])[] = [
  [P0, 0, [A, B]],
  [P1, 0, [A, A]],
  [P2, 0, [B, B]],
  [H0, 2, [A, A]],
  [H1, 2, [A, A]],
  [PIO + Q0, 1, [A, A]],
  [PIO + Q1, 1, [A, A]],
];
const OFFSETS = [0, 0x18, 0x38];

const word = (gpa: number): string => `.dword ${Math.floor(gpa)}`;
const moveRow = ({ at: gpa, value, after }: Move): string =>
  [gpa, Math.floor(value), ...after.flat()].map(word).join('\n');
/** Address, two values of 8 bytes. A place is read whole and by its first half. */
const lookRow = (place: number, bar: number, marks: readonly number[], offset: number): string => {
  const wide = (mark: number): bigint =>
    (BigInt(beaconValue(mark, bar, offset + 4)) << 32n) | BigInt(beaconValue(mark, bar, offset));
  return [word(place + offset), ...marks.map((mark) => `.dword ${wide(mark)}`)].join('\n');
};

/** Words, beside each hart's page: errors, then reads that hit and reads of all ones. */
const STATE_GPA = RAM_BASE + 0x40_0000;
const SET_UP: readonly (readonly [number, number])[] = [
  [CONFIG_A + BAR0, P0],
  [CONFIG_A + BAR1, Q0],
  [CONFIG_A + 0x18, H0 % 2 ** 32],
  [CONFIG_A + BAR2_HIGH, Math.floor(H0 / 2 ** 32)],
  [CONFIG_B + BAR0, P2],
  [CONFIG_A + COMMAND, 7],
  [CONFIG_B + COMMAND, 7],
];

/** @param accesses of each hart that looks; the mover ends when all have made theirs */
const program = (harts: number, accesses: number): string => `
  csrr s8, mhartid
  la t0, pci_trap
  csrw mtvec, t0
  li s7, ${STATE_GPA}         # errors, harts that are done, go
  slli t0, s8, 6
  add s11, s7, t0             # this hart's counts
  addi s11, s11, 64
  bnez s8, look
  ${SET_UP.map(([gpa, value]) => ` li t5, ${gpa}\n li t6, ${value}\n sw t6, 0(t5)\n`).join('')}
  li t0, 1
  sd t0, 16(s7)
  li s4, 0
move:
  la s0, moves
  la s1, moves_end
1: ld t0, 0(s0)
  lwu t1, 8(s0)
  sw t1, 0(t0)
  addi s4, s4, 1
  ld t0, 16(s0)
  lwu t1, 0(t0)
  ld t2, 24(s0)
  bne t1, t2, wrong
  ld t0, 32(s0)
  lwu t1, 0(t0)
  ld t2, 40(s0)
  bne t1, t2, wrong
  addi s0, s0, 48
  bne s0, s1, 1b
  sd s4, 0(s11)
  ld t0, 8(s7)
  li t1, ${harts - 1}
  bne t0, t1, move
  j finish
look:
  ld t0, 16(s7)
  beqz t0, look
  li s4, ${accesses}
  li s5, 0
  li s6, 0
  li s3, -1
look_again:
  la s0, looks
  la s1, looks_end
2: ld t0, 0(s0)
  ld s10, 8(s0)
  ld s9, 16(s0)
  andi t1, s4, 1
  li t2, ${MMIO}
  bltu t0, t2, half           # there are no ports of 8 bytes
  bnez t1, half
  ld t1, 0(t0)
  j looked
half:
  lwu t1, 0(t0)
  addi t2, t1, 1
  srli t2, t2, 32
  bnez t2, missed
  slli s10, s10, 32
  srli s10, s10, 32
  slli s9, s9, 32
  srli s9, s9, 32
looked:
  beq t1, s3, missed
  mv t2, s10
  beq t1, s10, hit
  mv t2, s9
  beq t1, s9, hit
wrong:
  li a0, 1
  amoadd.d t3, a0, (s7)
  sd t0, 32(s7)
  sd t1, 40(s7)
  sd t2, 48(s7)
  j finish
hit:
  addi s5, s5, 1
  j counted
missed:
  addi s6, s6, 1
counted:
  addi s4, s4, -1
  beqz s4, done
  addi s0, s0, 24
  bne s0, s1, 2b
  j look_again
done:
  sd s5, 0(s11)
  sd s6, 8(s11)
  li t0, 1
  addi t1, s7, 8
  amoadd.d t0, t0, (t1)
stay: wfi
  j stay
${PCI_LIBRARY} ${FINISH}
  .align 3
moves:
${MOVES.map(moveRow).join('\n')}
moves_end:
looks:
${OFFSETS.flatMap((offset) => LOOKS.map(([place, bar, marks]) => lookRow(place, bar, marks, offset))).join('\n')}
looks_end:
`;

describe('while one hart changes the map', () => {
  it.each(IS_SOAK ? [2, 3, 4] : [2, 4])(
    'each access of the others is to the right register or to none, %d harts',
    async (harts) => {
      const accesses = Math.ceil((IS_SOAK ? 1_000_000 : 60_000) / (harts - 1));
      const vm = await bare(program(harts, accesses), { harts, pci: functions });
      vm.start();
      expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
      const [errors, , , , place, value, expected] = results(vm, 7);
      expect({ errors, place, value, expected }).toEqual({ errors: 0, place: 0, value: 0, expected: 0 });
      const counts = Array.from({ length: harts - 1 }, (_, index) => results(vm, 2, 16 + index * 8));
      expect(counts.map(([hits = 0, misses = 0]) => hits + misses)).toEqual(counts.map(() => accesses));
      // It has been looked at in both states.
      for (const [hits = 0, misses = 0] of counts) expect(Math.min(hits, misses)).toBeGreaterThan(accesses / 20);
      const [moves = 0] = results(vm, 1, 8);
      expect(moves).toBeGreaterThan(100);
      expect(results(vm, 64).includes(TRAPPED)).toBe(false);
      if (IS_SOAK) process.stderr.write(`${harts} harts: ${moves} changes, reads ${JSON.stringify(counts)}\n`);
    },
  );
});
