/**
 * Zicbom and Zicboz: cache-block management and zeroing, 64-byte blocks (Zic64b). Zicbop's prefetches are HINT
 * encodings of `ori`: nothing to define.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const zicbom = extension('Zicbom');
const zicboz = extension('Zicboz');

export const ZICBO: readonly Insn[] = [
  zicbom('cbo.inval', '000000000000 rs1 010 00000 0001111', '(rs1)', (s, o) => s.cbo('inval', s.x(o.rs1))),
  zicbom('cbo.clean', '000000000001 rs1 010 00000 0001111', '(rs1)', (s, o) => s.cbo('clean', s.x(o.rs1))),
  zicbom('cbo.flush', '000000000010 rs1 010 00000 0001111', '(rs1)', (s, o) => s.cbo('flush', s.x(o.rs1))),
  zicboz('cbo.zero', '000000000100 rs1 010 00000 0001111', '(rs1)', (s, o) => s.cbo('zero', s.x(o.rs1))),
];
