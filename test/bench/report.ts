/** Figures: median and spread, as a table for people and as rows for machines. */

export interface Row {
  readonly bench: string;
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** What is asked for, in words: `>= 300`. */
  readonly bar?: string;
  /** Why there are no values. */
  readonly unavailable?: string;
}

/** The row as it is written to a file. */
export interface RowJson extends Row {
  readonly median: number | null;
  readonly min: number | null;
  readonly max: number | null;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function toJson(row: Row): RowJson {
  const none = row.values.length === 0;
  return {
    ...row,
    median: none ? null : median(row.values),
    min: none ? null : Math.min(...row.values),
    max: none ? null : Math.max(...row.values),
  };
}

const HEADINGS = ['', 'median', 'min', 'max', 'n', 'unit', 'bar'];

/** One table: the rows of one benchmark. */
export function table(title: string, rows: readonly Row[]): string {
  const cells = [HEADINGS, ...rows.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((text, column) =>
        column === 0 || column >= 5 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return `${title}\n${cells.map((row) => `  ${line(row)}`).join('\n')}\n`;
}

function cellsOf(row: Row): string[] {
  if (row.values.length === 0) return [row.name, '-', '-', '-', '0', row.unavailable ?? '', ''];
  const { median: middle, min, max } = toJson(row);
  return [row.name, ...[middle, min, max].map(digits), String(row.values.length), row.unit, row.bar ?? ''];
}

/** Three significant digits, and whole numbers above. */
function digits(value: number | null): string {
  if (value === null) return '-';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2);
}
