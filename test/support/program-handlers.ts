/**
 * The trap handlers and the end of a generated program. Each trap is logged (cause, epc, tval, status) and its
 * instruction skipped; a fetch that faulted goes on at the address in x1; an interrupt is disabled. `ecall` with
 * RETURN_TO_MACHINE in x17 goes on in M mode at the address in x16. A full log ends the program.
 *
 * With AIA an interrupt's record has, in place of tval, the handler's own topei (which it claims) and above that IID of
 * topi; an external interrupt is disabled only when there was nothing to claim.
 */
import { csrNumber } from '../../src/isa/csr-names.ts';
import type { CodeBuilder } from './program-builder.ts';
import { FILE_REGISTERS, type ProgramAia } from './program-imsic.ts';
import { FINISHER, LAYOUT, PROGRAM_BASE, REGION_BYTES } from './program-layout.ts';

export const RETURN_TO_MACHINE = 0x5afe_c0de_0bad_cafen;
/** 1 bit for each cause that means "the instruction could not be fetched". */
const FETCH_FAULTS = (1n << 0n) | (1n << 1n) | (1n << 12n);
const LOG_RECORD_BYTES = 32;

/**
 * Read at the end of every program. Counters, time and what identifies the machine are left out;
 * sip too, in which QEMU does not show STIP while stimecmp makes it.
 */
const FINAL_CSRS = [
  'fcsr',
  'sstatus',
  'sie',
  'stvec',
  'scounteren',
  'senvcfg',
  'sscratch',
  'sepc',
  'scause',
  'stval',
  'stimecmp',
  'satp',
  'mstatus',
  'misa',
  'medeleg',
  'mideleg',
  'mie',
  'mtvec',
  'mcounteren',
  'menvcfg',
  'mcountinhibit',
  'mscratch',
  'mepc',
  'mcause',
  'mtval',
  'mip',
  'pmpcfg0',
  'pmpcfg2',
  ...Array.from({ length: 16 }, (_, i) => `pmpaddr${i}`),
] as const;
/** Behind those, with AIA; the others with an IMSIC. */
const FINAL_AIA_CSRS = ['miselect', 'siselect', 'mvien'] as const;
const FINAL_REGISTERS = (['m', 's'] as const).flatMap((level) => FILE_REGISTERS.map((select) => ({ level, select })));
export const SIGNATURE_NAMES: readonly string[] = [
  ...Array.from({ length: 32 }, (_, i) => `x${i}`),
  ...Array.from({ length: 32 }, (_, i) => `f${i}`),
  ...FINAL_CSRS,
  ...FINAL_AIA_CSRS,
  ...FINAL_REGISTERS.map(({ level, select }) => `${level} 0x${select.toString(16)}`),
];

export const address = (offset: number): bigint => PROGRAM_BASE + BigInt(offset);

interface Level {
  readonly prefix: 'm' | 's';
  readonly log: number;
  readonly logPointer: number;
  readonly enable: string;
  /** Major identity of its external interrupt. */
  readonly external: bigint;
}

/** What the handlers do about the AIA. */
export interface HandlerAia {
  readonly aia: ProgramAia;
  /** The supervisor's handler claims too: mvien must let it. */
  readonly supervisorClaims: boolean;
}

const LEVELS: Record<'m' | 's', Level> = {
  m: { prefix: 'm', log: LAYOUT.machineLog, logPointer: LAYOUT.machineLogPointer, enable: 'mie', external: 11n },
  s: { prefix: 's', log: LAYOUT.supervisorLog, logPointer: LAYOUT.supervisorLogPointer, enable: 'sie', external: 9n },
};

/** Offsets of the entry points. */
export interface Handlers {
  readonly machine: number;
  readonly supervisor: number;
  readonly finish: number;
}

export function emitHandlers(code: CodeBuilder, aia: HandlerAia): Handlers {
  const finish = code.at;
  emitFinish(code, aia.aia);
  align(code);
  const machine = code.at;
  emitHandler(code, LEVELS.m, finish, aia);
  align(code);
  const supervisor = code.at;
  emitHandler(code, LEVELS.s, finish, aia);
  for (const level of Object.values(LEVELS)) code.set64(level.logPointer, address(level.log));
  return { machine, supervisor, finish };
}

/** A vectored handler's table would not fit in between: interrupt n enters at the base plus 4n, so leave room. */
function align(code: CodeBuilder): void {
  code.at = (code.at + 63) & ~63;
}

