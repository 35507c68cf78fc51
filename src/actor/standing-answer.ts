/**
 * Answers that stand. A driver that sends bytes through a register asks before each whether there is room, and on another
 * thread than the device's that is a trip each time. So a device may say, with what a read gives, that it gives the same
 * behind each of the next writes to a certain register; the asking thread then answers those reads itself.
 *
 * A read that is answered so is in order as if it had asked. What the device's own thread does to it counts a word of that
 * thread's doorbell before anybody can see it, and what other threads send there counts another: if either has moved, but
 * for what this thread has sent itself, the device is asked. Any other access ends it, too.
 */
import type { DoorbellProducer } from '../channel/doorbell.ts';
import type { AccessSize } from './device-core.ts';

/** Beside the offset, in what a device says. */
const TIMES_BITS = 8;
export const STANDING_TIMES_MAX = (1 << TIMES_BITS) - 1;

/**
 * What a device says of an answer that stands; 0 of one that does not.
 * @param behind offset, below 2^23, of the register to which a write comes first, each time
 * @param times at most STANDING_TIMES_MAX
 */
export function standing(behind: number, times: number): number {
  return (behind << TIMES_BITS) | times;
}

/** What an answer is compared with: of the device's thread. */
export type AnswerBell = Pick<DoorbellProducer, 'changes' | 'tickets'>;

/** Numbers that save() gives, where it gives any. */
export const STANDING_ANSWER_NUMBERS = 6;

/** The asking thread's: one answer of one device. */
export class StandingAnswer {
  readonly #bell: AnswerBell;
  #offset = 0;
  #size = 0;
  #value = 0;
  #behind = 0;
  /** Writes that it will still stand behind. */
  #times = 0;
  /** One of them has been made, and nothing since. */
  #isDue = false;
  /** The bell's words, as they are if nobody else has done anything. */
  #changes = 0;
  #tickets = 0;

  constructor(bell: AnswerBell) {
    this.#bell = bell;
  }

  /** The device is about to be asked: nothing stands. */
  ask(): void {
    this.#times = 0;
    this.#isDue = false;
    this.#note(1);
  }

  /** Of what was asked last. @param said as standing() gives it */
  keep(offset: number, size: AccessSize, value: number, said: number): void {
    this.#offset = offset;
    this.#size = size;
    this.#value = value;
    this.#behind = said >>> TIMES_BITS;
    this.#times = said & STANDING_TIMES_MAX;
  }

  /** @returns the value, or -1: the device is to be asked */
  read(offset: number, size: AccessSize): number {
    const isDue = this.#isDue && offset === this.#offset && size === this.#size && this.#isUndisturbed;
    this.#isDue = false;
    if (isDue) return this.#value;
    this.#times = 0;
    return -1;
  }

  /** A write has been sent. */
  wrote(offset: number): void {
    this.#tickets = (this.#tickets + 1) | 0;
    this.#isDue = this.#times > 0 && offset === this.#behind && this.#isUndisturbed;
    this.#times = this.#isDue ? this.#times - 1 : 0;
  }

  /** All of it, as unsigned numbers; none where nothing stands. */
  save(): number[] {
    const stands = (this.#isDue || this.#times > 0) && this.#isUndisturbed;
    if (!stands) return [];
    return [this.#offset, this.#size, this.#value, this.#behind, this.#times, Number(this.#isDue)];
  }

  /** @param saved with the device, which stands as this thread does */
  load(saved: readonly number[]): void {
    const [offset = 0, size = 0, value = 0, behind = 0, times = 0, isDue = 0] = saved;
    this.#offset = offset;
    this.#size = size;
    this.#value = value;
    this.#behind = behind;
    this.#times = Math.min(times, STANDING_TIMES_MAX);
    this.#isDue = isDue !== 0;
    this.#note(0);
  }

  /** @param sending records that this thread is about to send */
  #note(sending: number): void {
    this.#changes = this.#bell.changes;
    this.#tickets = (this.#bell.tickets + sending) | 0;
  }

  get #isUndisturbed(): boolean {
    return this.#bell.changes === this.#changes && this.#bell.tickets === this.#tickets;
  }
}
