/**
 * Writes a cpio archive in the `newc` format, the one the kernel unpacks as initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst). The same entries give the same bytes: no times, no
 * owners, inode numbers counted from 1.
 */

/** File types in a mode word (inode(7)). */
const typeBits = { file: 0o100000, directory: 0o040000, symlink: 0o120000, character: 0o020000 } as const;
const magic = '070701';
const trailer = 'TRAILER!!!';
const alignmentBytes = 4;
const archiveAlignmentBytes = 512;

export type CpioEntry =
  | { readonly path: string; readonly kind: 'directory'; readonly mode: number }
  | { readonly path: string; readonly kind: 'file'; readonly mode: number; readonly body: Uint8Array }
  | { readonly path: string; readonly kind: 'symlink'; readonly target: string }
  | {
      readonly path: string;
      readonly kind: 'character';
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

/** The archive of these entries in this order; a directory must come before what is in it. */
export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let lengthBytes = 0;
  const append = (bytes: Uint8Array, alignment: number): void => {
    const padding = -(lengthBytes + bytes.length) & (alignment - 1);
    pieces.push(bytes, new Uint8Array(padding));
    lengthBytes += bytes.length + padding;
  };
  for (const [index, entry] of entries.entries()) {
    const body = bodyOf(entry);
    append(header(entry.path, index + 1, modeOf(entry), body.length, deviceOf(entry)), alignmentBytes);
    append(body, alignmentBytes);
  }
  append(header(trailer, 0, 0, 0, [0, 0]), archiveAlignmentBytes);
  return new Uint8Array(Buffer.concat(pieces));
}

function bodyOf(entry: CpioEntry): Uint8Array {
  if (entry.kind === 'file') return entry.body;
  return entry.kind === 'symlink' ? Buffer.from(entry.target) : new Uint8Array(0);
}

function modeOf(entry: CpioEntry): number {
  return typeBits[entry.kind] | (entry.kind === 'symlink' ? 0o777 : entry.mode);
}

function deviceOf(entry: CpioEntry): readonly [number, number] {
  return entry.kind === 'character' ? [entry.major, entry.minor] : [0, 0];
}

function header(
  path: string,
  inode: number,
  mode: number,
  bodyBytes: number,
  [major, minor]: readonly [number, number],
): Uint8Array {
  const name = Buffer.from(`${path}\0`);
  const links = 1;
  // inode, mode, uid, gid, links, mtime, length, device major and minor, rdev major and minor, name length, check
  const numbers = [inode, mode, 0, 0, links, 0, bodyBytes, 0, 0, major, minor, name.length, 0];
  const words = numbers.map((value) => value.toString(16).toUpperCase().padStart(8, '0'));
  return Buffer.concat([Buffer.from(magic + words.join('')), name]);
}
