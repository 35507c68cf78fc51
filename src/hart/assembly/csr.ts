/**
 * Control and status registers: who may access them, what reads, and what a write leaves (WARL). Privileged
 * specification chapters 2 to 4, Zicsr, Zicntr, Sstc. Those of the AIA: aia.ts.
 *
 * Where the specification leaves a choice: misa is read-only; a reserved mtvec or stvec mode and an unsupported satp
 * mode leave the register as it was, a reserved MPP the field; the ASID has sixteen bits; mhpmcounter3..31 and
 * mhpmevent3..31 are read-only zero and their mcounteren bits too. Not there, so illegal: the debug triggers
 * (tselect, tdata), mseccfg, pmpcfg4.., pmpaddr16.., and everything of extensions the hart does not have.
 */

import { hasAiaCsr, readAia, writeAia } from './aia';
import {
  ALL_INTERRUPTS,
  ENVCFG_CBCFE,
  ENVCFG_CBIE,
  ENVCFG_CBZE,
  ENVCFG_FIOM,
  MACHINE,
  MENVCFG_ADUE,
  MENVCFG_PBMTE,
  MENVCFG_STCE,
  MSTATUS_FS,
  MSTATUS_MIE,
  MSTATUS_MPIE,
  MSTATUS_MPP,
  MSTATUS_MPP_SHIFT,
  MSTATUS_MPRV,
  MSTATUS_MXR,
  MSTATUS_SUM,
  MSTATUS_TSR,
  MSTATUS_TVM,
  MSTATUS_TW,
  S_INTERRUPTS,
  SEIP,
  SSIP,
  SUPERVISOR,
} from './architecture';
import { fpGateChanged } from './fp-gate';
import { hart } from './hart';
import { instret, isStipWritable, mtime, pendingBits, updateTimers, virtualMask, virtualPending } from './interrupts';
import {
  CSR_CYCLE,
  CSR_FCSR,
  CSR_FFLAGS,
  CSR_FRM,
  CSR_HPMCOUNTER3,
  CSR_HPMCOUNTER31,
  CSR_INSTRET,
  CSR_MARCHID,
  CSR_MCAUSE,
  CSR_MCONFIGPTR,
  CSR_MCOUNTEREN,
  CSR_MCOUNTINHIBIT,
  CSR_MCYCLE,
  CSR_MEDELEG,
  CSR_MENVCFG,
  CSR_MEPC,
  CSR_MHARTID,
  CSR_MHPMCOUNTER3,
  CSR_MHPMCOUNTER31,
  CSR_MHPMEVENT3,
  CSR_MHPMEVENT31,
  CSR_MIDELEG,
  CSR_MIE,
  CSR_MIMPID,
  CSR_MINSTRET,
  CSR_MIP,
  CSR_MISA,
  CSR_MSCRATCH,
  CSR_MSTATUS,
  CSR_MTVAL,
  CSR_MTVEC,
  CSR_MVENDORID,
  CSR_PMPADDR0,
  CSR_PMPADDR15,
  CSR_PMPCFG0,
  CSR_PMPCFG2,
  CSR_SATP,
  CSR_SCAUSE,
  CSR_SCOUNTEREN,
  CSR_SENVCFG,
  CSR_SEPC,
  CSR_SIE,
  CSR_SIP,
  CSR_SSCRATCH,
  CSR_SSTATUS,
  CSR_STIMECMP,
  CSR_STVAL,
  CSR_STVEC,
  CSR_TIME,
  H_FFLAGS,
  H_FRM,
  H_MCAUSE,
  H_MCOUNTEREN,
  H_MCOUNTINHIBIT,
  H_MCYCLE_BIAS,
  H_MEDELEG,
  H_MENVCFG,
  H_MEPC,
  H_MHARTID,
  H_MIDELEG,
  H_MIE,
  H_MINSTRET_BIAS,
  H_MIP,
  H_MSCRATCH,
  H_MSTATUS,
  H_MTVAL,
  H_MTVEC,
  H_MVIEN,
  H_MVIP,
  H_PMPADDR,
  H_PMPCFG,
  H_PRIV,
  H_SATP,
  H_SCAUSE,
  H_SCOUNTEREN,
  H_SENVCFG,
  H_SEPC,
  H_SIE,
  H_SSCRATCH,
  H_STIMECMP,
  H_STVAL,
  H_STVEC,
  SSTATUS_SD,
  SSTATUS_UXL,
  SSTATUS_WRITABLE,
} from './layout.generated';
import { contextChanged, flushData, flushTlb, flushTranslations } from './mmu';
import { writePmpAddress, writePmpConfig } from './pmp';
import { illegal } from './trap';

