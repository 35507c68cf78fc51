/** The system benchmark's arithmetic, its scripts, and what it takes out of Debian's packages: nothing is timed here. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { programEntries } from '../bench/debian-programs.ts';
import { COMMANDS } from '../bench/system-bench.ts';
import { systemFigures, type Work } from '../bench/system-figures.ts';
import { deb, type TarFile, tar } from '../guest/debian.ts';

const work = (group: Work['group'], name: string, own: number[], qemu: number[], newer: number[]): Work => ({
  group,
  name,
  unit: group === 'system' ? 'us' : 'ms',
  times: new Map([
    ['ours', own],
    ['QEMU', qemu],
    ['newer', newer],
  ]),
});
const works = [
  work('system', 'fork', [10, 10], [40, 20], [10, 10]),
  work('system', 'pipe', [10, 20], [10, 40], [10, 10]),
  work('firstRuns', 'gzip', [40, 40], [20, 20], [10, 10]),
  work('programs', 'gzip', [20, 20], [20, 30], [10, 10]),
];
const comparison = {
  ours: 'ours',
  others: ['QEMU', 'newer'],
  barred: 'QEMU',
  keys: { QEMU: 'VsQemu', newer: 'VsNewer' },
};

describe('figures of the system benchmark', () => {
  it('gives times, ratios and means, with bars for one of the others', () => {
    const { rows } = systemFigures(works, comparison);
    const of = (name: string) => rows.find((row) => row.name === name);
    expect(rows.slice(0, 5)).toEqual([
      { bench: 'system', name: 'fork: ours', unit: 'us', values: [10, 10] },
      { bench: 'system', name: 'fork: QEMU', unit: 'us', values: [40, 20] },
      { bench: 'system', name: 'fork: newer', unit: 'us', values: [10, 10] },
      { bench: 'system', name: 'fork: QEMU / ours', unit: 'x', values: [4, 2] },
      { bench: 'system', name: 'fork: newer / ours', unit: 'x', values: [1, 1] },
    ]);
    expect(of('gzip: QEMU / ours')).toMatchObject({ values: [1, 1.5], bar: '>= 0.8' });
    expect(of('gzip: newer / ours')).not.toHaveProperty('bar');
    expect(of('system work, geometric mean: QEMU / ours')).toMatchObject({ bar: '>= 1.0' });
    expect(of('programs, first run, geometric mean: QEMU / ours')).not.toHaveProperty('bar');
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  });

  it('takes the mean of each round, then the median of these', () => {
    const { summary } = systemFigures(works, comparison);
    expect(Object.keys(summary).sort()).toEqual([
      ...['firstRunsVsNewer', 'firstRunsVsQemu', 'programsVsNewer', 'programsVsQemu', 'systemVsNewer', 'systemVsQemu'],
    ]);
    expect(summary.systemVsQemu).toBeCloseTo(2, 12);
    expect(summary.systemVsNewer).toBeCloseTo((1 + Math.sqrt(1 / 2)) / 2, 12);
    expect(summary.programsVsQemu).toBeCloseTo(1.25, 12);
    expect(summary.firstRunsVsQemu).toBeCloseTo(0.5, 12);
  });

  it('leaves out a group that is not there', () => {
    const { rows, summary } = systemFigures(works.slice(0, 2), comparison);
    expect(Object.keys(summary)).toEqual(['systemVsQemu', 'systemVsNewer']);
    expect(rows.some(({ name }) => name.startsWith('programs'))).toBe(false);
  });
});

describe('the programs of the system benchmark', () => {
  it('are scripts that are there, and all of them', () => {
    const named = Object.values(COMMANDS).flatMap((command) => /\/bench\/([\w.]+)/.exec(command)?.[1] ?? []);
    expect(named.sort()).toEqual(readdirSync(new URL('../bench/system/programs', import.meta.url)).sort());
  });

  it('come out of the packages with their libraries, behind their directories', async () => {
    const entries = await entriesOf([
      { path: './usr/bin/perl', body: 'perl' },
      { path: './usr/bin/perl5.40.1', body: '', type: '1', target: './usr/bin/perl' },
      { path: './usr/bin/python3', body: '', type: '2', target: 'python3.13' },
      { path: './usr/bin/ls', body: 'ls' },
      { path: './usr/lib/riscv64-linux-gnu/libc.so.6', body: 'libc' },
      { path: './usr/lib/riscv64-linux-gnu/gconv/EUC-KR.so', body: 'characters' },
      { path: './usr/share/doc/perl/copyright', body: 'text' },
    ]);
    expect(entries.map(({ path }) => path)).toEqual([
      ...['lib', 'usr', 'usr/bin', 'usr/lib', 'usr/lib/riscv64-linux-gnu', 'lib/ld-linux-riscv64-lp64d.so.1'],
      ...['usr/bin/perl', 'usr/bin/perl5.40.1', 'usr/bin/python3', 'usr/lib/riscv64-linux-gnu/libc.so.6'],
    ]);
    const [first, second, third] = entries.slice(6);
    expect(first).toMatchObject({ kind: 'file', mode: 0o755, body: new Uint8Array(Buffer.from('perl')) });
    expect(second).toMatchObject({ kind: 'file', body: new Uint8Array(Buffer.from('perl')) });
    expect(third).toEqual({ path: 'usr/bin/python3', kind: 'symlink', target: 'python3.13' });
  });

  it('do not come out of a package with a link to nothing', async () => {
    const alone = [{ path: './usr/bin/perl5.40.1', body: '', type: '1', target: './usr/bin/perl' }];
    await expect(entriesOf(alone)).rejects.toThrow('a link to ./usr/bin/perl, which is not there');
  });
});

/** What is taken out of a package with these files. */
async function entriesOf(files: readonly TarFile[]) {
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-test-'));
  try {
    writeFileSync(join(directory, 'a.deb'), deb(gzipSync(tar(files))));
    return await programEntries([join(directory, 'a.deb')]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
