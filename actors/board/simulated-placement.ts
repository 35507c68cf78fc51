/**
 * A machine whose threads are all simulated, in the caller's: the same actors, loops, channels and doorbells, stepped by
 * a `Simulation`. A step is a delivery of one loop, or a slice of one hart.
 *
 * Time: an instruction lasts INSTRUCTION_NS, whichever hart executes it, so what harts do at the same time adds up. Within
 * a slice time goes on with each instruction; while nobody can do anything it goes on to the next deadline.
 */
import { Thread } from '../../src/channel/threads.ts';
import { type EventLoop, HostClock, type Simulation, type Steppable } from '../../src/loop/index.ts';
import { type ErrorRecord, toErrorRecord } from '../../src/util/errors.ts';
import type { PrngState } from '../../src/util/prng.ts';
import type { ActorState } from '../cpu/messages.ts';
import type { VcpuThread } from '../cpu/vcpu-thread.ts';
import type { Placement, RunningThread } from './placement.ts';
import { type VirtVcpuParameters, virtVcpuThread } from './virt-vcpu.ts';

/** What an instruction lasts, whatever it does. */
const INSTRUCTION_NS = 4;
/**
 * A slice has 2^e instructions and up to as many more, with e from 0 to a bound, which stands for PHASE_SLICES slices of
 * all harts and is then drawn anew: as often coarse, so that the steps cost little, as fine, so that harts meet in the
 * midst of anything.
 */
const COARSE_LOG2 = 15;
const FINE_MAX_LOG2 = 7;
const PHASE_SLICES = 64;
/** Where no doorbell lies: nothing but its length ends a slice. The memory's first page is never written. */
const NEVER_RUNG = 0;

/** Of all threads, the main one's loop first. */
export interface PlacementState {
  readonly instructions: readonly number[];
  readonly chances: readonly PrngState[];
  /** Of the slices' lengths, and for how many more slices. */
  readonly boundLog2: number;
  readonly slicesLeft: number;
}

export class SimulatedPlacement implements Placement {
  readonly mainKind = 'parking';
  readonly simulation: Simulation;
  readonly #onOutside: () => void;
  readonly #threads: SimulatedThread[] = [];
  #boundLog2 = 0;
  #slicesLeft = 0;

  /** @param onOutside told of each step that may have reached the host */
  constructor(simulation: Simulation, onOutside: () => void) {
    this.simulation = simulation;
    this.#onOutside = onOutside;
  }

  /** While set no hart takes a step: what is under way between the loops comes to rest. */
  hold = false;
  #mainLoop: EventLoop | null = null;

