/**
 * What a kernel and Debian's programs take inside a guest: ours with its translator beside QEMU, with the same images.
 * In each round all emulators boot; then each piece of work runs in all of them, one after the other, so that what
 * else the host does falls on all alike. The figures are the guest's own, ratios are QEMU's time over ours.
 *
 * Not measured: disks and networks, several harts.
 */
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CpioEntry } from '../../src/guest/cpio.ts';
import { emulatorsOf, OURS_NAME, QEMU10_NAME } from './cpu-bench.ts';
import { debianPrograms } from './debian-programs.ts';
import { ROOT, Unavailable } from './host.ts';
import { compileForGuest, LinuxGuest, withFiles } from './linux-guest.ts';
import type { Context } from './main.ts';
import { nameWith } from './other-node.ts';
import { type Emulator, QEMU } from './process-console.ts';
import type { Row } from './report.ts';
import type { LinuxFiles } from './results.ts';
import { type Comparison, systemFigures, type Work } from './system-figures.ts';

const SOURCE = fileURLToPath(new URL('test/bench/system/system.c', ROOT));
const SCRIPTS = fileURLToPath(new URL('test/bench/system/programs/', ROOT));
/** For the initrd, its copy in the guest, and what the programs write. */
const MEMORY = '2G';
const TIMEOUT_MS = 120_000;
const NS_PER_US = 1e3;
const NS_PER_MS = 1e6;

/** What the programs read; always the same. */
const SETUP = [
  'export LC_ALL=C PYTHONHASHSEED=0',
  '/bench/system text 3000000 >/tmp/text',
  '/bench/system text 300000 >/tmp/words',
  // Not with Debian's: its first run is timed.
  '/bin/busybox gzip -c </tmp/text >/tmp/text.gz',
  'cat /tmp/text.gz /tmp/text.gz /tmp/text.gz /tmp/text.gz >/tmp/long.gz',
  'cat /tmp/text /tmp/text /tmp/text /tmp/text >/tmp/long',
];

/** Name -> command. */
export const COMMANDS: Readonly<Record<string, string>> = {
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

/** @throws Unavailable without a compiler; Error where emulators disagree about what a program printed */
export async function systemBench(context: Context): Promise<Row[]> {
  const { directory, rounds, progress, otherNode } = context;
  const { files, unavailable } = await filesOf(context, join(directory, 'system-initrd.cpio'));
  const emulators = await emulatorsOf(context);
  const results = new Results();
  for (let round = 0; round < rounds; round++) {
    const tell = (what: string): void => progress(`system: round ${round + 1} of ${rounds}, ${what}`);
    const wanted = (name: string): boolean => context.cpu.only?.some((start) => name.startsWith(start)) ?? true;
    await runRound(emulators, files, results, tell, wanted, unavailable === undefined);
  }
  if (results.all().length === 0) throw new Error(`nothing begins with ${context.cpu.only?.join(' or ')}`);
  const [own, ...others] = emulators.map(({ name }) => name);
  const comparison: Comparison = {
    ours: own ?? '',
    others,
    barred: QEMU.name,
    keys: {
      [QEMU.name]: 'GeomeanVsQemu',
      [QEMU10_NAME]: 'GeomeanVsQemu10',
      ...(otherNode !== undefined && { [nameWith(OURS_NAME, otherNode)]: 'GeomeanVsNode' }),
    },
  };
  const { rows, summary } = systemFigures(results.all(), comparison);
  Object.assign(context.summary, summary);
  if (unavailable !== undefined) rows.push({ bench: 'system', name: 'programs', unit: '', values: [], unavailable });
  return rows;
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
      (name) =>
        ({ path: `bench/${name}`, kind: 'file', mode: 0o644, body: readFileSync(join(SCRIPTS, name)) }) as const,
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
  results: Results,
  progress: Context['progress'],
  isWanted: (name: string) => boolean,
  withPrograms: boolean,
): Promise<void> {
  const guests: { readonly emulator: Emulator; readonly guest: LinuxGuest }[] = [];
  try {
    for (const emulator of emulators) {
      progress(`boot of ${emulator.name}`);
      guests.push({ emulator, guest: await LinuxGuest.boot(emulator, files, { memory: MEMORY }) });
    }
    const kernels = (await guests[0]?.guest.run('/bench/system list', TIMEOUT_MS))?.trim().split('\n') ?? [];
    for (const name of kernels.filter(isWanted)) {
      progress(name);
      for (const { emulator, guest } of guests) {
        const { ns, check } = parseKernel(await guest.run(`/bench/system ${name}`, TIMEOUT_MS));
        results.add({ group: 'system', name, unit: 'us' }, emulator.name, check, ns / NS_PER_US);
      }
    }
    const commands = Object.entries(COMMANDS).filter(([name]) => isWanted(name));
    if (!withPrograms || commands.length === 0) return;
    for (const { guest } of guests) for (const command of SETUP) await guest.run(command, TIMEOUT_MS);
    for (const [name, command] of commands) {
      progress(name);
      for (const { emulator, guest } of guests) {
        const run = async () => parseTime(await guest.run(`/bench/system time ${command}`, TIMEOUT_MS));
        const [first, second] = [await run(), await run()];
        results.add({ group: 'firstRuns', name, unit: 'ms' }, emulator.name, first.check, first.ns / NS_PER_MS);
        results.add({ group: 'programs', name, unit: 'ms' }, emulator.name, second.check, second.ns / NS_PER_MS);
      }
    }
  } finally {
    for (const { guest } of guests) await guest.close();
  }
}

interface Measured {
  readonly ns: number;
  /** What the work gave. */
  readonly check: string;
}

function parseKernel(line: string): Measured {
  const [, ns, check] = /^system \S+ ([\d.]+) \d+ (\d+)\n$/.exec(line) ?? [];
  return { ns: Number(ns), check: check ?? notResult(line) };
}

function parseTime(line: string): Measured {
  const [, ns, check] = /^time (\d+) (\d+ [0-9a-f]+)\n$/.exec(line) ?? [];
  return { ns: Number(ns), check: check ?? notResult(line) };
}

function notResult(line: string): never {
  throw new Error(`not a result: ${JSON.stringify(line)}`);
}

/** What all have measured so far; the same work gives the same, each time and everywhere. */
class Results {
  readonly #all = new Map<string, Work & { readonly check: string; readonly times: Map<string, number[]> }>();

  add(kind: Pick<Work, 'group' | 'name' | 'unit'>, emulator: string, check: string, time: number): void {
    const key = `${kind.group} ${kind.name}`;
    const work = this.#all.get(key) ?? { ...kind, check, times: new Map<string, number[]>() };
    this.#all.set(key, work);
    if (work.check !== check) throw new Error(`${kind.name}: ${emulator} gave ${check}, not ${work.check}`);
    work.times.set(emulator, [...(work.times.get(emulator) ?? []), time]);
  }

  all(): readonly Work[] {
    return [...this.#all.values()];
  }
}
