/**
 * Checks for a device's load(): what comes from a file or another host is taken apart with these, never trusted. Each
 * gives the value or throws a StateError that names the field.
 */

/** A saved state that no save() of this version can have written. */
export class StateError extends Error {
  constructor(field: string, expected: string) {
    super(`saved state: ${field} is not ${expected}`);
    this.name = 'StateError';
  }
}

/** A reader over one saved object. `finish` rejects fields that nobody has asked for: an unknown field is lost state. */
export class StateReader {
  readonly #fields: Map<string, unknown>;
  readonly #device: string;

  constructor(device: string, state: unknown) {
    if (typeof state !== 'object' || state === null) throw new StateError(device, 'an object');
    this.#device = device;
    this.#fields = new Map(Object.entries(state));
  }

  /** A whole number from 0 to `max`. */
  uint(name: string, max: number): number {
    const value = this.#take(name);
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
      throw new StateError(`${this.#device}.${name}`, `a whole number from 0 to ${max}`);
    }
    return value;
  }

  uintOrNull(name: string, max: number): number | null {
    if (this.#fields.get(name) !== null) return this.uint(name, max);
    this.#take(name);
    return null;
  }

  /** A virtual time: whole nanoseconds. */
  timeOrNull(name: string): number | null {
    return this.uintOrNull(name, Number.MAX_SAFE_INTEGER);
  }

  flag(name: string): boolean {
    const value = this.#take(name);
    if (typeof value !== 'boolean') throw new StateError(`${this.#device}.${name}`, 'true or false');
    return value;
  }

  bigint(name: string, min: bigint, max: bigint): bigint {
    const value = this.#take(name);
    if (typeof value !== 'bigint' || value < min || value > max) {
      throw new StateError(`${this.#device}.${name}`, `a bigint from ${min} to ${max}`);
    }
    return value;
  }

  /** A number of any kind from 0 up. */
  number(name: string): number {
    const value = this.#take(name);
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
    throw new StateError(`${this.#device}.${name}`, 'a number from 0 up');
  }

  text(name: string): string {
    const value = this.#take(name);
    if (typeof value !== 'string') throw new StateError(`${this.#device}.${name}`, 'a text');
    return value;
  }

  /** Whatever it is: somebody else's to check. */
  unknown(name: string): unknown {
    return this.#take(name);
  }

  strings(name: string): string[] {
    const value = this.#take(name);
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) {
      throw new StateError(`${this.#device}.${name}`, 'a list of texts');
    }
    return value;
  }

  /** A record, to be read by a reader of its own. */
  object(name: string): object {
    const value = this.#take(name);
    if (typeof value !== 'object' || value === null) throw new StateError(`${this.#device}.${name}`, 'an object');
    return value;
  }

  /** Whole numbers from 0 to `max`, between `minLength` and `maxLength` of them. */
  uints(name: string, max: number, minLength: number, maxLength: number): number[] {
    const value = this.#take(name);
    const fits = Array.isArray(value) && value.length >= minLength && value.length <= maxLength;
    if (!fits || !value.every((item) => Number.isInteger(item) && item >= 0 && item <= max)) {
      throw new StateError(`${this.#device}.${name}`, `${minLength} to ${maxLength} whole numbers up to ${max}`);
    }
    return [...value];
  }

  finish(): void {
    const [unknownField] = this.#fields.keys();
    if (unknownField !== undefined) throw new StateError(`${this.#device}.${unknownField}`, 'a field of this version');
  }

  #take(name: string): unknown {
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    return value;
  }
}
