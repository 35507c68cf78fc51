/**
 * Debian's own programs for the guest: packages with all they depend on, fetched through apt, and of them the few
 * files that the benchmark's programs need, as a cpio archive. Kept in the user's cache, an archive for each recipe.
 *
 * Not modelled: maintainer scripts (packages are only unpacked), hosts without apt and Debian's archive keyring.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, withWorkDirectory } from '../../src/guest/cache.ts';
import { type CpioEntry, cpio } from '../../src/guest/cpio.ts';
import { debEntries } from '../../src/guest/deb.ts';
import { architecture, suite } from '../../src/guest/packages.ts';
import type { TarHeader } from '../../src/guest/tar.ts';
import { downloadPackages } from '../support/debian-prefix.ts';
import { Unavailable } from './host.ts';

/** The programs, and where each lies in its package. */
const PROGRAMS: Readonly<Record<string, RegExp>> = {
  bash: /^usr\/bin\/bash$/,
  coreutils: /^usr\/bin\/(sha256sum|true)$/,
  gzip: /^usr\/bin\/gzip$/,
  'perl-base': /^usr\/bin\/perl(5[\d.]*)?$/,
  'python3-minimal': /^usr\/bin\/python3[\d.]*$/,
  sqlite3: /^usr\/bin\/sqlite3$/,
};
const LIBRARIES = /^usr\/lib\/(riscv64-linux-gnu|python3[\d.]*)\//;
/** Character sets and the like, which nobody loads here. */
const LEFT_OUT = /^usr\/lib\/riscv64-linux-gnu\/(gconv|engines-3|ossl-modules)\//;
/** Where the packages say the dynamic loader is; they take /lib for a link to /usr/lib, and here it is none. */
const LOADER = 'lib/ld-linux-riscv64-lp64d.so.1';
const LOADER_TARGET = `/usr/lib/${architecture}-linux-gnu/ld-linux-riscv64-lp64d.so.1`;
/** More than that is not what was asked for. */
const ARCHIVE_MAX_BYTES = 96 << 20;

/**
 * The archive, to stand behind another one; the first time it takes a download of some tens of megabytes.
 * @throws Unavailable where the packages cannot be had
 */
export async function debianPrograms(env: NodeJS.ProcessEnv, progress: (text: string) => void): Promise<Uint8Array> {
  const cache = cacheDirectory(env);
  const path = join(cache, 'bench', `programs-${suite}-${architecture}-${recipe()}.cpio`);
  const cached = await readFile(path).catch(() => undefined);
  if (cached !== undefined) return cached;
  progress(`fetching Debian's ${Object.keys(PROGRAMS).join(', ')}`);
  return withWorkDirectory(cache, async (work) => {
    const packages = await downloadPackages(work, architecture, Object.keys(PROGRAMS)).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Unavailable(`needs Debian's packages, with apt and the keyring: ${reason.split('\n')[0]}`);
    });
    const archive = cpio(await programEntries(packages));
    if (archive.length > ARCHIVE_MAX_BYTES) throw new Error(`the programs take ${archive.length} bytes`);
    const fresh = join(work, 'programs.cpio');
    await writeFile(fresh, archive);
    await mkdir(join(cache, 'bench'), { recursive: true });
    await rename(fresh, path);
    return archive;
  });
}

/** What decides which files the archive has. */
function recipe(): string {
  const parts = [...Object.entries(PROGRAMS).flat(), LIBRARIES, LEFT_OUT, LOADER, LOADER_TARGET].map(String);
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 12);
}

function isWanted({ path, kind }: TarHeader): boolean {
  if (kind !== 'file' && kind !== 'symlink' && kind !== 'hardlink') return false;
  return (LIBRARIES.test(path) && !LEFT_OUT.test(path)) || Object.values(PROGRAMS).some((wanted) => wanted.test(path));
}

/**
 * The files wanted of all packages, behind the directories they lie in.
 * @param packages paths of Debian packages
 * @throws Error when a package is damaged
 */
export async function programEntries(packages: readonly string[]): Promise<CpioEntry[]> {
  const files: CpioEntry[] = [{ path: LOADER, kind: 'symlink', target: LOADER_TARGET }];
  for (const name of packages) {
    const bodies = new Map<string, Uint8Array>();
    for await (const { path, kind, mode, linkPath, body } of debEntries(name, isWanted)) {
      if (kind === 'symlink') files.push({ path, kind, target: linkPath });
      else {
        // A hard link comes behind its file; it becomes a file of its own.
        const own = kind === 'hardlink' ? bodies.get(linkPath.replace(/^(\.?\/)+/, '')) : body;
        if (own === undefined) throw new Error(`${name}: ${path} is a link to ${linkPath}, which is not there`);
        bodies.set(path, own);
        files.push({ path, kind: 'file', mode, body: own });
      }
    }
  }
  const parents = new Set(files.flatMap(({ path }) => parentsOf(path)));
  return [...[...parents].sort().map((path) => ({ path, kind: 'directory', mode: 0o755 }) as const), ...files];
}

/** `a/b/c` -> `a`, `a/b`. */
function parentsOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}
