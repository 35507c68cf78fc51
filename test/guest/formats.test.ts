import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseControl } from '../../src/guest/control.ts';
import { cpio } from '../../src/guest/cpio.ts';
import { debEntries } from '../../src/guest/deb.ts';
import { decompressBytes } from '../../src/guest/decompress.ts';
import { closeOverDependencies, modulesAlias, modulesDep, parseModulePath } from '../../src/guest/kernel-modules.ts';
import { type TarEntry, tarEntries } from '../../src/guest/tar.ts';
import { deb, kernelModule, tar } from './debian.ts';

/** What `printf 'Hello, guest' | xz` and `| zstd` print. */
const xzHello = Buffer.from(
  '/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQALSGVsbG8sIGd1ZXN0AAjG4/vBEp95AAEkDKYY2NgftvN9AQAAAAAEWVo=',
  'base64',
);
const zstdHello = Buffer.from('KLUv/QRYYQAASGVsbG8sIGd1ZXN0DiCU7w==', 'base64');

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

/** The archive in pieces of some length, as a stream delivers it. */
function pieces(bytes: Uint8Array, length: number): AsyncIterable<Uint8Array> {
  const count = Math.ceil(bytes.length / length);
  return Readable.from(
    Array.from({ length: count }, (_, index) => bytes.subarray(index * length, (index + 1) * length)),
  );
}

const bodies = (entries: readonly TarEntry[]) => entries.map(({ path, body }) => [path, Buffer.from(body).toString()]);

