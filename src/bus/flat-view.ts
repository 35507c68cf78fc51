/**
 * One owner's way into an address space: finds the region (last hit first, then binary search) and makes the access.
 * Each vCPU and each loop makes its own: the last hit and the halves of an 8-byte value are the view's only state, and
 * neither outlives a call in meaning.
 *
 * Register accesses must be naturally aligned and lie within one region, or they fault; memory may be read unaligned.
 * An access of 8 bytes becomes two of 4, low half first. A fault in the first half skips the second.
 */
import {
  ACCESS_OK,
  type AccessSize,
  BUS_FAULT,
  MUST_ASK,
  MUST_WAIT,
  type RegisterWindow,
  type WriteDone,
} from '../actor/index.ts';
import type { AddressSpace, Region } from './address-space.ts';

/** Widths a hart can ask for. */
export type BusSize = AccessSize | 8;

/** How an access ended: ACCESS_OK, BUS_FAULT, or MUST_WAIT and MUST_ASK as at RegisterWindow. */
export type BusStatus = typeof ACCESS_OK | typeof BUS_FAULT | typeof MUST_WAIT | typeof MUST_ASK;

/** Called exactly once; `lo` and `hi` are unsigned 32-bit halves, `hi` is 0 below 8 bytes. */
export type WideReadDone = (fault: boolean, lo: number, hi: number) => void;

/** Called exactly once. */
export type WideWriteDone = (fault: boolean) => void;

export class FlatView {
  readonly space: AddressSpace;
  /** The value of the last read() that gave ACCESS_OK: unsigned 32-bit halves; `hi` is 0 below 8 bytes. */
  lo = 0;
  hi = 0;
  readonly #regions: readonly Region[];
  #last: Region | null = null;
  /** Reads that are not under way: as many are made as ever were at once. */
  readonly #reads: WideRead[] = [];
  /** Where the low half of an 8-byte write is out and the high half must wait: it alone is sent when it comes again. */
  #halfWritten: RegisterWindow | null = null;

  /** @param before the same owner's view of the version before: an 8-byte write half of which is out goes on here */
  constructor(space: AddressSpace, before: FlatView | null = null) {
    this.space = space;
    this.#regions = space.regions;
    if (before !== null) this.#halfWritten = before.#halfWritten;
  }

