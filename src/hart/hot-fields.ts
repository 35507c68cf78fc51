/**
 * The fields of a hart that the host reads and writes with every slice and every access. Each has its place in the code: to
 * look it up by its name, as Hart's methods do, costs more than the access.
 */
import { type FieldName, HART_OFFSETS, HART_STATE_BYTES, PENDING } from './state.ts';

const WORD_BYTES = 4;
const index = (field: FieldName): number => HART_OFFSETS[field] / WORD_BYTES;

const REMAINING = index('remaining');
const INSTRET_END = index('instretEnd');
const DEADLINE = index('deadline');
const PENDING_STATE = index('pendingState');
const PENDING_GPA = index('pendingGpa');
const PENDING_SIZE = index('pendingSize');
const PENDING_IS_WRITE = index('pendingIsWrite');
const PENDING_VALUE = index('pendingValue');
const WFI_LOOKS = index('wfiLooks');

/** A look of wfi's takes some two nanoseconds. */
const NS_PER_LOOK_LOG2 = 1;

const WORD = 2 ** 32;
/** Both halves of a deadline that never comes. */
const NEVER = WORD - 1;

export class HotFields {
  readonly #words: Uint32Array;
  /** `remaining` when the slice under way began. */
  #count = 0;

  /** @param arena host offset of the hart's arena */
  constructor(memory: WebAssembly.Memory, arena: number) {
    this.#words = new Uint32Array(memory.buffer, arena, HART_STATE_BYTES / WORD_BYTES);
  }

  /** The next slice has `count` instructions. instret = instretEnd - remaining stays what it is. */
  beginSlice(count: number): void {
    const words = this.#words;
    // In halves: nothing is allocated.
    const lo = (words[INSTRET_END] as number) + count - this.#remaining;
    words[INSTRET_END] = lo;
    words[INSTRET_END + 1] = (words[INSTRET_END + 1] as number) + Math.floor(lo / WORD);
    words[REMAINING] = count;
    this.#count = count;
  }

  /** Instructions retired since the slice began. */
  get retired(): number {
    return this.#count - this.#remaining;
  }

  get #remaining(): number {
    return (this.#words[REMAINING] as number) | 0;
  }

  /**
   * Writes to `ticks[0]` when the next timer interrupt is due: rounded beyond 2^53, where nobody waits for it; Infinity
   * for never.
   */
  readDeadline(ticks: Float64Array): void {
    const lo = this.#words[DEADLINE] as number;
    const hi = this.#words[DEADLINE + 1] as number;
    ticks[0] = lo === NEVER && hi === NEVER ? Number.POSITIVE_INFINITY : hi * WORD + lo;
  }

  /** How long wfi is to look for signals before the hart leaves. */
  lookFor(durationNs: number): void {
    this.#words[WFI_LOOKS] = durationNs >> NS_PER_LOOK_LOG2;
  }

  /** The pending access (PENDING): guest-physical address, rounded beyond 2^53, where nothing lies. */
  get gpa(): number {
    return (this.#words[PENDING_GPA + 1] as number) * WORD + (this.#words[PENDING_GPA] as number);
  }
  /** In bytes. */
  get size(): number {
    return this.#words[PENDING_SIZE] as number;
  }
  get isWrite(): boolean {
    return this.#words[PENDING_IS_WRITE] === 1;
  }
  /** What is written, as unsigned halves. */
  get lo(): number {
    return this.#words[PENDING_VALUE] as number;
  }
  get hi(): number {
    return this.#words[PENDING_VALUE + 1] as number;
  }

  /** The hart takes this when it executes the instruction again. */
  answer(fault: boolean, lo: number, hi: number): void {
    const words = this.#words;
    words[PENDING_VALUE] = lo;
    words[PENDING_VALUE + 1] = hi;
    words[PENDING_STATE] = fault ? PENDING.fault : PENDING.done;
  }
}
