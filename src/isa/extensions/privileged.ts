/**
 * The privileged architecture's instructions (privileged specification, chapters "Machine-Level ISA" and
 * "Supervisor-Level ISA") and Svinval. The checks of mode, TSR, TVM and TW are the executors'.
 * Not here: the hypervisor extension's hfence, hlv, hsv and hinval, mnret, dret.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('privileged');
const svinval = extension('Svinval');

export const PRIVILEGED: readonly Insn[] = [
  insn('sret', '0001000 00010 00000 000 00000 1110011', '', (s) => s.system('sret')),
  insn('mret', '0011000 00010 00000 000 00000 1110011', '', (s) => s.system('mret')),
  insn('wfi', '0001000 00101 00000 000 00000 1110011', '', (s) => s.system('wfi')),
  insn('sfence.vma', '0001001 rs2 rs1 000 00000 1110011', 'rs1=zero, rs2=zero', (s, o) =>
    s.sfenceVma('vma', o.rs1, o.rs2),
  ),
  svinval('sinval.vma', '0001011 rs2 rs1 000 00000 1110011', 'rs1, rs2', (s, o) => s.sfenceVma('inval', o.rs1, o.rs2)),
  svinval('sfence.w.inval', '0001100 00000 00000 000 00000 1110011', '', (s) => s.sfenceOrder('wInval')),
  svinval('sfence.inval.ir', '0001100 00001 00000 000 00000 1110011', '', (s) => s.sfenceOrder('invalIr')),
];
