/**
 * A PCI Express root port with one hot-plug slot: QEMU's pcie-root-port.
 * Source: PCI Express Base 4.0, 6.7 (hot-plug) and 7.5.3; PCI-to-PCI Bridge Architecture 1.2; what Linux's pciehp does.
 *
 * The slot has an attention button, a power controller, two indicators, and reports presence and the link's state. To
 * plug a function is to put it in and press the button; to ask for its removal is to press it. The function is let go
 * when the guest has then switched the slot's power off, or at once when it is pulled out. Commands complete at once, and
 * so does link training; a function whose slot is without power keeps nothing.
 *
 * Not modelled: power faults, a latch, an interlock, errors (AER), power management events, extended capabilities. A
 * secondary bus reset resets what is behind the port and leaves the link up.
 */
import { StateError, StateReader } from '../../src/bus/device-state.ts';
import {
  addRootPortCapability,
  BRIDGE,
  BRIDGE_CONTROL,
  CAPABILITY,
  type ConfigSpace,
  definePciFunction,
  EXPRESS,
  LINK_CONTROL,
  LINK_STATUS,
  type PciBus,
  type PciCorePorts,
  type PciFunctionCore,
  SLOT_CONTROL,
  SLOT_STATUS,
  touches,
} from '../../src/pci/index.ts';

export interface PcieRootPortPorts {
  /** The bus behind the port; device 0 of it is the slot's. */
  readonly secondary: PciBus;
  /** What happened to a function; the board detaches and removes one that is released. */
  slotEvent(event: PcieSlotEvent): void;
}

export type PcieSlotEvent =
  | { readonly type: 'pci.released'; readonly function: string }
  /** There is one in the slot already, or none to take out. */
  | { readonly type: 'pci.refused'; readonly function: string };

export interface PcieRootPortConfig {
  /** The slot's physical number, unique on the machine, 0 to 8191. */
  readonly slot: number;
  /** The function that is in the slot when the machine is made. */
  readonly occupant?: string;
}

/** Messages. `function` is the name of one that is attached to the secondary bus. */
export type PcieRootPortEvent =
  | { readonly type: 'pci.plug'; readonly function: string }
  /** Asks the guest, or, as a surprise, takes the function out at once. */
  | { readonly type: 'pci.unplug-request'; readonly isSurprise?: boolean };

export interface PcieRootPortState {
  /** The name of what is in the slot, or null. */
  occupant: string | null;
  isUnplugRequested: boolean;
}

export const pcieRootPort = definePciFunction<
  PcieRootPortPorts,
  PcieRootPortConfig,
  PcieRootPortState,
  PcieRootPortEvent
>({
  name: 'pcie-root-port',
  version: 1,
  vendorId: 0x1b36,
  deviceId: 0x000c,
  classCode: 0x06_0400,
  header: 'bridge',
  interruptPin: 1,
  msiVectors: 1,
  addCapabilities: (space, { slot }) => addRootPortCapability(space, slot),
  create: (ports, config) => new RootPortCore(ports, config),
});

/** Each event's bit in slot status, and the bit of slot control that lets it interrupt. */
const EVENTS = [
  [SLOT_STATUS.attentionButton, SLOT_CONTROL.attentionButton],
  [SLOT_STATUS.presenceChanged, SLOT_CONTROL.presence],
  [SLOT_STATUS.commandCompleted, SLOT_CONTROL.commandCompleted],
  [SLOT_STATUS.linkChanged, SLOT_CONTROL.linkState],
] as const;

class RootPortCore implements PciFunctionCore<PcieRootPortState, PcieRootPortEvent> {
  readonly #ports: PcieRootPortPorts & PciCorePorts;
  readonly #config: ConfigSpace;
  /** Offset of the PCI Express capability. */
  readonly #at: number;
  #state: PcieRootPortState;
  /** Of the last write: a command is a change. */
  #isPowered = false;
  #isInReset = false;
  #isInterrupting = false;

  constructor(ports: PcieRootPortPorts & PciCorePorts, config: PcieRootPortConfig) {
    this.#ports = ports;
    this.#config = ports.config;
    this.#at = ports.config.capability(CAPABILITY.express);
    this.#state = { occupant: config.occupant ?? null, isUnplugRequested: false };
    this.reset();
  }

