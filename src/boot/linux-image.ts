/**
 * Linux `Image` files for RISC-V, with or without the EFI stub's PE header, and a diagnosis of what is none.
 * Source: Linux Documentation/arch/riscv/boot-image-header.rst; Microsoft PE format, "COFF file header" and
 * "Section table".
 *
 * Not modelled: decompression (the caller's edge does it), zboot images, U-Boot's uImage and FIT: each is refused with
 * its remedy.
 */
import { ConfigError } from '../util/config-error.ts';
import { alignUp, type LoadedImage } from './segment.ts';

/** Byte offsets in the 64-byte header. */
const HEADER = { imageSize: 16, flags: 24, magic: 48, magic2: 56, peOffset: 60 } as const;
const HEADER_BYTES = 64;
/** "RISCV", then zeros; deprecated but still written. */
const MAGIC = 'RISCV\0\0\0';
const MAGIC2 = 'RSC\x05';
const FLAG_BIG_ENDIAN = 1n;
/** A kernel wants to lie on a multiple of this. */
export const KERNEL_ALIGN_BYTES = 2 * 1024 * 1024;

const PE_SIGNATURE = 'PE\0\0';
const PE_MACHINE_RISCV64 = 0x5064;
const PE = { machine: 4, sections: 6, optionalBytes: 20, headerBytes: 24 } as const;
const PE_SECTION = { rawBytes: 16, rawOffset: 20, headerBytes: 40 } as const;

/** Files that look like a kernel and cannot be run: what, where, and what to do. */
const FOREIGN: readonly { at: number; magic: string; problem: string; remedy: string }[] = [
  { at: 0, magic: '\x1f\x8b', problem: 'compressed with gzip', remedy: 'Decompress it: gunzip.' },
  { at: 0, magic: '\xfd7zXZ\0', problem: 'compressed with xz', remedy: 'Decompress it: unxz.' },
  { at: 0, magic: '\x28\xb5\x2f\xfd', problem: 'compressed with zstd', remedy: 'Decompress it: unzstd.' },
  { at: 0, magic: '\x27\x05\x19\x56', problem: 'a U-Boot uImage', remedy: 'Give the Image it was made from.' },
  {
    at: 0,
    magic: '\xd0\x0d\xfe\xed',
    problem: 'a device tree or FIT image',
    remedy: 'Give it to -dtb, or the Image in it.',
  },
  { at: 4, magic: 'zimg', problem: 'a compressed EFI image (zboot)', remedy: 'Give the Image it was made from.' },
  { at: 56, magic: 'ARM\x64', problem: 'a kernel for arm64', remedy: 'Give one for riscv64.' },
  { at: 514, magic: 'HdrS', problem: 'a kernel for x86', remedy: 'Give one for riscv64.' },
  { at: 0, magic: '!<arch>', problem: 'an archive or Debian package', remedy: 'Unpack it and give the kernel in it.' },
];

export function isLinuxImage(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && (hasText(bytes, HEADER.magic2, MAGIC2) || hasText(bytes, HEADER.magic, MAGIC));
}

/**
 * @param loadGpa where it would go; moved up to the next multiple of KERNEL_ALIGN_BYTES
 * @throws ConfigError for an image that is truncated or not for little-endian riscv64
 */
export function readLinuxImage(bytes: Uint8Array, loadGpa: number, path: string): LoadedImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if ((view.getBigUint64(HEADER.flags, true) & FLAG_BIG_ENDIAN) !== 0n) {
    throw new ConfigError(path, 'the kernel is big-endian', 'Give one for riscv64, little-endian.');
  }
  checkPe(bytes, path);
  const imageSize = view.getBigUint64(HEADER.imageSize, true);
  if (imageSize > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ConfigError(path, 'the kernel header is damaged', 'Fetch or build it again.');
  }
  const gpa = alignUp(loadGpa, KERNEL_ALIGN_BYTES);
  const lengthBytes = Math.max(Number(imageSize), bytes.length);
  return { kind: 'linux', segments: [{ gpa, bytes, lengthBytes }], entryGpa: gpa };
}

/** @throws ConfigError when the bytes are something known that this machine cannot run */
export function refuseForeign(bytes: Uint8Array, path: string): void {
  const found = FOREIGN.find(({ at, magic }) => hasText(bytes, at, magic));
  if (found !== undefined) throw new ConfigError(path, `the file is ${found.problem}`, found.remedy);
  checkPe(bytes, path);
}

/** Where there is a PE header, its machine must be ours and its sections must be there. */
function checkPe(bytes: Uint8Array, path: string): void {
  if (!hasText(bytes, 0, 'MZ') || bytes.length < HEADER_BYTES) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pe = view.getUint32(HEADER.peOffset, true);
  const truncated = () => new ConfigError(path, 'the kernel is truncated', 'Fetch or build it again.');
  if (pe + PE.headerBytes > bytes.length) throw truncated();
  if (!hasText(bytes, pe, PE_SIGNATURE)) return;
  const machine = view.getUint16(pe + PE.machine, true);
  if (machine !== PE_MACHINE_RISCV64) {
    const problem = `the EFI image is for machine 0x${machine.toString(16)}, not riscv64`;
    throw new ConfigError(path, problem, 'Give one for riscv64.');
  }
  const sections = view.getUint16(pe + PE.sections, true);
  const first = pe + PE.headerBytes + view.getUint16(pe + PE.optionalBytes, true);
  if (first + sections * PE_SECTION.headerBytes > bytes.length) throw truncated();
  for (let index = 0; index < sections; index++) {
    const at = first + index * PE_SECTION.headerBytes;
    const end = view.getUint32(at + PE_SECTION.rawOffset, true) + view.getUint32(at + PE_SECTION.rawBytes, true);
    if (end > bytes.length) throw truncated();
  }
}

/** Compares bytes with characters below 256. */
function hasText(bytes: Uint8Array, at: number, text: string): boolean {
  if (at + text.length > bytes.length) return false;
  return [...text].every((character, index) => bytes[at + index] === character.charCodeAt(0));
}
