/**
 * Fetching: from the pc to the pre-decoded op that is executed there (DECODED_PAGE, FTLB in state.ts), fence.i, and
 * the bits of an instruction for tval. Code is executed from RAM only; elsewhere it is an access fault.
 *
 * A decoded page is decoded from its copy of the source, never from RAM: what changed in RAM is seen where the page is
 * looked up after a fence.i, by comparison. Only what is decoded is copied, in blocks, and compared.
 */
import { EXECUTE, PAGE_BYTES, PAGE_MASK } from './architecture';
import { codeChanged } from './env';
import { hart } from './hart';
import { hashIndex } from './hash';
import {
  ARENA_FTLB,
  ARENA_FTLB_BYTES,
  ARENA_GUARDED_PAGE,
  ARENA_PAGE_HASH,
  ARENA_PAGES,
  DECODED_PAGE_BLOCK_BYTES,
  DECODED_PAGE_COPIED,
  DECODED_PAGE_END_OP,
  DECODED_PAGE_GENERATION,
  DECODED_PAGE_HASH_ENTRIES,
  DECODED_PAGE_HOST,
  DECODED_PAGE_LENGTH_BYTES,
  DECODED_PAGE_OP_BYTES,
  DECODED_PAGE_OPS,
  DECODED_PAGE_POOL,
  DECODED_PAGE_SOURCE,
  DECODED_PAGE_TRANSLATED,
  DECODED_PAGE_USED,
  FTLB_CONTEXTS,
  FTLB_EMPTY,
  FTLB_ENTRIES,
  FTLB_ENTRY_BYTES,
  FTLB_PAGE,
  FTLB_TAG,
  H_CODE_GENERATION,
  H_DECODED_PAGES,
  H_EVICTION_HAND,
  H_FETCH_EPOCH,
  H_FTLB,
  H_OP,
  H_PAGE,
  H_PC,
  H_PRIV,
  H_TRAP_VALUE,
  HANDLER_END_OF_PAGE,
  REGION_EPOCH,
  REGION_FTLB,
  REGION_PAGE,
  REGION_PAGE_BYTES,
  REGION_PAGES,
  REGION_PC,
} from './layout.generated';
import { accessFault, fetchChanged, fillFetch, flushFetch, gpa, gpaToHost, isRam, probe, translate } from './mmu';
import { pmpAllows, pmpUniform, spanHigh, spanLow } from './pmp';
import { trap } from './trap';

/** Key and decoded page. */
const HASH_ENTRY_BYTES: u32 = 8;
const HASH_PAGE: u32 = 4;

/** Prepares the op at state.pc: sets state.op and state.page, or takes the trap. @returns the op, or 0 */
export function fetch(): u32 {
  const pc = load<u64>(hart, H_PC);
  let page = pageInTlb(pc);
  if (page === 0) {
    page = findPage(pc);
    if (page === 0) return 0;
  }
  const op = page + ((<u32>pc & 4095) >> 1) * DECODED_PAGE_OP_BYTES;
  store<u32>(hart, page, H_PAGE);
  store<u32>(hart, op, H_OP);
  return op;
}

/** The decoded page for an address, or 0. */
function pageInTlb(va: u64): u32 {
  const entry = load<u32>(hart, H_FTLB) + (<u32>(va >> 12) & (FTLB_ENTRIES - 1)) * FTLB_ENTRY_BYTES;
  return load<u64>(entry, FTLB_TAG) === (va & PAGE_MASK) ? load<u32>(entry, FTLB_PAGE) : 0;
}

/** The cause for which the halfword at va cannot be fetched, or 0 with `gpa` set. */
function fetchFault(va: u64): u32 {
  const privilege = load<u32>(hart, H_PRIV);
  const cause = translate(va, EXECUTE, privilege);
  if (cause !== 0) return cause;
  return isExecutable(privilege) ? 0 : accessFault(EXECUTE);
}

/** Whether the halfword at `gpa` may be fetched, and is there. */
function isExecutable(privilege: u32): bool {
  return pmpAllows(gpa, 2, EXECUTE, privilege) && isRam(gpa, 2);
}

function findPage(pc: u64): u32 {
  const cause = fetchFault(pc);
  if (cause !== 0) {
    trap(cause, pc);
    return 0;
  }
  const source = gpaToHost(gpa & PAGE_MASK);
  if (pmpUniform(gpa & PAGE_MASK, PAGE_BYTES, load<u32>(hart, H_PRIV)) === 0) return guardPage(pc, source);
  const page = decodedPage(source);
  fillFetch(pc, page);
  return page;
}