const ACCESS_WRITE: u32 = 0;
const ACCESS_SET: u32 = 1;

/** RV64, A C D F I M S U. */
const MISA: u64 = (2 << 62) | 0x14112d;
/** Every exception but ecall from M mode and those of extensions that are not there. */
const DELEGABLE: u64 = 0xb3ff;
const MSTATUS_WRITABLE: u64 =
  SSTATUS_WRITABLE | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR;
const MPP_RESERVED: u64 = 2;
/** 64 bits. */
const SXL: u64 = 2 << 34;
const SENVCFG_WRITABLE: u64 = ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE;
const MENVCFG_WRITABLE: u64 = SENVCFG_WRITABLE | MENVCFG_ADUE | MENVCFG_PBMTE | MENVCFG_STCE;
/** CY, TM, IR in mcounteren and scounteren; CY and IR in mcountinhibit. */
const COUNTERS: u64 = 7;
const COUNTER_CYCLE: u64 = 1;
export const COUNTER_TIME: u64 = 2;
const COUNTER_INSTRET: u64 = 4;
const SATP_MODE_SHIFT: u64 = 60;

/** Whether the register `read` was asked for is there. */
let exists: bool = true;

/**
 * One CSR instruction: writes source, or sets or clears its bits (access 0, 1, 2), where `writes` is not 0. Reading has
 * no side effects here, so `_reads` does not matter. @returns the old value
 */
export function csr(num: u32, access: u32, source: u64, _reads: u32, writes: u32): u64 {
  if (!isAllowed(num, writes !== 0)) {
    illegal();
    return 0;
  }
  exists = true;
  const old = read(num);
  if (!exists) {
    illegal();
    return 0;
  }
  if (writes !== 0) {
    // SEIP reads with the line or'ed in; setting and clearing bits goes by the bit software wrote.
    const base = num === CSR_MIP ? load<u64>(hart, H_MIP) : old;
    write(num, access === ACCESS_WRITE ? source : access === ACCESS_SET ? base | source : base & ~source);
  }
  return old;
}

/** Privilege and read-only as the number says; then the counters', TVM's, FS's and Sstc's rules. */
function isAllowed(num: u32, writes: bool): bool {
  const privilege = load<u32>(hart, H_PRIV);
  if (((num >> 8) & 3) > privilege || (writes && num >> 10 === 3)) return false;
  if (num >= CSR_CYCLE && num <= CSR_HPMCOUNTER31) return isCounterAllowed(privilege, (<u64>1) << (num - CSR_CYCLE));
  if (num <= CSR_FCSR) return (load<u64>(hart, H_MSTATUS) & MSTATUS_FS) !== 0;
  if (num === CSR_SATP) return privilege === MACHINE || !(load<u64>(hart, H_MSTATUS) & MSTATUS_TVM);
  if (num === CSR_STIMECMP && privilege !== MACHINE) {
    const isEnabled = (load<u64>(hart, H_MENVCFG) & MENVCFG_STCE) !== 0;
    return isEnabled && (load<u64>(hart, H_MCOUNTEREN) & COUNTER_TIME) !== 0;
  }
  return true;
}

export function isCounterAllowed(privilege: u32, bit: u64): bool {
  if (privilege === MACHINE) return true;
  if (!(load<u64>(hart, H_MCOUNTEREN) & bit)) return false;
  return privilege === SUPERVISOR || (load<u64>(hart, H_SCOUNTEREN) & bit) !== 0;
}

