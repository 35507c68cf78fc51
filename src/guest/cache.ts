/**
 * Keeps built guests on disk: a directory each, with a manifest of lengths, times and SHA-256 sums. An entry appears by one
 * rename, so nobody ever sees half of one. Layout: <cache home>/bottomhalf/<entry>/{manifest.json, Image, initrd.cpio}.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { ConfigError } from '../util/config-error.ts';
import type { GuestImages } from './build.ts';

const manifestName = 'manifest.json';
const manifestVersion = 1;
const workPrefix = 'work-';
/** Part of an image -> its file. */
const fileNames: Readonly<Record<keyof GuestImages, string>> = { kernel: 'Image', initrd: 'initrd.cpio' };

interface ManifestFile {
  readonly lengthBytes: number;
  readonly sha256: string;
  /** When it was written. A file of this time is what was written: to sum up 45 MB at each start takes 50 ms. */
  readonly mtimeMs?: number;
}

interface Manifest {
  readonly version: number;
  readonly files: Readonly<Record<string, ManifestFile>>;
}

/** The directory of the cache (XDG Base Directory Specification: a relative XDG_CACHE_HOME does not count). */
export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  const home = env.XDG_CACHE_HOME ?? '';
  return join(isAbsolute(home) ? home : join(env.HOME ?? homedir(), '.cache'), 'bottomhalf');
}

/** Where the images of an entry lie. */
export function entryFiles(cache: string, entry: string): Readonly<Record<keyof GuestImages, string>> {
  const path = (part: keyof GuestImages): string => join(cache, entry, fileNames[part]);
  return { kernel: path('kernel'), initrd: path('initrd') };
}

/** A guest from the cache; undefined when there is none, 'damaged' when its files are not what its manifest says. */
export async function readEntry(cache: string, entry: string): Promise<GuestImages | 'damaged' | undefined> {
  const directory = join(cache, entry);
  const text = await readFile(join(directory, manifestName), 'utf8').catch(() => undefined);
  if (text === undefined) return (await readdir(directory).catch(() => undefined)) && 'damaged';
  const manifest = parseManifest(text);
  const read = async (part: keyof GuestImages): Promise<Uint8Array | undefined> => {
    const path = join(directory, fileNames[part]);
    const wanted = manifest?.files[fileNames[part]];
    const body = await readFile(path).catch(() => undefined);
    if (body === undefined || body.length !== wanted?.lengthBytes) return undefined;
    // Behind the reading: what was changed meanwhile has another time.
    const info = await stat(path).catch(() => undefined);
    const isAsWritten = info !== undefined && info.mtimeMs === wanted.mtimeMs;
    return isAsWritten || sha256(body) === wanted.sha256 ? body : undefined;
  };
  const [kernel, initrd] = await Promise.all([read('kernel'), read('initrd')]);
  return kernel === undefined || initrd === undefined ? 'damaged' : { kernel, initrd };
}

/** Puts a guest into the cache; when another process has been faster, its entry stays. */
export async function writeEntry(cache: string, entry: string, images: GuestImages, work: string): Promise<void> {
  const fresh = join(work, 'entry');
  await mkdir(fresh);
  const files: Record<string, ManifestFile> = {};
  for (const part of ['kernel', 'initrd'] as const) {
    const body = images[part];
    const path = join(fresh, fileNames[part]);
    await writeFile(path, body);
    const { mtimeMs } = await stat(path);
    files[fileNames[part]] = { lengthBytes: body.length, sha256: sha256(body), mtimeMs };
  }
  const manifest: Manifest = { version: manifestVersion, files };
  await writeFile(join(fresh, manifestName), `${JSON.stringify(manifest, undefined, 2)}\n`);
  await rename(fresh, join(cache, entry)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
}

export async function removeEntry(cache: string, entry: string): Promise<void> {
  await rm(join(cache, entry), { recursive: true, force: true });
}

/**
 * Gives a directory inside the cache to work in, and removes it afterwards, come what may. What a killed process left
 * behind is removed first.
 * @throws ConfigError when the cache cannot be written
 */
export async function withWorkDirectory<T>(cache: string, use: (directory: string) => Promise<T>): Promise<T> {
  let directory: string;
  try {
    await mkdir(cache, { recursive: true });
    await removeLeftovers(cache);
    directory = await mkdtemp(join(cache, `${workPrefix}${process.pid}-`));
  } catch (error) {
    throw new ConfigError(
      'XDG_CACHE_HOME',
      `cannot write to the cache ${cache}: ${error instanceof Error ? error.message : String(error)}`,
      'Make it writable, or set XDG_CACHE_HOME to another directory.',
    );
  }
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const pid = Number(/^work-(\d+)-/.exec(name)?.[1] ?? Number.NaN);
    if (pid > 0 && !isRunning(pid)) await rm(join(cache, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function parseManifest(text: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(text) as Partial<Manifest> | null;
    return manifest?.version === manifestVersion && manifest.files ? (manifest as Manifest) : undefined;
  } catch {
    return undefined;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
