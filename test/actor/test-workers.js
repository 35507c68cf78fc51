// Worker mains of worker.test.ts. Plain JavaScript on the build, since Node 20 loads no TypeScript in a worker.
import { ActorGateway, createActor, InspectionSource, Link, setup } from '../../dist/src/actor/index.js';
import { attachThread, EventLoop, HostClock, ParkingDriver } from '../../dist/src/loop/index.js';

export function returnsAtOnce(_parameters, thread) {
  thread.close();
}

export function throwsAtOnce() {
  throw new RangeError('thrown in main');
}

export function throwsLater(_parameters, thread) {
  thread.onWake(() => {});
  setTimeout(() => {
    throw new TypeError('thrown later');
  }, 5);
}

export function exitsSilently() {
  process.exit(7);
}

export const notAFunction = 1;

/** A parking thread with one exported actor that can be told to fail, or to end. */
export function hostsActor(_parameters, thread) {
  const loop = new EventLoop({ name: thread.name, clock: HostClock.running(), seed: 1 });
  attachThread(loop, thread);
  const link = new Link('main', thread.channel('main'));
  const gateway = new ActorGateway(thread.name, link);
  const source = new InspectionSource(thread.name, link, loop);
  const machine = setup({
    actions: {
      bug: () => {
        throw new Error('actor bug');
      },
    },
  }).createMachine({
    initial: 'on',
    on: { bug: { actions: 'bug' }, end: '.off' },
    states: { on: { on: { go: 'going' } }, going: {}, off: { type: 'final' } },
  });
  const actor = createActor(machine, { systemId: 'actor' });
  actor.subscribe({ error: () => {} });
  gateway.export('actor', actor.start());
  source.watch(actor);
  new ParkingDriver(loop, thread).run(() => actor.getSnapshot().status !== 'active');
}