/**
 * Enters the page of va into the fetch TLB, where it may be executed whole. Traps nothing. Nor does it
 * set a PTE's A bit, since nobody knows whether the page is executed: where the hart would, it does nothing.
 */
function refillToExecute(va: u64): void {
  const privilege = load<u32>(hart, H_PRIV);
  if (probe(va, EXECUTE, privilege) !== 0 || !isExecutable(privilege)) return;
  const page = gpa & PAGE_MASK;
  if (pmpUniform(page, PAGE_BYTES, privilege) === 0) return;
  fillFetch(va, decodedPage(gpaToHost(page)));
}

/**
 * Whether the pages of a region (a REGION record) are where they were when it was translated, seen from its entry at the
 * pc. One may only have been forgotten: looking it up compares it with RAM, and may find that this region is none.
 */
export function regionIsInPlace(record: u32): u32 {
  const pc = load<u64>(hart, H_PC);
  const epoch = load<u64>(hart, H_FETCH_EPOCH);
  const end = record + load<u32>(record, REGION_PAGES) * REGION_PAGE_BYTES;
  for (let at = record; at < end; at += REGION_PAGE_BYTES) {
    const va = (pc & PAGE_MASK) + <i64>load<i32>(at, REGION_PAGE);
    const page = load<u32>(at, REGION_PAGE + 4);
    if (pageInTlb(va) === page) continue;
    refillToExecute(va);
    if (pageInTlb(va) !== page || load<u64>(hart, H_FETCH_EPOCH) !== epoch) return 0;
  }
  store<u64>(record, epoch, REGION_EPOCH);
  store<u64>(record, pc, REGION_PC);
  store<u32>(record, load<u32>(hart, H_FTLB), REGION_FTLB);
  return 1;
}

/** The decoded page of the guest page at a host offset: found, brought up to date, or made. */
function decodedPage(source: u32): u32 {
  const known = lookUp(source);
  if (load<u32>(known) !== 0) return used(verified(load<u32>(known, HASH_PAGE)));
  const page = freePage();
  // Looked up again: making room moves entries of the table.
  const entry = lookUp(source);
  clearPage(page, source);
  store<u32>(entry, source + 1);
  store<u32>(entry, page, HASH_PAGE);
  return used(page);
}

function used(page: u32): u32 {
  store<u32>(page, 1, DECODED_PAGE_USED);
  return page;
}

/** A page of the pool that holds nothing: a fresh one, or the next that was not looked up for a whole round. */
function freePage(): u32 {
  const count = load<u32>(hart, H_DECODED_PAGES);
  if (count < DECODED_PAGE_POOL) {
    store<u32>(hart, count + 1, H_DECODED_PAGES);
    return hart + ARENA_PAGES + count * DECODED_PAGE_LENGTH_BYTES;
  }
  while (true) {
    const hand = load<u32>(hart, H_EVICTION_HAND);
    store<u32>(hart, hand + 1 === DECODED_PAGE_POOL ? 0 : hand + 1, H_EVICTION_HAND);
    const page = hart + ARENA_PAGES + hand * DECODED_PAGE_LENGTH_BYTES;
    // Out of the fetch TLBs in any case: a page that goes on being used is then looked up again.
    forgetFetch(page);
    if (load<u32>(page, DECODED_PAGE_USED) === 0) {
      removeEntry(lookUp(load<u32>(page, DECODED_PAGE_HOST)));
      return page;
    }
    store<u32>(page, 0, DECODED_PAGE_USED);
  }
}

/** Empties every entry of the fetch TLBs, of all contexts, that names a decoded page. */
function forgetFetch(page: u32): void {
  const end = hart + ARENA_FTLB + FTLB_CONTEXTS * ARENA_FTLB_BYTES;
  for (let entry: u32 = hart + ARENA_FTLB; entry < end; entry += FTLB_ENTRY_BYTES) {
    if (load<u32>(entry, FTLB_PAGE) === page) store<u64>(entry, FTLB_EMPTY, FTLB_TAG);
  }
  fetchChanged();
}