// Reading.

function read(num: u32): u64 {
  if ((num & 0xf00) === 0x100) return readSupervisor(num);
  switch (num) {
    case CSR_FFLAGS:
      return load<u32>(hart, H_FFLAGS);
    case CSR_FRM:
      return load<u32>(hart, H_FRM);
    case CSR_FCSR:
      return (load<u32>(hart, H_FRM) << 5) | load<u32>(hart, H_FFLAGS);
    case CSR_TIME:
      return mtime();
    case CSR_CYCLE:
    case CSR_MCYCLE:
      return counter(H_MCYCLE_BIAS, COUNTER_CYCLE);
    case CSR_INSTRET:
    case CSR_MINSTRET:
      return counter(H_MINSTRET_BIAS, COUNTER_INSTRET);
    default:
      return readMachine(num);
  }
}

function readSupervisor(num: u32): u64 {
  switch (num) {
    case CSR_SSTATUS:
      return readStatus() & (SSTATUS_WRITABLE | SSTATUS_UXL | SSTATUS_SD);
    case CSR_SIE:
      return (load<u64>(hart, H_MIE) & load<u64>(hart, H_MIDELEG)) | (load<u64>(hart, H_SIE) & virtualMask());
    case CSR_STVEC:
      return load<u64>(hart, H_STVEC);
    case CSR_SCOUNTEREN:
      return load<u64>(hart, H_SCOUNTEREN);
    case CSR_SENVCFG:
      return load<u64>(hart, H_SENVCFG);
    case CSR_SSCRATCH:
      return load<u64>(hart, H_SSCRATCH);
    case CSR_SEPC:
      return load<u64>(hart, H_SEPC);
    case CSR_SCAUSE:
      return load<u64>(hart, H_SCAUSE);
    case CSR_STVAL:
      return load<u64>(hart, H_STVAL);
    case CSR_SIP:
      return (pendingNow() & load<u64>(hart, H_MIDELEG)) | virtualPending();
    case CSR_STIMECMP:
      return load<u64>(hart, H_STIMECMP);
    case CSR_SATP:
      return load<u64>(hart, H_SATP);
    default:
      return hasAiaCsr(num) ? readAia(num) : absent();
  }
}

function readMachine(num: u32): u64 {
  switch (num) {
    case CSR_MSTATUS:
      return readStatus();
    case CSR_MISA:
      return MISA;
    case CSR_MEDELEG:
      return load<u64>(hart, H_MEDELEG);
    case CSR_MIDELEG:
      return load<u64>(hart, H_MIDELEG);
    case CSR_MIE:
      return load<u64>(hart, H_MIE);
    case CSR_MTVEC:
      return load<u64>(hart, H_MTVEC);
    case CSR_MCOUNTEREN:
      return load<u64>(hart, H_MCOUNTEREN);
    case CSR_MENVCFG:
      return load<u64>(hart, H_MENVCFG);
    case CSR_MCOUNTINHIBIT:
      return load<u64>(hart, H_MCOUNTINHIBIT);
    case CSR_MSCRATCH:
      return load<u64>(hart, H_MSCRATCH);
    case CSR_MEPC:
      return load<u64>(hart, H_MEPC);
    case CSR_MCAUSE:
      return load<u64>(hart, H_MCAUSE);
    case CSR_MTVAL:
      return load<u64>(hart, H_MTVAL);
    case CSR_MIP:
      return pendingNow();
    case CSR_PMPCFG0:
      return load<u64>(hart, H_PMPCFG);
    case CSR_PMPCFG2:
      return load<u64>(hart + 8, H_PMPCFG);
    case CSR_MHARTID:
      return load<u64>(hart, H_MHARTID);
    case CSR_MVENDORID:
    case CSR_MARCHID:
    case CSR_MIMPID:
    case CSR_MCONFIGPTR:
      return 0;
    default:
      if (num >= CSR_PMPADDR0 && num <= CSR_PMPADDR15) return load<u64>(hart + (num - CSR_PMPADDR0) * 8, H_PMPADDR);
      if (isPerformanceCounter(num)) return 0;
      return hasAiaCsr(num) ? readAia(num) : absent();
  }
}