  configWritten(offset: number, size: 1 | 2 | 4): void {
    const isCommand = touches(offset, size, this.#at + EXPRESS.slotControl, 2);
    if (isCommand) this.#command();
    const isInReset = (this.#config.get(BRIDGE.bridgeControl, 2) & BRIDGE_CONTROL.secondaryReset) !== 0;
    if (isInReset && !this.#isInReset) this.#ports.secondary.reset();
    this.#isInReset = isInReset;
    this.#updateLink();
    // "Completed" comes last: what the command did can be seen by then (6.7.3.2).
    if (isCommand) this.#setStatus({ set: SLOT_STATUS.commandCompleted });
    this.#interrupt();
  }

  handle(event: PcieRootPortEvent): void {
    if (event.type === 'pci.plug') this.#plug(event.function);
    else this.#unplug(event.isSurprise ?? false);
    this.#interrupt();
  }

  /** What is in the slot is not the port's to forget. A slot that is empty at reset is without power. */
  reset(): void {
    const isOccupied = this.#state.occupant !== null;
    const { attentionIndicatorOff, powerIndicatorOn, powerIndicatorOff, powerOff } = SLOT_CONTROL;
    const control = attentionIndicatorOff | (isOccupied ? powerIndicatorOn : powerIndicatorOff | powerOff);
    this.#state.isUnplugRequested = false;
    this.#config.set(this.#at + EXPRESS.slotControl, control, 2);
    this.#setStatus({ clear: 0xffff, set: isOccupied ? SLOT_STATUS.present : 0 });
    this.#isPowered = isOccupied;
    this.#isInReset = false;
    this.#updateLink();
    this.#setStatus({ clear: SLOT_STATUS.linkChanged });
    this.#interrupt();
  }

  view(): object {
    const status = this.#config.get(this.#at + EXPRESS.slotStatus, 2);
    const control = this.#config.get(this.#at + EXPRESS.slotControl, 2);
    return { ...this.#state, slotStatus: status, slotControl: control, isLinkUp: this.#isLinkUp };
  }

  save(): PcieRootPortState {
    return { ...this.#state };
  }

  load(state: PcieRootPortState): void {
    const { occupant, ...rest } = (state ?? {}) as PcieRootPortState;
    const reader = new StateReader('pcie-root-port', rest);
    const isUnplugRequested = reader.flag('isUnplugRequested');
    reader.finish();
    if (occupant !== null && typeof occupant !== 'string') throw new StateError('pcie-root-port.occupant', 'a name');
    this.#state = { occupant, isUnplugRequested };
    this.#isPowered = this.#isPowerOn;
    this.#isInReset = (this.#config.get(BRIDGE.bridgeControl, 2) & BRIDGE_CONTROL.secondaryReset) !== 0;
    this.#ports.secondary.setUp(this.#isLinkUp);
    this.#interrupt();
  }

  #plug(name: string): void {
    if (this.#state.occupant !== null) return this.#ports.slotEvent({ type: 'pci.refused', function: name });
    this.#state.occupant = name;
    // Linux, where there is a button, asks for no interrupt when presence changes.
    const { present, presenceChanged, attentionButton } = SLOT_STATUS;
    this.#setStatus({ set: present | presenceChanged | attentionButton });
    this.#updateLink();
  }

  /** Pressing again what the guest has not looked at yet changes nothing. */
  #unplug(isSurprise: boolean): void {
    if (this.#state.occupant === null) return this.#ports.slotEvent({ type: 'pci.refused', function: '' });
    if (isSurprise || !this.#isPowerOn) return this.#release();
    this.#state.isUnplugRequested = true;
    this.#setStatus({ set: SLOT_STATUS.attentionButton });
  }

  /** Slot control has been written, with the same value or another (6.7.3.2). */
  #command(): void {
    const isPowered = this.#isPowerOn;
    const isSwitchedOff = this.#isPowered && !isPowered;
    this.#isPowered = isPowered;
    if (!isSwitchedOff) return;
    this.#ports.secondary.reset();
    if (this.#state.isUnplugRequested) this.#release();
  }

  #release(): void {
    const name = this.#state.occupant;
    this.#state = { occupant: null, isUnplugRequested: false };
    this.#setStatus({ clear: SLOT_STATUS.present, set: SLOT_STATUS.presenceChanged });
    this.#updateLink();
    if (name !== null) this.#ports.slotEvent({ type: 'pci.released', function: name });
  }

  /** The link is up when both ends have power, unless the guest has disabled it. */
  #updateLink(): void {
    const isDisabled = (this.#config.get(this.#at + EXPRESS.linkControl, 2) & LINK_CONTROL.disable) !== 0;
    const isUp = this.#state.occupant !== null && this.#isPowerOn && !isDisabled;
    if (isUp !== this.#isLinkUp) {
      const bit = LINK_STATUS.active;
      this.#config.change(this.#at + EXPRESS.linkStatus, isUp ? { set: bit } : { clear: bit });
      this.#setStatus({ set: SLOT_STATUS.linkChanged });
    }
    this.#ports.secondary.setUp(isUp);
  }

  /** Level on the pin; a message when the first of the events that may interrupt comes (6.7.3.4). */
  #interrupt(): void {
    const status = this.#config.get(this.#at + EXPRESS.slotStatus, 2);
    const control = this.#config.get(this.#at + EXPRESS.slotControl, 2);
    const isAllowed = (control & SLOT_CONTROL.interrupt) !== 0;
    const isInterrupting =
      isAllowed && EVENTS.some(([event, enable]) => (status & event) !== 0 && (control & enable) !== 0);
    const isNew = isInterrupting && !this.#isInterrupting;
    this.#isInterrupting = isInterrupting;
    this.#ports.interrupts.setLevel(isInterrupting);
    if (isNew) this.#ports.interrupts.notify(0);
  }

  #setStatus(bits: { readonly set?: number; readonly clear?: number }): void {
    this.#config.change(this.#at + EXPRESS.slotStatus, bits);
  }

  get #isPowerOn(): boolean {
    return (this.#config.get(this.#at + EXPRESS.slotControl, 2) & SLOT_CONTROL.powerOff) === 0;
  }

  get #isLinkUp(): boolean {
    return (this.#config.get(this.#at + EXPRESS.linkStatus, 2) & LINK_STATUS.active) !== 0;
  }
}
