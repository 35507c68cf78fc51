/**
 * What traces (TRACE in src/hart/state.ts) have shown: which ops are executed, and which are arrived at by jumps that
 * make good entries: back to a loop's head, into a function, out of one, or out of a region. Two tables of saturating
 * counters, indexed by a hash of the op: bounded, and a collision only misleads. And where computed jumps went.
 */
const ENTRIES = 1 << 16;
const MOST = 0xffff;
/** Computed jumps whose targets are kept, and targets of one. */
const MAX_JUMPS = 4096;
const MAX_TARGETS = 16;

/** See weightAfter(). */
const LATER = { traces: 5000, weight: 2 } as const;

/**
 * What an arrival counts after so many traces: later twice as much. What runs for a second or two, as a small guest's boot
 * does, is over before code that is not very hot has paid for its translation, and most of all for V8's of the translator.
 */
export function weightAfter(traces: number): number {
  return traces < LATER.traces ? 1 : LATER.weight;
}

export class Profile {
  readonly #seen = new Uint16Array(ENTRIES);
  readonly #arrivals = new Uint16Array(ENTRIES);

  /** By the op of a computed jump: how often it went to which distance from itself. */
  readonly #targets = new Map<number, Map<number, number>>();

  see(op: number): void {
    const i = hash(op);
    const count = this.#seen[i] ?? 0;
    if (count < MOST) this.#seen[i] = count + 1;
  }

  /** @returns how often the op was arrived at since it was last forgotten */
  arrive(op: number, weight: number): number {
    const i = hash(op);
    const count = Math.min((this.#arrivals[i] ?? 0) + weight, MOST);
    this.#arrivals[i] = count;
    return count;
  }

  /** A computed jump went `distance` bytes on. */
  went(op: number, distance: number): void {
    if (this.#targets.size >= MAX_JUMPS) this.#targets.clear();
    const targets = this.#targets.get(op) ?? new Map<number, number>();
    this.#targets.set(op, targets);
    const count = targets.get(distance) ?? 0;
    if (count > 0 || targets.size < MAX_TARGETS) targets.set(distance, count + 1);
  }

  /** Where a computed jump went, the most frequent first. */
  targets(op: number): number[] {
    return [...(this.#targets.get(op) ?? [])].sort(([, a], [, b]) => b - a).map(([distance]) => distance);
  }

  heat(op: number): number {
    return this.#seen[hash(op)] ?? 0;
  }

  /** Begins to count the arrivals at an op anew. */
  forget(op: number): void {
    this.#arrivals[hash(op)] = 0;
  }
}

function hash(op: number): number {
  return ((op >>> 3) ^ (op >>> 19)) & (ENTRIES - 1);
}
