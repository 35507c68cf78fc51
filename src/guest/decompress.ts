/**
 * Streams of compressed bytes to streams of plain bytes: the compressions that a Debian package may use.
 * Not modelled: xz's check sums other than CRC32 (packages are checked by SHA-256 before they are opened).
 */
import { pipeline, Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { createGunzip } from 'node:zlib';
import { Decompress as ZstdDecompress } from 'fzstd';
// A CommonJS module whose names Node cannot see: everything hangs off the default import.
import xz from 'xz-decompress';

/** Bytes as they come, in pieces of any length. */
export type ByteStream = AsyncIterable<Uint8Array>;

type Decompressor = (source: ByteStream) => ByteStream;

/** How a name ends -> how to unpack it: what dpkg-deb writes and what kernel modules come in. */
const decompressors: Readonly<Record<string, Decompressor>> = {
  '.xz': unxz,
  '.gz': gunzip,
  '.zst': unzstd,
};

/** The ending of a compressed file's name, or '' when the name is none of a compressed file. */
export function compressionOf(name: string): string {
  return Object.keys(decompressors).find((ending) => name.endsWith(ending)) ?? '';
}

/**
 * Unpacks a stream by the ending of its name; a name without a known ending passes unchanged.
 * @throws Error in the iteration when the data are damaged or end too early
 */
export function decompress(name: string, source: ByteStream): ByteStream {
  return decompressors[compressionOf(name)]?.(source) ?? source;
}

/** Unpacks bytes held in memory. */
export async function decompressBytes(name: string, bytes: Uint8Array): Promise<Uint8Array> {
  if (compressionOf(name) === '') return bytes;
  return collect(decompress(name, Readable.from([bytes])));
}

/** All bytes of a stream in one array. */
export async function collect(source: ByteStream): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

/** The decoder has one context for all streams: open a second one only after the first is read to its end or left. */
async function* unxz(source: ByteStream): ByteStream {
  let ended = false;
  const input = async function* (): ByteStream {
    for await (const piece of source) if (piece.length > 0) yield piece;
    ended = true;
  };
  const compressed = ReadableStream.from(input()) as globalThis.ReadableStream<Uint8Array>;
  const reader = new xz.XzReadableStream(compressed).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } catch (error) {
    throw new Error(ended ? 'the xz data end too early' : 'the xz data are damaged', { cause: error });
  } finally {
    // Frees the decoder when it is left early; fails, harmlessly, when the decoder has freed itself already.
    await reader.cancel().catch(() => undefined);
  }
}

async function* gunzip(source: ByteStream): ByteStream {
  const gunzipped = createGunzip();
  // The error, if any, comes out of the iteration below.
  pipeline(source, gunzipped, () => undefined);
  yield* gunzipped as ByteStream;
}

async function* unzstd(source: ByteStream): ByteStream {
  let ready: Uint8Array[] = [];
  let finished = false;
  const decoder = new ZstdDecompress((piece, final) => {
    if (piece.length > 0) ready.push(piece);
    finished ||= final === true;
  });
  for await (const piece of source) {
    decoder.push(piece);
    yield* ready;
    ready = [];
  }
  decoder.push(new Uint8Array(0), true);
  yield* ready;
  if (!finished) throw new Error('the zstd data end too early');
}
