/**
 * Address translation: Sv39, Sv48, Sv57 (privileged specification 4.3 to 4.6), Svnapot (64 KiB), Svade, and Svadu under
 * menvcfg.ADUE, Svpbmt under menvcfg.PBMTE (memory types are accepted and change nothing: all accesses are ordered and
 * coherent as they are). Every reserved bit faults. Not modelled: two-stage translation.
 *
 * `gpaToHost` is the one place that turns a guest-physical address into a host offset. The TLBs are state.ts's DTLB and
 * FTLB. They hold pages of RAM only, and only pages for which one PMP entry decides as a whole. ASIDs are not kept
 * apart: a changed satp flushes. Kept in M mode's tables: nothing that depends on satp.
 */
import {
  CAUSE_FETCH_ACCESS,
  CAUSE_FETCH_PAGE,
  CAUSE_LOAD_ACCESS,
  CAUSE_LOAD_PAGE,
  CAUSE_STORE_ACCESS,
  CAUSE_STORE_PAGE,
  EXECUTE,
  MACHINE,
  MENVCFG_ADUE,
  MENVCFG_PBMTE,
  MSTATUS_MPP_SHIFT,
  MSTATUS_MPRV,
  MSTATUS_MXR,
  MSTATUS_SUM,
  PAGE_BYTES,
  PAGE_MASK,
  READ,
  SUPERVISOR,
  USER,
  WRITE,
} from './architecture';
import { isMarked, markDirty } from './dirty';
import { hart } from './hart';
import {
  ARENA_DTLB,
  ARENA_DTLB_BYTES,
  ARENA_FTLB,
  ARENA_FTLB_BYTES,
  ARENA_TLB_LOG,
  DTLB_ADDEND,
  DTLB_CONTEXTS,
  DTLB_EMPTY,
  DTLB_ENTRIES,
  DTLB_ENTRY_BYTES,
  DTLB_FOLD_BITS,
  DTLB_READ_TAG,
  DTLB_WRITE_TAG,
  FTLB_CONTEXTS,
  FTLB_EMPTY,
  FTLB_ENTRIES,
  FTLB_ENTRY_BYTES,
  FTLB_PAGE,
  FTLB_TAG,
  H_DTLB,
  H_FETCH_EPOCH,
  H_FTLB,
  H_LARGE_HIGH,
  H_LARGE_LOW,
  H_MENVCFG,
  H_MSTATUS,
  H_PRIV,
  H_RAM_BASE,
  H_RAM_BYTES,
  H_RAM_HOST,
  H_SATP,
  H_TLB_FILLS,
  H_WALK_TABLES,
  H_WALK_TAGS,
  TLB_LOG_ENTRIES,
  TLB_LOG_TABLES,
} from './layout.generated';
import { pmpAllows, pmpUniform } from './pmp';

const PTE_V: u64 = 1;
const PTE_R: u64 = 1 << 1;
const PTE_W: u64 = 1 << 2;
const PTE_X: u64 = 1 << 3;
const PTE_U: u64 = 1 << 4;
const PTE_A: u64 = 1 << 6;
const PTE_D: u64 = 1 << 7;
const PTE_N: u64 = 1 << 63;
/** Bits 60:54. */
const PTE_RESERVED: u64 = 0x7f << 54;
/** Svpbmt: the memory type of a leaf; 3 is reserved, and everything but 0 while menvcfg.PBMTE is 0. */
const PTE_PBMT: u64 = 3 << 61;
const PTE_PPN_SHIFT: u64 = 10;
const PPN_MASK: u64 = (1 << 44) - 1;
/** A NAPOT page: its size as a power of two, and the low bits of its PPN that encode it. */
const NAPOT_BITS: u64 = 16;
const NAPOT_PPN_MASK: u64 = 15;
const NAPOT_PPN: u64 = 8;

const SATP_MODE_SHIFT: u64 = 60;
/** satp.MODE 8 is Sv39 with three levels. */
const LEVELS_BELOW_MODE: u32 = 5;

