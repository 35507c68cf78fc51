/**
 * The benchmarks: `npm run bench -- [names] [options]`. Prints a table for each and, where asked, writes the rows. Nothing
 * here fails because a figure is poor, but what computes something else does; where a tool is missing, the table says
 * which.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import { lineProgress } from '../../src/guest/progress.ts';
import { bootBench } from './boot-bench.ts';
import { consoleBench } from './console-bench.ts';
import { type CpuOptions, cpuBench } from './cpu-bench.ts';
import { ROOT, Unavailable } from './host.ts';
import { idleBench, interpreterBench, memoryBench, startBench } from './machine-benches.ts';
import { type OtherNode, otherNode } from './other-node.ts';
import { type Emulator, OURS, QEMU, qemu } from './process-console.ts';
import { type Row, table, toJson } from './report.ts';
import type { LinuxFiles } from './results.ts';
import { pauseBench, smpBench } from './smp-bench.ts';
import { systemBench } from './system-bench.ts';
import { systemdBench } from './systemd-bench.ts';
import { topologyBench } from './topology-bench.ts';

/** What a benchmark is handed. */
export interface Context {
  readonly rounds: number;
  readonly files: LinuxFiles;
  /** Ours first, then each QEMU there is. */
  readonly emulators: readonly Emulator[];
  /** For files; it goes when all is done. */
  readonly directory: string;
  readonly cpu: CpuOptions;
  /** A Node that runs ours as well. */
  readonly otherNode: OtherNode | undefined;
  /** What stands in the file beside the rows: a benchmark adds its means, under names of its own. */
  readonly summary: Record<string, number>;
  progress(text: string): void;
}

const QEMU10_VARIABLE = 'BOTTOMHALF_QEMU10';

interface Bench {
  readonly title: string;
  /** It takes so long that it runs only when it is named. */
  readonly onlyNamed?: true;
  /** Where it is named, the other one runs behind it. */
  readonly brings?: string;
  /** Repetitions where none are asked for; DEFAULT_ROUNDS when left out. */
  readonly rounds?: number;
  run(context: Context): Promise<Row[]>;
}

const benches: Readonly<Record<string, Bench>> = {
  start: { title: 'Start: createVm to the first guest instruction', run: startBench },
  interpreter: { title: 'Interpreter: a CoreMark-like loop in M mode', run: interpreterBench },
  boot: {
    title: 'Boot: Debian kernel and default initramfs to the prompt, 512 MiB, one hart',
    brings: 'systemd',
    run: bootBench,
  },
  systemd: {
    title: 'systemd: the same kernel and a whole Debian as initramfs to the login prompt, 2 GiB; one hart, and two',
    onlyNamed: true,
    rounds: 3,
    run: systemdBench,
  },
  idle: { title: 'Idle: at the prompt, over 10 s', run: idleBench },
  memory: { title: 'Memory: at the idle prompt, 512 MiB of guest RAM', run: memoryBench },
  console: { title: 'Console throughput', run: consoleBench },
  smp: { title: 'Several harts: throughput, accesses and interrupts between threads, boot', run: smpBench },
  pause: { title: 'Pause of machines whose harts all compute', run: pauseBench },
  topology: { title: 'Topology: a change of the memory map, as its guest sees it', run: topologyBench },
  cpu: { title: 'CPU: programs in the Debian guest, 512 MiB, one hart', onlyNamed: true, run: cpuBench },
  system: {
    title: "System: what a kernel does, and Debian's programs, in a guest of 2 GiB, one hart",
    onlyNamed: true,
    run: systemBench,
  },
};
/** Not among those that run by default: it prints by itself. */
const MESSAGES = 'messages';

const DEFAULT_ROUNDS = 5;
const LINUX = ['boot', 'systemd', 'idle', 'memory', 'console', 'smp', 'cpu', 'system'];
const byDefault = Object.keys(benches).filter((name) => benches[name]?.onlyNamed !== true);
const onlyNamed = Object.keys(benches).filter((name) => benches[name]?.onlyNamed === true);

