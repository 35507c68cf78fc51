/**
 * What a process has in memory beyond its guest's RAM, out of /proc (proc_pid_smaps(5), proc_pid_pagemap(5)), the same way
 * for every emulator. Guest RAM is the end of one anonymous mapping: ours has hart state and TLBs before it, which count
 * as beyond.
 *
 * Not told apart: RAM in several mappings (machines of several NUMA nodes).
 */
import { readFileSync } from 'node:fs';
import { presentBytes, Unavailable } from './host.ts';

const KIB = 1024;

export interface ProcessMemory {
  /** Resident, and the same with pages that processes share counted in part. */
  readonly rssBytes: number;
  readonly pssBytes: number;
  /** The most that has been resident, guest RAM included. */
  readonly peakBytes: number;
  /** Resident guest RAM. */
  readonly guestBytes: number;
}

interface Mapping {
  readonly start: number;
  readonly lengthBytes: number;
  readonly rssBytes: number;
}

/** The smallest mapping of /proc/<pid>/smaps that guest RAM can lie in: writable and not executable. */
export function ramMapping(smaps: string, ramBytes: number): Mapping | undefined {
  const mappings = smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((text) => {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw-/.exec(text) ?? [];
    if (from === undefined || to === undefined) return [];
    const start = Number.parseInt(from, 16);
    return [{ start, lengthBytes: Number.parseInt(to, 16) - start, rssBytes: fieldBytes(text, 'Rss') }];
  });
  return mappings.filter(({ lengthBytes }) => lengthBytes >= ramBytes).sort((a, b) => a.lengthBytes - b.lengthBytes)[0];
}

/** `Name:   123 kB`, as status and smaps have it. @throws Unavailable where it is not there */
export function fieldBytes(text: string, name: string): number {
  const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text) ?? [];
  if (kib === undefined) throw new Unavailable(`the host's /proc does not tell ${name}`);
  return Number(kib) * KIB;
}

/** Files of /proc/<pid>. */
interface ProcTexts {
  readonly status: string;
  readonly rollup: string;
  readonly smaps: string;
}

/**
 * @param present how much of a range of addresses is resident
 * @throws Unavailable where the texts do not tell
 */
export function memoryFrom(
  { status, rollup, smaps }: ProcTexts,
  ramBytes: number,
  present: (start: number, lengthBytes: number) => number,
): ProcessMemory {
  const mapping = ramMapping(smaps, ramBytes);
  if (mapping === undefined) throw new Unavailable("no mapping of the process can be its guest's RAM");
  return {
    rssBytes: fieldBytes(rollup, 'Rss'),
    pssBytes: fieldBytes(rollup, 'Pss'),
    peakBytes: fieldBytes(status, 'VmHWM'),
    guestBytes: mapping.rssBytes - present(mapping.start, mapping.lengthBytes - ramBytes),
  };
}

/** Of a running process, as a list: empty where /proc does not tell, as memory is not all that is measured. */
export function memoryAt(pid: number | undefined, ramBytes: number): ProcessMemory[] {
  try {
    if (pid === undefined) return [];
    const texts = { status: read(pid, 'status'), rollup: read(pid, 'smaps_rollup'), smaps: read(pid, 'smaps') };
    return [memoryFrom(texts, ramBytes, (start, lengthBytes) => presentBytes(start, lengthBytes, pid))];
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return [];
  }
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    throw new Unavailable(`needs /proc/${pid}/${name}`);
  }
}
