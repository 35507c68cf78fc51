/** Where the threads of a machine are: here each vCPU has a worker thread, and the main loop turns in libuv. */
import { spawnWorker } from '../../src/actor/index.ts';
import type { Thread, ThreadKind, ThreadWiring } from '../../src/channel/threads.ts';
import { type DeliveryObserver, type EventLoop, HostClock, type LoopDriver, runInLibuv } from '../../src/loop/index.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';
import type { ActorState } from '../cpu/messages.ts';
import type { VirtVcpuParameters } from './virt-vcpu.ts';

export interface RunningThread {
  /** Waits for a thread that was told to end. @returns settles when it has, or once the time is over */
  end(graceMs: number): Promise<void>;
  /** Of a thread that is simulated: all that it has, see VcpuThread.save(). */
  save?(): readonly ActorState[] | null;
}

export interface Placement {
  /** How the main thread sleeps. */
  readonly mainKind: ThreadKind;
  /** A stopped clock, at 0, for the main thread. */
  clock(): HostClock;
  /** Who is told what a loop hands out. */
  observerOf(loop: string): DeliveryObserver | undefined;
  driveMain(loop: EventLoop, thread: Thread): LoopDriver;
  /** @param onEnd called once, when the thread has ended: with null when it was told to */
  startVcpu(
    parameters: VirtVcpuParameters,
    wiring: ThreadWiring,
    onEnd: (error: ErrorRecord | null) => void,
  ): RunningThread;
}

export const onThreads: Placement = {
  mainKind: 'libuv',
  clock: () => HostClock.stopped(),
  observerOf: () => undefined,
  driveMain: runInLibuv,
  startVcpu: (parameters, wiring, onEnd) => {
    const module = new URL(`./virt-vcpu${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url).href;
    return spawnWorker({ module, exportName: 'virtVcpuMain', parameters }, wiring, onEnd);
  },
};
