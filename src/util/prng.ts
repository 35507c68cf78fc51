/**
 * The pseudo-random generator of loops and tests: xoshiro128** (Blackman, Vigna, 2018), seeded through splitmix32.
 *
 * Not for secrets: a device that offers entropy to a guest takes it from its back end.
 */

/** Four 32-bit words: the whole state. */
export type PrngState = readonly [number, number, number, number];

export class Prng {
  readonly #s = new Uint32Array(4);

  /** @param seed any 32-bit number; the same seed gives the same sequence for ever */
  constructor(seed: number) {
    let x = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.#s[i] = z ^ (z >>> 16);
    }
  }

  /** The next number, 0 to 2^32 - 1. */
  next(): number {
    const s = this.#s;
    const s1 = s[1] as number;
    const result = Math.imul(rotl(Math.imul(s1, 5), 7), 9) >>> 0;
    const t = s1 << 9;
    s[2] = (s[2] as number) ^ (s[0] as number);
    s[3] = (s[3] as number) ^ s1;
    s[1] = s1 ^ (s[2] as number);
    s[0] = (s[0] as number) ^ (s[3] as number);
    s[2] = (s[2] as number) ^ t;
    s[3] = rotl(s[3] as number, 11);
    return result;
  }

  /** A number from 0 to bound - 1. @param bound 1 to 2^32 */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound);
  }

  save(): PrngState {
    const [a = 0, b = 0, c = 0, d = 0] = this.#s;
    return [a, b, c, d];
  }

  load(state: PrngState): void {
    this.#s.set(state);
  }
}

function rotl(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}
