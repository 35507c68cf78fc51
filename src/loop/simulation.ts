/**
 * The deterministic scheduler: many loops in one thread, on one simulated clock, with a seed that decides who is next,
 * and what comes next to it. The same seed replays the same run.
 */
import { Prng, type PrngState } from '../util/prng.ts';
import { SimulatedClock } from './clock.ts';
import { type Delivery, DeliveryLog } from './delivery-log.ts';
import type { LoopDriver } from './drivers.ts';
import { type DeliveryObserver, EventLoop } from './event-loop.ts';

/** A loop, or anything else that takes steps (a vCPU's slices). */
export interface Steppable {
  /** Of the simulation's time, until it can step: 0 when it can at once, Infinity when never by itself. */
  delayNs(): number;
  step(): void;
}

/** Of a simulation between two steps, to go on from in another that has come as far. */
export interface SimulationState {
  readonly chance: PrngState;
  readonly steps: number;
  readonly log: readonly [number, number, number];
}

export class Simulation {
  readonly clock = new SimulatedClock();
  readonly seed: number;
  readonly log = new DeliveryLog();
  /** Of the simulation's own choices: a number from 0 to its argument - 1. */
  readonly below: (bound: number) => number;
  /** Called when a loop got work outside a step. */
  onWork: (() => void) | null = null;
  readonly #prng: Prng;
  readonly #members: Steppable[] = [];
  readonly #ready: Steppable[] = [];
  #steps = 0;
  #stepping = false;

  constructor(seed: number) {
    this.seed = seed;
    this.#prng = new Prng(seed);
    this.below = (bound) => this.#prng.below(bound);
  }

  /** Steps taken. */
  get steps(): number {
    return this.#steps;
  }

  /** Whether a step is under way. */
  get stepping(): boolean {
    return this.#stepping;
  }

  /** A new loop on the simulation's clock. */
  loop(name: string): EventLoop {
    const onDelivery = this.observerOf(name);
    const loop = new EventLoop({ name, clock: this.clock, seed: this.#prng.next(), onDelivery });
    this.drive(loop);
    return loop;
  }

  /** For the `onDelivery` of a loop: what it hands out goes to the log. */
  observerOf(loop: string): DeliveryObserver {
    return (kind, name) => this.note(loop, kind, name);
  }

  note(where: string, kind: Delivery['kind'], name: string): void {
    this.log.add(this.#steps, this.clock.nowNs(), where, kind, name);
  }

  /** Steps a loop, whose clock gets its time from the simulation's. Each step hands out one thing. */
  drive(loop: EventLoop, stepped: () => void = () => {}): LoopDriver {
    const member: Steppable = {
      delayNs: () => loop.hostDelayNs(),
      step: () => {
        loop.step(this.below);
        stepped();
      },
    };
    this.add(member);
    const wake = (): void => {
      if (!this.#stepping) this.onWork?.();
    };
    loop.onWork = wake;
    return {
      stop: () => {
        loop.onWork = null;
        this.remove(member);
      },
      wake,
    };
  }

  add(member: Steppable): void {
    this.#members.push(member);
  }

  remove(member: Steppable): void {
    const index = this.#members.indexOf(member);
    if (index >= 0) this.#members.splice(index, 1);
  }

  /** Where the simulation stands, its time apart. */
  save(): SimulationState {
    return { chance: this.#prng.save(), steps: this.#steps, log: this.log.save() };
  }

  load({ chance, steps, log }: SimulationState): void {
    this.#prng.load(chance);
    this.#steps = steps;
    this.log.load(log);
  }

  /** One step of one member that can now, without letting time go on. @returns false when there is none */
  stepNow(): boolean {
    if (this.#look() > 0) return false;
    this.#stepReady();
    return true;
  }

  /** One step of one member that can; time moves on only when none can. @returns false when nothing is left to do */
  step(): boolean {
    const nextNs = this.#look();
    if (nextNs === Number.POSITIVE_INFINITY) return false;
    if (nextNs > 0) {
      // Whole nanoseconds: rounded down, whoever waits for a fraction of one would wait for ever.
      this.clock.advanceTo(Math.ceil(this.clock.nowNs() + nextNs));
      this.#look();
    }
    this.#stepReady();
    return true;
  }

  #stepReady(): void {
    const ready = this.#ready;
    this.#stepping = true;
    try {
      ready[this.below(ready.length)]?.step();
    } finally {
      this.#stepping = false;
      this.#steps += 1;
    }
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

  /** Finds who can step now. @returns how long until somebody can */
  #look(): number {
    const ready = this.#ready;
    ready.length = 0;
    let nextNs = Number.POSITIVE_INFINITY;
    for (const member of this.#members) {
      const delayNs = member.delayNs();
      if (delayNs <= 0) ready.push(member);
      nextNs = Math.min(nextNs, delayNs);
    }
    return nextNs;
  }
}
