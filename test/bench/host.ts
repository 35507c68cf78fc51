/** What the benchmarks ask of the host: child processes with a fresh engine, CPU time of threads, resident pages. */
import { execFile } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The repository, seen from dist/test/bench. */
export const ROOT = new URL('../../../', import.meta.url);
export const CLI = fileURLToPath(new URL('dist/src/cli/main.js', ROOT));

const PAGE_BYTES = 4096;
const CHILD_TIMEOUT_MS = 300_000;

/** A benchmark cannot run here; the message says what is missing. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** Runs a task of child.ts in a process of its own, with this process' Node. @returns what the task gave */
export function inChild<T>(task: string, parameters: object = {}): Promise<T> {
  const child = fileURLToPath(new URL('./child.js', import.meta.url));
  const args = [child, task, JSON.stringify(parameters)];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { timeout: CHILD_TIMEOUT_MS, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(`${task}: ${error.message}\n${stderr}`));
      else resolve(JSON.parse(stdout) as T);
    });
  });
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface ThreadTime {
  readonly id: number;
  readonly cpuMs: number;
  /** Time it was ready to run and other processes had the cores. */
  readonly waitedMs: number;
}

/** What each thread of this process has used so far, by thread id; empty where there is no /proc. */
export function threadTimes(): Map<number, ThreadTime> {
  const times = new Map<number, ThreadTime>();
  try {
    for (const id of readdirSync('/proc/self/task').map(Number)) {
      const [runNs = '0', waitNs = '0'] = readFileSync(`/proc/self/task/${id}/schedstat`, 'latin1').split(' ');
      times.set(id, { id, cpuMs: Number(runNs) / 1e6, waitedMs: Number(waitNs) / 1e6 });
    }
  } catch {
    times.clear();
  }
  return times;
}

export interface Resident {
  readonly totalBytes: number;
  /** Pages of guest RAM that are there. */
  readonly guestBytes: number;
  /** The rest of the machine's shared memory: hart state, TLBs, decoded code. */
  readonly arenaBytes: number;
}

/**
 * Resident memory of this process, with the shared memory of a machine told apart.
 * @param ramOffset where guest RAM begins in the machine's memory
 * @throws Unavailable where /proc does not tell
 */
export function residentMemory(memoryBytes: number, ramOffset: number, ramBytes: number): Resident {
  let start: number | null = null;
  try {
    start = mappingOf(memoryBytes);
  } catch {
    throw new Unavailable('needs /proc/self/maps and pagemap');
  }
  if (start === null) throw new Unavailable('the memory of the machine is not among the mappings');
  return {
    totalBytes: process.memoryUsage.rss(),
    guestBytes: presentBytes(start + ramOffset, ramBytes),
    arenaBytes: presentBytes(start, ramOffset),
  };
}

/** The start of the writable mapping that is just large enough. */
function mappingOf(lengthBytes: number): number | null {
  let best: { start: number; length: number } | null = null;
  for (const line of readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    if (from === undefined || to === undefined) continue;
    const [start, length] = [Number.parseInt(from, 16), Number.parseInt(to, 16) - Number.parseInt(from, 16)];
    if (length >= lengthBytes && (best === null || length < best.length)) best = { start, length };
  }
  return best?.start ?? null;
}

/** How much of a range of a process' addresses is there; this process' when none is named. @throws where /proc does not tell */
export function presentBytes(address: number, lengthBytes: number, pid: number | 'self' = 'self'): number {
  const entries = Buffer.alloc(Math.ceil(lengthBytes / PAGE_BYTES) * 8);
  const file = openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    readSync(file, entries, 0, entries.length, (address / PAGE_BYTES) * 8);
  } finally {
    closeSync(file);
  }
  let pages = 0;
  // Bit 63: present.
  for (let at = 7; at < entries.length; at += 8) pages += (entries[at] ?? 0) >> 7;
  return pages * PAGE_BYTES;
}
