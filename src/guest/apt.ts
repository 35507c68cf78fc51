/**
 * Fetches the guest's packages through apt's own client, which verifies signatures. All its state is private: it runs
 * without root, and nothing of the host's apt is read but its configuration (proxies, credentials) or written at all.
 * Not modelled: apt on hosts without Debian's archive keyring; they use a mirror (mirror.ts).
 */
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import { ConfigError } from '../util/config-error.ts';
import { hostMirror } from './apt-sources.ts';
import type { GuestPackages } from './build.ts';
import { parseControl } from './control.ts';
import {
  architecture,
  busyboxPackage,
  type FetchContext,
  kernelMetaPackage,
  kernelPackageOf,
  mirrorVariable,
  otherWays,
  suiteNames,
} from './packages.ts';
import { findKeyring, firstReadable, preparePrivateApt, updatePrivateApt } from './private-apt.ts';

/** How many of apt's last lines an error shows. */
const shownErrorLines = 4;

/** Where apt and the keyring are on this host, or undefined when it has not both. */
export async function findApt(env: NodeJS.ProcessEnv): Promise<{ keyring: string } | undefined> {
  const programs = (env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'apt-get'));
  const keyring = await findKeyring();
  return keyring !== undefined && (await firstReadable(programs)) !== undefined ? { keyring } : undefined;
}

/**
 * @param mirror the user's mirror, undefined for the host's own
 * @throws ConfigError when apt cannot get the packages or does not trust them
 */
export async function fetchWithApt(
  context: FetchContext,
  keyring: string,
  mirror: string | undefined,
): Promise<GuestPackages> {
  const uri = mirror ?? (await hostMirror());
  context.progress.phase(`Reading the package index of ${uri}`);
  const apt = await privateApt(context, keyring, uri, mirror);
  const [metaPackage = new Map()] = parseControl(
    await apt('apt-cache', ['show', '--no-all-versions', kernelMetaPackage]),
  );
  const names = [kernelPackageOf(metaPackage), busyboxPackage];
  const [kernel, busybox] = parseUris(await apt('apt-get', ['download', '--print-uris', ...names]), names);
  const totalBytes = kernel.lengthBytes + busybox.lengthBytes;
  context.progress.phase('Downloading the Debian kernel and busybox', totalBytes);
  await apt('apt-get', ['download', ...names], (fraction) => context.progress.at(fraction * totalBytes));
  return { kernelDeb: join(context.directory, kernel.file), busyboxDeb: join(context.directory, busybox.file) };
}

type Apt = (program: string, args: readonly string[], onProgress?: (fraction: number) => void) => Promise<string>;

/** An apt that knows one source, whose index it has read. */
async function privateApt(
  context: FetchContext,
  keyring: string,
  uri: string,
  mirror: string | undefined,
): Promise<Apt> {
  const archive = { architecture, keyring, uri, suites: suiteNames };
  const config = await preparePrivateApt(context.directory, archive);
  const apt: Apt = (program, args, onProgress) => run(program, [`-c=${config}`, '-q', ...args], context, onProgress);
  const explained = (error: unknown): never => {
    throw error instanceof AptFailure ? explain(error, uri, mirror) : error;
  };
  await updatePrivateApt(context.directory, archive, () => apt('apt-get', ['update'])).catch(explained);
  return (program, args, onProgress) => apt(program, args, onProgress).catch(explained);
}

/** What `apt-get download --print-uris` prints for each package: 'uri' file length hash. */
function parseUris(output: string, names: readonly string[]): [PackageFile, PackageFile] {
  const files = [...output.matchAll(/^'[^']*' (\S+) (\d+) /gm)].map(([, file = '', length]) => ({
    file,
    lengthBytes: Number(length),
  }));
  const [kernel, busybox] = names.map((name) => files.find(({ file }) => file.startsWith(`${name}_`)));
  if (kernel === undefined || busybox === undefined) throw new Error(`apt-get names no files for ${names.join(', ')}`);
  return [kernel, busybox];
}

interface PackageFile {
  readonly file: string;
  readonly lengthBytes: number;
}

/** Its message is all that apt wrote to its standard error. */
class AptFailure extends Error {}

function explain(failure: AptFailure, uri: string, mirror: string | undefined): ConfigError {
  // Behind a reason apt lists, indented, what it expected.
  const reasons = failure.message.split('\n').filter((line) => !line.startsWith(' '));
  const problem = `apt cannot get the default guest from ${uri}\n${reasons.slice(-shownErrorLines).join('\n')}`;
  // What could not be fetched is not signed either, says apt.
  const fetched = !/Failed to fetch/.test(failure.message);
  const remedy =
    fetched && /NO_PUBKEY|not signed|signatures were invalid|Missing key/i.test(failure.message)
      ? `The host's keyring has no key for it: upgrade the package debian-archive-keyring, or ${otherWays}.`
      : `Check the network and the host's apt sources, or ${otherWays}.`;
  return new ConfigError(mirror === undefined ? 'default guest' : mirrorVariable, problem, remedy);
}

/** Runs a program in the private directory; @returns what it printed */
async function run(
  program: string,
  args: readonly string[],
  { directory, signal }: FetchContext,
  onProgress?: (fraction: number) => void,
): Promise<string> {
  const statusArgs = onProgress === undefined ? [] : ['-o', 'APT::Status-Fd=3'];
  const child = spawn(program, [...statusArgs, ...args], {
    cwd: directory,
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    signal,
  });
  let output = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  // Lines `dlstatus:<number>:<per cent>:<text>`.
  (child.stdio[3] as Readable).setEncoding('utf8').on('data', (text: string) => {
    for (const [, percent] of text.matchAll(/^dlstatus:[^:]*:([\d.]+):/gm)) onProgress?.(Number(percent) / 100);
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  // apt-get update reports a source that failed as a warning and exits with 0.
  const failed = status !== 0 || /^(E|Err|W: .*(Failed to fetch|GPG error))/m.test(errors);
  if (failed) throw new AptFailure(errors.trim() || `${program} failed`);
  return output;
}
