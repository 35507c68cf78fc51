/**
 * Loads and stores that miss the TLB or straddle a page, atomics (A extension), cache-block operations (Zicbom, Zicboz).
 *
 * Misaligned loads and stores are carried out; where they cross pages, both are translated before anything is read or
 * written, and a fault reports the part that faulted. What is not RAM is the host's: the access becomes the pending
 * access (PENDING in state.ts), the hart leaves, and executes the instruction again once it has been answered. Outside
 * RAM a misaligned access, an atomic and cbo.zero are access faults.
 *
 * Memory model: an aligned access within RAM is one access of the host's. A misaligned one is any number of accesses of
 * its bytes, in any order, and so is cbo.zero. Atomics are sequentially consistent.
 */
import {
  CAUSE_LOAD_ACCESS,
  CAUSE_LOAD_MISALIGNED,
  CAUSE_STORE_ACCESS,
  CAUSE_STORE_MISALIGNED,
  ENVCFG_CBCFE,
  ENVCFG_CBIE,
  ENVCFG_CBZE,
  MACHINE,
  PAGE_MASK,
  READ,
  USER,
  WRITE,
} from './architecture';
import { markDirty } from './dirty';
import { hart } from './hart';
import {
  DTLB_ADDEND,
  DTLB_READ_TAG,
  DTLB_WRITE_TAG,
  EXIT_ACCESS,
  H_DTLB,
  H_EXIT_REASON,
  H_MENVCFG,
  H_PENDING_GPA,
  H_PENDING_IS_WRITE,
  H_PENDING_SIZE,
  H_PENDING_STATE,
  H_PENDING_VALUE,
  H_PRIV,
  H_RAM_HOST,
  H_RESERVATION_OFFSET,
  H_RESERVATION_SIZE,
  H_RESERVATION_VALID,
  H_RESERVATION_VALUE,
  H_SENVCFG,
  H_STATUS,
  PENDING_DONE,
  PENDING_FAULT,
  PENDING_ISSUED,
  PENDING_NONE,
  STATUS_EXIT,
  STATUS_REFETCH,
} from './layout.generated';
import { accessFault, dataEntry, dataPrivilege, fillData, gpa, gpaToHost, isRam, translate } from './mmu';
import { pmpAllows } from './pmp';
import { MSI_RECEIVED, MSI_SENT, NO_MSI, sendMsi } from './signals';
import { illegal, trap } from './trap';

// Where an access goes: the answers of `resolve`.
const TRAPPED: u32 = 0;
const IN_RAM: u32 = 1;
/** `gpa` is not RAM. */
const OUTSIDE: u32 = 2;

/** Host offset of the access resolved last. */
let host: u32 = 0;
/** The same of the lower part of an access across two pages. */
let lowHost: u32 = 0;
/** Set while it is not certain yet that the access resolved will write: the dirty log is marked by whoever does. */
let mayNotWrite: bool = false;

/** Looks va up in the TLB; sets `host` where it is found. */
function isInTlb(va: u64, access: u32): bool {
  const entry = dataEntry(load<u32>(hart, H_DTLB), va);
  const tag = access === READ ? load<u64>(entry, DTLB_READ_TAG) : load<u64>(entry, DTLB_WRITE_TAG);
  if (tag !== (va & PAGE_MASK)) return false;
  host = <u32>va + load<u32>(entry, DTLB_ADDEND);
  return true;
}

/** Finds where [va, va + size), within one page, lies. Takes the trap where it may not be accessed so. */
function resolve(va: u64, size: u64, access: u32): u32 {
  if (isInTlb(va, access)) return IN_RAM;
  const privilege = dataPrivilege();
  let cause = translate(va, access, privilege);
  if (cause === 0 && !pmpAllows(gpa, size, access, privilege)) cause = accessFault(access);
  if (cause !== 0) {
    trap(cause, va);
    return TRAPPED;
  }
  if (!isRam(gpa, size)) return OUTSIDE;
  host = gpaToHost(gpa);
  // Before the TLB is filled: it lets stores to marked pages through.
  if (access === WRITE && !mayNotWrite) markDirty(host);
  fillData(va, privilege);
  return IN_RAM;
}

/** For translated code: enters the page of an access that is then made, where it is RAM and may be read. Traps nothing. */
export function refillToRead(va: u64): void {
  refill(va, READ);
}