const HELP = `npm run bench -- [names] [--rounds N] [--json FILE] [options]

  names          ${byDefault.join(', ')} (all of them when none is named);
                 ${[...onlyNamed, MESSAGES].join(', ')}
  --rounds       repetitions of each measurement, ${DEFAULT_ROUNDS} when left out (systemd: ${benches.systemd?.rounds})
  --json         writes the rows to a file, and the summaries of boot, systemd, cpu and system
  --only         cpu: names of kernels, with commas between; system: how names of work begin
  --node         boot, systemd, cpu, system: a Node that runs ours as well, beside the one that runs the benchmarks
  --no-systemd   boot alone: where it is named, systemd runs too
  --interpreter  cpu, system: ours with -accel interpreter as well

cpu and system need riscv64-linux-gnu-gcc. They and systemd compare with a QEMU 10 too, fetched from Debian where
${QEMU10_VARIABLE} names none. system fetches some programs from Debian as well, systemd 40 MB of packages, once.
QEMU's figures need ${QEMU.program} (apt install qemu-system-misc); ${QEMU10_VARIABLE} names a second one to compare with.
The default guest is fetched once, as by npm start.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      rounds: { type: 'string' },
      json: { type: 'string' },
      only: { type: 'string' },
      node: { type: 'string' },
      'no-systemd': { type: 'boolean' },
      interpreter: { type: 'boolean' },
      help: { type: 'boolean' },
    },
    allowPositionals: true,
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const unknown = positionals.find((name) => name !== MESSAGES && !Object.hasOwn(benches, name));
  if (unknown !== undefined || (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1))) {
    process.stderr.write(
      `${unknown === undefined ? '--rounds takes a whole number' : `no benchmark ${unknown}`}\n${HELP}`,
    );
    return 1;
  }
  const names = positionals.length === 0 ? byDefault : withBrought(positionals, values['no-systemd'] === true);
  const cpu = { only: values.only?.split(','), interpreter: values.interpreter === true };
  let node: OtherNode | undefined;
  try {
    node = values.node === undefined ? undefined : otherNode(values.node);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  endWhenInterrupted();
  const summary: Context['summary'] = {};
  const rows = await runAll(names, { rounds, directory, cpu, otherNode: node, summary });
  if (values.json !== undefined) {
    const all = { host: hostFacts(), summary, rows: rows.map(toJson) };
    writeFileSync(values.json, `${JSON.stringify(all, null, 2)}\n`);
  }
  return 0;
}

/** Interrupted, it ends like any other time: with its files and the emulators (process-console.ts) gone. */
function endWhenInterrupted(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
}

/** The names, each once, with those that they bring. */
function withBrought(names: readonly string[], noSystemd: boolean): string[] {
  const all = names.flatMap((name) => [name, benches[name]?.brings ?? name]);
  return [...new Set(all)].filter((name) => !(noSystemd && name === 'systemd' && !names.includes(name)));
}

async function runAll(
  names: readonly string[],
  settings: Pick<Context, 'directory' | 'cpu' | 'otherNode' | 'summary'> & { readonly rounds: number | undefined },
): Promise<Row[]> {
  const { node, cpu, cores, load } = hostFacts();
  process.stdout.write(
    `Node ${node}; ${cores} x ${cpu}; load ${load.toFixed(2)}; ${qemuVersion() ?? `no ${QEMU.program}`}\n\n`,
  );
  const needsLinux = names.some((name) => LINUX.includes(name));
  const files = needsLinux ? await linuxFiles(settings.directory) : { kernel: '', initrd: '', append: '' };
  const context = { ...settings, files, emulators: emulators(), progress };
  const rows: Row[] = [];
  for (const name of names) {
    if (name === MESSAGES) {
      spawnSync(process.execPath, [fileURLToPath(new URL('test/bench/messages.js', ROOT))], { stdio: 'inherit' });
      continue;
    }
    const bench = benches[name];
    if (bench === undefined) continue;
    progress(name);
    const rounds = settings.rounds ?? bench.rounds ?? DEFAULT_ROUNDS;
    const found = await bench.run({ ...context, rounds }).catch((error: unknown): Row[] => {
      if (!(error instanceof Unavailable)) throw error;
      return [{ bench: name, name, unit: '', values: [], unavailable: error.message }];
    });
    process.stdout.write(`${table(bench.title, found)}\n`);
    rows.push(...found);
  }
  return rows;
}

/** The default guest as files, for QEMU. */
async function linuxFiles(directory: string): Promise<LinuxFiles> {
  const guest = await defaultGuest({ progress: lineProgress(process.stderr) });
  const [kernel, initrd] = [join(directory, 'Image'), join(directory, 'initrd.cpio')];
  writeFileSync(kernel, guest.kernel);
  writeFileSync(initrd, guest.initrd);
  return { kernel, initrd, append: guest.append };
}

function emulators(): Emulator[] {
  const second = process.env[QEMU10_VARIABLE];
  return [
    OURS,
    ...(qemuVersion() === null ? [] : [qemu(QEMU.name, QEMU.program)]),
    ...(second === undefined || second === '' ? [] : [qemu('second QEMU', second)]),
  ];
}

function qemuVersion(): string | null {
  try {
    return execFileSync(QEMU.program, ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? null;
  } catch {
    return null;
  }
}

function hostFacts(): { node: string; cpu: string; cores: number; load: number; qemu: string | null } {
  const [first] = cpus();
  return {
    node: process.versions.node,
    cpu: first?.model ?? 'unknown',
    cores: cpus().length,
    load: loadavg()[0] ?? 0,
    qemu: qemuVersion(),
  };
}

function progress(text: string): void {
  process.stderr.write(`... ${text}\n`);
}

process.exitCode = await main();
