/**
 * The other harts of the machine, as one hart's vCPU reaches them: what the built-in SBI asks of them (IPI, HSM, remote
 * fences; RISC-V SBI specification 2.0, chapters 7 to 9), by signal or message. No vCPU ever stops another: each serves
 * these in its own bottom halves, while it runs, waits or stands.
 */
import type { Channel } from '../../src/channel/channel.ts';
import type { DoorbellProducer } from '../../src/channel/doorbell.ts';
import {
  type HartEntry,
  type HartState,
  hartState,
  type RemoteFence,
  type SbiErrorCode,
  sbiError,
} from '../../src/sbi/host.ts';
import { SIGNAL, WORDS } from './words.ts';

/** What this hart does when others ask. */
export interface HartServer {
  /** @returns what SBI hart_start answers */
  startHart(entry: HartEntry): SbiErrorCode;
  readonly hartState: HartState;
  fence(fence: Omit<RemoteFence, 'harts'>): void;
}

/** The way to one other hart. */
interface Peer {
  readonly channel: Channel;
  readonly bell: DoorbellProducer;
}

/** A fence on its way to one hart. */
interface Unsent {
  readonly channel: Channel;
  send(): boolean;
  answered(): void;
}

const PAGE_SHIFT = 12n;
/** A page number has 52 bits: 32 in one word, 20 in the next, beside the kind. */
const LOW_BITS = 32n;
const HIGH_MASK = 0xf_ffff;
const KIND_SHIFT = 24;
const FENCE_KINDS = ['instruction', 'address', 'address-asid'] as const;
/** Everything: of a range with more pages than a word counts, too. */
const ALL_PAGES = 0;

export class HartPeers {
  readonly #peers = new Map<number, Peer>();
  /** Remote fences that found no room, or no credit, yet. Bounded: a hart has one call under way. */
  #unsent: Unsent[] = [];

  add(hart: number, channel: Channel, bell: DoorbellProducer): void {
    this.#peers.set(hart, { channel, bell });
    channel.onSpace(() => this.#sendAgain());
  }

  /** Answers what the others ask of this hart. */
  serve(server: HartServer): void {
    for (const { channel } of this.#peers.values()) {
      channel.onWords(WORDS.hartStart, (pcLow, pcHigh, low, high, token) => {
        const entry = { startGpa: Number(wide(pcLow, pcHigh)), opaque: wide(low, high) };
        channel.replyWords(token, server.startHart(entry) - sbiError.alreadyStopped, 0);
      });
      channel.onWords(WORDS.hartStatus, (_0, _1, _2, _3, token) => channel.replyWords(token, 0, server.hartState));
      channel.onWords(WORDS.remoteFence, (low, high, pages, asid, token) => {
        server.fence(decodeFence(low, high, pages, asid));
        channel.replyWords(token, 0, 0);
      });
    }
  }

  sendIpi(hart: number): void {
    this.#peers.get(hart)?.bell.raise(SIGNAL.ipi);
  }

  /** @param done called once every one of `fence.harts` has fenced; one that is gone needs none */
  fence(fence: RemoteFence, done: () => void): void {
    let left = 0;
    const [low, high, pages, asid] = encodeFence(fence);
    const answered = (): void => {
      left -= 1;
      if (left === 0) done();
    };
    for (const hart of fence.harts) {
      const channel = this.#peers.get(hart)?.channel;
      if (channel === undefined || channel.closed) continue;
      left += 1;
      const send = (): boolean => channel.requestWords(WORDS.remoteFence, low, high, pages, asid, answered);
      if (!send()) this.#unsent.push({ channel, send, answered });
    }
    if (left === 0) done();
  }

  /** @returns false when there was no room: ask again later */
  start(hart: number, entry: HartEntry, done: (error: SbiErrorCode) => void): boolean {
    const pc = BigInt(entry.startGpa);
    const { opaque } = entry;
    const channel = this.#peers.get(hart)?.channel;
    if (channel === undefined) return false;
    return channel.requestWords(
      WORDS.hartStart,
      word(pc),
      word(pc >> 32n),
      word(opaque),
      word(opaque >> 32n),
      (status) => done(status < 0 ? sbiError.failed : ((status + sbiError.alreadyStopped) as SbiErrorCode)),
    );
  }

  /** @returns false when there was no room: ask again later */
  status(hart: number, done: (state: HartState) => void): boolean {
    const channel = this.#peers.get(hart)?.channel;
    if (channel === undefined) return false;
    return channel.requestWords(WORDS.hartStatus, 0, 0, 0, 0, (status, state) =>
      done(status === 0 ? (state as HartState) : hartState.stopped),
    );
  }

  #sendAgain(): void {
    if (this.#unsent.length === 0) return;
    this.#unsent = this.#unsent.filter(({ channel, send, answered }) => {
      if (!channel.closed) return !send();
      answered();
      return false;
    });
  }
}

type FenceWords = [low: number, high: number, pages: number, asid: number];

function encodeFence({ kind, start, lengthBytes, asid }: RemoteFence): FenceWords {
  const first = BigInt.asUintN(52, start >> PAGE_SHIFT);
  const last = lengthBytes === null ? 0n : (start + lengthBytes - 1n) >> PAGE_SHIFT;
  const count = lengthBytes === null ? 0n : last - (start >> PAGE_SHIFT) + 1n;
  const pages = count > 0n && count < 1n << 31n ? Number(count) : ALL_PAGES;
  const high = Number(first >> LOW_BITS) | (FENCE_KINDS.indexOf(kind) << KIND_SHIFT);
  return [word(first), high, pages, asid];
}

function decodeFence(low: number, high: number, pages: number, asid: number): Omit<RemoteFence, 'harts'> {
  const first = (BigInt(high & HIGH_MASK) << LOW_BITS) | BigInt(low >>> 0);
  return {
    kind: FENCE_KINDS[high >> KIND_SHIFT] ?? 'address',
    start: first << PAGE_SHIFT,
    lengthBytes: pages === ALL_PAGES ? null : BigInt(pages) << PAGE_SHIFT,
    asid,
  };
}

const word = (value: bigint): number => Number(BigInt.asIntN(32, value));

function wide(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
