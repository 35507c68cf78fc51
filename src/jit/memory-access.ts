/**
 * How a region's accesses find their host addresses: the page caches of a few registers (page-caches.ts), behind them the
 * data TLB.
 */
import { pushDataEntry, pushMisses } from '../hart/lower-fast.ts';
import { DTLB, HART_OFFSETS } from '../hart/state.ts';
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import type { Effect, Node } from '../isa/ir.ts';
import type { Code } from '../wasm/code.ts';
import { createPageCaches, type PageCache } from './page-caches.ts';
import type { Block } from './region.ts';

/** Functions of the module that fill the data TLB. */
export interface Refills {
  readonly toRead: number;
  readonly toWrite: number;
}

/** A guest access: local (i64) with its address, bytes, DTLB.readTag or DTLB.writeTag, and what the address is computed from. */
interface Access {
  readonly va: number;
  readonly size: number;
  readonly tag: number;
  readonly addr: Node;
}

/** How many uses of a page cache elsewhere one in a tight loop counts as. */
const TIGHT_WEIGHT = 16;

export class MemoryAccess {
  readonly #code: Code;
  readonly #refills: Refills | null;
  readonly #dtlb: number;
  #caches: ReadonlyMap<string, PageCache> = new Map();

  /** @param refills null where a miss is a side exit */
  constructor(code: Code, refills: Refills | null) {
    this.#code = code;
    this.#refills = refills;
    this.#dtlb = code.local('i32');
  }

  /** Where the region begins. @param hart local with the hart's address */
  begin(hart: number): void {
    this.#code.get(hart).memory('i32.load', HART_OFFSETS.dtlb).set(this.#dtlb);
  }

  /** Page caches, empty from here on. @param blocks those within loops */
  forgetPages(blocks: readonly Block[], isTight: (at: number) => boolean): void {
    this.#caches = createPageCaches(this.#code, cacheKeys(blocks, isTight));
  }

  /** Pushes the host address of an access. @param missIf leaves if the i32 on the stack is not 0 */
  pushHostAddress(decoded: Decoded, access: Access, missIf: () => void): void {
    const code = this.#code;
    const { va, size, tag, addr } = access;
    const key = cacheKey(decoded, addr, tag);
    const cache = key === null ? undefined : this.#caches.get(key);
    if (cache === undefined) {
      this.#pushAddend(access, missIf);
      code.get(va).op('i32.wrap_i64', 'i32.add');
      return;
    }
    // Misaligned accesses never hit, so that one which crosses the page's end does not.
    code
      .get(va)
      .i64(-4096n | BigInt(size - 1))
      .op('i64.and');
    cache.pushTag();
    code.op('i64.ne').unlikely().if();
    const page = (): void => void code.get(va).i64(-4096n).op('i64.and');
    cache.set(page, () => this.#pushAddend(access, missIf));
    code.end();
    code.get(va).op('i32.wrap_i64');
    cache.pushAddend();
    code.op('i32.add');
  }

  /** From the data TLB. On a miss it is left to the run loop, or filled here: V8 spills around a call. */
  #pushAddend(access: Access, missIf: () => void): void {
    const code = this.#code;
    const { va, tag } = access;
    const entry = pushDataEntry(code, this.#dtlb, va);
    pushMisses(code, entry, access);
    const refills = this.#refills;
    if (refills === null) missIf();
    else {
      code.unlikely().if();
      code.get(va).call(tag === DTLB.readTag ? refills.toRead : refills.toWrite);
      pushMisses(code, entry, access);
      missIf();
      code.end();
    }
    code.get(entry).memory('i32.load', DTLB.addend);
  }
}

/** What an access to memory is looked up by. */
const TAGS: { readonly [op in Effect['op']]?: number } = {
  load: DTLB.readTag,
  lr: DTLB.readTag,
  store: DTLB.writeTag,
  sc: DTLB.writeTag,
  amo: DTLB.writeTag,
};

/** Names for page caches: by base register and kind of access, those first that loops use most. */
function cacheKeys(blocks: readonly Block[], isTight: (at: number) => boolean): string[] {
  const uses = new Map<string, number>();
  for (const { at, insns } of blocks) {
    const weight = isTight(at) ? TIGHT_WEIGHT : 1;
    for (const { decoded } of insns) {
      for (const effect of decoded.insn.body.effects) {
        const tag = TAGS[effect.op];
        if (tag === undefined || !('addr' in effect)) continue;
        const key = cacheKey(decoded, effect.addr, tag);
        if (key !== null) uses.set(key, (uses.get(key) ?? 0) + weight);
      }
    }
  }
  return [...uses].sort(([, a], [, b]) => b - a).map(([key]) => key);
}

/** Names the register that an address is computed from, and the kind of access. */
function cacheKey(decoded: Decoded, addr: Node, tag: number): string | null {
  const base = addr.kind === 'binary' && addr.op === 'add' ? addr.a : addr;
  return base.kind === 'x' ? `${bodyOperand(decoded, base.operand)} ${tag}` : null;
}
