/**
 * Kernels in C, run inside the default guest under each emulator, and on the host as the limit of what there is to reach.
 * The same binary for all emulators. Each is booted once in a round, then all wait at their prompts while one runs: a
 * kernel is measured under all of them before the next is, so that what else the host does hits them alike. It runs once
 * to warm up, then is timed by itself (test/bench/kernels). The checksums must all be the same.
 */
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findQemu10 } from '../support/qemu10.ts';
import { type Comparison, cpuFigures, type Kernel, type Times } from './cpu-figures.ts';
import { ROOT, Unavailable } from './host.ts';
import { compileForGuest, compileForHost, LinuxGuest, withFiles } from './linux-guest.ts';
import type { Context } from './main.ts';
import { nameWith, type OtherNode } from './other-node.ts';
import { type Emulator, ours, QEMU, qemu } from './process-console.ts';
import type { Row } from './report.ts';
import type { LinuxFiles } from './results.ts';

export interface CpuOptions {
  /** Names of kernels; undefined for all. */
  readonly only: readonly string[] | undefined;
  /** Ours once more, without translation. */
  readonly interpreter: boolean;
}

const execute = promisify(execFile);

/** Nothing is fused that the source does not fuse, so that results are the same on every machine. */
const FLAGS = ['-ffp-contract=off', '-fno-math-errno'];
const SOURCES = fileURLToPath(new URL('test/bench/kernels/', ROOT));
const REPEATS = 3;
const KERNEL_TIMEOUT_MS = 300_000;
const GUEST_PROGRAM = '/bench/cpu';
const TCG = 'tcg,thread=multi';
export const OURS_NAME = 'bottomhalf jit';
const INTERPRETER_NAME = 'bottomhalf interpreter';
export const QEMU10_NAME = 'QEMU 10';
const NATIVE_NAME = 'native';
/** Its time by ours. */
const NEWER_NODE_BAR = '>= 0.87';
const NS_PER_MS = 1e6;

/** Runs `cpu` with these words, and gives what it prints. */
type Run = (words: string) => Promise<string>;

interface Runner {
  readonly name: string;
  readonly run: Run;
}

export async function cpuBench(context: Context): Promise<Row[]> {
  const { directory, rounds, progress, cpu, otherNode } = context;
  const sources = readdirSync(SOURCES)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(SOURCES, name));
  const files = guestFiles(context.files, compileForGuest(sources, FLAGS), join(directory, 'cpu-initrd.cpio'));
  const native = nativeProgram(sources, join(directory, 'cpu'), progress);
  const emulators = await emulatorsOf(context);
  const results = new Results();
  let kernels: Kernel[] = [];
  for (let round = 0; round < rounds; round++) {
    const guests: LinuxGuest[] = [];
    const runners: Runner[] = [];
    try {
      for (const emulator of emulators) {
        progress(`cpu: round ${round + 1} of ${rounds}, boot of ${emulator.name}`);
        const guest = await LinuxGuest.boot(emulator, files);
        guests.push(guest);
        const run: Run = (words) => guest.run(`${GUEST_PROGRAM} ${words}`, KERNEL_TIMEOUT_MS);
        runners.push({ name: emulator.name, run });
        if (kernels.length === 0) kernels = chosen(parseList(await run('list')), cpu.only);
      }
      if (native !== undefined) {
        runners.push({ name: NATIVE_NAME, run: async (words) => (await execute(native, words.split(' '))).stdout });
      }
      for (const { name } of kernels) {
        progress(`cpu: round ${round + 1} of ${rounds}, ${name}`);
        for (const runner of runners) results.add(runner.name, await measure(runner.run, name));
      }
    } finally {
      await Promise.all(guests.map((guest) => guest.close()));
    }
  }
  const there = new Set(results.times().map(({ runner }) => runner));
  const comparison: Comparison = {
    ours: OURS_NAME,
    qemu: there.has(QEMU.name) ? QEMU.name : undefined,
    others: [
      { runner: QEMU10_NAME, key: 'geomeanVsQemu10' },
      { runner: NATIVE_NAME, key: 'geomeanVsNative' },
      { runner: INTERPRETER_NAME, key: 'geomeanVsInterpreter' },
      ...(otherNode === undefined ? [] : [nodeComparison(otherNode)]),
    ].filter(({ runner }) => there.has(runner)),
  };
  const { rows, summary } = cpuFigures(kernels, results.times(), comparison);
  Object.assign(context.summary, summary);
  return rows;
}

