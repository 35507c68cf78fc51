/** Which CSRs generated programs touch, and what they may write to them: much of it is where QEMU goes its own way. */

import { csrNumber } from '../../src/isa/csr-names.ts';
import type { Context } from './program-context.ts';

/** CSRs whose value is the clock's: read, then forgotten. */
export const COUNTERS: ReadonlySet<number> = new Set(
  ['cycle', 'time', 'instret', 'mcycle', 'minstret'].map((name) => csrNumber(name)),
);

/** Performance counters beyond the three, debug and trace registers: machines differ in which they have. */
export const isUncomparable = (number: number): boolean =>
  (number >= 0xb03 && number <= 0xb1f) ||
  (number >= 0xc03 && number <= 0xc1f) ||
  (number >= 0x321 && number <= 0x33f) ||
  (number >= 0x7a0 && number <= 0x7bf) ||
  number === 0x3a0 ||
  number === 0x3a2 ||
  (number >= 0x3b0 && number <= 0x3bf) ||
  COUNTERS.has(number) ||
  number === 0x5a8;

/** Those that programs mostly use. */
export const CSR_CHOICES: readonly number[] = [
  ...['fflags', 'frm', 'fcsr', 'cycle', 'time', 'instret'],
  ...['sstatus', 'sie', 'stvec', 'scounteren', 'senvcfg', 'sscratch', 'sepc', 'scause', 'stval', 'sip', 'satp'],
  ...['mvendorid', 'mhartid', 'mconfigptr', 'mstatus', 'misa', 'medeleg', 'mideleg', 'mie', 'mtvec', 'mcounteren'],
  ...['menvcfg', 'mcountinhibit', 'mscratch', 'mepc', 'mcause', 'mtval', 'mip', 'stimecmp', 'mcycle', 'minstret'],
  ...['pmpcfg0', 'pmpaddr0', 'pmpaddr3', 'pmpaddr6', 'pmpaddr14'],
].map((name) => csrNumber(name));

const WRITE_MASKS: ReadonlyMap<number, bigint> = new Map<number, bigint>([
  // QEMU keeps bits of sepc, mepc and pmpaddr that should be read-only zero.
  // Bits of interrupts and exceptions that belong to the hypervisor are left alone.
  [csrNumber('mip'), 0x222n],
  [csrNumber('mideleg'), 0x222n],
  [csrNumber('medeleg'), 0xb3ffn],
  // Entries off: what they say of permissions is read back, but protects nothing.
  ...['sepc', 'mepc'].map((name) => [csrNumber(name), ~1n] as const),
  ...['pmpaddr0', 'pmpaddr3', 'pmpaddr6', 'pmpaddr14'].map((name) => [csrNumber(name), (1n << 54n) - 1n] as const),
  [csrNumber('pmpcfg0'), 0x0505_0505_0505_0505n],
]);

const STATUS: ReadonlySet<number> = new Set([csrNumber('mstatus'), csrNumber('sstatus')]);
/** UXL and SXL, which QEMU lets be changed. */
const XLENS = 15n << 32n;
const RV64 = 10n << 32n;
const STCE = 1n << 63n;
const CDE = 1n << 60n;

/** What may be written to a CSR without losing the program. */
export function csrValue(csr: number, value: bigint, { mode, interrupts }: Context, replaces: boolean): bigint {
  if (csr === csrNumber('mie') || csr === csrNumber('sie')) return value & (0x888n | interrupts);
  if (csr === csrNumber('stimecmp')) return replaces && value !== 0n ? BigInt.asUintN(64, -1n) : 0n;
  // In S mode a new address space would be the end: unsupported modes only, or no change.
  if (csr === csrNumber('satp') && mode === 's') return replaces ? (value & ~(15n << 60n)) | (7n << 60n) : 0n;
  if (STATUS.has(csr)) return replaces ? (value & ~XLENS) | RV64 : value & ~XLENS;
  // What toggling STCE makes of STIP is nobody's to define. Bit 60 delegates counters: QEMU has it without them.
  if (csr === csrNumber('menvcfg')) return replaces ? (value & ~CDE) | STCE : value & ~(CDE | STCE);
  // A write that changes no bit need not mark floating point dirty.
  if (csr >= csrNumber('fflags') && csr <= csrNumber('fcsr')) return value | 1n;
  // Clearing R alone would leave the reserved W without R.
  if (csr === csrNumber('pmpcfg0') && !replaces) return 0n;
  return value & (WRITE_MASKS.get(csr) ?? BigInt.asUintN(64, -1n));
}
