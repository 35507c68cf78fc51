/**
 * The default guest: Debian's riscv64 kernel and an initramfs with busybox, from the cache or built from packages
 * that apt or a mirror delivers. Edge code of the command line: nothing here runs once a machine has started.
 */
import { createHash } from 'node:crypto';
import { ConfigError } from '../util/config-error.ts';
import { fetchWithApt, findApt } from './apt.ts';
import { buildGuest, type GuestImages, type GuestPackages } from './build.ts';
import { cacheDirectory, entryFiles, readEntry, removeEntry, withWorkDirectory, writeEntry } from './cache.ts';
import { buildInitramfs, defaultAppend, guestModules } from './initramfs.ts';
import { fetchFromMirror } from './mirror.ts';
import { architecture, type FetchContext, mirrorVariable, otherWays, suite } from './packages.ts';
import { type Progress, silentProgress } from './progress.ts';

export interface DefaultGuestOptions {
  /** Where XDG_CACHE_HOME, HOME, PATH and the mirror variable are looked up; process.env when left out. */
  readonly env?: NodeJS.ProcessEnv;
  readonly progress?: Progress;
  /** Aborting it ends downloads and removes what is half done. */
  readonly signal?: AbortSignal;
}

/** A guest with its command line: what createVm takes. */
export interface DefaultGuest extends GuestImages {
  readonly append: string;
  /** Where the images lie in the cache. */
  readonly files: { readonly kernel: string; readonly initrd: string };
}

/**
 * Gets the default guest; only the first time it needs the network.
 * @throws ConfigError when it is neither in the cache nor to be had; the signal's reason when aborted
 */
export async function defaultGuest(options: DefaultGuestOptions = {}): Promise<DefaultGuest> {
  const images = await guestImages(options);
  return {
    ...images,
    append: defaultAppend,
    files: entryFiles(cacheDirectory(options.env ?? process.env), entryName()),
  };
}

async function guestImages(options: DefaultGuestOptions): Promise<GuestImages> {
  const { env = process.env, progress = silentProgress, signal = new AbortController().signal } = options;
  const cache = cacheDirectory(env);
  const entry = entryName();
  const cached = await readEntry(cache, entry);
  if (cached !== undefined && cached !== 'damaged') return cached;
  try {
    return await withWorkDirectory(cache, async (directory) => {
      if (cached === 'damaged') await removeEntry(cache, entry);
      const packages = await fetchPackages({ directory, progress, signal }, env);
      const images = await buildGuest(packages, { progress, signal }).catch((error: unknown) => {
        signal.throwIfAborted();
        throw damagedPackage(error);
      });
      signal.throwIfAborted();
      await writeEntry(cache, entry, images, directory);
      return images;
    });
  } finally {
    progress.done();
  }
}

/** A guest made by another recipe is another entry: the name carries a sum over everything we put in. */
export function entryName(): string {
  const body = Buffer.from('any');
  const module = { name: 'any', path: 'any.ko', body, depends: [], aliases: ['any'] };
  const recipe = buildInitramfs({ busybox: body, release: 'any', modules: [module], modulesBuiltin: body });
  const sum = createHash('sha256').update(recipe).update(guestModules.join()).digest('hex');
  return `${suite}-${architecture}-${sum.slice(0, 12)}`;
}

async function fetchPackages(context: FetchContext, env: NodeJS.ProcessEnv): Promise<GuestPackages> {
  const mirror = env[mirrorVariable] || undefined;
  const apt = await findApt(env);
  if (apt !== undefined) return fetchWithApt(context, apt.keyring, mirror);
  if (mirror !== undefined) return fetchFromMirror(context, mirror);
  throw new ConfigError(
    'default guest',
    'it is not in the cache, and this host has no apt with Debian keys to fetch it with',
    `Either ${otherWays}.`,
  );
}

function damagedPackage(error: unknown): ConfigError {
  const problem = `cannot build it from Debian's packages: ${error instanceof Error ? error.message : String(error)}`;
  return new ConfigError('default guest', problem, `Try again, or ${otherWays}.`);
}
