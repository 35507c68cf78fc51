/** The bare-metal programs of the benchmarks: one is compiled C, one is so small that our own assembler makes it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assemble } from '../../src/isa/asm.ts';
import type { VmMemory } from '../../src/vm-memory.ts';
import { ROOT, Unavailable } from './host.ts';

const COMPILER = 'riscv64-unknown-elf-gcc';
const FLAGS = ['-O2', '-march=rv64gc', '-mabi=lp64d', '-mcmodel=medany', '-ffreestanding', '-nostdlib', '-static'];
const SOURCES = fileURLToPath(new URL('test/bench/guest/', ROOT));

/** Where link.ld puts `marks`: three times {u64 mtime in ticks of 100 ns, u64 minstret}. */
const MARKS_GPA = 0x8010_0000;
const TICKS_PER_US = 10;

/**
 * Compiles the CoreMark-like loop.
 * @returns an ELF
 * @throws Unavailable where there is no compiler
 */
export function coremarkLike(iterations: number): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-bench-'));
  const elf = join(directory, 'program.elf');
  const sources = ['start.S', 'coremark-like.c'].map((name) => join(SOURCES, name));
  const own = [`-DITERATIONS=${iterations}`, '-T', join(SOURCES, 'link.ld'), '-o', elf, ...sources];
  try {
    execFileSync(COMPILER, [...FLAGS, ...own], { stdio: ['ignore', 'ignore', 'pipe'] });
    return readFileSync(elf);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Unavailable(`needs ${COMPILER}: apt install gcc-riscv64-unknown-elf`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export interface LoopSpeed {
  /** Millions of instructions a second: over the whole run, and over its second half. */
  readonly wholeMips: number;
  readonly warmMips: number;
  readonly instructions: number;
}

/** What the loop has measured of itself; the guest's clock is the host's while it runs. */
export function readMarks(memory: VmMemory): LoopSpeed {
  const bytes = memory.read(MARKS_GPA, 48);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const mark = (index: number): [number, number] => [
    Number(view.getBigUint64(index * 16, true)) / TICKS_PER_US,
    Number(view.getBigUint64(index * 16 + 8, true)),
  ];
  const [[startUs, before], [middleUs, middle], [endUs, after]] = [mark(0), mark(1), mark(2)];
  return {
    wholeMips: (after - before) / (endUs - startUs),
    warmMips: (after - middle) / (endUs - middleUs),
    instructions: after - before,
  };
}

export const FLAG_GPA = 0x8000_1000;

/** Writes 1 to FLAG_GPA first thing, then sleeps: raw bytes for 0x80000000. */
export function firstStore(): Uint8Array {
  const source = `
    li t0, ${FLAG_GPA}
    li t1, 1
    sd t1, 0(t0)
  sleep:
    wfi
    j sleep
  `;
  return assemble(source, { base: 0x8000_0000 }).bytes;
}
