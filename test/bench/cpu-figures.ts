/** The arithmetic of the CPU benchmark: rows and means from the times of each kernel. */
import { median, type Row } from './report.ts';

/** As `cpu list` prints it; no mean counts an `extra`. */
export interface Kernel {
  readonly name: string;
  readonly group: string;
}

/** One runner's times of one kernel, in ms, round by round. */
export interface Times {
  readonly runner: string;
  readonly kernel: string;
  readonly ms: readonly number[];
}

/** Who is compared with whom; undefined for what is not there. */
export interface Comparison {
  /** The one that all ratios are of. */
  readonly ours: string;
  /** The one that the bars are of. */
  readonly qemu: string | undefined;
  /** Further ones, what their mean is called in the summary, and its bar. */
  readonly others: readonly { readonly runner: string; readonly key: string; readonly bar?: string }[];
}

const KERNEL_BAR = '>= 0.9';

/** Means, the key of each in the summary, and which kernels count in it. */
const means: readonly {
  readonly key: string;
  readonly name: string;
  readonly bar: string;
  counts(kernel: Kernel): boolean;
}[] = [
  { key: 'integer', name: 'integer, geometric mean', bar: '>= 1.5', counts: ({ group }) => group === 'integer' },
  { key: 'float', name: 'floating point, geometric mean', bar: '>= 4', counts: ({ group }) => group === 'float' },
  { key: 'coremarkLike', name: 'CoreMark-like', bar: '>= 1.15', counts: ({ name }) => name === 'coremark-like' },
  { key: 'recursion', name: 'recursion', bar: '>= 2', counts: ({ name }) => name === 'fib' },
  { key: 'geomeanVsQemu', name: 'all, geometric mean', bar: '>= 2.0', counts: isCounted },
];

function isCounted({ group }: Kernel): boolean {
  return group !== 'extra';
}

/** NaN for none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/**
 * The rows of the table, and the medians of the means by their keys. A ratio is the other's time by ours, round by round:
 * higher is better for us.
 */
export function cpuFigures(
  kernels: readonly Kernel[],
  times: readonly Times[],
  comparison: Comparison,
): { rows: Row[]; summary: Record<string, number> } {
  const { ours, qemu, others } = comparison;
  const of = (runner: string, kernel: string): readonly number[] =>
    times.find((one) => one.runner === runner && one.kernel === kernel)?.ms ?? [];
  const ratios = (runner: string, kernel: string): number[] => {
    const own = of(ours, kernel);
    return of(runner, kernel).map((ms, round) => ms / (own[round] ?? Number.NaN));
  };
  const rows: Row[] = [];
  const row = (name: string, unit: string, values: readonly number[], bar?: string): void => {
    rows.push({ bench: 'cpu', name, unit, values, ...(bar !== undefined && { bar }) });
  };
  const runners = [...new Set(times.map(({ runner }) => runner))];
  const compared = [...(qemu === undefined ? [] : [qemu]), ...others.map(({ runner }) => runner)];
  for (const { name, group } of kernels) {
    for (const runner of runners) row(`${name}: ${runner}`, 'ms', of(runner, name));
    for (const runner of compared) {
      const bar = runner === qemu && group !== 'extra' ? KERNEL_BAR : undefined;
      row(`${name}: ${runner} / ${ours}`, 'x', ratios(runner, name), bar);
    }
  }
  const summary: Record<string, number> = {};
  const mean = (runner: string, key: string, name: string, counted: readonly Kernel[], bar?: string): void => {
    if (counted.length === 0) return;
    const byKernel = counted.map((kernel) => ratios(runner, kernel.name));
    const rounds = byKernel[0]?.map((_, round) => geometricMean(byKernel.map((list) => list[round] ?? Number.NaN)));
    row(`${name}: ${runner} / ${ours}`, 'x', rounds ?? [], bar);
    summary[key] = median(rounds ?? []);
  };
  if (qemu !== undefined) {
    for (const { key, name, bar, counts } of means) mean(qemu, key, name, kernels.filter(counts), bar);
  }
  for (const { runner, key, bar } of others) mean(runner, key, 'all, geometric mean', kernels.filter(isCounted), bar);
  return { rows, summary };
}
