/**
 * What traces have shown, as the translator sees it: it is counted in the runtime (src/hart/assembly/profile.ts), which
 * tells of arrivals at ops that have become hot, and of those at code on offer.
 */
import type { TranslatorPlace } from '../hart/hart.ts';
import { PROFILE } from '../hart/profile-layout.ts';
import { ARENA, HART_OFFSETS } from '../hart/state.ts';

/**
 * After so many traces an arrival counts twice as much. What runs for a second or two, as a small guest's boot does, is
 * over before code that is not very hot has paid for its translation, and most of all for V8's of the translator.
 */
const LATER = { traces: 5000, factor: 2 } as const;

/**
 * A hart that meets no new code for so many traces does the same again and again: what it executes now it will go on
 * executing, and an arrival counts so many times as much, until it meets new code again. In windows of some traces, in each of
 * which it may meet a little. A boot meets new code all the time.
 */
const SETTLED = { traces: 256, windowTraces: 32, newCode: 4, factor: 8 } as const;

export interface ProfileOptions {
  /** Arrivals seen by traces that make an entry hot. */
  readonly threshold: number;
  /** What an arrival at a loop's head counts: loops pay sooner than functions. */
  readonly loopWeight: number;
  /** What one counts where a region was left, or in straight code: a trace sees it once, however often it happens. */
  readonly leftWeight: number;
  /** Everything that is jumped to is an entry: for tests. */
  readonly everything: boolean;
}

/** An arrival that the translator is told of. */
export interface Arrived {
  readonly op: number;
  /** Low half of its virtual address. */
  readonly lo: number;
  /** What those at the op have counted since they were last forgotten. */
  readonly arrivals: number;
}

export class Profile {
  readonly #place: TranslatorPlace;
  readonly #view: DataView;
  readonly #options: ProfileOptions;
  #traces = 0;
  /** Of the weights. */
  #factor = 1;
  /** What the hart had counted when that was last looked at, and the trace before which it had met new code. */
  #decodes = 0;
  #newCodeAt = 0;

  constructor(place: TranslatorPlace, options: ProfileOptions) {
    this.#place = place;
    this.#view = new DataView(place.memory.buffer);
    this.#options = options;
    this.#set('everything', options.everything ? 1 : 0);
    this.#set('threshold', options.threshold);
    this.#setWeights(1);
  }

  #set(setting: 'everything' | 'threshold' | 'loopWeight' | 'leftWeight' | 'otherWeight', value: number): void {
    this.#view.setUint32(this.#place.arena + ARENA.profile + PROFILE[setting], value, true);
  }

  #setWeights(factor: number): void {
    this.#factor = factor;
    const { loopWeight, leftWeight } = this.#options;
    this.#set('loopWeight', loopWeight * factor);
    this.#set('leftWeight', leftWeight * factor);
    this.#set('otherWeight', factor);
  }

  /** One more trace was taken. */
  traced(): void {
    this.#traces += 1;
    if (this.#traces % SETTLED.windowTraces === 0) this.#lookForNewCode();
    const later = this.#traces >= LATER.traces ? LATER.factor : 1;
    const settled = this.#traces - this.#newCodeAt >= SETTLED.traces ? SETTLED.factor : 1;
    if (later * settled !== this.#factor) this.#setWeights(later * settled);
  }

  #lookForNewCode(): void {
    const decodes = this.#view.getUint32(this.#place.arena + HART_OFFSETS.decodes, true);
    // The count wraps.
    if ((decodes - this.#decodes) >>> 0 >= SETTLED.newCode) this.#newCodeAt = this.#traces;
    this.#decodes = decodes;
  }

  /** @param index of those that the last trace has told of */
  arrived(index: number): Arrived {
    const at = this.#place.arena + ARENA.arrived + index * PROFILE.arrivedBytes;
    return {
      op: this.#view.getUint32(at + PROFILE.arrivedOp, true),
      lo: this.#view.getUint32(at + PROFILE.arrivedLo, true),
      arrivals: this.#view.getUint32(at + PROFILE.arrivedCount, true),
    };
  }

  /** How often an op was executed. */
  heat(op: number): number {
    return this.#place.profile.heat(op);
  }

  /** Distances from a computed jump to where it went, the most frequent first. */
  targets(jump: number): number[] {
    const view = this.#view;
    const set = this.#place.profile.jumpTargets(jump) >>> 0;
    const found: { distance: number; times: number }[] = [];
    for (let way = 0; way < PROFILE.jumpWays; way++) {
      const at = set + way * PROFILE.targetBytes;
      if (view.getUint32(at + PROFILE.targetJump, true) !== jump) continue;
      const distance = view.getInt32(at + PROFILE.targetDistance, true);
      found.push({ distance, times: view.getUint32(at + PROFILE.targetCount, true) });
    }
    return found.sort((a, b) => b.times - a.times).map(({ distance }) => distance);
  }

  /** Begins to count the arrivals at an op anew. */
  forget(op: number): void {
    this.#place.profile.forgetArrivals(op);
  }
}
