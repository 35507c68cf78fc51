/**
 * Translates hot guest code to WebAssembly: one translator for each hart, which may take regions that were compiled for
 * another (offers.ts).
 *
 * Traces of the run loop say what is hot. A region is formed there and waits until a few more do, because on Node 20 a
 * module has a high fixed price; then they become one module, on another thread where there is one (compile.ts), and ops that lead
 * to them take the place of the ops at their entries, if the code there is still what they were made from. Whatever
 * changes the code under a region (`codeChanged`) puts those back.
 *
 * When the records or the budget of bytes run out, the regions that were used least of late make room.
 */

import type { Translator, TranslatorPlace } from '../hart/hart.ts';
import { DECODED_PAGE, HART_OFFSETS, REGION } from '../hart/state.ts';
import { type CompiledJob, LocalCompiler, type RegionCompiler, type RegionText, textOf } from './compile.ts';
import { GuestCode, PAGE_BYTES } from './guest-code.ts';
import { Offers, type Taken } from './offers.ts';
import { type Arrived, Profile, type ProfileOptions } from './profile.ts';
import { betterEntry, firstBlockOf, isAsFormed, type Region, RegionFormer, type RegionProfile } from './region.ts';
import { Statistics } from './statistics.ts';
import { type CodeModule, isCovered, opAt, type Unit, type UnitEntry, Units } from './units.ts';

export interface TranslatorOptions extends ProfileOptions {
  /** Instructions interpreted between two traces. */
  readonly traceInterval: number;
  /** Regions that are compiled at once; `urgent` arrivals at one of them do not wait for the others. */
  readonly batch: number;
  readonly urgent: number;
  /** Regions that execute fewer instructions than this at a visit are removed: they cost more than they save. */
  readonly minInsnsPerVisit: number;
  /** Of the modules that are kept, never more. */
  readonly maxBytes: number;
}

const DEFAULTS: TranslatorOptions = {
  // A prime: no loop's length divides it.
  traceInterval: 131_071,
  threshold: 128,
  loopWeight: 2,
  leftWeight: 4,
  batch: 8,
  urgent: 256,
  everything: false,
  minInsnsPerVisit: 2,
  maxBytes: 10 * 2 ** 20,
};

/** Where control arrives: an op, and the low half of its virtual address. */
interface Arrival {
  readonly op: number;
  readonly lo: number;
}

/** A region to be compiled. */
interface Plan {
  readonly from: Arrival;
  readonly region: Region;
  /** Host offsets of the guest pages that its decoded pages were made from. */
  readonly hosts: ReadonlyMap<number, number>;
  /** Of its instructions. */
  readonly ops: ReadonlySet<number>;
}

/** A job that is done, ready to be called. */
interface LoadedModule {
  readonly done: CompiledJob;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly own: CodeModule;
}

/** Times that an entry's code may change before it is left alone. */
const MAX_CHANGES = 8;
/**
 * What an entry that did not pay counts as, in changes. At first its region may have been formed from too few traces, and
 * it is soon tried again; the next time that takes four halvings more.
 */
const UNPROFITABLE = { first: 2 * MAX_CHANGES, growth: 16, most: MAX_CHANGES * 2 ** 20 } as const;
/** Jobs that may be under way. */
export const MAX_JOBS = 4;
/** Entries that may wait; when there are more all are forgotten. */
const MAX_WAITING = 256;
/** Traces between two looks at how regions do, and visits that say something about one. */
const TRACES_PER_REVIEW = 32;
/** Traces after which half of what counts against entries is forgotten. */
const TRACES_PER_PARDON = 1024;
const TELLING_VISITS = 512;
/**
 * A region that executes fewer instructions than this between two misses of the TLB fills it itself; one between two exits
 * for NX computes exact results itself. But to translate it anew costs as much as so many of them: two hot pages that
 * share an entry of the TLB for a while are met in a hundred regions.
 */
