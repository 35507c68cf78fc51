/** Reset (privileged specification 3.4), and what must be made anew when the hart's state was written from outside. */
import { MACHINE } from './architecture';
import { dropDecodedPages } from './fetch';
import { fpGateChanged } from './fp-gate';
import { hart } from './hart';
import { updateExternalLines } from './imsic';
import { updateTimers } from './interrupts';
import {
  H_INSTRET_END,
  H_LINES,
  H_MHARTID,
  H_MTIMECMP,
  H_PC,
  H_PRIV,
  H_REMAINING,
  H_STATUS,
  H_STIMECMP,
  H_X,
} from './layout.generated';
import { contextChanged, flushTlb } from './mmu';
import { forgetSpans } from './pmp';

/**
 * Architectural reset: M mode at pc, every register, CSR and counter 0, the timers' comparators all ones, the interrupt
 * files empty. mhartid and the levels of the lines stay, and so does what is left of the slice.
 */
export function reset(pc: u64): void {
  const mhartid = load<u64>(hart, H_MHARTID);
  const lines = load<u64>(hart, H_LINES);
  const remaining = load<i32>(hart, H_REMAINING);
  memory.fill(hart + H_X, 0, H_STATUS - H_X);
  store<u64>(hart, mhartid, H_MHARTID);
  store<u64>(hart, lines, H_LINES);
  store<i32>(hart, remaining, H_REMAINING);
  store<u64>(hart, <u64>(<i64>remaining), H_INSTRET_END);
  store<u64>(hart, ~0, H_STIMECMP);
  store<u64>(hart, ~0, H_MTIMECMP);
  store<u32>(hart, MACHINE, H_PRIV);
  store<u64>(hart, pc, H_PC);
  afterLoad();
}

/** Makes anew whatever is derived from architectural state and from guest RAM. */
export function afterLoad(): void {
  forgetSpans();
  contextChanged();
  fpGateChanged();
  flushTlb();
  dropDecodedPages();
  updateExternalLines();
  updateTimers();
}
