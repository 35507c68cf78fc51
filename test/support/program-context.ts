/** What the pieces of a generated program must know of the place where they stand. */
import type { ProgramAia } from './program-imsic.ts';
import { PROGRAM_BASE, USER_WINDOW } from './program-layout.ts';

/** Where the program stands: what the pieces must know. */
export interface Context {
  mode: 'm' | 's' | 'u';
  /** Keeps clear of what QEMU does its own way. */
  readonly forQemu: boolean;
  /** What the hart has of the AIA. */
  readonly aia: ProgramAia;
  readonly paged: boolean;
  /** Bits of supervisor interrupts that may be enabled; one alone for QEMU, which takes several in its own order. */
  readonly interrupts: bigint;
  /** M mode, but loads and stores as another mode. */
  readonly mprv: boolean;
  /** TW is clear. */
  readonly mayWait: boolean;
  /** sret is not refused. */
  readonly sretWorks: boolean;
  /** Physical memory protection may deny parts of the data. */
  readonly guarded: boolean;
  /** Offsets in the data where protection ranges begin and end. */
  readonly edges: readonly number[];
  readonly oddPages: readonly bigint[];
  /** Values to put back after a CSR has been played with, by number. */
  readonly restore: Map<number, bigint>;
  /** Offset of the next free place in the trace. */
  trace: number;
}

/** Where the region's byte `offset` is for loads, stores and fetches of the present mode. */
export function place(context: Context, offset: number): bigint {
  return (context.mode === 'u' && context.paged ? USER_WINDOW : PROGRAM_BASE) + BigInt(offset);
}
