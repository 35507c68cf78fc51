/**
 * ELF64 executables for RISC-V: loadable segments, entry, and the HTIF symbols.
 * Source: System V ABI chapters 4 and 5; RISC-V ELF psABI, "ELF object files".
 *
 * Segments go to their physical addresses, as QEMU loads them; an entry that lies in a segment's virtual range is
 * translated (vmlinux). Not modelled: relocation, dynamic linking, ELF32, symbols beyond tohost and fromhost.
 */
import { ConfigError } from '../util/config-error.ts';
import type { BootSegment, LoadedImage } from './segment.ts';

const MAGIC = 0x464c457f;
const CLASS_64 = 2;
const DATA_LITTLE = 1;
const MACHINE_RISCV = 243;
const TYPES = { exec: 2, dyn: 3 } as const;
const SEGMENT_LOAD = 1;
const SECTION_SYMBOLS = 2;

/** Byte offsets in the file header; sizes as in the names of the getters that read them. */
const EHDR = {
  type: 16,
  machine: 18,
  entry: 24,
  phoff: 32,
  shoff: 40,
  phentsize: 54,
  phnum: 56,
  shentsize: 58,
  shnum: 60,
};
const EHDR_BYTES = 64;
const PHDR = { type: 0, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40 };
const PHDR_BYTES = 56;
const SHDR = { type: 4, offset: 24, size: 32, link: 40 };
const SHDR_BYTES = 64;
const SYM = { name: 0, value: 8 };
const SYM_BYTES = 24;

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(0, true) === MAGIC;
}

/**
 * @param path what the error calls the file: the option it came from
 * @throws ConfigError for a file that is truncated, damaged, or not for RV64
 */
export function readElf(bytes: Uint8Array, path: string): LoadedImage {
  const view = viewOf(bytes);
  checkHeader(bytes, view, path);
  const headers = programHeaders(view, path);
  const segments = headers.map(({ offset, paddr, filesz, memsz }): BootSegment => {
    return { gpa: paddr, bytes: bytes.subarray(offset, offset + filesz), lengthBytes: memsz };
  });
  if (segments.length === 0)
    damaged(path, 'the ELF file has nothing to load', 'Give an executable, not an object file.');
  const entry = word(view, EHDR.entry, path);
  const entryGpa = physicalEntry(entry, headers);
  if (entryGpa === null) damaged(path, 'the ELF entry point lies in no segment', 'Link it again.');
  const { tohost, fromhost } = hostSymbols(bytes, view);
  return {
    kind: 'elf',
    segments,
    entryGpa,
    ...(tohost === undefined ? {} : { tohostGpa: tohost }),
    ...(fromhost === undefined ? {} : { fromhostGpa: fromhost }),
  };
}

function checkHeader(bytes: Uint8Array, view: DataView, path: string): void {
  if (bytes.length < EHDR_BYTES) truncated(path);
  if (bytes[5] !== DATA_LITTLE) damaged(path, 'the ELF file is big-endian', RV64);
  if (bytes[4] !== CLASS_64) damaged(path, 'the ELF file is not 64-bit', RV64);
  const machine = view.getUint16(EHDR.machine, true);
  if (machine !== MACHINE_RISCV)
    damaged(path, `the ELF file is for machine ${machine}, not RISC-V (${MACHINE_RISCV})`, RV64);
  const type = view.getUint16(EHDR.type, true);
  if (type !== TYPES.exec && type !== TYPES.dyn) {
    damaged(path, `ELF type ${type} is no executable`, 'Link it first.');
  }
  if (view.getUint16(EHDR.phnum, true) > 0 && view.getUint16(EHDR.phentsize, true) !== PHDR_BYTES) {
    damaged(path, 'the ELF program headers have the wrong size', RV64);
  }
}

/** Entries are virtual; in files with one kind of address the two are the same. */
function physicalEntry(entry: bigint, headers: readonly ProgramHeader[]): number | null {
  for (const { vaddr, paddr, memsz } of headers) {
    if (entry >= vaddr && entry - vaddr < memsz) return paddr + Number(entry - vaddr);
  }
  const inside = headers.some(({ paddr, memsz }) => entry >= paddr && entry < paddr + memsz);
  return inside ? Number(entry) : null;
}

