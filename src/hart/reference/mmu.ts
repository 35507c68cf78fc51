/**
 * Address translation and memory access (Privileged 20240411, chapters 10 and 11): Sv39, Sv48, Sv57, Svnapot, Svpbmt's
 * encoding rules, Svade and (under menvcfg.ADUE) Svadu, PMP on the access and on the page walk, MPRV, SUM and MXR.
 *
 * Misaligned loads and stores are carried out. One that crosses a page translates the lower part first; a fault in the
 * second part reports the address of that page. LR, SC and AMOs must be aligned. There is no TLB: sfence.vma has
 * nothing to do, and a program that forgets it is not deterministic across machines.
 */
import { CAUSE, ENVCFG, M, MSTATUS, mask64, type Privilege, PTE, S, U } from './constants.ts';
import type { ReferenceHart } from './hart.ts';
import type { Access } from './pmp.ts';
import { previousPrivilege, Trap } from './privileged.ts';

const PAGE_BYTES = 4096n;
const PTE_BYTES = 8;
/** satp.MODE and the number of levels of its page tables. */
const LEVELS: ReadonlyMap<bigint, number> = new Map([
  [8n, 3],
  [9n, 4],
  [10n, 5],
]);
/** The one NAPOT size: 64 KiB, told by ppn[3:0] = 8. */
const NAPOT_BITS = 4n;

const PAGE_FAULT: Record<Access, bigint> = { fetch: CAUSE.fetchPage, load: CAUSE.loadPage, store: CAUSE.storePage };
const ACCESS_FAULT: Record<Access, bigint> = {
  fetch: CAUSE.fetchAccess,
  load: CAUSE.loadAccess,
  store: CAUSE.storeAccess,
};

/** Part of an access, on one page. */
interface Piece {
  readonly gpa: bigint;
  readonly sizeBytes: number;
}

function effectivePrivilege(hart: ReferenceHart, access: Access): Privilege {
  if (access === 'fetch' || (hart.mstatus & MSTATUS.mprv) === 0n) return hart.priv;
  return previousPrivilege(hart);
}

/** Whether a leaf's permissions allow the access; A and D are looked at later. */
function leafAllows(hart: ReferenceHart, pte: bigint, access: Access, mode: Privilege): boolean {
  const user = (pte & PTE.u) !== 0n;
  if (mode === U && !user) return false;
  if (mode === S && user && (access === 'fetch' || (hart.mstatus & MSTATUS.sum) === 0n)) return false;
  if (access === 'fetch') return (pte & PTE.x) !== 0n;
  if (access === 'store') return (pte & PTE.w) !== 0n;
  const readable = (hart.mstatus & MSTATUS.mxr) !== 0n ? PTE.r | PTE.x : PTE.r;
  return (pte & readable) !== 0n;
}

/** Encodings that are reserved in every entry. */
function reservedBits(hart: ReferenceHart, pte: bigint): boolean {
  if ((pte & PTE.reserved) !== 0n) return true;
  const pbmt = pte & PTE.pbmt;
  if (pbmt !== 0n && ((hart.menvcfg & ENVCFG.pbmte) === 0n || pbmt === PTE.pbmt)) return true;
  return (pte & (PTE.r | PTE.w)) === PTE.w;
}

/** The page walk of section 11.3.2. Returns the physical address. */
function walk(hart: ReferenceHart, va: bigint, levels: number, access: Access, mode: Privilege): bigint {
  const pageFault = (): Trap => new Trap(PAGE_FAULT[access], va);
  const accessFault = (): Trap => new Trap(ACCESS_FAULT[access], va);
  const vaBits = 12 + 9 * levels;
  if (BigInt.asUintN(64, BigInt.asIntN(vaBits, va)) !== va) throw pageFault();

  let table = (hart.satp & ((1n << 44n) - 1n)) * PAGE_BYTES;
  for (let level = levels - 1; level >= 0; level--) {
    const shift = BigInt(12 + 9 * level);
    const entry = table + ((va >> shift) & 0x1ffn) * BigInt(PTE_BYTES);
    if (!hart.pmp.allows(hart, entry, PTE_BYTES, 'load', S)) throw accessFault();
    const pte = hart.memory.isRam(entry, PTE_BYTES) ? hart.memory.read(entry, PTE_BYTES) : undefined;
    if (pte === undefined) throw accessFault();
    if ((pte & PTE.v) === 0n || reservedBits(hart, pte)) throw pageFault();
    const ppn = (pte >> 10n) & ((1n << 44n) - 1n);
    if ((pte & (PTE.r | PTE.w | PTE.x)) === 0n) {
      if ((pte & (PTE.n | PTE.pbmt | PTE.d | PTE.a | PTE.u)) !== 0n) throw pageFault();
      table = ppn * PAGE_BYTES;
      continue;
    }
    const napot = (pte & PTE.n) !== 0n;
    if (napot && (level !== 0 || (ppn & 15n) !== 8n)) throw pageFault();
    const pageBits = napot ? 12n + NAPOT_BITS : shift;
    if (!napot && (ppn & ((1n << (shift - 12n)) - 1n)) !== 0n) throw pageFault();
    if (!leafAllows(hart, pte, access, mode)) throw pageFault();
    markUsed(hart, entry, pte, access, pageFault, accessFault);
    const offsetMask = (1n << pageBits) - 1n;
    return ((ppn * PAGE_BYTES) & ~offsetMask) | (va & offsetMask);
  }
  throw pageFault();
}

