/**
 * The page that accesses through one register have met last, in front of the data TLB: its tag, compared with the page
 * of the next access, and what turns a virtual address in it into a host offset. Empty at each entry of the region, so
 * that a flush of the TLB need not know of them.
 *
 * A few are kept in locals. More than that the engine spills, and moves them to and fro at each access, since each may
 * have changed there: then they lie in the hart's arena.
 */
import { ARENA, PAGE_CACHE } from '../hart/state.ts';
import type { Code } from '../wasm/code.ts';

/** No address under the mask of an aligned access has this bit alone. */
const NO_PAGE = 2048n;
const MAX_IN_LOCALS = 3;

export interface PageCache {
  /** Pushes the address of its page, an i64, or what no page's address is. */
  pushTag(): void;
  /** Pushes the host offset of an address in the page less its low 32 bits, an i32. */
  pushAddend(): void;
  set(pushTag: () => void, pushAddend: () => void): void;
}

/** The caches of a region, empty from here on. @param keys one for each; @param hart the local with the hart's arena */
export function createPageCaches(code: Code, hart: number, keys: ReadonlySet<string>): ReadonlyMap<string, PageCache> {
  const make = keys.size <= MAX_IN_LOCALS ? () => inLocals(code) : (index: number) => inArena(code, hart, index);
  return new Map([...keys].slice(0, PAGE_CACHE.count).map((key, index) => [key, make(index)]));
}

function inLocals(code: Code): PageCache {
  const [tag, addend] = [code.local('i64'), code.local('i32')];
  code.i64(NO_PAGE).set(tag);
  return {
    pushTag: () => void code.get(tag),
    pushAddend: () => void code.get(addend),
    set: (pushTag, pushAddend) => {
      pushAddend();
      code.set(addend);
      pushTag();
      code.set(tag);
    },
  };
}

function inArena(code: Code, hart: number, index: number): PageCache {
  const at = ARENA.pageCaches + index * PAGE_CACHE.lengthBytes;
  const setTag = (pushTag: () => void): void => {
    code.get(hart);
    pushTag();
    code.memory('i64.store', at + PAGE_CACHE.tag);
  };
  setTag(() => code.i64(NO_PAGE));
  return {
    pushTag: () => void code.get(hart).memory('i64.load', at + PAGE_CACHE.tag),
    pushAddend: () => void code.get(hart).memory('i32.load', at + PAGE_CACHE.addend),
    set: (pushTag, pushAddend) => {
      code.get(hart);
      pushAddend();
      code.memory('i32.store', at + PAGE_CACHE.addend);
      setTag(pushTag);
    },
  };
}
