/**
 * Reads a tar archive from a stream: POSIX ustar, pax extended headers (path, linkpath, size) and GNU long names.
 * Not modelled: sparse files, multi-volume archives, ownership and times. Nothing is ever written under a name from
 * the archive, so names are not checked for leading `..`.
 */
import type { ByteStream } from './decompress.ts';

const blockBytes = 512;
/** A name or a pax header longer than this is damage, not a name. */
const maxExtendedHeaderBytes = 1 << 20;
/** A file of a package longer than this is damage. */
const maxBodyBytes = 1 << 30;

/** Field -> [offset, length] in the header block, both in bytes (POSIX.1-2017, pax, "ustar Interchange Format"). */
const fields = {
  name: [0, 100],
  mode: [100, 8],
  size: [124, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 6],
  prefix: [345, 155],
} as const;

export type TarEntryKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'other';

const kinds: Readonly<Record<string, TarEntryKind>> = {
  '0': 'file',
  '\0': 'file',
  '': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
};

export interface TarHeader {
  /** Without a leading `./` or `/`, and without a trailing `/`. */
  readonly path: string;
  readonly kind: TarEntryKind;
  /** The permission bits. */
  readonly mode: number;
  readonly lengthBytes: number;
  /** Target of a link, '' otherwise. */
  readonly linkPath: string;
}

export interface TarEntry extends TarHeader {
  readonly body: Uint8Array;
}

/**
 * The entries that `wanted` says yes to, with their bodies; the others are skipped.
 * @throws Error in the iteration when the archive is damaged or ends too early
 */
export async function* tarEntries(
  source: ByteStream,
  wanted: (header: TarHeader) => boolean,
): AsyncGenerator<TarEntry> {
  const reader = new BlockReader(source);
  try {
    let extended: Partial<Record<'path' | 'linkPath' | 'size', string>> = {};
    for (;;) {
      const block = await reader.take(blockBytes);
      if (block === undefined || block.every((byte) => byte === 0)) return;
      checkSum(block);
      const type = text(block, fields.type);
      const lengthBytes = extended.size === undefined ? number(block, fields.size) : Number(extended.size);
      if (!(lengthBytes >= 0 && lengthBytes <= maxBodyBytes)) throw new Error('a tar header with an impossible length');
      if (type === 'L' || type === 'K' || type === 'x' || type === 'g') {
        const body = await longHeader(reader, lengthBytes);
        if (type === 'L') extended.path = untilNul(body);
        else if (type === 'K') extended.linkPath = untilNul(body);
        else if (type === 'x') extended = { ...extended, ...paxRecords(body) };
        continue;
      }
      const header = headerOf(block, type, extended, lengthBytes);
      extended = {};
      if (wanted(header)) yield { ...header, body: await reader.need(lengthBytes) };
      else await reader.skip(lengthBytes);
      await reader.skip(paddingOf(lengthBytes));
    }
  } finally {
    await reader.close();
  }
}

function headerOf(
  block: Uint8Array,
  type: string,
  extended: { path?: string; linkPath?: string },
  lengthBytes: number,
): TarHeader {
  const prefix = text(block, fields.magic) === 'ustar' ? text(block, fields.prefix) : '';
  const name = text(block, fields.name);
  const path = extended.path ?? (prefix === '' ? name : `${prefix}/${name}`);
  return {
    path: path.replace(/^(\.?\/)+/, '').replace(/\/+$/, ''),
    kind: kinds[type] ?? 'other',
    mode: number(block, fields.mode) & 0o7777,
    lengthBytes,
    linkPath: extended.linkPath ?? text(block, fields.linkName),
  };
}

async function longHeader(reader: BlockReader, lengthBytes: number): Promise<Uint8Array> {
  if (lengthBytes > maxExtendedHeaderBytes) throw new Error('a tar extended header that is too long');
  const body = await reader.need(lengthBytes);
  await reader.skip(paddingOf(lengthBytes));
  return body;
}

/** `<length> <key>=<value>\n`, repeated; the length counts the whole record. */
function paxRecords(body: Uint8Array): Partial<Record<'path' | 'linkPath' | 'size', string>> {
  const records: Partial<Record<'path' | 'linkPath' | 'size', string>> = {};
  const bytes = Buffer.from(body);
  let offset = 0;
  while (offset < bytes.length && bytes[offset] !== 0) {
    const space = bytes.indexOf(0x20, offset);
    const recordBytes = Number(bytes.toString('latin1', offset, Math.max(space, offset)));
    if (space < 0 || !(recordBytes > space - offset) || offset + recordBytes > bytes.length) {
      throw new Error('a damaged pax header in a tar archive');
    }
    const [key = '', ...value] = bytes.toString('utf8', space + 1, offset + recordBytes - 1).split('=');
    if (key === 'path') records.path = value.join('=');
    if (key === 'linkpath') records.linkPath = value.join('=');
    if (key === 'size') records.size = value.join('=');
    offset += recordBytes;
  }
  return records;
}

function checkSum(block: Uint8Array): void {
  const [start, length] = fields.checksum;
  let sum = 0;
  // The sum is taken with its own field as blanks.
  for (const [at, byte] of block.entries()) sum += at >= start && at < start + length ? 0x20 : byte;
  if (sum !== number(block, fields.checksum)) throw new Error('a damaged tar header');
}

/** Octal, or GNU's base 256 where the first bit is set. */
function number(block: Uint8Array, [start, length]: readonly [number, number]): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = first & 0x7f;
    for (const byte of block.subarray(start + 1, start + length)) value = value * 256 + byte;
    return value;
  }
  const digits = text(block, [start, length]).trim();
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function text(block: Uint8Array, [start, length]: readonly [number, number]): string {
  return untilNul(block.subarray(start, start + length));
}

function untilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('utf8');
}

function paddingOf(lengthBytes: number): number {
  return -lengthBytes & (blockBytes - 1);
}

/** Cuts a stream of pieces of any length into the lengths asked for. */
class BlockReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);

  constructor(source: ByteStream) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** @returns a copy of the next bytes, undefined at the end of the stream */
  async take(lengthBytes: number): Promise<Uint8Array | undefined> {
    const out = new Uint8Array(lengthBytes);
    let filled = 0;
    while (filled < lengthBytes) {
      if (!(await this.#fill())) {
        if (filled > 0) throw new Error('the tar archive ends too early');
        return undefined;
      }
      const part = this.#piece.subarray(0, lengthBytes - filled);
      out.set(part, filled);
      filled += part.length;
      this.#piece = this.#piece.subarray(part.length);
    }
    return out;
  }

  async need(lengthBytes: number): Promise<Uint8Array> {
    const bytes = await this.take(lengthBytes);
    if (bytes === undefined) throw new Error('the tar archive ends too early');
    return bytes;
  }

  async skip(lengthBytes: number): Promise<void> {
    let left = lengthBytes;
    while (left > 0) {
      if (!(await this.#fill())) throw new Error('the tar archive ends too early');
      const part = Math.min(left, this.#piece.length);
      this.#piece = this.#piece.subarray(part);
      left -= part;
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #fill(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return false;
      this.#piece = next.value;
    }
    return true;
  }
}