/** What walks answer beside causes: another hart changed the entry meanwhile. */
const RETRY: u32 = ~0;

/** The page walk cache. No virtual address shifted right has the tag of an empty entry, all ones. */
const WALK_ENTRIES: u32 = 16;
const WALK_REACH_BITS: u64 = 21;

const MACHINE_DATA_CONTEXT: u32 = 3;
const MACHINE_FETCH_CONTEXT: u32 = 2;
/** Fetch contexts come behind the data contexts where tables are numbered. */
const FETCH_BIT: u32 = DTLB_CONTEXTS;
/** As a fill byte: every tag has its low bit set, so no page address equals it. */
const EMPTY_BYTE: u8 = 1;

// What `translate` found.

/** The guest-physical address. */
export let gpa: u64 = 0;
let isReadable: bool = false;
let isWritable: bool = false;
let leafBits: u64 = 0;
/** Of the translation under way: whether it may set A and D (Svadu). */
let mayUpdate: bool = true;

/** Host offset of a guest-physical address, which must lie in RAM. */
export function gpaToHost(address: u64): u32 {
  return load<u32>(hart, H_RAM_HOST) + <u32>(address - load<u64>(hart, H_RAM_BASE));
}

/** Whether [address, address + size) lies in RAM; size at most a page. */
export function isRam(address: u64, size: u64): bool {
  return address - load<u64>(hart, H_RAM_BASE) <= load<u64>(hart, H_RAM_BYTES) - size;
}

export function accessFault(access: u32): u32 {
  if (access === EXECUTE) return CAUSE_FETCH_ACCESS;
  return access === WRITE ? CAUSE_STORE_ACCESS : CAUSE_LOAD_ACCESS;
}

function pageFault(access: u32): u32 {
  if (access === EXECUTE) return CAUSE_FETCH_PAGE;
  return access === WRITE ? CAUSE_STORE_PAGE : CAUSE_LOAD_PAGE;
}

/** The mode loads and stores are made with: mstatus.MPP's under MPRV in M mode. */
export function dataPrivilege(): u32 {
  const privilege = load<u32>(hart, H_PRIV);
  if (privilege !== MACHINE) return privilege;
  const mstatus = load<u64>(hart, H_MSTATUS);
  return mstatus & MSTATUS_MPRV ? <u32>(mstatus >> MSTATUS_MPP_SHIFT) & 3 : MACHINE;
}

/**
 * Translates va for one kind of access in a mode, and sets `gpa`. @returns 0, or the cause of the fault. PMP is not
 * asked about the access itself, only about the page tables.
 */
export function translate(va: u64, access: u32, privilege: u32): u32 {
  const satp = load<u64>(hart, H_SATP);
  const mode = <u32>(satp >> SATP_MODE_SHIFT);
  if (privilege === MACHINE || mode === 0) {
    gpa = va;
    isReadable = isWritable = true;
    leafBits = 12;
    return 0;
  }
  const levels = mode - LEVELS_BELOW_MODE;
  const unusedBits = 52 - 9 * levels;
  if (<u64>(<i64>(va << unusedBits) >> unusedBits) !== va) return pageFault(access);
  let cause: u32 = RETRY;
  while (cause === RETRY) cause = walk(va, access, privilege, levels, satp);
  return cause;
}

/** The same for nobody who makes the access: where that would set an entry's A or D, it is answered as a fault. */
export function probe(va: u64, access: u32, privilege: u32): u32 {
  mayUpdate = false;
  const cause = translate(va, access, privilege);
  mayUpdate = true;
  return cause;
}

/**
 * The walk (4.3.2). Starts at the leaf table where the page walk cache knows it: sfence.vma of one address orders leaf
 * entries only, so tables above may be remembered until a flush of everything.
 */