function isPerformanceCounter(num: u32): bool {
  if (num >= CSR_HPMCOUNTER3 && num <= CSR_HPMCOUNTER31) return true;
  if (num >= CSR_MHPMCOUNTER3 && num <= CSR_MHPMCOUNTER31) return true;
  return num >= CSR_MHPMEVENT3 && num <= CSR_MHPMEVENT31;
}

function absent(): u64 {
  exists = false;
  return 0;
}

function readStatus(): u64 {
  const mstatus = load<u64>(hart, H_MSTATUS);
  return mstatus | SSTATUS_UXL | SXL | ((mstatus & MSTATUS_FS) === MSTATUS_FS ? SSTATUS_SD : 0);
}

function pendingNow(): u64 {
  updateTimers();
  return pendingBits();
}

/** A counter of instructions that can be written and inhibited. */
function counter(bias: u32, inhibit: u64): u64 {
  const value = load<u64>(hart + bias);
  return load<u64>(hart, H_MCOUNTINHIBIT) & inhibit ? value : value + instret();
}

// Writing.

function write(num: u32, value: u64): void {
  if ((num & 0xf00) === 0x100) writeSupervisor(num, value);
  else if (num <= CSR_FCSR) writeFloat(num, value);
  else writeMachine(num, value);
}

function writeSupervisor(num: u32, value: u64): void {
  switch (num) {
    case CSR_SSTATUS:
      writeStatus(value, SSTATUS_WRITABLE);
      break;
    case CSR_SIE:
      writeMasked(H_MIE, value, load<u64>(hart, H_MIDELEG) & S_INTERRUPTS);
      writeMasked(H_SIE, value, virtualMask());
      break;
    case CSR_STVEC:
      writeVector(H_STVEC, value);
      break;
    case CSR_SCOUNTEREN:
      store<u64>(hart, value & COUNTERS, H_SCOUNTEREN);
      break;
    case CSR_SENVCFG:
      store<u64>(hart, value & SENVCFG_WRITABLE, H_SENVCFG);
      break;
    case CSR_SSCRATCH:
      store<u64>(hart, value, H_SSCRATCH);
      break;
    case CSR_SEPC:
      store<u64>(hart, value & ~(<u64>1), H_SEPC);
      break;
    case CSR_SCAUSE:
      store<u64>(hart, value, H_SCAUSE);
      break;
    case CSR_STVAL:
      store<u64>(hart, value, H_STVAL);
      break;
    case CSR_SIP:
      writeMasked(H_MIP, value, load<u64>(hart, H_MIDELEG) & SSIP);
      writeMasked(H_MVIP, value, virtualMask() & SSIP);
      break;
    case CSR_STIMECMP:
      store<u64>(hart, value, H_STIMECMP);
      updateTimers();
      break;
    case CSR_SATP:
      writeSatp(value);
      break;
    default:
      writeAia(num, value);
  }
}

