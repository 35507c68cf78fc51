/**
 * Writes a device tree as a flattened blob, version 17.
 * Source: Devicetree Specification v0.4, chapter 5. Layout: header, reservations, structure, strings.
 */
import {
  align,
  FDT_COMPATIBLE_VERSION,
  FDT_MAGIC,
  FDT_VERSION,
  HEADER_BYTES,
  header,
  RESERVATION_BYTES,
  token,
} from './format.ts';
import type { FdtNode, FdtReservation, FdtTree } from './tree.ts';

/** The blob, without room to grow. */
export function writeFdt(tree: FdtTree): Uint8Array {
  const strings = new StringTable();
  const structure = new ByteSink();
  writeNode(structure, strings, tree.root);
  structure.word(token.end);
  const reservations = encodeReservations(tree.reservations);
  const structOffset = HEADER_BYTES + reservations.length;
  const stringsOffset = structOffset + structure.length;
  const blob = new Uint8Array(stringsOffset + strings.bytes.length);
  const fields: Record<keyof typeof header, number> = {
    magic: FDT_MAGIC,
    totalSize: blob.length,
    structOffset,
    stringsOffset,
    reservationsOffset: HEADER_BYTES,
    version: FDT_VERSION,
    compatibleVersion: FDT_COMPATIBLE_VERSION,
    bootCpu: tree.bootCpu,
    stringsSize: strings.bytes.length,
    structSize: structure.length,
  };
  const view = new DataView(blob.buffer);
  for (const [name, offset] of Object.entries(header)) view.setUint32(offset, fields[name as keyof typeof header]);
  blob.set(reservations, HEADER_BYTES);
  blob.set(structure.bytes(), structOffset);
  blob.set(strings.bytes.bytes(), stringsOffset);
  return blob;
}

function writeNode(structure: ByteSink, strings: StringTable, node: FdtNode): void {
  structure.word(token.beginNode);
  structure.append(new TextEncoder().encode(`${node.name}\0`));
  structure.alignTo4();
  for (const [name, value] of node.properties) {
    structure.word(token.property);
    structure.word(value.length);
    structure.word(strings.offsetOf(name));
    structure.append(value);
    structure.alignTo4();
  }
  for (const child of node.children) writeNode(structure, strings, child);
  structure.word(token.endNode);
}

function encodeReservations(reservations: readonly FdtReservation[]): Uint8Array {
  const bytes = new Uint8Array((reservations.length + 1) * RESERVATION_BYTES);
  const view = new DataView(bytes.buffer);
  reservations.forEach(({ address, lengthBytes }, index) => {
    view.setBigUint64(index * RESERVATION_BYTES, address);
    view.setBigUint64(index * RESERVATION_BYTES + 8, lengthBytes);
  });
  return bytes;
}

/** Property names, each once. */
class StringTable {
  readonly bytes = new ByteSink();
  readonly #offsets = new Map<string, number>();

  offsetOf(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.bytes.length;
    this.#offsets.set(name, offset);
    this.bytes.append(new TextEncoder().encode(`${name}\0`));
    return offset;
  }
}

/** Bytes that grow. */
class ByteSink {
  #buffer = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  word(value: number): void {
    this.#reserve(4);
    new DataView(this.#buffer.buffer).setUint32(this.#length, value);
    this.#length += 4;
  }

  alignTo4(): void {
    this.append(new Uint8Array(align(this.#length, 4) - this.#length));
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(extraBytes: number): void {
    const needed = this.#length + extraBytes;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer);
    this.#buffer = grown;
  }
}
