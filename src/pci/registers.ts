/**
 * Offsets and bits of configuration space, as the specifications name them.
 * Source: PCI Local Bus 3.0, 6.1 to 6.8; PCI-to-PCI Bridge Architecture 1.2, 3.2; PCI Bus Power Management 1.2, 3.2.
 * The PCI Express capability's are in express.ts.
 */

import { registerTable } from '../bus/register-table.ts';

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

/** The header of type 0, for documents and tests. */
export const configRegisters = registerTable({
  ID: { offset: CONFIG.vendorId, widthBytes: 4, access: 'ro', doc: 'vendor [15:0], device [31:16]' },
  COMMAND: { offset: CONFIG.command, widthBytes: 2, access: 'rw', doc: 'I/O, memory, bus master, INTx disable' },
  STATUS: { offset: CONFIG.status, widthBytes: 2, access: 'w1c', doc: 'interrupt, capabilities, errors' },
  CLASS: { offset: CONFIG.revisionId, widthBytes: 4, access: 'ro', doc: 'revision [7:0], class code [31:8]' },
  HEADER: { offset: CONFIG.cacheLineSize, widthBytes: 4, access: 'rw', doc: 'cache line size, latency, header type' },
  BAR: { offset: CONFIG.bar0, widthBytes: 4, access: 'rw', count: 6, doc: 'base address registers' },
  SUBSYSTEM: { offset: CONFIG.subsystemVendorId, widthBytes: 4, access: 'ro', doc: 'subsystem vendor and identifier' },
  CAPABILITIES: { offset: CONFIG.capabilities, widthBytes: 1, access: 'ro', doc: 'offset of the first capability' },
  INTERRUPT: { offset: CONFIG.interruptLine, widthBytes: 4, access: 'rw', doc: 'line [7:0], pin [15:8]' },
  CAPABILITY: { offset: 0x40, widthBytes: 4, access: 'rw', count: 48, doc: 'capabilities' },
});

/** The header of type 1. */
export const bridgeRegisters = registerTable({
  ID: configRegisters.ID,
  COMMAND: configRegisters.COMMAND,
  STATUS: configRegisters.STATUS,
  CLASS: configRegisters.CLASS,
  HEADER: configRegisters.HEADER,
  BAR: { offset: CONFIG.bar0, widthBytes: 4, access: 'ro', count: 2, doc: 'base address registers: none' },
  BUSES: { offset: BRIDGE.primaryBus, widthBytes: 4, access: 'rw', doc: 'primary, secondary, subordinate bus' },
  IO: { offset: BRIDGE.ioBase, widthBytes: 2, access: 'rw', doc: 'I/O window [15:12]: base, limit' },
  SECONDARY_STATUS: { offset: BRIDGE.secondaryStatus, widthBytes: 2, access: 'w1c', doc: 'errors behind the bridge' },
  MEMORY: { offset: BRIDGE.memoryBase, widthBytes: 4, access: 'rw', doc: 'memory window [31:20]: base, limit' },
  PREFETCH: { offset: BRIDGE.prefetchBase, widthBytes: 4, access: 'rw', doc: 'prefetchable window [31:20]' },
  PREFETCH_UPPER: {
    offset: BRIDGE.prefetchBaseUpper,
    widthBytes: 4,
    access: 'rw',
    doc: 'prefetchable base [63:32]',
  },
  IO_UPPER: { offset: BRIDGE.ioBaseUpper, widthBytes: 4, access: 'rw', doc: 'I/O window [31:16]: base, limit' },
  LIMIT_UPPER: { offset: BRIDGE.prefetchLimitUpper, widthBytes: 4, access: 'rw', doc: 'prefetchable limit [63:32]' },
  CAPABILITIES: configRegisters.CAPABILITIES,
  CAPABILITY: configRegisters.CAPABILITY,
  CONTROL: { offset: BRIDGE.bridgeControl, widthBytes: 2, access: 'rw', doc: 'bit 6: secondary bus reset' },
});
