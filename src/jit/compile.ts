/**
 * From regions to a WebAssembly module: what needs nothing of the hart, so that another thread can do it (CompileJob and
 * CompiledJob are plain data). Whoever asks looks for answers when it likes; regions are installed by the hart's own
 * thread (translator.ts).
 */

import { hasFusedMultiplyAdd } from '../hart/fused.ts';
import { TRANSLATOR_FUNCTIONS } from '../hart/runtime-functions.ts';
import { decode } from '../isa/decode.ts';
import { MAX_MEMORY_PAGES } from '../memory/layout.ts';
import { hasTotalStoreOrder } from '../util/host-processor.ts';
import { Module } from '../wasm/module.ts';
import { emitRegion } from './emit.ts';
import type { Block, Region, RegionInsn } from './region.ts';

/** A block whose instructions are their encodings, one behind the other. */
interface BlockText extends Omit<Block, 'insns'> {
  readonly words: readonly number[];
}

export interface RegionText {
  readonly entries: readonly number[];
  readonly blocks: readonly BlockText[];
  /** As in Region. */
  readonly entryOffset: number;
  /** Host offsets of its guest pages, by their distance in pages from the first entry's. */
  readonly hosts: readonly (readonly [distance: number, host: number])[];
  /** As in EmitOptions. */
  readonly checksExact: boolean;
  /** Whether it fills the data TLB itself. */
  readonly refills: boolean;
  /** False: as for a host that cannot multiply and add with one rounding. */
  readonly mayFuse: boolean;
}

type RegionKind = Pick<RegionText, 'checksExact' | 'refills' | 'mayFuse'>;

/** Regions to become a module. */
export type CompileJob = readonly RegionText[];

export interface CompiledJob {
  /** Exports a function of REGION_TYPE for each region, named by its number. */
  readonly module: WebAssembly.Module;
  readonly lengthBytes: number;
  /** Of each region: see Emitted. */
  readonly regions: readonly { readonly minBudgets: readonly number[]; readonly insns: number }[];
}

/** A job of another hart, done. */
export interface SharedJob {
  readonly job: CompileJob;
  readonly done: CompiledJob;
}

/** Compiles one job after another. */
export interface RegionCompiler {
  submit(job: CompileJob): void;
  /** The next one in the order of jobs, or null where that is not done yet. */
  take(): CompiledJob | null;
  /** The next one that was done for another hart, or null where there is none. */
  takeShared(): SharedJob | null;
}

/** @param hostOf the host offset of the guest page that a decoded page was made from */
export function textOf(region: Region, hostOf: (page: number) => number, kind: RegionKind): RegionText {
  const { entries, entryOffset, pages } = region;
  const blocks = [...region.blocks.values()].map(({ insns, ...block }) => {
    return { ...block, words: insns.map(({ decoded }) => decoded.word) };
  });
  const hosts = [...pages].map(([distance, page]) => [distance, hostOf(page)] as const);
  return { entries, blocks, entryOffset, hosts, ...kind };
}

/** By where they begin. @throws Error for a word that is no instruction */
export function blocksOf({ blocks }: Pick<RegionText, 'blocks'>): ReadonlyMap<number, Block> {
  return new Map(blocks.map((block) => [block.at, blockOf(block)]));
}

/** @throws Error for a word that is no instruction */
export function compileJob(job: CompileJob): CompiledJob {
  const module = new Module(MAX_MEMORY_PAGES);
  const imported = (name: keyof typeof TRANSLATOR_FUNCTIONS): number =>
    module.import('runtime', name, TRANSLATOR_FUNCTIONS[name]);
  const functions = { toRead: imported('refillToRead'), toWrite: imported('refillToWrite') };
  const readTime = imported('readTime');
  const regions = job.map((text, i) => {
    const { entries, checksExact, refills, mayFuse } = text;
    const { index, minBudgets, insns } = emitRegion(
      module,
      { entries, blocks: blocksOf(text) },
      {
        checksExact,
        hasFused: mayFuse && hasFusedMultiplyAdd(),
        hasTso: hasTotalStoreOrder(),
        refills: refills ? functions : null,
        readTime,
      },
    );
    module.export(`${i}`, index);
    return { minBudgets, insns };
  });
  const bytes = module.finish();
  return { module: new WebAssembly.Module(bytes), lengthBytes: bytes.length, regions };
}

function blockOf({ words, ...block }: BlockText): Block {
  const insns: RegionInsn[] = [];
  let { at } = block;
  for (const word of words) {
    const decoded = decode(word);
    if (decoded === null) throw new Error(`no instruction: 0x${(word >>> 0).toString(16)}`);
    insns.push({ at, decoded });
    at += decoded.insn.length;
  }
  return { ...block, insns };
}

/** On the thread that asks, at once. */
export class LocalCompiler implements RegionCompiler {
  readonly #jobs: CompileJob[] = [];

  submit(job: CompileJob): void {
    this.#jobs.push(job);
  }

  take(): CompiledJob | null {
    const job = this.#jobs.shift();
    return job === undefined ? null : compileJob(job);
  }

  takeShared(): null {
    return null;
  }
}
