/**
 * Forms a region: the basic blocks that control reaches from an entry, over the decoded pages that the fetch TLB
 * knows, within bounds. Calls are followed into the callee, and its returns back to behind them. It has more entries
 * where control comes back to it: behind calls that are not followed, and behind instructions that have no form without
 * calls; and, begun at a loop's head, where control comes to the loop from.
 *
 * Everything is measured in bytes from the first entry: a region does not know its virtual address, only how its pages
 * lie to each other. Those are checked whenever it is entered.
 */
import { REGION } from '../hart/state.ts';
import type { Decoded } from '../isa/insn.ts';
import type { GuestCode } from './guest-code.ts';
import { PAGE_BYTES } from './guest-code.ts';
import { addressRegisterOf, type Flow, flowOf, isTranslatable, linkOf, targetRegisterOf } from './instructions.ts';
import { ENTRY_REACH } from './region-entry.ts';
import { structure } from './structure.ts';

export interface RegionInsn {
  /** Bytes from the entry. */
  readonly at: number;
  readonly decoded: Decoded;
}

/** How a block ends. Numbers are offsets from the entry; where no block begins there, the region is left for it. */
export type BlockEnd =
  | { readonly kind: 'jump'; readonly to: number }
  /** The last instruction decides. */
  | { readonly kind: 'branch'; readonly taken: number; readonly otherwise: number }
  /** The last instruction computes it; `guesses` are blocks it may be. */
  | { readonly kind: 'indirect'; readonly guesses: readonly number[] }
  /** The instruction there has no form without calls. */
  | { readonly kind: 'bail'; readonly at: number };

export interface Block {
  readonly at: number;
  /** How often traces have met its first instruction. */
  readonly heat: number;
  readonly insns: readonly RegionInsn[];
  readonly end: BlockEnd;
}

export interface Region {
  /** Blocks at which it is entered; the first is 0. */
  readonly entries: readonly number[];
  /** Blocks by where they begin. */
  readonly blocks: ReadonlyMap<number, Block>;
  /** Decoded pages by their distance in pages from the first entry's. */
  readonly pages: ReadonlyMap<number, number>;
  /** Byte offset of the first entry in its page. */
  readonly entryOffset: number;
}

/** The decoded page, and the byte offset in it, of what is at some bytes from a region's first entry; null outside its pages. */
export function placeIn(
  { pages, entryOffset }: Pick<Region, 'pages' | 'entryOffset'>,
  at: number,
): { readonly page: number; readonly offset: number } | null {
  const from = entryOffset + at;
  const distance = Math.floor(from / PAGE_BYTES);
  const page = pages.get(distance);
  return page === undefined ? null : { page, offset: from - distance * PAGE_BYTES };
}

/** Whether the decoded pages of a region hold the instructions that it was formed from. */
export function isAsFormed(region: Region, code: GuestCode): boolean {
  return [...region.blocks.values()].every(({ insns }) =>
    insns.every(({ at, decoded }) => {
      const place = placeIn(region, at);
      const next = placeIn(region, at + decoded.insn.length - 1)?.page;
      return place !== null && code.wordAt(place.page, place.offset, next) === decoded.word;
    }),
  );
}

/** Where to begin. */
export interface Entry {
  readonly page: number;
  readonly offset: number;
  /** Halves of the virtual address of its page. */
  readonly lo: number;
  readonly hi: number;
}

const MAX_INSNS = 400;
/**
 * What traces have met less often than the entry, by more than this factor, is left to a side exit: to compile an
 * instruction costs as much as to interpret it thousands of times. But the cases of a computed jump are taken in however
 * many they are: an interpreter's loop is one region.
 */
const LEAST_SHARE = 16;
/**
 * From so many on a region ends where another begins, or soon will, unless it is such a case: what both reach is translated
 * once.
 */
const JOINING_INSNS = 30;
/**
 * Bytes from the first entry, either way, that are looked at: a large program's calls, and those to the stubs through
 * which it calls libraries, go over megabytes.
 */
