import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostMirror } from '../../src/guest/apt-sources.ts';
import { cacheDirectory } from '../../src/guest/cache.ts';
import { defaultGuest, entryName } from '../../src/guest/default-guest.ts';
import { lineProgress, silentProgress } from '../../src/guest/progress.ts';
import { busyboxDeb, deb, type FakeMirror, kernelDeb, kernelImage, mirrorFiles, serve } from './debian.ts';

let directory: string;
const mirrors: FakeMirror[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bottomhalf-guest-'));
});
afterEach(async () => {
  for (const mirror of mirrors.splice(0)) mirror.close();
  await rm(directory, { recursive: true });
});

/** A host without apt. */
const env = (mirror?: string): NodeJS.ProcessEnv => ({
  XDG_CACHE_HOME: directory,
  PATH: '',
  ...(mirror === undefined ? {} : { BOTTOMHALF_DEBIAN_MIRROR: mirror }),
});

async function start(files: ReadonlyMap<string, Buffer>): Promise<FakeMirror> {
  const mirror = await serve(files);
  mirrors.push(mirror);
  return mirror;
}

/** What is in the cache, without the directory of the entry. */
const cached = (): Promise<string[]> => readdir(join(directory, 'bottomhalf'));

describe('the default guest from a mirror', () => {
  it('is fetched once, and comes from the cache after that', async () => {
    const mirror = await start(mirrorFiles());
    const first = await defaultGuest({ env: env(mirror.url) });
    expect(Buffer.compare(first.kernel, kernelImage())).toBe(0);
    const names = Buffer.from(first.initrd).toString('latin1');
    for (const name of ['init', 'bin/busybox', 'virtio_net.ko', 'failover.ko', 'crc32c_generic.ko', 'modules.dep']) {
      expect(names).toContain(`${name}\0`);
    }
    expect(names).not.toContain('not-needed');
    expect(await cached()).toEqual([entryName()]);
    mirror.close();
    const requests = mirror.requests.length;
    const second = await defaultGuest({ env: env() });
    expect(Buffer.compare(second.initrd, first.initrd)).toBe(0);
    expect(mirror.requests.length).toBe(requests);
  });

  it('is the same from the same packages', async () => {
    const mirror = await start(mirrorFiles());
    const first = await defaultGuest({ env: env(mirror.url) });
    await rm(join(directory, 'bottomhalf'), { recursive: true });
    const second = await defaultGuest({ env: env(`${mirror.url}/`) });
    expect(Buffer.compare(second.initrd, first.initrd)).toBe(0);
  });

  it.each(['Packages.gz', 'kernel+1.deb', 'busybox.deb'])('refuses a damaged %s', async (name) => {
    const files = mirrorFiles();
    const path = [...files.keys()].find((candidate) => candidate.endsWith(name)) ?? '';
    const whole = files.get(path) ?? Buffer.alloc(0);
    const flipped = Buffer.from(whole);
    flipped[20] = (flipped[20] ?? 0) ^ 1;
    for (const damaged of [flipped, whole.subarray(0, -1), Buffer.concat([whole, Buffer.from('x')])]) {
      const mirror = await start(new Map(files).set(path, damaged));
      await expect(defaultGuest({ env: env(mirror.url) })).rejects.toMatchObject({
        name: 'ConfigError',
        path: 'BOTTOMHALF_DEBIAN_MIRROR',
        message: expect.stringContaining('damaged download'),
      });
      expect(await cached()).toEqual([]);
    }
  });

  it('comes by another name of the release where the mirror has an index that does not fit', async () => {
    const files = new Map([...mirrorFiles(), ...mirrorFiles(undefined, undefined, 'stable')]);
    files.set('/debian/dists/trixie/main/binary-riscv64/Packages.gz', Buffer.from('of the day before'));
    const mirror = await start(files);
    const guest = await defaultGuest({ env: env(mirror.url) });
    expect(Buffer.compare(guest.kernel, kernelImage())).toBe(0);
  });

  it('does not come from another release that now has that name', async () => {
    const files = mirrorFiles(undefined, undefined, 'stable', 'forky');
    const mirror = await start(files);
    await expect(defaultGuest({ env: env(mirror.url) })).rejects.toMatchObject({
      message: expect.stringContaining('dists/trixie/Release: HTTP status 404'),
    });
    expect(mirror.requests).toContain('/debian/dists/stable/InRelease');
    expect(await cached()).toEqual([]);
  });

  it.each([
    ['no Release', (files: Map<string, Buffer>) => files.delete('/debian/dists/trixie/InRelease'), 'HTTP status 404'],
    ['no package', (files: Map<string, Buffer>) => files.delete('/debian/pool/main/b/busybox/busybox.deb'), '404'],
    [
      'a page instead',
      (files: Map<string, Buffer>) => files.set('/debian/dists/trixie/InRelease', Buffer.from('<html>')),
      'SHA-256',
    ],
  ])('says what is missing: %s', async (_, spoil, message) => {
    const files = mirrorFiles();
    spoil(files);
    const mirror = await start(files);
    await expect(defaultGuest({ env: env(mirror.url) })).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringContaining(message),
    });
  });

  it.each([
    ['a module is missing', mirrorFiles(kernelDeb('net/9p/9pnet')), '9p -> 9pnet'],
    ['there is no kernel', mirrorFiles(busyboxDeb()), 'vmlinu'],
    ['it is no package', mirrorFiles(deb(Buffer.from('no gzip data'))), 'cannot build'],
  ])('says why it cannot be built: %s', async (_, files, message) => {
    const mirror = await start(files);
    await expect(defaultGuest({ env: env(mirror.url) })).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringContaining(message),
    });
    expect(await cached()).toEqual([]);
  });

  it.each(['ftp://host/debian', 'debian', 'file:///debian'])("refuses '%s' as a mirror", async (mirror) => {
    await expect(defaultGuest({ env: env(mirror) })).rejects.toMatchObject({ path: 'BOTTOMHALF_DEBIAN_MIRROR' });
  });

  it.each(['Reading', 'Downloading', 'Unpacking', 'Building'])(
    'leaves nothing behind when aborted while %s',
    async (step) => {
      const mirror = await start(mirrorFiles());
      const controller = new AbortController();
      const phase = (title: string): void => {
        if (title.startsWith(step)) controller.abort(new Error('Ctrl-C'));
      };
      const progress = { ...silentProgress, phase };
      await expect(defaultGuest({ env: env(mirror.url), progress, signal: controller.signal })).rejects.toThrow(
        'Ctrl-C',
      );
      expect(await cached()).toEqual([]);
    },
  );
});

