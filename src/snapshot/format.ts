/**
 * The file of a frozen machine. Numbers are little-endian; a u64 is two u32, the low one first.
 *
 *     prelude   magic (8 bytes), format version (u32), CRC of these 12 bytes (u32)
 *     sections  a header and a payload each, without gaps:
 *       'mach'  once, the first: { ramBytes, machine }, plain data
 *       'actr'  any number: { name, kind, version, state }, plain data
 *       'ram '  windows of guest RAM, in order and without gaps: first page, pages covered, number of runs (u32 each),
 *               then for each run of pages that are not zero: first page, pages (u32 each), then those pages
 *       'end '  once, the last: sections before it (u32), length of the whole file (u64), the seal (u32)
 *
 * A section's header: type (4 characters), flags (u32), length of the payload (u64), CRC of the payload (u32), CRC of the
 * header's 20 bytes before (u32). The seal is the CRC over prelude and headers, the last apart, each without its own CRC
 * (with it, what is before no longer matters): sections that are missing, doubled, moved or taken from another file do
 * not go with it, since a header has the CRC of its payload.
 *
 * A flag says that a section may be skipped by whoever does not know its type. A page of zeros costs nothing, a window
 * of 64 MiB of them 36 bytes. Plain data is encoded as in src/channel/encoding.ts, each section by itself.
 *
 * CRC is CRC-32 as in zlib (ISO-HDLC), since the host has it at 4 GB/s; it finds every error of a single byte. It is no
 * protection from somebody who wants to deceive: lengths are bounded, contents are the loader's to check.
 *
 * Not there: compression, encryption, differences from an earlier file.
 */
import { crc32 } from 'node:zlib';

/** Begins like PNG's: a transfer that changes line ends or strips the eighth bit shows at once. */
const MAGIC = Uint8Array.from([0x89, 0x42, 0x48, 0x56, 0x4d, 0x0d, 0x0a, 0x1a]);
export const FORMAT_VERSION = 1;
export const PRELUDE_BYTES = 16;
export const SECTION_HEADER_BYTES = 24;
export const TRAILER_PAYLOAD_BYTES = 16;
/** The last section, with its header. */
export const TRAILER_BYTES = SECTION_HEADER_BYTES + TRAILER_PAYLOAD_BYTES;

export const PAGE_BYTES = 4096;
/** What one section has of guest RAM. */
const RAM_PAGES_MAX = 256;
export const RAM_HEAD_BYTES = 12;
export const RAM_RUN_BYTES = 8;
/** Every page could be a run of its own. */
export const RAM_PAYLOAD_MAX_BYTES = RAM_HEAD_BYTES + RAM_PAGES_MAX * (RAM_RUN_BYTES + PAGE_BYTES);
/** What one section covers: so much is looked at before others get their turn. */
const WINDOW_PAGES_MAX = 16384;
/** Of plain data in one section. */
export const DATA_MAX_BYTES = 64 * 2 ** 20;

export const SECTION = { machine: 'mach', actor: 'actr', ram: 'ram ', end: 'end ' } as const;
export const FLAG_OPTIONAL = 1;

export interface SectionHeader {
  /** Four characters of ASCII. */
  readonly type: string;
  readonly flags: number;
  readonly lengthBytes: number;
  readonly payloadCrc: number;
}

export interface Trailer {
  /** Sections before it. */
  readonly sections: number;
  /** Length of the whole file. */
  readonly lengthBytes: number;
  readonly seal: number;
}

/** Pages that follow each other, none of them all zeros. */
export interface PageRun {
  readonly firstPage: number;
  readonly pages: number;
}

/** A stretch of guest RAM and what of it is not zero: at most 256 pages. */
export interface RamWindow {
  readonly firstPage: number;
  readonly pages: number;
  readonly runs: readonly PageRun[];
}

/** The seal so far, with one more. @param header a prelude or a section's header, with its CRC at its end */
export function sealWith(header: Uint8Array, seal: number): number {
  return crc32(header.subarray(0, -4), seal);
}

/** The prelude of a file of this version. */
export function preludeBytes(): Uint8Array {
  const bytes = new Uint8Array(PRELUDE_BYTES);
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
  return bytes;
}

/** Whether these bytes, the first of a file, may be a snapshot's. A few are enough. */
export function startsLikeSnapshot(bytes: Uint8Array): boolean {
  return bytes.length > 0 && bytes.every((byte, i) => i >= MAGIC.length || byte === MAGIC[i]);
}

/** @returns the format version, or null when the prelude is damaged */
export function readPrelude(bytes: Uint8Array): number | null {
  const view = viewOf(bytes);
  return view.getUint32(12, true) === crc32(bytes.subarray(0, 12)) ? view.getUint32(8, true) : null;
}

