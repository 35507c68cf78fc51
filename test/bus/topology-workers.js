// The other threads of topology-threads.test.ts. Plain JavaScript on the build, since Node 20 loads no TypeScript in a
// worker. A thread stands for a vCPU: it makes accesses as fast as it can, with the view of the moment.
import { ACCESS_OK, Link, MUST_ASK, MUST_WAIT } from '../../dist/src/actor/index.js';
import { TopologyParticipant } from '../../dist/src/bus/topology-participant.js';
import { firstViews } from '../../dist/src/bus/topology-views.js';
import { attachThread, EventLoop, HostClock, ParkingDriver } from '../../dist/src/loop/index.js';
import { Prng } from '../../dist/src/util/prng.js';

/** Accesses between two turns of the loop. */
const SLICE = 64;
/** Sleep between two slices: the threads of a test may have fewer processors than they are. */
const REST_NS = 20_000;

export function accesses({ base, stride, slots, pairBytes, total, readEvery, seed, configWrites, config }, thread) {
  const loop = new EventLoop({ name: thread.name, clock: HostClock.running(), seed });
  attachThread(loop, thread);
  const channel = thread.channel('main');
  const link = new Link('main', channel);
  const prng = new Prng(seed);
  const counts = { writes: 0, reads: 0, misses: 0, wrong: 0, faults: 0, halves: 0, swaps: 0, configs: 0 };
  let views = firstViews([]);
  let waiting = false;
  let stopped = false;
  let enough = false;
  let reported = false;
  const participant = new TopologyParticipant({
    link,
    channel,
    role: 'cpu',
    views,
    swap: (next) => {
      views = next;
      counts.swaps++;
      const [a, b] = ['a', 'b'].map((name) => next.memory.space.regions.find((region) => region.name === name));
      if ((a === undefined) !== (b === undefined) || (a !== undefined && b.base - a.base !== pairBytes))
        counts.halves++;
    },
  });
  link.on('enough', () => {
    enough = true;
  });
  link.on('stop', () => {
    stopped = true;
  });
  channel.onSpace(() => {
    waiting = false;
  });

  /** An answered write, which commits: its end must not come before the version it asked for. */
  function configure() {
    const before = views.version;
    waiting = views.memory.writeAsync(config, 4, prng.below(slots), 0, (fault) => {
      waiting = false;
      counts.configs++;
      if (fault || participant.views.version <= before) counts.wrong++;
    });
  }

  /** Mostly where something is. */
  function somewhere() {
    const { regions } = views.memory.space;
    const region = regions[prng.below(regions.length + 1)];
    if (region !== undefined && region.base !== config) return region.base;
    return base + prng.below(slots) * stride + prng.below(2) * pairBytes;
  }

  function access() {
    const gpa = somewhere();
    if (views.memory.find(gpa) === null) {
      counts.misses++;
      return;
    }
    if (prng.below(readEvery) !== 0) {
      const status = views.memory.write(gpa, 4, gpa);
      if (status === ACCESS_OK) counts.writes++;
      else if (status === MUST_WAIT) waiting = true;
      else counts.faults++;
      return;
    }
    waiting = views.memory.readAsync(gpa, 4, (fault, value) => {
      waiting = false;
      counts.reads++;
      if (fault) counts.faults++;
      else if (value !== gpa) counts.wrong++;
    });
  }

  const driver = new ParkingDriver(loop, thread);
  const rest = loop.timer('rest', () => {});
  let slices = 0;
  for (;;) {
    driver.turn();
    if (stopped) break;
    const finished = enough && counts.writes + counts.reads >= total && counts.configs >= configWrites;
    if (finished && !waiting && !reported) reported = link.post({ type: 'counts', thread: thread.name, counts });
    if (waiting || reported) {
      driver.park();
      continue;
    }
    if (counts.configs < configWrites && ++slices % 8 === 0 && views.memory.write(config, 4, 0) === MUST_ASK)
      configure();
    for (let n = 0; n < SLICE && !waiting; n++) access();
    rest.arm(loop.nowNs() + REST_NS);
    driver.park();
  }
  thread.close();
}