interface ProgramHeader {
  readonly offset: number;
  /** Virtual addresses use all 64 bits. */
  readonly vaddr: bigint;
  readonly paddr: number;
  readonly filesz: number;
  readonly memsz: number;
}

/** The loadable ones that are not empty. */
function programHeaders(view: DataView, path: string): ProgramHeader[] {
  const headers: ProgramHeader[] = [];
  const count = view.getUint16(EHDR.phnum, true);
  const table = small(word(view, EHDR.phoff, path), path);
  if (table + count * PHDR_BYTES > view.byteLength) truncated(path);
  for (let at = table; at < table + count * PHDR_BYTES; at += PHDR_BYTES) {
    if (view.getUint32(at + PHDR.type, true) !== SEGMENT_LOAD) continue;
    const field = (offset: number) => small(word(view, at + offset, path), path);
    const vaddr = word(view, at + PHDR.vaddr, path);
    const [offset, paddr, filesz, memsz] = [PHDR.offset, PHDR.paddr, PHDR.filesz, PHDR.memsz].map(field) as Four;
    if (filesz > memsz) damaged(path, 'an ELF segment is longer in the file than in memory', RV64);
    if (offset + filesz > view.byteLength) truncated(path);
    if (memsz > 0) headers.push({ offset, vaddr: BigInt(vaddr), paddr, filesz, memsz });
  }
  return headers;
}

type Four = [number, number, number, number];

/** A damaged or missing symbol table counts as none: nothing but a convenience depends on it. */
function hostSymbols(bytes: Uint8Array, view: DataView): { tohost?: number; fromhost?: number } {
  const found: { tohost?: number; fromhost?: number } = {};
  const section = (index: number) => sectionAt(view, index);
  for (let index = 0; index < view.getUint16(EHDR.shnum, true); index++) {
    const symbols = section(index);
    if (symbols?.type !== SECTION_SYMBOLS) continue;
    const names = section(symbols.link);
    if (names === null) continue;
    for (let at = symbols.offset; at + SYM_BYTES <= symbols.offset + symbols.size; at += SYM_BYTES) {
      const name = nameAt(bytes, names, view.getUint32(at + SYM.name, true));
      const value = Number(view.getBigUint64(at + SYM.value, true));
      if (name !== null && Number.isSafeInteger(value)) found[name] = value;
    }
  }
  return found;
}

interface Section {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

function sectionAt(view: DataView, index: number): Section | null {
  const table = Number(view.getBigUint64(EHDR.shoff, true));
  const at = table + index * SHDR_BYTES;
  if (view.getUint16(EHDR.shentsize, true) !== SHDR_BYTES || at + SHDR_BYTES > view.byteLength) return null;
  const offset = Number(view.getBigUint64(at + SHDR.offset, true));
  const size = Number(view.getBigUint64(at + SHDR.size, true));
  const type = view.getUint32(at + SHDR.type, true);
  const inFile = offset + size <= view.byteLength;
  return inFile ? { type, offset, size, link: view.getUint32(at + SHDR.link, true) } : null;
}

/** Whether one of the names we look for stands there. */
function nameAt(bytes: Uint8Array, names: Section, index: number): 'tohost' | 'fromhost' | null {
  const start = names.offset + index;
  const text = (length: number) =>
    String.fromCharCode(...bytes.subarray(start, Math.min(start + length, names.offset + names.size)));
  if (text(7) === 'tohost\0') return 'tohost';
  return text(9) === 'fromhost\0' ? 'fromhost' : null;
}

function word(view: DataView, offset: number, path: string): bigint {
  if (offset + 8 > view.byteLength) truncated(path);
  return view.getBigUint64(offset, true);
}

function small(value: bigint, path: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    damaged(path, `0x${value.toString(16)} in an ELF header is out of range`, RV64);
  return Number(value);
}

const RV64 = 'Give a file for riscv64.';

function damaged(path: string, problem: string, remedy: string): never {
  throw new ConfigError(path, problem, remedy);
}

function truncated(path: string): never {
  throw new ConfigError(path, 'the ELF file is truncated', 'Fetch or build it again.');
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
