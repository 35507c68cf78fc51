/**
 * A: atomics (Zalrsc and Zaamo), words and doublewords from one row each. `aq` and `rl` do not change the meaning, but
 * of LR: the executors make every atomic sequentially consistent.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';
import type { AmoOp } from '../ir.ts';

const insn = extension('A');

const SIZES = [
  { suffix: 'w', size: 4, funct3: '010' },
  { suffix: 'd', size: 8, funct3: '011' },
] as const;

const AMOS: readonly (readonly [name: string, funct5: string, amo: AmoOp])[] = [
  ['amoswap', '00001', 'swap'],
  ['amoadd', '00000', 'add'],
  ['amoxor', '00100', 'xor'],
  ['amoand', '01100', 'and'],
  ['amoor', '01000', 'or'],
  ['amomin', '10000', 'minS'],
  ['amomax', '10100', 'maxS'],
  ['amominu', '11000', 'minU'],
  ['amomaxu', '11100', 'maxU'],
];

export const A: readonly Insn[] = SIZES.flatMap(({ suffix, size, funct3 }) => [
  insn(`lr.${suffix}`, `00010 aq rl 00000 rs1 ${funct3} rd 0101111`, 'rd, (rs1)', (s, o) =>
    s.setX(o.rd, s.lr(size, s.x(o.rs1), o.rl)),
  ),
  insn(`sc.${suffix}`, `00011 aq rl rs2 rs1 ${funct3} rd 0101111`, 'rd, rs2, (rs1)', (s, o) =>
    s.setX(o.rd, s.sc(size, s.x(o.rs1), s.x(o.rs2))),
  ),
  ...AMOS.map(([name, funct5, amo]) =>
    insn(`${name}.${suffix}`, `${funct5} aq rl rs2 rs1 ${funct3} rd 0101111`, 'rd, rs2, (rs1)', (s, o) =>
      s.setX(o.rd, s.amo(amo, size, s.x(o.rs1), s.x(o.rs2))),
    ),
  ),
]);
