/** How a thread sleeps that has nothing else to do: in front of its doorbell, behind a spin. */
import { readHostClock } from '../util/host-clock.ts';
import type { DoorbellConsumer } from './doorbell.ts';

/** What waking a thread may take on a host that shares its cores: 6 to 90 microseconds were seen. */
const WAKING_NS = 150_000;
/** Less than waking a thread takes on a core that sleeps. */
const AT_ONCE_NS = 30_000;
const SPIN_MIN_NS = 4_000;
/** Of a sleep that no spin could have been in the place of. A small integer, as what is counted up to it. */
const LONG_NS = 1_000_000;
const LOADS_PER_CLOCK_READING = 64;

/** What a thread sleeps for, and the longest spin before that. */
const SPIN_MAX_NS = {
  /** Whatever comes. */
  work: 32_000,
  /**
   * The answer of another thread, which may have to be woken: one that sleeps as soon as that is the next to be woken, when
   * the other has long gone to sleep again, and so on with every question.
   */
  answer: WAKING_NS,
} as const;
export type SleepsFor = keyof typeof SPIN_MAX_NS;

/**
 * Sleeping with a short spin before it. The spin adapts as QEMU's AioContext does: a wake-up that came soon after
 * parking makes it longer, one that let us wait makes it shorter, down to none. One that came at once behind a spin ends it.
 */
export class Parker {
  readonly #doorbell: DoorbellConsumer;
  /** Small integers: nothing is allocated. */
  readonly #spinNs: Record<SleepsFor, number> = { work: 0, answer: 0 };
  readonly #sleptNs = new Float64Array(1);
  readonly #wokeNs = new Float64Array(1);

  constructor(doorbell: DoorbellConsumer) {
    this.#doorbell = doorbell;
  }

  /** How long the next spin lasts at most, a small integer. */
  spinNs(sleepsFor: SleepsFor): number {
    return this.#spinNs[sleepsFor];
  }

  /**
   * @param delayNs its first word: no longer than that, Infinity: until rung. A long sleep may end early (`timeoutOf()`). What
   * is left behind a spin is written there.
   * @returns whether the doorbell was rung
   */
  park(delayNs: Float64Array, sleepsFor: SleepsFor): boolean {
    if (this.#doorbell.rung()) return true;
    if (!((delayNs[0] as number) > 0)) return false;
    const spinNs = this.#spinNs[sleepsFor];
    readHostClock(this.#sleptNs);
    if (spinNs > 0 && this.#spin(spinNs, delayNs)) return true;
    const rung = (delayNs[0] as number) > 0 ? this.#doorbell.wait(delayNs) : this.#doorbell.rung();
    readHostClock(this.#wokeNs);
    const tookNs = Math.min((this.#wokeNs[0] as number) - (this.#sleptNs[0] as number), LONG_NS);
    this.#spinNs[sleepsFor] = nextSpin(spinNs, rung ? Math.floor(tookNs) : LONG_NS, sleepsFor);
    return rung;
  }

  /** From the time of #sleptNs, which moves on. @returns whether the doorbell was rung */
  #spin(spinNs: number, delayNs: Float64Array): boolean {
    const startNs = this.#sleptNs[0] as number;
    const untilNs = startNs + Math.min(spinNs, delayNs[0] as number);
    do {
      for (let i = 0; i < LOADS_PER_CLOCK_READING; i++) if (this.#doorbell.rung()) return true;
      readHostClock(this.#sleptNs);
    } while ((this.#sleptNs[0] as number) < untilNs);
    delayNs[0] = (delayNs[0] as number) - ((this.#sleptNs[0] as number) - startNs);
    return false;
  }
}

/**
 * What a spin is to last that was in vain this time.
 * @param sleptNs until it rang; LONG_NS or more: it has not, or much later
 */
export function nextSpin(spinNs: number, sleptNs: number, sleepsFor: SleepsFor): number {
  // Whoever rang may have waited for the very core that this thread was spinning on.
  if (spinNs > 0 && sleptNs < AT_ONCE_NS) return 0;
  // It may have been no longer than a spin, but for the time that waking took.
  if (sleptNs <= WAKING_NS) return Math.min(SPIN_MAX_NS[sleepsFor], Math.max(SPIN_MIN_NS, spinNs * 2));
  return spinNs <= SPIN_MIN_NS ? 0 : spinNs >> 1;
}
