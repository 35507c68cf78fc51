/**
 * Physical memory protection (Privileged 20240411, section 3.7): sixteen entries, granularity four bytes. The entry
 * with the lowest number that matches any byte of an access decides; it must match them all.
 * Where all entries are off, S and U modes may access nothing, as the specification says.
 */
import { M, type Privilege } from './constants.ts';

export const PMP_ENTRIES = 16;
/** Bits of an entry's configuration byte. */
export const PMP = { r: 1, w: 2, x: 4, a: 0x18, l: 0x80 } as const;
/** Implemented bits of a configuration byte. */
const CONFIG_BITS = PMP.r | PMP.w | PMP.x | PMP.a | PMP.l;
const MODE = { off: 0, tor: 1, na4: 2, napot: 3 } as const;
/** pmpaddr holds bits 55:2 of an address. */
export const PMP_ADDRESS_BITS = 54;

export type Access = 'fetch' | 'load' | 'store';

interface PmpState {
  readonly pmpaddr: readonly bigint[];
  /** pmpcfg0 and pmpcfg2. */
  readonly pmpcfg: readonly bigint[];
}

export function pmpConfig(pmp: PmpState, entry: number): number {
  return Number(((pmp.pmpcfg[entry >> 3] ?? 0n) >> BigInt(8 * (entry & 7))) & 0xffn);
}

const modeOf = (config: number): number => (config & PMP.a) >> 3;

/** The half-open range [start, end) that an entry matches, or null. */
function range(pmp: PmpState, entry: number): { start: bigint; end: bigint } | null {
  const address = pmp.pmpaddr[entry] ?? 0n;
  switch (modeOf(pmpConfig(pmp, entry))) {
    case MODE.tor: {
      const start = entry === 0 ? 0n : (pmp.pmpaddr[entry - 1] ?? 0n) << 2n;
      return { start, end: address << 2n };
    }
    case MODE.na4:
      return { start: address << 2n, end: (address << 2n) + 4n };
    case MODE.napot: {
      let ones = 0n;
      while (((address >> ones) & 1n) === 1n) ones++;
      const lengthBytes = 8n << ones;
      const start = (address << 2n) & ~(lengthBytes - 1n);
      return { start, end: start + lengthBytes };
    }
    default:
      return null;
  }
}

/** An entry that is on, and what it allows. */
interface Rule {
  readonly start: bigint;
  readonly end: bigint;
  readonly config: number;
}

/** The entries that match anything, in order. */
function rulesOf(pmp: PmpState): Rule[] {
  const rules: Rule[] = [];
  for (let entry = 0; entry < PMP_ENTRIES; entry++) {
    const matched = range(pmp, entry);
    if (matched !== null && matched.start < matched.end) rules.push({ ...matched, config: pmpConfig(pmp, entry) });
  }
  return rules;
}

/** The entries of a hart, worked out again after a change of pmpcfg or pmpaddr. */
export class PmpRules {
  #rules: readonly Rule[] | null = null;

  changed(): void {
    this.#rules = null;
  }

  /** Whether an access of `sizeBytes` at a physical address is allowed in a mode. */
  allows(pmp: PmpState, gpa: bigint, sizeBytes: number, access: Access, mode: Privilege): boolean {
    this.#rules ??= rulesOf(pmp);
    const end = gpa + BigInt(sizeBytes);
    const rule = this.#rules.find((candidate) => gpa < candidate.end && end > candidate.start);
    if (rule === undefined) return mode === M;
    if (gpa < rule.start || end > rule.end) return false;
    if (mode === M && (rule.config & PMP.l) === 0) return true;
    return (rule.config & (access === 'fetch' ? PMP.x : access === 'load' ? PMP.r : PMP.w)) !== 0;
  }
}

/** pmpcfg0 or pmpcfg2 after a write: locked entries keep theirs; W without R is reserved and becomes neither. */
export function pmpConfigWrite(pmp: PmpState, register: number, value: bigint): bigint {
  let result = 0n;
  for (let i = 0; i < 8; i++) {
    const old = pmpConfig(pmp, register * 8 + i);
    let config = Number((value >> BigInt(8 * i)) & 0xffn) & CONFIG_BITS;
    if ((config & (PMP.r | PMP.w)) === PMP.w) config &= ~PMP.w;
    result |= BigInt((old & PMP.l) !== 0 ? old : config) << BigInt(8 * i);
  }
  return result;
}

/** Whether pmpaddr of an entry may be written: neither it nor a TOR entry above it is locked. */
export function pmpAddressWritable(pmp: PmpState, entry: number): boolean {
  if ((pmpConfig(pmp, entry) & PMP.l) !== 0) return false;
  if (entry + 1 === PMP_ENTRIES) return true;
  const next = pmpConfig(pmp, entry + 1);
  return (next & PMP.l) === 0 || modeOf(next) !== MODE.tor;
}
