/**
 * Reads a frozen machine (the format: format.ts), which may be cut off, damaged or made to deceive: every length is
 * checked before anything of that length is allocated, every section before anything in it is believed. Who reads has
 * either all of it or a SnapshotError, and then guest RAM is as it was: all zeros.
 *
 * What the machine and the states hold is plain data, no more: whoever loads them checks it.
 */
import { crc32 } from 'node:zlib';
import { Decoder } from '../channel/decoder.ts';
import { SnapshotError, type SnapshotFault } from './error.ts';
import {
  DATA_MAX_BYTES,
  FLAG_OPTIONAL,
  FORMAT_VERSION,
  PAGE_BYTES,
  PRELUDE_BYTES,
  RAM_HEAD_BYTES,
  RAM_PAYLOAD_MAX_BYTES,
  RAM_RUN_BYTES,
  readPrelude,
  readSectionHeader,
  readTrailer,
  readWindow,
  SECTION,
  SECTION_HEADER_BYTES,
  type SectionHeader,
  sealWith,
  startsLikeSnapshot,
  TRAILER_BYTES,
  TRAILER_PAYLOAD_BYTES,
  type Trailer,
} from './format.ts';
import type { SnapshotActor, SnapshotProgress } from './write.ts';
import { isZeroPage } from './zero-page.ts';

export interface SnapshotSource {
  /** The file's path, or whatever the user calls it. */
  readonly name: string;
  readonly lengthBytes: number;
  /** Fills `into` with what begins at `offsetBytes`; never asked for more than there is. */
  read(offsetBytes: number, into: Uint8Array): Promise<void>;
}

/** What a machine must be made of before the rest can be read into it. */
export interface SnapshotHeader {
  readonly formatVersion: number;
  readonly ramBytes: number;
  readonly machine: Readonly<Record<string, unknown>>;
}

export interface Snapshot extends SnapshotHeader {
  /** In the order in which they were written, each name once. */
  readonly actors: readonly SnapshotActor[];
}

const REMEDY_DAMAGED = 'Copy it again from where it was made, or use another snapshot.';

/** Only what a machine must be made of; says nothing about the rest but that its end is there. @throws SnapshotError */
export async function readSnapshotHeader(source: SnapshotSource): Promise<SnapshotHeader> {
  const sections = new SectionReader(source);
  await sections.open();
  return machineOf(await sections.next(), sections);
}

/**
 * Reads and checks all of it.
 * @param into guest RAM, all zeros and as large as the header says: filled. Without it everything is checked just so
 * @throws SnapshotError, with guest RAM all zeros again; whatever the source throws
 */
export async function readSnapshot(
  source: SnapshotSource,
  into: { readonly ram?: Uint8Array },
  onProgress?: SnapshotProgress,
): Promise<Snapshot> {
  const sections = new SectionReader(source);
  await sections.open();
  const header = machineOf(await sections.next(), sections);
  const { ramBytes } = header;
  const ram = into.ram ?? null;
  if (ram !== null && ram.length !== ramBytes) {
    const problem = `it was made with ${ramBytes / 2 ** 20} MiB of RAM, this machine has ${ram.length / 2 ** 20} MiB`;
    throw new SnapshotError('ram-size', source.name, problem, `Use -m ${ramBytes / 2 ** 20}M.`);
  }
  const actors = new Map<string, SnapshotActor>();
  const loader = new RamLoader(ram, ramBytes);
  try {
    for (let one = await sections.next(); one.header.type !== SECTION.end; one = await sections.next()) {
      if (one.header.type === SECTION.ram) {
        if (!loader.load(one.payload)) throw sections.damaged('its RAM does not fit together');
        onProgress?.(loader.doneBytes, ramBytes);
      } else {
        const actor = actorOf(one, sections);
        if (actors.has(actor.name)) throw sections.damaged(`it has the actor ${actor.name} twice`);
        actors.set(actor.name, actor);
      }
    }
    if (loader.doneBytes !== ramBytes) throw sections.damaged('a part of its RAM is missing');
  } catch (error) {
    loader.undo();
    throw error;
  }
  return { ...header, actors: [...actors.values()] };
}

interface Section {
  readonly header: SectionHeader;
  /** Checked; valid until the next is asked for. */
  readonly payload: Uint8Array;
}