const INSNS_PER_EXIT = 400;
const MIN_EXITS = 2048;

export class RegionTranslator implements Translator {
  readonly statistics: Statistics;
  readonly #options: TranslatorOptions;
  readonly #place: TranslatorPlace;
  readonly #view: DataView;
  readonly #code: GuestCode;
  readonly #profile: Profile;
  /** Where everything is translated: as if all ways had been taken. */
  readonly #taken: RegionProfile = { heat: () => 1, targets: (op) => this.#profile.targets(op) };
  readonly #units: Units;
  readonly #offers: Offers;
  /** Where the trace that is looked at has arrived at offers: ops, and low halves of addresses. */
  readonly #offered = new Map<number, number>();
  /** What regions were taken of, as long as other regions of it are on offer. */
  readonly #loaded = new WeakMap<CompiledJob, LoadedModule>();
  readonly #compiler: RegionCompiler;
  /** What the compiler has, in its order, and the job that is being made. */
  readonly #jobs: Plan[][] = [];
  /** Entries that wait to be compiled: ops, and the arrivals at them. */
  readonly #waiting = new Map<number, { lo: number; arrivals: number }>();
  /** Whether one of them may be urgent. */
  #mayBeUrgent = false;
  /** Entries whose regions fill the TLB themselves, and those whose regions check results for being exact. */
  readonly #refilling = new Set<number>();
  readonly #checking = new Set<number>();
  /**
   * Entries whose regions were met where not all of their pages were: those of a library, with a program that calls it.
   * They have only what is at the same distances wherever the code is mapped.
   */
  readonly #apart = new Set<number>();
  /** How often the code of an entry has changed. */
  readonly #changes = new Map<number, number>();
  /** How often an entry did not pay. */
  readonly #unprofitable = new Map<number, number>();

  constructor(
    place: TranslatorPlace,
    options: Partial<TranslatorOptions> = {},
    compiler: RegionCompiler = new LocalCompiler(),
  ) {
    this.#options = { ...DEFAULTS, ...options };
    this.#compiler = compiler;
    this.#place = place;
    this.#view = new DataView(place.memory.buffer);
    this.#profile = new Profile(place, this.#options);
    this.#code = new GuestCode(place.memory, place.arena);
    this.#units = new Units(place, this.#code);
    this.#offers = new Offers(place, this.#code);
    this.statistics = new Statistics(place.memory, place.arena);
  }

  get traceInterval(): number {
    return this.#options.traceInterval;
  }

  get modules(): number {
    return this.statistics.modules;
  }

  /** Of the modules whose regions stand. */
  get bytes(): number {
    return this.#units.bytes;
  }

