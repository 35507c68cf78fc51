/** The first modules of a machine's threads. Loads little itself: what starts threads early begins with it. */
import { prepareWorkers } from '../../src/actor/worker.ts';
import { vcpuThreadName } from '../cpu/names.ts';

export const VCPU_MODULE = moduleAt('./virt-vcpu');
export const TRANSLATOR_MODULE = moduleAt('../cpu/translator-thread');

/** Starts threads of vCPUs ahead of time, until so many wait: the next machine takes them. */
export function prepareVcpuThreads(count: number): void {
  prepareWorkers(VCPU_MODULE, count, vcpuThreadName);
}

function moduleAt(path: string): string {
  return new URL(`${path}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url).href;
}