const REACH = 2 ** 30;
const MAX_PAGES = 1 + REGION.maxPages;
const MAX_GUESSES = 12;
const MAX_RETURNS = 4;
const MAX_ENTRIES = 16;
/**
 * A loop of no more instructions is not entered elsewhere than at its head, which is met soon: with another entry it
 * would be no loop that nesting can express.
 */
const MAX_INSNS_TO_HEAD = 128;
const RETURN_REGISTERS: readonly number[] = [1, 5];

/** What traces have shown (profile.ts). */
export interface RegionProfile {
  /** How often an op was executed. */
  heat(op: number): number;
  /** Distances from a computed jump to where it went, the most frequent first. */
  targets(op: number): readonly number[];
}

/** Blocks of a region that control goes to from one. */
export function successorsOf(blocks: ReadonlyMap<number, Block>, at: number): number[] {
  const end = blocks.get(at)?.end;
  const targets =
    end?.kind === 'jump'
      ? [end.to]
      : end?.kind === 'branch'
        ? [end.otherwise, end.taken]
        : end?.kind === 'indirect'
          ? end.guesses
          : [];
  return targets.filter((to) => blocks.has(to));
}

/**
 * Where a region had better be entered than at its first entry, which leads on only to a block that is come to from
 * elsewhere as well: there the loops around it begin. 0 where there is no better place.
 */
export function betterEntry({ blocks }: Region): number {
  const end = blocks.get(0)?.end;
  if (end?.kind !== 'jump' || end.to === 0 || !blocks.has(end.to)) return 0;
  const isMet = [...blocks.keys()].some((at) => at !== 0 && successorsOf(blocks, at).includes(end.to));
  return isMet ? end.to : 0;
}

/** What a region executes until it comes to another block. */
export function firstBlockOf(region: Region): Region {
  const blocks = new Map([...region.blocks].filter(([at]) => at === 0));
  return { ...region, entries: [0], blocks, pages: usedPages(blocks, region) };
}

export interface FormOptions {
  /** Whether it takes in no more than what is at the same distances wherever the code is mapped; left out: no. */
  readonly isApart?: boolean;
  /** Whether another region begins at an op, or soon will; left out: what stands in its place. */
  readonly begins?: (op: number) => boolean;
}

export class RegionFormer {
  readonly #code: GuestCode;
  readonly #entry: Entry;
  readonly #profile: RegionProfile;
  readonly #isApart: boolean;
  readonly #begins: (op: number) => boolean;
  readonly #insns = new Map<number, { readonly decoded: Decoded; readonly flow: Flow }>();
  /** Where control comes back. */
  readonly #resumes = new Set<number>();
  readonly #leaders = new Set<number>([0]);
  readonly #bails = new Set<number>();
  readonly #returns: number[] = [];
  readonly #pages = new Map<number, number>();
  /** Where computed jumps went, from the entry. */
  readonly #targets = new Map<number, readonly number[]>();
  /** Those that neither calls nor returns went to: the cases of a `switch`. */
  readonly #cases = new Set<number>();
  /** Behind a call, and where it goes. */
  readonly #calls: [behind: number, callee: number][] = [];

  constructor(code: GuestCode, entry: Entry, profile: RegionProfile, { isApart = false, begins }: FormOptions = {}) {
    this.#isApart = isApart;
    this.#begins = begins ?? ((op) => code.isRegion(op));
    this.#code = code;
    this.#entry = entry;
    this.#profile = profile;
    this.#pages.set(0, entry.page);
  }

