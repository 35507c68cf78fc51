/**
 * Pieces of guest memory as a loader wants them. Addresses are guest-physical.
 */

/** Bytes at an address, followed by zeros up to lengthBytes. */
export interface BootSegment {
  readonly gpa: number;
  readonly bytes: Uint8Array;
  /** At least bytes.length. */
  readonly lengthBytes: number;
}

/** What a file turned out to be. */
export interface LoadedImage {
  readonly kind: 'elf' | 'linux' | 'raw';
  readonly segments: readonly BootSegment[];
  readonly entryGpa: number;
  /** HTIF's mailboxes (ELF symbols), for bare-metal programs. */
  readonly tohostGpa?: number;
  readonly fromhostGpa?: number;
}

export const segmentEnd = (segment: BootSegment) => segment.gpa + segment.lengthBytes;

/** The lowest and the highest address an image touches. */
export function extentOf(image: LoadedImage): { readonly start: number; readonly end: number } {
  return {
    start: Math.min(...image.segments.map((segment) => segment.gpa)),
    end: Math.max(...image.segments.map(segmentEnd)),
  };
}

export const alignUp = (value: number, to: number) => Math.ceil(value / to) * to;
export const alignDown = (value: number, to: number) => Math.floor(value / to) * to;