/** The project supports the older Node: it may be slower by 15 %. */
function nodeComparison(node: OtherNode): Comparison['others'][number] {
  const compared = { runner: nameWith(OURS_NAME, node), key: 'geomeanVsNode' };
  return node.isNewer ? { ...compared, bar: NEWER_NODE_BAR } : compared;
}

function guestFiles(files: LinuxFiles, program: Uint8Array, initrd: string): LinuxFiles {
  const entries = [
    { path: 'bench', kind: 'directory', mode: 0o755 },
    { path: GUEST_PROGRAM.slice(1), kind: 'file', mode: 0o755, body: program },
  ] as const;
  return withFiles(files, entries, initrd);
}

/** @returns undefined where there is no compiler */
function nativeProgram(sources: readonly string[], path: string, progress: Context['progress']): string | undefined {
  try {
    writeFileSync(path, compileForHost(sources, FLAGS), { mode: 0o755 });
    return path;
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    progress(`cpu: nothing native: ${error.message}`);
    return undefined;
  }
}

/** The machines compared: ours with its translator first, then with another Node, the host's QEMU, one of version 10. */
export async function emulatorsOf({ emulators, cpu, otherNode, progress }: Context): Promise<Emulator[]> {
  const all = [ours(OURS_NAME, 'jit')];
  if (otherNode !== undefined) all.push(ours(nameWith(OURS_NAME, otherNode), 'jit', otherNode.path));
  if (cpu.interpreter) all.push(ours(INTERPRETER_NAME, 'interpreter'));
  if (emulators.some(({ name }) => name === QEMU.name)) all.push(qemu(QEMU.name, QEMU.program, TCG));
  const { command, ...rest } = await findQemu10();
  if (command === null) progress(`cpu: ${'reason' in rest ? rest.reason : ''}`);
  // The host's own is there already.
  else if (command.join(' ') !== QEMU.program) all.push(qemu(QEMU10_NAME, command, TCG));
  return all;
}

function parseList(text: string): Kernel[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', group = ''] = line.split(' ');
      return { name, group };
    });
}

function chosen(kernels: readonly Kernel[], only: readonly string[] | undefined): Kernel[] {
  const unknown = only?.find((name) => !kernels.some((kernel) => kernel.name === name));
  if (unknown !== undefined) {
    throw new Error(`no kernel ${unknown}; there are ${kernels.map(({ name }) => name).join(', ')}`);
  }
  return kernels.filter(({ name }) => only?.includes(name) ?? true);
}

interface Measured {
  readonly kernel: string;
  readonly checksum: string;
  readonly ms: number;
}

async function measure(run: Run, kernel: string): Promise<Measured> {
  const text = await run(`${kernel} ${REPEATS}`);
  const [name, checksum = '', medianNs] = text.trim().split(' ');
  const ms = Number(medianNs) / NS_PER_MS;
  if (name !== kernel || !(ms > 0)) throw new Error(`${kernel}: not a result: ${JSON.stringify(text)}`);
  return { kernel, checksum, ms };
}

/** What all have measured so far; refuses another checksum than the first one of a kernel. */
class Results {
  readonly #times: { runner: string; kernel: string; ms: number[] }[] = [];
  readonly #checksums = new Map<string, { runner: string; checksum: string }>();

  add(runner: string, { kernel, checksum, ms }: Measured): void {
    const first = this.#checksums.get(kernel) ?? { runner, checksum };
    this.#checksums.set(kernel, first);
    if (first.checksum !== checksum) {
      throw new Error(`${kernel}: ${checksum} under ${runner}, but ${first.checksum} under ${first.runner}`);
    }
    const known = this.#times.find((times) => times.runner === runner && times.kernel === kernel);
    if (known === undefined) this.#times.push({ runner, kernel, ms: [ms] });
    else known.ms.push(ms);
  }

  times(): readonly Times[] {
    return this.#times;
  }
}
