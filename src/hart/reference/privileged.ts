/**
 * Traps, interrupts, returns from traps, and the instructions that may be refused by privilege (Privileged 20240411,
 * sections 3.1.6 to 3.1.9, 3.3, 10.1, 12.2; AIA 1.0, chapter 5).
 *
 * Choices, as QEMU 10 makes them: mtval of an illegal instruction is the instruction, of ebreak its address, of ecall
 * zero; WFI in U mode is illegal; traps and returns from them drop the LR reservation; WRS does not wait.
 */
import {
  CAUSE,
  ENVCFG,
  INTERRUPT,
  INTERRUPT_ORDER,
  IRQ,
  M,
  MSTATUS,
  mask64,
  type Privilege,
  S,
  U,
} from './constants.ts';
import type { ReferenceHart } from './hart.ts';

/**
 * A trap on its way to its handler. `cause` has the interrupt bit where it is one; an interrupt knows which mode it
 * traps to, an exception is delegated as it is taken.
 */
export class Trap extends Error {
  readonly trapCause: bigint;
  readonly tval: bigint;
  readonly interruptTo: typeof M | typeof S | null;

  constructor(cause: bigint, tval: bigint, interruptTo: typeof M | typeof S | null = null) {
    super(`trap, cause ${cause}, value ${tval.toString(16)}`);
    this.trapCause = cause;
    this.tval = tval;
    this.interruptTo = interruptTo;
  }
}

/**
 * mip as it reads: STIP follows stimecmp while menvcfg.STCE; the software-written SEIP leaves it for mvip while mvien
 * has that bit; the interrupt files are or'ed in.
 */
export function mipRead(hart: ReferenceHart): bigint {
  let mip = hart.mip;
  if ((hart.mvien & IRQ.sei) !== 0n) mip &= ~IRQ.sei;
  if ((hart.menvcfg & ENVCFG.stce) !== 0n) mip = (mip & ~IRQ.sti) | (hart.mtime >= hart.stimecmp ? IRQ.sti : 0n);
  if (hart.files?.m.signal === true) mip |= IRQ.mei;
  if (hart.files?.s.signal === true) mip |= IRQ.sei;
  return mip;
}

/** What sip shows of interrupts that are not delegated: mvip's bits, by mvien (AIA 5.3). */
export function sipVirtual(hart: ReferenceHart): bigint {
  return (hart.mvip | (hart.mip & IRQ.sei)) & hart.mvien & ~hart.mideleg;
}

/** Pending and enabled interrupts that trap to M mode. */
export function pendingForM(hart: ReferenceHart): bigint {
  return mipRead(hart) & hart.mie & ~hart.mideleg;
}

/** Pending and enabled interrupts that trap to S mode. */
export function pendingForS(hart: ReferenceHart): bigint {
  return (mipRead(hart) & hart.mie & hart.mideleg) | (sipVirtual(hart) & hart.sie);
}

/** The most urgent of a set of interrupts, as a cause; null if it is empty. */
export function firstInterrupt(pending: bigint): bigint | null {
  const number = INTERRUPT_ORDER.find((candidate) => ((pending >> candidate) & 1n) === 1n);
  return number === undefined ? null : INTERRUPT | number;
}

/** Interrupts that are pending and enabled at some level, whatever the mode: what ends a WFI. */
export function pendingSet(hart: ReferenceHart): bigint {
  return pendingForM(hart) | pendingForS(hart);
}

/** The interrupt to take before the next instruction, if any. */
export function pendingInterrupt(hart: ReferenceHart): Trap | null {
  const mEnabled = hart.priv < M || (hart.mstatus & MSTATUS.mie) !== 0n;
  const sEnabled = hart.priv < S || (hart.priv === S && (hart.mstatus & MSTATUS.sie) !== 0n);
  const forM = mEnabled ? firstInterrupt(pendingForM(hart)) : null;
  if (forM !== null) return new Trap(forM, 0n, M);
  const forS = sEnabled ? firstInterrupt(pendingForS(hart)) : null;
  return forS === null ? null : new Trap(forS, 0n, S);
}

function vector(tvec: bigint, cause: bigint): bigint {
  const base = tvec & ~3n;
  const vectored = (tvec & 1n) === 1n && (cause & INTERRUPT) !== 0n;
  return vectored ? mask64(base + 4n * (cause & ~INTERRUPT)) : base;
}

