/**
 * What a side exit says, in one i64: instructions of its block that were not executed, then two bits for the reason, then
 * the halfwords from the region's entry to the instruction it stands at.
 */
import { REGION_STATUS } from '../hart/state.ts';
import type { Code } from '../wasm/code.ts';

const INSNS_BITS = 11;
const WHY_BITS = 2;
const AT_BIT = INSNS_BITS + WHY_BITS;
/** REGION_STATUS has the reasons two apart. */
const STATUS_STEP = 2;

export type Reason = 'bailed' | 'missed' | 'gated';

/** @param at bytes from the entry, an even number; @param insns less than 2^11 */
export function sideExit(at: number, insns: number, reason: Reason = 'bailed'): bigint {
  const why = (REGION_STATUS[reason] - REGION_STATUS.bailed) / STATUS_STEP;
  return (BigInt(at / 2) << BigInt(AT_BIT)) | BigInt((why << INSNS_BITS) | insns);
}

/** Pushes the bytes from the entry, an i64. */
export function pushExitAt(code: Code, exit: number): void {
  code.get(exit).i64(AT_BIT).op('i64.shr_s').i64(1).op('i64.shl');
}

export function pushExitInsns(code: Code, exit: number): void {
  code
    .get(exit)
    .op('i32.wrap_i64')
    .i32((1 << INSNS_BITS) - 1)
    .op('i32.and');
}

/** Pushes the REGION_STATUS. */
export function pushExitStatus(code: Code, exit: number): void {
  code
    .get(exit)
    .op('i32.wrap_i64')
    .i32(INSNS_BITS - Math.log2(STATUS_STEP))
    .op('i32.shr_u')
    .i32(((1 << WHY_BITS) - 1) * STATUS_STEP)
    .op('i32.and')
    .i32(REGION_STATUS.bailed)
    .op('i32.add');
}
