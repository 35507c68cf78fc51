/**
 * Traps and returns from them (privileged specification 3.1.6, 3.1.7, 3.1.8, 3.3; 4.1): entry to M and S mode with
 * delegation, ecall, ebreak, mret, sret, illegal instructions. Interrupts: interrupts.ts.
 *
 * tval: the address for address faults (of the part that faulted), the instruction's bits for an illegal instruction,
 * the pc for ebreak, 0 otherwise. Not modelled: hypervisor, double traps (Smdbltrp), resumable NMIs.
 */
import {
  CAUSE_BREAKPOINT,
  CAUSE_ECALL,
  CAUSE_ILLEGAL,
  INTERRUPT,
  MACHINE,
  MSTATUS_MIE,
  MSTATUS_MPIE,
  MSTATUS_MPP,
  MSTATUS_MPP_SHIFT,
  MSTATUS_MPRV,
  MSTATUS_SIE,
  MSTATUS_SPIE,
  MSTATUS_SPP,
  MSTATUS_TSR,
  SUPERVISOR,
  USER,
} from './architecture';
import { trapTaken } from './env';
import { instructionAt } from './fetch';
import { hart } from './hart';
import {
  EXIT_SBI,
  H_EXIT_REASON,
  H_LOG_TRAPS,
  H_MCAUSE,
  H_MEDELEG,
  H_MEPC,
  H_MSTATUS,
  H_MTVAL,
  H_MTVEC,
  H_PC,
  H_PRIV,
  H_REMAINING,
  H_RESERVATION_VALID,
  H_SBI,
  H_SCAUSE,
  H_SEPC,
  H_STATUS,
  H_STVAL,
  H_STVEC,
  STATUS_EXIT,
  STATUS_REFETCH,
} from './layout.generated';
import { contextChanged } from './mmu';
import { sendIpis } from './signals';

const MPIE_FROM_MIE: u64 = 4;
const SPIE_FROM_SIE: u64 = 4;
const TVEC_VECTORED: u64 = 1;

/** Takes an exception of the instruction at state.pc. */
export function trap(cause: u32, tval: u64): void {
  const isDelegated = ((load<u64>(hart, H_MEDELEG) >> cause) & 1) !== 0;
  enter(cause, tval, isDelegated && load<u32>(hart, H_PRIV) !== MACHINE);
}

/** Takes an interrupt in front of the instruction at state.pc. */
export function takeInterrupt(interrupt: u32, isDelegated: bool): void {
  enter(INTERRUPT | interrupt, 0, isDelegated);
}

function enter(cause: u64, tval: u64, toSupervisor: bool): void {
  const pc = load<u64>(hart, H_PC);
  if (load<u32>(hart, H_LOG_TRAPS) !== 0) trapTaken(cause, pc, tval, u32(toSupervisor));
  const privilege = load<u32>(hart, H_PRIV);
  const mstatus = load<u64>(hart, H_MSTATUS);
  if (toSupervisor) {
    store<u64>(hart, cause, H_SCAUSE);
    store<u64>(hart, pc, H_SEPC);
    store<u64>(hart, tval, H_STVAL);
    const kept = mstatus & ~(MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_SPP);
    const spp = privilege === SUPERVISOR ? MSTATUS_SPP : 0;
    store<u64>(hart, kept | ((mstatus & MSTATUS_SIE) << SPIE_FROM_SIE) | spp, H_MSTATUS);
    store<u32>(hart, SUPERVISOR, H_PRIV);
    jumpToVector(load<u64>(hart, H_STVEC), cause);
  } else {
    store<u64>(hart, cause, H_MCAUSE);
    store<u64>(hart, pc, H_MEPC);
    store<u64>(hart, tval, H_MTVAL);
    const kept = mstatus & ~(MSTATUS_MPIE | MSTATUS_MIE | MSTATUS_MPP);
    const mpp = (<u64>privilege) << MSTATUS_MPP_SHIFT;
    store<u64>(hart, kept | ((mstatus & MSTATUS_MIE) << MPIE_FROM_MIE) | mpp, H_MSTATUS);
    store<u32>(hart, MACHINE, H_PRIV);
    jumpToVector(load<u64>(hart, H_MTVEC), cause);
  }
}

function jumpToVector(tvec: u64, cause: u64): void {
  const base = tvec & ~(<u64>3);
  const isVectored = (tvec & TVEC_VECTORED) !== 0 && (cause & INTERRUPT) !== 0;
  modeChanged(isVectored ? base + ((cause & ~INTERRUPT) << 2) : base);
}

/** Goes on at an address in the mode just set. A reservation does not outlive its context. */
function modeChanged(pc: u64): void {
  store<u64>(hart, pc, H_PC);
  store<u32>(hart, 0, H_RESERVATION_VALID);
  store<u32>(hart, STATUS_REFETCH, H_STATUS);
  contextChanged();
}

/** An illegal-instruction exception of the instruction at state.pc. */
export function illegal(): void {
  trap(CAUSE_ILLEGAL, instructionAt(load<u64>(hart, H_PC)));
}

/** ebreak, c.ebreak */
export function ebreak(): void {
  trap(CAUSE_BREAKPOINT, load<u64>(hart, H_PC));
}

/** ecall; out of S mode it leaves to the built-in SBI where there is one. */
export function ecall(): void {
  const privilege = load<u32>(hart, H_PRIV);
  if (privilege === SUPERVISOR && load<u32>(hart, H_SBI) !== 0) {
    if (sendIpis()) return;
    store<u32>(hart, EXIT_SBI, H_EXIT_REASON);
    store<u32>(hart, STATUS_EXIT, H_STATUS);
    return;
  }
  trap(CAUSE_ECALL + privilege, 0);
}

function retire(): void {
  store<u32>(hart, load<u32>(hart, H_REMAINING) - 1, H_REMAINING);
}

/** mret */
export function mret(): void {
  if (load<u32>(hart, H_PRIV) !== MACHINE) {
    illegal();
    return;
  }
  const mstatus = load<u64>(hart, H_MSTATUS);
  const privilege = <u32>((mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
  let next = (mstatus & ~(MSTATUS_MIE | MSTATUS_MPP)) | MSTATUS_MPIE;
  next |= (mstatus & MSTATUS_MPIE) >> MPIE_FROM_MIE;
  if (privilege !== MACHINE) next &= ~MSTATUS_MPRV;
  leave(next, privilege, load<u64>(hart, H_MEPC));
}

/** sret */
export function sret(): void {
  const from = load<u32>(hart, H_PRIV);
  const mstatus = load<u64>(hart, H_MSTATUS);
  if (from === USER || (from === SUPERVISOR && (mstatus & MSTATUS_TSR) !== 0)) {
    illegal();
    return;
  }
  let next = (mstatus & ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_MPRV)) | MSTATUS_SPIE;
  next |= (mstatus & MSTATUS_SPIE) >> SPIE_FROM_SIE;
  leave(next, mstatus & MSTATUS_SPP ? SUPERVISOR : USER, load<u64>(hart, H_SEPC));
}

function leave(mstatus: u64, privilege: u32, pc: u64): void {
  store<u64>(hart, mstatus, H_MSTATUS);
  store<u32>(hart, privilege, H_PRIV);
  retire();
  modeChanged(pc);
}
