/**
 * Numbers of the privileged architecture (Privileged 20240411) that the reference uses: causes, interrupt bits, fields
 * of mstatus, menvcfg and page-table entries. Written down apart from the fast machine's on purpose: the reference is
 * its oracle.
 */

/** Privilege modes. */
export const U = 0;
export const S = 1;
export const M = 3;
export type Privilege = typeof U | typeof S | typeof M;

/** Exception codes (table 14). */
export const CAUSE = {
  fetchAccess: 1n,
  illegal: 2n,
  breakpoint: 3n,
  loadMisaligned: 4n,
  loadAccess: 5n,
  storeMisaligned: 6n,
  storeAccess: 7n,
  ecallU: 8n,
  ecallS: 9n,
  ecallM: 11n,
  fetchPage: 12n,
  loadPage: 13n,
  storePage: 15n,
} as const;
export const INTERRUPT = 1n << 63n;

/** Bits of mip, mie and mideleg. */
export const IRQ = {
  ssi: 1n << 1n,
  msi: 1n << 3n,
  sti: 1n << 5n,
  mti: 1n << 7n,
  sei: 1n << 9n,
  mei: 1n << 11n,
} as const;
export const S_INTERRUPTS = IRQ.ssi | IRQ.sti | IRQ.sei;
export const ALL_INTERRUPTS = S_INTERRUPTS | IRQ.msi | IRQ.mti | IRQ.mei;
/** Interrupt numbers, the most urgent first (section 3.1.9). */
export const INTERRUPT_ORDER = [11n, 3n, 7n, 9n, 1n, 5n] as const;

export const MSTATUS = {
  sie: 1n << 1n,
  mie: 1n << 3n,
  spie: 1n << 5n,
  mpie: 1n << 7n,
  spp: 1n << 8n,
  mpp: 3n << 11n,
  fs: 3n << 13n,
  mprv: 1n << 17n,
  sum: 1n << 18n,
  mxr: 1n << 19n,
  tvm: 1n << 20n,
  tw: 1n << 21n,
  tsr: 1n << 22n,
  /** UXL and SXL, both read-only 2. */
  uxl: 2n << 32n,
  sxl: 2n << 34n,
  sd: 1n << 63n,
} as const;
export const FS_DIRTY = MSTATUS.fs;

export const ENVCFG = {
  fiom: 1n << 0n,
  cbie: 3n << 4n,
  cbcfe: 1n << 6n,
  cbze: 1n << 7n,
  adue: 1n << 61n,
  pbmte: 1n << 62n,
  stce: 1n << 63n,
} as const;

export const PTE = {
  v: 1n << 0n,
  r: 1n << 1n,
  w: 1n << 2n,
  x: 1n << 3n,
  u: 1n << 4n,
  a: 1n << 6n,
  d: 1n << 7n,
  /** Bits 60:54. */
  reserved: 0x7fn << 54n,
  pbmt: 3n << 61n,
  n: 1n << 63n,
} as const;

export const mask64 = (value: bigint): bigint => BigInt.asUintN(64, value);
