/**
 * Page tables for generated programs: two good windows (S mode at the physical address, U mode at USER_WINDOW), built
 * of pages of a random size, and two odd ones whose entries are random: permissions, A and D, NAPOT, superpages,
 * reserved bits.
 */
import type { CodeBuilder } from './program-builder.ts';
import { address } from './program-handlers.ts';
import { LAYOUT, NOWHERE, ODD_WINDOW, PROGRAM_BASE, REGION_BYTES, USER_WINDOW } from './program-layout.ts';
import type { ProgramRandom } from './program-random.ts';

const V = 1n;
const R = 2n;
const W = 4n;
const X = 8n;
const USER = 16n;
const A = 64n;
const D = 128n;
const NAPOT = 1n << 63n;
const PAGE = 4096n;
const USUAL = [R | W | X, R | W | X, R | W] as const;
const GOOD = V | R | W | X | A | D;

/** satp.MODE of Sv39, Sv48, Sv57, by the number of levels. */
const SATP_MODE: ReadonlyMap<number, bigint> = new Map([
  [3, 8n],
  [4, 9n],
  [5, 10n],
]);

export interface Paging {
  readonly satp: bigint;
  readonly levels: number;
  /** Virtual addresses of pages whose entries are odd. */
  readonly oddPages: readonly bigint[];
}

/** Allocates tables from the program's pool; shared by all sections. */
export class PageTables {
  readonly #code: CodeBuilder;
  readonly #random: ProgramRandom;
  #next: number = LAYOUT.tables;
  readonly #entries = new Map<number, bigint>();
  /** What the U bit of odd pages mostly is. */
  #user = 0n;

  constructor(code: CodeBuilder, random: ProgramRandom) {
    this.#code = code;
    this.#random = random;
  }

  /** Whether the pool holds enough for one more address space. */
  get hasRoom(): boolean {
    return this.#next + 14 * Number(PAGE) <= LAYOUT.tablesEnd;
  }

  /** A new address space, most of whose odd pages are for U mode or mostly not. */
  build(levels: number, forUser: boolean): Paging {
    const random = this.#random;
    this.#user = forUser ? USER : 0n;
    const root = this.#allocate();
    this.#window(root, levels, PROGRAM_BASE, GOOD);
    this.#window(root, levels, USER_WINDOW, GOOD | USER);
    const oddPages = [
      ...this.#odd(root, levels, ODD_WINDOW + BigInt(random.below(256)) * 0x1_0000n),
      ...this.#odd(root, levels, BigInt.asUintN(64, -1n << BigInt(11 + 9 * levels))),
    ];
    const mode = SATP_MODE.get(levels) ?? 0n;
    const satp = (mode << 60n) | (random.bits(16) << 44n) | (address(root) / PAGE);
    return { satp, levels, oddPages };
  }

  #allocate(): number {
    const at = this.#next;
    this.#next += Number(PAGE);
    if (this.#next > LAYOUT.tablesEnd) throw new Error('no page table left');
    return at;
  }

