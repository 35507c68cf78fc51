/** createVm({ inspect }): one observer for the actors of both threads. */
import { expect, it, vi } from 'vitest';
import type { InspectionEvent } from '../../src/actor/index.ts';
import { bare, within } from '../support/machines.ts';

const HELLO = `
  li s0, UART
  li t0, 3
  sb t0, 1(s0)
  li t0, 'x'
  sb t0, 0(s0)
  li t0, TEST
  li t1, 0x5555
  sw t1, 0(t0)
wait: j wait
`;

interface Seen {
  readonly type: string;
  readonly actor: string;
  readonly event: string;
}

function describeEvent(event: InspectionEvent): Seen {
  const { systemId, id } = event.actorRef as unknown as { readonly systemId?: string; readonly id: string };
  const { type = '' } = ('event' in event ? event.event : {}) as { readonly type?: string };
  return { type: event.type, actor: systemId ?? id, event: type };
}

it('the observer sees the machine, its devices and its vCPU, whatever thread they live on', async () => {
  const seen: Seen[] = [];
  const vm = await bare(HELLO, { inspect: (event) => void seen.push(describeEvent(event)) });
  vm.start();
  await within(5000, 'the end', vm.finished);
  const eventsOf = (name: string) => seen.filter(({ actor }) => actor === name).map(({ event }) => event);
  // The last events of the other thread are still on their way.
  await vi.waitFor(() => expect(eventsOf('vcpu0/serial0')).toContain('device.quiesce'));
  await vm.stop();
  const actors = new Set(seen.filter(({ type }) => type === '@xstate.actor').map(({ actor }) => actor));
  const names = [
    'machine',
    'main-loop',
    'vcpu0-loop',
    'vcpu0/vcpu0-loop',
    'rtc',
    'test',
    'vcpu0/cpu0',
    'vcpu0/serial0',
    'vcpu0/plic',
    'vcpu0/clint',
  ];
  expect([...actors]).toEqual(expect.arrayContaining(names));
  expect(eventsOf('machine')).toEqual(expect.arrayContaining(['machine.start', 'machine.shutdown']));
  expect(eventsOf('vcpu0/cpu0')).toEqual(expect.arrayContaining(['vcpu.start', 'vcpu.pause']));
  expect(eventsOf('vcpu0/plic')).toContain('device.start');
});

it('without an observer nobody watches', async () => {
  const vm = await bare(HELLO);
  vm.start();
  await within(5000, 'the end', vm.finished);
  // Attaching late is xstate's own way; it sees the actors of this thread.
  let count = 0;
  vm.actor.system.inspect(() => {
    count += 1;
  });
  vm.reset();
  expect(count).toBeGreaterThan(0);
});
