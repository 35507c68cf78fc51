/** Zawrs: wait on a reservation set. The wait may end at any time; how long it lasts is the executors'. */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('Zawrs');

export const ZAWRS: readonly Insn[] = [
  insn('wrs.nto', '000000001101 00000 000 00000 1110011', '', (s) => s.system('wrsNto')),
  insn('wrs.sto', '000000011101 00000 000 00000 1110011', '', (s) => s.system('wrsSto')),
];
