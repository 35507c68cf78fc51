/**
 * What a loop did last: the last few signals, messages, timers and bottom halves, kept without allocating, and attached
 * to the failure that ends it. Not modelled: what a bottom half did; the virtual time is that of the loop's last look at
 * its clock.
 */
import { RemoteError, toErrorRecord } from './errors.ts';

/** Kinds of entries: numbers, since each bottom half notes one. */
export const TRAIL = { signal: 0, message: 1, reply: 2, words: 3, event: 4, timer: 5, bottomHalf: 6 } as const;
type TrailKind = (typeof TRAIL)[keyof typeof TRAIL];
const KIND_NAMES = ['signal', 'message', 'reply', 'words', 'event', 'timer', 'bottom half'] as const;

/** A power of two. */
const LENGTH = 16;

export class Trail {
  readonly #thread: string;
  readonly #kinds = new Uint8Array(LENGTH);
  readonly #names: string[] = new Array(LENGTH).fill('');
  readonly #numbers = new Int32Array(LENGTH);
  readonly #timesNs = new Float64Array(LENGTH);
  /** The loop's last look at its clock, which it writes here: a word, as that of LoopPort.readClock(). */
  readonly nowNs = new Float64Array(1);
  #count = 0;

  /** @param thread for the text */
  constructor(thread: string) {
    this.#thread = thread;
  }

  /** @param number of the signal, or the kind of a words record; 0 where the name says it all */
  note(kind: TrailKind, name: string, number: number): void {
    const slot = this.#count & (LENGTH - 1);
    this.#kinds[slot] = kind;
    this.#names[slot] = name;
    this.#numbers[slot] = number;
    this.#timesNs[slot] = this.nowNs[0] as number;
    this.#count += 1;
  }

  /** The oldest first, a line each: thread, virtual time, kind, name and number. */
  lines(): string[] {
    const kept = Math.min(this.#count, LENGTH);
    return Array.from({ length: kept }, (_, index) => {
      const slot = (this.#count - kept + index) & (LENGTH - 1);
      const number = this.#numbers[slot] === 0 ? '' : ` ${this.#numbers[slot]}`;
      const atMs = ((this.#timesNs[slot] ?? 0) / 1e6).toFixed(3);
      return `${this.#thread} ${atMs} ms: ${KIND_NAMES[this.#kinds[slot] ?? 0]} ${this.#names[slot]}${number}`;
    });
  }
}

/** What was thrown, with what its loop did last; the first loop it comes through counts. */
export function withTrail(thrown: unknown, trail: Trail): Error {
  const error = thrown instanceof Error ? thrown : new RemoteError(toErrorRecord(thrown));
  if (!('last' in error) && Object.isExtensible(error)) {
    Object.defineProperty(error, 'last', { value: trail.lines(), configurable: true });
  }
  return error;
}
