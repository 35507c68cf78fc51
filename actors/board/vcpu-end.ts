/** The main loop's end of one vCPU's thread: its worker, link, gateway, and what the board tells and asks it. */
import {
  type AccessOrigin,
  ActorGateway,
  ChannelFullError,
  Link,
  WindowServer,
  type WorkerCode,
} from '../../src/actor/index.ts';
import type { Channel } from '../../src/channel/channel.ts';
import type { Thread, ThreadWiring } from '../../src/channel/threads.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';
import type {
  ActorState,
  ClockMessage,
  DrainRequest,
  LogText,
  ProgramEnd,
  ResetRequest,
  RestoreRequest,
  SavedActor,
  SavedThread,
  VcpuPaused,
  VcpuWorkMessage,
  WorkDone,
} from '../cpu/messages.ts';
import { loopActorName, MAIN_THREAD, vcpuActorName, vcpuThreadName } from '../cpu/names.ts';
import { Outbox } from '../cpu/outbox.ts';
import { SIGNAL } from '../cpu/words.ts';
import type { Placement, RunningThread } from './placement.ts';
import type { VirtVcpuParameters } from './virt-vcpu.ts';

/** Where this end is. */
export interface MainLoop {
  readonly thread: Thread;
  readonly loop: LoopPort;
  readonly origin: AccessOrigin;
}

/** What the board hears of. */
export interface VcpuListener {
  onPaused(hart: number): void;
  onLog(text: string): void;
  onProgramEnd(code: number): void;
  onResetRequest(request: ResetRequest['request']): void;
  /** The thread is gone: null when it was told to. */
  onThreadEnd(hart: number, error: ErrorRecord | null): void;
}

/** A thread looks at its doorbell every few microseconds; one that has not ended by then is stuck. */
export const THREAD_END_MS = 1000;
/** Functions that may be under way to one vCPU. */
const WORK_MAX = 64;

export class VcpuEnd {
  readonly hart: number;
  /** Names among the machine's actors. */
  readonly actorName: string;
  readonly loopName: string;
  readonly channel: Channel;
  readonly link: Link;
  readonly gateway: ActorGateway;
  /** Serves the devices of the main loop to this vCPU. */
  readonly server: WindowServer;
  readonly threadName: string;
  readonly #thread: Thread;
  readonly #loop: LoopPort;
  readonly #clock: Outbox<ClockMessage>;
  readonly #listener: VcpuListener;
  /** What the thread has told of itself so far, and who wants to know. */
  #saved: ActorState[] = [];
  #onSaved: ((saved: readonly ActorState[] | null) => void) | null = null;
  /** Work under way, by its number. */
  readonly #work = new Map<number, (done: WorkDone) => void>();
  #works = 0;
  #vcpuThread: RunningThread | null = null;

  constructor(hart: number, { thread, loop, origin }: MainLoop, listener: VcpuListener) {
    this.hart = hart;
    this.#thread = thread;
    this.threadName = vcpuThreadName(hart);
    this.actorName = vcpuActorName(hart);
    this.loopName = loopActorName(this.threadName);
    this.#loop = loop;
    this.#listener = listener;
    this.channel = thread.channel(this.threadName);
    this.link = new Link(this.threadName, this.channel);
    this.gateway = new ActorGateway(MAIN_THREAD, this.link);
    this.server = new WindowServer(this.channel, origin);
    this.#clock = new Outbox(this.link);
    const { link } = this;
    link.on<VcpuPaused>('board.vcpu-paused', () => listener.onPaused(hart));
    link.on<WorkDone>('board.work-done', (message) => {
      const done = this.#work.get(message.id);
      this.#work.delete(message.id);
      done?.(message);
    });
    link.on<SavedActor>('board.saved', ({ name, state }) => void this.#saved.push({ name, state }));
    link.on<SavedThread>('board.saved-thread', ({ isWhole }) => this.#tellSaved(isWhole));
    link.on<LogText>('board.log', ({ text }) => listener.onLog(text));
    link.on<ProgramEnd>('board.program-end', ({ code }) => listener.onProgramEnd(code));
    link.on<ResetRequest>('board.reset-request', ({ request }) => listener.onResetRequest(request));
  }

  start(placement: Placement, parameters: VirtVcpuParameters, wiring: ThreadWiring): void {
    this.#vcpuThread = placement.startVcpu(parameters, wiring, (error) => {
      if (error !== null) this.gateway.fail(error);
      const gone = error ?? { name: 'Error', message: 'the machine was stopped' };
      for (const [id, done] of this.#work) done({ type: 'board.work-done', id, result: undefined, error: gone });
      this.#work.clear();
      this.#listener.onThreadEnd(this.hart, error);
    });
  }

  /** Virtual time goes on, in step with the board's. */
  resumeClock(originNs: number): void {
    this.#clock.post({ type: 'clock.resume', originNs, atNs: 0 });
  }

  stopClock(atNs: number): void {
    this.#clock.post({ type: 'clock.stop', originNs: 0, atNs });
  }

  /**
   * @param done called when whatever this thread has sent, and was sent, has been handled
   * @param flush what the guest has printed goes on its way first
   */
  drain(done: () => void, flush = false): void {
    const ask = this.#loop.bottomHalf('drain', () => {
      if (this.link.closed) done();
      else if (!this.link.request({ type: 'thread.drain', flush } as DrainRequest, done)) ask.schedule();
    });
    ask.schedule();
  }

  /** @param done told all that the thread has, while the machine stands; null where something is still under way */
  save(done: (saved: readonly ActorState[] | null) => void): void {
    this.#saved = [];
    this.#onSaved = done;
    const ask = this.#loop.bottomHalf('save', () => {
      if (this.link.closed) this.#tellSaved(false);
      else if (!this.link.post({ type: 'thread.save' })) ask.schedule();
    });
    ask.schedule();
  }

  /** Of a thread that is simulated, between two steps; null for others, and where something is under way. */
  saveNow(): readonly ActorState[] | null {
    return this.#vcpuThread?.save?.() ?? null;
  }

  /** @param done told why the actor cannot be there, or null */
  restore(part: ActorState, done: (error: unknown) => void): void {
    const ask = this.#loop.bottomHalf('restore', () => {
      try {
        if (this.link.closed) done(new Error(`${this.threadName} has ended`));
        else if (!this.link.request({ type: 'thread.restore', ...part } as RestoreRequest, answered)) ask.schedule();
      } catch (error) {
        done(error);
      }
    });
    const answered = (_reply: unknown, error: ErrorRecord | null): void => done(error);
    ask.schedule();
  }

  #tellSaved(isWhole: boolean): void {
    const [done, saved] = [this.#onSaved, this.#saved];
    this.#onSaved = null;
    this.#saved = [];
    done?.(isWhole ? saved : null);
  }

  /** Sends work to the vCPU. @throws ChannelFullError when too much of it is under way */
  work(code: WorkerCode, done: (done: Pick<WorkDone, 'result' | 'error'>) => void): void {
    this.#works += 1;
    const message: VcpuWorkMessage = { type: 'vcpu.work', id: this.#works, code };
    if (this.#work.size >= WORK_MAX || !this.link.post(message)) {
      throw new ChannelFullError(`${this.threadName}: too much work is under way`);
    }
    this.#work.set(this.#works, done);
  }

  /** Tells the thread to end. A signal: it overtakes all messages. */
  tellClose(): void {
    this.#thread.bell(this.threadName).raise(SIGNAL.close);
  }

  /** @returns settles when the thread has ended */
  ended(): Promise<void> {
    return this.#vcpuThread?.end(THREAD_END_MS) ?? Promise.resolve();
  }
}
