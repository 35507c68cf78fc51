/**
 * Numbers of the privileged architecture used by more than one file: privilege modes, fields of mstatus (privileged
 * specification 3.1.6), of menvcfg (3.1.18), interrupt bits (3.1.9) and exception causes (table "mcause", 3.1.15).
 */
import {
  INTERRUPT_MEI,
  INTERRUPT_MSI,
  INTERRUPT_MTI,
  INTERRUPT_SEI,
  INTERRUPT_SSI,
  INTERRUPT_STI,
  SSTATUS_FS,
  SSTATUS_MXR,
  SSTATUS_SIE,
  SSTATUS_SPIE,
  SSTATUS_SPP,
  SSTATUS_SUM,
} from './layout.generated';

export const USER: u32 = 0;
export const SUPERVISOR: u32 = 1;
export const MACHINE: u32 = 3;

export const MSTATUS_SIE: u64 = SSTATUS_SIE;
export const MSTATUS_MIE: u64 = 1 << 3;
export const MSTATUS_SPIE: u64 = SSTATUS_SPIE;
export const MSTATUS_MPIE: u64 = 1 << 7;
export const MSTATUS_SPP: u64 = SSTATUS_SPP;
export const MSTATUS_MPP: u64 = 3 << 11;
export const MSTATUS_MPP_SHIFT: u64 = 11;
export const MSTATUS_FS: u64 = SSTATUS_FS;
export const MSTATUS_MPRV: u64 = 1 << 17;
export const MSTATUS_SUM: u64 = SSTATUS_SUM;
export const MSTATUS_MXR: u64 = SSTATUS_MXR;
export const MSTATUS_TVM: u64 = 1 << 20;
export const MSTATUS_TW: u64 = 1 << 21;
export const MSTATUS_TSR: u64 = 1 << 22;

/** In menvcfg and senvcfg. */
export const ENVCFG_FIOM: u64 = 1;
export const ENVCFG_CBIE: u64 = 3 << 4;
export const ENVCFG_CBCFE: u64 = 1 << 6;
export const ENVCFG_CBZE: u64 = 1 << 7;
/** In menvcfg only. */
export const MENVCFG_ADUE: u64 = 1 << 61;
export const MENVCFG_PBMTE: u64 = 1 << 62;
export const MENVCFG_STCE: u64 = 1 << 63;

export const SSI: u32 = INTERRUPT_SSI;
export const MSI: u32 = INTERRUPT_MSI;
export const STI: u32 = INTERRUPT_STI;
export const MTI: u32 = INTERRUPT_MTI;
export const SEI: u32 = INTERRUPT_SEI;
export const MEI: u32 = INTERRUPT_MEI;
export const SSIP: u64 = 1 << (<u64>SSI);
export const STIP: u64 = 1 << (<u64>STI);
export const MTIP: u64 = 1 << (<u64>MTI);
export const SEIP: u64 = 1 << (<u64>SEI);
/** The interrupts that can be delegated to S mode. */
export const S_INTERRUPTS: u64 = SSIP | STIP | SEIP;
export const ALL_INTERRUPTS: u64 = S_INTERRUPTS | (1 << (<u64>MSI)) | MTIP | (1 << (<u64>MEI));

export const INTERRUPT: u64 = 1 << 63;
export const CAUSE_FETCH_ACCESS: u32 = 1;
export const CAUSE_ILLEGAL: u32 = 2;
export const CAUSE_BREAKPOINT: u32 = 3;
export const CAUSE_LOAD_MISALIGNED: u32 = 4;
export const CAUSE_LOAD_ACCESS: u32 = 5;
export const CAUSE_STORE_MISALIGNED: u32 = 6;
export const CAUSE_STORE_ACCESS: u32 = 7;
/** From U mode; from S and M mode 9 and 11. */
export const CAUSE_ECALL: u32 = 8;
export const CAUSE_FETCH_PAGE: u32 = 12;
export const CAUSE_LOAD_PAGE: u32 = 13;
export const CAUSE_STORE_PAGE: u32 = 15;

/** Kinds of access, as the permission bits of PMP. */
export const READ: u32 = 1;
export const WRITE: u32 = 2;
export const EXECUTE: u32 = 4;

export const PAGE_BYTES: u64 = 4096;
/** Clears the offset in a page. */
export const PAGE_MASK: u64 = ~4095;
