/**
 * Opens a Debian package (deb(5), format 2.0) without Debian's tools: an ar archive whose member `data.tar*` holds
 * the files. Not modelled: the control member, ar's long names (a package has none).
 */
import { type FileHandle, open } from 'node:fs/promises';
import { type ByteStream, decompress } from './decompress.ts';
import { type TarEntry, type TarHeader, tarEntries } from './tar.ts';

const magic = '!<arch>\n';
const headerBytes = 60;
/** Field -> [start, end] in the member header, in bytes. */
const nameField = [0, 16] as const;
const sizeField = [48, 58] as const;
const headerEnd = '`\n';
const dataMember = /^data\.tar(\.xz|\.gz|\.zst)?$/;
const chunkBytes = 1 << 18;

/**
 * The files of a package that `wanted` says yes to.
 * @param path the package's file
 * @param onBytes told how many bytes of the package were read, for a progress display
 * @throws Error in the iteration when the package is damaged or ends too early
 */
export async function* debEntries(
  path: string,
  wanted: (header: TarHeader) => boolean,
  onBytes: (bytes: number) => void = () => undefined,
): AsyncGenerator<TarEntry> {
  const file = await open(path, 'r');
  try {
    const { name, start, end } = await findData(file);
    yield* tarEntries(decompress(name, section(file, start, end, onBytes)), wanted);
  } finally {
    await file.close();
  }
}

async function findData(file: FileHandle): Promise<{ name: string; start: number; end: number }> {
  const { size: fileBytes } = await file.stat();
  if ((await readText(file, 0, magic.length)) !== magic) throw new Error('not a Debian package');
  let offset = magic.length;
  while (offset + headerBytes <= fileBytes) {
    const header = await readText(file, offset, headerBytes);
    const name = header
      .slice(...nameField)
      .trim()
      .replace(/\/$/, '');
    const sizeText = header.slice(...sizeField).trim();
    if (!header.endsWith(headerEnd) || !/^\d+$/.test(sizeText)) throw new Error('a damaged package: bad member header');
    const start = offset + headerBytes;
    const end = start + Number(sizeText);
    if (end > fileBytes) throw new Error('a damaged package: it ends too early');
    if (dataMember.test(name)) return { name, start, end };
    offset = end + (end & 1);
  }
  throw new Error('a damaged package: no member data.tar (.xz, .gz or .zst)');
}

async function readText(file: FileHandle, offset: number, lengthBytes: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(lengthBytes), 0, lengthBytes, offset);
  return buffer.toString('latin1', 0, bytesRead);
}

async function* section(file: FileHandle, start: number, end: number, onBytes: (bytes: number) => void): ByteStream {
  let offset = start;
  while (offset < end) {
    const length = Math.min(chunkBytes, end - offset);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    if (bytesRead === 0) throw new Error('a damaged package: it ends too early');
    offset += bytesRead;
    onBytes(bytesRead);
    yield buffer.subarray(0, bytesRead);
  }
}
