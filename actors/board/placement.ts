/** Where the threads of a machine are: here each vCPU has a worker thread, and the main loop turns in libuv. */
import { spawnWorker } from '../../src/actor/index.ts';
import { type Thread, type ThreadKind, type ThreadWiring, wireServer } from '../../src/channel/threads.ts';
import { type DeliveryObserver, type EventLoop, HostClock, type LoopDriver, runInLibuv } from '../../src/loop/index.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';
import type { ActorState } from '../cpu/messages.ts';
import { TRANSLATOR_THREAD } from '../cpu/names.ts';
import { TRANSLATOR_MODULE, VCPU_MODULE } from './thread-modules.ts';
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
  /** The thread of actors/cpu/translator-thread.ts, which ends when all that it serves have; left out: there is none. */
  startTranslator?(wiring: ThreadWiring, onEnd: (error: ErrorRecord | null) => void): RunningThread;
}

export const onThreads: Placement = {
  mainKind: 'libuv',
  clock: () => HostClock.stopped(),
  observerOf: () => undefined,
  driveMain: runInLibuv,
  startVcpu: (parameters, wiring, onEnd) => {
    return spawnWorker({ module: VCPU_MODULE, exportName: 'virtVcpuMain', parameters }, wiring, onEnd);
  },
  startTranslator: (wiring, onEnd) => {
    const code = { module: TRANSLATOR_MODULE, exportName: 'translatorMain', parameters: null };
    return spawnWorker(code, wiring, onEnd);
  },
};

/**
 * Starts the thread that compiles for the vCPUs of these wirings, where there is to be one.
 * @returns null for none, and the vCPUs' wirings with a way to it
 */
export function startTranslator(
  placement: Placement | null,
  vcpus: readonly ThreadWiring[],
  onError: (error: ErrorRecord) => void,
): { readonly translator: RunningThread | null; readonly vcpus: readonly ThreadWiring[] } {
  if (placement?.startTranslator === undefined) return { translator: null, vcpus };
  const { server, clients } = wireServer(TRANSLATOR_THREAD, vcpus);
  const translator = placement.startTranslator(server, (error) => error !== null && onError(error));
  return { translator, vcpus: clients };
}
