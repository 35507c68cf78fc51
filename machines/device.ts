/**
 * A device's life. One chart for every device: what it does between these states (registers, queues, timers) is its
 * core's business and no chart event.
 *
 * What each state promises: `realized`: registers answer, nothing runs by itself. `running`: everything. `quiesced`:
 * no bottom half and no timer of the device runs, messages wait, registers still answer (a monitor may look, the vCPUs
 * stand). `removed`: registers answer with a bus fault, for ever.
 */
import { setup } from 'xstate';

export type DeviceLifeEvent =
  | { readonly type: 'device.start' }
  | { readonly type: 'device.quiesce' }
  | { readonly type: 'device.resume' }
  /** Back to the state after power-on; life goes on in the state it was in. */
  | { readonly type: 'device.reset' }
  | { readonly type: 'device.remove' };

export type DeviceLife = 'realized' | 'running' | 'quiesced' | 'removed';

export const deviceMachine = setup({ types: { events: {} as DeviceLifeEvent } }).createMachine({
  id: 'device',
  initial: 'realized',
  states: {
    realized: { on: { 'device.start': 'running', 'device.remove': 'removed' } },
    running: { on: { 'device.quiesce': 'quiesced', 'device.remove': 'removed' } },
    quiesced: { on: { 'device.resume': 'running', 'device.remove': 'removed' } },
    removed: { type: 'final' },
  },
});
