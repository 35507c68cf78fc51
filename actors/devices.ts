/**
 * The devices there are, and what a further one is made of: the package's `bottomhalf/devices`. A device is a value; the
 * smallest to copy is misc/test-finisher.ts.
 */
export {
  type AccessSize,
  type DeviceCore,
  type DeviceDefinition,
  type DeviceEvent,
  DeviceSnapshot,
  type DeviceWiring,
  defineDevice,
  deviceActorLogic,
  type IrqLine,
  type PersistedDevice,
  type RegisterRegistry,
  type RegisterWindow,
  RegisterWindows,
  SnapshotMismatchError,
} from '../src/actor/index.ts';
export { StateError, StateReader } from '../src/bus/device-state.ts';
export {
  elementAt,
  type RegisterAccess,
  type RegisterRow,
  type RegisterTable,
  registerTable,
  registerTableMarkdown,
} from '../src/bus/register-table.ts';
export type { BottomHalf, LoopPort, Timer } from '../src/loop/index.ts';
export {
  type BarShape,
  CAPABILITY as PCI_CAPABILITY,
  type ConfigSpace,
  definePciFunction,
  type MsixShape,
  msixBytes,
  PciBus,
  type PciCorePorts,
  type PciFunctionCore,
  type PciFunctionDefinition,
  type PciFunctionPorts,
  type PciFunctionState,
  type PciHostWindow,
  type PciInterrupts,
  type PciPlace,
  type PciShape,
  PciSlot,
  type PciSlotPort,
} from '../src/pci/index.ts';
export type { CharEvent, CharPort } from './char/char-port.ts';
export {
  type Uart16550Event,
  type Uart16550Ports,
  type Uart16550State,
  uart16550,
  uart16550Registers,
} from './char/uart16550.ts';
export {
  type AplicChild,
  type AplicConfig,
  type AplicEvent,
  type AplicPorts,
  type AplicState,
  aplic,
  aplicRegisters,
} from './irq/aplic.ts';
export { type PlicConfig, type PlicEvent, type PlicPorts, type PlicState, plic, plicRegisters } from './irq/plic.ts';
export { type AclintHartPort, type AclintPorts, type AclintState, aclint, aclintRegisters } from './misc/aclint.ts';
export {
  type FinishRequest,
  type TestFinisherPorts,
  type TestFinisherState,
  testFinisher,
  testFinisherRegisters,
} from './misc/test-finisher.ts';
export { type EduConfig, type EduState, edu, eduRegisters } from './pci/edu.ts';
export {
  type PcieHostConfig,
  type PcieHostPorts,
  type PcieHostState,
  pcieHost,
  pcieHostFunction,
  pcieHostRegisters,
} from './pci/pcie-host.ts';
export {
  type PcieRootPortConfig,
  type PcieRootPortEvent,
  type PcieRootPortPorts,
  type PcieRootPortState,
  type PcieSlotEvent,
  pcieRootPort,
} from './pci/root-port.ts';
export {
  type GoldfishRtcPorts,
  type GoldfishRtcState,
  goldfishRtc,
  goldfishRtcRegisters,
} from './time/goldfish-rtc.ts';
