/** Bottomhalf: a full-system RISC-V emulator whose every device and vCPU is an xstate actor. */

export type { MachineEnd } from '../actors/board/machine-end.ts';
export type { VmDevice } from '../actors/board/virt-devices.ts';
export type { VmPciDevice } from '../actors/board/virt-pci-functions.ts';
export { HARTS_MAX, RAM_DEFAULT_BYTES, RAM_MAX_BYTES, RAM_MIN_BYTES } from '../actors/board/virt-table.ts';
export { ACCEL_DEFAULT, ACCEL_KINDS, type Accel } from '../actors/cpu/accel.ts';
export { AIA_KINDS, type Aia } from '../actors/cpu/aia.ts';
export type { HartAccess } from '../actors/cpu/vcpu-work.ts';
export { edu } from '../actors/pci/edu.ts';
export type { RunState } from '../machines/machine.ts';
export type { WorkerCode } from './actor/index.ts';
export type { ImageSource } from './boot/image-source.ts';
export type { Delivery } from './loop/index.ts';
export type { DirtyClient } from './memory/dirty-log.ts';
export { SnapshotError, type SnapshotFault } from './snapshot/error.ts';
export { ConfigError } from './util/config-error.ts';
export { createVm, type Vm } from './vm.ts';
export { ExpectTimeoutError, VmConsole } from './vm-console.ts';
export type { RunGoal, VmDeterministic } from './vm-deterministic.ts';
export type { VmMemory } from './vm-memory.ts';
export type { VmOptions } from './vm-options.ts';
export { prepareVm } from './vm-prepare.ts';
export { SEED_MAX } from './vm-recording.ts';
export type { SaveOptions } from './vm-save.ts';
