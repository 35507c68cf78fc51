/**
 * Forms a region: the basic blocks that control reaches from one entry, over the decoded pages that the fetch TLB
 * knows, within bounds. Calls are followed into the callee, and its returns back to behind them.
 *
 * Everything is measured in bytes from the entry: a region does not know its virtual address, only how its pages lie to
 * each other. Those are checked at each entry.
 */
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import type { GuestCode } from './guest-code.ts';
import { PAGE_BYTES } from './guest-code.ts';
import { type Flow, flowOf, isTranslatable, linkOf, registersOf } from './instructions.ts';
import { SIDE_EXIT_REACH } from './side-exit.ts';

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
  readonly insns: readonly RegionInsn[];
  readonly end: BlockEnd;
}

export interface Region {
  /** Host offset of the op at which it is entered, and the decoded page that op lies in. */
  readonly entryOp: number;
  /** Blocks by where they begin; the entry's is at 0. */
  readonly blocks: ReadonlyMap<number, Block>;
  /** Decoded pages by their distance in pages from the entry's. */
  readonly pages: ReadonlyMap<number, number>;
  /** Byte offset of the entry in its page. */
  readonly entryOffset: number;
}

/** Where to begin. */
export interface Entry {
  readonly op: number;
  readonly page: number;
  readonly offset: number;
  /** Halves of the virtual address of its page. */
  readonly lo: number;
  readonly hi: number;
}

const MAX_INSNS = 400;
/** From so many on a region ends where another begins: long straight code is translated once, not from each entry. */
const JOINING_INSNS = 100;
const MAX_PAGES = 6;
const MAX_GUESSES = 12;
const MAX_RETURNS = 4;
/** Instructions taken in along paths that no trace has seen. */
const MAX_COLD_INSNS = 120;
const RETURN_REGISTERS: readonly number[] = [1, 5];

/** What traces have shown (profile.ts). */
export interface RegionProfile {
  /** How often an op was executed. */
  heat(op: number): number;
  /** Distances from a computed jump to where it went, the most frequent first. */
  targets(op: number): readonly number[];
}

export class RegionFormer {
  readonly #code: GuestCode;
  readonly #entry: Entry;
  readonly #profile: RegionProfile;
  readonly #insns = new Map<number, { readonly decoded: Decoded; readonly flow: Flow }>();
  readonly #leaders = new Set<number>([0]);
  readonly #bails = new Set<number>();
  readonly #returns: number[] = [];
  readonly #pages = new Map<number, number>();
  /** Where computed jumps went, from the entry. */
  readonly #targets = new Map<number, readonly number[]>();
  #cold = 0;

  constructor(code: GuestCode, entry: Entry, profile: RegionProfile) {
    this.#code = code;
    this.#entry = entry;
    this.#profile = profile;
    this.#pages.set(0, entry.page);
  }

  /** @returns null where nothing worth translating begins */
  form(): Region | null {
    const hot = [0];
    const cold: number[] = [];
    for (;;) {
      const next = hot.shift() ?? cold.shift();
      if (next === undefined || this.#insns.size >= MAX_INSNS) break;
      for (const target of this.#walk(next)) (this.#isHot(target) ? hot : cold).push(target);
    }
    const blocks = new Map<number, Block>();
    const starts = [...this.#leaders].filter((at) => this.#insns.has(at));
    for (const at of starts) blocks.set(at, this.#block(at));
    if (!blocks.has(0)) return null;
    const { op, offset } = this.#entry;
    return { entryOp: op, blocks, pages: this.#usedPages(blocks), entryOffset: offset };
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

  #isHot(at: number): boolean {
    const place = this.#place(at);
    return place !== null && this.#profile.heat(place.page + place.offset * 4) > 0;
  }

  /** Takes in instructions from `start` on until control may go elsewhere. @returns where to */
  #walk(start: number): number[] {
    this.#leaders.add(start);
    let at = start;
    while (!this.#insns.has(at) && this.#insns.size < MAX_INSNS && Math.abs(at) < SIDE_EXIT_REACH) {
      const place = this.#place(at);
      if (place === null) return [];
      const op = place.page + place.offset * 4;
      if (this.#insns.size >= JOINING_INSNS && this.#code.isRegion(op)) return [];
      const isCold = this.#profile.heat(op) === 0;
      if (isCold && this.#cold >= MAX_COLD_INSNS) return [];
      const decoded = this.#code.instruction(place.page, place.offset);
      if (decoded === null || !isTranslatable(decoded)) {
        this.#bails.add(at);
        return [];
      }
      if (isCold) this.#cold += 1;
      const flow = flowOf(decoded);
      this.#insns.set(at, { decoded, flow });
      const behind = at + decoded.insn.length;
      const link = flow.kind === 'next' ? 0 : linkOf(decoded);
      if (RETURN_REGISTERS.includes(link) && this.#place(behind) !== null) this.#returns.push(behind);
      if (flow.kind === 'branch') return [at + flow.distance, behind];
      if (flow.kind === 'jump') return link === 0 ? [at + flow.distance] : [at + flow.distance, behind];
      if (flow.kind === 'indirect') {
        const known = this.#profile.targets(op).map((distance) => at + distance);
        this.#targets.set(at, known);
        return link === 0 ? known : [...known, behind];
      }
      at = behind;
    }
    // What is met in the middle begins a block from here on.
    if (this.#insns.has(at)) this.#leaders.add(at);
    return [];
  }

  #block(start: number): Block {
    const insns: RegionInsn[] = [];
    let at = start;
    for (;;) {
      const found = this.#insns.get(at);
      if (found === undefined) {
        const end: BlockEnd = this.#bails.has(at) ? { kind: 'bail', at } : { kind: 'jump', to: at };
        return { at: start, insns, end };
      }
      if (at !== start && this.#leaders.has(at)) return { at: start, insns, end: { kind: 'jump', to: at } };
      const { decoded, flow } = found;
      insns.push({ at, decoded });
      const behind = at + decoded.insn.length;
      if (flow.kind === 'jump') return { at: start, insns, end: { kind: 'jump', to: at + flow.distance } };
      if (flow.kind === 'branch') {
        return { at: start, insns, end: { kind: 'branch', taken: at + flow.distance, otherwise: behind } };
      }
      if (flow.kind === 'indirect') {
        return { at: start, insns, end: { kind: 'indirect', guesses: this.#guesses(at, decoded) } };
      }
      at = behind;
    }
  }

  /** Where a computed jump may go within the region: behind its calls, if it returns, and where it went before. */
  #guesses(at: number, decoded: Decoded): number[] {
    const [operand] = registersOf(decoded.insn.body).x;
    const register = operand === undefined ? 0 : bodyOperand(decoded, operand);
    const isReturn = linkOf(decoded) === 0 && RETURN_REGISTERS.includes(register);
    const known = this.#targets.get(at) ?? [];
    const guesses = new Set(isReturn ? [...known.slice(0, MAX_RETURNS), ...this.#returns] : known);
    return [...guesses].filter((to) => this.#insns.has(to)).slice(0, isReturn ? 2 * MAX_RETURNS : MAX_GUESSES);
  }

  #usedPages(blocks: ReadonlyMap<number, Block>): Map<number, number> {
    const used = new Map<number, number>();
    const { offset } = this.#entry;
    for (const block of blocks.values()) {
      for (const { at } of block.insns) {
        const distance = Math.floor((offset + at) / PAGE_BYTES);
        used.set(distance, this.#pages.get(distance) ?? 0);
      }
    }
    return used;
  }
}
