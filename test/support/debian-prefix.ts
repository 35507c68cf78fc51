/**
 * Gets programs that the host does not have, or not new enough, for tests: Debian packages and all they depend on, down
 * to the C library, through apt with private state directories, unpacked into a prefix of their own. No root, nothing
 * of the host's apt is touched; apt verifies the signatures. Kept in the user's cache: the second time costs nothing.
 *
 * Not modelled: maintainer scripts (the packages are only unpacked), hosts without apt and Debian's archive keyring.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hostMirror } from '../../src/guest/apt-sources.ts';
import { cacheDirectory, withWorkDirectory } from '../../src/guest/cache.ts';
import { suite, suiteNames } from '../../src/guest/packages.ts';
import { findKeyring, preparePrivateApt, updatePrivateApt } from '../../src/guest/private-apt.ts';

const execute = promisify(execFile);

/** The dynamic loader and the libraries' directory of each architecture, below the prefix. */
const ARCHITECTURES: Readonly<Record<string, { readonly loader: string; readonly libraries: string }>> = {
  amd64: { loader: 'usr/lib64/ld-linux-x86-64.so.2', libraries: 'usr/lib/x86_64-linux-gnu' },
  arm64: { loader: 'usr/lib/ld-linux-aarch64.so.1', libraries: 'usr/lib/aarch64-linux-gnu' },
};

export interface DebianPrefix {
  /** The directory that stands for `/`. */
  readonly root: string;
  /** Of the libraries, below the root. */
  readonly libraries: string;
  /** Command and first arguments that run a program of the prefix, e.g. `usr/bin/dtc`, with its own libraries. */
  command(program: string): string[];
}

/**
 * The prefix that holds these packages; made on first use, which takes a download of up to some hundred megabytes.
 * @param name of the prefix in the cache
 * @throws Error with the reason if it cannot be had here
 */
export async function debianPrefix(name: string, packages: readonly string[]): Promise<DebianPrefix> {
  const architecture = await hostArchitecture();
  const paths = ARCHITECTURES[architecture];
  if (paths === undefined) throw new Error(`no Debian prefix for the architecture ${architecture}`);
  const cache = join(cacheDirectory(process.env), 'test-tools');
  const root = join(cache, `${name}-${suite}-${architecture}`);
  if (!(await isThere(root))) await make(cache, root, architecture, packages);
  const libraries = join(root, paths.libraries);
  return {
    root,
    libraries,
    command: (program) => [join(root, paths.loader), '--library-path', libraries, join(root, program)],
  };
}

async function hostArchitecture(): Promise<string> {
  try {
    return (await execute('dpkg', ['--print-architecture'])).stdout.trim();
  } catch {
    throw new Error('this host has no dpkg');
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Downloads and unpacks beside the prefix; it appears by one rename. */
async function make(cache: string, root: string, architecture: string, packages: readonly string[]): Promise<void> {
  await withWorkDirectory(cache, async (work) => {
    const archives = await downloadPackages(work, architecture, packages);
    const unpacked = join(work, 'root');
    await mkdir(unpacked);
    for (const archive of archives) await execute('dpkg-deb', ['-x', archive, unpacked]);
    await rename(unpacked, root).catch((error: NodeJS.ErrnoException) => {
      // Another process was faster.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  });
}

/**
 * Gets packages with everything they depend on: apt is told that nothing is installed.
 * @param work an empty directory, which the caller removes
 * @param architecture Debian's name, any that the archive has
 * @returns the packages' files, sorted by name
 * @throws Error with the reason if they cannot be had here
 */
export async function downloadPackages(
  work: string,
  architecture: string,
  packages: readonly string[],
): Promise<string[]> {
  const keyring = await findKeyring();
  if (keyring === undefined) throw new Error("this host has not Debian's archive keyring");
  const archive = { architecture, keyring, uri: await hostMirror(), suites: suiteNames };
  const config = await preparePrivateApt(work, archive);
  const apt = (...args: string[]): Promise<unknown> =>
    execute('apt-get', [`-c=${config}`, '-qq', ...args], { maxBuffer: 1 << 24 });
  await updatePrivateApt(work, archive, () => apt('update'));
  await apt('install', '--yes', '--download-only', '--no-install-recommends', ...packages);
  const archives = join(work, 'archives');
  const names = (await readdir(archives)).filter((name) => name.endsWith('.deb'));
  if (names.length === 0) throw new Error(`apt downloaded nothing for ${packages.join(', ')}`);
  return names.sort().map((name) => join(archives, name));
}