function walk(va: u64, access: u32, privilege: u32, levels: u32, satp: u64): u32 {
  const known = hart + (<u32>(va >> WALK_REACH_BITS) & (WALK_ENTRIES - 1)) * 8;
  const isKnown = load<u64>(known, H_WALK_TAGS) === va >> WALK_REACH_BITS;
  let table = isKnown ? load<u64>(known, H_WALK_TABLES) : (satp & PPN_MASK) << 12;
  let level = isKnown ? 0 : levels - 1;
  while (true) {
    const entry = table + (((va >> (12 + 9 * level)) & 511) << 3);
    if (!isRam(entry, 8) || !pmpAllows(entry, 8, READ, SUPERVISOR)) return accessFault(access);
    const pte = atomic.load<u64>(gpaToHost(entry));
    if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) === PTE_W || (pte & PTE_RESERVED) !== 0) return pageFault(access);
    if (pte & (PTE_R | PTE_X)) return acceptLeaf(va, access, privilege, level, entry, pte);
    if (level === 0 || (pte & (PTE_N | PTE_PBMT | PTE_U | PTE_A | PTE_D)) !== 0) return pageFault(access);
    table = ((pte >> PTE_PPN_SHIFT) & PPN_MASK) << 12;
    level--;
    if (level === 0) {
      store<u64>(known, va >> WALK_REACH_BITS, H_WALK_TAGS);
      store<u64>(known, table, H_WALK_TABLES);
    }
  }
}

function acceptLeaf(va: u64, access: u32, privilege: u32, level: u32, entry: u64, pte: u64): u32 {
  const memoryType = pte & PTE_PBMT;
  const hasTypes = (load<u64>(hart, H_MENVCFG) & MENVCFG_PBMTE) !== 0;
  if (memoryType !== 0 && (!hasTypes || memoryType === PTE_PBMT)) return pageFault(access);
  const mstatus = load<u64>(hart, H_MSTATUS);
  if (pte & PTE_U) {
    if (privilege !== USER && (access === EXECUTE || !(mstatus & MSTATUS_SUM))) return pageFault(access);
  } else if (privilege === USER) return pageFault(access);
  isReadable = (pte & PTE_R) !== 0 || ((pte & PTE_X) !== 0 && (mstatus & MSTATUS_MXR) !== 0);
  const isAllowed = access === READ ? isReadable : (pte & (access === WRITE ? PTE_W : PTE_X)) !== 0;
  if (!isAllowed) return pageFault(access);

  const ppn = (pte >> PTE_PPN_SHIFT) & PPN_MASK;
  leafBits = 12 + 9 * level;
  if (pte & PTE_N) {
    if (level !== 0 || (ppn & NAPOT_PPN_MASK) !== NAPOT_PPN) return pageFault(access);
    leafBits = NAPOT_BITS;
  } else if ((ppn & (((<u64>1) << (9 * level)) - 1)) !== 0) return pageFault(access);

  const wanted = access === WRITE ? PTE_A | PTE_D : PTE_A;
  let accepted = pte;
  if ((pte & wanted) !== wanted) {
    if (!mayUpdate || !(load<u64>(hart, H_MENVCFG) & MENVCFG_ADUE)) return pageFault(access);
    if (!pmpAllows(entry, 8, WRITE, SUPERVISOR)) return accessFault(access);
    accepted = pte | wanted;
    if (atomic.cmpxchg<u64>(gpaToHost(entry), pte, accepted) !== pte) return RETRY;
    markDirty(gpaToHost(entry));
  }
  // Only a page already dirty may be written through the TLB.
  isWritable = (accepted & (PTE_W | PTE_D)) === (PTE_W | PTE_D);
  const offsetMask = ((<u64>1) << leafBits) - 1;
  gpa = ((ppn << 12) & ~offsetMask) | (va & offsetMask);
  return 0;
}

// TLBs.

/** The entry of a data TLB that the page of va may lie in. */
export function dataEntry(table: u32, va: u64): u32 {
  const page = <u32>va >> 12;
  return table + ((page ^ (page >> DTLB_FOLD_BITS)) & (DTLB_ENTRIES - 1)) * DTLB_ENTRY_BYTES;
}

