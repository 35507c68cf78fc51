/** What a channel between two threads is made of, as data that both are sent. */
import { assert } from '../util/errors.ts';
import { PLACE_TOKENS_END } from './places.ts';
import { createRing, RECORD_HEADER_BYTES } from './ring.ts';

/** In the token of a request: its answer may go to its place at the asking thread's doorbell. Above all tokens. */
export const TO_PLACE = PLACE_TOKENS_END >> 1;
const MAX_CREDITS = TO_PLACE - 1;

/** An error reply, cut to size, always fits into this. */
const REPLY_MIN_BYTES = 504;

export interface ChannelOptions {
  /** Each way; a power of two. */
  readonly capacityBytes: number;
  /** Requests that each end may have outstanding: 1 to 127. */
  readonly credits: number;
  /** The longest reply. */
  readonly replyMaxBytes: number;
}

const DEFAULT_CHANNEL_OPTIONS: ChannelOptions = {
  capacityBytes: 65_536,
  credits: 32,
  replyMaxBytes: REPLY_MIN_BYTES,
};

/** One end of a channel as data, to be sent to the thread that opens it. */
export interface ChannelEnd extends ChannelOptions {
  readonly outbound: SharedArrayBuffer;
  readonly inbound: SharedArrayBuffer;
  /** This thread at the other's doorbell, and the other at this one's. */
  readonly number: number;
  readonly peerNumber: number;
}

/** @param numbers of the two threads, each unlike those of all others, from 1 up */
export function createChannel(
  [number, peerNumber]: readonly [number, number],
  options: Partial<ChannelOptions> = {},
): [ChannelEnd, ChannelEnd] {
  const full = { ...DEFAULT_CHANNEL_OPTIONS, ...options };
  assert(
    full.replyMaxBytes >= REPLY_MIN_BYTES && full.replyMaxBytes % 8 === 0,
    `replyMaxBytes is a multiple of 8 from ${REPLY_MIN_BYTES} up, so that an error fits`,
  );
  assert(reservedBytes(full) <= full.capacityBytes / 2, 'replies may claim at most half of a ring');
  assert(full.credits <= MAX_CREDITS, `a channel has at most ${MAX_CREDITS} credits`);
  const one = createRing(full.capacityBytes);
  const other = createRing(full.capacityBytes);
  return [
    { ...full, outbound: one, inbound: other, number, peerNumber },
    { ...full, outbound: other, inbound: one, number: peerNumber, peerNumber: number },
  ];
}

/** Room for all replies, and for the one filler record that may lie between them. */
export function reservedBytes(options: ChannelOptions): number {
  return (options.credits + 1) * (options.replyMaxBytes + RECORD_HEADER_BYTES);
}
