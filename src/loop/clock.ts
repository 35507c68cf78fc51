/**
 * The clocks of event loops. Virtual time is nanoseconds since the machine was made; it stands still while the machine
 * is paused.
 */
import { hostNowNs, hostWallClockNs } from '../util/host-clock.ts';

export interface LoopClock {
  nowNs(): number;
  wallClockNs(): bigint;
  /** Host nanoseconds until a moment of virtual time: 0 when it has passed, Infinity when time stands still. */
  hostDelayNs(deadlineNs: number): number;
}

/**
 * Virtual time that follows the host's. The clocks of all threads of a machine agree when they were given the same
 * origin: `originNs` of one goes to the others by message, with each resume. So that time goes back nowhere, the clock
 * that stopped last gives the origin: vCPUs stop theirs when they stand, the machine its own after them.
 */
export class HostClock implements LoopClock {
  /** The host time at which virtual time was 0, had it never stood still. */
  #originNs: number;
  /** Where virtual time stands; null while it runs. */
  #stoppedAtNs: number | null;

  private constructor(originNs: number, stoppedAtNs: number | null) {
    this.#originNs = originNs;
    this.#stoppedAtNs = stoppedAtNs;
  }

  /** A clock that stands at 0. */
  static stopped(): HostClock {
    return new HostClock(0, 0);
  }

  /** A clock that runs, starting at 0 now, or in step with the one whose origin is given. */
  static running(originNs = hostNowNs()): HostClock {
    return new HostClock(originNs, null);
  }

  get originNs(): number {
    return this.#originNs;
  }

  get running(): boolean {
    return this.#stoppedAtNs === null;
  }

  nowNs(): number {
    return this.#stoppedAtNs ?? hostNowNs() - this.#originNs;
  }

  wallClockNs(): bigint {
    return hostWallClockNs();
  }

  hostDelayNs(deadlineNs: number): number {
    if (this.#stoppedAtNs !== null) return deadlineNs <= this.#stoppedAtNs ? 0 : Number.POSITIVE_INFINITY;
    return Math.max(0, deadlineNs - this.nowNs());
  }

  /** Stops, here or at a moment another thread stopped at. @returns the virtual time it stands at */
  stop(atNs: number = this.nowNs()): number {
    this.#stoppedAtNs = atNs;
    return atNs;
  }

  /** Goes on where it stood, or in step with a clock that already runs. @returns the origin, for the other threads */
  resume(originNs?: number): number {
    if (originNs !== undefined) this.#originNs = originNs;
    else if (this.#stoppedAtNs !== null) this.#originNs = hostNowNs() - this.#stoppedAtNs;
    this.#stoppedAtNs = null;
    return this.#originNs;
  }
}

/** Virtual time that moves only when told to. Wall-clock time follows it from a fixed start. */
export class SimulatedClock implements LoopClock {
  #nowNs = 0;
  readonly #epochNs: bigint;

  /** @param epochNs the wall-clock time at virtual time 0; 2025-01-01T00:00Z if not given */
  constructor(epochNs = 1_735_689_600_000_000_000n) {
    this.#epochNs = epochNs;
  }

  nowNs(): number {
    return this.#nowNs;
  }

  wallClockNs(): bigint {
    return this.#epochNs + BigInt(Math.floor(this.#nowNs));
  }

  hostDelayNs(deadlineNs: number): number {
    return deadlineNs <= this.#nowNs ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Moves on; never back. */
  advanceTo(timeNs: number): void {
    if (timeNs > this.#nowNs) this.#nowNs = timeNs;
  }
}
