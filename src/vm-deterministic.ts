/**
 * Deterministic runs: the driver of a machine whose threads are simulated, on the caller's thread. It takes steps in
 * chunks, between which the host's other callbacks run; what comes from outside enters between two steps, is written to
 * the recording, or comes out of one.
 *
 * A chunk ends behind every step of the main loop, so that a caller who answers what the guest does, before his next
 * macrotask, answers in the same step in each run. When other chunks end depends on the host; nothing depends on that.
 */
import { SimulatedPlacement } from '../actors/board/simulated-placement.ts';
import { type Observable, Subject } from './actor/rxjs.ts';
import { type Delivery, Simulation } from './loop/index.ts';
import { ConfigError } from './util/config-error.ts';
import { hostNowNs, hostSoon, hostTimeout } from './util/host-clock.ts';
import { Prng, type PrngState } from './util/prng.ts';
import {
  endText,
  headerText,
  inputText,
  parseRecording,
  type RecordedLine,
  type Recording,
  type RunEnd,
  type RunInput,
  SEED_MAX,
} from './vm-recording.ts';

/** The longest time that the host's other callbacks wait. */
const CHUNK_NS = 10_000_000;
/** While there is nothing to do: how soon work is seen that did not come through the machine's own methods. */
const IDLE_LOOK_MS = 20;
/** Steps until nothing is under way: with a guest that talks to devices all the time it is a matter of chance. */
const REST_STEPS_MAX = 1_000_000;
/** Sets the guest's random numbers apart from the scheduler's. */
const GUEST_STREAM = 0x5eed;

export interface DeterministicOptions {
  readonly seed?: number | undefined;
  readonly record?: ((text: string) => void) | undefined;
  readonly replay?: string | undefined;
}

/** Where to stand; whichever comes first. All count from the machine's beginning. `{}`: where there is nothing to do. */
export interface RunGoal {
  readonly steps?: number;
  /** Of all harts together; the slice that reaches it is run to its end. */
  readonly instructions?: number;
  /** Simulated time. */
  readonly timeNs?: number;
}

/** What a deterministic machine shows and lets one do, beside what every machine does. */
export interface VmDeterministic {
  readonly seed: number;
  /** Taken so far. */
  readonly steps: number;
  /** Retired so far by each hart. */
  readonly instructions: readonly number[];
  /** The simulation's time; it goes on with instructions, and to the next deadline where nobody can do anything. */
  readonly timeNs: number;
  /** Of all that was delivered, all slices and inputs, in order: 16 hexadecimal digits. */
  readonly logHash: string;
  /** The same one by one, from now on. */
  readonly log: Observable<Delivery>;
  /** A replay that has inputs left to come; meanwhile those of the caller are refused. */
  readonly replaying: boolean;
  /**
   * Runs to the goal and stands there until the next runUntil() or release(). To stand before the first step, ask before
   * start(). @returns settles with `reached`, or with `idle` when there is nothing left to do before
   */
  runUntil(goal: RunGoal): Promise<'reached' | 'idle'>;
  /** Runs freely again. */
  release(): void;
}

/** A run between two steps. */
export interface RunState {
  readonly seed: number;
  readonly timeNs: number;
  readonly chance: PrngState;
  readonly simulation: ReturnType<Simulation['save']>;
  readonly placement: ReturnType<SimulatedPlacement['save']>;
}

/** Who takes the inputs. */
interface InputSinks {
  machine(type: `machine.${'start' | 'pause' | 'resume' | 'reset'}`): void;
  type(bytes: Uint8Array): void;
  /** The caller's inputs are taken from now on. */
  live(): void;
  fail(error: Error): void;
}