/** One section after the other, checked, those apart that may be skipped. */
class SectionReader {
  readonly #source: SnapshotSource;
  readonly #head = new Uint8Array(SECTION_HEADER_BYTES);
  #room: Uint8Array = new Uint8Array(0);
  #at = PRELUDE_BYTES;
  #sectionAt = 0;
  #sections = 0;
  #seal = 0;
  #trailer: Trailer = { sections: 0, lengthBytes: 0, seal: 0 };

  constructor(source: SnapshotSource) {
    this.#source = source;
  }

  /** Looks at both ends. */
  async open(): Promise<void> {
    const { lengthBytes, name } = this.#source;
    const prelude = await this.#read(0, new Uint8Array(Math.min(PRELUDE_BYTES, lengthBytes)));
    if (!startsLikeSnapshot(prelude)) {
      throw new SnapshotError('not-a-snapshot', name, 'it is not a snapshot of a machine', 'Check the path.');
    }
    if (lengthBytes < PRELUDE_BYTES + TRAILER_BYTES) throw this.#incomplete();
    const version = readPrelude(prelude);
    if (version === null) throw this.damaged('its first bytes are not what was written');
    if (version !== FORMAT_VERSION) {
      const problem = `its format has version ${version}; this program knows version ${FORMAT_VERSION}`;
      throw new SnapshotError('format-version', name, problem, 'Use the version of the program that made it.');
    }
    this.#seal = sealWith(prelude, 0);
    const last = await this.#read(lengthBytes - TRAILER_BYTES, new Uint8Array(TRAILER_BYTES));
    const header = readSectionHeader(last.subarray(0, SECTION_HEADER_BYTES));
    const payload = last.subarray(SECTION_HEADER_BYTES);
    const isTrailer = header?.type === SECTION.end && header.lengthBytes === TRAILER_PAYLOAD_BYTES;
    if (!isTrailer || header.flags !== 0 || header.payloadCrc !== crc32(payload)) throw this.#incomplete();
    this.#trailer = readTrailer(payload);
    if (this.#trailer.lengthBytes !== lengthBytes) throw this.#incomplete();
  }

  /** The next section that is known; the last is of type `end `. */
  async next(): Promise<Section> {
    for (;;) {
      this.#sectionAt = this.#at;
      if (this.#at === this.#source.lengthBytes - TRAILER_BYTES) return this.#end();
      const header = await this.#header();
      const payloadAt = this.#at + SECTION_HEADER_BYTES;
      this.#at = payloadAt + header.lengthBytes;
      const maxBytes = lengthLimitOf(header.type);
      if (maxBytes === null) {
        if ((header.flags & FLAG_OPTIONAL) !== 0) continue;
        throw this.#unknown(header.type);
      }
      if (header.lengthBytes > maxBytes) throw this.damaged(`a section of ${header.lengthBytes} bytes is too long`);
      if (this.#room.length < header.lengthBytes) this.#room = new Uint8Array(header.lengthBytes);
      const payload = await this.#read(payloadAt, this.#room.subarray(0, header.lengthBytes));
      if (crc32(payload) !== header.payloadCrc) throw this.damaged('a section is not what was written');
      return { header, payload };
    }
  }

  damaged(problem: string, remedy = REMEDY_DAMAGED): SnapshotError {
    return this.#error('damaged', `it is damaged: ${problem} (byte ${this.#sectionAt})`, remedy);
  }

  async #header(): Promise<SectionHeader> {
    const restBytes = this.#source.lengthBytes - TRAILER_BYTES - this.#at - SECTION_HEADER_BYTES;
    if (restBytes < 0) throw this.damaged('a section begins where the last should');
    const header = readSectionHeader(await this.#read(this.#at, this.#head));
    if (header === null) throw this.damaged("a section's header is not what was written");
    if (header.lengthBytes > restBytes) throw this.damaged(`a section of ${header.lengthBytes} bytes is cut off`);
    this.#seal = sealWith(this.#head, this.#seal);
    this.#sections++;
    return header;
  }

  #end(): Section {
    if (this.#sections !== this.#trailer.sections) throw this.damaged('it has sections too few or too many');
    if (this.#seal !== this.#trailer.seal) throw this.damaged('its sections do not belong together');
    const header = { type: SECTION.end, flags: 0, lengthBytes: 0, payloadCrc: 0 };
    return { header, payload: new Uint8Array(0) };
  }

  #unknown(type: string): SnapshotError {
    const shown = type.replace(/[^ -~]/g, '?');
    const problem = `it has a part '${shown}' that this program does not know`;
    return this.#error('unknown-section', problem, 'Use the version of the program that made it.');
  }

  #incomplete(): SnapshotError {
    const problem = 'its end is missing or damaged: it was cut off, or is still being written';
    return this.#error('incomplete', problem, REMEDY_DAMAGED);
  }

  #error(fault: SnapshotFault, problem: string, remedy: string): SnapshotError {
    return new SnapshotError(fault, this.#source.name, problem, remedy);
  }

  async #read(offsetBytes: number, into: Uint8Array): Promise<Uint8Array> {
    await this.#source.read(offsetBytes, into);
    return into;
  }
}

/** @returns null for a type that is not known */
function lengthLimitOf(type: string): number | null {
  if (type === SECTION.machine || type === SECTION.actor) return DATA_MAX_BYTES;
  return type === SECTION.ram ? RAM_PAYLOAD_MAX_BYTES : null;
}

/** Puts windows into guest RAM, one behind the other. */
class RamLoader {
  readonly #ram: Uint8Array | null;
  readonly #pagesTotal: number;
  #nextPage = 0;

