/**
 * The CSRs (Privileged 20240411, chapter 2 and those it refers to): number, who may access, what reads, what a write
 * leaves (WARL). One table row each.
 *
 * Choices, as QEMU 10 makes them: medeleg holds every exception that can be delegated; a reserved mtvec or stvec mode,
 * a reserved MPP and an unsupported satp mode leave the field (satp: the register) as it was; misa is read-only; the
 * sixteen-bit ASID is kept whole.
 * Hardware performance counters 3..31 and their events read as zero. No vendor, debug or hypervisor CSRs.
 */
import { AIA_CSRS, virtualBits } from './aia.ts';
import { ALL_INTERRUPTS, CAUSE, ENVCFG, FS_DIRTY, IRQ, M, MSTATUS, mask64, S, S_INTERRUPTS, U } from './constants.ts';
import type { ReferenceHart } from './hart.ts';
import { PMP_ADDRESS_BITS, PMP_ENTRIES, pmpAddressWritable, pmpConfigWrite } from './pmp.ts';
import { mipRead, sipVirtual } from './privileged.ts';

export interface Csr {
  readonly name: string;
  readonly read: (hart: ReferenceHart) => bigint;
  readonly write: (hart: ReferenceHart, value: bigint) => void;
  /** What setting and clearing bits starts from, where that is not what is read. */
  readonly base?: (hart: ReferenceHart) => bigint;
  /** Refuses beyond what the number says, by hart.illegal(). */
  readonly check?: (hart: ReferenceHart) => void;
}

/** Fields of the hart that hold a CSR. */
type Register =
  | 'medeleg'
  | 'mideleg'
  | 'mie'
  | 'mtvec'
  | 'mscratch'
  | 'mepc'
  | 'mcause'
  | 'mtval'
  | 'mcounteren'
  | 'mcountinhibit'
  | 'menvcfg'
  | 'stvec'
  | 'sscratch'
  | 'sepc'
  | 'scause'
  | 'stval'
  | 'scounteren'
  | 'senvcfg'
  | 'stimecmp'
  | 'mcycle'
  | 'minstret';

const ALL_ONES = mask64(-1n);
const bit = (number: bigint): bigint => 1n << number;

/** RV64 with A, C, D, F, I, M, S and U. */
const MISA = (2n << 62n) | [...'ACDFIMSU'].reduce((bits, letter) => bits | bit(BigInt(letter.charCodeAt(0) - 65)), 0n);
/** Every exception but M mode's ecall. */
const DELEGABLE = Object.values(CAUSE)
  .filter((cause) => cause !== CAUSE.ecallM)
  .reduce((bits, cause) => bits | bit(cause), bit(0n));
const MSTATUS_WRITABLE =
  MSTATUS.sie |
  MSTATUS.mie |
  MSTATUS.spie |
  MSTATUS.mpie |
  MSTATUS.spp |
  MSTATUS.fs |
  MSTATUS.mprv |
  MSTATUS.sum |
  MSTATUS.mxr |
  MSTATUS.tvm |
  MSTATUS.tw |
  MSTATUS.tsr;
const SSTATUS_WRITABLE = MSTATUS.sie | MSTATUS.spie | MSTATUS.spp | MSTATUS.fs | MSTATUS.sum | MSTATUS.mxr;
/** CY, TM and IR. */
const COUNTERS = 7n;
/** CY and IR: time cannot be inhibited. */
const INHIBITABLE = 5n;
const SENVCFG_WRITABLE = ENVCFG.fiom | ENVCFG.cbie | ENVCFG.cbcfe | ENVCFG.cbze;
const MENVCFG_WRITABLE = SENVCFG_WRITABLE | ENVCFG.adue | ENVCFG.stce;
const SATP_MODES: ReadonlySet<bigint> = new Set([0n, 8n, 9n, 10n]);

function plain(name: Register, writable = ALL_ONES): Csr {
  return {
    name,
    read: (hart) => hart[name],
    write: (hart, value) => {
      hart[name] = (hart[name] & ~writable) | (value & writable);
    },
  };
}

/**
 * A counter that the writing instruction does not count: the next one reads what was written (3.1.11). Retiring adds one
 * unless the counter's bit in mcountinhibit is set, so one less is stored.
 */
function countedBySelf(name: 'mcycle' | 'minstret', inhibit: bigint): Csr {
  return {
    name,
    read: (hart) => hart[name],
    write: (hart, value) => {
      hart[name] = BigInt.asUintN(64, value - ((hart.mcountinhibit & inhibit) === 0n ? 1n : 0n));
    },
  };
}

const readOnly = (name: string, read: (hart: ReferenceHart) => bigint): Csr => ({ name, read, write: () => {} });
const constant = (name: string, value: bigint): Csr => readOnly(name, () => value);