/** @throws ConfigError */
export function openRun(options: DeterministicOptions, drawSeed: () => number): DeterministicRun {
  const { seed, record, replay } = options;
  if (seed !== undefined && !(Number.isInteger(seed) && seed >= 0 && seed <= SEED_MAX)) {
    throw new ConfigError('--seed', `${seed} is no seed`, `Give it a whole number from 0 to ${SEED_MAX}.`);
  }
  const recording = replay === undefined ? null : parseRecording(replay);
  if (recording !== null && seed !== undefined && seed !== recording.seed) {
    throw new ConfigError('--seed', `the recording was made with seed ${recording.seed}`, 'Leave --seed out.');
  }
  return new DeterministicRun(recording?.seed ?? seed ?? drawSeed(), record ?? null, recording);
}

export class DeterministicRun implements VmDeterministic {
  readonly seed: number;
  readonly placement: SimulatedPlacement;
  readonly log: Observable<Delivery>;
  readonly #simulation: Simulation;
  readonly #chance: Prng;
  readonly #record: ((text: string) => void) | null;
  readonly #recording: Recording | null;
  /** The recording's, and how many of them are done with. */
  #lines: readonly RecordedLine[];
  #linesDone = 0;
  /** Inputs that came during a step. */
  #waiting: RunInput[] = [];
  #sinks: InputSinks | null = null;
  #applying = false;
  #began = false;
  #goal: RunGoal | null = null;
  /** Nothing runs until runUntil() or release(). */
  #held = false;
  #settle: ((how: 'reached' | 'idle') => void) | null = null;
  #outside = false;
  #cancel: (() => void) | null = null;
  #asleep = false;
  #inChunk = false;
  /** Its state is being written down, or has not been put in place yet: nothing runs, and inputs wait. */
  #frozen = false;
  #freezing: { readonly lastStep: number; settle(isAtRest: boolean): void } | null = null;
  /** How the machine goes on from where it was restored. */
  #thaw: ((resume: boolean) => void) | null = null;
  #closed = false;

