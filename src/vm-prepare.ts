/** What a machine needs before its first instruction and that does not depend on its images. */
import { prepareVcpuThreads } from '../actors/board/thread-modules.ts';
import { hostCores, loadHartModules } from './vm-modules.ts';

/**
 * Starts the threads of vCPUs and compiles what they run, while the caller still reads images or asks the user: a machine
 * that is made next with createVm() begins some 0.1 s sooner. Threads that no machine takes do not keep the process
 * alive. Not for deterministic machines, which have one thread.
 * @param harts as in VmOptions; threads beyond the host's cores would only be in each other's way, and start later
 */
export function prepareVm({ harts = 1 }: { readonly harts?: number | undefined } = {}): void {
  // First, because it sets flags of V8, which a thread had better find set. What fails is told by createVm().
  loadHartModules().catch(() => {});
  prepareVcpuThreads(Math.min(harts, hostCores()));
}
