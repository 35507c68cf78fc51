/** PCI: what functions, bridges, boards and the library import. */
export type { BarShape } from './bars.ts';
export { ones, PciBus, type PciPlace, PciSlot, type PciSlotPort } from './bus.ts';
export { ConfigSpace, touches } from './config-space.ts';
export {
  addRootPortCapability,
  EXPRESS,
  LINK_CONTROL,
  LINK_STATUS,
  SLOT_CONTROL,
  SLOT_STATUS,
} from './express.ts';
export {
  definePciFunction,
  type PciCorePorts,
  type PciFunctionCore,
  type PciFunctionDefinition,
  type PciFunctionPorts,
  type PciFunctionState,
  type PciInterrupts,
  type PciShape,
} from './function.ts';
export { type MsixShape, msixBytes } from './msix.ts';
export { BRIDGE, BRIDGE_CONTROL, bridgeRegisters, CAPABILITY, COMMAND, CONFIG, configRegisters } from './registers.ts';
export { findFunction, isSameRoute, type PciHostWindow, type PciRoute, routes } from './routing.ts';
