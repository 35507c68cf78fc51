/**
 * What makes an event loop turn: in the host's own event loop (libuv), or in a thread that parks.
 * The third driver, one that steps many loops in one thread, is in simulation.ts.
 */
import type { DoorbellConsumer } from '../channel/doorbell.ts';
import { Parker, type SleepsFor } from '../channel/parker.ts';
import type { Thread } from '../channel/threads.ts';
import type { EventLoop } from './event-loop.ts';

/** Longest sleep that the host's timers take. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Gives a loop its thread's doorbell and channels. */
export function attachThread(loop: EventLoop, thread: Thread): void {
  loop.doorbell = thread.doorbell;
  const { onDelivery } = loop;
  for (const peer of thread.peers) {
    const channel = thread.channel(peer);
    loop.attach(channel);
    channel.tellTrail(loop.trail, peer);
    if (onDelivery !== undefined) channel.observer = (name) => onDelivery('message', `${peer} ${name}`);
  }
}

/** A running driver. */
export interface LoopDriver {
  /** Lets the loop stand. Nothing is cancelled: another driver may take over. */
  stop(): void;
  /** Has the loop turn soon: after the clock was stopped or resumed, which moves deadlines. */
  wake(): void;
}

/**
 * Turns the loop inside libuv. Between turns the host's own callbacks run; deadlines are kept to the millisecond, never
 * early.
 * @param thread whose doorbell wakes the loop; null for a loop that only its own thread brings work to
 */
export function runInLibuv(loop: EventLoop, thread: Thread | null): LoopDriver {
  const driver = new LibuvDriver(loop, thread?.doorbell ?? null);
  loop.onWork = () => driver.wake();
  thread?.onWake(() => driver.turn());
  driver.wake();
  return driver;
}

class LibuvDriver implements LoopDriver {
  readonly #loop: EventLoop;
  readonly #doorbell: DoorbellConsumer | null;
  #immediate: NodeJS.Immediate | null = null;
  #timeout: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(loop: EventLoop, doorbell: DoorbellConsumer | null) {
    this.#loop = loop;
    this.#doorbell = doorbell;
  }

  wake(): void {
    if (this.#stopped || this.#immediate !== null) return;
    this.#immediate = setImmediate(() => this.turn());
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#loop.onWork = null;
    this.#clear();
    this.#doorbell?.unpark();
  }

  /** One turn, and whatever sleep follows. */
  turn(): void {
    if (this.#stopped) return;
    this.#clear();
    this.#doorbell?.unpark();
    try {
      this.#loop.turn();
    } finally {
      if (!this.#stopped) this.#sleep();
    }
  }

  #sleep(): void {
    const delayNs = this.#loop.hostDelayNs();
    if (delayNs <= 0 || this.#doorbell?.park() === false) return this.wake();
    if (delayNs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(Math.ceil(delayNs / 1e6), MAX_TIMEOUT_MS);
    this.#timeout = setTimeout(() => this.turn(), delayMs);
  }

  #clear(): void {
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    this.#immediate = null;
    this.#timeout = null;
  }
}

/**
 * The driver of a thread that has other things to do, a vCPU: it calls `turn()` between slices and `park()` when there
 * is nothing to run.
 */
export class ParkingDriver {
  readonly #loop: EventLoop;
  readonly #parker: Parker;
  readonly #delayNs = new Float64Array(1);

  constructor(loop: EventLoop, thread: Thread) {
    this.#loop = loop;
    this.#parker = new Parker(thread.doorbell);
    // It pays for threads that wait for what they ask.
    for (const peer of thread.peers) thread.channel(peer).usePlaces();
  }

  /** Runs what is due. */
  turn(): void {
    this.#loop.turn();
  }

  /**
   * Sleeps until the doorbell rings, or a timer of the loop is due; not at all where it has work. A long sleep may end
   * early (`Parker.park()`): the next one lasts for the rest.
   */
  park(sleepsFor: SleepsFor = 'work'): void {
    this.#loop.readHostDelay(this.#delayNs);
    this.#parker.park(this.#delayNs, sleepsFor);
  }

  /** How long the spin of the next park() for work lasts at most. */
  get spinNs(): number {
    return this.#parker.spinNs('work');
  }

  /** A thread that does nothing but its loop: turns and parks until `until()` says so. */
  run(until: () => boolean): void {
    while (!until()) {
      this.turn();
      if (!until()) this.park();
    }
  }
}
