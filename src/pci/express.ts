/**
 * The PCI Express capability, version 2 (PCI Express Base 4.0, 7.5.3), as far as a virtual link needs it: 2.5 GT/s, one
 * lane, 128 bytes of payload, up at once.
 *
 * Not modelled: error reporting (the enable bits are kept, nothing sets the status), ASPM, link training.
 */
import type { ConfigSpace } from './config-space.ts';
import { CAPABILITY } from './registers.ts';

/** Offsets within the capability. */
export const EXPRESS = {
  capabilities: 0x02,
  deviceCapabilities: 0x04,
  deviceControl: 0x08,
  deviceStatus: 0x0a,
  linkCapabilities: 0x0c,
  linkControl: 0x10,
  linkStatus: 0x12,
  slotCapabilities: 0x14,
  slotControl: 0x18,
  slotStatus: 0x1a,
  rootControl: 0x1c,
  rootCapabilities: 0x1e,
  rootStatus: 0x20,
  deviceControl2: 0x28,
  linkCapabilities2: 0x2c,
  linkControl2: 0x30,
} as const;

export const DEVICE_CONTROL = { functionReset: 0x8000 } as const;
export const LINK_CONTROL = { disable: 0x10 } as const;
export const LINK_STATUS = { speedAndWidth: 0x11, active: 0x2000 } as const;

/** Slot capabilities (7.5.3.9). */
export const SLOT_CAPABILITIES = {
  attentionButton: 0x01,
  powerController: 0x02,
  attentionIndicator: 0x08,
  powerIndicator: 0x10,
  surprise: 0x20,
  hotPlug: 0x40,
  numberShift: 19,
} as const;

/** Slot control (7.5.3.10). Indicators: 1 on, 2 blinking, 3 off. */
export const SLOT_CONTROL = {
  attentionButton: 0x01,
  presence: 0x08,
  commandCompleted: 0x10,
  interrupt: 0x20,
  attentionIndicatorOff: 0xc0,
  powerIndicator: 0x300,
  powerIndicatorOn: 0x100,
  powerIndicatorOff: 0x300,
  powerOff: 0x400,
  linkState: 0x1000,
} as const;

/** Slot status (7.5.3.11). `events`: the bits that software clears by writing ones. */
export const SLOT_STATUS = {
  attentionButton: 0x01,
  presenceChanged: 0x08,
  commandCompleted: 0x10,
  present: 0x40,
  linkChanged: 0x100,
  events: 0x11f,
} as const;

const LENGTH_BYTES = 0x3c;
const VERSION = 2;
const SLOT_IMPLEMENTED = 0x100;
/** Device/port types (7.5.3.2). */
const TYPE = { endpoint: 0, 'root-port': 4, integrated: 9 } as const;
const ROLE_BASED_ERRORS = 0x8000;
const FUNCTION_RESET_CAPABLE = 0x1000_0000;
/** Error reporting, relaxed ordering, payload, tags, snoop, read request. */
const DEVICE_CONTROL_WRITABLE = 0x7fff;
const DEVICE_STATUS_ERRORS = 0x0f;
const ACTIVE_REPORTING = 0x10_0000;
/** ASPM, read completion boundary, clock configuration, extended synch. */
const LINK_CONTROL_WRITABLE = 0xcb;
const SLOT_CONTROL_WRITABLE =
  SLOT_CONTROL.attentionButton |
  SLOT_CONTROL.presence |
  SLOT_CONTROL.commandCompleted |
  SLOT_CONTROL.interrupt |
  SLOT_CONTROL.attentionIndicatorOff |
  SLOT_CONTROL.powerIndicator |
  SLOT_CONTROL.powerOff |
  SLOT_CONTROL.linkState;
const ROOT_CONTROL_WRITABLE = 0x1f;
const SPEED_2_5_GT = 0x02;

/** Appends the capability of an endpoint. @param isIntegrated on the root bus, where there is no link (1.3.2.3) */
export function addEndpointCapability(config: ConfigSpace, isIntegrated: boolean): void {
  const at = addCommon(config, isIntegrated ? TYPE.integrated : TYPE.endpoint, FUNCTION_RESET_CAPABLE);
  config.allow(at + EXPRESS.deviceControl, DEVICE_CONTROL_WRITABLE | DEVICE_CONTROL.functionReset, 2);
  if (!isIntegrated) addLink(config, at, 0);
}

/** Appends the capability of a root port with a hot-plug slot. @param slot its physical number, 0 to 8191 */
export function addRootPortCapability(config: ConfigSpace, slot: number): void {
  const at = addCommon(config, TYPE['root-port'] | (SLOT_IMPLEMENTED >> 4), 0);
  addLink(config, at, ACTIVE_REPORTING);
  config.allow(at + EXPRESS.linkControl, LINK_CONTROL_WRITABLE | LINK_CONTROL.disable, 2);
  const { attentionButton, powerController, attentionIndicator, powerIndicator, surprise, hotPlug, numberShift } =
    SLOT_CAPABILITIES;
  const capabilities = attentionButton | powerController | attentionIndicator | powerIndicator | surprise | hotPlug;
  config.set(at + EXPRESS.slotCapabilities, capabilities | (slot << numberShift), 4);
  config.allow(at + EXPRESS.slotControl, SLOT_CONTROL_WRITABLE, 2);
  config.allowClear(at + EXPRESS.slotStatus, SLOT_STATUS.events, 2);
  config.allow(at + EXPRESS.rootControl, ROOT_CONTROL_WRITABLE, 2);
}

function addCommon(config: ConfigSpace, type: number, deviceCapabilities: number): number {
  const at = config.addCapability(CAPABILITY.express, LENGTH_BYTES);
  config.set(at + EXPRESS.capabilities, VERSION | (type << 4), 2);
  config.set(at + EXPRESS.deviceCapabilities, ROLE_BASED_ERRORS | deviceCapabilities, 4);
  config.allow(at + EXPRESS.deviceControl, DEVICE_CONTROL_WRITABLE, 2);
  config.allowClear(at + EXPRESS.deviceStatus, DEVICE_STATUS_ERRORS, 2);
  return at;
}

function addLink(config: ConfigSpace, at: number, capabilities: number): void {
  config.set(at + EXPRESS.linkCapabilities, LINK_STATUS.speedAndWidth | capabilities, 4);
  config.allow(at + EXPRESS.linkControl, LINK_CONTROL_WRITABLE, 2);
  config.set(at + EXPRESS.linkStatus, LINK_STATUS.speedAndWidth, 2);
  config.set(at + EXPRESS.linkCapabilities2, SPEED_2_5_GT, 4);
}
