/**
 * From files to memory contents and a first program counter: what goes where, and whether it all fits.
 * Source: QEMU's hw/riscv/boot.c and virt.c, whose rules of placement these are; Linux
 * Documentation/arch/riscv/boot.rst for what S mode finds in its registers.
 */
import { type ChosenPatch, withChosen } from '../fdt/chosen.ts';
import type { FdtTree } from '../fdt/tree.ts';
import { writeFdt } from '../fdt/write.ts';
import { ConfigError } from '../util/config-error.ts';
import { isElf, readElf } from './elf.ts';
import { isLinuxImage, KERNEL_ALIGN_BYTES, readLinuxImage, refuseForeign } from './linux-image.ts';
import { FW_DYNAMIC_OFFSET, resetVector } from './reset-vector.ts';
import { alignDown, alignUp, type BootSegment, extentOf, type LoadedImage, segmentEnd } from './segment.ts';

export interface BootConfig {
  readonly ram: { readonly base: number; readonly lengthBytes: number };
  /** Where the reset vector will lie. */
  readonly romGpa: number;
  /** `builtin`: the SBI of src/sbi serves a kernel in S mode. `none`: the kernel runs in M mode. Bytes: firmware in M mode. */
  readonly bios: 'builtin' | 'none' | Uint8Array;
  /** ELF, Linux Image or raw; decompressed. */
  readonly kernel?: Uint8Array | undefined;
  readonly initrd?: Uint8Array | undefined;
  readonly append?: string | undefined;
  readonly deviceTree: FdtTree;
  /** For /chosen/rng-seed: from the machine's own generator. */
  readonly rngSeed?: Uint8Array | undefined;
}

export interface BootPlan {
  /** Into RAM, disjoint; all other RAM is zero. */
  readonly segments: readonly BootSegment[];
  /** Into the boot ROM at romGpa; empty for the built-in SBI. */
  readonly rom: Uint8Array;
  /**
   * Where and how each hart begins, as the reset vector leaves it: a0 is the hart's number, a1 the device tree, a2
   * fw_dynamic information. The ROM holds that code for a guest that looks; nobody has to execute it.
   */
  readonly start: { readonly mode: 'M' | 'S'; readonly pcGpa: number; readonly a1: number; readonly a2: number };
  readonly dtbGpa: number;
  readonly initrd?: { readonly start: number; readonly end: number };
  readonly tohostGpa?: number;
  readonly fromhostGpa?: number;
}

/** Kernels leave at most this much between themselves and the initrd. */
const INITRD_GAP_MAX_BYTES = 128 * 2 ** 20;
/** The device tree stays below it, for kernels that map only low memory early. */
const DTB_LIMIT_GPA = 3 * 2 ** 30;
const DTB_ALIGN_BYTES = 2 * 2 ** 20;
const PAGE_BYTES = 4096;

/** @throws ConfigError that names the option, for anything missing, damaged, too large or in the way */
export function planBoot(config: BootConfig): BootPlan {
  const { ram, bios } = config;
  const firmware = bios instanceof Uint8Array ? readImage(bios, ram.base, '-bios') : null;
  const kernel = readKernel(config, firmware);
  const chosen: ChosenPatch = {
    bootargs: config.append,
    rngSeed: config.rngSeed,
    initrd: config.initrd === undefined ? undefined : { start: 0, end: 0 },
  };
  // The tree's length does not depend on the addresses in it, so that its place can be known before they are.
  const dtbGpa = placeDtb(ram, writeFdt(withChosen(config.deviceTree, chosen)).length);
  const taken = [...named('-bios', firmware), ...named('-kernel', kernel)];
  const initrd = config.initrd === undefined ? undefined : placeInitrd(config.initrd, ram, kernel, taken, dtbGpa);
  const dtb = writeFdt(withChosen(config.deviceTree, { ...chosen, initrd }));
  const pieces: Piece[] = [...taken, { path: '-dtb', segment: whole(dtbGpa, dtb) }];
  if (initrd !== undefined) pieces.push({ path: '-initrd', segment: whole(initrd.start, config.initrd as Uint8Array) });
  checkPieces(pieces, ram);
  const mailboxes = firmware ?? kernel;
  return {
    segments: pieces.map((piece) => piece.segment),
    ...entryOf(config, firmware, kernel, dtbGpa),
    dtbGpa,
    ...(initrd === undefined ? {} : { initrd }),
    ...(mailboxes?.tohostGpa === undefined ? {} : { tohostGpa: mailboxes.tohostGpa }),
    ...(mailboxes?.fromhostGpa === undefined ? {} : { fromhostGpa: mailboxes.fromhostGpa }),
  };
}

/**
 * @param loadGpa where to put what does not say itself where it belongs
 * @throws ConfigError
 */
export function readImage(bytes: Uint8Array, loadGpa: number, path: string): LoadedImage {
  if (bytes.length === 0) throw new ConfigError(path, 'the file is empty', 'Fetch or build it again.');
  if (isElf(bytes)) return readElf(bytes, path);
  if (isLinuxImage(bytes)) return readLinuxImage(bytes, loadGpa, path);
  refuseForeign(bytes, path);
  return { kind: 'raw', segments: [whole(loadGpa, bytes)], entryGpa: loadGpa };
}

