/**
 * Which Debian mirror the host's own apt uses (sources.list(5)): one-line entries and deb822 files.
 * Not modelled: what apt itself does with options other than Signed-By, Enabled and Types.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../util/config-error.ts';
import { parseControl } from './control.ts';
import { otherWays } from './packages.ts';

interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string;
}

/** Releases whose main archive also holds the guest's release. A host of another name says so in os-release. */
const debianSuites = ['stable', 'oldstable', 'testing', 'unstable', 'sid', 'bullseye', 'bookworm', 'trixie', 'forky'];

/**
 * The mirror of the host's Debian archive.
 * @param aptDirectory where the host keeps sources.list and sources.list.d
 * @throws ConfigError when the host names none
 */
export async function hostMirror(aptDirectory = '/etc/apt'): Promise<string> {
  const texts = await sourceFiles(aptDirectory);
  const sources = texts.flatMap(({ name, text }) => (name.endsWith('.sources') ? deb822(text) : oneLine(text)));
  const source = sources.find(isDebianArchive);
  if (source !== undefined) return source.uri;
  throw new ConfigError(
    'default guest',
    "the host's apt has no Debian archive among its sources",
    `Add one, or ${otherWays}.`,
  );
}

/** Others publish `bookworm main` too; they bring a key of their own. */
function isDebianArchive({ uri, suites, components, signedBy }: AptSource): boolean {
  return (
    !uri.startsWith('cdrom:') &&
    suites.some((suite) => debianSuites.includes(suite)) &&
    components.includes('main') &&
    (signedBy === '' || signedBy.includes('debian-archive'))
  );
}

async function sourceFiles(directory: string): Promise<{ name: string; text: string }[]> {
  const parts = join(directory, 'sources.list.d');
  const names = (await readdir(parts).catch(() => [])).filter((name) => /\.(list|sources)$/.test(name)).sort();
  const paths = [join(directory, 'sources.list'), ...names.map((name) => join(parts, name))];
  const files = await Promise.all(
    paths.map(async (name) => ({ name, text: await readFile(name, 'utf8').catch(() => '') })),
  );
  return files.filter(({ text }) => text !== '');
}

/** `deb [option=value ...] uri suite component ...` */
function oneLine(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const [, options = '', uri, suite, components = ''] =
      /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)([^#]*)/.exec(line) ?? [];
    if (uri === undefined || suite === undefined) return [];
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1] ?? '';
    return [{ uri, suites: [suite], components: words(components), signedBy }];
  });
}

function deb822(text: string): AptSource[] {
  return parseControl(text)
    .filter((stanza) => stanza.get('enabled')?.toLowerCase() !== 'no' && words(stanza.get('types')).includes('deb'))
    .flatMap((stanza) =>
      words(stanza.get('uris')).map((uri) => ({
        uri,
        suites: words(stanza.get('suites')),
        components: words(stanza.get('components')),
        signedBy: stanza.get('signed-by') ?? '',
      })),
    );
}

function words(text = ''): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
