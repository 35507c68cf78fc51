/**
 * What a kernel and Debian's programs take inside a guest: ours with its translator beside QEMU, with the same images.
 * In each round all emulators boot; then each piece of work runs in all of them, one after the other, so that what
 * else the host does falls on all alike. The figures are the guest's own, ratios are QEMU's time over ours.
 *
 * Not measured: disks and networks, several harts.
 */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CpioEntry } from '../../src/guest/cpio.ts';
import { debianPrograms } from './debian-programs.ts';
import { ROOT, Unavailable } from './host.ts';
import { compileForGuest, LinuxGuest, withFiles } from './linux-guest.ts';
import type { Context } from './main.ts';
import type { Emulator } from './process-console.ts';
import type { Row } from './report.ts';
import type { LinuxFiles } from './results.ts';

const BENCH = 'system';
const SOURCE = fileURLToPath(new URL('test/bench/kernels/system.c', ROOT));
const SCRIPTS = fileURLToPath(new URL('test/bench/programs/', ROOT));
/** For the initrd, its copy in the guest, and what the programs write. */
const MEMORY = '2G';
const TIMEOUT_MS = 120_000;
const GEOMEAN_BAR = '>= 1.0';
const PROGRAM_BAR = '>= 0.8';
const SYSTEM_WORK = 'system work';
const PROGRAMS = 'programs';

/** What the programs read; always the same. */
const SETUP = [
  'export LC_ALL=C PYTHONHASHSEED=0',
  '/bench/system text 3000000 >/tmp/text',
  '/bench/system text 300000 >/tmp/words',
  '/usr/bin/gzip -n -c /tmp/text >/tmp/text.gz',
  'cat /tmp/text.gz /tmp/text.gz /tmp/text.gz /tmp/text.gz >/tmp/long.gz',
  '/usr/bin/gzip -d -c /tmp/long.gz >/tmp/long',
];

/** Name -> command. */
const COMMANDS: Readonly<Record<string, string>> = {
  'gzip, 3 MB': '/usr/bin/gzip -n -c /tmp/text',
  'gzip -d, 12 MB': '/usr/bin/gzip -d -c /tmp/long.gz',
  'sha256sum, 12 MB': '/usr/bin/sha256sum /tmp/long',
  'python3, start and end': '/usr/bin/python3 -c pass',
  'python3, loops and calls': '/usr/bin/python3 /bench/loop.py',
  'python3, dictionaries and strings': '/usr/bin/python3 /bench/words.py',
  'sqlite3, inserts and selects': "/usr/bin/sqlite3 :memory: '.read /bench/rows.sql'",
  'perl, expressions and hashes': '/usr/bin/perl /bench/words.pl',
  'bash, arithmetic': '/usr/bin/bash /bench/loop.sh',
  'bash, processes': '/usr/bin/bash /bench/spawn.sh',
};

/** A piece of work: its times by emulator, a value for each round. */
interface Work {
  readonly kind: typeof SYSTEM_WORK | typeof PROGRAMS;
  readonly name: string;
  readonly unit: 'us' | 'ms';
  readonly times: Map<string, number[]>;
  /** Of its first run in a guest, for programs. */
  readonly firstTimes: Map<string, number[]>;
  /** What the first run of all gave. */
  check?: string;
}

