/**
 * A device's registers as the bus sees them. The device may live on this thread or on another one: the caller takes the
 * same steps for both, and only where `MUST_WAIT` is answered does it have to come back.
 *
 * A window is handed out by the actor's logic alone; once the actor has stopped it answers with a bus fault.
 */
import type { AccessSize } from './device-core.ts';

/** Results of an access that are not a value: a value is never negative. */
export const ACCESS_OK = 0;
export const BUS_FAULT = -1;
/** Not answered yet: use readAsync(); for a write, try again when the link has room. */
export const MUST_WAIT = -2;
/** Of a write: it is not posted, its device says when it has taken effect. Use writeAsync(). */
export const MUST_ASK = -3;

/** @param result the unsigned value read, or BUS_FAULT */
export type ReadDone = (result: number) => void;

/** @param result ACCESS_OK or BUS_FAULT */
export type WriteDone = (result: number) => void;

export interface RegisterWindow {
  readonly lengthBytes: number;
  /** @param offset bytes from the window's start; @returns the unsigned value, BUS_FAULT or MUST_WAIT */
  read(offset: number, size: AccessSize): number;
  /** Behind a read() that gave a value: what the device says of it (standing-answer.ts). @returns standing(), or 0 */
  standing?(offset: number, size: AccessSize): number;
  /** A posted write: it may fault later than it is accepted. @returns ACCESS_OK, BUS_FAULT, MUST_WAIT or MUST_ASK */
  write(offset: number, value: number, size: AccessSize): number;
  /**
   * A read that is answered later, or at once where the device is on this thread.
   * @returns false when it could not even be asked, for want of credits or room; `done` is not called then
   */
  readAsync(offset: number, size: AccessSize, done: ReadDone): boolean;
  /**
   * A write that is answered when it has taken effect. A window whose write() may answer MUST_ASK has it, no other does.
   * @returns as readAsync()
   */
  writeAsync?(offset: number, value: number, size: AccessSize, done: WriteDone): boolean;
}

/** The wires that lead to a device, for what drives them on the same thread. Nothing happens once the actor has stopped. */
export interface DeviceInputs {
  /** @param input as the device numbers them: one that it does not have is ignored; @param level perhaps the one it had */
  set(input: number, level: boolean): void;
}

/** The board's side: what realized devices announce their registers to. */
export interface RegisterRegistry {
  /** @param deviceId the device's name on its board, e.g. `serial0` */
  realize(deviceId: string, window: RegisterWindow, inputs: DeviceInputs): void;
}

/** A registry that keeps windows and inputs by name until the board maps and wires them. */
export class RegisterWindows implements RegisterRegistry {
  readonly #windows = new Map<string, RegisterWindow>();
  readonly #inputs = new Map<string, DeviceInputs>();

  realize(deviceId: string, window: RegisterWindow, inputs: DeviceInputs): void {
    this.#windows.set(deviceId, window);
    this.#inputs.set(deviceId, inputs);
  }

  /** @throws Error for a device that is not realized */
  inputs(deviceId: string): DeviceInputs {
    const inputs = this.#inputs.get(deviceId);
    if (inputs === undefined) throw new Error(`device ${deviceId} has announced no inputs`);
    return inputs;
  }

  get(deviceId: string): RegisterWindow | undefined {
    return this.#windows.get(deviceId);
  }
}
