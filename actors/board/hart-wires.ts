/** Wires between threads: a level that has one driver and is told to its owner in a words record. */
import type { IrqLine } from '../../src/actor/index.ts';
import type { Channel } from '../../src/channel/channel.ts';
import { WORDS } from '../cpu/words.ts';
import type { AclintHartPort } from '../misc/aclint.ts';

/** A wire to another thread. A level that found no room goes when there is some, if it still holds. Low at power-on. */
export class FarWire implements IrqLine {
  readonly #channel: Channel;
  readonly #kind: number;
  readonly #id: number;
  #level: boolean | null = null;
  /** What the other side has; after a restore, what it had. */
  #told = false;

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

  /** What the other side has heard, as part of a frozen machine in which no message is under way. */
  get told(): boolean {
    return this.#told;
  }

  /** The other side has this level, since it goes on from where it was saved. What drives the wire says so again, or not. */
  restore(told: boolean): void {
    this.#told = told;
    this.#tell();
  }

  #tell(): void {
    if (this.#level === null || this.#level === this.#told) return;
    if (this.#channel.postWords(this.#kind, this.#id, this.#level ? 1 : 0, 0, 0)) this.#told = this.#level;
  }
}

/** The wires of one thread to others, by what they are called, so that they can be saved and restored together. */
export class FarWires {
  readonly #wires = new Map<string, FarWire>();

  /** @param name the same in each machine that is made alike */
  add(name: string, wire: FarWire): FarWire {
    this.#wires.set(name, wire);
    return wire;
  }

  /** The names of those that were last told to be high. */
  save(): string[] {
    return [...this.#wires].filter(([, wire]) => wire.told).map(([name]) => name);
  }

  /** @param high what save() gave; wires that are not here any longer are passed over */
  load(high: readonly string[]): void {
    for (const [name, wire] of this.#wires) wire.restore(high.includes(name));
  }
}

/** What the ACLINT tells a hart of another thread. Of comparators that found no room the last one goes. */
export class FarHartTimer implements AclintHartPort {
  readonly #channel: Channel;
  readonly #software: FarWire;
  #lo = 0;
  #hi = 0;
  #pending = false;

  /** @param software its wire to the hart's software interrupt */
  constructor(channel: Channel, software: FarWire) {
    this.#channel = channel;
    this.#software = software;
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
