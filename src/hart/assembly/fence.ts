/**
 * sfence.vma and Svinval (privileged specification 4.2.1, 5.2). The caller fetches anew behind them. ASIDs are not kept
 * apart, so an ASID given narrows nothing; sinval.vma acts at once, and the two fences around it only check.
 */
import { MSTATUS_TVM, SUPERVISOR, USER } from './architecture';
import { hart } from './hart';
import { H_MSTATUS, H_PRIV } from './layout.generated';
import { flushAddress, flushTranslations } from './mmu';
import { illegal } from './trap';

const W_INVAL: u32 = 2;

/** kind: 0 sfence.vma, 1 sinval.vma, 2 sfence.w.inval, 3 sfence.inval.ir */
export function sfenceVma(addr: u64, _asid: u64, hasAddr: u32, _hasAsid: u32, kind: u32): void {
  const privilege = load<u32>(hart, H_PRIV);
  const isFlush = kind < W_INVAL;
  const isTrapped = privilege === SUPERVISOR && isFlush && (load<u64>(hart, H_MSTATUS) & MSTATUS_TVM) !== 0;
  if (privilege === USER || isTrapped) illegal();
  else if (isFlush && hasAddr !== 0) flushAddress(addr);
  else if (isFlush) flushTranslations();
}
