/**
 * The part of generated programs that is about the Advanced Interrupt Architecture: its CSRs, and the IMSIC's interrupt
 * files, whose pending bits programs set themselves through mireg and sireg.
 *
 * Where QEMU 10 goes its own way, programs for it keep clear: its iprio arrays can be written and begin with numbers,
 * and IPRIO of mtopi and stopi says them; reserved registers of a file, and those of eip and eie behind the last
 * identity, are illegal; mvien has bits for local interrupts; mvien's bit 9 does not take the software-written SEIP out
 * of mip, nor S mode's file away; mvip's SEIP shows the line too; mvip's own bits are mip's where mideleg is set; a
 * virtual interrupt traps to M mode while mip has the same bit, and delegates the exception of the same number;
 * writing a bit of sie's own does not make it look for interrupts.
 */

import { csrNumber } from '../../src/isa/csr-names.ts';
import type { CodeBuilder } from './program-builder.ts';
import type { Context } from './program-context.ts';
import { EIDELIVERY, EIE0, EIP0, EITHRESHOLD, FILE_REGISTERS, type ProgramAia } from './program-imsic.ts';
import type { ProgramRandom } from './program-random.ts';

/** Registers a piece may use: four different ones. */
export type Scratch = readonly [number, number, number, number];
type LevelName = 'm' | 's';

const EXTERNAL = { m: 1n << 11n, s: 1n << 9n } as const;
const SSI = 1n << 1n;
const SEI = 1n << 9n;
const MIE_BIT = 8;

export const AIA_CSR_NUMBERS: ReadonlySet<number> = new Set(
  ['siselect', 'sireg', 'stopei', 'stopi', 'mvien', 'mvip', 'miselect', 'mireg', 'mtopei', 'mtopi'].map((name) =>
    csrNumber(name),
  ),
);

function writeRegister(code: CodeBuilder, level: LevelName, select: number, value: bigint, scratch: number): void {
  code.setCsr(csrNumber(`${level}iselect`), BigInt(select), scratch);
  code.setCsr(csrNumber(`${level}ireg`), value, scratch);
}

/** In M mode at the start: a reset leaves the files undefined, and QEMU's leaves them as they were. */
export function emitAiaClear(code: CodeBuilder, aia: ProgramAia, scratch: number): void {
  const zero = (name: string): void => code.emit('csrrw', { rd: 0, csr: csrNumber(name), rs1: 0 });
  zero('mideleg');
  code.setCsr(csrNumber('mvien'), SSI | SEI, scratch);
  for (const name of ['sie', 'mvip', 'mvien', 'mvip']) zero(name);
  for (const level of ['m', 's'] as const) {
    if (aia === 'imsic') for (const select of FILE_REGISTERS) writeRegister(code, level, select, 0n, scratch);
    zero(`${level}iselect`);
  }
}

/** What a section does to medeleg, mvien, sie and mvip; in this order, behind mideleg and with mie clear. */
export function aiaSettings(
  random: ProgramRandom,
  section: {
    readonly mode: 'm' | 's' | 'u';
    readonly mideleg: bigint;
    readonly mip: bigint;
    readonly medeleg: bigint;
    /** The supervisor's handler can return. */
    readonly sretWorks: boolean;
    /** The supervisor's handler does not look into its file. */
    readonly mayFilterExternal: boolean;
    readonly interrupts: bigint;
    readonly forQemu: boolean;
  },
): [string, bigint][] {
  const { mode, mideleg, mip, interrupts, forQemu } = section;
  const possible = (section.mayFilterExternal && !forQemu ? SEI : 0n) | SSI;
  let mvien = mode === 'm' || !section.sretWorks ? 0n : random.bits(10) & possible;
  if (forQemu) mvien &= ~(mideleg | mip);
  return [
    ['medeleg', forQemu ? section.medeleg | mvien : section.medeleg],
    ['mvien', mvien],
    ['sie', random.bits(10) & interrupts],
    ['mvip', random.bits(10) & (forQemu ? mvien : SSI | SEI)],
  ];
}

/** In M mode with mie clear: interrupts pending, enabled or neither in both files. */
export function emitFileSettings(code: CodeBuilder, random: ProgramRandom, scratch: number): void {
  for (const level of ['m', 's'] as const) {
    writeRegister(code, level, EIDELIVERY, BigInt(random.below(4) === 0 ? 0 : 1), scratch);
    writeRegister(code, level, EITHRESHOLD, threshold(random), scratch);
    const word = 2 * random.below(4);
    writeRegister(code, level, EIE0 + word, BigInt.asUintN(64, random.oneIn(2) ? -1n : random.bits(64)), scratch);
    writeRegister(code, level, EIP0 + word, fewBits(random), scratch);
  }
}

