/**
 * Fetches the guest's packages from a Debian mirror over HTTP(S) on hosts without apt: Release -> SHA-256 of the index
 * -> SHA-256 of each package (https://wiki.debian.org/DebianRepository/Format).
 * Not modelled: signatures. The user who names the mirror vouches for it; https protects the way.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { ConfigError } from '../util/config-error.ts';
import type { GuestPackages } from './build.ts';
import { findPackage, parseControl, type Stanza } from './control.ts';
import { type ByteStream, collect, decompress } from './decompress.ts';
import {
  architecture,
  busyboxPackage,
  type FetchContext,
  kernelMetaPackage,
  kernelPackageOf,
  mirrorVariable,
  suite,
  suiteNames,
} from './packages.ts';

/** Bounds on what a mirror may make us keep in memory. */
const maxReleaseBytes = 16 << 20;
const maxIndexBytes = 512 << 20;
/** The index in the order of preference. */
const indexNames = ['xz', 'gz'].map((ending) => `main/binary-${architecture}/Packages.${ending}`);

interface RemoteFile {
  readonly url: string;
  readonly sha256: string;
  readonly lengthBytes: number;
}

/**
 * @param mirror the archive's root: the directory that holds `dists` and `pool`
 * @throws ConfigError when the mirror cannot be reached, lacks a file, or a file is not what its index says
 */
export async function fetchFromMirror(context: FetchContext, mirror: string): Promise<GuestPackages> {
  const root = rootOf(mirror);
  try {
    context.progress.phase(`Reading the package index of ${root}`);
    const index = await readIndex(root, context);
    const required = (name: string): Stanza => {
      const stanza = findPackage(index, name);
      if (stanza === undefined) throw new Error(`the index has no package ${name}`);
      return stanza;
    };
    const kernel = packageFile(root, required(kernelPackageOf(required(kernelMetaPackage))));
    const busybox = packageFile(root, required(busyboxPackage));
    context.progress.phase('Downloading the Debian kernel and busybox', kernel.lengthBytes + busybox.lengthBytes);
    return {
      kernelDeb: await download(kernel, join(context.directory, 'kernel.deb'), context),
      busyboxDeb: await download(busybox, join(context.directory, 'busybox.deb'), context),
    };
  } catch (error) {
    context.signal.throwIfAborted();
    const problem = `${root}: ${error instanceof Error ? error.message : String(error)}`;
    throw new ConfigError(mirrorVariable, problem, 'Try again, or name another Debian mirror.');
  }
}

function rootOf(mirror: string): string {
  if (!/^https?:$/.test(URL.canParse(mirror) ? new URL(mirror).protocol : '')) {
    throw new ConfigError(
      mirrorVariable,
      `'${mirror}' is no http or https address`,
      'Give the root of a Debian archive: the directory that holds dists and pool.',
    );
  }
  return mirror.replace(/\/+$/, '');
}

/** Under the first of the release's names that the mirror has whole (private-apt.ts says when one is not). */
async function readIndex(root: string, context: FetchContext): Promise<string> {
  let failure: unknown;
  for (const name of suiteNames) {
    try {
      return await readIndexOf(`${root}/dists/${name}`, context);
    } catch (error) {
      context.signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}

async function readIndexOf(dists: string, context: FetchContext): Promise<string> {
  const release = await get(`${dists}/InRelease`, context).catch(() => get(`${dists}/Release`, context));
  const text = Buffer.from(await collect(bounded(release, maxReleaseBytes))).toString('utf8');
  const stanza = parseControl(text)[0];
  const codeName = stanza?.get('codename');
  if (codeName !== undefined && codeName !== suite) throw new Error(`${dists} is Debian ${codeName}, not ${suite}`);
  const sums = (stanza?.get('sha256') ?? '').split('\n').map((line) => line.trim().split(/\s+/));
  for (const name of indexNames) {
    const [sha256, length] = sums.find((fields) => fields[2] === name) ?? [];
    if (sha256 === undefined) continue;
    const file = { url: `${dists}/${name}`, sha256, lengthBytes: Number(length) };
    const packed = await collect(checked(file, await get(file.url, context)));
    const plain = bounded(decompress(name, Readable.from([packed])), maxIndexBytes);
    return Buffer.from(await collect(plain)).toString('utf8');
  }
  throw new Error(`its Release file for ${suite} names no ${indexNames.join(' or ')} with a SHA-256`);
}

function packageFile(root: string, stanza: Stanza): RemoteFile {
  const [path, sha256, size] = [stanza.get('filename'), stanza.get('sha256'), stanza.get('size')];
  if (path === undefined || sha256 === undefined || size === undefined) {
    throw new Error(`the index lacks file, length or SHA-256 of ${stanza.get('package')}`);
  }
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  return { url: `${root}/${escaped}`, sha256, lengthBytes: Number(size) };
}

async function download(file: RemoteFile, path: string, context: FetchContext): Promise<string> {
  const output = await open(path, 'w');
  try {
    for await (const piece of checked(file, await get(file.url, context))) {
      await output.writeFile(piece);
      context.progress.add(piece.length);
    }
  } finally {
    await output.close();
  }
  return path;
}

async function get(url: string, { signal }: FetchContext): Promise<ByteStream> {
  const response = await fetch(url, { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Error(`cannot reach ${url}: ${reason}`);
  });
  if (!response.ok || response.body === null) throw new Error(`${url}: HTTP status ${response.status}`);
  return response.body as unknown as ByteStream;
}

/** Passes the bytes on and fails at the end, or as soon as there are too many, when they are not the file's. */
async function* checked(file: RemoteFile, source: ByteStream): ByteStream {
  const hash = createHash('sha256');
  let lengthBytes = 0;
  for await (const piece of bounded(source, file.lengthBytes)) {
    hash.update(piece);
    lengthBytes += piece.length;
    yield piece;
  }
  if (lengthBytes !== file.lengthBytes) {
    throw new Error(`damaged download: ${file.url} has ${lengthBytes} of ${file.lengthBytes} bytes`);
  }
  const digest = hash.digest('hex');
  if (digest !== file.sha256)
    throw new Error(`damaged download: ${file.url} has SHA-256 ${digest}, not ${file.sha256}`);
}

async function* bounded(source: ByteStream, maxBytes: number): ByteStream {
  let lengthBytes = 0;
  for await (const piece of source) {
    lengthBytes += piece.length;
    if (!(lengthBytes <= maxBytes)) throw new Error(`damaged download: more than ${maxBytes} bytes`);
    yield piece;
  }
}