  /** Whether no loop has anything to do at this moment, and every thread has started. */
  get resting(): boolean {
    return (this.#mainLoop?.hostDelayNs() ?? 0) > 0 && this.#threads.every((thread) => thread.resting);
  }

  /** Where the scheduling of threads stands, beside the simulation's own state. */
  save(): PlacementState {
    const chances = this.#loops().map(({ chance }) => chance);
    return { instructions: this.instructions, chances, boundLog2: this.#boundLog2, slicesLeft: this.#slicesLeft };
  }

  load({ instructions, chances, boundLog2, slicesLeft }: PlacementState): void {
    this.#boundLog2 = boundLog2;
    this.#slicesLeft = slicesLeft;
    for (const [index, thread] of this.#threads.entries()) thread.instructions = instructions[index] ?? 0;
    for (const [index, loop] of this.#loops().entries()) loop.chance = chances[index] ?? loop.chance;
  }

  #loops(): EventLoop[] {
    return [this.#mainLoop, ...this.#threads.map(({ loop }) => loop)].filter((loop) => loop !== null);
  }

  /** Instructions that each hart has retired. */
  get instructions(): number[] {
    return this.#threads.map(({ instructions }) => instructions);
  }

  clock(): HostClock {
    return HostClock.stopped(this.simulation.clock);
  }

  observerOf(loop: string): ReturnType<Simulation['observerOf']> {
    return this.simulation.observerOf(loop);
  }

  driveMain(loop: EventLoop): ReturnType<Simulation['drive']> {
    this.#mainLoop = loop;
    return this.simulation.drive(loop, this.#onOutside);
  }

  startVcpu(
    parameters: VirtVcpuParameters,
    wiring: ConstructorParameters<typeof Thread>[0],
    onEnd: (error: ErrorRecord | null) => void,
  ): RunningThread {
    const time = { clock: this.clock(), onDelivery: this.observerOf(wiring.name), exactQuanta: true };
    const start = (): VcpuThread => virtVcpuThread({ ...parameters, doorbell: NEVER_RUNG }, new Thread(wiring), time);
    const ended = (error: ErrorRecord | null): void => {
      this.#onOutside();
      onEnd(error);
    };
    const thread = new SimulatedThread(wiring.name, this, start, () => this.#sliceLength(), ended);
    this.#threads.push(thread);
    return thread;
  }

  #sliceLength(): number {
    const { below } = this.simulation;
    if (this.#slicesLeft === 0) {
      this.#slicesLeft = PHASE_SLICES;
      this.#boundLog2 = below(2) === 0 ? COARSE_LOG2 : below(FINE_MAX_LOG2 + 1);
    }
    this.#slicesLeft -= 1;
    const atLeast = 2 ** below(this.#boundLog2 + 1);
    return atLeast + below(atLeast);
  }
}

/** Starts with its first step, as a worker starts some time later. */
class SimulatedThread implements RunningThread {
  instructions = 0;
  readonly #name: string;
  readonly #simulation: Simulation;
  readonly #sliceLength: () => number;
  readonly #onEnd: (error: ErrorRecord | null) => void;
  readonly #members: readonly Steppable[];
  #thread: VcpuThread | null = null;
  #ended = false;

  constructor(
    name: string,
    placement: SimulatedPlacement,
    start: () => VcpuThread,
    sliceLength: () => number,
    onEnd: (error: ErrorRecord | null) => void,
  ) {
    this.#name = name;
    const { simulation } = placement;
    this.#simulation = simulation;
    this.#sliceLength = sliceLength;
    this.#onEnd = onEnd;
    const loop: Steppable = {
      delayNs: () => this.#delayNs(),
      step: () =>
        this.#guard(() => {
          if (this.#thread === null) this.#thread = start();
          else this.#thread.loop.step(simulation.below);
        }),
    };
    const hart: Steppable = {
      delayNs: () => (this.#thread?.runnable === true && !placement.hold ? 0 : Number.POSITIVE_INFINITY),
      step: () => this.#guard(() => this.#slice()),
    };
    this.#members = [loop, hart];
    for (const member of this.#members) simulation.add(member);
  }

  get loop(): EventLoop | null {
    return this.#thread?.loop ?? null;
  }

  /** Whether its loop has nothing to do at this moment: one that has yet to start has that to do. */
  get resting(): boolean {
    return this.#delayNs() > 0;
  }

  #delayNs(): number {
    return this.#thread?.loop.hostDelayNs() ?? 0;
  }

  save(): readonly ActorState[] | null {
    return this.#thread?.save() ?? null;
  }

  /** Its end needs no other thread: it is stepped until it is there. */
  end(): Promise<void> {
    const [loop] = this.#members;
    if (this.#thread === null) this.#finish(null);
    while (!this.#ended && loop !== undefined && loop.delayNs() <= 0) loop.step();
    if (!this.#ended) this.#finish(null);
    return Promise.resolve();
  }

  #slice(): void {
    const thread = this.#thread;
    if (thread === null) return;
    const count = this.#sliceLength();
    let lasted = 0;
    this.#simulation.clock.pass(
      () => thread.retired * INSTRUCTION_NS,
      () => {
        // An access, or a call of the firmware, retires nothing and is not done at once either.
        lasted = Math.max(1, thread.slice(count));
        return lasted * INSTRUCTION_NS;
      },
    );
    this.instructions += thread.retired;
    this.#simulation.note(this.#name, 'slice', String(lasted));
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      return this.#finish(toErrorRecord(error, this.#name));
    }
    if (this.#thread?.turning === false) this.#finish(null);
  }

  #finish(error: ErrorRecord | null): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const member of this.#members) this.#simulation.remove(member);
    this.#thread?.close();
    this.#onEnd(error);
  }
}