/** Svade: an entry whose A (for a store: D) is clear faults. Svadu, under menvcfg.ADUE: the bits are set instead. */
function markUsed(
  hart: ReferenceHart,
  entry: bigint,
  pte: bigint,
  access: Access,
  pageFault: () => Trap,
  accessFault: () => Trap,
): void {
  const marked = pte | PTE.a | (access === 'store' ? PTE.d : 0n);
  if (marked === pte) return;
  if ((hart.menvcfg & ENVCFG.adue) === 0n) throw pageFault();
  if (!hart.pmp.allows(hart, entry, PTE_BYTES, 'store', S)) throw accessFault();
  hart.memory.write(entry, PTE_BYTES, marked);
}

/** Translates an access that stays on its page, and checks PMP. */
function translate(hart: ReferenceHart, va: bigint, sizeBytes: number, access: Access): Piece {
  const mode = effectivePrivilege(hart, access);
  const levels = LEVELS.get(hart.satp >> 60n);
  const gpa = mode === M || levels === undefined ? va : walk(hart, va, levels, access, mode);
  if (!hart.pmp.allows(hart, gpa, sizeBytes, access, mode)) throw new Trap(ACCESS_FAULT[access], va);
  return { gpa, sizeBytes };
}

/** The one or two pieces of a data access, the lower first. */
function pieces(hart: ReferenceHart, va: bigint, sizeBytes: number, access: Access): Piece[] {
  const onPage = Number(PAGE_BYTES - (va % PAGE_BYTES));
  if (sizeBytes <= onPage) return [translate(hart, va, sizeBytes, access)];
  const first = translate(hart, va, onPage, access);
  return [first, translate(hart, mask64(va + BigInt(onPage)), sizeBytes - onPage, access)];
}

/** Two bytes of the instruction stream. */
export function fetchHalf(hart: ReferenceHart, va: bigint): bigint {
  const { gpa } = translate(hart, va, 2, 'fetch');
  const half = hart.memory.isRam(gpa, 2) ? hart.memory.read(gpa, 2) : undefined;
  if (half === undefined) throw new Trap(CAUSE.fetchAccess, va);
  return half;
}

function readPieces(hart: ReferenceHart, va: bigint, parts: readonly Piece[], fault: bigint): bigint {
  let value = 0n;
  let shift = 0n;
  for (const { gpa, sizeBytes } of parts) {
    const read = readPiece(hart, gpa, sizeBytes, parts.length > 1);
    if (read === undefined) throw new Trap(fault, mask64(va + shift / 8n));
    value |= read << shift;
    shift += BigInt(8 * sizeBytes);
  }
  return value;
}

/** A part of a split access goes to RAM only: a device sees whole, aligned accesses. */
function readPiece(hart: ReferenceHart, gpa: bigint, sizeBytes: number, split: boolean): bigint | undefined {
  if (split && !hart.memory.isRam(gpa, sizeBytes)) return undefined;
  return hart.memory.read(gpa, sizeBytes);
}

/** Zero-extended. */
export function load(hart: ReferenceHart, va: bigint, sizeBytes: number): bigint {
  return readPieces(hart, va, pieces(hart, va, sizeBytes, 'load'), CAUSE.loadAccess);
}

