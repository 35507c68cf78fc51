/**
 * Where a region is entered, in one i32 (REGION.entry): the place among its entries, then the halfwords from the first
 * one. And the entries as nodes of the region's structure, which load what is needed there and go on to a block.
 */
import type { Code } from '../wasm/code.ts';

const INDEX_BITS = 8;
/** Bytes from the first entry, either way, within which the others are. */
export const ENTRY_REACH: number = 2 ** (32 - INDEX_BITS);

/** @param index less than 2^8; @param at bytes from the first entry, even and within ENTRY_REACH */
export function regionEntry(index: number, at: number): number {
  return ((at / 2) << INDEX_BITS) | index;
}

/** Pushes the index, an i32. */
export function pushEntryIndex(code: Code, entry: number): void {
  code
    .get(entry)
    .i32((1 << INDEX_BITS) - 1)
    .op('i32.and');
}

/** Pushes the bytes from the first entry, an i64. */
export function pushEntryAt(code: Code, entry: number): void {
  code.get(entry).i32(INDEX_BITS).op('i32.shr_s').i32(1).op('i32.shl', 'i64.extend_i32_s');
}

/** Blocks are at even numbers, and the dispatcher is at -1. */
const FIRST_NODE = -3;

export function entryNode(index: number): number {
  return FIRST_NODE - 2 * index;
}

export function isEntryNode(node: number): boolean {
  return node <= FIRST_NODE && (node & 1) !== 0;
}

/** The index of an entry's node. */
export function entryOf(node: number): number {
  return (FIRST_NODE - node) / 2;
}
