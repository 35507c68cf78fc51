/**
 * The vCPU actor: the chart of a vCPU's life (machines/vcpu.ts) around its core. It alone holds the core, and through it
 * the hart; the thread's main function asks it to run.
 */
import { vcpuMachine } from '../../machines/vcpu.ts';
import type { AnyStateMachine } from '../../src/actor/index.ts';
import type { HartStart } from './hart-setup.ts';
import type { VcpuCore } from './vcpu-core.ts';

export interface VcpuPorts {
  /** How this hart begins when the board or another hart starts it. */
  startOf(pc: bigint, argument: bigint): HartStart;
  /** Told when the vCPU stands, having been asked to. */
  paused(): void;
}

/** The logic of a vCPU on its own thread. */
export function vcpuLogic(core: VcpuCore, ports: VcpuPorts): AnyStateMachine {
  return vcpuMachine.provide({
    actions: {
      loadEntry: (_, { pc, argument }) => core.begin(ports.startOf(pc, argument)),
      enterRunning: () => {
        core.running = true;
      },
      leaveRunning: () => {
        core.running = false;
      },
      acknowledgePause: () => ports.paused(),
      resetHart: () => core.reset(),
    },
  }) as AnyStateMachine;
}
