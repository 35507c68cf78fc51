/**
 * Where a hart waits: wfi (privileged specification 3.3.3), and where a spinning guest lets others run: pause
 * (Zihintpause), and the stall of wrs.nto and wrs.sto (Zawrs). Host threads may be fewer than harts, and whom the guest
 * waits for may be one that does not run.
 */
import { MSTATUS_TW, SUPERVISOR, USER } from './architecture';
import { hart } from './hart';
import { pendingForMachine, pendingForSupervisor, pendingInterrupts } from './interrupts';
import {
  EXIT_STALL,
  EXIT_WFI,
  EXIT_YIELD,
  H_DOORBELL,
  H_EXACT_QUANTA,
  H_EXIT_REASON,
  H_MSTATUS,
  H_PAUSES,
  H_PC,
  H_PRIV,
  H_RAM_HOST,
  H_REMAINING,
  H_RESERVATION_OFFSET,
  H_RESERVATION_SIZE,
  H_RESERVATION_VALID,
  H_RESERVATION_VALUE,
  H_STATUS,
  H_WAITING,
  H_WFI_LOOKS,
  STATUS_EXIT_DONE,
} from './layout.generated';
import { takeSignals } from './signals';
import { illegal } from './trap';

/** About five microseconds of spinning, which is longer than most locks are held. */
const PAUSES_PER_YIELD: u32 = 64;
/** As long: looks at a reserved value that is still the same. */
const LOOKS_PER_STALL: u32 = 2048;
/** Of wfi's. */
const LOOKS_PER_CLOCK_READING: u32 = 64;

/** wfi: a nop while an interrupt is pending, or comes soon; otherwise the hart leaves, done with the instruction. */
export function wfi(): void {
  const privilege = load<u32>(hart, H_PRIV);
  const isTimedOut = privilege === SUPERVISOR && (load<u64>(hart, H_MSTATUS) & MSTATUS_TW) !== 0;
  if (privilege === USER || isTimedOut) {
    illegal();
    return;
  }
  if (pendingInterrupts() !== 0 || isToldSoon()) return;
  store<u32>(hart, 1, H_WAITING);
  leave(EXIT_WFI);
}

/**
 * A signal that comes while the hart looks for one spares it the way out and back. How long that is worthwhile the host
 * says, from what it saw. @returns whether an interrupt is pending
 */
function isToldSoon(): bool {
  const doorbell = load<u32>(hart, H_DOORBELL);
  for (let looks = load<u32>(hart, H_WFI_LOOKS); looks > 0; looks--) {
    if (atomic.load<u32>(doorbell) !== 0) {
      if (takeSignals() === 0) return false;
      if ((pendingForMachine() | pendingForSupervisor()) !== 0) return true;
    } else if (looks % LOOKS_PER_CLOCK_READING === 0 && pendingInterrupts() !== 0) return true;
  }
  return false;
}

/** pause: every so often the hart leaves, done with the instruction. */
export function pause(): void {
  const count = load<u32>(hart, H_PAUSES) + 1;
  if (count < PAUSES_PER_YIELD) {
    store<u32>(hart, count, H_PAUSES);
    return;
  }
  store<u32>(hart, 0, H_PAUSES);
  leave(EXIT_YIELD);
}

/**
 * The stall of wrs: ends at once without a reservation, or for an interrupt, and as soon as the value has changed. Where
 * one thread runs all harts nobody changes it meanwhile.
 */
export function stall(): void {
  if (load<u32>(hart, H_RESERVATION_VALID) === 0 || hasChanged() || pendingInterrupts() !== 0) return;
  const doorbell = load<u32>(hart, H_DOORBELL);
  let looks: u32 = load<u32>(hart, H_EXACT_QUANTA) !== 0 ? 0 : LOOKS_PER_STALL;
  for (; looks > 0 && atomic.load<u32>(doorbell) === 0; looks--) {
    if (hasChanged()) return;
  }
  leave(EXIT_STALL);
}

/** Whether the reserved bytes have another value than LR read. */
function hasChanged(): bool {
  const at = load<u32>(hart, H_RAM_HOST) + load<u32>(hart, H_RESERVATION_OFFSET);
  const value = load<u32>(hart, H_RESERVATION_SIZE) === 8 ? atomic.load<u64>(at) : atomic.load<u32>(at);
  return value !== load<u64>(hart, H_RESERVATION_VALUE);
}

/** Leaves behind the instruction, which is four bytes long. */
function leave(reason: u32): void {
  store<u64>(hart, load<u64>(hart, H_PC) + 4, H_PC);
  store<u32>(hart, load<u32>(hart, H_REMAINING) - 1, H_REMAINING);
  store<u32>(hart, reason, H_EXIT_REASON);
  store<u32>(hart, STATUS_EXIT_DONE, H_STATUS);
}