/** Enters the page of va, just translated and checked, into the data TLB. `privilege` is the mode of the access. */
export function fillData(va: u64, privilege: u32): void {
  const page = gpa & PAGE_MASK;
  const permissions = pmpUniform(page, PAGE_BYTES, privilege);
  if (permissions === 0) return;
  const table = load<u32>(hart, H_DTLB);
  const entry = dataEntry(table, va);
  const tag = va & PAGE_MASK;
  store<u64>(entry, isReadable && (permissions & READ) !== 0 ? tag : DTLB_EMPTY, DTLB_READ_TAG);
  const mayWrite = isWritable && (permissions & WRITE) !== 0 && isMarked(gpaToHost(page));
  store<u64>(entry, mayWrite ? tag : DTLB_EMPTY, DTLB_WRITE_TAG);
  store<u32>(entry, gpaToHost(page) - <u32>tag, DTLB_ADDEND);
  noteFill((table - hart - ARENA_DTLB) / ARENA_DTLB_BYTES, entry, va);
}

/** Enters a decoded page for the page of va, just translated, into the fetch TLB. */
export function fillFetch(va: u64, decodedPage: u32): void {
  const table = load<u32>(hart, H_FTLB);
  const entry = table + (<u32>(va >> 12) & (FTLB_ENTRIES - 1)) * FTLB_ENTRY_BYTES;
  store<u64>(entry, va & PAGE_MASK, FTLB_TAG);
  store<u32>(entry, decodedPage, FTLB_PAGE);
  noteFill(FETCH_BIT + (table - hart - ARENA_FTLB) / ARENA_FTLB_BYTES, entry, va);
}

/** Notes a filled entry, and keeps the range of the larger pages, which sfence.vma of one address must flush whole. */
function noteFill(table: u32, entry: u32, va: u64): void {
  const fills = load<u32>(hart + table * 4, H_TLB_FILLS);
  if (fills < TLB_LOG_ENTRIES) store<u32>(logged(table, fills), entry, ARENA_TLB_LOG);
  if (fills <= TLB_LOG_ENTRIES) store<u32>(hart + table * 4, fills + 1, H_TLB_FILLS);
  if (leafBits === 12) return;
  const half = hart + <u32>(va >> 63) * 8;
  const offsetMask = ((<u64>1) << leafBits) - 1;
  store<u64>(half, min(load<u64>(half, H_LARGE_LOW), va & ~offsetMask), H_LARGE_LOW);
  store<u64>(half, max(load<u64>(half, H_LARGE_HIGH), va | offsetMask), H_LARGE_HIGH);
}

/** Where a table's log (less ARENA_TLB_LOG) has its i-th entry. */
function logged(table: u32, i: u32): u32 {
  return hart + (table * TLB_LOG_ENTRIES + i) * 4;
}

/** Sets the current tables from priv and mstatus. To be called when either has changed. */
export function contextChanged(): void {
  const privilege = dataPrivilege();
  let data = MACHINE_DATA_CONTEXT;
  if (privilege === USER) data = 0;
  else if (privilege === SUPERVISOR) data = load<u64>(hart, H_MSTATUS) & MSTATUS_SUM ? 2 : 1;
  store<u32>(hart, hart + ARENA_DTLB + data * ARENA_DTLB_BYTES, H_DTLB);
  const code = load<u32>(hart, H_PRIV);
  store<u32>(hart, hart + ARENA_FTLB + (code === MACHINE ? MACHINE_FETCH_CONTEXT : code) * ARENA_FTLB_BYTES, H_FTLB);
}

/** Has regions look at their pages again. To be called wherever an entry of a fetch TLB is emptied. */
export function fetchChanged(): void {
  store<u64>(hart, load<u64>(hart, H_FETCH_EPOCH) + 1, H_FETCH_EPOCH);
}