  /** The region that holds this address, or null. Takes any number. */
  find(gpa: number): Region | null {
    const last = this.#last;
    if (last !== null && gpa >= last.base && gpa - last.base < last.lengthBytes) return last;
    let low = 0;
    let high = this.#regions.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const region = this.#regions[middle] as Region;
      if (gpa < region.base) {
        high = middle - 1;
      } else if (gpa - region.base < region.lengthBytes) {
        this.#last = region;
        return region;
      } else {
        low = middle + 1;
      }
    }
    return null;
  }

  /** Reads into `lo` and `hi`. Never throws, never allocates. */
  read(gpa: number, size: BusSize): BusStatus {
    const region = this.#reach(gpa, size);
    if (region === null) return BUS_FAULT;
    const { window } = region;
    const offset = offsetIn(region, gpa);
    const lo = window.read(offset, size === 8 ? 4 : size);
    if (lo < 0) return lo as BusStatus;
    const hi = size === 8 ? window.read(offset + 4, 4) : 0;
    if (hi < 0) return hi as BusStatus;
    this.lo = lo;
    this.hi = hi;
    return ACCESS_OK;
  }

  /**
   * @param hi the upper half of an 8-byte value, otherwise ignored; after MUST_WAIT make the same call again, after
   *   MUST_ASK call writeAsync() with the same arguments
   */
  write(gpa: number, size: BusSize, lo: number, hi = 0): BusStatus {
    const region = this.#reach(gpa, size);
    if (region === null) {
      this.#halfWritten = null;
      return BUS_FAULT;
    }
    const { window } = region;
    const offset = offsetIn(region, gpa);
    if (size !== 8) return window.write(offset, narrow(lo, size), size) as BusStatus;
    if (this.#halfWritten === null) {
      const low = window.write(offset, lo >>> 0, 4);
      if (low !== ACCESS_OK) return low as BusStatus;
    } else if (this.#halfWritten !== window) {
      // The map has changed in between: the rest is lost with its registers, and does not go to somebody else's.
      this.#halfWritten = null;
      return ACCESS_OK;
    }
    const high = window.write(offset + 4, hi >>> 0, 4);
    this.#halfWritten = high === MUST_WAIT || high === MUST_ASK ? window : null;
    return high as BusStatus;
  }

  /**
   * For reads that must wait; works for all others too.
   * @returns false when it could not even be asked: try again when the link has room; `done` is not called then
   */
  readAsync(gpa: number, size: BusSize, done: WideReadDone): boolean {
    const region = this.#reach(gpa, size);
    if (region === null) {
      done(true, 0, 0);
      return true;
    }
    const { window } = region;
    const offset = offsetIn(region, gpa);
    const read = this.#reads.pop() ?? new WideRead(this.#reads);
    read.begin(window, offset, size, done);
    const asked = window.readAsync(offset, size === 8 ? 4 : size, read.gotLow);
    if (!asked) read.end();
    return asked;
  }

  /**
   * For writes that are not posted; works for all others too.
   * @returns false when it could not even be asked: try again when the link has room; `done` is not called then
   */
  writeAsync(gpa: number, size: BusSize, lo: number, hi: number, done: WideWriteDone): boolean {
    const region = this.#reach(gpa, size);
    if (region === null) {
      done(true);
      return true;
    }
    const { window } = region;
    const offset = offsetIn(region, gpa);
    if (size !== 8) return ask(window, offset, narrow(lo, size), size, (result) => done(result < 0));
    if (this.#halfWritten === window) {
      const asked = ask(window, offset + 4, hi >>> 0, 4, (result) => done(result < 0));
      if (asked) this.#halfWritten = null;
      return asked;
    }
    return ask(window, offset, lo >>> 0, 4, (low) => {
      if (low < 0) return done(true);
      // As with reads: the credit of the first half has just come back.
      if (!ask(window, offset + 4, hi >>> 0, 4, (high) => done(high < 0))) done(true);
    });
  }

  /** The region an access lies in wholly and may be made to, or null. */
  #reach(gpa: number, size: BusSize): Region | null {
    const region = this.find(gpa);
    if (region === null || gpa - region.base + size > region.lengthBytes) return null;
    return region.kind === 'rom' || gpa % size === 0 ? region : null;
  }
}

const nobody: WideReadDone = () => {};

/** One read after another, of one word or two. */
class WideRead {
  readonly #free: WideRead[];
  #window: RegisterWindow | null = null;
  #offset = 0;
  #size: BusSize = 1;
  #lo = 0;
  #done = nobody;

  /** @param free where it waits for the next one */
  constructor(free: WideRead[]) {
    this.#free = free;
  }

  begin(window: RegisterWindow, offset: number, size: BusSize, done: WideReadDone): void {
    this.#window = window;
    this.#offset = offset;
    this.#size = size;
    this.#done = done;
  }

  readonly gotLow = (lo: number): void => {
    if (lo < 0 || this.#size !== 8) return this.#finish(lo < 0, lo, 0);
    this.#lo = lo;
    // The credit of the first half has just come back, so there is one for the second.
    if (this.#window?.readAsync(this.#offset + 4, 4, this.#gotHigh) !== true) this.#finish(true, 0, 0);
  };

  readonly #gotHigh = (hi: number): void => this.#finish(hi < 0, this.#lo, hi);

  #finish(fault: boolean, lo: number, hi: number): void {
    const done = this.#done;
    // First: who is told may make the next read.
    this.end();
    done(fault, lo, hi);
  }

  end(): void {
    this.#window = null;
    this.#done = nobody;
    this.#free.push(this);
  }
}

/** A write with an answer, whether the window posts or not. @returns as RegisterWindow.writeAsync() */
function ask(window: RegisterWindow, offset: number, value: number, size: AccessSize, done: WriteDone): boolean {
  if (window.writeAsync !== undefined) return window.writeAsync(offset, value, size, done);
  const result = window.write(offset, value, size);
  if (result === MUST_WAIT) return false;
  done(result);
  return true;
}

function offsetIn(region: Region, gpa: number): number {
  return gpa - region.base + (region.windowOffset ?? 0);
}

function narrow(value: number, size: AccessSize): number {
  if (size === 4) return value >>> 0;
  return value & (size === 2 ? 0xffff : 0xff);
}
