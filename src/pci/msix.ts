/**
 * The MSI-X capability, its table and its pending bit array (PCI Local Bus 3.0, 6.8.2). Table and array lie in a BAR,
 * the array behind the table.
 *
 * Accesses of 4 bytes (the bus makes two of one of 8) are what software may use; others read all ones and write
 * nothing.
 */
import type { AccessSize } from '../actor/index.ts';
import type { StateReader } from '../bus/device-state.ts';
import type { ConfigSpace } from './config-space.ts';
import type { SendMessage } from './msi.ts';
import { CAPABILITY } from './registers.ts';

export interface MsixShape {
  /** 1 to 2048. */
  readonly vectors: number;
  /** The BAR that holds table and pending bits. */
  readonly bar: number;
  /** Where the table begins in it, a multiple of 8; 0 when absent. msixBytes() says how far it reaches. */
  readonly offset?: number;
}

const LENGTH_BYTES = 0x0c;
const AT = { control: 0x02, table: 0x04, pending: 0x08 } as const;
const CONTROL = { functionMask: 0x4000, enable: 0x8000 } as const;
const ENTRY_BYTES = 16;
const ENTRY_WORDS = ENTRY_BYTES / 4;
const WORD = { addressLow: 0, addressHigh: 1, data: 2, control: 3 } as const;
/** What of each word of an entry software may write. */
const WORD_MASKS = [0xffff_fffc, 0xffff_ffff, 0xffff_ffff, 1] as const;
const MASKED = 1;
const VECTORS_MAX = 2048;

/** Bytes of the BAR that table and pending bits take, from the table's offset on. */
export function msixBytes(vectors: number): number {
  return vectors * ENTRY_BYTES + Math.ceil(vectors / 64) * 8;
}

export class Msix {
  readonly bar: number;
  readonly #offset: number;
  readonly #vectors: number;
  readonly #config: ConfigSpace;
  readonly #at: number;
  readonly #send: SendMessage;
  #table: Uint32Array;
  #pending: Uint32Array;

  /** Appends the capability. @throws for a table that does not fit its BAR */
  constructor(config: ConfigSpace, shape: MsixShape, barBytes: number, send: SendMessage) {
    const { vectors, bar, offset = 0 } = shape;
    const fits = offset >= 0 && offset % 8 === 0 && offset + msixBytes(vectors) <= barBytes;
    if (!Number.isInteger(vectors) || vectors < 1 || vectors > VECTORS_MAX || !fits) {
      throw new Error(`MSI-X: ${vectors} vectors do not fit BAR ${bar} at ${offset}`);
    }
    const at = config.addCapability(CAPABILITY.msix, LENGTH_BYTES);
    config.set(at + AT.control, vectors - 1, 2);
    config.allow(at + AT.control, CONTROL.functionMask | CONTROL.enable, 2);
    config.set(at + AT.table, offset | bar, 4);
    config.set(at + AT.pending, (offset + vectors * ENTRY_BYTES) | bar, 4);
    this.bar = bar;
    this.#offset = offset;
    this.#vectors = vectors;
    this.#config = config;
    this.#at = at;
    this.#send = send;
    this.#table = this.#freshTable();
    this.#pending = new Uint32Array(Math.ceil(vectors / 64) * 2);
  }

  get isEnabled(): boolean {
    return (this.#control & CONTROL.enable) !== 0;
  }

  /** Whether an offset of its BAR is the table's or the pending bits'. */
  holds(offset: number): boolean {
    return offset >= this.#offset && offset - this.#offset < msixBytes(this.#vectors);
  }

  /** @param offset one that holds() */
  read(offset: number, size: AccessSize): number {
    if (size !== 4 || offset % 4 !== 0) return 0xffff_ffff;
    const word = (offset - this.#offset) / 4;
    return this.#table[word] ?? this.#pending[word - this.#table.length] ?? 0;
  }

  /** @param offset one that holds(); the pending bits are read-only */
  write(offset: number, value: number, size: AccessSize): void {
    const word = (offset - this.#offset) / 4;
    if (size !== 4 || offset % 4 !== 0 || word >= this.#table.length) return;
    this.#table[word] = value & (WORD_MASKS[word % ENTRY_WORDS] ?? 0);
    if (word % ENTRY_WORDS === WORD.control) this.#sendPending(Math.floor(word / ENTRY_WORDS));
  }

  /** @param vector one that does not exist is ignored: the guest may have chosen it */
  notify(vector: number): void {
    if (vector < 0 || vector >= this.#vectors) return;
    const entry = vector * ENTRY_WORDS;
    if (this.#isMasked(vector)) {
      this.#pending[vector >>> 5] = (this.#pending[vector >>> 5] ?? 0) | (1 << (vector & 31));
      return;
    }
    const high = this.#table[entry + WORD.addressHigh] ?? 0;
    const low = this.#table[entry + WORD.addressLow] ?? 0;
    this.#send(high * 2 ** 32 + low, this.#table[entry + WORD.data] ?? 0);
  }

  /** After a write to configuration space: what pends and may go, goes. */
  written(): void {
    if (!this.isEnabled) return;
    for (let word = 0; word < this.#pending.length; word++) {
      if (this.#pending[word] === 0) continue;
      for (let bit = 0; bit < 32; bit++) this.#sendPending(word * 32 + bit);
    }
  }

  reset(): void {
    this.#table = this.#freshTable();
    this.#pending.fill(0);
  }

  saveTable(): number[] {
    return [...this.#table];
  }

  savePending(): number[] {
    return [...this.#pending];
  }

  /** Reads its fields, and gives what makes them its own, so that a state that is refused changes nothing. */
  loader(reader: StateReader): () => void {
    const table = reader.uints('msixTable', 0xffff_ffff, this.#table.length, this.#table.length);
    const pending = reader.uints('msixPending', 0xffff_ffff, this.#pending.length, this.#pending.length);
    return () => {
      this.#table = Uint32Array.from(table, (word, index) => word & (WORD_MASKS[index % ENTRY_WORDS] ?? 0));
      this.#pending = Uint32Array.from(pending);
    };
  }

  get #control(): number {
    return this.#config.get(this.#at + AT.control, 2);
  }

  #sendPending(vector: number): void {
    const bit = 1 << (vector & 31);
    const word = this.#pending[vector >>> 5] ?? 0;
    if ((word & bit) === 0 || this.#isMasked(vector) || !this.isEnabled) return;
    this.#pending[vector >>> 5] = word & ~bit;
    this.notify(vector);
  }

  #isMasked(vector: number): boolean {
    if ((this.#control & CONTROL.functionMask) !== 0) return true;
    return ((this.#table[vector * ENTRY_WORDS + WORD.control] ?? 0) & MASKED) !== 0;
  }

  /** Every vector is masked after a reset (6.8.2.9). */
  #freshTable(): Uint32Array {
    return Uint32Array.from({ length: this.#vectors * ENTRY_WORDS }, (_, word) =>
      word % ENTRY_WORDS === WORD.control ? MASKED : 0,
    );
  }
}
