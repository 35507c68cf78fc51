/** The CPU benchmark's arithmetic, and how it talks to a guest: nothing is timed here. */
import { describe, expect, it } from 'vitest';
import { cpuFigures, geometricMean } from '../bench/cpu-figures.ts';
import { table, toJson } from '../bench/report.ts';

const kernels = [
  { name: 'sieve', group: 'integer' },
  { name: 'fib', group: 'integer' },
  { name: 'coremark-like', group: 'integer' },
  { name: 'nbody', group: 'float' },
  { name: 'odd', group: 'extra' },
];
/** Ours takes 10 ms for everything in the first round, 20 in the second, 10 in the third. */
const ours = kernels.map(({ name: kernel }) => ({ runner: 'ours', kernel, ms: [10, 20, 10] }));
const other = (runner: string, ...ms: readonly (readonly number[])[]) =>
  ms.map((list, i) => ({ runner, kernel: kernels[i]?.name ?? '', ms: list }));
const qemu = other('QEMU', [20, 80, 30], [40, 80, 20], [10, 20, 10], [80, 80, 90], [1, 1, 1]);
const native = other('native', [1, 2, 1], [1, 2, 1], [1, 2, 1], [1, 2, 1], [9, 9, 9]);
const all = { ours: 'ours', qemu: 'QEMU', others: [{ runner: 'native', key: 'geomeanVsNative' }] };

const rowOf = (rows: ReturnType<typeof cpuFigures>['rows'], name: string) => rows.find((row) => row.name === name);

describe('figures of the CPU benchmark', () => {
  it('gives each kernel times and ratios, the bar to that of QEMU', () => {
    const { rows } = cpuFigures(kernels, [...ours, ...qemu, ...native], all);
    expect(rows.slice(0, 5)).toEqual([
      { bench: 'cpu', name: 'sieve: ours', unit: 'ms', values: [10, 20, 10] },
      { bench: 'cpu', name: 'sieve: QEMU', unit: 'ms', values: [20, 80, 30] },
      { bench: 'cpu', name: 'sieve: native', unit: 'ms', values: [1, 2, 1] },
      { bench: 'cpu', name: 'sieve: QEMU / ours', unit: 'x', values: [2, 4, 3], bar: '>= 0.9' },
      { bench: 'cpu', name: 'sieve: native / ours', unit: 'x', values: [0.1, 0.1, 0.1] },
    ]);
    expect(rowOf(rows, 'odd: QEMU / ours')).toEqual({
      bench: 'cpu',
      name: 'odd: QEMU / ours',
      unit: 'x',
      values: [0.1, 0.05, 0.1],
    });
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
    expect(toJson(rows[3] as never)).toMatchObject({ median: 3, min: 2, max: 4 });
    expect(table('CPU', rows).split('\n')[5]).toMatch(/sieve: QEMU \/ ours +3\.00 +2\.00 +4\.00 +3 +x +>= 0\.9$/);
  });

  it('takes the mean of each round, then the median of these; an extra kernel is in none', () => {
    const { rows, summary } = cpuFigures(kernels, [...ours, ...qemu, ...native], all);
    // Round by round: sieve 2 4 3, fib 4 4 2, coremark-like 1 1 1, nbody 8 4 9.
    const integer = [8, 16, 6].map((product) => product ** (1 / 3));
    const together = [64, 64, 54].map((product) => product ** (1 / 4));
    expect(rowOf(rows, 'integer, geometric mean: QEMU / ours')).toMatchObject({ bar: '>= 1.5' });
    rowOf(rows, 'integer, geometric mean: QEMU / ours')?.values.forEach((value, round) => {
      expect(value).toBeCloseTo(integer[round] ?? Number.NaN, 12);
    });
    expect(Object.keys(summary)).toEqual([
      ...['integer', 'float', 'coremarkLike', 'recursion', 'geomeanVsQemu', 'geomeanVsNative'],
    ]);
    expect(summary.integer).toBeCloseTo(2, 12);
    expect(summary.float).toBeCloseTo(8, 12);
    expect(summary.coremarkLike).toBeCloseTo(1, 12);
    expect(summary.recursion).toBeCloseTo(4, 12);
    expect(summary.geomeanVsQemu).toBeCloseTo(together[0] ?? Number.NaN, 12);
    expect(summary.geomeanVsNative).toBeCloseTo(0.1, 12);
  });

  it('leaves out what is not there', () => {
    const [, fib] = kernels as [never, { name: string; group: string }];
    const { rows, summary } = cpuFigures([fib], [...ours, ...qemu], { ...all, others: [] });
    expect(Object.keys(summary)).toEqual(['integer', 'recursion', 'geomeanVsQemu']);
    expect(rows.some(({ name }) => name.includes('native') || name.includes('sieve'))).toBe(false);
    const alone = cpuFigures(kernels, ours, { ours: 'ours', qemu: undefined, others: [] });
    expect(alone.summary).toEqual({});
    expect(alone.rows.map(({ name }) => name)).toEqual(kernels.map(({ name }) => `${name}: ours`));
  });

  it('gives the mean of a further one its bar', () => {
    const others = [{ runner: 'native', key: 'key', bar: '>= 0.87' }];
    const { rows, summary } = cpuFigures(kernels, [...ours, ...native], { ours: 'ours', qemu: undefined, others });
    expect(rows.filter(({ bar }) => bar !== undefined)).toMatchObject([
      { name: 'all, geometric mean: native / ours', bar: '>= 0.87' },
    ]);
    expect(Object.keys(summary)).toEqual(['key']);
  });

  it('means geometrically', () => {
    expect(geometricMean([2, 8])).toBeCloseTo(4, 12);
    expect(geometricMean([0.5, 2, 1])).toBeCloseTo(1, 12);
    expect(geometricMean([])).toBeNaN();
  });
});
