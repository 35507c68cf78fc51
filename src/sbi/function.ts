/**
 * What an SBI function is, and the arguments many of them share: hart masks and physical addresses.
 * Source: RISC-V SBI specification v2.0, chapter 3.
 */
import { type SbiHost, type SbiOutcome, sbiError, sbiFailure } from './host.ts';

/** The call's arguments a0 to a5, unsigned 64-bit. */
export type SbiArguments = readonly [bigint, bigint, bigint, bigint, bigint, bigint];

export interface SbiFunction {
  readonly eid: number;
  /** Null: a legacy extension, which has no function number and answers in a0 alone. */
  readonly fid: number | null;
  readonly name: string;
  run(host: SbiHost, args: SbiArguments): SbiOutcome;
}

export const UINT64_MAX = 2n ** 64n - 1n;

/** A base of all ones means every hart, whatever the mask. @returns null when the mask names a hart that does not exist */
export function hartsOf(host: SbiHost, mask: bigint, base: bigint): readonly number[] | null {
  if (base === UINT64_MAX) return host.harts;
  const harts: number[] = [];
  for (let bits = mask, hart = base; bits !== 0n; bits >>= 1n, hart++) {
    if ((bits & 1n) === 0n) continue;
    const known = hartOf(host, hart);
    if (known === null) return null;
    harts.push(known);
  }
  return harts;
}

/** A hart's number from a register, or null when there is no such hart. */
export function hartOf(host: SbiHost, value: bigint): number | null {
  const hart = value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : -1;
  return host.harts.includes(hart) ? hart : null;
}

/** A physical address from a register, or null for one at or above 2^53, where no memory can be. */
export function gpaOf(value: bigint): number | null {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : null;
}

/** A hart can be sent to it: two-byte aligned RAM. */
export function entryOf(host: SbiHost, address: bigint): number | null {
  const gpa = gpaOf(address);
  return gpa !== null && gpa % 2 === 0 && host.isRam(gpa, 2) ? gpa : null;
}

export const notSupported = () => sbiFailure(sbiError.notSupported);
export const invalidParam = () => sbiFailure(sbiError.invalidParam);
export const invalidAddress = () => sbiFailure(sbiError.invalidAddress);
