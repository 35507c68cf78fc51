/**
 * Zihintpause. `pause` is a fence without a successor set, so only its effect on scheduling differs.
 * Zihintntl and Zicbop are HINT encodings of `add`, `c.add` and `ori`, executed as these: see src/isa/pseudo.ts.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('Zihintpause');

export const HINTS: readonly Insn[] = [
  insn('pause', '0000 0001 0000 00000 000 00000 0001111', '', (s) => s.system('pause')),
];
