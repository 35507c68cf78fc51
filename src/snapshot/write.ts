/**
 * Writes a frozen machine, front to back, to wherever a sink puts it (the format: format.ts). The machine stands
 * meanwhile: nobody changes guest RAM or a state handed in before the promise settles.
 *
 * Guest RAM goes through a buffer of 1 MiB; the caller's event loop turns between two of them.
 */
import { crc32 } from 'node:zlib';
import { Encoder } from '../channel/encoder.ts';
import { assert } from '../util/errors.ts';
import { SnapshotError } from './error.ts';
import {
  DATA_MAX_BYTES,
  nextWindow,
  PAGE_BYTES,
  preludeBytes,
  RAM_PAYLOAD_MAX_BYTES,
  SECTION,
  SECTION_HEADER_BYTES,
  sealWith,
  TRAILER_BYTES,
  trailerPayload,
  writeSectionHeader,
  writeWindow,
} from './format.ts';
import { isZeroPage } from './zero-page.ts';

export interface SnapshotSink {
  /** Appends all of the bytes, which are the caller's again when the promise settles. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface SnapshotActor {
  /** Unique in the machine: `uart0`. */
  readonly name: string;
  /** The definition's name: `uart16550`. */
  readonly kind: string;
  /** Of the state's layout, as the definition counts. */
  readonly version: number;
  /** Plain data: what an Encoder takes, at most 64 MiB encoded. */
  readonly state: unknown;
}

export interface SnapshotContents {
  /** What the machine is made of: board, options; plain data that its maker understands. */
  readonly machine: Readonly<Record<string, unknown>>;
  readonly actors: readonly SnapshotActor[];
  /** Guest RAM, whole pages of 4 KiB. */
  readonly ram: Uint8Array;
}

/** @param doneBytes of guest RAM, zeros included; @param totalBytes all of it */
export type SnapshotProgress = (doneBytes: number, totalBytes: number) => void;

const FIRST_ROOM_BYTES = 65536;

/** @throws SnapshotError for a state that cannot be written down; whatever the sink throws */
export async function writeSnapshot(
  sink: SnapshotSink,
  { machine, actors, ram }: SnapshotContents,
  onProgress?: SnapshotProgress,
): Promise<void> {
  assert(ram.length % PAGE_BYTES === 0, 'guest RAM is whole pages');
  const names = actors.map(({ name }) => name);
  assert(new Set(names).size === names.length, `each actor has a name of its own: ${names.join(', ')}`);
  const out = new SectionWriter(sink);
  await out.start();
  await out.write(SECTION.machine, encodePlain({ ramBytes: ram.length, machine }, 'the machine'));
  for (const { name, kind, version, state } of actors) {
    await out.write(SECTION.actor, encodePlain({ name, kind, version, state }, `the actor ${name}`));
  }
  const room = new Uint8Array(SECTION_HEADER_BYTES + RAM_PAYLOAD_MAX_BYTES);
  const pagesTotal = ram.length / PAGE_BYTES;
  for (let page = 0; page < pagesTotal; ) {
    const window = nextWindow(page, pagesTotal, (one) => isZeroPage(ram, one));
    const lengthBytes = writeWindow(room.subarray(SECTION_HEADER_BYTES), window, ram);
    await out.write(SECTION.ram, room.subarray(0, SECTION_HEADER_BYTES + lengthBytes));
    page += window.pages;
    onProgress?.(page * PAGE_BYTES, ram.length);
  }
  await out.end();
}

/** The sections of a file, and what its trailer says about them. */
class SectionWriter {
  readonly #sink: SnapshotSink;
  #sections = 0;
  #lengthBytes = 0;
  #seal = 0;

  constructor(sink: SnapshotSink) {
    this.#sink = sink;
  }

  async start(): Promise<void> {
    const prelude = preludeBytes();
    this.#seal = sealWith(prelude, 0);
    await this.#append(prelude);
  }

  /** @param section the payload, behind room for the header */
  async write(type: string, section: Uint8Array): Promise<void> {
    const payload = section.subarray(SECTION_HEADER_BYTES);
    writeSectionHeader(section, { type, flags: 0, lengthBytes: payload.length, payloadCrc: crc32(payload) });
    this.#seal = sealWith(section.subarray(0, SECTION_HEADER_BYTES), this.#seal);
    this.#sections++;
    await this.#append(section);
  }

  async end(): Promise<void> {
    const trailer = new Uint8Array(TRAILER_BYTES);
    trailer.set(
      trailerPayload({
        sections: this.#sections,
        lengthBytes: this.#lengthBytes + TRAILER_BYTES,
        seal: this.#seal,
      }),
      SECTION_HEADER_BYTES,
    );
    await this.write(SECTION.end, trailer);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    this.#lengthBytes += bytes.length;
    await this.#sink.write(bytes);
  }
}

/** @returns the encoded data behind room for a section's header; @throws SnapshotError */
function encodePlain(data: unknown, where: string): Uint8Array {
  for (let roomBytes = FIRST_ROOM_BYTES; ; roomBytes *= 2) {
    const out = new Uint8Array(SECTION_HEADER_BYTES + Math.min(roomBytes, DATA_MAX_BYTES));
    const lengthBytes = tryEncode(data, out, where);
    if (lengthBytes >= 0) return out.subarray(0, SECTION_HEADER_BYTES + lengthBytes);
    if (roomBytes >= DATA_MAX_BYTES) {
      const problem = `its state is longer than the ${DATA_MAX_BYTES / 2 ** 20} MiB that a snapshot takes`;
      throw new SnapshotError('too-large', where, problem, 'Keep bulk data in guest RAM or in a file of its own.');
    }
  }
}

function tryEncode(data: unknown, out: Uint8Array, where: string): number {
  try {
    // A new one each time: a section can be read without those before it.
    return new Encoder(false).encode(data, out, SECTION_HEADER_BYTES, out.length);
  } catch (error) {
    const problem = `its state cannot be written down: ${error instanceof Error ? error.message : String(error)}`;
    throw new SnapshotError('not-plain', where, problem, 'Save plain data only: see DeviceCore.save().');
  }
}
