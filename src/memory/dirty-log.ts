/**
 * Which pages of guest RAM have been written since somebody last asked. Every writer (a vCPU, a loop whose devices do
 * DMA) has a log of its own and nobody else touches it; whoever asks collects from all (src/dma/dirty-collector.ts).
 *
 * The format of a bitmap, which compiled code writes too: one bit for 4 KiB, from the start of RAM; page p is bit p % 8
 * of byte p / 8.
 */

/** Whoever asks, each with bitmaps of its own: what one takes, the other still gets. */
export const DIRTY_CLIENTS = ['migration', 'display'] as const;
export type DirtyClient = (typeof DIRTY_CLIENTS)[number];

export const DIRTY_PAGE_BYTES = 4096;

/** @returns the length of the bitmap of so much RAM */
export function dirtyBitmapBytes(ramBytes: number): number {
  return Math.ceil(ramBytes / DIRTY_PAGE_BYTES / 8);
}

/** Something that writes to RAM and says where. */
export interface DirtyWriter {
  /** From now on writes are noted for this client; what was noted before is forgotten. */
  start(client: DirtyClient): void;
  stop(client: DirtyClient): void;
  /**
   * Hands over what was written since start() or the last take(), and begins anew: a write is in this bitmap or in the
   * next. All zeros for a client that has not started.
   */
  take(client: DirtyClient): Uint8Array;
}

/** The log of a loop: plain memory of its thread. Off, a mark costs one comparison. */
export class DirtyBitmap implements DirtyWriter {
  readonly #ramBytes: number;
  readonly #bitmaps = new Map<DirtyClient, Uint8Array>();
  readonly #beforeTake: (() => void)[] = [];
  #logging = false;

  constructor(ramBytes: number) {
    this.#ramBytes = ramBytes;
  }

  /** `handler` marks, before each take, what may be written at any time. */
  onTake(handler: () => void): void {
    this.#beforeTake.push(handler);
  }

  start(client: DirtyClient): void {
    this.#bitmaps.set(client, this.#empty());
    this.#logging = true;
  }

  stop(client: DirtyClient): void {
    this.#bitmaps.delete(client);
    this.#logging = this.#bitmaps.size > 0;
  }

  /** Bytes that have been written, or are about to be in the same bottom half. @param offset from the start of RAM */
  mark(offset: number, lengthBytes: number): void {
    if (!this.#logging || lengthBytes <= 0) return;
    const first = Math.floor(Math.max(0, offset) / DIRTY_PAGE_BYTES);
    const last = Math.floor((Math.min(offset + lengthBytes, this.#ramBytes) - 1) / DIRTY_PAGE_BYTES);
    for (const bitmap of this.#bitmaps.values()) setPages(bitmap, first, last);
  }

  take(client: DirtyClient): Uint8Array {
    const taken = this.#bitmaps.get(client);
    if (taken === undefined) return this.#empty();
    for (const handler of this.#beforeTake) handler();
    this.#bitmaps.set(client, this.#empty());
    return taken;
  }

  #empty(): Uint8Array {
    return new Uint8Array(dirtyBitmapBytes(this.#ramBytes));
  }
}

/** Sets the bits of the pages `first` to `last`; none when `last` is before `first`. */
export function setPages(bitmap: Uint8Array, first: number, last: number): void {
  let page = first;
  while (page <= last) {
    if (page % 8 === 0 && last - page >= 7) {
      const bytes = Math.floor((last - page + 1) / 8);
      bitmap.fill(0xff, page / 8, page / 8 + bytes);
      page += bytes * 8;
    } else {
      bitmap[page >> 3] = (bitmap[page >> 3] ?? 0) | (1 << (page & 7));
      page += 1;
    }
  }
}
