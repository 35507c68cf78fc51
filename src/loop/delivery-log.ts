/**
 * The log of a simulation: what it did in which step, folded into one number. Two runs with the same number have done
 * the same things in the same order.
 */
import type { DeliveryKind } from './event-loop.ts';

/** One thing that a simulation did. */
export interface Delivery {
  /** Counts the simulation's steps from 0. */
  readonly step: number;
  /** On the simulation's clock. */
  readonly timeNs: number;
  /** The loop, or the vCPU, that did it. */
  readonly where: string;
  /** `slice`: a vCPU ran, `name` says for how many instructions. `input`: something came from outside. */
  readonly kind: DeliveryKind | 'slice' | 'input';
  readonly name: string;
}

const FNV_BASIS = 0x811c_9dc5;
const FNV_PRIME = 0x0100_0193;

export class DeliveryLog {
  #low = FNV_BASIS;
  #high = ~FNV_BASIS;
  #length = 0;
  /** Told of each entry; costs nothing while null. */
  observer: ((delivery: Delivery) => void) | null = null;

  /** Entries so far. */
  get length(): number {
    return this.#length;
  }

  /** Of all entries so far, in order: 16 hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** Where it stands: both words of the hash, and the length. */
  save(): readonly [number, number, number] {
    return [this.#high >>> 0, this.#low >>> 0, this.#length];
  }

  load([high, low, length]: readonly [number, number, number]): void {
    this.#high = high | 0;
    this.#low = low | 0;
    this.#length = length;
  }

  add(step: number, timeNs: number, where: string, kind: Delivery['kind'], name: string): void {
    this.#length += 1;
    this.#fold(step);
    this.#fold(timeNs % 0x1_0000_0000);
    this.#fold(fnv(where, fnv(kind, fnv(name, FNV_BASIS))));
    this.observer?.({ step, timeNs, where, kind, name });
  }

  #fold(word: number): void {
    this.#low = Math.imul(this.#low ^ word, FNV_PRIME);
    this.#high = Math.imul(this.#high ^ (this.#low >>> 15) ^ word, 0x85eb_ca6b);
    this.#low ^= this.#high >>> 13;
  }
}

/** FNV-1a over the text's UTF-16 units, going on from `hash`. */
function fnv(text: string, hash: number): number {
  let folded = hash;
  for (let i = 0; i < text.length; i++) folded = Math.imul(folded ^ text.charCodeAt(i), FNV_PRIME);
  return folded;
}
