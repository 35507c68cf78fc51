/**
 * A state of its own for apt's client, in one directory: it needs no root, and nothing of the host's apt is read but its
 * configuration (proxies, credentials) or written at all. Whoever runs apt names the file with `-c=`.
 */
import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseControl } from './control.ts';

/** Debian's archive keys; the ending depends on the release of the host. */
const keyrings = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp'];

/** The one archive that the private apt knows. */
export interface AptArchive {
  readonly architecture: string;
  /** A file of keys that sign it. */
  readonly keyring: string;
  readonly uri: string;
  /** The release: its code name, and behind it other names of it. */
  readonly suites: readonly [string, ...string[]];
}

/** What apt says of an index that is not the one its Release file names. */
const outOfSync = /unexpected size|Hash Sum mismatch/;

/** Debian's archive keyring on this host, or undefined. */
export function findKeyring(): Promise<string | undefined> {
  return firstReadable(keyrings);
}

/** Fills an empty directory with an apt that has no state yet. @returns the path of its configuration */
export async function preparePrivateApt(directory: string, archive: AptArchive): Promise<string> {
  const { architecture } = archive;
  for (const path of ['lists/partial', 'archives/partial', 'empty']) {
    await mkdir(join(directory, path), { recursive: true });
  }
  await nameSource(directory, archive, archive.suites[0]);
  await writeFile(join(directory, 'status'), '');
  const path = join(directory, 'apt.conf');
  await writeFile(path, configuration(directory, architecture));
  return path;
}

async function nameSource(directory: string, archive: AptArchive, name: string): Promise<void> {
  const { architecture, keyring, uri } = archive;
  const options = `arch=${architecture} signed-by=${keyring} target=Packages`;
  await writeFile(join(directory, 'sources.list'), `deb [${options}] ${uri} ${name} main\n`);
}

/**
 * Reads the archive's index. A mirror that is being brought up to date, or caches file by file, can have a Release file
 * that does not fit the index beside it, for days; the same release may be whole there under another name.
 * @param update runs apt-get update with the configuration
 * @throws what update threw under the code name; an AbortError under any
 */
export async function updatePrivateApt(
  directory: string,
  archive: AptArchive,
  update: () => Promise<unknown>,
): Promise<void> {
  const [codeName, ...otherNames] = archive.suites;
  const failure = await update().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure === undefined) return;
  if (!(failure instanceof Error && outOfSync.test(failure.message))) throw failure;
  for (const name of otherNames) {
    await nameSource(directory, archive, name);
    try {
      await update();
    } catch (error) {
      if (error instanceof Error && error.name === 'AbortError') throw error;
      continue;
    }
    if ((await codeNameOf(directory, name)) === codeName) return;
  }
  throw failure;
}

/** The release that a name meant when its index was read. */
async function codeNameOf(directory: string, name: string): Promise<string | undefined> {
  const lists = join(directory, 'lists');
  const release = (await readdir(lists)).find((file) => file.endsWith(`_dists_${name}_InRelease`));
  return release === undefined
    ? undefined
    : parseControl(await readFile(join(lists, release), 'utf8'))[0]?.get('codename');
}

/**
 * Read after the host's configuration, so it has the last word. Hooks, a default release and pins are meant for the
 * host's packages and go. As root, apt would drop to the user _apt, who cannot enter our directories.
 */
function configuration(directory: string, architecture: string): string {
  const cleared = [
    'APT::Architectures',
    'APT::Default-Release',
    'APT::Update::Pre-Invoke',
    'APT::Update::Post-Invoke',
    'APT::Update::Post-Invoke-Success',
    'DPkg::Post-Invoke',
  ];
  const settings: Readonly<Record<string, string>> = {
    'APT::Architecture': architecture,
    'APT::Sandbox::User': 'root',
    'APT::Get::AllowUnauthenticated': 'false',
    // The host's setting may be to delete what was downloaded.
    'APT::Keep-Downloaded-Packages': 'true',
    'Acquire::AllowInsecureRepositories': 'false',
    'Acquire::Languages': 'none',
    'Dir::State': directory,
    'Dir::State::lists': join(directory, 'lists/'),
    'Dir::State::status': join(directory, 'status'),
    'Dir::Cache': directory,
    'Dir::Cache::archives': join(directory, 'archives/'),
    'Dir::Etc::sourcelist': join(directory, 'sources.list'),
    'Dir::Etc::sourceparts': join(directory, 'empty'),
    'Dir::Etc::preferences': join(directory, 'empty/none'),
    'Dir::Etc::preferencesparts': join(directory, 'empty'),
  };
  return [
    ...cleared.map((name) => `#clear ${name};`),
    `APT::Architectures { "${architecture}"; };`,
    ...Object.entries(settings).map(([name, value]) => `${name} "${value}";`),
    '',
  ].join('\n');
}

/** The first of these files that can be read. */
export async function firstReadable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}
