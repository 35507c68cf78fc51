/**
 * Interrupts (privileged specification 3.1.9, 3.3.3; 4.1.3; AIA 1.0, chapter 5), the timers of Sstc and ACLINT, wrs
 * (Zawrs).
 *
 * mip as read is its software-written bits or'ed with `lines`: what devices drive, and the timers as they stood when
 * the clock was last looked at. Asking the host for the time costs more than a hundred instructions, so a running hart
 * asks once in CLOCK_INTERVAL instructions at most. Not modelled: local interrupts above 12, Sscofpmf.
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
  SEIP,
  SSI,
  SSIP,
  STI,
  STIP,
  USER,
} from './architecture';
import { readMtime } from './env';
import { hart } from './hart';
import {
  AIA_IMSIC,
  H_AIA,
  H_CLOCK_LOOK,
  H_DEADLINE,
  H_INSTRET_END,
  H_LINES,
  H_MENVCFG,
  H_MIDELEG,
  H_MIE,
  H_MIP,
  H_MSTATUS,
  H_MTIME,
  H_MTIMECMP,
  H_MVIEN,
  H_MVIP,
  H_PENDING_STATE,
  H_PRIV,
  H_REMAINING,
  H_SIE,
  H_STIMECMP,
  H_WAITING,
  PENDING_NONE,
} from './layout.generated';
import { illegal, takeInterrupt } from './trap';

/** Instructions. */
const CLOCK_INTERVAL: u64 = 1024;
const NEVER: u64 = ~0;

/** Instructions retired before the current one. */
export function instret(): u64 {
  return load<u64>(hart, H_INSTRET_END) - <u64>(<i64>load<i32>(hart, H_REMAINING));
}

/** Whether STIP of mip is software's; otherwise it is stimecmp's. */
export function isStipWritable(): bool {
  return !(load<u64>(hart, H_MENVCFG) & MENVCFG_STCE);
}

/** mip as it is read. While mvien.SEIE is set, the SEIP that software wrote is mvip's alone. */
export function pendingBits(): u64 {
  const lines = load<u64>(hart, H_LINES);
  const mip = load<u64>(hart, H_MIP) & ~(load<u64>(hart, H_MVIEN) & SEIP);
  return isStipWritable() ? mip | (lines & ~STIP) : lines | (mip & ~STIP);
}

/** Interrupts that S mode sees in sie and sip without their being delegated to it: mvip's (AIA 5.3). */
export function virtualMask(): u64 {
  return load<u64>(hart, H_MVIEN) & ~load<u64>(hart, H_MIDELEG);
}

/** Their bits in sip. */
export function virtualPending(): u64 {
  return ((load<u64>(hart, H_MVIP) & SSIP) | (load<u64>(hart, H_MIP) & SEIP)) & virtualMask();
}

/** Interrupts, pending and enabled, that trap to M mode. */
export function pendingForMachine(): u64 {
  return pendingBits() & load<u64>(hart, H_MIE) & ~load<u64>(hart, H_MIDELEG);
}

/** Interrupts, pending and enabled, that trap to S mode. */
export function pendingForSupervisor(): u64 {
  const delegated = pendingBits() & load<u64>(hart, H_MIE) & load<u64>(hart, H_MIDELEG);
  return delegated | (virtualPending() & load<u64>(hart, H_SIE));
}

/** The machine's time, in ticks. */
export function mtime(): u64 {
  readMtime();
  return <u64>load<f64>(hart, H_MTIME);
}

/** Looks at the clock: sets the timers' levels and the next deadline. To be called when a comparator was written. */
export function updateTimers(): void {
  const now = mtime();
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
 * Interrupts pending and enabled at any level, whatever the global enables say: not 0 wakes a waiting hart. Looks at
 * the clock.
 */
export function pendingInterrupts(): u64 {
  if (load<u64>(hart, H_DEADLINE) !== NEVER) updateTimers();
  return pendingForMachine() | pendingForSupervisor();
}

/** Takes the interrupt of highest priority that may be taken; the hart no longer waits. */
export function interrupts(): void {
  // The answer to an access that is under way belongs to the instruction at the pc.
  if (load<u32>(hart, H_PENDING_STATE) !== PENDING_NONE) return;
  const isDue = load<u64>(hart, H_DEADLINE) !== NEVER && instret() - load<u64>(hart, H_CLOCK_LOOK) >= CLOCK_INTERVAL;
  if (isDue || load<u32>(hart, H_WAITING) !== 0) updateTimers();
  store<u32>(hart, 0, H_WAITING);
  const forMachine = pendingForMachine();
  const forSupervisor = pendingForSupervisor();
  if ((forMachine | forSupervisor) === 0) return;
  const privilege = load<u32>(hart, H_PRIV);
  const mstatus = load<u64>(hart, H_MSTATUS);
  if (forMachine !== 0 && (privilege !== MACHINE || (mstatus & MSTATUS_MIE) !== 0)) {
    takeInterrupt(highestPriority(forMachine), false);
    return;
  }
  if (forSupervisor === 0 || privilege === MACHINE) return;
  if (privilege === USER || (mstatus & MSTATUS_SIE) !== 0) takeInterrupt(highestPriority(forSupervisor), true);
}

/** The default order of major interrupts (AIA 1.0, 5.1), of those that there are. */
export function highestPriority(pending: u64): u32 {
  if (pending & (1 << MEI)) return MEI;
  if (pending & (1 << MSI)) return MSI;
  if (pending & (1 << MTI)) return MTI;
  if (pending & (1 << SEI)) return SEI;
  return pending & (1 << SSI) ? SSI : STI;
}

/**
 * Sets a line to level 0 or 1; bit is its number in mip. SSIP (an inter-processor interrupt) and, without Sstc, STIP
 * are software's bits: they are set in mip itself, and cleared by whoever serves them. With an IMSIC MEIP and SEIP are
 * the interrupt files' alone.
 */
export function setInterruptLine(bit: u32, level: u32): void {
  if ((bit === MEI || bit === SEI) && load<u32>(hart, H_AIA) === AIA_IMSIC) return;
  const isSoftware = bit === SSI || (bit === STI && isStipWritable());
  const at = hart + (isSoftware ? H_MIP : H_LINES);
  const mask = (<u64>1) << bit;
  store<u64>(at, level ? load<u64>(at) | mask : load<u64>(at) & ~mask);
}

/** wrs.nto (sto 0), wrs.sto (1): whether it may be executed. The stall itself: yield.ts. */
export function wrs(sto: u32): void {
  const isTimedOut = load<u32>(hart, H_PRIV) !== MACHINE && (load<u64>(hart, H_MSTATUS) & MSTATUS_TW) !== 0;
  if (sto === 0 && isTimedOut) illegal();
}
