/**
 * Offsets and bits of configuration space, as the specifications name them.
 * Source: PCI Local Bus 3.0, 6.1 to 6.8; PCI-to-PCI Bridge Architecture 1.2, 3.2; PCI Bus Power Management 1.2, 3.2.
 * The PCI Express capability's are in express.ts.
 */

/** Registers of both header types, and of type 0 (PCI Local Bus 3.0, 6.1). */
export const CONFIG = {
  vendorId: 0x00,
  deviceId: 0x02,
  command: 0x04,
  status: 0x06,
  revisionId: 0x08,
  classCode: 0x09,
  cacheLineSize: 0x0c,
  latencyTimer: 0x0d,
  headerType: 0x0e,
  bar0: 0x10,
  subsystemVendorId: 0x2c,
  subsystemId: 0x2e,
  capabilities: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
} as const;

/** Registers of type 1 alone (PCI-to-PCI Bridge 1.2, 3.2). */
export const BRIDGE = {
  primaryBus: 0x18,
  secondaryBus: 0x19,
  subordinateBus: 0x1a,
  ioBase: 0x1c,
  ioLimit: 0x1d,
  secondaryStatus: 0x1e,
  memoryBase: 0x20,
  memoryLimit: 0x22,
  prefetchBase: 0x24,
  prefetchLimit: 0x26,
  prefetchBaseUpper: 0x28,
  prefetchLimitUpper: 0x2c,
  ioBaseUpper: 0x30,
  ioLimitUpper: 0x32,
  bridgeControl: 0x3e,
} as const;

export const HEADER = { endpoint: 0, bridge: 1, multifunction: 0x80 } as const;

export const COMMAND = { io: 1, memory: 2, busMaster: 4, parity: 0x40, serr: 0x100, intxDisable: 0x400 } as const;

/** `errors`: the bits that software clears by writing ones. */
export const STATUS = { interrupt: 0x08, capabilities: 0x10, errors: 0xf900 } as const;

export const BRIDGE_CONTROL = { parity: 1, serr: 2, isa: 4, vga: 8, vga16: 0x10, secondaryReset: 0x40 } as const;

/** Capability identifiers (PCI Code and ID Assignment 1.11, 2). */
export const CAPABILITY = { powerManagement: 0x01, msi: 0x05, vendor: 0x09, express: 0x10, msix: 0x11 } as const;

/** Bytes of configuration space that a function has in the enhanced mechanism (PCI Express 4.0, 7.2.2). */
export const CONFIG_SPACE_BYTES = 0x1000;