/** The same for an access that writes. */
export function refillToWrite(va: u64): void {
  refill(va, WRITE);
}

function refill(va: u64, access: u32): void {
  const privilege = dataPrivilege();
  if (translate(va, access, privilege) !== 0 || !pmpAllows(gpa, 1, access, privilege) || !isRam(gpa, 1)) return;
  if (access === WRITE) markDirty(gpaToHost(gpa));
  fillData(va, privilege);
}

/** Bytes of an access that lie in the page of its first; all of them where it does not cross. */
function bytesInPage(va: u64, size: u32): u32 {
  return min(size, 4096 - (<u32>va & 4095));
}

/** Reads size (1, 2, 4, 8) bytes, zero-extended. */
export function loadMemory(va: u64, size: u32): u64 {
  const low = bytesInPage(va, size);
  if (low < size) return loadCrossing(va, size, low);
  const place = resolve(va, size, READ);
  if (place === IN_RAM) return readHost(host, size);
  return place === OUTSIDE ? loadOutside(va, size) : 0;
}

function readHost(at: u32, size: u32): u64 {
  if (size === 8) return load<u64>(at);
  if (size === 4) return load<u32>(at);
  return size === 2 ? load<u16>(at) : load<u8>(at);
}

function loadCrossing(va: u64, size: u32, lowBytes: u32): u64 {
  if (!resolveBoth(va, size, lowBytes, READ)) return 0;
  let value: u64 = 0;
  for (let i: u32 = 0; i < size; i++) {
    const at = i < lowBytes ? lowHost + i : host + i - lowBytes;
    value |= (<u64>load<u8>(at)) << (8 * i);
  }
  return value;
}

/** Resolves both parts of an access across two pages, into lowHost and host. Takes the trap where it faults. */
function resolveBoth(va: u64, size: u32, lowBytes: u32, access: u32): bool {
  mayNotWrite = true;
  const isResolved = resolveParts(va, size, lowBytes, access);
  mayNotWrite = false;
  if (!isResolved || access !== WRITE) return isResolved;
  markDirty(lowHost);
  markDirty(host);
  return true;
}

function resolveParts(va: u64, size: u32, lowBytes: u32, access: u32): bool {
  const lowPlace = resolve(va, lowBytes, access);
  if (lowPlace === TRAPPED) return false;
  lowHost = host;
  const highPlace = resolve(va + lowBytes, size - lowBytes, access);
  if (highPlace === TRAPPED) return false;
  if (lowPlace === IN_RAM && highPlace === IN_RAM) return true;
  trap(accessFault(access), lowPlace === OUTSIDE ? va : va + lowBytes);
  return false;
}

/** As resolve; what is not RAM is an access fault. */
function resolveInRam(va: u64, size: u64, access: u32): bool {
  const place = resolve(va, size, access);
  if (place === OUTSIDE) trap(accessFault(access), va);
  return place === IN_RAM;
}

/** Writes the low size (1, 2, 4, 8) bytes of a value. */
export function storeMemory(va: u64, size: u32, value: u64): void {
  const low = bytesInPage(va, size);
  if (low < size) {
    storeCrossing(va, size, low, value);
    return;
  }
  const place = resolve(va, size, WRITE);
  if (place === OUTSIDE) storeOutside(va, size, value);
  if (place !== IN_RAM) return;
  if (size === 8) store<u64>(host, value);
  else if (size === 4) store<u32>(host, <u32>value);
  else if (size === 2) store<u16>(host, <u16>value);
  else store<u8>(host, <u8>value);
}

function storeCrossing(va: u64, size: u32, lowBytes: u32, value: u64): void {
  if (!resolveBoth(va, size, lowBytes, WRITE)) return;
  for (let i: u32 = 0; i < size; i++) {
    const at = i < lowBytes ? lowHost + i : host + i - lowBytes;
    store<u8>(at, <u8>(value >> (8 * i)));
  }
}

// The pending access.

/** Takes the answer to the access at `gpa`, or issues it and leaves. @returns the PENDING state found: done or fault */
function askHost(size: u32, isWrite: u32, value: u64): u32 {
  const state = load<u32>(hart, H_PENDING_STATE);
  const isSame =
    load<u64>(hart, H_PENDING_GPA) === gpa &&
    load<u32>(hart, H_PENDING_SIZE) === size &&
    load<u32>(hart, H_PENDING_IS_WRITE) === isWrite;
  if (isSame && (state === PENDING_DONE || state === PENDING_FAULT)) {
    store<u32>(hart, PENDING_NONE, H_PENDING_STATE);
    return state;
  }
  issue(size, isWrite, value);
  store<u32>(hart, EXIT_ACCESS, H_EXIT_REASON);
  store<u32>(hart, STATUS_EXIT, H_STATUS);
  return PENDING_ISSUED;
}