  /** @param other one more entry, in bytes from the first; @returns null where nothing worth translating begins */
  form(other?: number): Region | null {
    const hot = [0];
    if (other !== undefined) {
      hot.push(other);
      this.#resumes.add(other);
    }
    for (let next = hot.shift(); next !== undefined && this.#insns.size < MAX_INSNS; next = hot.shift()) {
      for (const target of this.#walk(next)) if (this.#isTaken(target)) hot.push(target);
    }
    const blocks = new Map<number, Block>();
    const starts = [...this.#leaders].filter((at) => this.#insns.has(at));
    for (const at of starts) blocks.set(at, this.#block(at));
    // An empty block is one that bails out at once.
    if ((blocks.get(0)?.insns.length ?? 0) === 0) return null;
    const entryOffset = this.#entry.offset;
    const pages = usedPages(blocks, { pages: this.#pages, entryOffset });
    return { entries: this.#entries(blocks), blocks, pages, entryOffset };
  }

  #entries(blocks: ReadonlyMap<number, Block>): number[] {
    for (const [behind, callee] of this.#calls) if (!blocks.has(callee)) this.#resumes.add(behind);
    const { loops } = structure({
      entries: [0],
      successors: (at) => successorsOf(blocks, at),
      heat: (at) => blocks.get(at)?.heat ?? 0,
    });
    const size = (body: ReadonlySet<number>): number =>
      [...body].reduce((sum, at) => sum + (blocks.get(at)?.insns.length ?? 0), 0);
    const sized = loops.map((loop) => ({ ...loop, insns: size(loop.body) })).sort((a, b) => a.insns - b.insns);
    const isWithin = (at: number): boolean => {
      const smallest = sized.find(({ body }) => body.has(at));
      return smallest !== undefined && smallest.head !== at && smallest.insns <= MAX_INSNS_TO_HEAD;
    };
    const isEntry = (at: number): boolean =>
      at !== 0 &&
      Math.abs(at) < ENTRY_REACH &&
      (blocks.get(at)?.insns.length ?? 0) > 0 &&
      this.#isHot(at) &&
      !isWithin(at);
    return [0, ...[...this.#resumes].filter(isEntry)].slice(0, MAX_ENTRIES);
  }

  /** The page and offset in it of a distance from the entry. */
  #place(at: number): { page: number; offset: number } | null {
    const { offset, lo, hi } = this.#entry;
    const from = offset + at;
    const distance = Math.floor(from / PAGE_BYTES);
    let page = this.#pages.get(distance);
    if (page === undefined) {
      if (this.#pages.size >= MAX_PAGES) return null;
      const sum = lo + distance * PAGE_BYTES;
      page = this.#code.pageOfAddress(sum >>> 0, (hi + Math.floor(sum / 2 ** 32)) >>> 0);
      if (this.#code.pageOfOp(page) === 0) return null;
      this.#pages.set(distance, page);
    }
    return { page, offset: from - distance * PAGE_BYTES };
  }

  /** The decoded page in which an instruction (its op) ends that begins in another; 0 where none does. */
  #nextPage(at: number, op: number): number {
    return this.#code.isCrossing(op) ? (this.#place(at + 2)?.page ?? 0) : 0;
  }

  #heat(at: number): number {
    const place = this.#place(at);
    return place === null ? 0 : this.#profile.heat(place.page + place.offset * 4);
  }

  #isHot(at: number): boolean {
    return this.#heat(at) > 0;
  }

  /** Whether control goes to a target often enough. */
  #isTaken(target: number): boolean {
    const heat = this.#heat(target);
    return heat > 0 && (this.#cases.has(target) || heat * LEAST_SHARE >= this.#heat(0));
  }

  /** Takes in instructions from `start` on until control may go elsewhere. @returns where to */
  #walk(start: number): number[] {
    this.#leaders.add(start);
    let at = start;
    while (!this.#insns.has(at) && this.#insns.size < MAX_INSNS && Math.abs(at) < REACH) {
      const place = this.#place(at);
      if (place === null) return [];
      const op = place.page + place.offset * 4;
      if (this.#insns.size >= JOINING_INSNS && !this.#cases.has(at) && this.#begins(op)) return [];
      const decoded = this.#code.instruction(place.page, place.offset, this.#nextPage(at, op));
      if (decoded === null || !isTranslatable(decoded)) {
        this.#bails.add(at);
        const behind = at + (decoded?.insn.length ?? 0);
        if (behind === at || !this.#isHot(behind)) return [];
        this.#resumes.add(behind);
        return [behind];
      }
      const flow = flowOf(decoded);
      this.#insns.set(at, { decoded, flow });
      const behind = at + decoded.insn.length;
      const link = flow.kind === 'next' ? 0 : linkOf(decoded);
      if (RETURN_REGISTERS.includes(link) && this.#place(behind) !== null) this.#returns.push(behind);
      if (flow.kind === 'branch') return [at + flow.distance, behind];
      if (flow.kind === 'jump' && link === 0) return [at + flow.distance];
      if (flow.kind === 'jump') {
        this.#calls.push([behind, at + flow.distance]);
        return [at + flow.distance, behind];
      }
      if (flow.kind === 'indirect') {
        const known = this.#profile
          .targets(op)
          .map((distance) => at + distance)
          .filter((to) => !this.#isApart || this.#isLinked(at, to, decoded));
        this.#targets.set(at, known);
        if (link === 0 && !this.#isReturn(decoded)) for (const target of known) this.#cases.add(target);
        if (link === 0) return known;
        this.#resumes.add(behind);
        return [...known, behind];
      }
      at = behind;
    }
    // What is met in the middle begins a block from here on.
    if (this.#insns.has(at)) this.#leaders.add(at);
    return [];
  }

  /**
   * Whether a computed jump goes where it does in any program: into a page that direct jumps lead to, or as far as the
   * AUIPC before it says (calls over more than a megabyte).
   */
  #isLinked(at: number, to: number, decoded: Decoded): boolean {
    if (placeIn({ pages: this.#pages, entryOffset: this.#entry.offset }, to) !== null) return true;
    const before = this.#insns.get(at - 4)?.decoded;
    return before !== undefined && addressRegisterOf(before) === targetRegisterOf(decoded);
  }

  #block(start: number): Block {
    return { at: start, heat: this.#heat(start), ...this.#blockBody(start) };
  }

  #blockBody(start: number): Pick<Block, 'insns' | 'end'> {
    const insns: RegionInsn[] = [];
    let at = start;
    for (;;) {
      const found = this.#insns.get(at);
      if (found === undefined) {
        const end: BlockEnd = this.#bails.has(at) ? { kind: 'bail', at } : { kind: 'jump', to: at };
        return { insns, end };
      }
      if (at !== start && this.#leaders.has(at)) return { insns, end: { kind: 'jump', to: at } };
      const { decoded, flow } = found;
      insns.push({ at, decoded });
      const behind = at + decoded.insn.length;
      if (flow.kind === 'jump') return { insns, end: { kind: 'jump', to: at + flow.distance } };
      if (flow.kind === 'branch') {
        return { insns, end: { kind: 'branch', taken: at + flow.distance, otherwise: behind } };
      }
      if (flow.kind === 'indirect') {
        return { insns, end: { kind: 'indirect', guesses: this.#guesses(at, decoded) } };
      }
      at = behind;
    }
  }

  /** Where a computed jump may go within the region: behind its calls, if it returns, and where it went before. */
  #guesses(at: number, decoded: Decoded): number[] {
    const isReturn = this.#isReturn(decoded);
    const known = this.#targets.get(at) ?? [];
    const guesses = new Set(isReturn ? [...known.slice(0, MAX_RETURNS), ...this.#returns] : known);
    return [...guesses].filter((to) => this.#insns.has(to)).slice(0, isReturn ? 2 * MAX_RETURNS : MAX_GUESSES);
  }

  #isReturn(decoded: Decoded): boolean {
    return linkOf(decoded) === 0 && RETURN_REGISTERS.includes(targetRegisterOf(decoded));
  }
}

/** Those of a region's pages that blocks lie in. */
function usedPages(
  blocks: ReadonlyMap<number, Block>,
  { pages, entryOffset }: Pick<Region, 'pages' | 'entryOffset'>,
): Map<number, number> {
  const used = new Map<number, number>();
  for (const { insns } of blocks.values()) {
    for (const { at, decoded } of insns) {
      for (const byte of [at, at + decoded.insn.length - 1]) {
        const distance = Math.floor((entryOffset + byte) / PAGE_BYTES);
        used.set(distance, pages.get(distance) ?? 0);
      }
    }
  }
  return used;
}
