/**
 * The page that accesses through one register have met last, in front of the data TLB: its tag, compared with the page
 * of the next access, and what turns a virtual address in it into a host offset. Empty at each entry of the region, so
 * that a flush of the TLB need not know of them.
 *
 * A few are kept, in locals. With more than that the engine spills; and to keep them in the hart's arena saves little
 * beside the TLB, and makes the code larger.
 */
import type { Code } from '../wasm/code.ts';

/** No address under the mask of an aligned access has this bit alone. */
const NO_PAGE = 2048n;
const MAX_CACHES = 3;

export interface PageCache {
  /** Pushes the address of its page, an i64, or what no page's address is. */
  pushTag(): void;
  /** Pushes the host offset of an address in the page less its low 32 bits, an i32. */
  pushAddend(): void;
  set(pushTag: () => void, pushAddend: () => void): void;
}

/** The caches of a region, empty from here on. @param keys of those wanted, the most useful first */
export function createPageCaches(code: Code, keys: readonly string[]): ReadonlyMap<string, PageCache> {
  return new Map(keys.slice(0, MAX_CACHES).map((key) => [key, pageCache(code)]));
}

function pageCache(code: Code): PageCache {
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
