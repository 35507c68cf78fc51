/**
 * Regions that were compiled for other harts of the machine. What one translates the others soon execute too, the
 * kernel's code most of all: whoever is seen to arrive there takes the region as it is, instead of waiting until enough
 * traces have met it and having it compiled once more. A region is offered by where the code at its entries lies in the guest's
 * RAM; it is taken where the hart finds the same instructions at the same distances.
 */
import type { TranslatorPlace } from '../hart/hart.ts';
import { PROFILE } from '../hart/profile-layout.ts';
import { ARENA, DECODED_PAGE } from '../hart/state.ts';
import { blocksOf, type CompiledJob, type RegionText, type SharedJob } from './compile.ts';
import { type GuestCode, PAGE_BYTES } from './guest-code.ts';
import { isAsFormed, placeIn, type Region } from './region.ts';

/** A region of such a job. */
export interface Offer {
  readonly done: CompiledJob;
  /** Its number in the job. */
  readonly number: number;
  readonly text: RegionText;
  /** Times that the hart did not have its code as the other one. */
  refusals: number;
}

/** Where an offer would be taken. */
interface OfferedEntry {
  readonly offer: Offer;
  /** Bytes from the region's first entry. */
  readonly at: number;
}

interface OfferedJob {
  readonly done: CompiledJob;
  /** Of its entries, as in Offers.#byHost. */
  readonly hosts: readonly number[];
}

/** An offer that can be taken. */
export interface Taken {
  readonly offer: Offer;
  readonly region: Region;
  /** Low half of the virtual address of its first entry. */
  readonly lo: number;
}

/** Of the modules that are on offer; the oldest make room. The engine's code of one takes several times as much. */
export const MAX_BYTES: number = 4 * 2 ** 20;
/** What a module counts at least. */
const LEAST_BYTES = 16_384;
/** An offer that was refused so often is forgotten. */
const MAX_REFUSALS = 64;

export class Offers {
  readonly #place: TranslatorPlace;
  readonly #view: DataView;
  readonly #code: GuestCode;
  /** By the host offset of the guest code at the entry. */
  readonly #byHost = new Map<number, OfferedEntry>();
  /** In the order in which they came, also those of which all was taken. */
  readonly #jobs: OfferedJob[] = [];
  #bytes = 0;
  /** Jobs since the profile was last told what is on offer. */
  #forgotten = 0;

  constructor(place: TranslatorPlace, code: GuestCode) {
    this.#place = place;
    this.#view = new DataView(place.memory.buffer);
    this.#code = code;
  }

  add({ job, done }: SharedJob): void {
    const hosts: number[] = [];
    for (const [number, text] of job.entries()) {
      const offer = { done, number, text, refusals: 0 };
      const site = { pages: new Map(text.hosts), entryOffset: text.entryOffset };
      for (const at of text.entries) {
        const place = placeIn(site, at);
        if (place === null) continue;
        const host = place.page + place.offset;
        this.#byHost.set(host, { offer, at });
        this.#place.profile.offer(host);
        hosts.push(host);
      }
    }
    this.#jobs.push({ done, hosts });
    this.#bytes += bytesOf(done);
    const before = this.#jobs.length;
    while (this.#bytes > MAX_BYTES && this.#forgetOldest());
    this.#forgotten += before - this.#jobs.length;
    if (this.#forgotten > this.#jobs.length) this.#offerAnew();
  }

  /** Tells the profile what is on offer: it has no way to take back a part. */
  #offerAnew(): void {
    const { memory, arena, profile } = this.#place;
    new Uint8Array(memory.buffer, arena + ARENA.offered, PROFILE.offeredBits / 8).fill(0);
    for (const host of this.#byHost.keys()) profile.offer(host);
    this.#forgotten = 0;
  }

  #forgetOldest(): boolean {
    const oldest = this.#jobs.shift();
    if (oldest === undefined) return false;
    this.#bytes -= bytesOf(oldest.done);
    for (const host of oldest.hosts) if (this.#byHost.get(host)?.offer.done === oldest.done) this.#byHost.delete(host);
    return true;
  }

  /** Whether there is one for an op. */
  has(op: number): boolean {
    return this.#byHost.size > 0 && this.#byHost.has(this.#hostOf(op));
  }

  /**
   * Takes the offer for an op, if the fetch TLB has its pages and they hold its code.
   * @param lo @param hi halves of the virtual address
   */
  take(op: number, lo: number, hi: number): Taken | null {
    const host = this.#hostOf(op);
    const entry = this.#byHost.get(host);
    if (entry === undefined) return null;
    const { offer, at } = entry;
    const { text } = offer;
    const first = lo - at;
    const pages = this.#pagesFor(text, first - text.entryOffset, hi);
    const region = pages === null ? null : { ...text, blocks: blocksOf(text), pages };
    if (region !== null && this.#holds(region)) {
      this.#byHost.delete(host);
      return { offer, region, lo: first >>> 0 };
    }
    offer.refusals += 1;
    if (offer.refusals > MAX_REFUSALS) this.#byHost.delete(host);
    return null;
  }

  /** @param lo low half of the virtual address of the first entry's page; beyond 32 bits it counts into `hi` */
  #pagesFor({ hosts }: RegionText, lo: number, hi: number): Map<number, number> | null {
    const pages = new Map<number, number>();
    for (const [distance] of hosts) {
      const sum = lo + distance * PAGE_BYTES;
      const page = this.#code.pageOfAddress(sum >>> 0, (hi + Math.floor(sum / 2 ** 32)) >>> 0);
      if (this.#code.pageOfOp(page) === 0) return null;
      pages.set(distance, page);
    }
    return pages;
  }

  /** Of what the hart has not executed itself the source is copied first: a region's code is compared behind fence.i. */
  #holds(region: Region): boolean {
    for (const { insns } of region.blocks.values()) {
      for (const { at, decoded } of insns) {
        for (let byte = at; byte < at + decoded.insn.length; byte += 2) {
          const place = placeIn(region, byte);
          if (place !== null) this.#place.copied(place.page, place.offset, 2);
        }
      }
    }
    return isAsFormed(region, this.#code);
  }

  #hostOf(op: number): number {
    const page = this.#code.pageOfOp(op);
    return this.#view.getUint32(page + DECODED_PAGE.host, true) + ((op - page) / DECODED_PAGE.opBytes) * 2;
  }
}

function bytesOf({ lengthBytes }: CompiledJob): number {
  return Math.max(lengthBytes, LEAST_BYTES);
}
