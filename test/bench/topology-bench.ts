/** How long a guest waits for a change of the memory map, with as many vCPUs as the host has cores and fewer. */
import { cpus } from 'node:os';
import { inChild } from './host.ts';
import type { Context } from './main.ts';
import type { Row } from './report.ts';
import type { TopologyResult } from './results.ts';

const BAR_US = 2000;

export async function topologyBench({ rounds }: Context): Promise<Row[]> {
  const rows: Row[] = [];
  // The main thread works too.
  for (const harts of [...new Set([1, 2, Math.max(2, cpus().length - 1)])]) {
    const runs: TopologyResult[] = [];
    for (let round = 0; round < rounds; round++) runs.push(await inChild<TopologyResult>('topology', { harts }));
    const add = (name: string, which: keyof TopologyResult, part: number, bar?: string): void => {
      const values = runs.map((run) => percentile(run[which], part));
      rows.push({ bench: 'topology', name: `${harts} vCPU: ${name}`, unit: 'us', values, ...(bar && { bar }) });
    };
    add('move of a BAR, p50', 'changeUs', 0.5);
    add('move of a BAR, p99', 'changeUs', 0.99, `< ${BAR_US}`);
    add('write that changes nothing, p50', 'plainUs', 0.5);
    add('write that changes nothing, p99', 'plainUs', 0.99);
    add('bare round of acknowledgements, p50', 'roundUs', 0.5);
    add('bare round of acknowledgements, p99', 'roundUs', 0.99);
  }
  return rows;
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
