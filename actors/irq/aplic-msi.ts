/**
 * Where an APLIC's outgoing MSIs go: the four address configuration registers of the root domain and the address made
 * from them. Source: RISC-V Advanced Interrupt Architecture 1.0, 4.5.3, 4.5.4 and 4.9.1.
 *
 * A base PPN has 44 bits: an address of 56 bits whose low 12 are zero is a number without loss.
 */

/** The registers as 32-bit words. A supervisor-level domain has copies of those that concern it. */
export interface MsiAddressWords {
  readonly mmsiaddrcfg: number;
  readonly mmsiaddrcfgh: number;
  readonly smsiaddrcfg: number;
  readonly smsiaddrcfgh: number;
}

/** Guest-physical addresses of hart 0's interrupt files; those of the other harts follow, a page each. */
export interface InterruptFileBases {
  readonly machine: number;
  readonly supervisor: number;
}

/** The bits that exist; the low words have all 32. */
export const MMSIADDRCFGH_MASK = 0x9f77_ffff;
export const SMSIADDRCFGH_MASK = 0x0070_0fff;
/** mmsiaddrcfgh.L: all four registers are read-only until reset. */
export const MSI_ADDRESS_LOCK = 0x8000_0000;

const PAGE_BYTES = 0x1000;
const PPN_HIGH_MASK = 0xfff;
/** Bit positions of the fields of the high words. */
const LHXW = 12;
const HHXW = 16;
const LHXS = 20;
const HHXS = 24;
/** Added to HHXS where a group's number is placed in a PPN. */
const GROUP_SHIFT_MIN = 12;

/**
 * The address of an MSI to a hart. The fields are joined by OR, and what does not fit in 44 bits of PPN is lost.
 * @param guestIndex 0, or at supervisor level a guest's interrupt file
 */
export function msiAddress(
  words: MsiAddressWords,
  level: 'machine' | 'supervisor',
  hartIndex: number,
  guestIndex: number,
): number {
  const geometry = words.mmsiaddrcfgh;
  const isMachine = level === 'machine';
  const low = isMachine ? words.mmsiaddrcfg : words.smsiaddrcfg;
  const high = isMachine ? geometry : words.smsiaddrcfgh;
  const width = (geometry >>> LHXW) & 0xf;
  const group = (hartIndex >>> width) & (2 ** ((geometry >>> HHXW) & 0x7) - 1);
  const hart = (hartIndex & (2 ** width - 1)) << ((high >>> LHXS) & 0x7);
  const groupShift = ((geometry >>> HHXS) & 0x1f) + GROUP_SHIFT_MIN;
  // A shift by 32 or more is none in this language.
  const groupLow = groupShift < 32 ? group << groupShift : 0;
  const groupHigh = groupShift < 32 ? group >>> (32 - groupShift) : group << (groupShift - 32);
  const ppnLow = (low | groupLow | hart | (isMachine ? 0 : guestIndex)) >>> 0;
  const ppnHigh = (high | groupHigh) & PPN_HIGH_MASK;
  return (ppnHigh * 2 ** 32 + ppnLow) * PAGE_BYTES;
}

/** What firmware programs for files side by side, without guests and groups. @param harts 1 or more */
export function linearMsiAddresses({ machine, supervisor }: InterruptFileBases, harts: number): MsiAddressWords {
  const geometry = hartIndexBits(harts) << LHXW;
  return {
    mmsiaddrcfg: ppnLowOf(machine),
    mmsiaddrcfgh: geometry | ppnHighOf(machine),
    smsiaddrcfg: ppnLowOf(supervisor),
    smsiaddrcfgh: ppnHighOf(supervisor),
  };
}

function hartIndexBits(harts: number): number {
  return 32 - Math.clz32(Math.max(harts, 1) - 1);
}

const ppnLowOf = (base: number) => Math.floor(base / PAGE_BYTES) >>> 0;
const ppnHighOf = (base: number) => Math.floor(base / PAGE_BYTES / 2 ** 32) & PPN_HIGH_MASK;
