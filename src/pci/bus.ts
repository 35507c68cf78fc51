/**
 * The wires of PCI: buses, and slots that functions are in. They lie between actors of one loop and own nothing of
 * theirs: a slot keeps what its function last said (where its registers answer, the level of its INTx pin) and the
 * register window that the function's actor announced.
 *
 * Once that actor has stopped, or while its bus is down, reads give all ones and writes are dropped, as when nobody
 * answers on a bus (master abort, PCI Local Bus 3.0, 3.3.3.1).
 */
import { ACCESS_OK, type AccessSize, BUS_FAULT, type IrqLine, type RegisterWindow } from '../actor/index.ts';
import type { PciRange } from './bars.ts';
import type { PciForwarding } from './bridge.ts';
import { CONFIG_SPACE_BYTES } from './registers.ts';

/** Bits 7 to 3 device, 2 to 0 function. */
const DEVFN_MAX = 0xff;
const INTX_PINS = 4;

/** What a function's actor is handed of its slot. */
export interface PciSlotPort {
  /** On bus 0, without a link above it. */
  readonly isOnRootBus: boolean;
  /** Function 0 of a device with several. */
  readonly isMultifunction: boolean;
  /** Whether what the function sends (memory accesses, interrupts) goes anywhere. */
  readonly isReachable: boolean;
  /** Where its registers answer from now on, all of them. */
  decode(ranges: readonly PciRange[]): void;
  /** What it forwards from now on, of a bridge. */
  forward(forwarding: PciForwarding): void;
  /** The level of its interrupt pin. @param pin 1 to 4: INTA to INTD */
  intx(pin: number, level: boolean): void;
}

export interface PciPlace {
  /** The function's name on its board, e.g. `edu0`; unique on the machine, as its regions are called after it. */
  readonly name: string;
  /** Device number times 8 plus function number, 0 to 255. Behind a root port there is device 0 alone. */
  readonly devfn: number;
  readonly isMultifunction?: boolean;
  /** Puts the function back to its state after power-on: a `device.reset` to its actor. */
  reset(): void;
  /** The bus behind it, of a bridge. */
  readonly secondary?: PciBus;
}

export class PciBus {
  readonly #slots = new Map<number, PciSlot>();
  readonly #irqs: readonly IrqLine[] | null;
  #bridge: PciSlot | null = null;
  #isUp: boolean;
  #listener: (() => void) | null = null;

  /** @param irqs of the root bus: the four wires to the interrupt controller. A bus behind a bridge has none. */
  constructor(irqs: readonly IrqLine[] | null = null) {
    if (irqs !== null && irqs.length !== INTX_PINS)
      throw new Error(`${irqs.length} interrupt wires, ${INTX_PINS} are needed`);
    this.#irqs = irqs;
    this.#isUp = irqs !== null;
  }

  /** A slot for a function that is to be made. @throws where the place or the name is taken on this bus */
  attach(place: PciPlace): PciSlot {
    const { devfn, name } = place;
    if (!Number.isInteger(devfn) || devfn < 0 || devfn > DEVFN_MAX) throw new Error(`${name}: no device ${devfn}`);
    const other = this.#slots.get(devfn) ?? this.slots.find((one) => one.name === name);
    if (other !== undefined) throw new Error(`${name} cannot be where ${other.name} is`);
    const slot = new PciSlot(this, place);
    this.#slots.set(devfn, slot);
    if (place.secondary !== undefined) place.secondary.#bridge = slot;
    this.changed();
    return slot;
  }

