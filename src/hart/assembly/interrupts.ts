/**
 * Interrupts (privileged specification 3.1.9, 3.3.3; 4.1.3), the timers of Sstc and ACLINT, wfi, wrs (Zawrs).
 *
 * mip as read is its software-written bits or'ed with `lines`: what devices drive, and the timers as they stood when
 * the clock was last looked at. Asking the host for the time costs more than a hundred instructions, so a running hart
 * asks once in CLOCK_INTERVAL instructions at most. Not modelled: AIA, local interrupts above 12, Sscofpmf.
 */
import {
  MACHINE,
  MEI,
  MENVCFG_STCE,
  MSI,
  MSTATUS_MIE,
  MSTATUS_SIE,
  MSTATUS_TW,
  MTI,
  MTIP,
  SEI,
  SSI,
  STI,
  STIP,
  SUPERVISOR,
  USER,
} from './architecture';
import { mtime } from './env';
import { hart } from './hart';
import {
  EXIT_WFI,
  H_CLOCK_LOOK,
  H_DEADLINE,
  H_EXIT_REASON,
  H_INSTRET_END,
  H_LINES,
  H_MENVCFG,
  H_MIDELEG,
  H_MIE,
  H_MIP,
  H_MSTATUS,
  H_MTIMECMP,
  H_PC,
  H_PENDING_STATE,
  H_PRIV,
  H_REMAINING,
  H_STATUS,
  H_STIMECMP,
  H_WAITING,
  PENDING_NONE,
  STATUS_EXIT_DONE,
} from './layout.generated';
import { illegal, takeInterrupt } from './trap';

/** Instructions. */
const CLOCK_INTERVAL: u64 = 1024;
const NEVER: u64 = ~0;

/** Instructions retired before the current one. */
export function instret(): u64 {
  return load<u64>(hart, H_INSTRET_END) - <u64>(<i64>load<i32>(hart, H_REMAINING));
}

/** mip as it is read. */
export function pendingBits(): u64 {
  const lines = load<u64>(hart, H_LINES);
  const mip = load<u64>(hart, H_MIP);
  return load<u64>(hart, H_MENVCFG) & MENVCFG_STCE ? lines | (mip & ~STIP) : mip | (lines & ~STIP);
}

/** Looks at the clock: sets the timers' levels and the next deadline. To be called when a comparator was written. */
export function updateTimers(): void {
  const now = <u64>mtime();
  store<u64>(hart, instret(), H_CLOCK_LOOK);
  const stimecmp = load<u64>(hart, H_MENVCFG) & MENVCFG_STCE ? load<u64>(hart, H_STIMECMP) : NEVER;
  const mtimecmp = load<u64>(hart, H_MTIMECMP);
  let lines = load<u64>(hart, H_LINES) & ~(STIP | MTIP);
  let deadline = NEVER;
  if (stimecmp <= now) lines |= STIP;
  else deadline = stimecmp;
  if (mtimecmp <= now) lines |= MTIP;
  else deadline = min(deadline, mtimecmp);
  store<u64>(hart, lines, H_LINES);
  store<u64>(hart, deadline, H_DEADLINE);
}

/**
 * Interrupts pending and enabled in mie, whatever the global enables say: not 0 wakes a waiting hart. Looks at the
 * clock.
 */
export function pendingInterrupts(): u64 {
  if (load<u64>(hart, H_DEADLINE) !== NEVER) updateTimers();
  return pendingBits() & load<u64>(hart, H_MIE);
}

/** Takes the interrupt of highest priority that may be taken; the hart no longer waits. */
export function interrupts(): void {
  // The answer to an access that is under way belongs to the instruction at the pc.
  if (load<u32>(hart, H_PENDING_STATE) !== PENDING_NONE) return;
  const isDue = load<u64>(hart, H_DEADLINE) !== NEVER && instret() - load<u64>(hart, H_CLOCK_LOOK) >= CLOCK_INTERVAL;
  if (isDue || load<u32>(hart, H_WAITING) !== 0) updateTimers();
  store<u32>(hart, 0, H_WAITING);
  const pending = pendingBits() & load<u64>(hart, H_MIE);
  if (pending === 0) return;
  const privilege = load<u32>(hart, H_PRIV);
  const mstatus = load<u64>(hart, H_MSTATUS);
  const mideleg = load<u64>(hart, H_MIDELEG);
  const forMachine = pending & ~mideleg;
  if (forMachine !== 0 && (privilege !== MACHINE || (mstatus & MSTATUS_MIE) !== 0)) {
    takeInterrupt(highestPriority(forMachine), false);
    return;
  }
  const forSupervisor = pending & mideleg;
  if (forSupervisor === 0 || privilege === MACHINE) return;
  if (privilege === USER || (mstatus & MSTATUS_SIE) !== 0) takeInterrupt(highestPriority(forSupervisor), true);
}

function highestPriority(pending: u64): u32 {
  if (pending & (1 << MEI)) return MEI;
  if (pending & (1 << MSI)) return MSI;
  if (pending & (1 << MTI)) return MTI;
  if (pending & (1 << SEI)) return SEI;
  return pending & (1 << SSI) ? SSI : STI;
}

/**
 * Sets a line to level 0 or 1; bit is its number in mip. SSIP (an inter-processor interrupt) and, without Sstc, STIP
 * are software's bits: they are set in mip itself, and cleared by whoever serves them.
 */
export function setInterruptLine(bit: u32, level: u32): void {
  const isSoftware = bit === SSI || (bit === STI && !(load<u64>(hart, H_MENVCFG) & MENVCFG_STCE));
  const at = hart + (isSoftware ? H_MIP : H_LINES);
  const mask = (<u64>1) << bit;
  store<u64>(at, level ? load<u64>(at) | mask : load<u64>(at) & ~mask);
}

/** wfi: a nop while an interrupt is pending; otherwise the hart leaves, done with the instruction. */
export function wfi(): void {
  const privilege = load<u32>(hart, H_PRIV);
  const isTimedOut = privilege === SUPERVISOR && (load<u64>(hart, H_MSTATUS) & MSTATUS_TW) !== 0;
  if (privilege === USER || isTimedOut) {
    illegal();
    return;
  }
  if (pendingInterrupts() !== 0) return;
  store<u32>(hart, 1, H_WAITING);
  store<u64>(hart, load<u64>(hart, H_PC) + 4, H_PC);
  store<u32>(hart, load<u32>(hart, H_REMAINING) - 1, H_REMAINING);
  store<u32>(hart, EXIT_WFI, H_EXIT_REASON);
  store<u32>(hart, STATUS_EXIT_DONE, H_STATUS);
}

/** wrs.nto (sto 0), wrs.sto (1): whether it may be executed. The stall itself: yield.ts. */
export function wrs(sto: u32): void {
  const isTimedOut = load<u32>(hart, H_PRIV) !== MACHINE && (load<u64>(hart, H_MSTATUS) & MSTATUS_TW) !== 0;
  if (sto === 0 && isTimedOut) illegal();
}