const read = (code: CodeBuilder, rd: number, csr: string): void =>
  code.emit('csrrs', { rd, csr: csrNumber(csr), rs1: 0 });
const write = (code: CodeBuilder, csr: string, rs1: number): void =>
  code.emit('csrrw', { rd: 0, csr: csrNumber(csr), rs1 });
const sd = (code: CodeBuilder, rs2: number, rs1: number, imm: number): void => code.emit('sd', { rs2, rs1, imm });
const ld = (code: CodeBuilder, rd: number, rs1: number, imm: number): void => code.emit('ld', { rd, rs1, imm });

/** x31 holds the save area throughout. The first 16 words all jump to the handler, for vectored interrupts. */
function emitHandler(code: CodeBuilder, level: Level, finish: number, aia: HandlerAia): void {
  const { prefix } = level;
  const scratch = `${prefix}scratch`;
  const entries = Array.from({ length: 16 }, () => code.forward('jal', { rd: 0 }));
  for (const arrive of entries) arrive();
  code.emit('csrrw', { rd: 31, csr: csrNumber(scratch), rs1: 31 });
  for (let i = 1; i < 31; i++) sd(code, i, 31, 8 * i);
  read(code, 1, scratch);
  sd(code, 1, 31, 8 * 31);
  const full = emitLog(code, level);
  emitReturnToMachine(code, level);
  const isException = code.forward('bge', { rs1: 5, rs2: 0 });
  const claimed = aia.aia === 'none' ? null : emitClaim(code, level, aia);
  code.li(10, 1n);
  code.emit('sll', { rd: 10, rs1: 10, rs2: 5 });
  code.emit('csrrc', { rd: 0, csr: csrNumber(level.enable), rs1: 10 });
  const interruptDone = code.forward('jal', { rd: 0 });
  isException();
  emitNextPc(code, `${prefix}epc`);
  interruptDone();
  claimed?.();
  write(code, scratch, 31);
  for (let i = 1; i < 32; i++) ld(code, i, 31, 8 * i);
  code.emit(`${prefix}ret`);
  full();
  if (prefix === 'm') {
    code.to('jal', { rd: 0 }, finish);
    return;
  }
  code.li(16, address(finish));
  code.li(17, RETURN_TO_MACHINE);
  code.emit('ecall');
}

/** x5: the cause. Returns where to go when the log is full. */
function emitLog(code: CodeBuilder, level: Level): () => void {
  const { prefix } = level;
  read(code, 5, `${prefix}cause`);
  code.li(6, address(level.logPointer));
  ld(code, 7, 6, 0);
  sd(code, 5, 7, 0);
  for (const [i, csr] of [`${prefix}epc`, `${prefix}tval`, `${prefix}status`].entries()) {
    read(code, 8, csr);
    sd(code, 8, 7, 8 * (i + 1));
  }
  code.emit('addi', { rd: 7, rs1: 7, imm: LOG_RECORD_BYTES });
  sd(code, 7, 6, 0);
  code.li(8, address(level.log + LAYOUT.logBytes - LOG_RECORD_BYTES));
  return code.forward('bgeu', { rs1: 7, rs2: 8 });
}

/** x5: the cause, x7: the log's end. Returns where to go with something claimed. */
function emitClaim(code: CodeBuilder, { prefix, external }: Level, { aia, supervisorClaims }: HandlerAia): () => void {
  read(code, 13, `${prefix}topi`);
  code.emit('srli', { rd: 13, rs1: 13, shamt: 16 });
  code.emit('slli', { rd: 13, rs1: 13, shamt: 32 });
  code.li(12, 0n);
  if (aia === 'imsic' && (prefix === 'm' || supervisorClaims)) {
    code.li(10, (1n << 63n) | external);
    const other = code.forward('bne', { rs1: 5, rs2: 10 });
    code.emit('csrrw', { rd: 12, csr: csrNumber(`${prefix}topei`), rs1: 0 });
    other();
  }
  code.emit('or', { rd: 13, rs1: 13, rs2: 12 });
  sd(code, 13, 7, 16 - LOG_RECORD_BYTES);
  return code.forward('bne', { rs1: 12, rs2: 0 });
}

