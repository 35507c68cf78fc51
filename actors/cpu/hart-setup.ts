/**
 * What a hart finds when it begins: a program in M mode as the boot ROM leaves it, or a kernel in S mode as SBI firmware
 * leaves it (RISC-V SBI specification 2.0, chapter 9; Linux Documentation/arch/riscv/boot.rst).
 */
import type { Hart } from '../../src/hart/hart.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';

export interface HartStart {
  readonly mode: 'M' | 'S';
  readonly pcGpa: number;
  /** a1: the device tree, or what the guest passed to hart_start. */
  readonly a1: bigint;
  /** a2: fw_dynamic information, for firmware. */
  readonly a2: bigint;
}

const A0 = 10;
const A1 = 11;
const A2 = 12;
const SUPERVISOR = 1;

/** Every exception but calls from S and M mode: those are the SBI's. */
const DELEGATED_EXCEPTIONS = 0xb1ffn;
const DELEGATED_INTERRUPTS =
  (1n << BigInt(INTERRUPT.ssi)) | (1n << BigInt(INTERRUPT.sti)) | (1n << BigInt(INTERRUPT.sei));
/** cycle, time and instret: those that can be enabled. */
const ALL_COUNTERS = 0b111n;
const MENVCFG = {
  STCE: 1n << 63n,
  PBMTE: 1n << 62n,
  ADUE: 1n << 61n,
  CBZE: 1n << 7n,
  CBCFE: 1n << 6n,
  CBIE_FLUSH: 1n << 4n,
} as const;
/**
 * What M mode finds, as with QEMU: Svpbmt, and Svadu, since there are systems (xv6) that never set A and D themselves and
 * know nothing of menvcfg. The device tree names no Svade: who knows both would turn this one off.
 */
const MENVCFG_OF_M = MENVCFG.PBMTE | MENVCFG.ADUE;
/** What S mode finds besides: Sstc; cache-block operations of every kind. */
const MENVCFG_OF_S = MENVCFG_OF_M | MENVCFG.STCE | MENVCFG.CBZE | MENVCFG.CBCFE | MENVCFG.CBIE_FLUSH;
/** One NAPOT region over everything: readable, writable, executable. */
const PMP_EVERYTHING = { address: (1n << 54n) - 1n, config: 0x1fn } as const;

/** Resets the hart and puts it where `start` says. */
export function beginHart(hart: Hart, start: HartStart): void {
  hart.reset(BigInt(start.pcGpa));
  hart.set('x', hart.get('mhartid'), A0);
  hart.set('x', BigInt.asUintN(64, start.a1), A1);
  hart.set('x', BigInt.asUintN(64, start.a2), A2);
  hart.set('menvcfg', MENVCFG_OF_M);
  if (start.mode === 'M') return;
  hart.setWord('priv', SUPERVISOR);
  hart.set('medeleg', DELEGATED_EXCEPTIONS);
  hart.set('mideleg', DELEGATED_INTERRUPTS);
  hart.set('mcounteren', ALL_COUNTERS);
  // As OpenSBI leaves it: Linux enables `time` itself only where there is SBI's PMU, and its vDSO reads it in U mode.
  hart.set('scounteren', ALL_COUNTERS);
  hart.set('menvcfg', MENVCFG_OF_S);
  hart.set('pmpaddr', PMP_EVERYTHING.address);
  hart.set('pmpcfg', PMP_EVERYTHING.config);
  hart.afterLoad();
}