/** @throws Unavailable without a compiler; Error where emulators disagree about what a program printed */
export async function systemBench(context: Context): Promise<Row[]> {
  const { emulators, rounds, progress } = context;
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-bench-'));
  const work = new Map<string, Work>();
  try {
    const { files, unavailable } = await filesOf(context, join(directory, 'initrd.cpio'));
    for (let round = 0; round < rounds; round++) {
      progress(`${BENCH}: round ${round + 1} of ${rounds}`);
      await runRound(emulators, files, work, unavailable === undefined);
    }
    return rowsOf([...work.values()], emulators, unavailable);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The guest with our program, the scripts and, where they can be had, Debian's programs. */
async function filesOf(
  { files, progress }: Context,
  initrd: string,
): Promise<{ files: LinuxFiles; unavailable: string | undefined }> {
  const entries: CpioEntry[] = [
    { path: 'bench', kind: 'directory', mode: 0o755 },
    { path: 'bench/system', kind: 'file', mode: 0o755, body: compileForGuest([SOURCE]) },
    ...readdirSync(SCRIPTS).map(
      (name) => ({ path: `bench/${name}`, kind: 'file', mode: 0o644, body: readFileSync(join(SCRIPTS, name)) }) as const,
    ),
  ];
  const own = withFiles(files, entries, initrd);
  try {
    appendFileSync(initrd, await debianPrograms(process.env, progress));
    return { files: own, unavailable: undefined };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return { files: own, unavailable: error.message };
  }
}

async function runRound(
  emulators: readonly Emulator[],
  files: LinuxFiles,
  work: Map<string, Work>,
  withPrograms: boolean,
): Promise<void> {
  const guests: { readonly emulator: Emulator; readonly guest: LinuxGuest }[] = [];
  try {
    for (const emulator of emulators) {
      guests.push({ emulator, guest: await LinuxGuest.boot(emulator, files, { memory: MEMORY }) });
    }
    const kernels = (await guests[0]?.guest.run('/bench/system list', TIMEOUT_MS))?.trim().split('\n') ?? [];
    for (const name of kernels) {
      const item = workNamed(work, SYSTEM_WORK, name, 'us');
      for (const { emulator, guest } of guests) await runKernel(item, emulator, guest);
    }
    if (!withPrograms) return;
    for (const { guest } of guests) for (const command of SETUP) await guest.run(command, TIMEOUT_MS);
    for (const [name, command] of Object.entries(COMMANDS)) {
      const item = workNamed(work, PROGRAMS, name, 'ms');
      for (const { emulator, guest } of guests) {
        add(item.firstTimes, emulator, await timeCommand(item, command, emulator, guest));
        add(item.times, emulator, await timeCommand(item, command, emulator, guest));
      }
    }
  } finally {
    for (const { guest } of guests) await guest.close();
  }
}

function workNamed(work: Map<string, Work>, kind: Work['kind'], name: string, unit: Work['unit']): Work {
  const item = work.get(name) ?? { kind, name, unit, times: new Map(), firstTimes: new Map() };
  work.set(name, item);
  return item;
}

function add(times: Map<string, number[]>, { name }: Emulator, value: number): void {
  times.set(name, [...(times.get(name) ?? []), value]);
}

async function runKernel(item: Work, emulator: Emulator, guest: LinuxGuest): Promise<void> {
  const line = await guest.run(`/bench/system ${item.name}`, TIMEOUT_MS);
  const [, ns, check] = /^system \S+ ([\d.]+) \d+ (\d+)\n$/.exec(line) ?? [];
  compare(item, emulator, check, line);
  add(item.times, emulator, Number(ns) / 1e3);
}

/** @returns the time of one run in ms */
async function timeCommand(item: Work, command: string, emulator: Emulator, guest: LinuxGuest): Promise<number> {
  const line = await guest.run(`/bench/system time ${command}`, TIMEOUT_MS);
  const [, ns, check] = /^time (\d+) (\d+ [0-9a-f]+)\n$/.exec(line) ?? [];
  compare(item, emulator, check, line);
  return Number(ns) / 1e6;
}

/** The same work gives the same, each time and everywhere. */
function compare(item: Work, { name }: Emulator, check: string | undefined, line: string): void {
  item.check ??= check;
  if (check === undefined || check !== item.check) {
    throw new Error(`${item.name}: ${name} gave ${JSON.stringify(line)}, not ${item.check}`);
  }
}

function rowsOf(work: readonly Work[], emulators: readonly Emulator[], unavailable: string | undefined): Row[] {
  const [own, ...others] = emulators;
  if (own === undefined) return [];
  const rows: Row[] = [];
  for (const kind of [SYSTEM_WORK, PROGRAMS] as const) {
    const items = work.filter((item) => item.kind === kind);
    if (kind === PROGRAMS && unavailable !== undefined) {
      rows.push({ bench: BENCH, name: kind, unit: '', values: [], unavailable });
      continue;
    }
    for (const { name, unit, times } of items) {
      for (const emulator of emulators) rows.push(row(`${name}: ${emulator.name}`, unit, times.get(emulator.name)));
      for (const other of others) {
        const bar = kind === PROGRAMS ? PROGRAM_BAR : undefined;
        rows.push(row(`${name}: ${other.name} / ${own.name}`, 'x', ratios(times, own, other), bar));
      }
    }
    for (const other of others) rows.push(...meanRows(kind, items, own, other));
  }
  return rows;
}

/** The rows that sum a kind of work up. */
function meanRows(kind: Work['kind'], items: readonly Work[], own: Emulator, other: Emulator): Row[] {
  const against = `${other.name} / ${own.name}`;
  const rows = [
    row(meanName(kind, against), 'x', geomeans(items.map(({ times }) => ratios(times, own, other))), GEOMEAN_BAR),
  ];
  if (kind === PROGRAMS) {
    const first = items.map(({ firstTimes }) => ratios(firstTimes, own, other));
    rows.push(row(`  the same of first runs`, 'x', geomeans(first)));
  }
  return rows;
}

function meanName(kind: Work['kind'], against: string): string {
  return `${kind}, geometric mean: ${against}`;
}

function row(name: string, unit: string, values: readonly number[] = [], bar?: string): Row {
  return { bench: BENCH, name, unit, values, ...(bar !== undefined && { bar }) };
}

/** A value for each round: how many times as long the other takes. */
function ratios(times: ReadonlyMap<string, readonly number[]>, own: Emulator, other: Emulator): number[] {
  const [mine = [], its = []] = [times.get(own.name), times.get(other.name)];
  return its.map((time, round) => time / (mine[round] ?? Number.NaN));
}

/** Of lists with a value for each round, a mean for each round. */
function geomeans(lists: readonly (readonly number[])[]): number[] {
  const rounds = lists[0]?.length ?? 0;
  return Array.from({ length: rounds }, (_, round) =>
    Math.exp(lists.reduce((sum, list) => sum + Math.log(list[round] ?? Number.NaN), 0) / lists.length),
  );
}
