/** The check before every floating-point instruction (privileged specification 3.1.6.6). */
import { fpGateChanged } from './fp-gate';
import { hart } from './hart';
import { H_MSTATUS } from './layout.generated';
import { illegal } from './trap';

const FS: u64 = 3 << 13;

/** Illegal instruction while FS is Off; an instruction that writes an f register makes FS dirty. */
export function requireFp(writes: u32): void {
  const mstatus = load<u64>(hart, H_MSTATUS);
  if ((mstatus & FS) === 0) {
    illegal();
  } else if (writes !== 0 && (mstatus & FS) !== FS) {
    store<u64>(hart, mstatus | FS, H_MSTATUS);
    fpGateChanged();
  }
}
