/**
 * A machine's life, the chart of every board. The run states are QEMU's, with its names; `stopping` is the time between
 * the wish to stand still and the acknowledgement of the last vCPU, and knows where it leads.
 *
 * An error of any child (a device, a vCPU, a worker through its proxy) leads to `internal-error` with the cause.
 */
import { assign, setup } from 'xstate';

export type ShutdownReason = 'guest-shutdown' | 'host-request';

export type MachineEvent =
  | { readonly type: 'machine.start' }
  | { readonly type: 'machine.pause' }
  | { readonly type: 'machine.resume' }
  /** From the guest or the user; what was running goes on running afterwards. */
  | { readonly type: 'machine.reset' }
  | { readonly type: 'machine.shutdown'; readonly reason: ShutdownReason; readonly exitCode: number }
  | { readonly type: 'machine.panic'; readonly message: string }
  /** Every vCPU has acknowledged that it stands. */
  | { readonly type: 'machine.vcpus-paused' }
  /** Every device and vCPU is as after power-on. */
  | { readonly type: 'machine.was-reset' }
  /** A device comes, or has gone, while the machine lives; what more of it there is, is the board's. */
  | { readonly type: 'machine.plug'; readonly name: string }
  | { readonly type: 'machine.unplugged'; readonly name: string }
  /** A saved machine takes this one's place; the board answers with `machine.restored`. */
  | { readonly type: 'machine.restore' }
  | { readonly type: 'machine.restored' }
  | { readonly type: 'machine.fail'; readonly error: unknown }
  /** The end: give everything back. */
  | { readonly type: 'machine.stop' }
  /** A child actor failed; sent by xstate. */
  | { readonly type: 'xstate.error.actor.*'; readonly error: unknown };

export type RunState =
  | 'prelaunch'
  | 'inmigrate'
  | 'running'
  | 'stopping'
  | 'resetting'
  | 'paused'
  | 'shutdown'
  | 'guest-panicked'
  | 'internal-error'
  | 'stopped';

export interface MachineContext {
  /** Where `stopping` leads. */
  readonly next: 'paused' | 'running' | 'reset' | 'shutdown' | 'guest-panicked';
  /** What a reset returns to. */
  readonly runAfterReset: boolean;
  readonly exitCode: number;
  readonly shutdownReason: ShutdownReason | null;
  readonly panicMessage: string | null;
  /** Why the machine is in `internal-error`. */
  readonly error: unknown;
}

