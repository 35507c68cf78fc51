/**
 * Configuration space of one function: bytes, and for each bit whether the guest may write it, or clears it by writing
 * one (PCI Local Bus 3.0, 6.1 and 6.2.3). Whatever a write means beyond that is up to whoever owns the space.
 *
 * Not modelled: extended capabilities. Offsets 0x100 to 0xfff read as zero, which says that there are none (PCI Express
 * 4.0, 7.6.1).
 */
import type { AccessSize } from '../actor/index.ts';
import { StateError } from '../bus/device-state.ts';
import { CONFIG, STATUS } from './registers.ts';

const SPACE_BYTES = 0x100;
/** Capabilities begin behind the header. */
const HEADER_BYTES = 0x40;

export class ConfigSpace {
  readonly #bytes = new Uint8Array(SPACE_BYTES);
  readonly #writable = new Uint8Array(SPACE_BYTES);
  readonly #clearable = new Uint8Array(SPACE_BYTES);
  #afterReset = new Uint8Array(SPACE_BYTES);
  readonly #capabilities = new Map<number, number>();
  #end = HEADER_BYTES;
  /** The byte that shall point to the next capability. */
  #link: number = CONFIG.capabilities;

  /** An unsigned value; bytes behind the space are zero. Takes any offset. */
  get(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 0x100 + (this.#bytes[offset + i] ?? 0);
    return value;
  }

  /** The owner's own write: no mask applies. */
  set(offset: number, value: number, size: AccessSize): void {
    for (let i = 0; i < size; i++) this.#bytes[offset + i] = value >>> (8 * i);
  }

  /** Sets and clears bits of a 16-bit register. */
  change(offset: number, bits: { readonly set?: number; readonly clear?: number }): void {
    this.set(offset, (this.get(offset, 2) & ~(bits.clear ?? 0)) | (bits.set ?? 0), 2);
  }

  /** The guest's write, at any offset: only what it may write changes. */
  write(offset: number, value: number, size: AccessSize): void {
    for (let i = 0; i < size; i++) {
      const at = offset + i;
      const byte = (value >>> (8 * i)) & 0xff;
      const writable = this.#writable[at] ?? 0;
      const old = this.#bytes[at] ?? 0;
      this.#bytes[at] = ((old & ~writable) | (byte & writable)) & ~(byte & (this.#clearable[at] ?? 0));
    }
  }

  /** The bits that the guest may write. */
  allow(offset: number, mask: number, size: AccessSize): void {
    for (let i = 0; i < size; i++) this.#writable[offset + i] = mask >>> (8 * i);
  }

  /** The bits that the guest clears by writing ones. */
  allowClear(offset: number, mask: number, size: AccessSize): void {
    for (let i = 0; i < size; i++) this.#clearable[offset + i] = mask >>> (8 * i);
  }

  /**
   * Appends a capability to the list (PCI Local Bus 3.0, 6.7). @param lengthBytes with the two bytes of the list
   * @returns its offset; throws where there is no room
   */
  addCapability(id: number, lengthBytes: number): number {
    const offset = this.#end;
    if (offset + lengthBytes > SPACE_BYTES) throw new Error(`no room for capability ${id} of ${lengthBytes} bytes`);
    this.#end = (offset + lengthBytes + 3) & ~3;
    this.set(this.#link, offset, 1);
    this.set(offset, id, 1);
    this.#link = offset + 1;
    if (!this.#capabilities.has(id)) this.#capabilities.set(id, offset);
    this.change(CONFIG.status, { set: STATUS.capabilities });
    return offset;
  }

  /** Offset of the first capability of that identifier; throws where there is none. */
  capability(id: number): number {
    const offset = this.#capabilities.get(id);
    if (offset === undefined) throw new Error(`no capability ${id}`);
    return offset;
  }

  /** What it holds now is what it holds after a reset. */
  seal(): void {
    this.#afterReset = this.#bytes.slice();
  }

  reset(): void {
    this.#bytes.set(this.#afterReset);
  }

  /** 32-bit words. */
  save(): number[] {
    return Array.from({ length: SPACE_BYTES / 4 }, (_, word) => this.get(word * 4, 4));
  }

  /** @param words unsigned, as many as save() gives; @throws StateError for those of another function */
  load(words: readonly number[]): void {
    if (words.length !== SPACE_BYTES / 4 || words[0] !== this.get(CONFIG.vendorId, 4)) {
      throw new StateError('config', `configuration space of this function`);
    }
    words.forEach((word, index) => {
      this.set(index * 4, word, 4);
    });
  }
}

/** Whether an access touches a register. */
export function touches(offset: number, size: number, register: number, lengthBytes: number): boolean {
  return offset < register + lengthBytes && register < offset + size;
}