describe('without a way to the packages', () => {
  it('says what to do', async () => {
    const error = await defaultGuest({ env: env() }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ConfigError' });
    for (const way of ['-kernel', '-initrd', 'BOTTOMHALF_DEBIAN_MIRROR']) {
      expect((error as { remedy: string }).remedy).toContain(way);
    }
  });

  it('names the variable when the cache cannot be made', async () => {
    await writeFile(join(directory, 'bottomhalf'), 'a file in the way');
    await expect(defaultGuest({ env: env('http://127.0.0.1:9/debian') })).rejects.toMatchObject({
      path: 'XDG_CACHE_HOME',
    });
  });
});

describe('the cache', () => {
  it.each([
    ['a flipped bit', async (path: string) => writeFile(join(path, 'Image'), kernelImage().fill(0, 100, 101))],
    ['a file that is missing', async (path: string) => rm(join(path, 'initrd.cpio'))],
    ['a manifest that is garbage', async (path: string) => writeFile(join(path, 'manifest.json'), 'null')],
    ['a manifest that is missing', async (path: string) => rm(join(path, 'manifest.json'))],
  ])('is mended after %s', async (_, spoil) => {
    const mirror = await start(mirrorFiles());
    const whole = await defaultGuest({ env: env(mirror.url) });
    const path = join(directory, 'bottomhalf', entryName());
    await spoil(path);
    await expect(defaultGuest({ env: env() })).rejects.toMatchObject({ name: 'ConfigError' });
    const mended = await defaultGuest({ env: env(mirror.url) });
    expect(Buffer.compare(mended.kernel, whole.kernel)).toBe(0);
    expect(Buffer.compare(await readFile(join(path, 'initrd.cpio')), whole.initrd)).toBe(0);
  });

  it('is as good with other times, as a copy has them', async () => {
    const whole = await defaultGuest({ env: env((await start(mirrorFiles())).url) });
    for (const name of ['Image', 'initrd.cpio']) {
      await utimes(join(directory, 'bottomhalf', entryName(), name), 1, 1);
    }
    expect(Buffer.compare((await defaultGuest({ env: env() })).kernel, whole.kernel)).toBe(0);
  });

  it('is rid of what a killed process left', async () => {
    const cache = join(directory, 'bottomhalf');
    // No process has this number: it is above the kernel's limit.
    await mkdir(join(cache, 'work-99999999-abcdef'), { recursive: true });
    await mkdir(join(cache, `work-${process.pid}-running`));
    await defaultGuest({ env: env((await start(mirrorFiles())).url) });
    expect((await cached()).sort()).toEqual([entryName(), `work-${process.pid}-running`].sort());
  });

  it('lies where XDG says', () => {
    expect(cacheDirectory({ XDG_CACHE_HOME: '/c' })).toBe('/c/bottomhalf');
    expect(cacheDirectory({ XDG_CACHE_HOME: 'relative', HOME: '/home/u' })).toBe('/home/u/.cache/bottomhalf');
    expect(cacheDirectory({ HOME: '/home/u' })).toBe('/home/u/.cache/bottomhalf');
  });
});

describe("the host's mirror", () => {
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(join(directory, 'sources.list.d'), { recursive: true });
    await writeFile(join(directory, name), text);
    await chmod(join(directory, name), 0o644);
  };

  it('is the one of sources.list', async () => {
    await write(
      'sources.list',
      '# deb http://old/ bookworm main\ndeb cdrom:[Debian]/ bookworm main\ndeb-src http://src/debian bookworm main\n' +
        'deb [arch=amd64 signed-by=/etc/vendor.gpg] https://vendor/debian bookworm main\n' +
        'deb http://security.example/debian-security bookworm-security main\n' +
        'deb [ signed-by=/usr/share/keyrings/debian-archive-keyring.gpg ] https://near/debian bookworm main contrib # here\n',
    );
    expect(await hostMirror(directory)).toBe('https://near/debian');
  });

  it('is the one of a deb822 file', async () => {
    await write(
      'sources.list.d/a.sources',
      'Types: deb\nURIs: https://vendor/debian\nSuites: stable\nComponents: main\nSigned-By:\n -----BEGIN PGP\n',
    );
    await write(
      'sources.list.d/b.sources',
      'Enabled: no\nTypes: deb\nURIs: https://off/debian\nSuites: trixie\nComponents: main\n',
    );
    await write(
      'sources.list.d/debian.sources',
      'Types: deb deb-src\nURIs: https://near/debian\nSuites: trixie trixie-updates\nComponents: main\n',
    );
    expect(await hostMirror(directory)).toBe('https://near/debian');
  });

  it('is an error with a remedy when the host has none', () =>
    expect(hostMirror(directory)).rejects.toMatchObject({
      name: 'ConfigError',
      remedy: expect.stringContaining('BOTTOMHALF_DEBIAN_MIRROR'),
    }));
});

describe('progress', () => {
  const record = (isTTY: boolean) => {
    const lines: string[] = [];
    let nowMs = 0;
    const progress = lineProgress({ isTTY, write: (text) => lines.push(text) }, () => nowMs);
    return {
      lines,
      progress,
      wait: (ms: number) => {
        nowMs += ms;
      },
    };
  };

  it('rewrites one line on a terminal', () => {
    const { lines, progress, wait } = record(true);
    progress.phase('Downloading', 4e6);
    progress.add(1e6);
    wait(200);
    progress.add(1e6);
    progress.done();
    expect(lines).toEqual(['\r\x1b[KDownloading', '\r\x1b[KDownloading 2.0 of 4.0 MB', '\r\x1b[K']);
  });

  it('is rare elsewhere', () => {
    const { lines, progress, wait } = record(false);
    progress.phase('Building');
    for (let step = 0; step < 100; step++) {
      progress.add(1e6);
      wait(100);
    }
    progress.done();
    expect(lines.length).toBeLessThanOrEqual(3);
    expect(lines[0]).toBe('Building\n');
  });
});
