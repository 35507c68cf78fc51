/** The arithmetic of the boots: rows and summaries from times to a prompt, and from the memory that processes have there. */
import type { ProcessMemory } from './process-memory.ts';
import { median, type Row } from './report.ts';

/** One emulator's boots, round by round. */
export interface Boots {
  readonly emulator: string;
  /** Process start to the kernel's start of /init; empty where nobody looked. */
  readonly initMs: readonly number[];
  /** Process start to the prompt. */
  readonly promptMs: readonly number[];
  /** At the prompt; empty where the host does not tell. */
  readonly memory: readonly ProcessMemory[];
}

export interface BootComparison {
  /** Name of the bench in the rows; keys in the summary begin with it. */
  readonly bench: string;
  /** What is waited for, in words. */
  readonly prompt: string;
  /** The one that all ratios are of; it is among the boots, as all others are. */
  readonly ours: string;
  /** Others: the bar of the ratio, and how its key ends. */
  readonly others: readonly { readonly emulator: string; readonly bar?: string; readonly key?: string }[];
}

const MEMORY_BAR = '<= 300';
const BYTES_PER_MB = 1e6;

/** The rows of the table, and the medians by their keys. A ratio is our time by the other's: lower is better for us. */
export function bootFigures(
  boots: readonly Boots[],
  { bench, prompt, ours, others }: BootComparison,
): { rows: Row[]; summary: Record<string, number> } {
  const rows: Row[] = [];
  const summary: Record<string, number> = {};
  const row = (name: string, unit: string, values: readonly number[], bar?: string): void => {
    if (values.length > 0) rows.push({ bench, name, unit, values, ...(bar !== undefined && { bar }) });
  };
  const promptMs = (emulator: string): readonly number[] =>
    boots.find((one) => one.emulator === emulator)?.promptMs ?? [];
  for (const one of boots) row(`${one.emulator}: process start to /init`, 'ms', one.initMs);
  for (const one of boots) row(`${one.emulator}: process start to ${prompt}`, 'ms', one.promptMs);
  for (const { emulator, bar, key } of others) {
    const theirs = promptMs(emulator);
    const ratios = promptMs(ours)
      .slice(0, theirs.length)
      .map((ms, round) => ms / (theirs[round] ?? Number.NaN));
    row(`ratio to ${emulator}, process to ${prompt}`, 'x', ratios, bar);
    if (key !== undefined && ratios.length > 0) summary[`${bench}${key}`] = median(ratios);
  }
  for (const { emulator, memory } of boots) {
    const isOurs = emulator === ours;
    const beyond = memory.map(({ rssBytes, guestBytes }) => (rssBytes - guestBytes) / BYTES_PER_MB);
    row(`${emulator}: memory beyond guest RAM`, 'MB', beyond, isOurs ? MEMORY_BAR : undefined);
    if (isOurs && beyond.length > 0) summary[`${bench}MemoryMb`] = median(beyond);
    const inMb = (pick: (one: ProcessMemory) => number): number[] => memory.map((one) => pick(one) / BYTES_PER_MB);
    row(
      `${emulator}:   shared pages counted in part`,
      'MB',
      inMb(({ pssBytes, guestBytes }) => pssBytes - guestBytes),
    );
    row(
      `${emulator}:   guest RAM resident`,
      'MB',
      inMb(({ guestBytes }) => guestBytes),
    );
    row(
      `${emulator}:   peak of the process, less that guest RAM`,
      'MB',
      inMb(({ peakBytes, guestBytes }) => peakBytes - guestBytes),
    );
  }
  return { rows, summary };
}