const threshold = (random: ProgramRandom): bigint => (random.oneIn(2) ? 0n : random.bits(random.oneIn(4) ? 11 : 8));

function fewBits(random: ProgramRandom): bigint {
  if (random.oneIn(24)) return random.bits(64);
  let bits = 0n;
  for (let i = random.below(4); i >= 0; i--) bits |= 1n << BigInt(random.below(64));
  return bits;
}

/** One piece of a program. */
export function emitAiaPiece(code: CodeBuilder, random: ProgramRandom, context: Context, scratch: Scratch): void {
  const level = pickLevel(random, context);
  const weighted: readonly (readonly [number, () => void])[] = [
    [5, () => windowAccess(code, random, context, level, scratch)],
    [3, () => topExternal(code, random, level, scratch)],
    [3, () => topInterrupt(code, context, level, scratch)],
    [5, () => raise(code, random, level, scratch)],
    [context.mode === 'm' ? 3 : 0, () => virtual(code, random, context, scratch)],
    [context.mode === 'm' && context.aia === 'imsic' ? 1 : 0, () => wait(code, random, level, scratch)],
  ];
  let left = random.below(weighted.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, emit] of weighted) {
    left -= weight;
    if (left < 0) return emit();
  }
}

function pickLevel(random: ProgramRandom, context: Context): LevelName {
  if (context.mode === 's') return random.oneIn(8) ? 'm' : 's';
  return random.pick(['m', 's'] as const);
}

/** A register to select: mostly one that there is. */
function selectValue(random: ProgramRandom, { forQemu }: Context): bigint {
  const exists = BigInt(random.pick(FILE_REGISTERS));
  switch (random.below(8)) {
    case 0:
      // No register of any extension here; for QEMU without the ones that are.
      return random.pick([0n, 0x2fn, 0x40n, 0x6fn, 0x100n, 0x1ffn, 0x81n, 0xc3n]);
    case 1:
      return forQemu ? exists : 0x30n + random.bits(4);
    case 2:
      return forQemu ? exists : 0x70n + BigInt(random.below(0x90));
    case 3:
      return forQemu ? exists : random.hard();
    default:
      return exists;
  }
}

function registerValue(random: ProgramRandom): bigint {
  switch (random.below(4)) {
    case 0:
      return random.bits(8);
    case 1:
      return random.oneIn(8) ? random.hard() : 0n;
    default:
      return fewBits(random);
  }
}

function windowAccess(
  code: CodeBuilder,
  random: ProgramRandom,
  context: Context,
  level: LevelName,
  [rd, rs1, again]: Scratch,
): void {
  code.setCsr(csrNumber(`${level}iselect`), selectValue(random, context), rs1);
  if (random.oneIn(4)) code.emit('csrrs', { rd: again, csr: csrNumber(`${level}iselect`), rs1: 0 });
  const csr = csrNumber(`${level}ireg`);
  const name = random.pick(['csrrw', 'csrrs', 'csrrc', 'csrrwi', 'csrrsi', 'csrrci'] as const);
  if (name.endsWith('i')) {
    code.emit(name, { rd, csr, uimm: random.below(32) });
  } else {
    code.li(rs1, registerValue(random));
    code.emit(name, { rd, csr, rs1: name !== 'csrrw' && random.oneIn(4) ? 0 : rs1 });
  }
  code.emit('csrrs', { rd: again, csr, rs1: 0 });
}

/** Reads and claims, or only one of the two. */
function topExternal(code: CodeBuilder, random: ProgramRandom, level: LevelName, [rd, rs1]: Scratch): void {
  const csr = csrNumber(`${level}topei`);
  switch (random.below(4)) {
    case 0:
      return code.emit('csrrs', { rd, csr, rs1: 0 });
    case 1:
      return code.emit('csrrci', { rd, csr, uimm: random.below(4) });
    case 2:
      return code.emit('csrrw', { rd: 0, csr, rs1 });
    default:
      return code.emit('csrrw', { rd, csr, rs1: 0 });
  }
}

function topInterrupt(code: CodeBuilder, { forQemu }: Context, level: LevelName, [rd]: Scratch): void {
  code.emit('csrrs', { rd, csr: csrNumber(`${level}topi`), rs1: 0 });
  if (forQemu) code.emit('srli', { rd, rs1: rd, shamt: 16 });
}