/** Modes 2 and 3 are reserved: such a write changes nothing. */
function trapVector(name: 'mtvec' | 'stvec'): Csr {
  return {
    name,
    read: (hart) => hart[name],
    write: (hart, value) => {
      if ((value & 3n) < 2n) hart[name] = value;
    },
  };
}

function mstatusRead(hart: ReferenceHart): bigint {
  const sd = (hart.mstatus & MSTATUS.fs) === FS_DIRTY ? MSTATUS.sd : 0n;
  return hart.mstatus | MSTATUS.uxl | MSTATUS.sxl | sd;
}

function mstatusWrite(hart: ReferenceHart, value: bigint): void {
  const mpp = value & MSTATUS.mpp;
  const writable = MSTATUS_WRITABLE | (mpp === 2n << 11n ? 0n : MSTATUS.mpp);
  hart.mstatus = (hart.mstatus & ~writable) | (value & writable);
}

const sstatus: Csr = {
  name: 'sstatus',
  read: (hart) => mstatusRead(hart) & (SSTATUS_WRITABLE | MSTATUS.uxl | MSTATUS.sd),
  write: (hart, value) => {
    hart.mstatus = (hart.mstatus & ~SSTATUS_WRITABLE) | (value & SSTATUS_WRITABLE);
  },
};

const mip: Csr = {
  name: 'mip',
  read: mipRead,
  // SEIP reads with the external interrupt or'ed in; that is not to become software's (3.1.9).
  base: (hart) => hart.mip,
  write: (hart, value) => {
    const sei = (hart.mvien & IRQ.sei) === 0n ? IRQ.sei : 0n;
    const writable = IRQ.ssi | sei | ((hart.menvcfg & ENVCFG.stce) === 0n ? IRQ.sti : 0n);
    hart.mip = (hart.mip & ~writable) | (value & writable);
  },
};

/** sie and sip show the delegated bits, and mvien's on their own; of sip only SSIP can be written. */
const sie: Csr = {
  name: 'sie',
  read: (hart) => (hart.mie & hart.mideleg) | (hart.sie & virtualBits(hart)),
  write: (hart, value) => {
    const own = virtualBits(hart);
    hart.sie = (hart.sie & ~own) | (value & own);
    const writable = hart.mideleg & S_INTERRUPTS;
    hart.mie = (hart.mie & ~writable) | (value & writable);
  },
};
const sip: Csr = {
  name: 'sip',
  read: (hart) => (mipRead(hart) & hart.mideleg) | sipVirtual(hart),
  write: (hart, value) => {
    if ((virtualBits(hart) & IRQ.ssi) !== 0n) hart.mvip = value & IRQ.ssi;
    const writable = hart.mideleg & IRQ.ssi;
    hart.mip = (hart.mip & ~writable) | (value & writable);
  },
};

const satp: Csr = {
  name: 'satp',
  read: (hart) => hart.satp,
  write: (hart, value) => {
    if (SATP_MODES.has(value >> 60n)) hart.satp = value;
  },
  check: (hart) => {
    if (hart.priv === S && (hart.mstatus & MSTATUS.tvm) !== 0n) hart.illegal();
  },
};

const stimecmp: Csr = {
  ...plain('stimecmp'),
  check: (hart) => {
    const enabled = (hart.mcounteren & 2n) !== 0n && (hart.menvcfg & ENVCFG.stce) !== 0n;
    if (hart.priv !== M && !enabled) hart.illegal();
  },
};

const menvcfg: Csr = {
  name: 'menvcfg',
  read: (hart) => hart.menvcfg,
  write: (hart, value) => {
    const writable = MENVCFG_WRITABLE | (hart.options.svpbmt ? ENVCFG.pbmte : 0n);
    hart.menvcfg = (hart.menvcfg & ~writable) | (value & writable);
  },
};

function float(name: 'fflags' | 'frm' | 'fcsr', shift: bigint, mask: bigint): Csr {
  return {
    name,
    read: (hart) => (((hart.frm << 5n) | hart.fflags) >> shift) & mask,
    write: (hart, value) => {
      const fcsr = (((hart.frm << 5n) | hart.fflags) & ~(mask << shift)) | ((value & mask) << shift);
      hart.fflags = fcsr & 31n;
      hart.frm = fcsr >> 5n;
      hart.mstatus |= FS_DIRTY;
    },
    check: (hart) => hart.requireFp(),
  };
}

/** A user-mode counter: bit `index` of mcounteren and scounteren lets the lower modes read it. */
function counter(name: string, index: bigint, read: (hart: ReferenceHart) => bigint): Csr {
  return {
    ...readOnly(name, read),
    check: (hart) => {
      if (hart.priv !== M && (hart.mcounteren & bit(index)) === 0n) hart.illegal();
      if (hart.priv === U && (hart.scounteren & bit(index)) === 0n) hart.illegal();
    },
  };
}

