/** Bottomhalf: a full-system RISC-V emulator whose every device and vCPU is an xstate actor. */
export type { RunState } from '../machines/machine.ts';
export { ConfigError } from './util/config-error.ts';
export { createVm, DEFAULT_RAM_BYTES, type MachineEnd, type Vm, type VmMemory, type VmOptions } from './vm.ts';
export { ExpectTimeoutError, VmConsole } from './vm-console.ts';
