/** Ends of channels between threads that are none: all of them are the test's. */
import { Channel } from '../../src/channel/channel.ts';
import { type ChannelOptions, createChannel } from '../../src/channel/channel-end.ts';
import { createDoorbell, DoorbellConsumer, DoorbellProducer, type DoorbellWords } from '../../src/channel/doorbell.ts';

export interface TestThread {
  readonly number: number;
  readonly words: DoorbellWords;
  /** Its own end of its doorbell, and one that others ring. */
  readonly doorbell: DoorbellConsumer;
  readonly bell: DoorbellProducer;
}

let threads = 0;

export function testThread(signalWords = 1): TestThread {
  const words = createDoorbell(signalWords);
  threads += 1;
  return { number: threads, words, doorbell: new DoorbellConsumer(words), bell: new DoorbellProducer(words, null) };
}

/** @returns the first one's end of a channel between two, and the other's */
export function connect(one: TestThread, other: TestThread, options: Partial<ChannelOptions> = {}): [Channel, Channel] {
  const [near, far] = createChannel([one.number, other.number], options);
  return [new Channel(near, other.bell, one.doorbell), new Channel(far, one.bell, other.doorbell)];
}