  report(): string {
    return this.statistics.report(this.#units);
  }

  trace(arrived: number): void {
    this.statistics.traces += 1;
    this.#profile.traced();
    for (let i = 0; i < arrived; i++) this.#arrive(this.#profile.arrived(i));
    this.#takeOffers();
    this.#compileIfDue();
    this.#install();
    if (this.statistics.traces % TRACES_PER_REVIEW === 0) this.review();
    if (this.statistics.traces % TRACES_PER_PARDON === 0) this.#pardon();
  }

  /** Takes the counters of all entries, and removes those that do not pay. */
  review(): void {
    for (const unit of this.#units) {
      for (const entry of unit.entries) if (!this.#reviewEntry(unit, entry)) break;
    }
  }

  /** @returns false where the unit is gone */
  #reviewEntry(unit: Unit, entry: UnitEntry): boolean {
    const view = this.#view;
    const at = this.#units.recordAt(entry);
    const { minInsnsPerVisit } = this.#options;
    const visits = view.getUint32(at + REGION.visits, true);
    const insns = view.getUint32(at + REGION.insns, true);
    const refusals = view.getUint32(at + REGION.refusals, true);
    const misses = view.getUint32(at + REGION.misses, true);
    const gated = view.getUint32(at + REGION.gated, true);
    if (visits + refusals < TELLING_VISITS && minInsnsPerVisit > 0) return true;
    this.#takeCounters(at);
    unit.executed += insns;
    unit.misses += misses;
    unit.gated += gated;
    const isOften = (now: number, all: number): boolean => now * INSNS_PER_EXIT > insns && all >= MIN_EXITS;
    if (isOften(misses, unit.misses) && this.#choose(this.#refilling, unit)) return false;
    if (isOften(gated, unit.gated) && this.#choose(this.#checking, unit)) return false;
    // The address that it was formed at may be of a program that has ended: where it is next met is seen by a trace.
    if (refusals > visits && this.#replace(this.#apart, unit)) return false;
    if (insns >= (visits + refusals) * minInsnsPerVisit) return true;
    this.statistics.unprofitable += 1;
    this.#banUnprofitable(entry.op);
    const isLast = unit.entries.size === 1;
    this.#units.removeEntry(unit, entry);
    return !isLast;
  }

  /** Has a region compiled anew, with the next that are. @returns false where it is of that kind already */
  #choose(kind: Set<number>, unit: Unit): boolean {
    if (!this.#replace(kind, unit)) return false;
    this.#wait(unit.op, unit.lo, this.#options.urgent);
    return true;
  }

  /** Takes a region out, and notes of what kind the next of its entry is to be. @returns false where it was of that kind */
  #replace(kind: Set<number>, unit: Unit): boolean {
    if (kind.has(unit.op)) return false;
    if (kind.size > REGION.count) kind.clear();
    kind.add(unit.op);
    this.#units.remove(unit);
    return true;
  }

  #wait(op: number, lo: number, arrivals: number): void {
    if (this.#waiting.size >= MAX_WAITING) this.#waiting.clear();
    this.#mayBeUrgent ||= arrivals >= this.#options.urgent;
    this.#waiting.set(op, { lo, arrivals });
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

  #banUnprofitable(op: number): void {
    if (this.#unprofitable.size > REGION.count) this.#unprofitable.clear();
    const times = this.#unprofitable.get(op) ?? 0;
    this.#unprofitable.set(op, times + 1);
    this.#ban(op, Math.min(UNPROFITABLE.first * UNPROFITABLE.growth ** times, UNPROFITABLE.most));
  }

  #pardon(): void {
    for (const [op, count] of this.#changes) {
      if (count > 1) this.#changes.set(op, count >> 1);
      else this.#changes.delete(op);
    }
  }

  codeChanged(page: number, offset: number): void {
    for (const unit of this.#units.in(page)) {
      if (offset >= 0 && !isCovered(unit.covers, page, offset)) continue;
      this.statistics.invalidated += 1;
      if (offset >= 0) for (const { op } of unit.entries) this.#ban(op, 1);
      this.#units.remove(unit, true);
    }
  }

  #isBanned(op: number): boolean {
    return (this.#changes.get(op) ?? 0) >= MAX_CHANGES;
  }

  #arrive({ op, lo, arrivals }: Arrived): void {
    if (this.#isBanned(op)) return;
    if (this.#offers.has(op)) this.#offered.set(op, lo);
    if (arrivals < this.#options.threshold) return;
    if (this.#isUnderWay(op)) return this.#profile.forget(op);
    if (!this.#code.mayBegin(op)) return;
    this.#wait(op, lo, arrivals);
  }

  /**
   * Whether an instruction is in a region that is being compiled. It is not made the beginning of another with it: what
   * calls a function often has it too, and then it may well be met in no other way.
   */
  #isUnderWay(op: number): boolean {
    return this.#jobs.some((plans) => plans.some(({ ops }) => ops.has(op)));
  }

  /** Whether a region begins at an op, or soon will: for one that is formed now, which asks for each instruction. */
  #beginnings(): (op: number) => boolean {
    const soon = new Set(this.#jobs.flat().flatMap(({ region }) => region.entries.map((at) => opAt(region, at))));
    return (op) => this.#code.isRegion(op) || soon.has(op);
  }

  #compileIfDue(): void {
    const { batch, urgent } = this.#options;
    if (this.#waiting.size === 0 || this.#jobs.length >= MAX_JOBS) return;
    if (this.#waiting.size < batch && !this.#mayBeUrgent) return;
    // The others are of another address space or mode, whose turn will come.
    const here = [...this.#waiting].filter(([op, { lo }]) => this.#isHere(op, lo));
    const isUrgent = here.some(([, { arrivals }]) => arrivals >= urgent);
    if (here.length === this.#waiting.size) this.#mayBeUrgent = isUrgent;
    if (here.length >= batch || isUrgent) this.#compile(here.map(([op, { lo }]) => ({ op, lo })));
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

  /** Some of what waits, as one module. */
  #compile(arrivals: readonly Arrival[]): void {
    const plans: Plan[] = [];
    // Each is planned in the knowledge of those before it.
    this.#jobs.push(plans);
    for (const from of arrivals) {
      const plan = this.#plan(from);
      if (plan !== null) plans.push(plan);
    }
    if (plans.length === 0) {
      this.#jobs.pop();
      return;
    }
    const { everything } = this.#options;
    const job = plans.map(({ from: { op }, region, hosts }) =>
      textOf(region, (page) => hosts.get(page) ?? 0, {
        // Where everything is translated all kinds are met.
        refills: this.#refilling.has(op) || (everything && (op & 8) !== 0),
        checksExact: this.#checking.has(op) || (everything && (op & 16) !== 0),
        mayFuse: !everything || (op & 32) !== 0,
      }),
    );
    this.#compiler.submit(job);
  }

  /** Puts what has been compiled meanwhile in its place. */
  #install(): void {
    while (this.#jobs.length > 0) {
      const done = this.#compiler.take();
      if (done === null) return;
      this.#installJob(this.#jobs.shift() ?? [], done);
    }
  }

  #installJob(plans: readonly Plan[], done: CompiledJob): void {
    const { lengthBytes, regions } = done;
    const insns = regions.reduce((sum, region) => sum + region.insns, 0);
    this.statistics.insns += insns;
    this.statistics.modules += 1;
    this.statistics.bytes += lengthBytes;
    const entries = regions.reduce((sum, { minBudgets }) => sum + minBudgets.length, 0);
    if (!this.#makeRoom(lengthBytes, entries)) return;
    const loaded = this.#load(done);
    for (const [i, plan] of plans.entries()) {
      if (this.#isUnchanged(plan)) this.#installRegion(plan.region, plan.from.lo, loaded, i);
    }
  }

  #load(done: CompiledJob): LoadedModule {
    const { memory, runtime } = this.#place;
    const { exports } = new WebAssembly.Instance(done.module, { env: { memory }, runtime });
    return { done, exports, own: { lengthBytes: done.lengthBytes, units: new Set() } };
  }

  /** @param lo low half of the virtual address of its first entry; @param number in its job */
  #installRegion(region: Region, lo: number, { done, exports, own }: LoadedModule, number: number): void {
    this.#units.add(region, lo, own, exports[`${number}`], done.regions[number]?.minBudgets ?? []);
    this.statistics.regions += 1;
  }

  /** @returns false for a module that has no room at all */
  #makeRoom(lengthBytes: number, entries: number): boolean {
    const { maxBytes } = this.#options;
    if (lengthBytes > maxBytes) return false;
    if (this.#units.bytes + lengthBytes > maxBytes || this.#units.room < entries) {
      // A quarter more than is needed now: looking for them takes its time.
      this.statistics.evicted += this.#units.makeRoom(maxBytes * 0.75 - lengthBytes, entries);
    }
    return true;
  }

  /** Whether the code is still there that a region was formed from. */
  #isUnchanged({ region, hosts }: Plan): boolean {
    for (const [page, host] of hosts) {
      if (this.#view.getUint32(page + DECODED_PAGE.host, true) !== host) return false;
    }
    return isAsFormed(region, this.#code);
  }

  /** Takes what others have compiled, and puts it in its place where the trace has arrived at it. */
  #takeOffers(): void {
    for (let next = this.#compiler.takeShared(); next !== null; next = this.#compiler.takeShared()) {
      this.#offers.add(next);
    }
    for (const [op, lo] of this.#offered) {
      if (!this.#code.mayBegin(op) || !this.#isHere(op, lo)) continue;
      const taken = this.#offers.take(op, lo, this.#pcHigh());
      if (taken !== null) this.#installOffer(op, taken);
    }
    this.#offered.clear();
  }

  #installOffer(op: number, { offer, region, lo }: Taken): void {
    const { done, number, text } = offer;
    if (!this.#isWanted(opAt(region, 0), text) || !this.#makeRoom(done.lengthBytes, region.entries.length)) return;
    this.#waiting.delete(op);
    this.#profile.forget(op);
    const loaded = this.#loaded.get(done) ?? this.#load(done);
    this.#loaded.set(done, loaded);
    this.#installRegion(region, lo, loaded, number);
    this.statistics.shared += 1;
  }

  /** Whether a region is of the kind that this hart would have compiled for an entry, or of one that serves as well. */
  #isWanted(op: number, { refills, checksExact }: RegionText): boolean {
    return (refills || !this.#refilling.has(op)) && (checksExact || !this.#checking.has(op));
  }

  #plan(from: Arrival): Plan | null {
    const { op } = from;
    this.#waiting.delete(op);
    this.#profile.forget(op);
    if (!this.#code.mayBegin(op) || this.#isUnderWay(op)) return null;
    const region = this.#form(from);
    if (region === null) {
      this.#ban(op, MAX_CHANGES);
      return null;
    }
    const better = betterEntry(region);
    return better === 0 ? this.#planned(from, region) : this.#planElsewhere(from, region, better);
  }

  /** For a region that had better begin so many bytes on. */
  #planElsewhere(from: Arrival, region: Region, better: number): Plan | null {
    const head = { op: opAt(region, better), lo: (from.lo + better) >>> 0 };
    // A few instructions in front of a function, or of a loop, that is translated already: they lead there.
    if (this.#beginnings()(head.op)) return this.#planned(from, firstBlockOf(region));
    this.#ban(from.op, MAX_CHANGES);
    const headed = this.#code.mayBegin(head.op) ? this.#form(head, -better) : null;
    return headed && this.#planned(head, headed);
  }

  #planned(from: Arrival, region: Region): Plan {
    const hostOf = (page: number): number => this.#view.getUint32(page + DECODED_PAGE.host, true);
    const hosts = new Map([...region.pages.values()].map((page) => [page, hostOf(page)]));
    const ops = new Set([...region.blocks.values()].flatMap(({ insns }) => insns.map(({ at }) => opAt(region, at))));
    return { from, region, hosts, ops };
  }

  /** @param other one more entry, in bytes from the first */
  #form({ op, lo }: Arrival, other?: number): Region | null {
    const page = this.#code.pageOfOp(op);
    const offset = (op - page) / (DECODED_PAGE.opBytes / 2);
    const pageLo = (lo & -PAGE_BYTES) >>> 0;
    const profile = this.#options.everything ? this.#taken : this.#profile;
    const entry = { page, offset, lo: pageLo, hi: this.#pcHigh() };
    const options = { isApart: this.#apart.has(op), begins: this.#beginnings() };
    return new RegionFormer(this.#code, entry, profile, options).form(other);
  }
}

/** For HartOptions.translator. @param compiler where to compile; left out: here, at once */
export function translatorWith(
  options: Partial<TranslatorOptions> = {},
  compiler?: RegionCompiler,
): (place: TranslatorPlace) => RegionTranslator {
  return (place) => new RegionTranslator(place, options, compiler);
}
