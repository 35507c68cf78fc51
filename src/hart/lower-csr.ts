/**
 * CSRs in translated code: those with which a kernel enters and leaves its traps and turns interrupts off and on, the
 * time, and the exception flags, which compilers save around each quiet comparison. Where more than a register changes
 * (a field of sstatus but SIE, an interrupt that is pending, the gate of floating point) the runtime has the whole access
 * (assembly/csr.ts).
 */
import { csrNumber } from '../isa/csr-names.ts';
import type { Code } from '../wasm/code.ts';
import { SSTATUS } from './sstatus-bits.ts';
import { AIA, type FieldName, FP_GATE, HART_OFFSETS } from './state.ts';

export interface CsrAccess {
  readonly code: Code;
  /** Local (i32): the hart's arena. */
  readonly hart: number;
  readonly access: 'w' | 's' | 'c';
  readonly writes: boolean;
  /** Local (i64): what is written, or the bits that are set or cleared. */
  readonly source: number;
  /** Leaves with nothing done, if the i32 on the stack is not 0. */
  bailIf(): void;
  /** Pushes what the runtime's readTime() answers; null where nothing may be called. */
  readonly readTime: (() => void) | null;
}

/** Plain registers, and the bits of them that can be written. */
const PLAIN: ReadonlyMap<number, readonly [field: FieldName, writable: bigint]> = new Map([
  [csrNumber('sscratch'), ['sscratch', -1n]],
  [csrNumber('sepc'), ['sepc', -2n]],
  [csrNumber('scause'), ['scause', -1n]],
  [csrNumber('stval'), ['stval', -1n]],
]);
const SSTATUS_NUMBER = csrNumber('sstatus');
const TIME_NUMBER = csrNumber('time');
const FLAGS_NUMBER = csrNumber('fflags');
const FLAGS_BITS = 0b11111n;
/** The one flag that the gate hangs on. */
const INEXACT = 1n;

/** Whether a CSR has a form here. */
export function hasCsrForm(number: number, { access, readTime }: Pick<CsrAccess, 'access' | 'readTime'>): boolean {
  if (number === TIME_NUMBER) return readTime !== null;
  return PLAIN.has(number) || number === FLAGS_NUMBER || (number === SSTATUS_NUMBER && access !== 'w');
}

/** Pushes the old value. */
export function pushCsr(access: CsrAccess, number: number): void {
  if (number === TIME_NUMBER) return pushTime(access);
  if (number === FLAGS_NUMBER) return pushFlags(access);
  const { code, hart } = access;
  code.get(hart).memory('i32.load', HART_OFFSETS.priv).op('i32.eqz');
  bailIfOrExact(access);
  const plain = PLAIN.get(number);
  if (plain === undefined) pushStatus(access);
  else pushPlain(access, ...plain);
}

/**
 * Leaves if the i32 on the stack is not 0, and in runs that are repeated exactly: the runtime's form looks at the clock as
 * well, which they do at the same instructions.
 */
function bailIfOrExact({ code, hart, bailIf }: CsrAccess): void {
  code.get(hart).memory('i32.load', HART_OFFSETS.exactQuanta).op('i32.or');
  bailIf();
}

/** To write it is an illegal instruction. */
function pushTime({ code, writes, bailIf, readTime }: CsrAccess): void {
  const time = code.local('i64');
  if (writes || readTime === null) code.i64(-1);
  else readTime();
  code.tee(time).i64(-1).op('i64.eq');
  bailIf();
  code.get(time);
}

function pushFlags(access: CsrAccess): void {
  const { code, hart, writes, bailIf } = access;
  const old = code.local('i64');
  // Floating point is off, or would have to be marked dirty.
  const needed = writes ? FP_GATE.dirty : FP_GATE.on;
  code.get(hart).memory('i32.load', HART_OFFSETS.fpGate).i32(needed).op('i32.and', 'i32.eqz');
  bailIfOrExact(access);
  code.get(hart).memory('i64.load32_u', HART_OFFSETS.fflags).set(old);
  if (writes) {
    const written = code.local('i64');
    pushWritten(access, old);
    code.i64(FLAGS_BITS).op('i64.and').tee(written).get(old).op('i64.xor').i64(INEXACT).op('i64.and', 'i32.wrap_i64');
    bailIf();
    code.get(hart).get(written).memory('i64.store32', HART_OFFSETS.fflags);
  }
  code.get(old);
}

/** Pushes what an access makes of the old value. @param old local (i64) */
function pushWritten({ code, access, source }: CsrAccess, old: number): void {
  if (access === 'w') code.get(source);
  else if (access === 's') code.get(old).get(source).op('i64.or');
  else code.get(old).get(source).i64(-1).op('i64.xor', 'i64.and');
}

function pushPlain(csr: CsrAccess, field: FieldName, writable: bigint): void {
  const { code, hart, writes } = csr;
  const old = code.local('i64');
  code.get(hart).memory('i64.load', HART_OFFSETS[field]).set(old);
  if (writes) {
    code.get(hart);
    pushWritten(csr, old);
    if (writable !== -1n) code.i64(writable).op('i64.and');
    code.memory('i64.store', HART_OFFSETS[field]);
  }
  code.get(old);
}

function pushStatus({ code, hart, access, writes, source, bailIf }: CsrAccess): void {
  const old = code.local('i64');
  code.get(hart).memory('i64.load', HART_OFFSETS.mstatus).set(old);
  if (writes) {
    const changed = code.local('i64');
    code.get(source).get(old);
    if (access === 's') code.i64(-1).op('i64.xor');
    code.op('i64.and').i64(SSTATUS.writable).op('i64.and').tee(changed);
    code.i64(~SSTATUS.sie).op('i64.and').i64(0).op('i64.ne');
    if (access === 's') {
      pushMayInterrupt(code, hart);
      code.get(changed).i64(0).op('i64.ne', 'i32.and', 'i32.or');
    }
    bailIf();
    code.get(hart).get(old).get(changed).op('i64.xor').memory('i64.store', HART_OFFSETS.mstatus);
  }
  code.get(old).i64(SSTATUS.writable).op('i64.and').i64(SSTATUS.uxl).op('i64.or');
  code.i64(SSTATUS.sd).i64(0).get(old).i64(SSTATUS.fs).op('i64.and').i64(SSTATUS.fs).op('i64.eq', 'select', 'i64.or');
}

/** Pushes whether an interrupt may be taken once they are on. */
function pushMayInterrupt(code: Code, hart: number): void {
  code.get(hart).memory('i64.load', HART_OFFSETS.lines).get(hart).memory('i64.load', HART_OFFSETS.mip).op('i64.or');
  code.get(hart).memory('i64.load', HART_OFFSETS.mie).op('i64.and').i64(0).op('i64.ne');
  code.get(hart).memory('i32.load', HART_OFFSETS.aia).i32(AIA.none).op('i32.ne', 'i32.or');
}
