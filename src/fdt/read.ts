/**
 * Reads and validates a flattened device tree blob, version 16 or 17.
 * Source: Devicetree Specification v0.4, chapter 5. Every offset and length is checked before it is followed.
 */
import { ConfigError } from '../util/config-error.ts';
import {
  align,
  FDT_COMPATIBLE_VERSION,
  FDT_MAGIC,
  FDT_MAX_BYTES,
  FDT_MAX_DEPTH,
  FDT_VERSION,
  HEADER_BYTES,
  header,
  RESERVATION_BYTES,
  token,
} from './format.ts';
import type { FdtNode, FdtReservation, FdtTree } from './tree.ts';

/** Far beyond the 31 characters the specification allows, as real trees are. */
const NAME_MAX = 255;

/**
 * @param path what the error calls the blob: the option it came from
 * @throws ConfigError for anything that is not a whole and well-formed device tree
 */
export function readFdt(blob: Uint8Array, path = '-dtb'): FdtTree {
  return new FdtReader(blob, path).read();
}

class FdtReader {
  readonly #path: string;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #at = 0;
  #structEnd = 0;
  #stringsOffset = 0;
  #stringsEnd = 0;

  constructor(blob: Uint8Array, path: string) {
    this.#path = path;
    this.#bytes = blob;
    this.#view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  }

  read(): FdtTree {
    if (this.#bytes.length < HEADER_BYTES || this.#field('magic') !== FDT_MAGIC) this.#fail('not a device tree blob');
    const totalSize = this.#field('totalSize');
    if (totalSize > FDT_MAX_BYTES) this.#fail(`${totalSize} bytes is more than ${FDT_MAX_BYTES}`);
    if (totalSize < HEADER_BYTES || totalSize > this.#bytes.length) this.#fail('truncated');
    const version = this.#field('version');
    const compatible = this.#field('compatibleVersion');
    if (version < FDT_COMPATIBLE_VERSION || compatible > FDT_VERSION)
      this.#fail(`format version ${version} is not known`);
    this.#stringsOffset = this.#field('stringsOffset');
    this.#stringsEnd = this.#block(this.#stringsOffset, this.#field('stringsSize'), totalSize, 1);
    this.#at = this.#field('structOffset');
    const structSize = version >= 17 ? this.#field('structSize') : Math.max(0, totalSize - this.#at);
    this.#structEnd = this.#block(this.#at, structSize, totalSize, 4);
    const reservations = this.#reservations(totalSize);
    if (this.#token() !== token.beginNode) this.#fail('no root node');
    const root = this.#node(0);
    if (root.name !== '') this.#fail('the root node has a name');
    if (this.#token() !== token.end) this.#fail('something follows the root node');
    return { root, reservations, bootCpu: this.#field('bootCpu') };
  }

  #node(depth: number): FdtNode {
    if (depth >= FDT_MAX_DEPTH) this.#fail(`nodes nest deeper than ${FDT_MAX_DEPTH}`);
    const name = this.#string(this.#at, this.#structEnd);
    this.#at = align(this.#at + name.length + 1, 4);
    const node: FdtNode = { name, properties: new Map(), children: [] };
    for (;;) {
      const next = this.#token();
      if (next === token.endNode) return node;
      if (next === token.beginNode) this.#child(node, depth);
      else if (next === token.property) this.#property(node);
      else this.#fail(`token ${next} inside node "${name}"`);
    }
  }

  #child(parent: FdtNode, depth: number): void {
    const child = this.#node(depth + 1);
    if (child.name === '' || child.name.includes('/')) this.#fail(`a child of "${parent.name}" has no proper name`);
    if (parent.children.some((other) => other.name === child.name)) this.#fail(`node "${child.name}" is there twice`);
    parent.children.push(child);
  }

  #property(node: FdtNode): void {
    if (node.children.length > 0) this.#fail(`a property of "${node.name}" follows a child`);
    const lengthBytes = this.#word();
    const nameOffset = this.#stringsOffset + this.#word();
    const start = this.#at;
    if (lengthBytes > this.#structEnd - start) this.#fail(`a property of "${node.name}" is cut off`);
    const name = this.#string(nameOffset, this.#stringsEnd);
    if (name === '' || node.properties.has(name)) this.#fail(`property "${name}" of "${node.name}" is empty or twice`);
    node.properties.set(name, this.#bytes.slice(start, start + lengthBytes));
    this.#at = align(start + lengthBytes, 4);
  }

  #reservations(totalSize: number): FdtReservation[] {
    const list: FdtReservation[] = [];
    const start = this.#field('reservationsOffset');
    if (start % 8 !== 0 || start < HEADER_BYTES) this.#fail('the memory reservations lie outside the blob');
    for (let at = start; at + RESERVATION_BYTES <= totalSize; at += RESERVATION_BYTES) {
      const address = this.#view.getBigUint64(at);
      const lengthBytes = this.#view.getBigUint64(at + 8);
      if (address === 0n && lengthBytes === 0n) return list;
      list.push({ address, lengthBytes });
    }
    return this.#fail('the memory reservations have no end');
  }

  /** The next token that means something. */
  #token(): number {
    let next = this.#word();
    while (next === token.nop) next = this.#word();
    return next;
  }

  #word(): number {
    if (this.#at + 4 > this.#structEnd) this.#fail('the structure block ends too early');
    const value = this.#view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }

  #string(start: number, end: number): string {
    const stop = start < end ? this.#bytes.subarray(0, end).indexOf(0, start) : -1;
    if (stop < 0) this.#fail('a name is not terminated');
    const text = String.fromCharCode(...this.#bytes.subarray(start, Math.min(stop, start + NAME_MAX)));
    if (stop - start > NAME_MAX || !/^[\x20-\x7e]*$/.test(text)) this.#fail('a name is too long or not ASCII');
    return text;
  }

  /** Where a block ends, once it is known to lie inside the blob. */
  #block(offset: number, lengthBytes: number, totalSize: number, alignment: number): number {
    if (offset < HEADER_BYTES || offset % alignment !== 0 || offset + lengthBytes > totalSize) {
      this.#fail('a block lies outside the blob');
    }
    return offset + lengthBytes;
  }

  #field(name: keyof typeof header): number {
    return this.#view.getUint32(header[name]);
  }

  #fail(problem: string): never {
    throw new ConfigError(this.#path, problem, 'Give a device tree blob as dtc writes it: dtc -O dtb -o FILE SOURCE.');
  }
}
