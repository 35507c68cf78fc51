import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { preparePrivateApt, updatePrivateApt } from '../../src/guest/private-apt.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bottomhalf-apt-'));
});
afterEach(() => rm(directory, { recursive: true }));

const archive = {
  architecture: 'riscv64',
  keyring: '/keys.gpg',
  uri: 'http://mirror/debian',
  suites: ['trixie', 'stable'],
} as const;
const SYNC = 'E: Failed to fetch …/Packages.xz  File has unexpected size (1 != 2). Mirror sync in progress?';

/**
 * Does what apt-get update does: reads sources.list, keeps the Release file, or fails.
 * @param mirror a name -> the code name in its Release file, or what apt fails with
 * @returns the names it was run with
 */
async function update(mirror: Readonly<Record<string, string | Error>>): Promise<string[]> {
  const names: string[] = [];
  await preparePrivateApt(directory, archive);
  const run = async (): Promise<void> => {
    const [, name = ''] =
      /^deb \[[^\]]*\] \S+ (\S+) main\n$/.exec(await readFile(join(directory, 'sources.list'), 'utf8')) ?? [];
    names.push(name);
    const answer = mirror[name] ?? new Error('404');
    if (answer instanceof Error) throw answer;
    await writeFile(
      join(directory, 'lists', `mirror_debian_dists_${name}_InRelease`),
      `Suite: any\nCodename: ${answer}\n`,
    );
  };
  return updatePrivateApt(directory, archive, run).then(() => names);
}

it('knows the release by its code name', async () => {
  expect(await update({ trixie: 'trixie', stable: 'trixie' })).toEqual(['trixie']);
});

it('takes another name of the release while the mirror is being brought up to date', async () => {
  expect(await update({ trixie: new Error(SYNC), stable: 'trixie' })).toEqual(['trixie', 'stable']);
});

it.each([
  ['is another release by now', 'forky'],
  ['is not whole either', new Error('E: Hash Sum mismatch')],
])('says what was wrong with the code name when the other %s', async (_, stable) => {
  await expect(update({ trixie: new Error(SYNC), stable })).rejects.toThrow(SYNC);
});

it('ends when it is aborted under the other name too', async () => {
  const aborted = new DOMException('Ctrl-C', 'AbortError');
  await expect(update({ trixie: new Error(SYNC), stable: aborted })).rejects.toBe(aborted);
});

it('does not ask again for what another name does not mend', async () => {
  await expect(update({ trixie: new Error('no network'), stable: 'trixie' })).rejects.toThrow('no network');
});
