/** The machine's time as a program reads it, without a trap. */

import { COUNTER_TIME, isCounterAllowed } from './csr';
import { hart } from './hart';
import { mtime } from './interrupts';
import { H_EXACT_QUANTA, H_PRIV } from './layout.generated';

/**
 * For translated code: the CSR time. All ones, which it never is, where reading it would trap, and in runs that are repeated
 * exactly: they look at the clock at the same instructions, however those are executed.
 */
export function readTime(): u64 {
  const isTheirs = isCounterAllowed(load<u32>(hart, H_PRIV), COUNTER_TIME);
  return isTheirs && !load<u32>(hart, H_EXACT_QUANTA) ? mtime() : ~(<u64>0);
}
