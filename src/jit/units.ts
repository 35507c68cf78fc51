/**
 * The regions that stand in their places: their records in the hart's arena (REGION), the ops at their entries that name
 * those, and which pages and bytes of the guest's code they were made from.
 */
import { SPECIAL } from '../hart/handlers.ts';
import type { TranslatorPlace } from '../hart/hart.ts';
import { ARENA, DECODED_PAGE, HART_OFFSETS, OP, REGION } from '../hart/state.ts';
import type { GuestCode } from './guest-code.ts';
import { PAGE_BYTES } from './guest-code.ts';
import { placeIn, type Region } from './region.ts';
import { regionEntry } from './region-entry.ts';

/** Which instructions a region was made from: by decoded page, a bit for each 8 bytes that it has some of. */
export type Coverage = ReadonlyMap<number, Uint32Array>;

/** An entry in its place. */
export interface UnitEntry {
  /** Host offset of the op that names it. */
  readonly op: number;
  /** Bytes from the region's first entry. */
  readonly at: number;
  /** Offset of its record in ARENA.regions. */
  readonly record: number;
}

/** A module: it stays in memory as long as one of its regions stands. */
export interface CodeModule {
  readonly lengthBytes: number;
  /** Those of its regions that stand. */
  readonly units: Set<Unit>;
}

export interface Unit {
  /** Host offset of the op at the region's first entry, which may no longer be in place. */
  readonly op: number;
  /** Low half of the virtual address of its first entry when it was formed. */
  readonly lo: number;
  readonly slot: number;
  readonly covers: Coverage;
  readonly module: CodeModule;
  /** Those that are in place. */
  readonly entries: Set<UnitEntry>;
  /** Instructions executed in it, as of the last look; older ones count less. */
  executed: number;
  /** Visits to it that ended as REGION.misses and REGION.gated say, as of the last look. */
  misses: number;
  gated: number;
}

/** Host offset of the op at some bytes from a region's first entry, in a page of the region's; 0 for another. */
export function opAt(region: Region, at: number): number {
  const place = placeIn(region, at);
  return place === null ? 0 : place.page + (place.offset * DECODED_PAGE.opBytes) / 2;
}

/** What a new unit counts as, so that it is not the first to make room. */
const FRESH_INSNS = 2 ** 20;

export class Units {
  readonly #place: TranslatorPlace;
  readonly #code: GuestCode;
  readonly #view: DataView;
  readonly #all = new Set<Unit>();
  #bytes = 0;
  readonly #byPage = new Map<number, Set<Unit>>();
  /** Offsets of free records. The place in the table that goes with one holds the region of whoever took it for that. */
  readonly #free: number[] = [];

  constructor(place: TranslatorPlace, code: GuestCode) {
    this.#place = place;
    this.#code = code;
    this.#view = new DataView(place.memory.buffer);
    for (let i = REGION.count - 1; i >= 0; i--) this.#free.push(i * REGION.lengthBytes);
    place.table.grow(REGION.count);
  }