function writeMachine(num: u32, value: u64): void {
  switch (num) {
    case CSR_MSTATUS:
      writeStatus(value, MSTATUS_WRITABLE);
      break;
    case CSR_MEDELEG:
      store<u64>(hart, value & DELEGABLE, H_MEDELEG);
      break;
    case CSR_MIDELEG:
      store<u64>(hart, value & S_INTERRUPTS, H_MIDELEG);
      break;
    case CSR_MIE:
      store<u64>(hart, value & ALL_INTERRUPTS, H_MIE);
      break;
    case CSR_MTVEC:
      writeVector(H_MTVEC, value);
      break;
    case CSR_MCOUNTEREN:
      store<u64>(hart, value & COUNTERS, H_MCOUNTEREN);
      break;
    case CSR_MENVCFG:
      store<u64>(hart, value & MENVCFG_WRITABLE, H_MENVCFG);
      updateTimers();
      break;
    case CSR_MCOUNTINHIBIT:
      writeInhibit(value & (COUNTER_CYCLE | COUNTER_INSTRET));
      break;
    case CSR_MCYCLE:
      writeCounter(H_MCYCLE_BIAS, COUNTER_CYCLE, value);
      break;
    case CSR_MINSTRET:
      writeCounter(H_MINSTRET_BIAS, COUNTER_INSTRET, value);
      break;
    case CSR_MSCRATCH:
      store<u64>(hart, value, H_MSCRATCH);
      break;
    case CSR_MEPC:
      store<u64>(hart, value & ~(<u64>1), H_MEPC);
      break;
    case CSR_MCAUSE:
      store<u64>(hart, value, H_MCAUSE);
      break;
    case CSR_MTVAL:
      store<u64>(hart, value, H_MTVAL);
      break;
    case CSR_MIP:
      writeMasked(H_MIP, value, (isStipWritable() ? S_INTERRUPTS : SSIP | SEIP) & ~(load<u64>(hart, H_MVIEN) & SEIP));
      break;
    case CSR_PMPCFG0:
    case CSR_PMPCFG2:
      writePmpConfig((num - CSR_PMPCFG0) / 2, value);
      flushTlb();
      break;
    default:
      if (num < CSR_PMPADDR0 || num > CSR_PMPADDR15) {
        writeAia(num, value); // or misa, or what reads as zero
        break;
      }
      writePmpAddress(num - CSR_PMPADDR0, value);
      flushTlb();
  }
}

function writeMasked(field: u32, value: u64, mask: u64): void {
  store<u64>(hart + field, (load<u64>(hart + field) & ~mask) | (value & mask));
}

function writeVector(field: u32, value: u64): void {
  if ((value & 3) < 2) store<u64>(hart + field, value);
}

function writeStatus(value: u64, writable: u64): void {
  const old = load<u64>(hart, H_MSTATUS);
  const isReserved = (value & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT === MPP_RESERVED;
  const mask = isReserved ? writable & ~MSTATUS_MPP : writable;
  const now = (old & ~mask) | (value & mask);
  store<u64>(hart, now, H_MSTATUS);
  const changed = old ^ now;
  if (changed & MSTATUS_MXR) flushData();
  if (changed & (MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_SUM)) contextChanged();
  if (changed & MSTATUS_FS) fpGateChanged();
}

function writeFloat(num: u32, value: u64): void {
  const bits = <u32>value;
  if (num !== CSR_FRM) store<u32>(hart, bits & 31, H_FFLAGS);
  if (num === CSR_FRM) store<u32>(hart, bits & 7, H_FRM);
  if (num === CSR_FCSR) store<u32>(hart, (bits >> 5) & 7, H_FRM);
  store<u64>(hart, load<u64>(hart, H_MSTATUS) | MSTATUS_FS, H_MSTATUS);
  fpGateChanged();
}

function writeSatp(value: u64): void {
  const mode = value >> SATP_MODE_SHIFT;
  if (mode !== 0 && (mode < 8 || mode > 10)) return;
  if (value === load<u64>(hart, H_SATP)) return;
  store<u64>(hart, value, H_SATP);
  flushTranslations();
}

/** The next instruction reads what is written: this one does not count. */
function writeCounter(bias: u32, inhibit: u64, value: u64): void {
  const isInhibited = (load<u64>(hart, H_MCOUNTINHIBIT) & inhibit) !== 0;
  store<u64>(hart + bias, isInhibited ? value : value - instret() - 1);
}

function writeInhibit(value: u64): void {
  const cycle = counter(H_MCYCLE_BIAS, COUNTER_CYCLE);
  const retired = counter(H_MINSTRET_BIAS, COUNTER_INSTRET);
  store<u64>(hart, value, H_MCOUNTINHIBIT);
  store<u64>(hart, value & COUNTER_CYCLE ? cycle : cycle - instret(), H_MCYCLE_BIAS);
  store<u64>(hart, value & COUNTER_INSTRET ? retired : retired - instret(), H_MINSTRET_BIAS);
}
