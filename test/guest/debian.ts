/** Makes tiny Debian packages, kernel modules and a mirror for the tests of src/guest. */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

export interface TarFile {
  readonly path: string;
  readonly body: string | Uint8Array;
  /** A type letter other than '0'. */
  readonly type?: string;
  /** Of a link. */
  readonly target?: string;
}

const sum = (header: Buffer): number => header.reduce((total, byte) => total + byte, 0);

/** A tar archive; a path that is too long for its field gets a GNU or a pax header in front. */
export function tar(files: readonly TarFile[], longNames: 'gnu' | 'pax' = 'gnu'): Buffer {
  const blocks = files.flatMap(({ path, body, type = '0', target = '' }) => {
    const bytes = Buffer.from(body as string);
    return [
      ...(path.length > 100 ? longName(path, longNames) : []),
      ...tarFile(path.slice(0, 100), bytes, type, target),
    ];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function longName(path: string, kind: 'gnu' | 'pax'): Buffer[] {
  if (kind === 'gnu') return tarFile('././@LongLink', Buffer.from(`${path}\0`), 'L');
  // The length counts its own digits.
  const rest = ` path=${path}\n`;
  const record = `${rest.length + 3}${rest}`;
  return tarFile('PaxHeader', Buffer.from(record), 'x');
}

function tarFile(name: string, body: Buffer, type: string, target = ''): Buffer[] {
  const header = Buffer.alloc(512);
  header.write(name, 0, 'utf8');
  header.write('0000755\0', 100);
  header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write(' '.repeat(8), 148);
  header.write(type, 156);
  header.write(target, 157, 'utf8');
  header.write('ustar\x0000', 257);
  header.write(`${sum(header).toString(8).padStart(6, '0')}\0 `, 148);
  return [header, body, Buffer.alloc(-body.length & 511)];
}

/** A package: an ar archive with the three members that dpkg-deb writes. */
export function deb(data: Uint8Array, dataName = 'data.tar.gz'): Buffer {
  const member = (name: string, body: Uint8Array): Buffer => {
    const head = `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}`;
    const padding = Buffer.alloc(body.length & 1, '\n');
    return Buffer.concat([Buffer.from(`${head}${String(body.length).padEnd(10)}\`\n`), body, padding]);
  };
  const control = member('control.tar.gz', gzipSync(tar([])));
  return Buffer.concat([
    Buffer.from('!<arch>\n'),
    member('debian-binary', Buffer.from('2.0\n')),
    control,
    member(dataName, data),
  ]);
}

/** An ELF file of RISC-V with nothing but a section .modinfo. */
export function kernelModule(info: readonly string[]): Buffer {
  const modinfo = Buffer.from(info.map((entry) => `${entry}\0`).join(''));
  const names = Buffer.from('\0.modinfo\0.shstrtab\0');
  const [headerBytes, entryBytes] = [64, 64];
  const namesAt = headerBytes + modinfo.length;
  const tableAt = namesAt + names.length;
  const file = Buffer.alloc(tableAt + 3 * entryBytes);
  file.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  file.writeUInt16LE(243, 18);
  file.writeBigUInt64LE(BigInt(tableAt), 40);
  file.writeUInt16LE(entryBytes, 58);
  file.writeUInt16LE(3, 60);
  file.writeUInt16LE(2, 62);
  modinfo.copy(file, headerBytes);
  names.copy(file, namesAt);
  for (const [index, name, offset, size] of [
    [1, 1, headerBytes, modinfo.length],
    [2, 10, namesAt, names.length],
  ] as const) {
    file.writeUInt32LE(name, tableAt + index * entryBytes);
    file.writeBigUInt64LE(BigInt(offset), tableAt + index * entryBytes + 24);
    file.writeBigUInt64LE(BigInt(size), tableAt + index * entryBytes + 32);
  }
  return file;
}

export const release = '6.12.1+deb13-riscv64';

/** A boot image of 4 KiB with the second magic number in place. */
export function kernelImage(): Buffer {
  const image = Buffer.alloc(4096, 0x13);
  image.write('RSC\x05', 56, 'latin1');
  return image;
}

/** Name -> what it depends on; the same shape as in Debian's package. */
const modules: Readonly<Record<string, readonly string[]>> = {
  'drivers/virtio/virtio_mmio': ['depends='],
  'drivers/block/virtio_blk': ['alias=virtio:d00000002v*', 'depends='],
  'drivers/net/virtio_net': ['depends=net_failover'],
  'drivers/net/net_failover': ['depends=failover'],
  'net/core/failover': ['depends='],
  'fs/ext4/ext4': ['softdep=pre: crypto-crc32c', 'alias=fs-ext4', 'depends=jbd2,mbcache'],
  'fs/jbd2/jbd2': ['depends='],
  'fs/mbcache': ['depends='],
  'crypto/crc32c_generic': ['alias=crypto-crc32c', 'depends='],
  'fs/9p/9p': ['depends=9pnet'],
  'net/9p/9pnet': ['depends='],
  'net/9p/9pnet_virtio': ['depends=9pnet'],
  'sound/not-needed': ['depends='],
};

export function kernelDeb(without: string | undefined = undefined): Buffer {
  const files = Object.entries(modules)
    .filter(([path]) => path !== without)
    .map(([path, info]) => ({
      path: `./usr/lib/modules/${release}/kernel/${path}.ko.gz`,
      body: gzipSync(kernelModule(info)),
    }));
  const kernel = { path: `./boot/vmlinux-${release}`, body: kernelImage() };
  const builtin = { path: `./usr/lib/modules/${release}/modules.builtin`, body: 'kernel/drivers/virtio/virtio.ko\n' };
  return deb(gzipSync(tar([kernel, builtin, ...files])));
}

export function busyboxDeb(): Buffer {
  return deb(gzipSync(tar([{ path: './usr/bin/busybox', body: 'busybox' }])));
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/**
 * Path on a mirror -> bytes: Release, index and both packages, fitting together.
 * @param name what the mirror calls the release
 */
export function mirrorFiles(
  kernel = kernelDeb(),
  busybox = busyboxDeb(),
  name = 'trixie',
  codeName = 'trixie',
): Map<string, Buffer> {
  const stanza = (name: string, path: string, body: Buffer): string =>
    `Package: ${name}\nArchitecture: riscv64\nFilename: ${path}\nSize: ${body.length}\nSHA256: ${sha256(body)}\n\n`;
  const [kernelPath, busyboxPath] = ['pool/main/l/linux/kernel+1.deb', 'pool/main/b/busybox/busybox.deb'];
  const index = gzipSync(
    `Package: linux-image-riscv64\nDepends: linux-image-${release} (= 1), other | another\n\n` +
      stanza(`linux-image-${release}`, kernelPath, kernel) +
      stanza('busybox-static', busyboxPath, busybox),
  );
  const indexPath = 'main/binary-riscv64/Packages.gz';
  const inRelease = `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nCodename: ${codeName}\nSHA256:\n ${sha256(index)} ${index.length} ${indexPath}\n-----BEGIN PGP SIGNATURE-----\n\nnone\n-----END PGP SIGNATURE-----\n`;
  return new Map([
    [`/debian/dists/${name}/InRelease`, Buffer.from(inRelease)],
    [`/debian/dists/${name}/${indexPath}`, index],
    [`/debian/${kernelPath}`, kernel],
    [`/debian/${busyboxPath}`, busybox],
  ]);
}

export interface FakeMirror {
  readonly url: string;
  readonly requests: string[];
  close(): void;
}

export async function serve(files: ReadonlyMap<string, Buffer>): Promise<FakeMirror> {
  const requests: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    requests.push(path);
    const body = files.get(path);
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/debian`,
    requests,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