export const machineMachine = setup({
  types: { context: {} as MachineContext, events: {} as MachineEvent },
  actions: {
    // What a board provides; each runs to completion in the transition.
    /** The machine's event loops begin to turn. */
    startLoops: () => {},
    /** Creates the actors of devices and vCPUs. */
    spawnAll: () => {},
    /** Puts RAM, devices and the boot hart to their beginning. */
    launch: () => {},
    /** Puts RAM and all actors where they were saved. */
    restoreAll: () => {},
    plugDevice: () => {},
    dropDevice: () => {},
    /** Virtual time goes on, devices are resumed, vCPUs run. */
    resumeAll: () => {},
    /** Asks the vCPUs to stand; the board answers with `machine.vcpus-paused`. */
    pauseVcpus: () => {},
    /** After the vCPUs: devices are quiesced and virtual time stands. */
    quiesceDevices: () => {},
    /** Every vCPU and device back to power-on, the boot images loaded again; the board answers with `machine.was-reset`. */
    resetAll: () => {},
    /** The harts that begin by themselves do so, once everything around them has been reset. */
    startHarts: () => {},
    /** Nothing may run any more and nobody is waited for. */
    haltAll: () => {},
    /** Workers end, back ends are closed. */
    release: () => {},
    nextIsPaused: assign({ next: 'paused' }),
    nextIsRunning: assign({ next: 'running' }),
    nextIsReset: assign({ next: 'reset' }),
    nextIsShutdown: assign((_, params: { reason: ShutdownReason; exitCode: number }) => ({
      next: 'shutdown' as const,
      shutdownReason: params.reason,
      exitCode: params.exitCode,
    })),
    nextIsPanicked: assign((_, params: { message: string }) => ({
      next: 'guest-panicked' as const,
      panicMessage: params.message,
    })),
    willRun: assign({ runAfterReset: true }),
    willStand: assign({ runAfterReset: false }),
    recordError: assign({ error: (_, params: { error: unknown }) => params.error }),
  },
  guards: {
    leadsToPaused: ({ context }) => context.next === 'paused',
    leadsToRunning: ({ context }) => context.next === 'running',
    leadsToReset: ({ context }) => context.next === 'reset',
    leadsToShutdown: ({ context }) => context.next === 'shutdown',
    leadsToPanicked: ({ context }) => context.next === 'guest-panicked',
    isFinal: ({ context }) => context.next === 'shutdown' || context.next === 'guest-panicked',
    runsAfterReset: ({ context }) => context.runAfterReset,
  },
}).createMachine({
  id: 'machine',
  context: {
    next: 'paused',
    runAfterReset: true,
    exitCode: 0,
    shutdownReason: null,
    panicMessage: null,
    error: undefined,
  },
  initial: 'prelaunch',
  on: {
    'machine.fail': {
      target: '.internal-error',
      actions: { type: 'recordError', params: ({ event }) => ({ error: event.error }) },
    },
    'xstate.error.actor.*': {
      target: '.internal-error',
      actions: { type: 'recordError', params: ({ event }) => ({ error: event.error }) },
    },
    'machine.stop': '.stopped',
    'machine.plug': { actions: 'plugDevice' },
    'machine.unplugged': { actions: 'dropDevice' },
  },
  states: {
    prelaunch: {
      entry: ['startLoops', 'spawnAll'],
      on: { 'machine.start': { target: 'running', actions: 'launch' }, 'machine.restore': 'inmigrate' },
    },
    inmigrate: { entry: 'restoreAll', on: { 'machine.restored': 'paused' } },
    running: {
      entry: ['willRun', 'resumeAll'],
      on: {
        'machine.pause': { target: 'stopping', actions: ['nextIsPaused', 'willStand'] },
        'machine.reset': { target: 'stopping', actions: 'nextIsReset' },
        'machine.shutdown': {
          target: 'stopping',
          actions: {
            type: 'nextIsShutdown',
            params: ({ event }) => ({ reason: event.reason, exitCode: event.exitCode }),
          },
        },
        'machine.panic': {
          target: 'stopping',
          actions: { type: 'nextIsPanicked', params: ({ event }) => ({ message: event.message }) },
        },
      },
    },
    stopping: {
      entry: 'pauseVcpus',
      on: {
        'machine.vcpus-paused': [
          { guard: 'leadsToReset', target: 'resetting', actions: 'quiesceDevices' },
          { guard: 'leadsToShutdown', target: 'shutdown', actions: 'quiesceDevices' },
          { guard: 'leadsToPanicked', target: 'guest-panicked', actions: 'quiesceDevices' },
          { guard: 'leadsToRunning', target: 'running' },
          { target: 'paused', actions: 'quiesceDevices' },
        ],
        // A wish that comes meanwhile is the newer one. After a shutdown or a panic only a reset is, as in those states.
        'machine.shutdown': {
          actions: {
            type: 'nextIsShutdown',
            params: ({ event }) => ({ reason: event.reason, exitCode: event.exitCode }),
          },
        },
        'machine.panic': {
          actions: { type: 'nextIsPanicked', params: ({ event }) => ({ message: event.message }) },
        },
        'machine.pause': [
          { guard: 'leadsToRunning', actions: ['nextIsPaused', 'willStand'] },
          { actions: 'willStand' },
        ],
        'machine.resume': [
          { guard: 'leadsToPaused', actions: ['nextIsRunning', 'willRun'] },
          { guard: 'leadsToReset', actions: 'willRun' },
        ],
        'machine.start': [
          { guard: 'leadsToPaused', actions: ['nextIsRunning', 'willRun'] },
          { guard: 'leadsToReset', actions: 'willRun' },
        ],
        'machine.reset': [{ guard: 'isFinal', actions: ['nextIsReset', 'willStand'] }, { actions: 'nextIsReset' }],
      },
    },
    resetting: {
      entry: 'resetAll',
      on: {
        'machine.was-reset': [
          { guard: 'runsAfterReset', target: 'running', actions: 'startHarts' },
          { target: 'paused', actions: 'startHarts' },
        ],
        'machine.pause': { actions: 'willStand' },
        'machine.resume': { actions: 'willRun' },
        'machine.start': { actions: 'willRun' },
      },
    },
    paused: {
      on: {
        'machine.resume': 'running',
        'machine.start': 'running',
        'machine.reset': { target: 'resetting', actions: 'willStand' },
      },
    },
    shutdown: { on: { 'machine.reset': { target: 'resetting', actions: 'willStand' } } },
    'guest-panicked': { on: { 'machine.reset': { target: 'resetting', actions: 'willStand' } } },
    // The first error is the cause; what fails after it is a consequence.
    'internal-error': { entry: 'haltAll', on: { 'machine.fail': {}, 'xstate.error.actor.*': {} } },
    stopped: { type: 'final', entry: ['haltAll', 'release'] },
  },
});
