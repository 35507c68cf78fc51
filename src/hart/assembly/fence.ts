/**
 * sfence.vma and Svinval (privileged specification 4.2.1, 5.2), and what other harts ask for. The caller fetches anew behind them. ASIDs are not kept
 * apart, so an ASID given narrows nothing; sinval.vma acts at once, and the two fences around it only check.
 */
import { MSTATUS_TVM, SUPERVISOR, USER } from './architecture';
import { hart } from './hart';
import { H_MSTATUS, H_PRIV } from './layout.generated';
import { flushAddress, flushTranslations } from './mmu';
import { illegal } from './trap';

const W_INVAL: u32 = 2;
const PAGE_SHIFT: u64 = 12;
/** From so many pages on, emptying the tables is cheaper than looking each page up. */
const MANY_PAGES: u64 = 512;

/** kind: 0 sfence.vma, 1 sinval.vma, 2 sfence.w.inval, 3 sfence.inval.ir */
export function sfenceVma(addr: u64, _asid: u64, hasAddr: u32, _hasAsid: u32, kind: u32): void {
  const privilege = load<u32>(hart, H_PRIV);
  const isFlush = kind < W_INVAL;
  const isTrapped = privilege === SUPERVISOR && isFlush && (load<u64>(hart, H_MSTATUS) & MSTATUS_TVM) !== 0;
  if (privilege === USER || isTrapped) {
    illegal();
    return;
  }
  if (!isFlush) return;
  if (hasAddr !== 0) flushAddress(addr);
  else flushTranslations();
}

/** As sfence.vma of every page from the one of `first` to the one of `last`, both unsigned; of all if last < first. */
export function fenceAddresses(first: u64, last: u64): void {
  const pages = (last >> PAGE_SHIFT) - (first >> PAGE_SHIFT);
  if (last < first || pages >= MANY_PAGES) {
    flushTranslations();
    return;
  }
  for (let i: u64 = 0; i <= pages; i++) flushAddress(first + (i << PAGE_SHIFT));
}
