/** Reads that the asking thread answers itself, since the device has said that their answer stands: when, and until when. */
import { describe, expect, it } from 'vitest';
import { type DeviceCore, defineDevice } from '../../src/actor/device-core.ts';
import {
  createActor,
  deviceActorLogic,
  MUST_WAIT,
  type RegisterWindow,
  RegisterWindows,
  remoteRegisterWindow,
  STANDING_ANSWER_NUMBERS,
  StandingAnswer,
  standing,
  WindowServer,
} from '../../src/actor/index.ts';
import { simThreads } from '../support/sim-threads.ts';

const DATA = 0;
const STATUS = 4;
const OTHER = 8;
const READY = 0x60;
/** Writes behind which the device says that its status stands. */
const TIMES = 3;

/** Takes bytes, and says that it is ready for more. */
class Port implements DeviceCore {
  readonly got: number[] = [];
  mmioRead(offset: number): number {
    return offset === STATUS ? READY : 0;
  }
  mmioWrite(offset: number, value: number): void {
    if (offset === DATA) this.got.push(value);
  }
  standing(offset: number): number {
    return offset === STATUS ? standing(DATA, TIMES) : 0;
  }
  reset(): void {}
  view(): object {
    return {};
  }
  save(): null {
    return null;
  }
  load(): void {}
}

function bench() {
  const { simulation, threads } = simThreads(1, ['device', 'asking', 'third']);
  const core = new Port();
  const port = defineDevice({ name: 'test-port', version: 1, lengthBytes: 16, create: () => core });
  const windows = new RegisterWindows();
  const wiring = { loop: threads.device.loop, ports: {}, config: undefined, registers: windows };
  const actor = createActor(deviceActorLogic(port, wiring), { id: 'port' }).start();
  actor.send({ type: 'device.start' });
  for (const peer of ['asking', 'third']) {
    new WindowServer(threads.device.channel(peer)).serve(1, windows.get('port') as RegisterWindow);
  }
  const windowOf = (name: 'asking' | 'third') => {
    const answer = new StandingAnswer(threads[name].thread.bell('device'));
    const window = remoteRegisterWindow(threads[name].channel('device'), 1, 16, { posted: true, answer });
    const ask = (offset: number): number => {
      let got = Number.NaN;
      expect(window.read(offset, 1)).toBe(MUST_WAIT);
      window.readAsync(offset, 1, (value) => {
        got = value;
      });
      simulation.run();
      return got;
    };
    const write = (offset: number, value = 1): void => expect(window.write(offset, value, 1)).toBe(0) as never;
    return { window, answer, ask, write, status: () => window.read(STATUS, 1) };
  };
  const asking = windowOf('asking');
  expect(asking.ask(STATUS)).toBe(READY);
  return { simulation, threads, core, actor, asking, third: () => windowOf('third') };
}

describe('an answer that stands', () => {
  it('is given behind so many writes without asking, and what was written arrives in order', () => {
    const { asking, simulation, core } = bench();
    for (let value = 1; value <= TIMES; value++) {
      asking.write(DATA, value);
      expect(asking.status()).toBe(READY);
    }
    asking.write(DATA, TIMES + 1);
    expect(asking.status()).toBe(MUST_WAIT);
    simulation.run();
    expect(core.got).toEqual([1, 2, 3, 4]);
  });

  it('stands again when the device was asked again', () => {
    const { asking } = bench();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < TIMES; i++) {
        asking.write(DATA);
        expect(asking.status()).toBe(READY);
      }
      expect(asking.ask(STATUS)).toBe(READY);
    }
  });

  it.each<[string, (given: ReturnType<typeof bench>) => void]>([
    ['no write came before', () => {}],
    ['it was given for the last write already', ({ asking }) => [asking.write(DATA), asking.status()]],
    ['another register was written', ({ asking }) => [asking.write(OTHER), asking.write(DATA)]],
    ['another register is asked for', ({ asking }) => [asking.write(DATA), asking.ask(OTHER), asking.write(DATA)]],
    [
      'the device has taken it back',
      ({ asking, threads }) => [asking.write(DATA), threads.device.thread.doorbell.change()],
    ],
    [
      'another thread has sent something to the device',
      ({ asking, third }) => [asking.write(DATA), third().write(OTHER)],
    ],
    ['another thread had, before the write', ({ asking, third }) => [third().write(OTHER), asking.write(DATA)]],
  ])('is not given where %s', (_, disturb) => {
    const given = bench();
    disturb(given);
    expect(given.asking.status()).toBe(MUST_WAIT);
    // Nor does it come back.
    given.asking.write(DATA);
    expect(given.asking.status()).toBe(MUST_WAIT);
  });

  it('is none where the device throws over it: that fails the device, not who asks', () => {
    const { asking, core, actor } = bench();
    core.standing = () => {
      throw new Error('a bug');
    };
    const failed = new Promise((resolve) => actor.subscribe({ error: resolve }));
    expect(asking.ask(STATUS)).toBe(READY);
    asking.write(DATA);
    expect(asking.status()).toBe(MUST_WAIT);
    return expect(failed).resolves.toMatchObject({ message: 'a bug' });
  });

  it('is of that size only', () => {
    const { asking } = bench();
    asking.write(DATA);
    expect(asking.window.read(STATUS, 4)).toBe(MUST_WAIT);
  });

  it('is saved, and goes on as it was', () => {
    const { asking, threads } = bench();
    asking.write(DATA);
    const saved = asking.answer.save();
    expect(saved).toHaveLength(STANDING_ANSWER_NUMBERS);
    const restored = new StandingAnswer(threads.asking.thread.bell('device'));
    restored.load(saved);
    expect([restored.save(), restored.read(STATUS, 1), restored.read(STATUS, 1)]).toEqual([saved, READY, -1]);
    restored.load([]);
    expect([restored.save(), restored.read(STATUS, 1)]).toEqual([[], -1]);
    threads.device.thread.doorbell.change();
    expect(asking.answer.save()).toEqual([]);
  });
});
