/** Zifencei. Immediate, rs1 and rd are reserved for finer fences and to be ignored. */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('Zifencei');

export const ZIFENCEI: readonly Insn[] = [
  insn('fence.i', 'imm[11:0] rs1 001 rd 0001111', '', (s) => s.system('fenceI')),
];
