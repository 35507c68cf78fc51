/** The arithmetic of the system benchmark: rows and means from the times of each piece of work. */
import { geometricMean } from './cpu-figures.ts';
import { median, type Row } from './report.ts';

export interface Work {
  /** `firstRuns` are those of `programs` in a guest that has not run them yet. */
  readonly group: 'system' | 'programs' | 'firstRuns';
  readonly name: string;
  readonly unit: 'us' | 'ms';
  /** By emulator, round by round. */
  readonly times: ReadonlyMap<string, readonly number[]>;
}

export interface Comparison {
  /** The one that all ratios are of. */
  readonly ours: string;
  readonly others: readonly string[];
  /** The one of the others that the bars are of. */
  readonly barred: string;
  /** Other -> how the key of its means in the summary ends; it begins with the group. */
  readonly keys: Readonly<Record<string, string>>;
}

const BENCH = 'system';
const MEAN_BAR = '>= 1.0';
const PROGRAM_BAR = '>= 0.8';
/** Group -> what its mean is called. First runs have no bar and no rows of their own. */
const MEANS: Readonly<Record<Work['group'], string>> = {
  system: 'system work, geometric mean',
  programs: 'programs, geometric mean',
  firstRuns: 'programs, first run, geometric mean',
};

/**
 * The rows of the table, and the medians of the means by their keys. A ratio is the other's time by ours, round by round:
 * higher is better for us.
 */
export function systemFigures(
  works: readonly Work[],
  { ours, others, barred, keys }: Comparison,
): { rows: Row[]; summary: Record<string, number> } {
  const rows: Row[] = [];
  const summary: Record<string, number> = {};
  const row = (name: string, unit: string, values: readonly number[], bar?: string): void => {
    rows.push({ bench: BENCH, name, unit, values, ...(bar !== undefined && { bar }) });
  };
  const ratios = ({ times }: Work, other: string): number[] =>
    (times.get(other) ?? []).map((time, round) => time / (times.get(ours)?.[round] ?? Number.NaN));
  for (const [group, meanName] of Object.entries(MEANS)) {
    const members = works.filter((work) => work.group === group);
    if (members.length === 0) continue;
    for (const work of group === 'firstRuns' ? [] : members) {
      for (const [emulator, times] of work.times) row(`${work.name}: ${emulator}`, work.unit, times);
      for (const other of others) {
        const bar = group === 'programs' && other === barred ? PROGRAM_BAR : undefined;
        row(`${work.name}: ${other} / ${ours}`, 'x', ratios(work, other), bar);
      }
    }
    for (const other of others) {
      const byWork = members.map((work) => ratios(work, other));
      const values = (byWork[0] ?? []).map((_, round) =>
        geometricMean(byWork.map((list) => list[round] ?? Number.NaN)),
      );
      row(
        `${meanName}: ${other} / ${ours}`,
        'x',
        values,
        group !== 'firstRuns' && other === barred ? MEAN_BAR : undefined,
      );
      const key = keys[other];
      if (key !== undefined) summary[`${group}${key}`] = median(values);
    }
  }
  return { rows, summary };
}