export function writeSectionHeader(out: Uint8Array, header: SectionHeader): void {
  const view = viewOf(out);
  for (let i = 0; i < 4; i++) out[i] = header.type.charCodeAt(i);
  view.setUint32(4, header.flags, true);
  setUint64(view, 8, header.lengthBytes);
  view.setUint32(16, header.payloadCrc, true);
  view.setUint32(20, crc32(out.subarray(0, 20)), true);
}

/** @returns null when it is damaged */
export function readSectionHeader(bytes: Uint8Array): SectionHeader | null {
  const view = viewOf(bytes);
  if (view.getUint32(20, true) !== crc32(bytes.subarray(0, 20))) return null;
  return {
    type: String.fromCharCode(...bytes.subarray(0, 4)),
    flags: view.getUint32(4, true),
    lengthBytes: getUint64(view, 8),
    payloadCrc: view.getUint32(16, true),
  };
}

export function trailerPayload(trailer: Trailer): Uint8Array {
  const bytes = new Uint8Array(TRAILER_PAYLOAD_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, trailer.sections, true);
  setUint64(view, 4, trailer.lengthBytes);
  view.setUint32(12, trailer.seal, true);
  return bytes;
}

export function readTrailer(payload: Uint8Array): Trailer {
  const view = viewOf(payload);
  return {
    sections: view.getUint32(0, true),
    lengthBytes: getUint64(view, 4),
    seal: view.getUint32(12, true),
  };
}

/** The next window of `pagesTotal` pages of RAM. @param isZero asked once for each page, in order */
export function nextWindow(firstPage: number, pagesTotal: number, isZero: (page: number) => boolean): RamWindow {
  const limit = Math.min(pagesTotal, firstPage + WINDOW_PAGES_MAX);
  const runs: PageRun[] = [];
  let full = 0;
  let runStart = -1;
  let page = firstPage;
  for (; page < limit && full < RAM_PAGES_MAX; page++) {
    if (isZero(page)) {
      if (runStart >= 0) runs.push({ firstPage: runStart, pages: page - runStart });
      runStart = -1;
    } else {
      if (runStart < 0) runStart = page;
      full++;
    }
  }
  if (runStart >= 0) runs.push({ firstPage: runStart, pages: page - runStart });
  return { firstPage, pages: page - firstPage, runs };
}

/** Writes a window's head and the pages that it names. @returns length in bytes */
export function writeWindow(out: Uint8Array, window: RamWindow, ram: Uint8Array): number {
  const view = viewOf(out);
  view.setUint32(0, window.firstPage, true);
  view.setUint32(4, window.pages, true);
  view.setUint32(8, window.runs.length, true);
  let at = RAM_HEAD_BYTES;
  for (const { firstPage, pages } of window.runs) {
    view.setUint32(at, firstPage, true);
    view.setUint32(at + 4, pages, true);
    at += RAM_RUN_BYTES;
  }
  for (const { firstPage, pages } of window.runs) {
    out.set(ram.subarray(firstPage * PAGE_BYTES, (firstPage + pages) * PAGE_BYTES), at);
    at += pages * PAGE_BYTES;
  }
  return at;
}

/**
 * @param payload of a section of RAM, at most RAM_PAYLOAD_MAX_BYTES
 * @returns null where the numbers are not those of a window: runs out of order or outside, bytes too few or too many
 */
export function readWindow(payload: Uint8Array): RamWindow | null {
  if (payload.length < RAM_HEAD_BYTES) return null;
  const view = viewOf(payload);
  const firstPage = view.getUint32(0, true);
  const pages = view.getUint32(4, true);
  const count = view.getUint32(8, true);
  const dataAt = RAM_HEAD_BYTES + count * RAM_RUN_BYTES;
  if (dataAt > payload.length) return null;
  const runs: PageRun[] = [];
  let next = firstPage;
  let full = 0;
  for (let at = RAM_HEAD_BYTES; at < dataAt; at += RAM_RUN_BYTES) {
    const run = { firstPage: view.getUint32(at, true), pages: view.getUint32(at + 4, true) };
    if (run.firstPage < next || run.pages === 0) return null;
    next = run.firstPage + run.pages;
    full += run.pages;
    runs.push(run);
  }
  const isWhole = pages > 0 && next <= firstPage + pages && payload.length === dataAt + full * PAGE_BYTES;
  return isWhole ? { firstPage, pages, runs } : null;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** Beyond 2^53 not exact, which no length is. */
function getUint64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}