describe('tar', () => {
  const long = `a/${'long-'.repeat(40)}name`;
  it.each(['gnu', 'pax'] as const)('reads long names as %s writes them, in pieces of any length', async (kind) => {
    const archive = tar(
      [
        { path: './first', body: 'one' },
        { path: long, body: 'two' },
        { path: 'last', body: '' },
      ],
      kind,
    );
    for (const length of [1, 511, 512, 5000]) {
      expect(bodies(await all(tarEntries(pieces(archive, length), () => true)))).toEqual([
        ['first', 'one'],
        [long, 'two'],
        ['last', ''],
      ]);
    }
  });

  it('skips what is not wanted', async () => {
    const archive = tar([
      { path: 'big', body: 'x'.repeat(10_000) },
      { path: 'wanted', body: 'y' },
    ]);
    expect(bodies(await all(tarEntries(pieces(archive, 700), ({ path }) => path === 'wanted')))).toEqual([
      ['wanted', 'y'],
    ]);
  });

  it('notices a damaged header and an early end', async () => {
    const archive = tar([{ path: 'file', body: 'x'.repeat(2000) }]);
    const damaged = Buffer.from(archive);
    damaged[3] = 0xff;
    await expect(all(tarEntries(pieces(damaged, 512), () => true))).rejects.toThrow('damaged tar header');
    await expect(all(tarEntries(pieces(archive.subarray(0, 1500), 512), () => true))).rejects.toThrow('too early');
  });

  it('never hangs or allocates without bound on garbage', async () => {
    const archive = tar([{ path: 'file', body: 'x'.repeat(600) }], 'pax');
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 0, max: 255 }), async (at, byte) => {
        const garbled = Buffer.from(archive);
        garbled[at] = byte;
        await all(tarEntries(pieces(garbled, 512), () => true)).catch((error: unknown) =>
          expect(error).toBeInstanceOf(Error),
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe('compression', () => {
  it.each([
    ['.xz', xzHello],
    ['.zst', zstdHello],
    ['.gz', gzipSync('Hello, guest')],
    ['', Buffer.from('Hello, guest')],
  ] as const)("'%s' is unpacked", async (name, bytes) => {
    expect(Buffer.from(await decompressBytes(`file${name}`, bytes)).toString()).toBe('Hello, guest');
  });

  it.each([
    ['.xz', xzHello],
    ['.zst', zstdHello],
    ['.gz', gzipSync('Hello, guest')],
  ] as const)("'%s' that ends early or is garbage is an error", async (name, bytes) => {
    await expect(decompressBytes(name, bytes.subarray(0, bytes.length - 9))).rejects.toThrow();
    await expect(decompressBytes(name, Buffer.alloc(100, 0x55))).rejects.toThrow();
    // The decoder is none the worse for it.
    expect(Buffer.from(await decompressBytes(name, bytes)).toString()).toBe('Hello, guest');
  });
});

describe('deb', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bottomhalf-deb-'));
  });
  afterAll(() => rm(directory, { recursive: true }));
  const read = async (bytes: Uint8Array): Promise<unknown> => {
    const path = join(directory, 'package.deb');
    await writeFile(path, bytes);
    return bodies(await all(debEntries(path, () => true)));
  };
  const archive = tar([{ path: './etc/file', body: 'text' }]);

  it('reads the files of a package', async () => {
    expect(await read(deb(gzipSync(archive)))).toEqual([['etc/file', 'text']]);
    expect(await read(deb(archive, 'data.tar'))).toEqual([['etc/file', 'text']]);
  });

  it('says what is wrong with others', async () => {
    await expect(read(Buffer.from('<html>not found</html>'))).rejects.toThrow('not a Debian package');
    await expect(read(Buffer.alloc(0))).rejects.toThrow('not a Debian package');
    await expect(read(deb(archive, 'data.tar.lzma'))).rejects.toThrow('no member data.tar');
    const whole = deb(gzipSync(archive));
    await expect(read(whole.subarray(0, whole.length - 20))).rejects.toThrow('too early');
  });
});

describe('control files', () => {
  it('are read with comments, long values and a signature', () => {
    const text =
      '-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nA: 1\n# no\nLong:\n x\n y\n\nA: 2\n-----BEGIN PGP SIGNATURE-----\n\nzz\n';
    expect(parseControl(text).map((stanza) => Object.fromEntries(stanza))).toEqual([
      { a: '1', long: '\nx\ny' },
      { a: '2' },
    ]);
  });
});

describe('cpio', () => {
  it('is what the format says, and the same every time', () => {
    const entries = [
      { path: 'd', kind: 'directory', mode: 0o755 },
      { path: 'd/f', kind: 'file', mode: 0o644, body: Buffer.from('hello') },
      { path: 'l', kind: 'symlink', target: 'd/f' },
      { path: 'c', kind: 'character', mode: 0o600, major: 5, minor: 1 },
    ] as const;
    const archive = cpio(entries);
    expect(archive).toEqual(cpio(entries));
    expect(archive.length % 512).toBe(0);
    const text = Buffer.from(archive).toString('latin1');
    const header = (name: string): string[] => {
      const start = text.indexOf(`${name}\0`) - 110;
      expect(start % 4).toBe(0);
      return text.slice(start + 6, start + 110).match(/.{8}/g) ?? [];
    };
    expect(text.startsWith('070701')).toBe(true);
    expect(header('d/f').slice(0, 2)).toEqual(['00000002', '000081A4']);
    expect(header('d/f')[6]).toBe('00000005');
    expect(header('c').slice(9, 11)).toEqual(['00000005', '00000001']);
    expect(header('TRAILER!!!')[11]).toBe('0000000B');
  });
});

describe('kernel modules', () => {
  const files: Readonly<Record<string, readonly string[]>> = {
    top: ['depends=mid,low-level', 'softdep=pre: crypto-crc32c unknown post: later', 'alias=fs-top'],
    mid: ['depends=low-level'],
    low_level: ['depends='],
    crc32c_generic: ['depends='],
    loop: ['depends=loop2'],
    loop2: ['depends=loop'],
    broken: ['depends=missing'],
  };
  const read = async (name: string) => {
    const info = files[name];
    return info && { path: `kernel/${name}.ko`, body: kernelModule(info) };
  };

  it('come with all they depend on, in the order of loading', async () => {
    const modules = await closeOverDependencies(['top'], read);
    expect(modules.map(({ name }) => name)).toEqual(['low_level', 'mid', 'crc32c_generic', 'top']);
    expect(modulesDep(modules).split('\n')).toContain(
      'kernel/top.ko: kernel/crc32c_generic.ko kernel/mid.ko kernel/low_level.ko',
    );
    expect(modulesDep(modules).split('\n')).toContain('kernel/low_level.ko:');
    expect(modulesAlias(modules)).toBe('alias fs-top top\n');
  });

  it('that are missing, depend on each other or are damaged are errors', async () => {
    await expect(closeOverDependencies(['broken'], read)).rejects.toThrow('broken -> missing');
    await expect(closeOverDependencies(['loop'], read)).rejects.toThrow('each other');
    const damaged = async () => ({ path: 'x.ko', body: Buffer.from('\x7fELF and no more') });
    await expect(closeOverDependencies(['x'], damaged)).rejects.toThrow('damaged kernel module');
  });

  it('are known by their path', () => {
    expect(parseModulePath('usr/lib/modules/6.12/kernel/fs/a-b.ko.xz')).toEqual({
      name: 'a_b',
      path: 'kernel/fs/a-b.ko',
    });
    expect(parseModulePath('usr/lib/modules/6.12/modules.order')).toBeUndefined();
  });
});
