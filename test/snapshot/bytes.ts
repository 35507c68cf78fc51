/** Snapshots in memory: a sink that keeps what it is given, a source over bytes, files put together by hand. */
import { crc32 } from 'node:zlib';
import { Encoder } from '../../src/channel/encoder.ts';
import {
  preludeBytes,
  SECTION,
  SECTION_HEADER_BYTES,
  sealWith,
  TRAILER_BYTES,
  trailerPayload,
  writeSectionHeader,
} from '../../src/snapshot/format.ts';
import type { SnapshotSource } from '../../src/snapshot/read.ts';
import { type SnapshotContents, writeSnapshot } from '../../src/snapshot/write.ts';

export function sourceOf(bytes: Uint8Array): SnapshotSource {
  return {
    name: 'test.snap',
    lengthBytes: bytes.length,
    read: async (offsetBytes, into) => {
      if (offsetBytes + into.length > bytes.length) throw new Error('asked for more than there is');
      into.set(bytes.subarray(offsetBytes, offsetBytes + into.length));
    },
  };
}

export async function bytesOf(contents: SnapshotContents): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  await writeSnapshot({ write: async (bytes) => void parts.push(bytes.slice()) }, contents);
  return new Uint8Array(Buffer.concat(parts));
}

export interface RawSection {
  readonly type: string;
  readonly payload: Uint8Array;
  readonly flags?: number;
  /** Said instead of the payload's own. */
  readonly lengthBytes?: number;
}

/** A file of these sections, with every sum right. */
export function fileOf(...sections: readonly RawSection[]): Uint8Array {
  const prelude = preludeBytes();
  const parts = [prelude];
  let seal = sealWith(prelude, 0);
  for (const { type, payload, flags = 0, lengthBytes = payload.length } of sections) {
    const header = new Uint8Array(SECTION_HEADER_BYTES);
    writeSectionHeader(header, { type, flags, lengthBytes, payloadCrc: crc32(payload) });
    seal = sealWith(header, seal);
    parts.push(header, payload);
  }
  const before = parts.reduce((sum, part) => sum + part.length, 0);
  const payload = trailerPayload({ sections: sections.length, lengthBytes: before + TRAILER_BYTES, seal });
  const trailer = new Uint8Array(TRAILER_BYTES);
  writeSectionHeader(trailer, {
    type: SECTION.end,
    flags: 0,
    lengthBytes: payload.length,
    payloadCrc: crc32(payload),
  });
  trailer.set(payload, SECTION_HEADER_BYTES);
  return new Uint8Array(Buffer.concat([...parts, trailer]));
}

export function plain(data: unknown): Uint8Array {
  const out = new Uint8Array(4096);
  return out.slice(0, new Encoder(false).encode(data, out, 0, out.length));
}

export function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
