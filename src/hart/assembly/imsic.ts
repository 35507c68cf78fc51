/**
 * The IMSIC's interrupt files of this hart (AIA 1.0, chapter 3): one for M level, one for S level, 255 identities each,
 * the lowest the most urgent. A file drives its external interrupt, MEI or SEI, in `lines`. The memory-mapped pages
 * through which messages come are the board's.
 *
 * Choices: eidelivery is 0 or 1 (bit 0 of what is written), 0 after reset; eithreshold keeps eleven bits, as QEMU's.
 * Not modelled: guest interrupt files, delivery from an APLIC past the file (eidelivery 0x40000000).
 */
import { MEI, SEI } from './architecture';
import { hart } from './hart';
import {
  AIA_IMSIC,
  H_AIA,
  H_EIDELIVERY,
  H_EIE,
  H_EIP,
  H_EITHRESHOLD,
  H_LINES,
  MSI_IDENTITIES,
} from './layout.generated';

export const MACHINE_FILE: u32 = 0;
export const SUPERVISOR_FILE: u32 = 1;

/** Doublewords of eip or eie of one file. */
const WORDS: u32 = 4;
const THRESHOLD_WRITABLE: u64 = 0x7ff;

/** Numbers of the registers as miselect and siselect name them. */
const EIDELIVERY: u32 = 0x70;
const EITHRESHOLD: u32 = 0x72;
const EIP0: u32 = 0x80;
const EIE0: u32 = 0xc0;

/** The most urgent identity that is pending, enabled and below the threshold; 0 if none is. */
export function topIdentity(file: u32): u32 {
  const at = hart + file * WORDS * 8;
  for (let word: u32 = 0; word < WORDS; word++) {
    const ready = load<u64>(at + word * 8, H_EIP) & load<u64>(at + word * 8, H_EIE);
    if (ready === 0) continue;
    const identity = word * 64 + <u32>ctz(ready);
    const threshold = load<u64>(hart + file * 8, H_EITHRESHOLD);
    return threshold === 0 || identity < threshold ? identity : 0;
  }
  return 0;
}

function updateLine(file: u32): void {
  const bit = (<u64>1) << (file === MACHINE_FILE ? MEI : SEI);
  const isSignalled = load<u64>(hart + file * 8, H_EIDELIVERY) !== 0 && topIdentity(file) !== 0;
  const lines = load<u64>(hart, H_LINES);
  store<u64>(hart, isSignalled ? lines | bit : lines & ~bit, H_LINES);
}

/** Makes both lines what the files say, where there are files. */
export function updateExternalLines(): void {
  if (load<u32>(hart, H_AIA) !== AIA_IMSIC) return;
  updateLine(MACHINE_FILE);
  updateLine(SUPERVISOR_FILE);
}

/** A message has come in: `identity` becomes pending, if there is such a one. */
export function receiveMsi(file: u32, identity: u32): void {
  if (load<u32>(hart, H_AIA) !== AIA_IMSIC || identity === 0 || identity >= MSI_IDENTITIES) return;
  setPending(file, identity, true);
}

function setPending(file: u32, identity: u32, isPending: bool): void {
  const at = hart + file * WORDS * 8 + (identity / 64) * 8;
  const bit = (<u64>1) << (identity & 63);
  const pending = load<u64>(at, H_EIP);
  store<u64>(at, isPending ? pending | bit : pending & ~bit, H_EIP);
  updateLine(file);
}

/** What mtopei and stopei read. */
export function readTop(file: u32): u64 {
  const identity = <u64>topIdentity(file);
  return (identity << 16) | identity;
}

/** Writing mtopei or stopei claims what it reads. */
export function claimTop(file: u32): void {
  const identity = topIdentity(file);
  if (identity !== 0) setPending(file, identity, false);
}

/** Offset in the hart of the array element that eip or eie number `select` is; 0 for bits of no identity. */
function arrayField(file: u32, select: u32): u32 {
  const word = ((select - EIP0) & 0x3f) / 2;
  if (word >= WORDS) return 0;
  return (select < EIE0 ? H_EIP : H_EIE) + (file * WORDS + word) * 8;
}

/** A register of a file; select is one of 0x70..0x7f or an even one of 0x80..0xff. The reserved ones read as zero. */
export function readFile(file: u32, select: u32): u64 {
  if (select === EIDELIVERY) return load<u64>(hart + file * 8, H_EIDELIVERY);
  if (select === EITHRESHOLD) return load<u64>(hart + file * 8, H_EITHRESHOLD);
  const field = select < EIP0 ? 0 : arrayField(file, select);
  return field === 0 ? 0 : load<u64>(hart + field);
}

export function writeFile(file: u32, select: u32, value: u64): void {
  if (select === EIDELIVERY) store<u64>(hart + file * 8, value & 1, H_EIDELIVERY);
  if (select === EITHRESHOLD) store<u64>(hart + file * 8, value & THRESHOLD_WRITABLE, H_EITHRESHOLD);
  const field = select < EIP0 ? 0 : arrayField(file, select);
  // There is no identity 0.
  const isFirst = select === EIP0 || select === EIE0;
  if (field !== 0) store<u64>(hart + field, isFirst ? value & ~(<u64>1) : value);
  updateLine(file);
}
