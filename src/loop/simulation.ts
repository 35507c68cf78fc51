/**
 * The deterministic scheduler: many loops in one thread, on one simulated clock, with a seed that decides which loop is
 * next. The same seed replays the same run.
 */
import { Prng } from '../util/prng.ts';
import { SimulatedClock } from './clock.ts';
import { EventLoop } from './event-loop.ts';

/** A loop, or anything else that takes steps (a vCPU's slices). */
export interface Steppable {
  /** The virtual time of the next step: now or earlier when it can step at once, Infinity when never by itself. */
  nextDeadlineNs(): number;
  step(): void;
}

export class Simulation {
  readonly clock = new SimulatedClock();
  readonly seed: number;
  readonly #prng: Prng;
  readonly #members: Steppable[] = [];

  constructor(seed: number) {
    this.seed = seed;
    this.#prng = new Prng(seed);
  }

  /** A new loop on the simulation's clock. Its steps are single: one message, timer and bottom half each. */
  loop(name: string): EventLoop {
    const loop = new EventLoop({ name, clock: this.clock, seed: this.#prng.next() });
    this.add({ nextDeadlineNs: () => loop.nextDeadlineNs(), step: () => void loop.turn(1) });
    return loop;
  }

  add(member: Steppable): void {
    this.#members.push(member);
  }

  /** One step of one member that can; time moves on only when none can. @returns false when nothing is left to do */
  step(): boolean {
    let ready = this.#ready();
    if (ready.length === 0) {
      const nextNs = Math.min(...this.#members.map((member) => member.nextDeadlineNs()));
      if (nextNs === Number.POSITIVE_INFINITY) return false;
      this.clock.advanceTo(nextNs);
      ready = this.#ready();
    }
    ready[this.#prng.below(ready.length)]?.step();
    return true;
  }

  /**
   * Steps until `done()` says so or nothing is left to do.
   * @returns the steps taken; @throws Error, with the seed, after `maxSteps`
   */
  run(done: () => boolean = () => false, maxSteps = 1_000_000): number {
    for (let steps = 0; steps < maxSteps; steps++) {
      if (done() || !this.step()) return steps;
    }
    throw new Error(`the simulation with seed ${this.seed} did not come to rest in ${maxSteps} steps`);
  }

  #ready(): Steppable[] {
    const nowNs = this.clock.nowNs();
    return this.#members.filter((member) => member.nextDeadlineNs() <= nowNs);
  }
}
