/** Fields of sstatus, which are mstatus's own. Source: Privileged Architecture, 12.1.1 (sstatus). */
const FIELDS = {
  sie: 1n << 1n,
  spie: 1n << 5n,
  spp: 1n << 8n,
  fs: 3n << 13n,
  sum: 1n << 18n,
  mxr: 1n << 19n,
} as const;

export const SSTATUS = {
  ...FIELDS,
  /** What S mode may write. */
  writable: Object.values(FIELDS).reduce((all, field) => all | field, 0n),
  /** Always 64 bits. */
  uxl: 2n << 32n,
  /** FS is Dirty; made on reading. */
  sd: 1n << 63n,
} as const;
