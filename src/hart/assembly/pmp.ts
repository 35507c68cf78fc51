/**
 * Physical memory protection (privileged specification 3.7): sixteen entries, granularity four bytes, OFF, TOR, NA4 and
 * NAPOT, locking. Not modelled: Smepmp (mseccfg).
 *
 * An address lies in a span: the longest range around it in which one entry decides for every byte. The last span is
 * kept for M mode and for the other modes, so that a check is two comparisons nearly always. An access that is not
 * wholly in its span is matched by its entry in part only, and fails.
 */
import { EXECUTE, MACHINE, READ, WRITE } from './architecture';
import { hart } from './hart';
import { H_PMPADDR, H_PMPCFG } from './layout.generated';

export const PMP_ENTRIES: u32 = 16;
const ALL: u32 = READ | WRITE | EXECUTE;
const MODE_SHIFT: u32 = 3;
const MODE_OFF: u32 = 0;
const MODE_TOR: u32 = 1;
const MODE_NA4: u32 = 2;
const LOCKED: u32 = 0x80;
/** L, A, X, W, R; bits 6:5 read 0. */
const WRITABLE: u32 = 0x9f;
const ADDRESS_BITS: u64 = (1 << 54) - 1;

// The span found last. Empty: low above high.
let machineLow: u64 = 1;
let machineHigh: u64 = 0;
let machinePermissions: u32 = 0;
let otherLow: u64 = 1;
let otherHigh: u64 = 0;
let otherPermissions: u32 = 0;

// What the entry looked at covers.
let entryLow: u64 = 0;
let entryHigh: u64 = 0;

/** Forgets the spans. To be called when PMP registers have changed. */
export function forgetSpans(): void {
  machineLow = otherLow = 1;
  machineHigh = otherHigh = 0;
}

function configOf(entry: u32): u32 {
  return load<u8>(hart + entry, H_PMPCFG);
}

function addressOf(entry: u32): u64 {
  return load<u64>(hart + entry * 8, H_PMPADDR);
}

/** Sets entryLow and entryHigh (inclusive). @returns false where the entry covers nothing */
function decodeEntry(entry: u32): bool {
  const mode = (configOf(entry) >> MODE_SHIFT) & 3;
  if (mode === MODE_OFF) return false;
  const address = addressOf(entry);
  if (mode === MODE_TOR) {
    const previous: u64 = entry === 0 ? 0 : addressOf(entry - 1);
    entryLow = previous << 2;
    entryHigh = (address << 2) - 1;
    return address > previous;
  }
  const ones: u64 = mode === MODE_NA4 ? 0 : ctz(~address) + 1;
  entryLow = ((address >> ones) << ones) << 2;
  entryHigh = entryLow + (((<u64>4) << ones) - 1);
  return true;
}

/** Finds the span of an address for a mode. */
function findSpan(gpa: u64, isMachine: bool): void {
  let low: u64 = 0;
  let high: u64 = ~0;
  let permissions: u32 = isMachine ? ALL : 0;
  for (let entry: u32 = 0; entry < PMP_ENTRIES; entry++) {
    if (!decodeEntry(entry)) continue;
    if (gpa < entryLow) high = min(high, entryLow - 1);
    else if (gpa > entryHigh) low = max(low, entryHigh + 1);
    else {
      low = max(low, entryLow);
      high = min(high, entryHigh);
      const config = configOf(entry);
      permissions = isMachine && !(config & LOCKED) ? ALL : config & ALL;
      break;
    }
  }
  if (isMachine) {
    machineLow = low;
    machineHigh = high;
    machinePermissions = permissions;
  } else {
    otherLow = low;
    otherHigh = high;
    otherPermissions = permissions;
  }
}

/** Whether a mode may access all of [gpa, gpa + size) in one way. */
export function pmpAllows(gpa: u64, size: u64, access: u32, privilege: u32): bool {
  const last = gpa + size - 1;
  if (privilege === MACHINE) {
    if (gpa < machineLow || gpa > machineHigh) findSpan(gpa, true);
    return last <= machineHigh && last >= gpa && (machinePermissions & access) !== 0;
  }
  if (gpa < otherLow || gpa > otherHigh) findSpan(gpa, false);
  return last <= otherHigh && last >= gpa && (otherPermissions & access) !== 0;
}

/** The permissions of a range that one entry decides for as a whole, or 0. To be called after pmpAllows inside it. */
export function pmpUniform(gpa: u64, size: u64, privilege: u32): u32 {
  const last = gpa + size - 1;
  if (privilege === MACHINE) return gpa >= machineLow && last <= machineHigh ? machinePermissions : 0;
  return gpa >= otherLow && last <= otherHigh ? otherPermissions : 0;
}

/** First and last address of the span pmpAllows looked at last for a mode. */
export function spanLow(privilege: u32): u64 {
  return privilege === MACHINE ? machineLow : otherLow;
}

export function spanHigh(privilege: u32): u64 {
  return privilege === MACHINE ? machineHigh : otherHigh;
}

/** Writes pmpcfg0 (`register` 0) or pmpcfg2 (1). A locked byte stays; the reserved R=0, W=1 becomes R=0, W=0. */
export function writePmpConfig(register: u32, value: u64): void {
  for (let i: u32 = 0; i < 8; i++) {
    const at = hart + H_PMPCFG + register * 8 + i;
    const config = <u32>(value >> (i * 8)) & WRITABLE;
    if ((load<u8>(at) & LOCKED) !== 0) continue;
    store<u8>(at, <u8>(config & READ ? config : config & ~WRITE));
  }
  forgetSpans();
}

/** Writes pmpaddr. A locked entry's stays, and so does the one below a locked TOR entry. */
export function writePmpAddress(entry: u32, value: u64): void {
  if ((configOf(entry) & LOCKED) !== 0) return;
  if (entry + 1 < PMP_ENTRIES) {
    const above = configOf(entry + 1);
    if ((above & LOCKED) !== 0 && ((above >> MODE_SHIFT) & 3) === MODE_TOR) return;
  }
  store<u64>(hart + entry * 8, value & ADDRESS_BITS, H_PMPADDR);
  forgetSpans();
}