  constructor(ram: Uint8Array | null, ramBytes: number) {
    this.#ram = ram;
    this.#pagesTotal = ramBytes / PAGE_BYTES;
  }

  get doneBytes(): number {
    return this.#nextPage * PAGE_BYTES;
  }

  /** @returns false, with nothing changed, where it is not the window that comes next */
  load(payload: Uint8Array): boolean {
    const window = readWindow(payload);
    if (window === null || window.firstPage !== this.#nextPage) return false;
    if (window.firstPage + window.pages > this.#pagesTotal) return false;
    let at = RAM_HEAD_BYTES + window.runs.length * RAM_RUN_BYTES;
    for (const { firstPage, pages } of window.runs) {
      this.#ram?.set(payload.subarray(at, at + pages * PAGE_BYTES), firstPage * PAGE_BYTES);
      at += pages * PAGE_BYTES;
    }
    this.#nextPage += window.pages;
    return true;
  }

  /** Zeros again, without touching what was never touched. */
  undo(): void {
    for (let page = 0; this.#ram !== null && page < this.#nextPage; page++) {
      if (!isZeroPage(this.#ram, page)) this.#ram.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    }
  }
}

function machineOf({ header, payload }: Section, sections: SectionReader): SnapshotHeader {
  if (header.type !== SECTION.machine) throw sections.damaged('it does not begin with the machine');
  const { ramBytes, machine } = decodeRecord(payload, sections);
  const isSize = typeof ramBytes === 'number' && Number.isSafeInteger(ramBytes) && ramBytes >= 0;
  if (!isSize || ramBytes % PAGE_BYTES !== 0 || !isRecord(machine)) throw sections.damaged('its machine is none');
  return { formatVersion: FORMAT_VERSION, ramBytes, machine };
}

function actorOf({ header, payload }: Section, sections: SectionReader): SnapshotActor {
  if (header.type !== SECTION.actor) throw sections.damaged('it has more than one machine');
  const { name, kind, version, state } = decodeRecord(payload, sections);
  if (typeof name !== 'string' || typeof kind !== 'string' || typeof version !== 'number') {
    throw sections.damaged('one of its actors is none');
  }
  return { name, kind, version, state };
}

function decodeRecord(payload: Uint8Array, sections: SectionReader): Record<string, unknown> {
  let data: unknown;
  try {
    data = new Decoder(false).decode(payload, 0, payload.length);
  } catch (error) {
    throw sections.damaged(error instanceof Error ? error.message : String(error));
  }
  if (!isRecord(data)) throw sections.damaged('data is missing');
  return data;
}

function isRecord(data: unknown): data is Record<string, unknown> {
  return typeof data === 'object' && data !== null && !Array.isArray(data) && !ArrayBuffer.isView(data);
}
