/** An event loop's life. What runs on it, and when, is data of the loop. */
import { setup } from 'xstate';

export type EventLoopEvent =
  /** Finish what was begun, take nothing new. */
  | { readonly type: 'loop.drain' }
  /** Everything on it has come to rest. */
  | { readonly type: 'loop.drained' }
  | { readonly type: 'loop.resume' }
  | { readonly type: 'loop.stop' };

export const eventLoopMachine = setup({
  types: { events: {} as EventLoopEvent },
  actions: {
    // What the loop's actor provides.
    beginDrain: () => {},
    endDrain: () => {},
    stopDriver: () => {},
  },
}).createMachine({
  id: 'event-loop',
  initial: 'running',
  states: {
    running: { on: { 'loop.drain': 'draining', 'loop.stop': 'stopped' } },
    draining: {
      entry: 'beginDrain',
      exit: 'endDrain',
      on: { 'loop.resume': 'running', 'loop.drained': 'stopped', 'loop.stop': 'stopped' },
    },
    stopped: { type: 'final', entry: 'stopDriver' },
  },
});
