/**
 * The MSI capability (PCI Local Bus 3.0, 6.8.1): 64-bit addresses, per-vector masking. All of its state is in
 * configuration space. A vector that is masked pends; unmasking sends it.
 */
import type { ConfigSpace } from './config-space.ts';
import { CAPABILITY } from './registers.ts';

/** Sends one message. */
export type SendMessage = (address: number, data: number) => void;

const LENGTH_BYTES = 0x18;
const AT = { control: 0x02, addressLow: 0x04, addressHigh: 0x08, data: 0x0c, mask: 0x10, pending: 0x14 } as const;
const CONTROL = {
  enable: 1,
  capableShift: 1,
  enabledShift: 4,
  enabledMask: 0x70,
  wide: 0x80,
  maskable: 0x100,
} as const;
const VECTORS_MAX = 32;

export class Msi {
  readonly #config: ConfigSpace;
  readonly #at: number;
  readonly #vectors: number;
  readonly #send: SendMessage;

  /** Appends the capability. @param vectors 1 to 32, a power of two */
  constructor(config: ConfigSpace, vectors: number, send: SendMessage) {
    const log2 = Math.log2(vectors);
    if (!Number.isInteger(log2) || vectors < 1 || vectors > VECTORS_MAX) throw new Error(`MSI: ${vectors} vectors`);
    const at = config.addCapability(CAPABILITY.msi, LENGTH_BYTES);
    config.set(at + AT.control, CONTROL.wide | CONTROL.maskable | (log2 << CONTROL.capableShift), 2);
    config.allow(at + AT.control, CONTROL.enable | CONTROL.enabledMask, 2);
    config.allow(at + AT.addressLow, ~3, 4);
    config.allow(at + AT.addressHigh, ~0, 4);
    config.allow(at + AT.data, 0xffff, 2);
    config.allow(at + AT.mask, vectors === VECTORS_MAX ? ~0 : (1 << vectors) - 1, 4);
    this.#config = config;
    this.#at = at;
    this.#vectors = vectors;
    this.#send = send;
  }

  get isEnabled(): boolean {
    return (this.#control & CONTROL.enable) !== 0;
  }

  /** @param vector taken modulo the number that software has allowed */
  notify(vector: number): void {
    const number = vector & (this.#allowed - 1);
    const bit = 1 << number;
    const pending = this.#config.get(this.#at + AT.pending, 4);
    if ((this.#config.get(this.#at + AT.mask, 4) & bit) !== 0) {
      this.#config.set(this.#at + AT.pending, pending | bit, 4);
      return;
    }
    const address =
      this.#config.get(this.#at + AT.addressHigh, 4) * 2 ** 32 + this.#config.get(this.#at + AT.addressLow, 4);
    // Software gave an aligned block of data values: the low bits are the vector's (6.8.1.6).
    const data = (this.#config.get(this.#at + AT.data, 2) & ~(this.#allowed - 1)) | number;
    this.#send(address, data);
  }

  /** After a write to configuration space: what pends and may go, goes. */
  written(): void {
    if (!this.isEnabled) return;
    const mask = this.#config.get(this.#at + AT.mask, 4);
    const pending = this.#config.get(this.#at + AT.pending, 4);
    const ready = pending & ~mask;
    if (ready === 0) return;
    this.#config.set(this.#at + AT.pending, pending & mask, 4);
    for (let vector = 0; vector < this.#vectors; vector++) if (((ready >>> vector) & 1) !== 0) this.notify(vector);
  }

  get #control(): number {
    return this.#config.get(this.#at + AT.control, 2);
  }

  /** How many vectors software has allowed: at most as many as there are. */
  get #allowed(): number {
    return Math.min(1 << ((this.#control & CONTROL.enabledMask) >>> CONTROL.enabledShift), this.#vectors);
  }
}