/** Empties those of the tables named by bits. */
function flushTables(tables: u32): void {
  for (let i: u32 = 0; i < DTLB_CONTEXTS; i++) {
    if (tables & (1 << i)) emptyTable(i, hart + ARENA_DTLB + i * ARENA_DTLB_BYTES, ARENA_DTLB_BYTES);
  }
  for (let i: u32 = 0; i < FTLB_CONTEXTS; i++) {
    if (!(tables & (1 << (FETCH_BIT + i)))) continue;
    if (emptyTable(FETCH_BIT + i, hart + ARENA_FTLB + i * ARENA_FTLB_BYTES, ARENA_FTLB_BYTES)) fetchChanged();
  }
}

/** @returns whether it held anything */
function emptyTable(table: u32, at: u32, lengthBytes: u32): bool {
  const fills = load<u32>(hart + table * 4, H_TLB_FILLS);
  if (fills === 0) return false;
  store<u32>(hart + table * 4, 0, H_TLB_FILLS);
  if (fills > TLB_LOG_ENTRIES) {
    memory.fill(at, EMPTY_BYTE, lengthBytes);
    return true;
  }
  // An entry of either kind begins with its tags: of DTLB two, in FTLB the page of none is behind the tag.
  for (let i: u32 = 0; i < fills; i++) {
    const entry = load<u32>(logged(table, i), ARENA_TLB_LOG);
    store<u64>(entry, DTLB_EMPTY, DTLB_READ_TAG);
    store<u64>(entry, DTLB_EMPTY, DTLB_WRITE_TAG);
  }
  return true;
}

/** For a flush of all addresses: the ranges of larger pages, and the page walk cache. */
function forgetTables(): void {
  memory.fill(hart + H_WALK_TAGS, 0xff, WALK_ENTRIES * 8);
  for (let half: u32 = 0; half < 16; half += 8) {
    store<u64>(hart + half, ~0, H_LARGE_LOW);
    store<u64>(hart + half, 0, H_LARGE_HIGH);
  }
}

/** Empties all TLBs, whatever they were before. */
export function flushTlb(): void {
  for (let i: u32 = 0; i < TLB_LOG_TABLES; i++) store<u32>(hart + i * 4, TLB_LOG_ENTRIES + 1, H_TLB_FILLS);
  flushTables(~0);
  forgetTables();
}

/** Empties what depends on page tables: all but M mode's tables. */
export function flushTranslations(): void {
  flushTables(~((1 << MACHINE_DATA_CONTEXT) | (1 << (FETCH_BIT + MACHINE_FETCH_CONTEXT))));
  forgetTables();
}

/** Empties the data TLBs of U and S mode, for a change of mstatus.MXR. */
export function flushData(): void {
  flushTables((1 << MACHINE_DATA_CONTEXT) - 1);
}

/** Empties the fetch TLBs. */
export function flushFetch(): void {
  flushTables(((1 << FTLB_CONTEXTS) - 1) << FETCH_BIT);
}

/** Empties what depends on the translation of one address. */
export function flushAddress(va: u64): void {
  const half = hart + <u32>(va >> 63) * 8;
  if (va >= load<u64>(half, H_LARGE_LOW) && va <= load<u64>(half, H_LARGE_HIGH)) {
    flushTranslations();
    return;
  }
  const page = <u32>(va >> 12);
  for (let i: u32 = 0; i < MACHINE_DATA_CONTEXT; i++) {
    const entry = dataEntry(hart + ARENA_DTLB + i * ARENA_DTLB_BYTES, va);
    store<u64>(entry, DTLB_EMPTY, DTLB_READ_TAG);
    store<u64>(entry, DTLB_EMPTY, DTLB_WRITE_TAG);
  }
  for (let i: u32 = 0; i < MACHINE_FETCH_CONTEXT; i++) {
    const entry = hart + ARENA_FTLB + i * ARENA_FTLB_BYTES + (page & (FTLB_ENTRIES - 1)) * FTLB_ENTRY_BYTES;
    store<u64>(entry, FTLB_EMPTY, FTLB_TAG);
  }
  // The page may be known there to regions alone.
  fetchChanged();
}
