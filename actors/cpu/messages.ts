/** What a vCPU's thread and the board say to each other, besides events to actors. */
import type { LinkMessage, WorkerCode } from '../../src/actor/index.ts';
import type { SystemReset } from '../../src/sbi/host.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';

// From a vCPU's thread to the board.

export interface VcpuPaused extends LinkMessage {
  readonly type: 'board.vcpu-paused';
}
/** SBI system reset. */
export interface ResetRequest extends LinkMessage {
  readonly type: 'board.reset-request';
  readonly request: SystemReset;
}
/** A bare-metal program has ended through HTIF. */
export interface ProgramEnd extends LinkMessage {
  readonly type: 'board.program-end';
  readonly code: number;
}
export interface LogText extends LinkMessage {
  readonly type: 'board.log';
  readonly text: string;
}
/** What came of work that was sent to the vCPU. */
export interface WorkDone extends LinkMessage {
  readonly type: 'board.work-done';
  readonly id: number;
  readonly result: unknown;
  readonly error: ErrorRecord | null;
}
/** Of a vCPU's part of a saved machine. */
export const VCPU_STATE_VERSION = 1;

/** An actor, or what a thread has beside its actors, as plain data. */
export interface ActorState {
  readonly name: string;
  readonly state: unknown;
}
/** An actor of the thread, saved. */
export interface SavedActor extends LinkMessage, ActorState {
  readonly type: 'board.saved';
}
/** Behind the last of them; or instead of them, where something is still under way. */
export interface SavedThread extends LinkMessage {
  readonly type: 'board.saved-thread';
  readonly isWhole: boolean;
}
export type BoardMessage = VcpuPaused | ResetRequest | ProgramEnd | LogText | WorkDone | SavedActor | SavedThread;

/** From the board: virtual time goes on, in step with the board's clock, or stands still. */
export type ClockMessage = LinkMessage & { readonly originNs: number; readonly atNs: number };

/**
 * From the board, as a request: answered when every message between the vCPUs that was sent before has been handled.
 * `flush`: what the guest has printed goes on its way first.
 */
export type DrainRequest = LinkMessage & { readonly type: 'thread.drain'; readonly flush?: boolean };

/** From the board: work for the vCPU, see vcpu-work.ts. */
export interface VcpuWorkMessage extends LinkMessage {
  readonly type: 'vcpu.work';
  readonly id: number;
  readonly code: WorkerCode;
}

/** From the board, while the machine stands: the thread answers with a SavedActor for each of its own. */
export type SaveRequest = LinkMessage & { readonly type: 'thread.save' };

/** From the board, as a request, before the machine runs: the reply is an error where the actor cannot be there. */
export interface RestoreRequest extends LinkMessage, ActorState {
  readonly type: 'thread.restore';
}
