/**
 * A root file system of Debian's packages as an initramfs: what is required everywhere, systemd and what it depends on,
 * fetched through apt and unpacked without running anything of it (root-files.ts). Kept in the user's cache, under a
 * name with a sum over the recipe and another over the packages' names and versions: whatever has been made by this
 * recipe is taken, so that it needs the network once. Remove it to get newer packages.
 *
 * Not modelled: kernel modules, hosts without apt and Debian's archive keyring.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { cacheDirectory, withWorkDirectory } from '../../src/guest/cache.ts';
import { type CpioEntry, cpio } from '../../src/guest/cpio.ts';
import { debEntries } from '../../src/guest/deb.ts';
import { architecture, suite } from '../../src/guest/packages.ts';
import { downloadPackages } from '../support/debian-prefix.ts';
import { Unavailable } from './host.ts';
import { addPackageFile, COPIES, isRootFile, MASTERS, rootEntries } from './root-files.ts';

/** The first is a pattern of apt's (apt-patterns(7)). */
const PACKAGES = ['?priority(required)', 'systemd', 'systemd-sysv', 'udev', 'dbus', 'login'];
/** More than that is not what was asked for, and does not fit into the guest beside its copy. */
const ARCHIVE_MAX_BYTES = 512 << 20;
const SUM_DIGITS = 12;

/**
 * The archive's path; the first time it takes a download of 40 MB.
 * @throws Unavailable where the packages cannot be had, with what would help
 */
export async function debianRoot(env: NodeJS.ProcessEnv, progress: (text: string) => void): Promise<string> {
  const cache = cacheDirectory(env);
  const directory = join(cache, 'bench');
  const prefix = `root-${suite}-${architecture}-${recipe()}-`;
  const known = (await readdir(directory).catch(() => [])).filter((name) => name.startsWith(prefix)).sort();
  if (known[0] !== undefined) return join(directory, known[0]);
  progress(`fetching the packages of a Debian ${suite} with systemd, some 40 MB`);
  return withWorkDirectory(cache, async (work) => {
    const packages = await downloadPackages(work, architecture, PACKAGES).catch((error: unknown) => {
      const lines = (error instanceof Error ? error.message : String(error)).split('\n');
      // apt's own words, where it was apt that failed.
      const reason = lines.find((line) => line.startsWith('E:')) ?? lines[0];
      throw new Unavailable(
        `no Debian packages for the root file system: ${reason}; it needs a network, apt and the package debian-archive-keyring`,
      );
    });
    progress(`unpacking ${packages.length} packages`);
    const archive = cpio(await unpackedEntries(packages));
    if (archive.length > ARCHIVE_MAX_BYTES) throw new Error(`the root file system takes ${archive.length} bytes`);
    const fresh = join(work, 'root.cpio');
    await writeFile(fresh, archive);
    await mkdir(directory, { recursive: true });
    const path = join(directory, `${prefix}${sum(packages.map((name) => basename(name)))}.cpio`);
    await rename(fresh, path);
    return path;
  });
}

/**
 * The tree of these packages.
 * @param packages paths of Debian packages
 * @throws Error when a package is damaged
 */
export async function unpackedEntries(packages: readonly string[]): Promise<CpioEntry[]> {
  const files = new Map<string, CpioEntry>();
  for (const name of packages) {
    for await (const entry of debEntries(name, isRootFile)) addPackageFile(files, entry);
  }
  return rootEntries(files);
}

/** Over what decides, beside the packages' versions, what the archive holds: their names, and all that we put in. */
function recipe(): string {
  const body = Buffer.from('any:*:1:');
  const needed = [...Object.values(COPIES), ...Object.values(MASTERS), 'usr/lib/sysusers.d/any.conf'];
  const sample = new Map(needed.map((path) => [path, { path, kind: 'file', mode: 0o644, body } as const]));
  return sum([...PACKAGES, Buffer.from(cpio(rootEntries(sample))).toString('latin1')]);
}

function sum(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, SUM_DIGITS);
}
