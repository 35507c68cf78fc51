/**
 * Translates hot guest code to WebAssembly: one translator for each hart, nothing shared.
 *
 * Traces of the run loop say what is hot. A region is formed there and waits until a few more do, because on Node 20 a
 * module has a high fixed price; then they become one module, and ops that lead to them take the place of the ops at
 * their entries. Whatever changes the code under a region (`codeChanged`) puts those back.
 *
 * Not modelled: compiling in another thread; eviction of single regions. When the records or the budget of bytes run
 * out all regions are dropped.
 */

import { SPECIAL } from '../hart/handlers.ts';
import type { Translator, TranslatorPlace } from '../hart/hart.ts';
import { LEFT } from '../hart/run-loop.ts';
import { TRANSLATOR_FUNCTIONS } from '../hart/runtime-functions.ts';
import { ARENA, DECODED_PAGE, HART_OFFSETS, OP, REGION, TRACE } from '../hart/state.ts';
import { MAX_MEMORY_PAGES } from '../memory/layout.ts';
import { Module } from '../wasm/module.ts';
import { emitRegion } from './emit.ts';
import { GuestCode, PAGE_BYTES } from './guest-code.ts';
import { Profile } from './profile.ts';
import { type Region, RegionFormer } from './region.ts';

export interface TranslatorOptions {
  /** Instructions interpreted between two traces. */
  readonly traceInterval: number;
  /** Arrivals seen by traces that make an entry hot. */
  readonly threshold: number;
  /** What an arrival at a loop's head counts: loops pay sooner than functions. */
  readonly loopWeight: number;
  /** What one counts where a region was left, or in straight code: a trace sees it once, however often it happens. */
  readonly leftWeight: number;
  /** Regions that are compiled at once; `urgent` arrivals at one of them do not wait for the others. */
  readonly batch: number;
  readonly urgent: number;
  /** Everything that is jumped to is an entry: for tests. */
  readonly everything: boolean;
  /** Regions that execute fewer instructions than this at a visit are removed: they cost more than they save. */
  readonly minInsnsPerVisit: number;
  /** Bytes of modules after which all regions are dropped. */
  readonly maxBytes: number;
}

const DEFAULTS: TranslatorOptions = {
  // A prime: no loop's length divides it.
  traceInterval: 65_521,
  threshold: 256,
  loopWeight: 2,
  leftWeight: 16,
  batch: 8,
  urgent: 512,
  everything: false,
  minInsnsPerVisit: 16,
  maxBytes: 8 * 2 ** 20,
};

/** A region that stands in its place. */
interface Placed {
  /** Host offset of the op at which it is entered. */
  readonly entryOp: number;
  /** Low half of its virtual address when it was formed. */
  readonly lo: number;
  /** Offset of its record in ARENA.regions. */
  readonly record: number;
  /** By decoded page: a bit for each eight bytes that it has code in. */
  readonly covers: ReadonlyMap<number, Uint32Array>;
}

export interface TranslatorStatistics {
  regions: number;
  insns: number;
  modules: number;
  bytes: number;
  dropped: number;
  invalidated: number;
  traces: number;
  /** Removed because visits to them were too short. */
  unprofitable: number;
  /** Visits, and instructions executed in them, as of the last review. */
  visits: number;
  executed: number;
}

/** An instruction of a trace: low halves of where it begins and ends, its op, and its decoded page. */
interface Step {
  readonly lo: number;
  readonly op: number;
  readonly page: number;
  readonly end: number;
}

/** A trace without a jump is of long straight code: what begins a piece of so many bytes is an entry, or the trace. */
const STRAIGHT_ENTRY_BYTES = 512;
/** Times that an entry's code may change before it is left alone. */
const MAX_CHANGES = 8;
/** What the counters in the hart's regionExits count. */
const EXITS = ['done', 'for a slow form', 'refused', 'for a TLB miss', 'for want of budget', 'for NX'] as const;
/** Entries that may wait; when there are more all are forgotten. */
const MAX_WAITING = 256;
/** Traces between two looks at how regions do, and visits that say something about one. */
const TRACES_PER_REVIEW = 4;
/** Traces after which half of what counts against entries is forgotten. */
const TRACES_PER_PARDON = 1024;
const TELLING_VISITS = 512;
/**
 * A region that executes fewer instructions than this between two misses of the TLB fills it itself; one between two exits
 * for NX computes exact results itself.
 */
const INSNS_PER_EXIT = 400;

