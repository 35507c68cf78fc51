/** The boots' arithmetic, memory as /proc tells it, and the root file system out of packages: nothing is timed here. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { CpioEntry } from '../../src/guest/cpio.ts';
import { bootFigures } from '../bench/boot-figures.ts';
import { unpackedEntries } from '../bench/debian-root.ts';
import { Unavailable } from '../bench/host.ts';
import { nameWith, otherNode } from '../bench/other-node.ts';
import { fieldBytes, memoryFrom, ramMapping } from '../bench/process-memory.ts';
import { accounts, COPIES, MASTERS } from '../bench/root-files.ts';
import { deb, type TarFile, tar } from '../guest/debian.ts';

const MB = 1e6;
const memory = (rss: number, guest: number) => ({
  rssBytes: rss * MB,
  pssBytes: (rss - 10) * MB,
  peakBytes: (rss + 50) * MB,
  guestBytes: guest * MB,
});
const boots = [
  { emulator: 'ours', initMs: [4, 6], promptMs: [10, 30], memory: [memory(300, 100), memory(400, 100)] },
  { emulator: 'QEMU', initMs: [2, 3], promptMs: [10, 20], memory: [memory(500, 100)] },
  { emulator: 'newer', initMs: [], promptMs: [5, 10], memory: [] },
];
const comparison = {
  bench: 'systemd',
  prompt: 'the prompt',
  ours: 'ours',
  others: [{ emulator: 'QEMU', bar: '<= 1.2', key: 'RatioVsQemu' }, { emulator: 'newer' }],
};

describe('figures of the boots', () => {
  it('gives times, ratios of ours to each other round by round, and memory, with bars', () => {
    const { rows, summary } = bootFigures(boots, comparison);
    const row = (name: string, unit: string, values: number[], bar?: string) => ({
      ...{ bench: 'systemd', name, unit, values },
      ...(bar !== undefined && { bar }),
    });
    expect(rows).toEqual([
      row('ours: process start to /init', 'ms', [4, 6]),
      row('QEMU: process start to /init', 'ms', [2, 3]),
      row('ours: process start to the prompt', 'ms', [10, 30]),
      row('QEMU: process start to the prompt', 'ms', [10, 20]),
      row('newer: process start to the prompt', 'ms', [5, 10]),
      row('ratio to QEMU, process to the prompt', 'x', [1, 1.5], '<= 1.2'),
      row('ratio to newer, process to the prompt', 'x', [2, 3]),
      row('ours: memory beyond guest RAM', 'MB', [200, 300], '<= 300'),
      row('ours:   shared pages counted in part', 'MB', [190, 290]),
      row('ours:   guest RAM resident', 'MB', [100, 100]),
      row('ours:   peak of the process, less that guest RAM', 'MB', [250, 350]),
      row('QEMU: memory beyond guest RAM', 'MB', [400]),
      row('QEMU:   shared pages counted in part', 'MB', [390]),
      row('QEMU:   guest RAM resident', 'MB', [100]),
      row('QEMU:   peak of the process, less that guest RAM', 'MB', [450]),
    ]);
    expect(summary).toEqual({ systemdRatioVsQemu: 1.25, systemdMemoryMb: 250 });
  });

  it('has nothing to say of what is not there', () => {
    const alone = bootFigures([{ ...boots[0], memory: [] } as never], { ...comparison, others: [] });
    expect(alone.rows.map(({ name }) => name)).toEqual([
      ...['ours: process start to /init', 'ours: process start to the prompt'],
    ]);
    expect(alone.summary).toEqual({});
  });
});

const mapping = (range: string, access: string, rssKb: number): string =>
  `${range} ${access} 00000000 00:00 0 \nSize:           2119680 kB\nKernelPageSize:        4 kB\nRss:   ${rssKb} kB\nPss:   1 kB\nVmFlags: rd wr\n`;
/** 4 MiB of RAM behind 1 MiB of something else; then what is large enough, but cannot be it. */
const SMAPS =
  mapping('00400000-00900000', 'r--p', 1) +
  mapping('10000000-10500000', 'rw-p', 3000) +
  mapping('20000000-20400000', 'rwxp', 9) +
  mapping('30000000-303ff000', 'rw-p', 9) +
  mapping('7f0f08180000-7f0f08780000', 'rw-s', 9);
const RAM_BYTES = 4 << 20;

describe('memory beyond guest RAM', () => {
  it('takes RAM for the end of the smallest mapping that has room for it', () => {
    const texts = {
      status: 'VmPeak:\t  99 kB\nVmHWM:\t  8000 kB\n',
      rollup: 'Rss:  7000 kB\nPss:  6000 kB\n',
      smaps: SMAPS,
    };
    const asked: number[][] = [];
    const found = memoryFrom(texts, RAM_BYTES, (...range) => {
      asked.push(range);
      return 500 * 1024;
    });
    expect(asked).toEqual([[0x10000000, 1 << 20]]);
    expect(found).toEqual({
      ...{ rssBytes: 7000 * 1024, pssBytes: 6000 * 1024, peakBytes: 8000 * 1024, guestBytes: 2500 * 1024 },
    });
  });

  it('knows addresses above 4 GiB, and says what is missing', () => {
    expect(ramMapping(SMAPS, 6 << 20)).toEqual({ start: 0x7f0f08180000, lengthBytes: 6 << 20, rssBytes: 9 * 1024 });
    expect(ramMapping(SMAPS, 7 << 20)).toBeUndefined();
    expect(ramMapping('', 1)).toBeUndefined();
    const texts = { status: '', rollup: '', smaps: SMAPS };
    expect(() => memoryFrom(texts, 7 << 20, () => 0)).toThrow(Unavailable);
    expect(() => memoryFrom(texts, RAM_BYTES, () => 0)).toThrow('does not tell Rss');
    expect(fieldBytes('Rss:  1 kB\nPss:  2 kB\nPss_Dirty:  3 kB', 'Pss')).toBe(2048);
  });
});

