/**
 * The clocks of event loops. Virtual time is nanoseconds since the machine was made; it stands still while the machine
 * is paused.
 */
import { hostNowNs, hostWallClockNs, readHostClock } from '../util/host-clock.ts';

export interface LoopClock {
  nowNs(): number;
  /** As LoopPort.readClock(). */
  read(nowNs: Float64Array): void;
  wallClockNs(): bigint;
  /** Makes of a moment of virtual time the host nanoseconds until then: 0 when it has passed, Infinity when time stands still. */
  toHostDelay(timeNs: Float64Array): void;
}

/** Where a machine's clocks get their time from: the host, or a simulation. */
export interface TimeSource {
  /** Writes the time to `nowNs[0]`. */
  read(nowNs: Float64Array): void;
  wallClockNs(): bigint;
}

const HOST: TimeSource = { read: readHostClock, wallClockNs: hostWallClockNs };

/**
 * Virtual time that follows the host's, or a simulation's in place of it. The clocks of all threads of a machine agree when they were given the same
 * origin: `originNs` of one goes to the others by message, with each resume. So that time goes back nowhere, the clock
 * that stopped last gives the origin: vCPUs stop theirs when they stand, the machine its own after them.
 */
export class HostClock implements LoopClock {
  /** The host time at which virtual time was 0, had it never stood still. */
  #originNs: number;
  /** Where virtual time stands; null while it runs. */
  #stoppedAtNs: number | null;
  readonly #source: TimeSource;
  /** What nowNs() reads. */
  readonly #readNs = new Float64Array(1);

  private constructor(originNs: number, stoppedAtNs: number | null, source: TimeSource) {
    this.#originNs = originNs;
    this.#stoppedAtNs = stoppedAtNs;
    this.#source = source;
  }

  /** A clock that stands at 0. */
  static stopped(source: TimeSource = HOST): HostClock {
    return new HostClock(0, 0, source);
  }

  /** A clock that runs, starting at 0 now, or in step with the one whose origin is given. */
  static running(originNs = hostNowNs()): HostClock {
    return new HostClock(originNs, null, HOST);
  }

  get originNs(): number {
    return this.#originNs;
  }

  get running(): boolean {
    return this.#stoppedAtNs === null;
  }

  nowNs(): number {
    this.read(this.#readNs);
    return this.#readNs[0] as number;
  }

  read(nowNs: Float64Array): void {
    if (this.#stoppedAtNs === null) this.#readRunning(nowNs);
    else nowNs[0] = this.#stoppedAtNs;
  }

  wallClockNs(): bigint {
    return this.#source.wallClockNs();
  }

  toHostDelay(timeNs: Float64Array): void {
    const deadlineNs = timeNs[0] as number;
    if (this.#stoppedAtNs !== null) timeNs[0] = deadlineNs <= this.#stoppedAtNs ? 0 : Number.POSITIVE_INFINITY;
    else if (deadlineNs !== Number.POSITIVE_INFINITY) {
      this.#readRunning(this.#readNs);
      timeNs[0] = Math.max(0, deadlineNs - (this.#readNs[0] as number));
    }
  }

  #readRunning(nowNs: Float64Array): void {
    this.#source.read(nowNs);
    nowNs[0] = (nowNs[0] as number) - this.#originNs;
  }

  /** Stops, here or at a moment another thread stopped at. @returns the virtual time it stands at */
  stop(atNs: number = this.nowNs()): number {
    this.#stoppedAtNs = atNs;
    return atNs;
  }

  /** Goes on where it stood, or in step with a clock that already runs. @returns the origin, for the other threads */
  resume(originNs?: number): number {
    if (originNs !== undefined) this.#originNs = originNs;
    else if (this.#stoppedAtNs !== null) {
      this.#source.read(this.#readNs);
      this.#originNs = (this.#readNs[0] as number) - this.#stoppedAtNs;
    }
    this.#stoppedAtNs = null;
    return this.#originNs;
  }
}

/**
 * Time that moves only when told to, in whole nanoseconds. Wall-clock time follows it from a fixed start. It may be a
 * loop's clock itself, or what a machine's clocks get their time from.
 */
export class SimulatedClock implements LoopClock, TimeSource {
  #nowNs = 0;
  #sinceNs: (() => number) | null = null;
  /** What nowNs() reads. */
  readonly #readNs = new Float64Array(1);
  readonly #epochNs: bigint;

  /** @param epochNs the wall-clock time at virtual time 0; 2025-01-01T00:00Z if not given */
  constructor(epochNs = 1_735_689_600_000_000_000n) {
    this.#epochNs = epochNs;
  }

  nowNs(): number {
    this.read(this.#readNs);
    return this.#readNs[0] as number;
  }

  read(nowNs: Float64Array): void {
    nowNs[0] = this.#sinceNs === null ? this.#nowNs : this.#nowNs + this.#sinceNs();
  }

  wallClockNs(): bigint {
    return this.#epochNs + BigInt(Math.floor(this.nowNs()));
  }

  toHostDelay(timeNs: Float64Array): void {
    this.read(this.#readNs);
    timeNs[0] = Math.max(0, (timeNs[0] as number) - (this.#readNs[0] as number));
  }

  /** Moves on; never back. */
  advanceTo(timeNs: number): void {
    if (timeNs > this.#nowNs) this.#nowNs = timeNs;
  }

  /**
   * Something that takes time: while `run` lasts, as much has passed as `sinceNs` says; in the end what `run` returns.
   * @param sinceNs from its beginning; it never goes back, nor beyond what `run` will return
   */
  pass(sinceNs: () => number, run: () => number): void {
    this.#sinceNs = sinceNs;
    try {
      const lastedNs = run();
      this.#sinceNs = null;
      this.advanceTo(this.#nowNs + lastedNs);
    } finally {
      this.#sinceNs = null;
    }
  }
}