function pmpAddress(entry: number): Csr {
  return {
    name: `pmpaddr${entry}`,
    read: (hart) => hart.pmpaddr[entry] ?? 0n,
    write: (hart, value) => {
      if (!pmpAddressWritable(hart, entry)) return;
      hart.pmpaddr[entry] = BigInt.asUintN(PMP_ADDRESS_BITS, value);
      hart.pmp.changed();
    },
  };
}

/** pmpcfg0 and pmpcfg2; the odd ones do not exist on RV64. */
function pmpConfiguration(register: number): Csr {
  return {
    name: `pmpcfg${2 * register}`,
    read: (hart) => hart.pmpcfg[register] ?? 0n,
    write: (hart, value) => {
      hart.pmpcfg[register] = pmpConfigWrite(hart, register, value);
      hart.pmp.changed();
    },
  };
}

function build(): ReadonlyMap<number, Csr> {
  const csrs = new Map<number, Csr>([
    [0x001, float('fflags', 0n, 31n)],
    [0x002, float('frm', 5n, 7n)],
    [0x003, float('fcsr', 0n, 255n)],
    [0x100, sstatus],
    [0x104, sie],
    [0x105, trapVector('stvec')],
    [0x106, plain('scounteren', COUNTERS)],
    [0x10a, plain('senvcfg', SENVCFG_WRITABLE)],
    [0x140, plain('sscratch')],
    [0x141, plain('sepc', ~1n)],
    [0x142, plain('scause')],
    [0x143, plain('stval')],
    [0x144, sip],
    [0x14d, stimecmp],
    [0x180, satp],
    [0x300, { name: 'mstatus', read: mstatusRead, write: mstatusWrite }],
    [0x301, constant('misa', MISA)],
    [0x302, plain('medeleg', DELEGABLE)],
    [0x303, plain('mideleg', S_INTERRUPTS)],
    [0x304, plain('mie', ALL_INTERRUPTS)],
    [0x305, trapVector('mtvec')],
    [0x306, plain('mcounteren', COUNTERS)],
    [0x30a, menvcfg],
    [0x320, plain('mcountinhibit', INHIBITABLE)],
    [0x340, plain('mscratch')],
    [0x341, plain('mepc', ~1n)],
    [0x342, plain('mcause')],
    [0x343, plain('mtval')],
    [0x344, mip],
    [0x3a0, pmpConfiguration(0)],
    [0x3a2, pmpConfiguration(1)],
    [0xb00, countedBySelf('mcycle', 1n)],
    [0xb02, countedBySelf('minstret', 4n)],
    [0xc00, counter('cycle', 0n, (hart) => hart.mcycle)],
    [0xc01, counter('time', 1n, (hart) => hart.mtime)],
    [0xc02, counter('instret', 2n, (hart) => hart.minstret)],
    [0xf11, constant('mvendorid', 0n)],
    [0xf12, constant('marchid', 0n)],
    [0xf13, constant('mimpid', 0n)],
    [0xf14, readOnly('mhartid', (hart) => hart.options.mhartid)],
    [0xf15, constant('mconfigptr', 0n)],
  ]);
  for (const [number, csr] of AIA_CSRS) csrs.set(number, csr);
  for (let i = 0; i < PMP_ENTRIES; i++) csrs.set(0x3b0 + i, pmpAddress(i));
  for (let i = 3; i < 32; i++) {
    csrs.set(0xb00 + i, constant(`mhpmcounter${i}`, 0n));
    csrs.set(0x320 + i, constant(`mhpmevent${i}`, 0n));
    csrs.set(
      0xc00 + i,
      counter(`hpmcounter${i}`, BigInt(i), () => 0n),
    );
  }
  return csrs;
}

/** Every CSR there is, by number. */
export const REFERENCE_CSRS: ReadonlyMap<number, Csr> = build();

/**
 * One CSR instruction: the old value (zero if not asked for), then `modify` applied to it, if given.
 * @throws Trap (illegal instruction) if the CSR is not there, not for this mode, or read-only and to be written.
 */
export function accessCsr(
  hart: ReferenceHart,
  number: number,
  reads: boolean,
  modify: ((old: bigint) => bigint) | null,
): bigint {
  const csr = REFERENCE_CSRS.get(number) ?? hart.illegal();
  const lowestPrivilege = (number >> 8) & 3;
  const readOnlyNumber = number >> 10 === 3;
  if (hart.priv < lowestPrivilege || (readOnlyNumber && modify !== null)) hart.illegal();
  csr.check?.(hart);
  const old = reads || modify !== null ? csr.read(hart) : 0n;
  if (modify !== null) csr.write(hart, mask64(modify(csr.base?.(hart) ?? old)));
  return reads ? old : 0n;
}
