/** Reads the files that the options name; what they hold is checked where it is used, in src/boot. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type ImageSource, rereadable } from '../boot/image-source.ts';
import type { DefaultGuest } from '../guest/default-guest.ts';
import { ConfigError } from '../util/config-error.ts';
import type { Options } from './options.ts';

export interface Images {
  /** undefined for a saved machine that is not to survive a reset. */
  readonly kernel: ImageSource | undefined;
  readonly initrd: ImageSource | undefined;
  readonly append: string | undefined;
  readonly bios: 'default' | 'none' | Uint8Array;
  readonly dtb: Uint8Array | undefined;
  /** A recording. */
  readonly replay: string | undefined;
}

/**
 * @param defaultGuest asked only when the options name no kernel; then they apply to what it gives
 * @throws ConfigError for a file that cannot be read or is empty
 */
export async function loadImages(options: Options, defaultGuest: () => Promise<DefaultGuest>): Promise<Images> {
  const optional = (name: string, path: string | undefined): Promise<Uint8Array> | undefined =>
    path === undefined ? undefined : readImage(name, path);
  // The user's own files first: a mistake shows before a download.
  const files = {
    kernel: await rereadableFile('-kernel', options.kernel),
    initrd: await rereadableFile('-initrd', options.initrd),
    bios: await readBios(options.bios),
    dtb: await optional('-dtb', options.dtb),
    append: options.append,
    replay: await readText('--replay', options.replay),
  };
  if (files.kernel !== undefined) return { ...files, kernel: files.kernel };
  if (options.restore !== undefined) return files;
  const guest = await defaultGuest();
  return {
    ...files,
    kernel: rereadable(guest.kernel, () => readFileSync(guest.files.kernel)),
    initrd: files.initrd ?? rereadable(guest.initrd, () => readFileSync(guest.files.initrd)),
    append: files.append ?? guest.append,
  };
}

/** The file's bytes for the first start; a reset reads it again, so that they need not be kept. */
async function rereadableFile(option: string, path: string | undefined): Promise<ImageSource | undefined> {
  return path === undefined ? undefined : rereadable(await readImage(option, path), () => readFileSync(path));
}

async function readBios(bios: string): Promise<Images['bios']> {
  return bios === 'default' || bios === 'none' ? bios : readImage('-bios', bios);
}

async function readText(option: string, path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : Buffer.from(await readImage(option, path)).toString('utf8');
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory',
  EACCES: 'no permission to read it',
};

async function readImage(option: string, path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    const reason = reasons[error.code ?? ''] ?? error.message;
    throw new ConfigError(option, `cannot read '${path}': ${reason}`, `Check the path after ${option}.`);
  });
  if (bytes.length === 0) throw new ConfigError(option, `'${path}' is empty`, `Check the file after ${option}.`);
  return bytes;
}