/** Makes an access at `gpa` the pending one. */
function issue(size: u32, isWrite: u32, value: u64): void {
  store<u64>(hart, gpa, H_PENDING_GPA);
  store<u64>(hart, value, H_PENDING_VALUE);
  store<u32>(hart, size, H_PENDING_SIZE);
  store<u32>(hart, isWrite, H_PENDING_IS_WRITE);
  store<u32>(hart, PENDING_ISSUED, H_PENDING_STATE);
}

function lowBytesMask(size: u32): u64 {
  return ~(<u64>0) >> (64 - 8 * size);
}

function loadOutside(va: u64, size: u32): u64 {
  if (gpa & (size - 1)) {
    trap(CAUSE_LOAD_ACCESS, va);
    return 0;
  }
  const answer = askHost(size, 0, 0);
  if (answer === PENDING_FAULT) trap(CAUSE_LOAD_ACCESS, va);
  return answer === PENDING_DONE ? load<u64>(hart, H_PENDING_VALUE) & lowBytesMask(size) : 0;
}

function storeOutside(va: u64, size: u32, value: u64): void {
  if (gpa & (size - 1)) {
    trap(CAUSE_STORE_ACCESS, va);
    return;
  }
  // One that the host was asked for takes its answer.
  const isNew = load<u32>(hart, H_PENDING_STATE) === PENDING_NONE;
  const msi = size === 4 && isNew ? sendMsi(gpa, value & lowBytesMask(4)) : NO_MSI;
  if (msi === MSI_SENT) return;
  if (msi === MSI_RECEIVED) {
    // As an answer of the host's: a look at interrupts comes behind it.
    issue(size, 1, value & lowBytesMask(size));
    store<u32>(hart, PENDING_DONE, H_PENDING_STATE);
    store<u32>(hart, STATUS_REFETCH, H_STATUS);
    return;
  }
  const answer = askHost(size, 1, value & lowBytesMask(size));
  if (answer === PENDING_FAULT) trap(CAUSE_STORE_ACCESS, va);
}

// Atomics. WebAssembly's are sequentially consistent, so aq and rl need no care but at LR: lower-slow.ts.

function isMisaligned(va: u64, size: u32, cause: u32): bool {
  if (!(va & (size - 1))) return false;
  trap(cause, va);
  return true;
}

function signExtend(value: u64, size: u32): u64 {
  return size === 4 ? <u64>(<i64>(<i32>value)) : value;
}

/** LR: reads 4 or 8 bytes, sign-extended, and reserves them. */
export function loadReserved(va: u64, size: u32): u64 {
  if (isMisaligned(va, size, CAUSE_LOAD_MISALIGNED) || !resolveInRam(va, size, READ)) return 0;
  const value = size === 8 ? atomic.load<u64>(host) : atomic.load<u32>(host);
  store<u64>(hart, value, H_RESERVATION_VALUE);
  store<u32>(hart, host - load<u32>(hart, H_RAM_HOST), H_RESERVATION_OFFSET);
  store<u32>(hart, size, H_RESERVATION_SIZE);
  store<u32>(hart, 1, H_RESERVATION_VALID);
  return signExtend(value, size);
}

/**
 * SC: exchanges the value if it is still the one that LR read. Deviation: where others have changed it and changed it
 * back meanwhile, SC succeeds. @returns 0 stored, 1 not; the address must be writable either way, and outside RAM
 * nothing is reserved
 */
export function storeConditional(va: u64, size: u32, value: u64): u64 {
  if (isMisaligned(va, size, CAUSE_STORE_MISALIGNED)) return 0;
  mayNotWrite = true;
  const place = resolve(va, size, WRITE);
  mayNotWrite = false;
  if (place === TRAPPED) return 0;
  const isReserved = load<u32>(hart, H_RESERVATION_VALID) !== 0;
  store<u32>(hart, 0, H_RESERVATION_VALID);
  if (!isReserved || place === OUTSIDE) return 1;
  const offset = host - load<u32>(hart, H_RAM_HOST);
  if (load<u32>(hart, H_RESERVATION_OFFSET) !== offset || load<u32>(hart, H_RESERVATION_SIZE) !== size) return 1;
  if (!exchange(size, load<u64>(hart, H_RESERVATION_VALUE), value)) return 1;
  markDirty(host);
  return 0;
}