  [Symbol.iterator](): Iterator<Unit> {
    return new Set(this.#all).values();
  }

  /** Of the modules whose regions stand, or some of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries for which there is room. */
  get room(): number {
    return this.#free.length;
  }

  /**
   * Takes out the regions of those modules in which least was executed of late, until so many bytes and entries have
   * room. @returns how many
   */
  makeRoom(maxBytes: number, entries: number): number {
    const before = this.#all.size;
    const executed = ({ units }: CodeModule): number => [...units].reduce((sum, unit) => sum + unit.executed, 0);
    const modules = [...new Set([...this.#all].map(({ module }) => module))];
    const coldest = modules.map((module) => ({ module, executed: executed(module) }));
    for (const { module } of coldest.sort((a, b) => a.executed - b.executed)) {
      if (this.#bytes <= maxBytes && this.room >= entries) break;
      for (const unit of [...module.units]) this.remove(unit);
    }
    for (const unit of this.#all) unit.executed /= 2;
    return before - this.#all.size;
  }

  /** Those with code in a decoded page. */
  in(page: number): readonly Unit[] {
    return [...(this.#byPage.get(page) ?? [])];
  }

  /** Host offset of an entry's record. */
  recordAt({ record }: UnitEntry): number {
    return this.#place.arena + ARENA.regions + record;
  }

  /** @param lo, module as in Unit @param run the compiled function @param minBudgets for each entry of the region */
  add(region: Region, lo: number, module: CodeModule, run: unknown, minBudgets: readonly number[]): void {
    const covers = coverageOf(region);
    const view = this.#view;
    const entries = new Set<UnitEntry>();
    region.entries.forEach((at, index) => {
      const op = opAt(region, at);
      if (!this.#code.mayBegin(op)) return;
      const record = this.#free.pop();
      if (record === undefined) return;
      const entry = { op, at, record };
      const to = this.recordAt(entry);
      view.setBigUint64(to + REGION.original, view.getBigUint64(op, true), true);
      view.setUint32(to + REGION.minBudget, minBudgets[index] ?? 0, true);
      view.setUint32(to + REGION.entry, regionEntry(index, at), true);
      this.#writePages(region, at, to);
      entries.add(entry);
    });
    const [first] = entries;
    if (first === undefined) return;
    const slot = first.record / REGION.lengthBytes;
    const placed = {
      op: opAt(region, 0),
      lo,
      slot,
      covers,
      module,
      entries,
      executed: FRESH_INSNS,
      misses: 0,
      gated: 0,
    };
    this.#place.table.set(slot, run);
    for (const entry of entries) {
      view.setUint32(this.recordAt(entry) + REGION.slot, slot, true);
      view.setUint32(entry.op + OP.imm, entry.record, true);
      view.setUint32(entry.op, SPECIAL.region, true);
    }
    this.#all.add(placed);
    if (module.units.size === 0) this.#bytes += module.lengthBytes;
    module.units.add(placed);
    for (const page of covers.keys()) {
      const here = this.#byPage.get(page) ?? new Set();
      this.#byPage.set(page, here.add(placed));
      view.setUint32(page + DECODED_PAGE.translated, 1, true);
    }
  }

  #writePages({ pages, entryOffset }: Region, at: number, record: number): void {
    const view = this.#view;
    const own = Math.floor((entryOffset + at) / PAGE_BYTES);
    const others = [...pages].filter(([distance]) => distance !== own);
    // Not looked at yet.
    const epoch = view.getBigUint64(this.#place.arena + HART_OFFSETS.fetchEpoch, true);
    view.setBigUint64(record + REGION.epoch, epoch - 1n, true);
    view.setUint32(record + REGION.pages, others.length, true);
    others.forEach(([distance, page], i) => {
      const to = record + REGION.page + i * REGION.pageBytes;
      view.setInt32(to, (distance - own) * PAGE_BYTES, true);
      view.setUint32(to + 4, page, true);
    });
  }

  /** Takes an entry out of its place. The last one takes the unit along. */
  removeEntry(unit: Unit, entry: UnitEntry): void {
    if (unit.entries.size === 1) return this.remove(unit);
    this.#takeOut(entry, false);
    unit.entries.delete(entry);
    // Its place in the table may still be in use, by the others.
    if (entry.record / REGION.lengthBytes !== unit.slot) this.#free.push(entry.record);
    this.#tellRemoved();
  }

  /** @param isStale the code is no longer what it was made from: the ops at its entries are decoded again */
  remove(unit: Unit, isStale = false): void {
    if (!this.#all.delete(unit)) return;
    const { module } = unit;
    module.units.delete(unit);
    if (module.units.size === 0) this.#bytes -= module.lengthBytes;
    for (const entry of unit.entries) {
      this.#takeOut(entry, isStale);
      if (entry.record / REGION.lengthBytes !== unit.slot) this.#free.push(entry.record);
    }
    this.#free.push(unit.slot * REGION.lengthBytes);
    for (const page of unit.covers.keys()) {
      const here = this.#byPage.get(page);
      here?.delete(unit);
      if (here?.size !== 0) continue;
      this.#byPage.delete(page);
      this.#view.setUint32(page + DECODED_PAGE.translated, 0, true);
    }
    this.#tellRemoved();
    this.#place.table.set(unit.slot, null);
  }

  #takeOut(entry: UnitEntry, isStale: boolean): void {
    const view = this.#view;
    const { op, record } = entry;
    const isInPlace = this.#code.isRegion(op) && view.getUint32(op + OP.imm, true) === record;
    if (!isInPlace) return;
    const original = view.getBigUint64(this.recordAt(entry) + REGION.original, true);
    view.setBigUint64(op, isStale ? 0n : original, true);
  }

  /** To who has found a region in its place before. */
  #tellRemoved(): void {
    const view = this.#view;
    const epoch = this.#place.arena + HART_OFFSETS.fetchEpoch;
    view.setBigUint64(epoch, view.getBigUint64(epoch, true) + 1n, true);
  }
}

/** Whether a unit was made from any of the 8 bytes at an offset in a decoded page. */
export function isCovered(covers: Coverage, page: number, offset: number): boolean {
  return (((covers.get(page)?.[offset >>> 8] ?? 0) >>> ((offset >>> 3) & 31)) & 1) !== 0;
}

function coverageOf(region: Region): Coverage {
  const covers = new Map<number, Uint32Array>();
  for (const block of region.blocks.values()) {
    for (const { at, decoded } of block.insns) {
      for (let byte = at; byte < at + decoded.insn.length; byte += 2) {
        const place = placeIn(region, byte);
        if (place === null) continue;
        const { page, offset } = place;
        const bits = covers.get(page) ?? new Uint32Array(PAGE_BYTES / 8 / 32);
        covers.set(page, bits);
        bits[offset >>> 8] = (bits[offset >>> 8] ?? 0) | (1 << ((offset >>> 3) & 31));
      }
    }
  }
  return covers;
}