describe('the Node beside', () => {
  it('is asked for its version', () => {
    const same = otherNode(process.execPath);
    expect(same).toEqual({ path: process.execPath, version: process.versions.node, isNewer: false });
    expect(otherNode(process.execPath, '9.11.2').isNewer).toBe(true);
    expect(nameWith('ours', same)).toBe(`ours, Node ${process.versions.node}`);
  });

  it('is one', () => {
    expect(() => otherNode('/nowhere/node')).toThrow('--node: /nowhere/node does not run');
    expect(() => otherNode('echo')).toThrow('--node: echo is no Node');
  });
});

const PASSWD = 'root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n';
const GROUP = 'root:*:0:\nnogroup:*:65534:\nold:*:999:\n';

describe('the accounts of the root file system', () => {
  it("are the masters' and those of sysusers.d, and none has a password", () => {
    const sysusers = [
      '# comment\ng input  -\ng kvm 61 -\nu root 0 - /root /bin/bash\ng nogroup 65534\nm a b\n',
      'u! net - "Network Management"\nu bus - "Message Bus" /nonexistent\nu apt 42:65534 - /nonexistent /bin/false\n',
    ];
    const { passwd, group, shadow, gshadow } = accounts(PASSWD, GROUP, sysusers);
    expect(passwd.split('\n')).toEqual([
      'root:x:0:0:root:/root:/bin/bash',
      'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
      'net:x:997:997:Network Management:/:/usr/sbin/nologin',
      'bus:x:996:996:Message Bus:/nonexistent:/usr/sbin/nologin',
      'apt:x:42:65534::/nonexistent:/bin/false',
      '',
    ]);
    expect(group.split('\n')).toEqual([
      ...['root:x:0:', 'nogroup:x:65534:', 'old:x:999:', 'input:x:998:', 'kvm:x:61:', 'net:x:997:', 'bus:x:996:', ''],
    ]);
    expect(shadow.split('\n').slice(0, 2)).toEqual(['root:*:20000:0:99999:7:::', 'nobody:*:20000:0:99999:7:::']);
    expect(shadow.split('\n')).toHaveLength(passwd.split('\n').length);
    expect(gshadow.split('\n')[3]).toBe('input:*::');
  });
});

/** What the packages have for certain. */
const BASE: readonly TarFile[] = [
  ...Object.values(COPIES).map((path) => ({ path: `./${path}`, body: `text of ${path}` })),
  { path: `./${MASTERS.passwd}`, body: PASSWD },
  { path: `./${MASTERS.group}`, body: GROUP },
];

describe('the root file system', () => {
  it('has the files of all packages with merged /usr, and what their scripts would have made', async () => {
    const entries = await entriesOf(
      [...BASE, { path: './lib', body: '', type: '2', target: 'usr/lib' }, { path: './tmp/', body: '', type: '5' }],
      [
        { path: './bin/perl', body: 'perl' },
        { path: './bin/perl5', body: '', type: '1', target: './bin/perl' },
        { path: './lib/', body: '', type: '5' },
        { path: './usr/lib/sysusers.d/a.conf', body: 'g input -\n' },
        { path: './dev/null', body: '', type: '3' },
      ],
    );
    const paths = entries.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    const of = (path: string) => entries.find((entry) => entry.path === path);
    const textOf = (path: string) => Buffer.from((of(path) as CpioEntry & { kind: 'file' }).body).toString();
    expect(of('lib')).toEqual({ path: 'lib', kind: 'symlink', target: 'usr/lib' });
    expect(textOf('usr/bin/perl5')).toBe('perl');
    expect(of('tmp')).toEqual({ path: 'tmp', kind: 'directory', mode: 0o755 });
    expect(of('dev/null')).toMatchObject({ kind: 'character', major: 1, minor: 3 });
    expect(of('init')).toMatchObject({ kind: 'symlink', target: 'usr/lib/systemd/systemd' });
    expect(textOf('etc/group')).toContain('input:x:998:');
    expect(textOf('etc/profile')).toBe(`text of ${COPIES['etc/profile']}`);
    expect(textOf('etc/machine-id')).toMatch(/^[0-9a-f]{32}\n$/);
    for (const [at, path] of paths.entries()) {
      const parent = path.split('/').slice(0, -1).join('/');
      if (parent !== '') expect(paths.indexOf(parent), path).toBeLessThan(at);
      if (parent !== '') expect(paths, path).toContain(parent);
    }
  });

  it('does not come out of packages that lack what must be there, or with a link to nothing', async () => {
    await expect(entriesOf(BASE.slice(1))).rejects.toThrow(`the packages have no ${BASE[0]?.path.slice(2)}`);
    const link = { path: './bin/perl5', body: '', type: '1', target: './bin/perl' };
    await expect(entriesOf([...BASE, link])).rejects.toThrow('usr/bin/perl5 is a link to ./bin/perl, not there');
  });
});

/** The tree of packages with these files. */
async function entriesOf(...packages: readonly (readonly TarFile[])[]) {
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-test-'));
  try {
    const names = packages.map((files, index) => {
      const name = join(directory, `${index}.deb`);
      writeFileSync(name, deb(gzipSync(tar(files))));
      return name;
    });
    return await unpackedEntries(names);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
