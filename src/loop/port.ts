/**
 * What an actor may ask of the event loop it lives on, and nothing more: time, chance and later work. An actor that
 * uses only this cannot tell a thread from the deterministic scheduler.
 */

/** Work that runs once, soon, on the loop that made it. Scheduling it again while it is pending changes nothing. */
export interface BottomHalf {
  schedule(): void;
  cancel(): void;
}

/** A one-shot deadline on the loop's virtual clock. Arming it again moves it. */
export interface Timer {
  /** @param deadlineNs absolute virtual time; one that has passed fires in the next turn of the loop */
  arm(deadlineNs: number): void;
  /** arm() at `deadlineNs[0]`: for whoever arms often, as LoopPort.readClock(). */
  armAt(deadlineNs: Float64Array): void;
  cancel(): void;
  /** The armed deadline, or null. */
  readonly deadlineNs: number | null;
}

export interface LoopPort {
  /** Virtual time in nanoseconds since the machine was made. It stands still while the machine is paused. */
  nowNs(): number;
  /** Writes nowNs() to `nowNs[0]`: for whoever asks often, since a number that is returned may be an object of the heap. */
  readClock(nowNs: Float64Array): void;
  /** Wall-clock time in nanoseconds since 1970-01-01T00:00Z; under the deterministic scheduler it follows nowNs(). */
  wallClockNs(): bigint;
  /** The next 32-bit unsigned number of the loop's own generator. */
  random(): number;
  /** @param name what the inspector and the message log call it */
  bottomHalf(name: string, run: () => void): BottomHalf;
  timer(name: string, run: () => void): Timer;
}