export function enterTrap(hart: ReferenceHart, { trapCause: cause, tval, interruptTo }: Trap): void {
  const isDelegated = hart.priv <= S && interruptTo === null && ((hart.medeleg >> cause) & 1n) === 1n;
  hart.reservation = null;
  if (interruptTo === S || isDelegated) {
    hart.scause = cause;
    hart.sepc = hart.pc;
    hart.stval = tval;
    const enabled = (hart.mstatus & MSTATUS.sie) !== 0n;
    hart.mstatus &= ~(MSTATUS.spie | MSTATUS.spp | MSTATUS.sie);
    hart.mstatus |= (enabled ? MSTATUS.spie : 0n) | (hart.priv === S ? MSTATUS.spp : 0n);
    hart.priv = S;
    hart.pc = vector(hart.stvec, cause);
    return;
  }
  hart.mcause = cause;
  hart.mepc = hart.pc;
  hart.mtval = tval;
  const enabled = (hart.mstatus & MSTATUS.mie) !== 0n;
  hart.mstatus &= ~(MSTATUS.mpie | MSTATUS.mpp | MSTATUS.mie);
  hart.mstatus |= (enabled ? MSTATUS.mpie : 0n) | (BigInt(hart.priv) << 11n);
  hart.priv = M;
  hart.pc = vector(hart.mtvec, cause);
}

function privilegeOf(bits: bigint): Privilege {
  return bits === 3n ? M : bits === 1n ? S : U;
}

/** The mode that mstatus.MPP names. */
export function previousPrivilege(hart: ReferenceHart): Privilege {
  return privilegeOf((hart.mstatus & MSTATUS.mpp) >> 11n);
}

export function mret(hart: ReferenceHart): void {
  if (hart.priv !== M) hart.illegal();
  const enabled = (hart.mstatus & MSTATUS.mpie) !== 0n;
  hart.priv = previousPrivilege(hart);
  hart.mstatus &= ~(MSTATUS.mie | MSTATUS.mpp);
  hart.mstatus |= MSTATUS.mpie | (enabled ? MSTATUS.mie : 0n);
  if (hart.priv !== M) hart.mstatus &= ~MSTATUS.mprv;
  hart.reservation = null;
  hart.nextPc = hart.mepc;
}

export function sret(hart: ReferenceHart): void {
  if (hart.priv === U || (hart.priv === S && (hart.mstatus & MSTATUS.tsr) !== 0n)) hart.illegal();
  const enabled = (hart.mstatus & MSTATUS.spie) !== 0n;
  hart.priv = (hart.mstatus & MSTATUS.spp) !== 0n ? S : U;
  hart.mstatus &= ~(MSTATUS.sie | MSTATUS.spp | MSTATUS.mprv);
  hart.mstatus |= MSTATUS.spie | (enabled ? MSTATUS.sie : 0n);
  hart.reservation = null;
  hart.nextPc = hart.sepc;
}

export function ecall(hart: ReferenceHart): never {
  throw new Trap(hart.priv === M ? CAUSE.ecallM : hart.priv === S ? CAUSE.ecallS : CAUSE.ecallU, 0n);
}

export function ebreak(hart: ReferenceHart): never {
  throw new Trap(CAUSE.breakpoint, hart.pc);
}

export function wfi(hart: ReferenceHart): void {
  if (hart.priv === U || (hart.priv === S && (hart.mstatus & MSTATUS.tw) !== 0n)) hart.illegal();
  hart.waiting = true;
}

/** wrs.nto may wait for ever, so TW applies; wrs.sto is bounded and is always allowed. */
export function wrs(hart: ReferenceHart, bounded: boolean): void {
  if (!bounded && hart.priv !== M && (hart.mstatus & MSTATUS.tw) !== 0n) hart.illegal();
}

/** There is no TLB to flush; what remains is who may ask. The w.inval and inval.ir fences are S mode's at any TVM. */
export function sfence(hart: ReferenceHart, kind: 'vma' | 'inval' | 'wInval' | 'invalIr'): void {
  if (hart.priv === U) hart.illegal();
  const byAddress = kind === 'vma' || kind === 'inval';
  if (byAddress && hart.priv === S && (hart.mstatus & MSTATUS.tvm) !== 0n) hart.illegal();
}

/** Zicbom and Zicboz: whether the envcfg CSRs let this mode use them (section 3.1.18). */
export function requireCbo(hart: ReferenceHart, kind: 'inval' | 'clean' | 'flush' | 'zero'): void {
  const allowed = (envcfg: bigint): boolean => {
    if (kind === 'zero') return (envcfg & ENVCFG.cbze) !== 0n;
    if (kind === 'inval') return (envcfg & ENVCFG.cbie) !== 0n;
    return (envcfg & ENVCFG.cbcfe) !== 0n;
  };
  if (hart.priv !== M && !allowed(hart.menvcfg)) hart.illegal();
  if (hart.priv === U && !allowed(hart.senvcfg)) hart.illegal();
}