  #set(at: number, pte: bigint): void {
    this.#entries.set(at, pte);
    this.#code.set64(at, pte);
  }

  /** The offset of the entry for `va` at a level, making the tables above it; null where a leaf is in the way. */
  #entry(root: number, levels: number, va: bigint, level: number): number | null {
    let table = root;
    for (let l = levels - 1; l > level; l--) {
      const at = table + 8 * Number((va >> BigInt(12 + 9 * l)) & 511n);
      const present = this.#entries.get(at);
      if (present === undefined) {
        table = this.#allocate();
        this.#set(at, ((address(table) / PAGE) << 10n) | V);
      } else if ((present & (R | W | X)) !== 0n) {
        return null;
      } else {
        table = Number(((present >> 10n) & ((1n << 44n) - 1n)) * PAGE - PROGRAM_BASE);
      }
    }
    return table + 8 * Number((va >> BigInt(12 + 9 * level)) & 511n);
  }

  /** Maps the whole region at `va`, by pages of 4 KiB, 2 MiB or 1 GiB. */
  #window(root: number, levels: number, va: bigint, flags: bigint): void {
    const level = this.#random.below(3);
    const step = level === 0 ? PAGE : BigInt(REGION_BYTES);
    for (let offset = 0n; offset < BigInt(REGION_BYTES); offset += step) {
      const at = this.#entry(root, levels, va + offset, level);
      if (at !== null) this.#set(at, (((PROGRAM_BASE + offset) / PAGE) << 10n) | flags);
    }
  }

  #odd(root: number, levels: number, va: bigint): bigint[] {
    const random = this.#random;
    const pages: bigint[] = [];
    const base = va & ~0xffffn;
    for (let i = 0n; i < 32n; i++) {
      const page = base + i * PAGE;
      const at = this.#entry(root, levels, page, 0);
      if (at === null) continue;
      pages.push(page);
      if (i === 16n && random.oneIn(2)) {
        this.#napot(at);
        pages.push(...Array.from({ length: 15 }, (_, j) => page + BigInt(j + 1) * PAGE));
        break;
      }
      // A store that runs from RAM into nowhere may be half done: only the first page, that none runs into, is nowhere.
      const nowhere = i === 0n && random.oneIn(2);
      this.#set(at, nowhere ? ((NOWHERE / PAGE) << 10n) | this.#flags() : this.#oddLeaf(0));
    }
    // Odd entries further up: superpages good and bad, tables with bits that only leaves may have.
    for (let level = 1; level < levels; level++) {
      const size = 1n << BigInt(12 + 9 * level);
      const above = BigInt.asUintN(64, (base + size) & -size);
      const at = this.#entry(root, levels, above, level);
      if (at === null || this.#entries.has(at)) continue;
      const isTable = random.oneIn(3);
      const table = ((address(LAYOUT.tables) / PAGE) << 10n) | V | random.pick([0n, USER, A, D, NAPOT, 3n << 61n]);
      this.#set(at, isTable ? table : this.#oddLeaf(level));
      // Never the start of the region: a store there would hit code.
      const data = BigInt(LAYOUT.data);
      pages.push(above + data, above + data + PAGE, above + data + 9n * PAGE);
    }
    return pages;
  }

  /** Sixteen equal entries for one 64 KiB page. QEMU marks a page as used before it finds its NAPOT size wrong. */
  #napot(first: number): void {
    const size = this.#random.oneIn(4) ? BigInt(this.#random.below(16)) : 8n;
    const ppn = (address(LAYOUT.data) / PAGE) & ~15n;
    const used = size === 8n ? 0n : A | D;
    const pte = ((ppn | size) << 10n) | NAPOT | used | this.#flags();
    for (let i = 0; i < 16; i++) this.#set(first + 8 * i, pte);
  }

  #flags(): bigint {
    const random = this.#random;
    const permissions = random.pick([...USUAL, ...USUAL, ...USUAL, R, X, R | X, W, W | X, 0n]);
    const used = random.pick([A | D, A | D, A | D, A | D, A, 0n, D]);
    const user = random.oneIn(4) ? this.#user ^ USER : this.#user;
    return permissions | used | user | (random.oneIn(24) ? 0n : V) | (random.bits(2) << 8n) | (random.bits(1) << 5n);
  }

  #oddLeaf(level: number): bigint {
    const random = this.#random;
    // Huge pages above 1 GiB would reach devices: those get an address that is misaligned, and so a fault.
    const aligned = level === 1 || level === 2;
    let pa = address(LAYOUT.data + Number(PAGE) * random.below(16));
    if (aligned && !random.oneIn(4)) pa = random.oneIn(8) ? NOWHERE : PROGRAM_BASE;
    const high = random.oneIn(20) ? random.pick([NAPOT, 1n << 61n, 2n << 61n, 3n << 61n, 1n << 54n, 1n << 60n]) : 0n;
    const used = high === NAPOT ? A | D : 0n;
    const flags = this.#flags();
    // Never a table of data, which would point anywhere.
    const leaf = (flags & (R | W | X)) === 0n ? R : 0n;
    return ((pa / PAGE) << 10n) | flags | used | leaf | high;
  }
}
