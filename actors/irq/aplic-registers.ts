/**
 * The register table of an APLIC interrupt domain and the fields in it.
 * Source: RISC-V Advanced Interrupt Architecture 1.0, 4.5 and 4.8.1. The window is as long as on QEMU's virt.
 */
import { registerTable } from '../../src/bus/register-table.ts';

export const APLIC_SOURCES_MAX = 1023;
/** What the window has IDCs for. */
export const APLIC_HARTS_MAX = 512;
export const APLIC_LENGTH_BYTES = 0x8000;

const IDC = { widthBytes: 4, count: APLIC_HARTS_MAX, strideBytes: 0x20 } as const;
const BITS = { widthBytes: 4, count: 32 } as const;
const NUMBER = { widthBytes: 4, access: 'wo' } as const;
const ADDRESS = { widthBytes: 4, access: 'rw' } as const;

export const aplicRegisters = registerTable({
  domaincfg: { offset: 0, widthBytes: 4, access: 'rw', doc: '[31:24] 0x80; [8] IE; [2] DM, fixed: 1 MSIs; [0] BE, 0' },
  // Registers of sources begin with number 1.
  sourcecfg: {
    offset: 4,
    widthBytes: 4,
    access: 'rw',
    count: APLIC_SOURCES_MAX,
    doc: '[10] D: delegated to child [9:0]; else [2:0] source mode; of source n + 1',
  },
  mmsiaddrcfg: { ...ADDRESS, offset: 0x1bc0, doc: 'PPN [31:0] of machine-level interrupt files; root with MSIs only' },
  mmsiaddrcfgh: {
    ...ADDRESS,
    offset: 0x1bc4,
    doc: '[31] L: all four locked; [28:24] HHXS; [22:20] LHXS; [18:16] HHXW; [15:12] LHXW; [11:0] PPN [43:32]',
  },
  smsiaddrcfg: { ...ADDRESS, offset: 0x1bc8, doc: 'PPN [31:0] of supervisor-level interrupt files' },
  smsiaddrcfgh: { ...ADDRESS, offset: 0x1bcc, doc: '[22:20] LHXS; [11:0] PPN [43:32]' },
  setip: { ...BITS, offset: 0x1c00, access: 'rw', doc: 'pending bits; ones set' },
  setipnum: { ...NUMBER, offset: 0x1cdc, doc: 'sets the pending bit of a source' },
  in_clrip: { ...BITS, offset: 0x1d00, access: 'rw', doc: 'rectified inputs; ones clear pending bits' },
  clripnum: { ...NUMBER, offset: 0x1ddc, doc: 'clears the pending bit of a source' },
  setie: { ...BITS, offset: 0x1e00, access: 'rw', doc: 'enable bits; ones set' },
  setienum: { ...NUMBER, offset: 0x1edc, doc: 'sets the enable bit of a source' },
  clrie: { ...BITS, offset: 0x1f00, access: 'wo', doc: 'ones clear enable bits' },
  clrienum: { ...NUMBER, offset: 0x1fdc, doc: 'clears the enable bit of a source' },
  setipnum_le: { ...NUMBER, offset: 0x2000, doc: 'as setipnum' },
  setipnum_be: { ...NUMBER, offset: 0x2004, doc: 'as setipnum, bytes swapped' },
  genmsi: { offset: 0x3000, widthBytes: 4, access: 'rw', doc: 'sends an MSI: [31:18] hart index, [10:0] identity' },
  target: {
    offset: 0x3004,
    widthBytes: 4,
    access: 'rw',
    count: APLIC_SOURCES_MAX,
    doc: '[31:18] hart index; direct: [2:0] priority, 1 the highest; MSI: [10:0] identity; of source n + 1',
  },
  idelivery: {
    ...IDC,
    offset: 0x4000,
    access: 'rw',
    doc: '[0] interrupts reach hart n; this and what follows: direct',
  },
  iforce: { ...IDC, offset: 0x4004, access: 'rw', doc: '[0] forces an interrupt, until a claim finds none' },
  ithreshold: {
    ...IDC,
    offset: 0x4008,
    access: 'rw',
    doc: '[2:0] priorities from this number on do not interrupt; 0: all do',
  },
  topi: { ...IDC, offset: 0x4018, access: 'ro', doc: '[25:16] source, [7:0] priority of the best interrupt; 0: none' },
  claimi: { ...IDC, offset: 0x401c, access: 'ro', doc: 'topi; a read clears its pending bit' },
});

/** The registers that set and clear bits: by word, or by a source's number. */
export const BIT_WRITES = [
  { row: aplicRegisters.setipnum_le, bits: 'pending', on: true, isNumber: true },
  { row: aplicRegisters.setip, bits: 'pending', on: true, isNumber: false },
  { row: aplicRegisters.setipnum, bits: 'pending', on: true, isNumber: true },
  { row: aplicRegisters.in_clrip, bits: 'pending', on: false, isNumber: false },
  { row: aplicRegisters.clripnum, bits: 'pending', on: false, isNumber: true },
  { row: aplicRegisters.setie, bits: 'enable', on: true, isNumber: false },
  { row: aplicRegisters.setienum, bits: 'enable', on: true, isNumber: true },
  { row: aplicRegisters.clrie, bits: 'enable', on: false, isNumber: false },
  { row: aplicRegisters.clrienum, bits: 'enable', on: false, isNumber: true },
  { row: aplicRegisters.setipnum_be, bits: 'pending', on: true, isNumber: true },
] as const;

export const DOMAINCFG = { signature: 0x8000_0000, ie: 0x100, dm: 0x4 } as const;

/** Modes from `edge1` on have an input; those from `level1` on are level-sensitive. */
export const SOURCECFG = {
  delegate: 0x400,
  childMask: 0x3ff,
  modeMask: 0x7,
  inactive: 0,
  edge1: 4,
  level1: 6,
  /** Of the modes with an input: low is an interrupt. */
  invertedBit: 1,
} as const;

/** The modes by number; those without a name are reserved. */
export const SOURCE_MODE: readonly (string | undefined)[] = [
  'inactive',
  'detached',
  undefined,
  undefined,
  'edge1',
  'edge0',
  'level1',
  'level0',
];

/** Fields of target, genmsi and topi. */
export const TARGET = {
  hartShift: 18,
  hartMask: 0xfffc_0000,
  identityMask: 0x7ff,
  /** Three bits of priority, as on QEMU's virt. */
  priorityMask: 0x7,
  topSourceShift: 16,
} as const;
