/**
 * A vCPU's life: whether its hart executes. Waiting for an interrupt or for an access is data of the vCPU, no state.
 *
 * Two owners decide: the guest starts and stops its harts (SBI HSM), the machine pauses and resumes them all. A hart
 * that the guest stopped or started while the machine stood still finds itself in the right state afterwards.
 */
import { assign, setup } from 'xstate';

export type VcpuEvent =
  /** The guest, or the board for the boot hart: execute from here. */
  | { readonly type: 'vcpu.start'; readonly pc: bigint; readonly argument: bigint }
  /** The guest: the hart stops itself. */
  | { readonly type: 'vcpu.stop' }
  | { readonly type: 'vcpu.pause' }
  | { readonly type: 'vcpu.resume' }
  /** The board: back to the state after power-on, stopped. */
  | { readonly type: 'vcpu.reset' }
  | { readonly type: 'vcpu.fail'; readonly error: unknown };

export interface VcpuLifeContext {
  /** Whether the guest wants this hart to execute: where `vcpu.resume` leads. */
  readonly started: boolean;
  readonly error: unknown;
}

export const vcpuMachine = setup({
  types: { context: {} as VcpuLifeContext, events: {} as VcpuEvent },
  actions: {
    // What the vCPU actor provides; each runs to completion in the transition.
    /** Puts pc and argument into the hart. */
    loadEntry: (_, _params: { pc: bigint; argument: bigint }) => {},
    /** The slices begin. */
    enterRunning: () => {},
    /** No further slice; the one in flight has ended. */
    leaveRunning: () => {},
    /** Tells the machine that this vCPU stands. */
    acknowledgePause: () => {},
    resetHart: () => {},
    /** There is no way on: the actor ends with the error. */
    giveUp: () => {},
    markStarted: assign({ started: true }),
    markStopped: assign({ started: false }),
    recordError: assign({ error: (_, params: { error: unknown }) => params.error }),
  },
  guards: { isStarted: ({ context }) => context.started },
}).createMachine({
  id: 'vcpu',
  context: { started: false, error: undefined },
  initial: 'stopped',
  on: {
    'vcpu.fail': {
      target: '.failed',
      actions: { type: 'recordError', params: ({ event }) => ({ error: event.error }) },
    },
  },
  states: {
    stopped: {
      on: {
        'vcpu.start': {
          target: 'running',
          actions: [
            'markStarted',
            { type: 'loadEntry', params: ({ event }) => ({ pc: event.pc, argument: event.argument }) },
          ],
        },
        'vcpu.pause': 'paused',
        'vcpu.reset': { actions: 'resetHart' },
      },
    },
    running: {
      entry: 'enterRunning',
      exit: 'leaveRunning',
      on: {
        'vcpu.stop': { target: 'stopped', actions: 'markStopped' },
        'vcpu.pause': 'paused',
        'vcpu.reset': { target: 'stopped', actions: ['markStopped', 'resetHart'] },
      },
    },
    paused: {
      entry: 'acknowledgePause',
      on: {
        'vcpu.start': {
          actions: [
            'markStarted',
            { type: 'loadEntry', params: ({ event }) => ({ pc: event.pc, argument: event.argument }) },
          ],
        },
        'vcpu.stop': { actions: 'markStopped' },
        'vcpu.pause': { actions: 'acknowledgePause' },
        'vcpu.resume': [{ guard: 'isStarted', target: 'running' }, { target: 'stopped' }],
        'vcpu.reset': { actions: ['markStopped', 'resetHart'] },
      },
    },
    failed: { entry: 'giveUp' },
  },
});