/** Puts a value in the place of the expected one at `host`. @returns false where there is another */
function exchange(size: u32, expected: u64, value: u64): bool {
  if (size === 8) return atomic.cmpxchg<u64>(host, expected, value) === expected;
  return atomic.cmpxchg<u32>(host, <u32>expected, <u32>value) === <u32>expected;
}

/** AMO; op is an index into AMO_OPS of src/isa/ir.ts. @returns the old value, a word sign-extended */
export function amo(op: u32, va: u64, size: u32, value: u64): u64 {
  if (isMisaligned(va, size, CAUSE_STORE_MISALIGNED) || !resolveInRam(va, size, WRITE)) return 0;
  return size === 8 ? update<u64>(op, value) : signExtend(update<u32>(op, <u32>value), 4);
}

/** The read-modify-write at `host`. */
function update<T>(op: u32, value: T): T {
  switch (op) {
    case 0:
      return atomic.xchg<T>(host, value);
    case 1:
      return atomic.add<T>(host, value);
    case 2:
      return atomic.xor<T>(host, value);
    case 3:
      return atomic.and<T>(host, value);
    case 4:
      return atomic.or<T>(host, value);
    default:
      return select<T>(op, value);
  }
}

/** minS, maxS, minU, maxU: ends, since each failed exchange is another hart's progress. */
function select<T>(op: u32, value: T): T {
  let old = atomic.load<T>(host);
  while (true) {
    const chosen = isChosen<T>(op, value, old) ? value : old;
    const found = atomic.cmpxchg<T>(host, old, chosen);
    if (found === old) return old;
    old = found;
  }
}

/** Whether an operand replaces the old value. */
function isChosen<T>(op: u32, value: T, old: T): bool {
  const isLessSigned = sizeof<T>() === 8 ? <i64>value < <i64>old : <i32>value < <i32>old;
  if (op === 5) return isLessSigned;
  if (op === 6) return !isLessSigned;
  return op === 7 ? value < old : value > old;
}

// Cache blocks of 64 bytes. There is no cache: clean, flush and inval only check.

const BLOCK_BYTES: u64 = 64;
const BLOCK_MASK: u64 = ~63;

/** Takes the illegal-instruction trap where menvcfg or, in U mode, senvcfg does not let the instruction run. */
function isBarred(bits: u64): bool {
  const privilege = load<u32>(hart, H_PRIV);
  if (privilege === MACHINE) return false;
  if ((load<u64>(hart, H_MENVCFG) & bits) !== 0) {
    if (privilege !== USER || (load<u64>(hart, H_SENVCFG) & bits) !== 0) return false;
  }
  illegal();
  return true;
}

/** cbo.zero */
export function cboZero(va: u64): void {
  if (isBarred(ENVCFG_CBZE)) return;
  if (resolveInRam(va & BLOCK_MASK, BLOCK_BYTES, WRITE)) memory.fill(host, 0, <usize>BLOCK_BYTES);
}

/** cbo.inval */
export function cboInval(va: u64): void {
  if (!isBarred(ENVCFG_CBIE)) checkBlock(va);
}

/** cbo.clean */
export function cboClean(va: u64): void {
  if (!isBarred(ENVCFG_CBCFE)) checkBlock(va);
}

/** cbo.flush */
export function cboFlush(va: u64): void {
  cboClean(va);
}

/** A block that can be neither loaded from nor stored to is a store fault, at its first address. */
function checkBlock(va: u64): void {
  const block = va & BLOCK_MASK;
  if (isInTlb(block, READ) || blockFault(block, READ) === 0) return;
  const cause = blockFault(block, WRITE);
  if (cause !== 0) trap(cause, block);
}

/** The cause for which a block may not be accessed, or 0. */
function blockFault(block: u64, access: u32): u32 {
  const privilege = dataPrivilege();
  const cause = translate(block, access, privilege);
  if (cause !== 0) return cause;
  return pmpAllows(gpa, BLOCK_BYTES, access, privilege) ? 0 : accessFault(access);
}
