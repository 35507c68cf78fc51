/**
 * HTIF: the mailbox through which bare-metal programs (riscv-tests, spike's) end and print.
 * Source: riscv-isa-sim, fesvr: a doubleword `tohost` = device[63:56] command[55:48] payload[47:0]; device 0 command 0
 * with payload bit 0 set ends the program with exit code payload >> 1; device 1 command 1 prints a byte, command 0 reads
 * one. Not modelled: system calls by proxy (payload bit 0 clear): they are answered as if done.
 */
import type { CharPort } from '../char/char-port.ts';

const DEVICE = { system: 0, console: 1 } as const;
const COMMAND = { read: 0, write: 1 } as const;
const MAILBOX_BYTES = 8;

/** Looks at the mailbox, after each slice. */
export interface HtifPort {
  poll(): void;
}

/** A vCPU that does not serve the mailbox: it tells the one that does. */
export class HtifWatch implements HtifPort {
  readonly #word: DataView | null;
  readonly #tell: () => void;

  constructor(ram: Uint8Array, ramBase: number, tohost: number, tell: () => void) {
    const offset = tohost - ramBase;
    const isInside = offset >= 0 && offset + MAILBOX_BYTES <= ram.byteLength;
    this.#word = isInside ? new DataView(ram.buffer, ram.byteOffset + offset, MAILBOX_BYTES) : null;
    this.#tell = tell;
  }

  poll(): void {
    if (this.#word !== null && this.#word.getBigUint64(0, true) !== 0n) this.#tell();
  }
}

export class Htif {
  readonly #view: DataView;
  readonly #tohost: number;
  readonly #fromhost: number | null;
  readonly #console: CharPort;
  readonly #written: (offset: number, lengthBytes: number) => void;

  /** @param mailboxes guest-physical addresses; @param written told of what is written to RAM: an offset in it */
  constructor(
    ram: Uint8Array,
    ramBase: number,
    mailboxes: { readonly tohost: number; readonly fromhost: number | null },
    console: CharPort,
    written: (offset: number, lengthBytes: number) => void,
  ) {
    this.#written = written;
    this.#view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    this.#tohost = mailboxes.tohost - ramBase;
    this.#fromhost = mailboxes.fromhost === null ? null : mailboxes.fromhost - ramBase;
    this.#console = console;
  }

  /** Serves what the program has put into the mailbox. @returns its exit code once it has ended, else null */
  poll(): number | null {
    if (!this.#isInside(this.#tohost)) return null;
    const request = this.#view.getBigUint64(this.#tohost, true);
    if (request === 0n) return null;
    const device = Number(request >> 56n);
    const command = Number((request >> 48n) & 0xffn);
    const payload = request & 0xffff_ffff_ffffn;
    if (device === DEVICE.system && (payload & 1n) === 1n) return Number((payload >> 1n) & 0xffff_ffffn);
    if (device === DEVICE.console && command === COMMAND.write) {
      if (!this.#console.write(Number(payload & 0xffn))) return null;
      this.#answer(request & ~0xffff_ffff_ffffn);
    } else if (device === DEVICE.console && command === COMMAND.read) {
      const byte = this.#console.read();
      if (byte < 0) return null;
      this.#answer((request & ~0xffff_ffff_ffffn) | BigInt(byte) | 0x100n);
    }
    this.#put(this.#tohost, 0n);
    return null;
  }

  #answer(value: bigint): void {
    if (this.#fromhost !== null && this.#isInside(this.#fromhost)) this.#put(this.#fromhost, value);
  }

  #put(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, value, true);
    this.#written(offset, MAILBOX_BYTES);
  }

  #isInside(offset: number): boolean {
    return offset >= 0 && offset + MAILBOX_BYTES <= this.#view.byteLength;
  }
}
