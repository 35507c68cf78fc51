/** Queues on one thread are bounded as well: what happens at the bound, for each. */
import { describe, expect, it } from 'vitest';
import { type ConsoleOutput, ConsolePort } from '../../actors/char/console-port.ts';
import { createActor, deviceActorLogic, Link, LocalPipe } from '../../src/actor/index.ts';
import { Decoder } from '../../src/channel/decoder.ts';
import { Encoder } from '../../src/channel/encoder.ts';
import { Simulation } from '../../src/loop/index.ts';
import { counter } from './counter.ts';

/** Messages that wait for a device that stands. */
const HELD = 1024;
/** Messages between two loops of one thread. */
const QUEUED = 1024;
/** Bytes that the console gathers. */
const OUTPUT_BYTES = 4096;
/** Property names that a channel's codec gives numbers to. */
const NAMES = 4096;

describe('a bound', () => {
  it('of the messages that a quiesced device holds: one more is a failure of the sender', () => {
    const loop = new Simulation(1).loop('main');
    const logic = deviceActorLogic(counter, { loop, ports: { irq: { set: () => {} } }, config: { start: 0 } });
    const actor = createActor(logic, { id: 'counter' });
    const errors: string[] = [];
    actor.subscribe({ error: (error) => void errors.push((error as Error).message) });
    actor.start();
    actor.send({ type: 'device.start' });
    actor.send({ type: 'device.quiesce' });
    for (let n = 0; n < HELD; n++) actor.send({ type: 'add', n: 1 });
    expect([actor.getSnapshot().status, errors]).toEqual(['active', []]);
    actor.send({ type: 'add', n: 1 });
    expect(actor.getSnapshot().status).toBe('error');
    expect(errors).toEqual([expect.stringContaining('more than 1024 messages while quiesced')]);
  });

  it('of a pipe between two loops of a thread: it refuses, and tells when there is room', () => {
    const simulation = new Simulation(1);
    const [one, other] = LocalPipe.pair(simulation.loop('a'), simulation.loop('b'));
    const taken: unknown[] = [];
    let room = 0;
    one.onMessage = () => {};
    other.onMessage = (message) => void taken.push(message);
    one.onSpace(() => {
      room++;
    });
    for (let n = 0; n < QUEUED; n++) expect(one.post(n)).toBe(true);
    expect([one.post('too much'), room]).toEqual([false, 0]);
    simulation.run();
    expect([taken.length, taken.at(-1), room]).toEqual([QUEUED, QUEUED - 1, 1]);
    expect(one.post('again')).toBe(true);
  });

  it("of the console's output: a byte is refused, and its port hears when there is room", () => {
    const simulation = new Simulation(1);
    const [main, vcpu] = [simulation.loop('main'), simulation.loop('vcpu')];
    const [here, there] = LocalPipe.pair(vcpu, main);
    const printed: number[] = [];
    new Link('vcpu', there).on<ConsoleOutput>('console.output', ({ bytes }) => void printed.push(...bytes));
    const port = new ConsolePort(new Link('main', here), vcpu, (handler) => here.onSpace(handler));
    let writable = 0;
    port.listener = {
      readable: () => {},
      writable: () => {
        writable++;
      },
    };
    expect(port.writeMany(new Uint8Array(OUTPUT_BYTES + 5).fill(7))).toBe(OUTPUT_BYTES);
    expect([port.write(8), writable]).toEqual([false, 0]);
    simulation.run();
    expect([printed.length, writable, port.write(8)]).toEqual([OUTPUT_BYTES, 1, true]);
  });

  it('of the names that a codec remembers: the others are spelt out each time', () => {
    const [encoder, decoder] = [new Encoder(true), new Decoder(true)];
    const bytes = new Uint8Array(1024);
    const send = (message: object): { length: number; got: unknown } => {
      const length = encoder.encode(message, bytes, 0, bytes.length);
      return { length, got: decoder.decode(bytes, 0, length) };
    };
    for (let n = 0; n < NAMES; n++) send({ [`name${n}`]: n });
    const known = { name7: 1 };
    const late = { nameThatComesTooLate: 2 };
    expect(send(known)).toEqual({ length: expect.any(Number), got: known });
    const first = send(late);
    const second = send(late);
    expect([first.got, second.got, second.length]).toEqual([late, late, first.length]);
    expect(send(known).length).toBeLessThan(first.length);
  });
});
