/** Sets of the guest's registers, as bits: immutable, and cheap where a region has hundreds of instructions. */

/** A register: x by its number, then f. */
export type Register = number;

const F = 32;
export const xRegister = (number: number): Register => number;
export const fRegister = (number: number): Register => F + number;
export const isFloat = (register: Register): boolean => register >= F;
/** Its number among those of its kind. */
export const numberOf = (register: Register): number => register & (F - 1);

export class RegisterSet {
  static readonly none: RegisterSet = new RegisterSet(0, 0);
  readonly #x: number;
  readonly #f: number;

  private constructor(x: number, f: number) {
    this.#x = x;
    this.#f = f;
  }

  get isEmpty(): boolean {
    return (this.#x | this.#f) === 0;
  }

  has(register: Register): boolean {
    return (((isFloat(register) ? this.#f : this.#x) >>> numberOf(register)) & 1) !== 0;
  }

  /** Whether any of them is an f register. */
  get hasFloat(): boolean {
    return this.#f !== 0;
  }

  with(register: Register): RegisterSet {
    if (this.has(register)) return this;
    const bit = 1 << numberOf(register);
    return isFloat(register) ? new RegisterSet(this.#x, this.#f | bit) : new RegisterSet(this.#x | bit, this.#f);
  }

  without(register: Register): RegisterSet {
    if (!this.has(register)) return this;
    const bit = 1 << numberOf(register);
    return isFloat(register) ? new RegisterSet(this.#x, this.#f & ~bit) : new RegisterSet(this.#x & ~bit, this.#f);
  }

  union(other: RegisterSet): RegisterSet {
    return new RegisterSet(this.#x | other.#x, this.#f | other.#f);
  }

  intersection(other: RegisterSet): RegisterSet {
    return new RegisterSet(this.#x & other.#x, this.#f & other.#f);
  }

  difference(other: RegisterSet): RegisterSet {
    return new RegisterSet(this.#x & ~other.#x, this.#f & ~other.#f);
  }

  equals(other: RegisterSet): boolean {
    return this.#x === other.#x && this.#f === other.#f;
  }

  /** By number, x first. */
  forEach(visit: (register: Register) => void): void {
    for (let bits = this.#x; bits !== 0; bits &= bits - 1) visit(xRegister(lowestBit(bits)));
    for (let bits = this.#f; bits !== 0; bits &= bits - 1) visit(fRegister(lowestBit(bits)));
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