  constructor(seed: number, record: ((text: string) => void) | null, recording: Recording | null) {
    this.seed = seed;
    this.#simulation = new Simulation(seed);
    this.#simulation.onWork = () => this.#wake();
    this.#chance = new Prng(seed ^ GUEST_STREAM);
    this.#record = record;
    this.#recording = recording;
    this.#lines = recording?.lines ?? [];
    this.placement = new SimulatedPlacement(this.#simulation, () => {
      this.#outside = true;
    });
    const log = new Subject<Delivery>();
    this.log = log.asObservable();
    this.#simulation.log.observer = (delivery) => log.next(delivery);
  }

  get steps(): number {
    return this.#simulation.steps;
  }

  get instructions(): readonly number[] {
    return this.placement.instructions;
  }

  get timeNs(): number {
    return this.#simulation.clock.nowNs();
  }

  get logHash(): string {
    return this.#simulation.log.hash;
  }

  get replaying(): boolean {
    return this.#linesDone < this.#lines.length;
  }

  /** For the random numbers of the machine's loops: 31 bits. */
  loopSeed(): number {
    return this.#chance.next() >>> 1;
  }

  /** What the guest finds as its random seed. */
  guestSeed(lengthBytes: number): Uint8Array {
    return Uint8Array.from({ length: lengthBytes }, () => this.#chance.below(256));
  }

  /** @param guest its digest; @throws ConfigError where the recording is of another */
  check(guest: string): void {
    if (this.#recording !== null && this.#recording.guest !== guest) {
      const problem = 'the recording is of another machine or guest';
      throw new ConfigError('--replay', problem, 'Give the same options and images as when it was recorded.');
    }
    this.#record?.(headerText(this.seed, guest));
  }

  /** For inputs that no recording knows. @throws ConfigError in a run that is recorded or replayed */
  refuseUnrecorded(what: string): void {
    if (this.#record === null && this.#recording === null) return;
    throw new ConfigError('--record', `${what} cannot be recorded`, 'Run with a seed alone.');
  }

  connect(sinks: InputSinks): void {
    this.#sinks = sinks;
  }

  /** Something from the caller. @returns false when it is refused: a replay has its own */
  submit(input: RunInput): boolean {
    if (input.kind === 'machine' && input.event === 'start') this.#began = true;
    if (this.#closed) return false;
    if (this.#thaw !== null && input.kind === 'machine') {
      // It stands already.
      if (input.event === 'pause') return true;
      this.#thaw(input.event !== 'reset');
      this.#wake();
      if (input.event !== 'reset') return true;
    }
    if (this.replaying) {
      this.#wake();
      return false;
    }
    this.#waiting.push(input);
    this.#takeWaiting();
    this.#wake();
    return true;
  }

  /**
   * Goes on until nothing is under way between the loops, and stands there: what is then told of the machine is all there
   * is. The run itself is the same as without. @returns settles with false where that never comes
   */
  freeze(): Promise<boolean> {
    const from = this.steps;
    return new Promise((settle) => {
      this.#freezing = { lastStep: from + REST_STEPS_MAX, settle };
      this.#wake();
    });
  }

  /** Goes on after freeze(). */
  unfreeze(): void {
    this.#frozen = false;
    this.#wake();
  }

  /** Where the run stands, beside the machine. */
  save(): RunState {
    const { simulation, placement } = { simulation: this.#simulation.save(), placement: this.placement.save() };
    return { seed: this.seed, timeNs: this.timeNs, chance: this.#chance.save(), simulation, placement };
  }

  /** The simulation's time begins where the saved one stood; before anything else. */
  beginAt(timeNs: number): void {
    this.#frozen = true;
    this.#simulation.clock.advanceTo(timeNs);
  }

  /** What is under way between the loops comes to rest; no hart takes a step, time stands. */
  settle(): void {
    const { log } = this.#simulation;
    const { observer } = log;
    log.observer = null;
    this.placement.hold = true;
    while (this.#simulation.stepNow());
    this.placement.hold = false;
    log.observer = observer;
  }

  /**
   * The machine has been restored, and stands. @param saved null for one that was no such run
   * @param runs it was saved while it ran: the first start goes on there, as if it had never stood
   */
  goOnFrom(saved: RunState | null, runs: boolean): void {
    const load = (): void => {
      if (saved !== null) {
        this.#chance.load(saved.chance);
        this.#simulation.load(saved.simulation);
        this.placement.load(saved.placement);
      }
      this.#began = true;
      this.#frozen = false;
    };
    if (!runs || saved === null) return load();
    this.#thaw = (resume) => {
      this.#thaw = null;
      if (resume) this.#sinks?.machine('machine.resume');
      this.settle();
      load();
    };
  }

  runUntil(goal: RunGoal): Promise<'reached' | 'idle'> {
    this.#settle?.('idle');
    this.#held = false;
    this.#goal = goal;
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#wake();
    });
  }

  release(): void {
    this.#held = false;
    this.#goal = null;
    this.#settle?.('idle');
    this.#settle = null;
    this.#wake();
  }

  /** The machine was stopped. @returns how a replay that has come to its end differs from what was recorded */
  close(): Error | null {
    if (this.#closed) return null;
    this.#closed = true;
    const next = this.#lines[this.#linesDone];
    const difference = next?.step === this.steps && 'end' in next ? this.#compare(next.end) : null;
    this.#record?.(endText(this.steps, this.#end()));
    this.#cancel?.();
    this.#cancel = null;
    this.#settle?.('idle');
    this.#settle = null;
    this.#freezing?.settle(false);
    this.#freezing = null;
    return difference;
  }

  #end(): RunEnd {
    return { log: this.logHash, instructions: this.instructions };
  }

  #wake(): void {
    if (this.#closed || this.#frozen || !this.#began || this.#inChunk) return;
    if (this.#held && this.#freezing === null) return;
    if (this.#cancel !== null && !this.#asleep) return;
    this.#cancel?.();
    this.#asleep = false;
    this.#cancel = hostSoon(() => this.#chunk());
  }

  #sleep(): void {
    this.#asleep = true;
    this.#cancel = hostTimeout(IDLE_LOOK_MS, () => this.#chunk());
  }

  #chunk(): void {
    this.#cancel = null;
    this.#asleep = false;
    this.#inChunk = true;
    let isOver = false;
    try {
      isOver = this.#takeSteps();
    } catch (error) {
      this.#sinks?.fail(error instanceof Error ? error : new Error(String(error)));
    }
    this.#inChunk = false;
    if (!isOver) this.#wake();
  }

  /** @returns whether it is not to go on by itself */
  #takeSteps(): boolean {
    const endNs = hostNowNs() + CHUNK_NS;
    this.#outside = false;
    do {
      this.#takeInputs();
      if (this.#isFrozen()) return true;
      if (this.#isReached()) {
        this.#stand('reached');
        if (this.#freezing === null) return true;
      }
      if (!this.#simulation.step()) return this.#rest();
    } while (!this.#outside && !this.#closed && hostNowNs() < endNs);
    return false;
  }

  /** Between two steps: whether the run stands here for freeze(). */
  #isFrozen(): boolean {
    const freezing = this.#freezing;
    if (freezing === null) return false;
    const isAtRest = this.placement.resting;
    if (!isAtRest && this.steps < freezing.lastStep) return false;
    this.#freezing = null;
    this.#frozen = true;
    freezing.settle(isAtRest);
    return true;
  }

  /** There is nothing to do, until something comes from outside. */
  #rest(): boolean {
    const next = this.#lines[this.#linesDone];
    if (next !== undefined) {
      this.#diverged(differs(`it came to rest in step ${this.steps}, before step ${next.step}`));
      return false;
    }
    if (this.#settle !== null) this.#stand('idle');
    else this.#sleep();
    return true;
  }

  #stand(how: 'reached' | 'idle'): void {
    this.#held = true;
    this.#goal = null;
    const settle = this.#settle;
    this.#settle = null;
    settle?.(how);
  }

  #isReached(): boolean {
    const goal = this.#goal;
    if (goal === null) return false;
    const { steps = Infinity, instructions = Infinity, timeNs = Infinity } = goal;
    if (this.steps >= steps || this.timeNs >= timeNs) return true;
    return instructions !== Infinity && this.instructions.reduce((sum, one) => sum + one, 0) >= instructions;
  }

  #takeInputs(): void {
    this.#takeWaiting();
    for (let next = this.#lines[this.#linesDone]; next !== undefined; next = this.#lines[this.#linesDone]) {
      if (next.step > this.steps) return;
      this.#linesDone += 1;
      if ('input' in next) this.#apply(next.input);
      else this.#diverged(this.#compare(next.end));
      if (!this.replaying) this.#sinks?.live();
    }
  }

  /** What comes during a step, or in answer to another input, waits until that is done. */
  #takeWaiting(): void {
    if (this.#simulation.stepping || this.#applying || this.#frozen || this.#thaw !== null) return;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#apply(next);
  }

  #apply(input: RunInput): void {
    this.#record?.(inputText(this.steps, input));
    const what = input.kind === 'machine' ? input.event : `console ${input.bytes.length}`;
    this.#simulation.note('host', 'input', what);
    this.#applying = true;
    try {
      if (input.kind === 'machine') this.#sinks?.machine(`machine.${input.event}`);
      else this.#sinks?.type(input.bytes);
    } finally {
      this.#applying = false;
    }
  }

  #compare(recorded: RunEnd): Error | null {
    const own = this.#end();
    const [is, was] = [own, recorded].map(({ log, instructions }) => `${log} after ${instructions} instructions`);
    return is === was ? null : differs(`its log is ${is}, was ${was}`);
  }

  #diverged(difference: Error | null): void {
    if (difference === null) return;
    this.#lines = [];
    this.#sinks?.fail(difference);
    this.#sinks?.live();
  }
}

function differs(how: string): Error {
  return new Error(`the replay is not what was recorded: ${how}`);
}