export function store(hart: ReferenceHart, va: bigint, sizeBytes: number, value: bigint): void {
  const parts = pieces(hart, va, sizeBytes, 'store');
  let shift = 0n;
  if (parts.length > 1) {
    for (const part of parts) {
      if (!hart.memory.isRam(part.gpa, part.sizeBytes)) throw new Trap(CAUSE.storeAccess, mask64(va + shift / 8n));
      shift += BigInt(8 * part.sizeBytes);
    }
    shift = 0n;
  }
  for (const { gpa, sizeBytes: partBytes } of parts) {
    const part = BigInt.asUintN(8 * partBytes, value >> shift);
    if (!hart.memory.write(gpa, partBytes, part)) throw new Trap(CAUSE.storeAccess, va);
    shift += BigInt(8 * partBytes);
  }
}

/** Aligned or a misaligned trap; then the physical address, allowed for `access` and in RAM. */
function atomicAddress(hart: ReferenceHart, va: bigint, sizeBytes: number, access: 'load' | 'store'): bigint {
  if (va % BigInt(sizeBytes) !== 0n) {
    throw new Trap(access === 'load' ? CAUSE.loadMisaligned : CAUSE.storeMisaligned, va);
  }
  const { gpa } = translate(hart, va, sizeBytes, access);
  if (!hart.memory.isRam(gpa, sizeBytes)) throw new Trap(ACCESS_FAULT[access], va);
  return gpa;
}

/** Zero-extended; takes the reservation. */
export function loadReserved(hart: ReferenceHart, va: bigint, sizeBytes: number): bigint {
  const gpa = atomicAddress(hart, va, sizeBytes, 'load');
  const value = hart.memory.read(gpa, sizeBytes) ?? 0n;
  hart.reservation = { gpa, sizeBytes, value };
  return value;
}

/**
 * True if it stored: the reservation is held for these bytes and they still have the value that LR read. The address is
 * translated and checked for writing in any case; only where it would store must there be RAM.
 */
export function storeConditional(hart: ReferenceHart, va: bigint, sizeBytes: number, value: bigint): boolean {
  if (va % BigInt(sizeBytes) !== 0n) throw new Trap(CAUSE.storeMisaligned, va);
  const { gpa } = translate(hart, va, sizeBytes, 'store');
  const { reservation } = hart;
  hart.reservation = null;
  if (reservation === null || reservation.gpa !== gpa || reservation.sizeBytes !== sizeBytes) return false;
  if (hart.memory.read(gpa, sizeBytes) !== reservation.value) return false;
  hart.memory.write(gpa, sizeBytes, BigInt.asUintN(8 * sizeBytes, value));
  return true;
}

/** Replaces memory's value by `update(old)`; returns the old value, zero-extended. An AMO faults as a store does. */
export function atomic(hart: ReferenceHart, va: bigint, sizeBytes: number, update: (old: bigint) => bigint): bigint {
  const gpa = atomicAddress(hart, va, sizeBytes, 'store');
  const mode = effectivePrivilege(hart, 'store');
  if (!hart.pmp.allows(hart, gpa, sizeBytes, 'load', mode)) throw new Trap(CAUSE.storeAccess, va);
  const old = hart.memory.read(gpa, sizeBytes) ?? 0n;
  hart.memory.write(gpa, sizeBytes, BigInt.asUintN(8 * sizeBytes, update(old)));
  return old;
}

const BLOCK_BYTES = 64;

/** cbo.zero faults as a store does, at the address of the block. */
export function zeroBlock(hart: ReferenceHart, va: bigint): void {
  const block = va & ~BigInt(BLOCK_BYTES - 1);
  const { gpa } = translate(hart, block, BLOCK_BYTES, 'store');
  if (!hart.memory.isRam(gpa, BLOCK_BYTES)) throw new Trap(CAUSE.storeAccess, block);
  hart.memory.write(gpa, BLOCK_BYTES, 0n);
}

/**
 * cbo.inval, cbo.clean, cbo.flush: nothing to do without a cache, but the block must be loadable or storable. The
 * fault is a store's.
 */
export function checkBlock(hart: ReferenceHart, va: bigint): void {
  const block = va & ~BigInt(BLOCK_BYTES - 1);
  try {
    translate(hart, block, BLOCK_BYTES, 'load');
  } catch (error) {
    if (!(error instanceof Trap)) throw error;
    translate(hart, block, BLOCK_BYTES, 'store');
  }
}
