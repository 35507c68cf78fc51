/**
 * What a device is made of. A core owns the device's state; only the actor's logic holds a reference to it.
 */
import type { LoopPort } from '../loop/port.ts';

/** Widths of a register access in bytes. The bus splits an 8-byte access into two of 4, low half first. */
export type AccessSize = 1 | 2 | 4;

/** The plain object that owns a device's registers. Every method runs to completion on the owning thread. */
export interface DeviceCore<S = unknown, E = never> {
  /** @param offset bytes from the region's start, below the definition's lengthBytes; @returns an unsigned value */
  mmioRead?(offset: number, size: AccessSize): number;
  mmioWrite?(offset: number, value: number, size: AccessSize): void;
  /** Asked behind mmioRead: whether the answer stands (standing-answer.ts). @returns standing(), or 0 */
  standing?(offset: number, size: AccessSize): number;
  /** Instead of mmioRead, where the answer may come later. @param done takes an unsigned value, once; later ones are ignored */
  mmioReadLater?(offset: number, size: AccessSize, done: (value: number) => void): void;
  /** Instead of mmioWrite, where a write is not posted: the guest goes on when `done` is called. */
  mmioWriteLater?(offset: number, value: number, size: AccessSize, done: () => void): void;
  /**
   * A wire that leads here has this level, perhaps the one that it had. It comes like a register access, not as a message.
   * @param input which, as the device numbers them
   */
  input?(input: number, level: boolean): void;
  /** One message. */
  handle?(event: E): void;
  /** Back to the state after power-on. */
  reset(): void;
  /** What the inspector shows; built only when asked. */
  view(): object;
  /** Plain, named data that structured clone can carry. */
  save(): S;
  /** Takes what save() of the same version gave; throws on anything else. */
  load(state: S): void;
}

/** An interrupt wire as its device sees it. Setting the level it already has costs nothing and does nothing. */
export interface IrqLine {
  set(level: boolean): void;
}

/** A device as a value: how to make its core, given the ports it is handed and its configuration. */
export interface DeviceDefinition<P extends object = object, C = unknown, S = unknown, E = never> {
  /** The name QEMU users know, lower case, e.g. `uart16550`. */
  readonly name: string;
  /** Version of what save() writes. */
  readonly version: number;
  /** Length of the register window in bytes; 0 for a device without registers. */
  readonly lengthBytes: number;
  create(ports: P & { readonly loop: LoopPort }, config: C): DeviceCore<S, E>;
}

/** Checks and brands a device definition; the identity function, there for its types. */
export function defineDevice<P extends object, C, S, E = never>(
  definition: DeviceDefinition<P, C, S, E>,
): DeviceDefinition<P, C, S, E> {
  return definition;
}
