/**
 * A compact encoding for messages: undefined, null, booleans, numbers, bigints, strings, typed arrays, arrays and plain
 * objects of these. Anything else (functions, class instances, cycles) is an error of the sender.
 *
 * Snapshots (src/snapshot) are written with it too: a tag, and the place of a class in VIEWS, keep their number for
 * ever. What a file holds may be anything, so a decoder reads no byte beyond its end and allocates in proportion to it.
 *
 * Property names, and the value of a property `type`, are sent once per channel and by number from then on: both ends
 * keep the same dictionary, which works because a channel is ordered and loses nothing. In a channel all of an object's have
 * a number together, its shape's (shapes.ts); snapshots are written without.
 */
export const TAG = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  byte: 4,
  int32: 5,
  float64: 6,
  bigint: 7,
  ascii: 8,
  utf16: 9,
  bytes: 10,
  array: 11,
  object: 12,
  name: 13,
  newName: 14,
  view: 15,
  shaped: 16,
  newShape: 17,
  /** In channels only: what reads snapshots may be older. */
  uint16: 18,
} as const;

/** Typed arrays other than Uint8Array, which has a tag of its own. They are written as they lie, little-endian. */
export const VIEWS = [
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

export const MAX_NAMES = 4096;
export const MAX_DEPTH = 32;
/** A name that would reach the prototype of the object it is set on. */
export const FORBIDDEN_NAME = '__proto__';
