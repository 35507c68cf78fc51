/** Wires between threads: a level that has one driver and is told to its owner in a words record. */
import type { IrqLine } from '../../src/actor/index.ts';
import type { Channel } from '../../src/channel/channel.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { WORDS } from '../cpu/words.ts';
import type { AclintHartPort } from '../misc/aclint.ts';

/** A wire to another thread. A level that found no room goes when there is some, if it still holds. */
export class FarWire implements IrqLine {
  readonly #channel: Channel;
  readonly #kind: number;
  readonly #id: number;
  #level: boolean | null = null;
  /** Null: what the other side has is not known, after a restore. */
  #told: boolean | null = null;

  /** @param kind of the record, whose first word is `id`, the second the level */
  constructor(channel: Channel, kind: number, id: number) {
    this.#channel = channel;
    this.#kind = kind;
    this.#id = id;
    channel.onSpace(() => this.#tell());
  }

  set(level: boolean): void {
    this.#level = level;
    this.#tell();
  }

  #tell(): void {
    if (this.#level === null || this.#level === this.#told) return;
    if (this.#channel.postWords(this.#kind, this.#id, this.#level ? 1 : 0, 0, 0)) this.#told = this.#level;
  }
}

/** What the ACLINT tells a hart of another thread. Of comparators that found no room the last one goes. */
export class FarHartTimer implements AclintHartPort {
  readonly #channel: Channel;
  readonly #software: FarWire;
  #lo = 0;
  #hi = 0;
  #pending = false;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#software = new FarWire(channel, WORDS.hartWire, INTERRUPT.msi);
    channel.onSpace(() => {
      if (this.#pending) this.setTimecmp(this.#lo, this.#hi);
    });
  }

  setSoftwareInterrupt(level: boolean): void {
    this.#software.set(level);
  }

  setTimecmp(lo: number, hi: number): void {
    this.#lo = lo;
    this.#hi = hi;
    this.#pending = !this.#channel.postWords(WORDS.timecmp, lo | 0, hi | 0, 0, 0);
  }
}
