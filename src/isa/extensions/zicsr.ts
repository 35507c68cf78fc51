/**
 * Zicsr: CSR access. Which CSRs there are, their WARL behaviour and privilege checks are the hart's; their names are in
 * csr-names.ts. Zicntr and Zihpm bring CSRs only.
 */
import { extension } from '../define.ts';
import type { Insn } from '../insn.ts';

const insn = extension('Zicsr');

/** Set and clear always read; csrrw reads unless rd is x0. Writing is the other way round. */
const register = (name: string, funct3: string, access: 'w' | 's' | 'c'): Insn =>
  insn(name, `csr rs1 ${funct3} rd 1110011`, 'rd, csr, rs1', (s, o) =>
    s.setX(o.rd, s.csr(access, o.csr, s.x(o.rs1), access === 'w' ? o.rd : null, access === 'w' ? null : o.rs1)),
  );
const immediate = (name: string, funct3: string, access: 'w' | 's' | 'c'): Insn =>
  insn(name, `csr uimm[4:0] ${funct3} rd 1110011`, 'rd, csr, uimm', (s, o) =>
    s.setX(o.rd, s.csr(access, o.csr, s.imm(o.uimm), access === 'w' ? o.rd : null, access === 'w' ? null : o.uimm)),
  );

export const ZICSR: readonly Insn[] = [
  register('csrrw', '001', 'w'),
  register('csrrs', '010', 's'),
  register('csrrc', '011', 'c'),
  immediate('csrrwi', '101', 'w'),
  immediate('csrrsi', '110', 's'),
  immediate('csrrci', '111', 'c'),
];