function emitReturnToMachine(code: CodeBuilder, level: Level): void {
  code.li(9, RETURN_TO_MACHINE);
  const otherRequest = code.forward('bne', { rs1: 17, rs2: 9 });
  code.emit('addi', { rd: 10, rs1: 5, imm: -8 });
  code.emit('sltiu', { rd: 10, rs1: 10, imm: 4 });
  const otherCause = code.forward('beq', { rs1: 10, rs2: 0 });
  write(code, `${level.prefix}scratch`, 31);
  // From U mode by way of S: ask M, with all registers as they were.
  if (level.prefix === 's') {
    for (let i = 1; i < 32; i++) ld(code, i, 31, 8 * i);
    code.emit('ecall');
  } else {
    code.emit('jalr', { rd: 0, rs1: 16, imm: 0 });
  }
  otherRequest();
  otherCause();
}

/** Behind the instruction that trapped, or to the address in x1 if that could not be fetched. */
function emitNextPc(code: CodeBuilder, epc: string): void {
  code.li(10, FETCH_FAULTS);
  code.emit('srl', { rd: 10, rs1: 10, rs2: 5 });
  code.emit('andi', { rd: 10, rs1: 10, imm: 1 });
  const skip = code.forward('beq', { rs1: 10, rs2: 0 });
  ld(code, 11, 31, 8);
  const redirected = code.forward('jal', { rd: 0 });
  skip();
  read(code, 11, epc);
  code.li(12, BigInt(REGION_BYTES - 1));
  code.emit('and', { rd: 12, rs1: 12, rs2: 11 });
  code.li(13, PROGRAM_BASE);
  code.emit('add', { rd: 12, rs1: 12, rs2: 13 });
  code.emit('lhu', { rd: 12, rs1: 12, imm: 0 });
  code.emit('andi', { rd: 12, rs1: 12, imm: 3 });
  code.emit('addi', { rd: 12, rs1: 12, imm: -3 });
  code.emit('addi', { rd: 11, rs1: 11, imm: 2 });
  const compressed = code.forward('bne', { rs1: 12, rs2: 0 });
  code.emit('addi', { rd: 11, rs1: 11, imm: 2 });
  compressed();
  redirected();
  write(code, epc, 11);
}

/** In M mode: writes the signature, then tells the test finisher. */
function emitFinish(code: CodeBuilder, aia: ProgramAia): void {
  const base = 31;
  const temporary = 30;
  code.emit('csrrw', { rd: base, csr: csrNumber('mscratch'), rs1: base });
  // MPRV would apply to the stores.
  code.li(base, 1n << 17n);
  code.emit('csrrc', { rd: 0, csr: csrNumber('mstatus'), rs1: base });
  code.li(base, address(LAYOUT.signature));
  for (let i = 1; i < base; i++) sd(code, i, base, 8 * i);
  read(code, temporary, 'mscratch');
  sd(code, temporary, base, 8 * 31);
  // FS may be Off.
  read(code, 28, 'mstatus');
  code.li(29, 3n << 13n);
  code.emit('csrrs', { rd: 0, csr: csrNumber('mstatus'), rs1: 29 });
  for (let f = 0; f < 32; f++) code.emit('fsd', { rs2: f, rs1: base, imm: 8 * (32 + f) });
  for (const [i, csr] of FINAL_CSRS.entries()) {
    read(code, temporary, csr);
    sd(code, temporary, base, 8 * (64 + i));
    if (csr === 'fcsr') write(code, 'mstatus', 28);
  }
  if (aia !== 'none') emitFinalAia(code, aia, base, temporary);
  code.li(base, address(LAYOUT.exitWord));
  code.emit('lw', { rd: base, rs1: base, imm: 0 });
  code.li(temporary, FINISHER.address);
  code.emit('sw', { rs2: base, rs1: temporary, imm: 0 });
  code.to('jal', { rd: 0 }, code.at);
}

function emitFinalAia(code: CodeBuilder, aia: ProgramAia, base: number, temporary: number): void {
  let at = 8 * (64 + FINAL_CSRS.length);
  const keep = (csr: string): void => {
    read(code, temporary, csr);
    sd(code, temporary, base, at);
    at += 8;
  };
  for (const csr of FINAL_AIA_CSRS) keep(csr);
  if (aia !== 'imsic') return;
  for (const { level, select } of FINAL_REGISTERS) {
    code.setCsr(csrNumber(`${level}iselect`), BigInt(select), temporary);
    keep(`${level}ireg`);
  }
}