/** An interrupt of the file becomes pending and enabled, and that of the hart enabled. */
function raise(code: CodeBuilder, random: ProgramRandom, level: LevelName, [bit, select, , rd]: Scratch): void {
  const identity = random.below(256);
  const word = 2 * (identity >> 6);
  code.li(bit, 1n << BigInt(identity & 63));
  const set = (register: number): void => {
    code.setCsr(csrNumber(`${level}iselect`), BigInt(register), select);
    code.emit('csrrs', { rd, csr: csrNumber(`${level}ireg`), rs1: bit });
  };
  set(EIE0 + word);
  // Just about to be held back, or just held back.
  const border = random.oneIn(2) ? threshold(random) : BigInt(identity + random.below(2));
  if (random.oneIn(3)) writeRegister(code, level, EITHRESHOLD, border, select);
  if (!random.oneIn(4)) writeRegister(code, level, EIDELIVERY, 1n, select);
  set(EIP0 + word);
  code.li(select, EXTERNAL[level]);
  const enable = level === 'm' || random.oneIn(2) ? 'mie' : 'sie';
  code.emit('csrrs', { rd: 0, csr: csrNumber(enable), rs1: select });
}

/** mvien and mvip, and what they make of sip and sie; M mode only. */
function virtual(code: CodeBuilder, random: ProgramRandom, context: Context, [rd, rs1, other]: Scratch): void {
  const { forQemu, restore } = context;
  const mideleg = restore.get(csrNumber('mideleg')) ?? 0n;
  const vien = forQemu ? SSI & ~mideleg & random.bits(2) : random.hard();
  code.setCsr(csrNumber('mvien'), vien, rs1);
  code.emit('csrrs', { rd, csr: csrNumber('mvien'), rs1: 0 });
  const name = random.pick(['csrrw', 'csrrs', 'csrrc'] as const);
  code.li(rs1, forQemu ? random.bits(10) & (SSI & ~mideleg) : random.hard());
  code.emit(name, { rd: forQemu ? 0 : other, csr: csrNumber('mvip'), rs1 });
  if (forQemu) {
    // Read apart: what was written may interrupt, and the registers are saved as they are.
    code.emit('csrrs', { rd: other, csr: csrNumber('mvip'), rs1: 0 });
    code.emit('andi', { rd: other, rs1: other, imm: 2 });
  } else {
    for (const csr of random.pick([['mip', 'sip'], ['sip', 'stopi'], ['mvip']] as const)) {
      code.emit('csrrs', { rd, csr: csrNumber(csr), rs1: 0 });
    }
    code.emit(random.pick(['csrrw', 'csrrs', 'csrrc']), {
      rd,
      csr: csrNumber(random.pick(['sip', 'mip'])),
      rs1: other,
    });
  }
  code.emit('csrrw', { rd, csr: csrNumber('sie'), rs1: 0 });
  topInterrupt(code, context, 's', [other, 0, 0, 0]);
  code.setCsr(csrNumber('mvien'), 0n, rs1);
}

/** WFI ended by the file's interrupt; M mode only. It is claimed, and no longer enabled, before MIE is as it was. */
function wait(code: CodeBuilder, random: ProgramRandom, level: LevelName, scratch: Scratch): void {
  const [bit, select, claimed, enabled] = scratch;
  code.emit('csrrci', { rd: enabled, csr: csrNumber('mstatus'), uimm: MIE_BIT });
  writeRegister(code, level, EITHRESHOLD, 0n, select);
  writeRegister(code, level, EIDELIVERY, 1n, select);
  const word = 2 * random.below(4);
  code.li(bit, 1n << BigInt(1 + random.below(63)));
  for (const register of [EIE0 + word, EIP0 + word]) {
    code.setCsr(csrNumber(`${level}iselect`), BigInt(register), select);
    code.emit('csrrs', { rd: claimed, csr: csrNumber(`${level}ireg`), rs1: bit });
  }
  code.li(select, EXTERNAL[level]);
  code.emit('csrrs', { rd: 0, csr: csrNumber('mie'), rs1: select });
  code.emit('wfi');
  code.emit('csrrw', { rd: claimed, csr: csrNumber(`${level}topei`), rs1: 0 });
  code.emit('csrrc', { rd: 0, csr: csrNumber('mie'), rs1: select });
  code.emit('andi', { rd: enabled, rs1: enabled, imm: MIE_BIT });
  code.emit('csrrs', { rd: 0, csr: csrNumber('mstatus'), rs1: enabled });
}