/** Removes an entry of the table and moves back those behind it that would not be found any more. */
function removeEntry(entry: u32): void {
  const table = hart + ARENA_PAGE_HASH;
  let hole = (entry - table) / HASH_ENTRY_BYTES;
  let index = hole;
  while (true) {
    index = (index + 1) & (DECODED_PAGE_HASH_ENTRIES - 1);
    const at = table + index * HASH_ENTRY_BYTES;
    const key = load<u32>(at);
    if (key === 0) break;
    const distance = (index - home(key - 1)) & (DECODED_PAGE_HASH_ENTRIES - 1);
    if (distance < ((index - hole) & (DECODED_PAGE_HASH_ENTRIES - 1))) continue;
    store<u64>(table + hole * HASH_ENTRY_BYTES, load<u64>(at));
    hole = index;
  }
  store<u64>(table + hole * HASH_ENTRY_BYTES, 0);
}

/** Where a guest page's entry belongs. */
function home(source: u32): u32 {
  return hashIndex(source >> 12, DECODED_PAGE_HASH_ENTRIES);
}

/** The table entry of a guest page, or the free one where it belongs. The pool is smaller than the table. */
function lookUp(source: u32): u32 {
  let index = home(source);
  while (true) {
    const entry = hart + ARENA_PAGE_HASH + (index & (DECODED_PAGE_HASH_ENTRIES - 1)) * HASH_ENTRY_BYTES;
    const key = load<u32>(entry);
    if (key === 0 || key === source + 1) return entry;
    index++;
  }
}

/** Makes a page one of undecoded ops. */
function clearPage(page: u32, source: u32): void {
  // Before anything there is read: a host page that was only read is the host's page of zeros, and each such page that is
  // then written interrupts all cores on which this process runs.
  store<u32>(page, 0, DECODED_PAGE_USED);
  if (load<u32>(page, DECODED_PAGE_TRANSLATED) !== 0) codeChanged(page, -1);
  memory.fill(page, 0, DECODED_PAGE_SOURCE);
  store<u16>(page, <u16>HANDLER_END_OF_PAGE, DECODED_PAGE_END_OP);
  store<u32>(page, source, DECODED_PAGE_HOST);
  store<u32>(page, load<u32>(hart, H_CODE_GENERATION), DECODED_PAGE_GENERATION);
}

/** Where the copy has the bytes from an offset in the page on, `length` of them: 2 or 4. */
export function copied(page: u32, offset: u32, length: u32): u32 {
  copyBlock(page, offset / DECODED_PAGE_BLOCK_BYTES);
  copyBlock(page, (offset + length - 1) / DECODED_PAGE_BLOCK_BYTES);
  return page + DECODED_PAGE_SOURCE + offset;
}

function copyBlock(page: u32, block: u32): void {
  const blocks = load<u64>(page, DECODED_PAGE_COPIED);
  const bit = (<u64>1) << block;
  if (blocks & bit) return;
  store<u64>(page, blocks | bit, DECODED_PAGE_COPIED);
  const at = block * DECODED_PAGE_BLOCK_BYTES;
  memory.copy(page + DECODED_PAGE_SOURCE + at, load<u32>(page, DECODED_PAGE_HOST) + at, DECODED_PAGE_BLOCK_BYTES);
}

/** Compares a page with its source where a fence.i was executed since it was last done. */
function verified(page: u32): u32 {
  const generation = load<u32>(hart, H_CODE_GENERATION);
  if (load<u32>(page, DECODED_PAGE_GENERATION) === generation) return page;
  store<u32>(page, generation, DECODED_PAGE_GENERATION);
  const source = load<u32>(page, DECODED_PAGE_HOST);
  const copy = page + DECODED_PAGE_SOURCE;
  for (let blocks = load<u64>(page, DECODED_PAGE_COPIED); blocks !== 0; blocks &= blocks - 1) {
    const at = <u32>ctz(blocks) * DECODED_PAGE_BLOCK_BYTES;
    const first = v128.or(difference(source + at, copy + at), difference(source + at + 16, copy + at + 16));
    const second = v128.or(difference(source + at + 32, copy + at + 32), difference(source + at + 48, copy + at + 48));
    if (!v128.any_true(v128.or(first, second))) continue;
    for (let i: u32 = at; i < at + DECODED_PAGE_BLOCK_BYTES; i += 8) {
      const now = load<u64>(source + i);
      if (now !== load<u64>(copy + i)) replace(page, i, now);
    }
  }
  return page;
}

