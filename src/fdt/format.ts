/**
 * The numbers of the flattened format, version 17: header fields, tokens, alignments.
 * Source: Devicetree Specification v0.4, chapter 5.
 */

export const FDT_MAGIC = 0xd00dfeed;
export const FDT_VERSION = 17;
/** The oldest version whose readers can read what we write, and the oldest we read. */
export const FDT_COMPATIBLE_VERSION = 16;

/** Header fields: byte offsets of big-endian 32-bit words. */
export const header = {
  magic: 0,
  totalSize: 4,
  structOffset: 8,
  stringsOffset: 12,
  reservationsOffset: 16,
  version: 20,
  compatibleVersion: 24,
  bootCpu: 28,
  stringsSize: 32,
  structSize: 36,
} as const;
export const HEADER_BYTES = 40;

/** The reservation block is aligned to 8, each entry two 64-bit words, the last all zero. */
export const RESERVATION_BYTES = 16;

/** Structure tokens; each is aligned to 4. */
export const token = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;

/** Linux and U-Boot refuse trees beyond 2 MiB; so do we. */
export const FDT_MAX_BYTES = 2 * 1024 * 1024;
/** libfdt's limit on nesting. */
export const FDT_MAX_DEPTH = 64;

export const align = (value: number, to: number) => Math.ceil(value / to) * to;
