/**
 * A device tree as plain values, and short functions to build one.
 * Source: Devicetree Specification v0.4, chapter 2.
 *
 * Property values are bytes, as in the blob: what they mean depends on the property. The builders below encode the
 * common shapes, the `get*` functions take them apart again.
 */

/** A node. Properties and children keep their order. */
export interface FdtNode {
  /** `name@unit-address`; empty for the root. */
  readonly name: string;
  readonly properties: Map<string, Uint8Array>;
  readonly children: FdtNode[];
}

/** Memory the guest must leave alone. */
export interface FdtReservation {
  readonly address: bigint;
  readonly lengthBytes: bigint;
}

export interface FdtTree {
  readonly root: FdtNode;
  readonly reservations: readonly FdtReservation[];
  /** The hart that boots (`boot_cpuid_phys`). */
  readonly bootCpu: number;
}

/** What a builder takes as a property's value. */
export type FdtValue = Uint8Array | string | readonly string[] | number | readonly number[] | true;

/**
 * A node from values: text is a string, a list of text a string list, a number one 32-bit cell, a list of numbers
 * cells, `true` an empty property. Undefined values leave the property out.
 */
export function fdtNode(
  name: string,
  properties: Readonly<Record<string, FdtValue | undefined>>,
  children: readonly FdtNode[] = [],
): FdtNode {
  const encoded = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(properties)) {
    if (value !== undefined) encoded.set(key, encodeValue(value));
  }
  return { name, properties: encoded, children: [...children] };
}

/** Hands out phandles, 1 and up, one per tree. */
export class PhandleAllocator {
  #next = 1;

  next(): number {
    return this.#next++;
  }
}

/** A 64-bit number as two cells, high first. @param value a whole number from 0 to 2^53 */
export function cells64(value: number): [number, number] {
  return [Math.floor(value / 2 ** 32), value % 2 ** 32];
}

/** A `reg` or `ranges` entry with two address and two size cells. */
export function reg64(base: number, lengthBytes: number): number[] {
  return [...cells64(base), ...cells64(lengthBytes)];
}

export function encodeValue(value: FdtValue): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value === true) return new Uint8Array(0);
  if (typeof value === 'string') return encodeStrings([value]);
  if (typeof value === 'number') return encodeCells([value]);
  return isStrings(value) ? encodeStrings(value) : encodeCells(value);
}

/** @returns null when the value is no whole number of cells */
export function getCells(value: Uint8Array): number[] | null {
  if (value.byteLength % 4 !== 0) return null;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return Array.from({ length: value.byteLength / 4 }, (_, index) => view.getUint32(index * 4));
}

/** @returns null when the value is not a list of terminated strings */
export function getStrings(value: Uint8Array): string[] | null {
  if (value.byteLength === 0 || value[value.byteLength - 1] !== 0) return null;
  return new TextDecoder().decode(value.subarray(0, -1)).split('\0');
}

/** The node at an absolute path such as `/soc/serial@10000000`, or undefined. */
export function findNode(root: FdtNode, path: string): FdtNode | undefined {
  let node: FdtNode | undefined = root;
  for (const name of path.split('/').filter((part) => part !== '')) {
    node = node?.children.find((child) => child.name === name);
  }
  return node;
}

function isStrings(value: readonly string[] | readonly number[]): value is readonly string[] {
  return typeof value[0] === 'string';
}

function encodeStrings(strings: readonly string[]): Uint8Array {
  return new TextEncoder().encode(strings.map((text) => `${text}\0`).join(''));
}

function encodeCells(cells: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(cells.length * 4);
  const view = new DataView(bytes.buffer);
  cells.forEach((cell, index) => {
    view.setUint32(index * 4, cell);
  });
  return bytes;
}