/** The bits in which sixteen bytes differ. */
function difference(a: u32, b: u32): v128 {
  return v128.xor(v128.load(a), v128.load(b));
}

/** Puts eight new bytes into a page's copy. Forgets the ops of changed halfwords and of the one before each. */
function replace(page: u32, at: u32, now: u64): void {
  // First: it puts the ops of instructions back where those of regions stand.
  if (load<u32>(page, DECODED_PAGE_TRANSLATED) !== 0) codeChanged(page, at);
  const old = load<u64>(page + at, DECODED_PAGE_SOURCE);
  store<u64>(page + at, now, DECODED_PAGE_SOURCE);
  for (let i: u32 = 0; i < 4; i++) {
    if ((((now ^ old) >> (16 * i)) & 0xffff) === 0) continue;
    const op = page + (at / 2 + i) * DECODED_PAGE_OP_BYTES;
    store<u64>(op, 0);
    if (op !== page) store<u64>(op - DECODED_PAGE_OP_BYTES, 0);
  }
}

/** Drops all decoded pages, and the fetch TLBs that name them. */
export function dropDecodedPages(): void {
  memory.fill(hart + ARENA_PAGE_HASH, 0, DECODED_PAGE_HASH_ENTRIES * HASH_ENTRY_BYTES);
  store<u32>(hart, 0, H_DECODED_PAGES);
  flushFetch();
}

/**
 * The decoded page for a guest page of which PMP may let a part be executed, just checked at the pc. Ops outside the
 * span of the pc are end ops, so that leaving it fetches anew. Not in the fetch TLB; made anew at each fetch.
 */
function guardPage(pc: u64, source: u32): u32 {
  const page = hart + ARENA_GUARDED_PAGE;
  const privilege = load<u32>(hart, H_PRIV);
  const first = gpa & PAGE_MASK;
  const low = max(spanLow(privilege), first);
  const high = min(spanHigh(privilege), first + PAGE_BYTES - 1);
  const at = gpa;
  clearPage(page, source);
  for (let i: u32 = 0; i < DECODED_PAGE_OPS; i++) {
    const halfword = first + 2 * i;
    if (halfword >= low && halfword < high) continue;
    store<u16>(page + i * DECODED_PAGE_OP_BYTES, <u16>HANDLER_END_OF_PAGE);
  }
  // An instruction that begins in the last halfword of the span may end outside.
  const last = high - 1;
  const isLong = (load<u16>(source + <u32>(last - first)) & 3) === 3;
  const isWhole = last + 2 === first + PAGE_BYTES || pmpAllows(last + 2, 2, EXECUTE, privilege);
  if (!isLong || isWhole) return page;
  if (at === last) {
    trap(accessFault(EXECUTE), pc + 2);
    return 0;
  }
  store<u16>(page + (<u32>(last - first) >> 1) * DECODED_PAGE_OP_BYTES, <u16>HANDLER_END_OF_PAGE);
  return page;
}

/**
 * For a 4-byte instruction in the last halfword of a page, whose op it is given: its 32 bits go to state.trapValue.
 * Takes the trap where the next page cannot be fetched from.
 */
export function fetchCrossing(op: u32): void {
  const page = op - (DECODED_PAGE_OPS - 1) * DECODED_PAGE_OP_BYTES;
  const next = load<u64>(hart, H_PC) + 2;
  const cause = fetchFault(next);
  if (cause !== 0) {
    trap(cause, next);
    return;
  }
  const low = <u32>load<u16>(copied(page, 4094, 2));
  store<u32>(hart, low | ((<u32>load<u16>(gpaToHost(gpa))) << 16), H_TRAP_VALUE);
}

/** The bits of the instruction at an address that was just fetched: 16 or 32, or 0 where it is gone meanwhile. */
export function instructionAt(va: u64): u32 {
  const low = halfwordAt(va);
  return (low & 3) === 3 ? low | (halfwordAt(va + 2) << 16) : low;
}

function halfwordAt(va: u64): u32 {
  const page = pageInTlb(va);
  if (page !== 0) return load<u16>(copied(page, <u32>va & 4095, 2));
  return fetchFault(va) === 0 ? load<u16>(gpaToHost(gpa)) : 0;
}

/** fence.i: what is executed from now on is compared with RAM first. */
export function fenceI(): void {
  store<u32>(hart, load<u32>(hart, H_CODE_GENERATION) + 1, H_CODE_GENERATION);
  flushFetch();
}