  /** By device and function number. */
  get slots(): PciSlot[] {
    return [...this.#slots.values()].sort((a, b) => a.devfn - b.devfn);
  }

  slot(devfn: number): PciSlot | undefined {
    return this.#slots.get(devfn);
  }

  get isRoot(): boolean {
    return this.#irqs !== null;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Whether one gets from here to the host. */
  get isReachable(): boolean {
    return this.#isUp && (this.isRoot || this.#bridge?.isReachable === true);
  }

  /** The bridge's: while the link is down nothing on the bus can be seen. */
  setUp(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    this.changed();
    this.updateIntx();
  }

  /** The bridge's: every function on the bus and behind it is as after power-on. */
  reset(): void {
    for (const slot of this.slots) slot.reset();
  }

  /** Of the root bus, the host's: called when something answers elsewhere than before. The last one given is called. */
  watch(listener: () => void): void {
    this.#listener = listener;
  }

  changed(): void {
    if (this.isRoot) this.#listener?.();
    else this.#bridge?.bus.changed();
  }

  detach(slot: PciSlot): void {
    if (this.#slots.get(slot.devfn) !== slot) return;
    this.#slots.delete(slot.devfn);
    this.changed();
    this.updateIntx();
  }

  /** Sets the host's wires: each is what all the pins that lead to it say together. */
  updateIntx(): void {
    if (this.#irqs === null) return this.#bridge?.bus.updateIntx();
    const asserted = this.assertedPins();
    this.#irqs.forEach((irq, pin) => {
      irq.set(((asserted >>> pin) & 1) !== 0);
    });
  }

  /** Bit n: pin n of the bus's bridge or host (PCI-to-PCI Bridge 1.2, 9.1: pins rotate with the device number). */
  assertedPins(): number {
    if (!this.#isUp) return 0;
    let pins = 0;
    for (const slot of this.#slots.values()) {
      for (let pin = 0; pin < INTX_PINS; pin++) {
        if (((slot.assertedPins() >>> pin) & 1) !== 0) pins |= 1 << ((pin + (slot.devfn >>> 3)) % INTX_PINS);
      }
    }
    return pins;
  }
}

/** The place of one function. Its actor announces its registers to it: it is a RegisterRegistry. */
export class PciSlot implements PciSlotPort {
  readonly name: string;
  readonly devfn: number;
  readonly bus: PciBus;
  readonly secondary: PciBus | null;
  readonly isMultifunction: boolean;
  readonly #reset: () => void;
  #window: RegisterWindow | null = null;
  #ranges: readonly PciRange[] = [];
  #forwarding: PciForwarding = { secondary: 0, subordinate: 0, intervals: [] };
  #pins = 0;
  #isAttached = true;

  /** Made by PciBus.attach(). */
  constructor(bus: PciBus, place: PciPlace) {
    this.bus = bus;
    this.name = place.name;
    this.devfn = place.devfn;
    this.secondary = place.secondary ?? null;
    this.isMultifunction = place.isMultifunction ?? false;
    this.#reset = () => place.reset();
  }

  get isOnRootBus(): boolean {
    return this.bus.isRoot;
  }

  get isReachable(): boolean {
    return this.#isAttached && this.bus.isReachable;
  }

  get ranges(): readonly PciRange[] {
    return this.#ranges;
  }

  get forwarding(): PciForwarding {
    return this.#forwarding;
  }

  /** From the function's actor when it has started. */
  realize(_deviceId: string, window: RegisterWindow): void {
    this.#window = window;
  }

  decode(ranges: readonly PciRange[]): void {
    this.#ranges = ranges;
    if (this.#isAttached) this.bus.changed();
  }

  forward(forwarding: PciForwarding): void {
    this.#forwarding = forwarding;
    if (this.#isAttached) this.bus.changed();
  }

  intx(pin: number, level: boolean): void {
    const pins = level ? 1 << (pin - 1) : 0;
    if (pins === this.#pins) return;
    this.#pins = pins;
    if (this.#isAttached) this.bus.updateIntx();
  }

  assertedPins(): number {
    return this.#pins | (this.secondary?.assertedPins() ?? 0);
  }

  /** As a request to the function's actor; and to those behind it. */
  reset(): void {
    this.secondary?.reset();
    this.#reset();
  }

  /** For ever: the function is taken out. Nothing that it still says has an effect. */
  detach(): void {
    this.#isAttached = false;
    this.bus.detach(this);
  }

  /** @param register below CONFIG_SPACE_BYTES, a multiple of size */
  readConfig(register: number, size: AccessSize): number {
    return this.#isAnswering(register, size)
      ? orOnes(this.#window?.read(register, size) ?? BUS_FAULT, size)
      : ones(size);
  }

  writeConfig(register: number, value: number, size: AccessSize): void {
    if (this.#isAnswering(register, size)) this.#window?.write(register, value, size);
  }

  /** A piece of the function's registers as the bus sees them; it never faults. */
  window(offset: number, lengthBytes: number): RegisterWindow {
    const isInside = (at: number, size: number) => at >= 0 && at + size <= lengthBytes;
    return {
      lengthBytes,
      read: (at, size) => {
        const window = this.#window;
        if (window === null || !isInside(at, size)) return ones(size);
        return orOnes(window.read(offset + at, size), size);
      },
      write: (at, value, size) => {
        if (isInside(at, size)) this.#window?.write(offset + at, value, size);
        return ACCESS_OK;
      },
      readAsync(at, size, done) {
        done(this.read(at, size));
        return true;
      },
    };
  }

  #isAnswering(register: number, size: AccessSize): boolean {
    return this.#isAttached && register + size <= CONFIG_SPACE_BYTES;
  }
}

/** A value of all ones. */
export function ones(size: AccessSize): number {
  return size === 4 ? 0xffff_ffff : 2 ** (8 * size) - 1;
}

function orOnes(result: number, size: AccessSize): number {
  return result < 0 ? ones(size) : result;
}
