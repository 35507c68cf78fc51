/**
 * How a device reaches guest-physical memory, and nothing else does. `map` is for ranges that are plain RAM; `read` and
 * `write` take any range and answer in a later bottom half of the device's loop, never from inside the call.
 */

/** A piece of a mapped range: guest RAM itself, in the order of guest-physical addresses. */
export type DmaSegment = Uint8Array;

export interface DmaPort {
  /**
   * The range as segments of guest RAM; nobody assumes that RAM is contiguous. What is written to a range mapped for
   * writing counts as dirty until `unmap`.
   * @param gpa any number; @returns null where the range is not wholly RAM: use read() or write()
   */
  map(gpa: number, lengthBytes: number, access: 'read' | 'write'): readonly DmaSegment[] | null;
  /** The device no longer touches the segments of a range it mapped. */
  unmap(gpa: number, lengthBytes: number, access: 'read' | 'write'): void;
  /** Reads any range. @param done called once, in a later bottom half: the bytes, or null for a bus error */
  read(gpa: number, lengthBytes: number, done: (bytes: Uint8Array | null) => void): void;
  /** Writes any range; `bytes` is the port's until `done` is called, once, in a later bottom half. */
  write(gpa: number, bytes: Uint8Array, done: (ok: boolean) => void): void;
}
