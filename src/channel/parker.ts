/** How a thread sleeps that has nothing else to do: in front of its doorbell, behind a spin. */
import { hostNowNs } from '../util/host-clock.ts';
import type { DoorbellConsumer } from './doorbell.ts';

/** What waking a thread may take on a host that shares its cores: 6 to 90 microseconds were seen. */
const WAKING_NS = 150_000;
/** Less than waking a thread takes on a core that sleeps. */
const AT_ONCE_NS = 30_000;
const SPIN_MIN_NS = 4_000;
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
  readonly #spinNs: Record<SleepsFor, number> = { work: 0, answer: 0 };

  constructor(doorbell: DoorbellConsumer) {
    this.#doorbell = doorbell;
  }

  /** @param timeoutNs Infinity: until rung; @returns whether the doorbell was rung */
  park(timeoutNs: number, sleepsFor: SleepsFor): boolean {
    if (this.#doorbell.rung()) return true;
    if (!(timeoutNs > 0)) return false;
    const startNs = hostNowNs();
    const spinNs = this.#spinNs[sleepsFor];
    if (spinNs > 0 && this.#spin(startNs + Math.min(spinNs, timeoutNs))) return true;
    const sleptNs = hostNowNs();
    const leftNs = timeoutNs - (sleptNs - startNs);
    const rung = leftNs > 0 ? this.#doorbell.wait(leftNs) : this.#doorbell.rung();
    const tookNs = hostNowNs() - sleptNs;
    this.#spinNs[sleepsFor] = nextSpin(spinNs, rung ? tookNs : Number.POSITIVE_INFINITY, sleepsFor);
    return rung;
  }

  #spin(untilNs: number): boolean {
    do {
      for (let i = 0; i < LOADS_PER_CLOCK_READING; i++) if (this.#doorbell.rung()) return true;
    } while (hostNowNs() < untilNs);
    return false;
  }
}

/**
 * What a spin is to last that was in vain this time.
 * @param sleptNs until it rang; Infinity: it has not
 */
export function nextSpin(spinNs: number, sleptNs: number, sleepsFor: SleepsFor): number {
  // Whoever rang may have waited for the very core that this thread was spinning on.
  if (spinNs > 0 && sleptNs < AT_ONCE_NS) return 0;
  // It may have been no longer than a spin, but for the time that waking took.
  if (sleptNs <= WAKING_NS) return Math.min(SPIN_MAX_NS[sleepsFor], Math.max(SPIN_MIN_NS, spinNs * 2));
  return spinNs <= SPIN_MIN_NS ? 0 : spinNs / 2;
}