export class RegionTranslator implements Translator {
  readonly statistics: TranslatorStatistics = {
    regions: 0,
    insns: 0,
    modules: 0,
    bytes: 0,
    dropped: 0,
    invalidated: 0,
    traces: 0,
    unprofitable: 0,
    visits: 0,
    executed: 0,
  };
  readonly #options: TranslatorOptions;
  readonly #place: TranslatorPlace;
  readonly #view: DataView;
  readonly #code: GuestCode;
  readonly #profile = new Profile();
  readonly #byPage = new Map<number, Set<Placed>>();
  readonly #byRecord = new Map<number, Placed>();
  /** Offsets of free records. */
  readonly #free: number[] = [];
  /** Entries that wait to be compiled: ops, and the arrivals at them. */
  readonly #waiting = new Map<number, { lo: number; arrivals: number }>();
  /** Entries whose regions fill the TLB themselves, and those whose regions check results for being exact. */
  readonly #refilling = new Set<number>();
  readonly #checking = new Set<number>();
  /** How often the code of an entry has changed. */
  readonly #changes = new Map<number, number>();
  #liveBytes = 0;

  constructor(place: TranslatorPlace, options: Partial<TranslatorOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options };
    this.#place = place;
    this.#view = new DataView(place.memory.buffer);
    this.#code = new GuestCode(place.memory, place.arena);
    for (let i = REGION.count - 1; i >= 0; i--) this.#free.push(i * REGION.lengthBytes);
    place.table.grow(REGION.count);
  }

  get traceInterval(): number {
    return this.#options.traceInterval;
  }

  get modules(): number {
    return this.statistics.modules;
  }

  report(): string {
    const { regions, insns, modules, bytes, invalidated, unprofitable, dropped } = this.statistics;
    const at = this.#place.arena + HART_OFFSETS.regionExits;
    const exits = EXITS.map((name, i) => `${this.#view.getBigUint64(at + 8 * i, true)} ${name}`);
    return (
      `jit: ${regions} regions of ${insns} instructions in ${modules} modules of ${bytes} bytes; ` +
      `${invalidated} changed, ${unprofitable} did not pay, all dropped ${dropped} times; exits: ${exits.join(', ')}`
    );
  }

  trace(length: number, left: number, atRegion: boolean): void {
    const view = this.#view;
    const base = this.#place.arena + ARENA.trace;
    const { everything, leftWeight } = this.#options;
    this.statistics.traces += 1;
    let previous: Step | null = null;
    let onTheWay: Step | null = null;
    let isStraight = true;
    for (let i = 0; i < length; i++) {
      const lo = view.getUint32(base + i * TRACE.entryBytes, true);
      const op = view.getUint32(base + i * TRACE.entryBytes + 4, true);
      const page = this.#code.pageOfOp(op);
      if (page === 0) return;
      this.#profile.see(op);
      const step: Step = { lo, op, page, end: (lo + this.#code.lengthAt(page, op)) >>> 0 };
      if (previous === null) {
        // In the middle of a loop, say: one more region of the same loop would be entered there, and be a worse one.
        const isBetween = left === LEFT.aside && atRegion;
        if ((left !== LEFT.not && !isBetween) || everything) this.#arrive(op, lo, leftWeight);
        onTheWay = step;
      } else if (lo !== previous.end) {
        isStraight = false;
        this.#jumped(previous, step);
      } else if (((lo ^ previous.lo) & -STRAIGHT_ENTRY_BYTES) !== 0) onTheWay = step;
      previous = step;
    }
    // A piece of a trace shows nothing straight.
    if (length < TRACE.length) isStraight = false;
    if (isStraight && onTheWay !== null) this.#arrive(onTheWay.op, onTheWay.lo, leftWeight);
    this.#compileIfDue();
    if (this.statistics.traces % TRACES_PER_REVIEW === 0) this.review();
    if (this.statistics.traces % TRACES_PER_PARDON === 0) this.#pardon();
  }

  /** Into another page, or back: a loop or a call. Forward jumps within a page seldom are. */
  #jumped(from: Step, to: Step): void {
    const { everything, loopWeight } = this.#options;
    const distance = (to.lo - from.lo) | 0;
    const kind = this.#code.kindOfJump(from.page, from.op);
    if (kind === 'computed') this.#profile.went(from.op, distance);
    const isLoop = distance <= 0 && kind === 'other';
    const isFar = everything || distance <= 0 || from.page !== to.page;
    if (isFar || kind !== 'other') this.#arrive(to.op, to.lo, isLoop ? loopWeight : 1);
  }

  /** Takes the counters of all regions, and removes those that do not pay. */
  review(): void {
    const view = this.#view;
    const { minInsnsPerVisit } = this.#options;
    for (const placed of [...this.#byRecord.values()]) {
      const at = this.#place.arena + ARENA.regions + placed.record;
      const visits = view.getUint32(at + REGION.visits, true);
      const insns = view.getUint32(at + REGION.insns, true);
      const refusals = view.getUint32(at + REGION.refusals, true);
      const misses = view.getUint32(at + REGION.misses, true);
      const gated = view.getUint32(at + REGION.gated, true);
      if (visits + refusals < TELLING_VISITS && minInsnsPerVisit > 0) continue;
      this.#takeCounters(at);
      const isBetter =
        (misses * INSNS_PER_EXIT > insns && this.#choose(this.#refilling, placed)) ||
        (gated * INSNS_PER_EXIT > insns && this.#choose(this.#checking, placed));
      if (isBetter) continue;
      if (insns >= (visits + refusals) * minInsnsPerVisit) continue;
      this.statistics.unprofitable += 1;
      this.#ban(placed.entryOp, MAX_CHANGES);
      this.#remove(placed);
    }
  }

  /** Has a region compiled anew, with the next that are. @returns false where it is of that kind already */
  #choose(kind: Set<number>, placed: Placed): boolean {
    if (kind.has(placed.entryOp)) return false;
    if (kind.size > REGION.count) kind.clear();
    kind.add(placed.entryOp);
    this.#remove(placed);
    this.#waiting.set(placed.entryOp, { lo: placed.lo, arrivals: this.#options.urgent });
    return true;
  }

  #takeCounters(at: number): void {
    const view = this.#view;
    this.statistics.visits += view.getUint32(at + REGION.visits, true);
    this.statistics.executed += view.getUint32(at + REGION.insns, true);
    for (const field of [REGION.visits, REGION.insns, REGION.refusals, REGION.misses, REGION.gated])
      view.setUint32(at + field, 0, true);
  }

  /** Counts against an entry: from MAX_CHANGES on it is left alone. */
  #ban(op: number, times: number): void {
    if (this.#changes.size > REGION.count) this.#changes.clear();
    this.#changes.set(op, (this.#changes.get(op) ?? 0) + times);
  }

  #pardon(): void {
    for (const [op, count] of this.#changes) {
      if (count > 1) this.#changes.set(op, count >> 1);
      else this.#changes.delete(op);
    }
  }

  codeChanged(page: number, offset: number): void {
    const placed = this.#byPage.get(page);
    if (placed === undefined) return;
    for (const one of [...placed]) {
      const word = (one.covers.get(page)?.[offset >>> 8] ?? 0) >>> ((offset >>> 3) & 31);
      if (offset >= 0 && (word & 1) === 0) continue;
      this.statistics.invalidated += 1;
      if (offset >= 0) this.#ban(one.entryOp, 1);
      this.#remove(one);
    }
  }

  #arrive(op: number, lo: number, weight: number): void {
    const arrivals = this.#profile.arrive(op, weight);
    if (arrivals < this.#options.threshold) return;
    if ((this.#changes.get(op) ?? 0) >= MAX_CHANGES) return;
    if (!this.#code.mayBegin(op)) return;
    if (this.#waiting.size >= MAX_WAITING) this.#waiting.clear();
    this.#waiting.set(op, { lo, arrivals });
  }

  #compileIfDue(): void {
    const { batch, urgent } = this.#options;
    // The others are of another address space or mode, whose turn will come.
    const here = [...this.#waiting].filter(([op, { lo }]) => this.#isHere(op, lo));
    const isUrgent = here.some(([, { arrivals }]) => arrivals >= urgent);
    if (here.length >= batch || isUrgent) this.#compile(here.map(([op, { lo }]): [number, number] => [op, lo]));
  }

  /** Whether the fetch TLB of now has an entry where it was met. */
  #isHere(op: number, lo: number): boolean {
    const page = this.#code.pageOfOp(op);
    return page !== 0 && this.#code.pageOfAddress((lo & -PAGE_BYTES) >>> 0, this.#pcHigh()) === page;
  }

  /** A trace knows the low half of the pc; the high half is the current one's, or there is no such page. */
  #pcHigh(): number {
    return this.#view.getUint32(this.#place.arena + HART_OFFSETS.pc + 4, true);
  }

  /** Some of what waits, by op and address, as one module. */
  #compile(entries: readonly (readonly [op: number, lo: number])[]): void {
    const module = new Module(MAX_MEMORY_PAGES);
    const imported = (name: keyof typeof TRANSLATOR_FUNCTIONS): number =>
      module.import('runtime', name, TRANSLATOR_FUNCTIONS[name]);
    const fetches = imported('refillToExecute');
    const refills = { toRead: imported('refillToRead'), toWrite: imported('refillToWrite') };
    const made: { region: Region; lo: number; minBudget: number; name: string }[] = [];
    for (const [op, lo] of entries) {
      this.#waiting.delete(op);
      this.#profile.forget(op);
      const region = this.#code.mayBegin(op) ? this.#form(op, lo) : null;
      if (region === null) continue;
      // Where everything is translated all kinds are met.
      const isRefilling = this.#refilling.has(op) || (this.#options.everything && (op & 8) !== 0);
      const checksExact = this.#checking.has(op) || (this.#options.everything && (op & 16) !== 0);
      const options = { fetches, refills: isRefilling ? refills : null, checksExact };
      const { index, minBudget, insns } = emitRegion(module, region, options);
      const name = `${made.length}`;
      module.export(name, index);
      made.push({ region, lo, minBudget, name });
      this.statistics.insns += insns;
    }
    if (made.length === 0) return;
    const bytes = module.finish();
    this.statistics.modules += 1;
    this.statistics.bytes += bytes.length;
    this.#liveBytes += bytes.length;
    if (this.#liveBytes > this.#options.maxBytes || this.#free.length < made.length) {
      this.#dropAll();
      this.#liveBytes = bytes.length;
    }
    const { memory, runtime } = this.#place;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory }, runtime });
    for (const { name, ...one } of made) this.#enter(one, instance.exports[name]);
  }

  #form(op: number, lo: number): Region | null {
    const page = this.#code.pageOfOp(op);
    const offset = (op - page) / (DECODED_PAGE.opBytes / 2);
    const pageLo = (lo & -PAGE_BYTES) >>> 0;
    return new RegionFormer(this.#code, { op, page, offset, lo: pageLo, hi: this.#pcHigh() }, this.#profile).form();
  }

  #enter({ region, lo, minBudget }: { region: Region; lo: number; minBudget: number }, run: unknown): void {
    const record = this.#free.pop();
    if (record === undefined) return;
    const view = this.#view;
    const at = this.#place.arena + ARENA.regions + record;
    const slot = record / REGION.lengthBytes;
    view.setBigUint64(at + REGION.original, view.getBigUint64(region.entryOp, true), true);
    view.setUint32(at + REGION.slot, slot, true);
    view.setUint32(at + REGION.minBudget, minBudget, true);
    this.#takeCounters(at);
    this.#place.table.set(slot, run);
    view.setUint32(region.entryOp + OP.imm, record, true);
    view.setUint32(region.entryOp, SPECIAL.region, true);
    const placed = { entryOp: region.entryOp, lo, record, covers: coverageOf(region) };
    this.#byRecord.set(record, placed);
    this.statistics.regions += 1;
    for (const page of placed.covers.keys()) {
      const here = this.#byPage.get(page) ?? new Set();
      this.#byPage.set(page, here.add(placed));
      view.setUint32(page + DECODED_PAGE.translated, 1, true);
    }
  }

  /** The op at its entry is decoded again when it is next met. */
  #remove(placed: Placed): void {
    const view = this.#view;
    const { entryOp } = placed;
    const isInPlace =
      view.getUint16(entryOp + OP.handler, true) === SPECIAL.region &&
      view.getUint32(entryOp + OP.imm, true) === placed.record;
    if (isInPlace) view.setBigUint64(entryOp, 0n, true);
    for (const page of placed.covers.keys()) {
      const here = this.#byPage.get(page);
      here?.delete(placed);
      if (here?.size !== 0) continue;
      this.#byPage.delete(page);
      view.setUint32(page + DECODED_PAGE.translated, 0, true);
    }
    const removed = this.#place.arena + HART_OFFSETS.regionsRemoved;
    view.setUint32(removed, view.getUint32(removed, true) + 1, true);
    this.#place.table.set(placed.record / REGION.lengthBytes, null);
    this.#byRecord.delete(placed.record);
    this.#free.push(placed.record);
  }

  #dropAll(): void {
    this.statistics.dropped += 1;
    for (const placed of [...this.#byRecord.values()]) this.#remove(placed);
  }
}

function coverageOf(region: Region): Map<number, Uint32Array> {
  const covers = new Map<number, Uint32Array>();
  for (const block of region.blocks.values()) {
    for (const { at, decoded } of block.insns) {
      for (let byte = at; byte < at + decoded.insn.length; byte += 2) {
        const from = region.entryOffset + byte;
        const distance = Math.floor(from / PAGE_BYTES);
        const page = region.pages.get(distance);
        if (page === undefined) continue;
        const offset = from - distance * PAGE_BYTES;
        const bits = covers.get(page) ?? new Uint32Array(PAGE_BYTES / 8 / 32);
        covers.set(page, bits);
        bits[offset >>> 8] = (bits[offset >>> 8] ?? 0) | (1 << ((offset >>> 3) & 31));
      }
    }
  }
  return covers;
}

/** For HartOptions.translator. */
export function translatorWith(options: Partial<TranslatorOptions> = {}): (place: TranslatorPlace) => RegionTranslator {
  return (place) => new RegionTranslator(place, options);
}
