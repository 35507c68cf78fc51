/**
 * What traces (TRACE in src/hart/state.ts) have shown: which ops are executed, and which are arrived at by jumps that
 * make good entries: back to a loop's head, into a function, out of one, or out of a region. Two tables of saturating
 * counters, indexed by a hash of the op: bounded, and a collision only misleads.
 */
const ENTRIES = 1 << 16;
const MOST = 0xffff;

export class Profile {
  readonly #seen = new Uint16Array(ENTRIES);
  readonly #arrivals = new Uint16Array(ENTRIES);

  see(op: number): void {
    const i = hash(op);
    const count = this.#seen[i] ?? 0;
    if (count < MOST) this.#seen[i] = count + 1;
  }

  /** @returns how often the op was arrived at since it was last forgotten */
  arrive(op: number): number {
    const i = hash(op);
    const count = Math.min((this.#arrivals[i] ?? 0) + 1, MOST);
    this.#arrivals[i] = count;
    return count;
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
