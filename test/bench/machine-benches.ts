/** Benchmarks of our machine alone: instructions a second, time to the first one, CPU and memory at the prompt. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { coremarkLike, type LoopSpeed } from './guest-program.ts';
import { inChild } from './host.ts';
import type { Context } from './main.ts';
import type { Row } from './report.ts';
import type { IdleResult, StartResult } from './results.ts';

const ITERATIONS = 12_000;
const IDLE_SECONDS = 10;
const MIB = 2 ** 20;

export async function interpreterBench({ rounds }: Context): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-bench-'));
  const elf = join(directory, 'coremark-like.elf');
  const runs: LoopSpeed[] = [];
  try {
    writeFileSync(elf, coremarkLike(ITERATIONS));
    for (let round = 0; round < rounds; round++) runs.push(await inChild<LoopSpeed>('loop', { elf }));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const row = (name: string, unit: string, values: number[], bar?: string): Row => ({
    bench: 'interpreter',
    name,
    unit,
    values,
    ...(bar !== undefined && { bar }),
  });
  return [
    row(
      'CoreMark-like loop, warm (second half)',
      'MIPS',
      runs.map((run) => run.warmMips),
      '>= 300',
    ),
    row(
      'CoreMark-like loop, whole, from a cold engine',
      'MIPS',
      runs.map((run) => run.wholeMips),
    ),
    row(
      'its length',
      'million',
      runs.map((run) => run.instructions / 1e6),
    ),
  ];
}

export async function startBench({ rounds }: Context): Promise<Row[]> {
  const [cold, warm]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const [first = Number.NaN, ...others] = (await inChild<StartResult>('start')).ms;
    cold.push(first);
    warm.push(...others);
  }
  return [
    {
      bench: 'start',
      name: 'createVm to first guest store (+ 1 ms), first machine',
      unit: 'ms',
      values: cold,
      bar: '< 400',
    },
    {
      bench: 'start',
      name: 'createVm to first guest store (+ 1 ms), later ones',
      unit: 'ms',
      values: warm,
      bar: '< 400',
    },
  ];
}

const idleResults = new Map<string, Promise<IdleResult>>();

/** One boot serves two tables. */
function idleResult({ files }: Context): Promise<IdleResult> {
  const known = idleResults.get(files.kernel);
  const result = known ?? inChild<IdleResult>('idle', { ...files, seconds: IDLE_SECONDS });
  idleResults.set(files.kernel, result);
  return result;
}

export async function idleBench(context: Context): Promise<Row[]> {
  const result = await idleResult(context);
  const [first = 0, second = 0, ...others] = result.threadPercents;
  const rest = others.reduce((sum, percent) => sum + percent, 0);
  const row = (name: string, unit: string, value: number): Row => ({ bench: 'idle', name, unit, values: [value] });
  return [
    { ...row('CPU, whole process', '% of a core', result.cpuPercent), bar: '< 2' },
    row('  busiest thread', '% of a core', first),
    row('  next', '% of a core', second),
    row(`  the other ${others.length}`, '% of a core', rest),
    row('guest instructions a second', '', result.instructionsPerSecond),
  ];
}

export async function memoryBench(context: Context): Promise<Row[]> {
  const { resident, libraryBytes, imageBytes, mainHeapBytes, mainBuffersBytes, threads } = await idleResult(context);
  const row = (name: string, bytes: number): Row => ({ bench: 'memory', name, unit: 'MiB', values: [bytes / MIB] });
  const beyond = resident.totalBytes - resident.guestBytes;
  return [
    row('resident, whole process', resident.totalBytes),
    row('guest RAM touched', resident.guestBytes),
    { ...row('beyond guest RAM', beyond), bar: '<= 175 (one vCPU)' },
    row('  Node with the library, no machine', libraryBytes),
    row('  kernel and initrd as the caller read them', imageBytes),
    row('  hart state, TLBs, decoded code', resident.arenaBytes),
    row('main thread: JavaScript heap', mainHeapBytes),
    row('main thread: array buffers, shared ones not counted', mainBuffersBytes),
    { bench: 'memory', name: 'threads', unit: '', values: [threads] },
  ];
}
