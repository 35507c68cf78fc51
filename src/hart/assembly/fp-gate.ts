/**
 * The floating-point gate: one word that says what an instruction may do without a slow path, derived from mstatus.FS
 * (privileged specification 3.1.6.6), frm and fflags (unprivileged specification, F 11.2). FP_GATE in state.ts names
 * its bits. Whoever writes one of the three calls `fpGateChanged`.
 */
import { hart } from './hart';
import {
  FP_GATE_DIRTY,
  FP_GATE_EXACT,
  FP_GATE_FAST,
  FP_GATE_ON,
  H_FFLAGS,
  H_FP_GATE,
  H_FRM,
  H_MSTATUS,
} from './layout.generated';

const FS_SHIFT: u64 = 13;
const FS_DIRTY: u32 = 3;
const ROUND_NEAREST_EVEN: u32 = 0;
const INEXACT: u32 = 1;

/** Makes fpGate anew. */
export function fpGateChanged(): void {
  const fs = <u32>(load<u64>(hart + H_MSTATUS) >> FS_SHIFT) & 3;
  let gate: u32 = 0;
  if (fs !== 0) gate |= FP_GATE_ON;
  if (fs === FS_DIRTY) {
    gate |= FP_GATE_DIRTY;
    if (load<u32>(hart + H_FRM) === ROUND_NEAREST_EVEN) {
      gate |= FP_GATE_EXACT;
      if ((load<u32>(hart + H_FFLAGS) & INEXACT) !== 0) gate |= FP_GATE_FAST;
    }
  }
  store<u32>(hart + H_FP_GATE, gate);
}

/** Accrues exception flags; a flag that was clear before makes FS dirty and the gate anew. */
export function raise(flags: u32): void {
  const before = load<u32>(hart + H_FFLAGS);
  if ((before | flags) === before) return;
  store<u32>(hart + H_FFLAGS, before | flags);
  store<u64>(hart + H_MSTATUS, load<u64>(hart + H_MSTATUS) | ((<u64>FS_DIRTY) << FS_SHIFT));
  fpGateChanged();
}
