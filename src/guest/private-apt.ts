/**
 * A state of its own for apt's client, in one directory: it needs no root, and nothing of the host's apt is read but its
 * configuration (proxies, credentials) or written at all. Whoever runs apt names the file with `-c=`.
 */
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Debian's archive keys; the ending depends on the release of the host. */
const keyrings = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp'];

/** The one archive that the private apt knows. */
export interface AptArchive {
  readonly architecture: string;
  /** A file of keys that sign it. */
  readonly keyring: string;
  readonly uri: string;
  readonly suite: string;
}

/** Debian's archive keyring on this host, or undefined. */
export function findKeyring(): Promise<string | undefined> {
  return firstReadable(keyrings);
}

/** Fills an empty directory with an apt that has no state yet. @returns the path of its configuration */
export async function preparePrivateApt(directory: string, archive: AptArchive): Promise<string> {
  const { architecture, keyring, uri, suite } = archive;
  for (const path of ['lists/partial', 'archives/partial', 'empty']) {
    await mkdir(join(directory, path), { recursive: true });
  }
  const options = `arch=${architecture} signed-by=${keyring} target=Packages`;
  await writeFile(join(directory, 'sources.list'), `deb [${options}] ${uri} ${suite} main\n`);
  await writeFile(join(directory, 'status'), '');
  const path = join(directory, 'apt.conf');
  await writeFile(path, configuration(directory, architecture));
  return path;
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