/** Behind the firmware, or 2 MiB into RAM where the built-in SBI takes its place, or at the start without either. */
function readKernel({ ram, bios, kernel }: BootConfig, firmware: LoadedImage | null): LoadedImage | null {
  if (kernel === undefined) {
    if (firmware !== null) return null;
    throw new ConfigError(
      '-kernel',
      `-bios ${bios === 'none' ? 'none' : 'default'} has nothing to run`,
      'Give a kernel.',
    );
  }
  const firmwareEnd = firmware === null ? ram.base + (bios === 'none' ? 0 : 1) : extentOf(firmware).end;
  return readImage(kernel, alignUp(firmwareEnd, KERNEL_ALIGN_BYTES), '-kernel');
}

function entryOf(config: BootConfig, firmware: LoadedImage | null, kernel: LoadedImage | null, dtbGpa: number) {
  if (config.bios === 'builtin') {
    const start = { mode: 'S', pcGpa: kernel?.entryGpa ?? 0, a1: dtbGpa, a2: 0 } as const;
    return { rom: new Uint8Array(0), start };
  }
  const startGpa = (firmware ?? kernel)?.entryGpa ?? 0;
  const nextGpa = kernel?.entryGpa ?? 0;
  const rom = resetVector({ startGpa, dtbGpa, nextGpa });
  const a2 = config.romGpa + FW_DYNAMIC_OFFSET;
  return { rom, start: { mode: 'M', pcGpa: startGpa, a1: dtbGpa, a2 } as const };
}

function placeDtb(ram: BootConfig['ram'], lengthBytes: number): number {
  const limit = Math.min(ram.base + ram.lengthBytes, Math.max(DTB_LIMIT_GPA, ram.base));
  return alignDown(limit - lengthBytes, DTB_ALIGN_BYTES);
}

/**
 * Halfway up RAM, but at most 128 MiB above the kernel (it decompresses and initialises upwards), and below the device
 * tree; where that is too tight, straight behind the kernel.
 */
function placeInitrd(
  bytes: Uint8Array,
  ram: BootConfig['ram'],
  kernel: LoadedImage | null,
  taken: readonly Piece[],
  dtbGpa: number,
): { start: number; end: number } {
  if (bytes.length === 0) throw new ConfigError('-initrd', 'the file is empty', 'Fetch or build it again.');
  if (kernel === null) throw new ConfigError('-initrd', 'there is no kernel to use it', 'Give one with -kernel.');
  const lowest = alignUp(Math.max(...taken.map((piece) => segmentEnd(piece.segment))), PAGE_BYTES);
  const usual = extentOf(kernel).start + Math.min(ram.lengthBytes / 2, INITRD_GAP_MAX_BYTES);
  const fits = (start: number) => start + bytes.length <= dtbGpa;
  const start = [alignUp(Math.max(usual, lowest), PAGE_BYTES), lowest].find(fits);
  if (start === undefined) {
    throw new ConfigError(
      '-initrd',
      `${bytes.length} bytes do not fit between the kernel and the device tree`,
      'Give the machine more memory with -m, or a smaller initrd.',
    );
  }
  return { start, end: start + bytes.length };
}

/** A segment and the option it came from. */
interface Piece {
  readonly path: string;
  readonly segment: BootSegment;
}

function named(path: string, image: LoadedImage | null): Piece[] {
  return image === null ? [] : image.segments.map((segment) => ({ path, segment }));
}

function whole(gpa: number, bytes: Uint8Array): BootSegment {
  return { gpa, bytes, lengthBytes: bytes.length };
}

/** Everything lies in RAM, nothing on anything else. */
function checkPieces(pieces: readonly Piece[], ram: BootConfig['ram']): void {
  const sorted = [...pieces].sort((a, b) => a.segment.gpa - b.segment.gpa);
  let previous: Piece | undefined;
  for (const piece of sorted) {
    const { path, segment } = piece;
    if (segment.gpa < ram.base || segmentEnd(segment) > ram.base + ram.lengthBytes) {
      throw new ConfigError(
        path,
        `${range(segment)} lies outside RAM (${range({ gpa: ram.base, lengthBytes: ram.lengthBytes })})`,
        'Give the machine more memory with -m, or a file linked for its RAM.',
      );
    }
    if (previous !== undefined && segment.gpa < segmentEnd(previous.segment)) {
      throw new ConfigError(
        path,
        `${range(segment)} overlaps what ${previous.path} puts at ${range(previous.segment)}`,
        'Give the machine more memory with -m, or files linked for different addresses.',
      );
    }
    previous = piece;
  }
}

function range({ gpa, lengthBytes }: { gpa: number; lengthBytes: number }): string {
  return `0x${gpa.toString(16)}-0x${(gpa + lengthBytes).toString(16)}`;
}
