/**
 * Builds the default guest from its two Debian packages: takes kernel, modules and busybox out of them and makes the
 * initramfs. The same packages give the same bytes.
 */
import { stat } from 'node:fs/promises';
import { debEntries } from './deb.ts';
import { decompressBytes } from './decompress.ts';
import { buildInitramfs, guestModules } from './initramfs.ts';
import { closeOverDependencies, parseModulePath } from './kernel-modules.ts';
import type { Progress } from './progress.ts';

/** What a machine needs to start. */
export interface GuestImages {
  /** The kernel: a RISC-V boot image (`Image`, arch/riscv/boot-image-header), not compressed. */
  readonly kernel: Uint8Array;
  /** A cpio archive, not compressed. */
  readonly initrd: Uint8Array;
}

/** The packages' files. */
export interface GuestPackages {
  readonly kernelDeb: string;
  readonly busyboxDeb: string;
}

const kernelPath = /^boot\/vmlinu[xz]-(.+)$/;
const modulesBuiltinPath = /^usr\/lib\/modules\/[^/]+\/modules\.builtin$/;
const busyboxPath = /^(usr\/)?bin\/busybox$/;
/** Offset and value of the second magic number in the boot image's header, in bytes: `RSC\x05`. */
const imageMagic = { offset: 56, value: 0x05435352 } as const;

/** Who watches and may stop the build. */
export interface BuildContext {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** @throws Error when a package is damaged or lacks what is needed, or the build is stopped */
export async function buildGuest(packages: GuestPackages, context: BuildContext): Promise<GuestImages> {
  const kernel = await readKernelPackage(packages.kernelDeb, context);
  context.progress.phase('Building the initramfs');
  const busybox = await readBusybox(packages.busyboxDeb);
  const modules = await closeOverDependencies(guestModules, async (name) => {
    const found = kernel.modules.get(name);
    return found && { path: found.path, body: await decompressBytes(found.fileName, found.body) };
  });
  const { release, modulesBuiltin } = kernel;
  return { kernel: kernel.image, initrd: buildInitramfs({ busybox, release, modules, modulesBuiltin }) };
}

interface PackedModule {
  readonly path: string;
  /** With the ending of its compression. */
  readonly fileName: string;
  readonly body: Uint8Array;
}

interface KernelPackage {
  readonly release: string;
  readonly image: Uint8Array;
  readonly modules: ReadonlyMap<string, PackedModule>;
  readonly modulesBuiltin: Uint8Array;
}

/** Keeps every module, packed: which of them are needed shows only when they are all there. */
async function readKernelPackage(path: string, { progress, signal }: BuildContext): Promise<KernelPackage> {
  progress.phase('Unpacking the kernel and its modules', (await stat(path)).size);
  let release = '';
  let image: Uint8Array | undefined;
  let modulesBuiltin: Uint8Array = new Uint8Array(0);
  const modules = new Map<string, PackedModule>();
  const wanted = (name: string): boolean =>
    kernelPath.test(name) || modulesBuiltinPath.test(name) || parseModulePath(name) !== undefined;
  const entries = debEntries(
    path,
    (header) => header.kind === 'file' && wanted(header.path),
    (bytes) => {
      signal.throwIfAborted();
      progress.add(bytes);
    },
  );
  for await (const { path: name, body } of entries) {
    const module = parseModulePath(name);
    const kernelRelease = kernelPath.exec(name)?.[1];
    if (module !== undefined) modules.set(module.name, { path: module.path, fileName: name, body });
    else if (kernelRelease === undefined) modulesBuiltin = body;
    else [release, image] = [kernelRelease, await unpackImage(body)];
  }
  if (image === undefined) throw new Error(`${path}: the kernel package has no /boot/vmlinux-* or /boot/vmlinuz-*`);
  return { release, image, modules, modulesBuiltin };
}

async function readBusybox(path: string): Promise<Uint8Array> {
  for await (const entry of debEntries(path, (header) => header.kind === 'file' && busyboxPath.test(header.path))) {
    return entry.body;
  }
  throw new Error(`${path}: the package has no /usr/bin/busybox`);
}

/** Debian ships the plain image; a package of older or other make may hold it gzipped. */
async function unpackImage(body: Uint8Array): Promise<Uint8Array> {
  const image = body[0] === 0x1f && body[1] === 0x8b ? await decompressBytes('.gz', body) : body;
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 64 || view.getUint32(imageMagic.offset, true) !== imageMagic.value) {
    throw new Error('the kernel in the package is no RISC-V boot image');
  }
  return image;
}
