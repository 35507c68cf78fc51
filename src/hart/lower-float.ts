/**
 * Floating point with the host's own instructions, where that is exact: rounding to nearest even, and NX set already,
 * so that the only flag an ordinary result could raise changes nothing. Every other case bails out to soft-float.
 */
import type { Effect } from '../isa/ir.ts';
import type { FastContext } from './lower-fast.ts';
import type { ValueLowering } from './lower-values.ts';

/** @returns false where the operation has no native form */
export function lowerFastFloat(
  _context: FastContext,
  _values: ValueLowering,
  _effect: Effect & { readonly op: 'fp' },
): boolean {
  return false;
}
