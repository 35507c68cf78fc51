/**
 * Collecting the logs of all writers of guest RAM. The main loop asks, by message, each thread that writes; a thread
 * takes its writers' bitmaps in one step of its loop and sends what is not zero in pieces, then answers.
 *
 * No write is missed between two collections: a writer's take() and its writes are steps of one thread, so each write is
 * before a take, and in what that gives, or after it, and in what the next one gives. Nor before the first: start() is
 * done when every writer has answered, and what RAM held by then is the client's to read as a whole. A thread that ends
 * before it has answered may have written anywhere: all pages count as written, once; later it writes no more.
 *
 * The bitmap of a round is complete, and not of one moment: whoever reads RAM by it stops the writers first, or collects
 * again.
 */
import type { Link, LinkMessage } from '../actor/index.ts';
import type { BottomHalf, LoopPort } from '../loop/port.ts';
import {
  DIRTY_CLIENTS,
  DIRTY_PAGE_BYTES,
  type DirtyClient,
  type DirtyWriter,
  dirtyBitmapBytes,
  setPages,
} from '../memory/dirty-log.ts';
import { assert } from '../util/errors.ts';

/** Well below what a message may have. */
const PIECE_BYTES = 4096;

interface Ask extends LinkMessage {
  readonly type: 'dirty.start' | 'dirty.stop' | 'dirty.take';
  readonly client: DirtyClient;
}

interface Piece extends LinkMessage {
  readonly type: 'dirty.piece';
  readonly client: DirtyClient;
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/** Answers for the writers of this thread. One per link. */
export class DirtyResponder {
  readonly #link: Link;
  readonly #writers: readonly DirtyWriter[];
  /** What there was no room for yet: pieces, then the answer. The collector asks once at a time for each client. */
  #unsent: (() => boolean)[] = [];

  constructor(link: Link, writers: readonly DirtyWriter[]) {
    this.#link = link;
    this.#writers = writers;
    link.on<Ask>('dirty.start', ({ client }, token) => {
      for (const writer of writers) writer.start(client);
      link.reply(token, null);
    });
    link.on<Ask>('dirty.stop', ({ client }, token) => {
      for (const writer of writers) writer.stop(client);
      link.reply(token, null);
    });
    link.on<Ask>('dirty.take', ({ client }, token) => this.#take(client, token));
    link.onSpace(() => this.#send());
  }

  #take(client: DirtyClient, token: number): void {
    for (const writer of this.#writers) {
      const taken = writer.take(client);
      for (let offsetBytes = 0; offsetBytes < taken.length; offsetBytes += PIECE_BYTES) {
        const bytes = taken.subarray(offsetBytes, offsetBytes + PIECE_BYTES);
        if (bytes.every((byte) => byte === 0)) continue;
        this.#unsent.push(() => this.#link.post({ type: 'dirty.piece', client, offsetBytes, bytes } as Piece));
      }
    }
    this.#unsent.push(() => {
      this.#link.reply(token, null);
      return true;
    });
    this.#send();
  }

  #send(): void {
    while (this.#unsent[0]?.() === true) this.#unsent.shift();
  }
}

/** What one client is waiting for. */
interface Round {
  bitmap: Uint8Array;
  unanswered: number;
  readonly done: (bitmap: Uint8Array) => void;
}

export interface DirtyCollectorOptions {
  readonly loop: LoopPort;
  readonly ramBytes: number;
  /** Of this thread. */
  readonly writers: readonly DirtyWriter[];
  /** To each thread that has a DirtyResponder. */
  readonly links: readonly Link[];
}

/** The asking side. One question at a time for each client. */
export class DirtyCollector {
  readonly #options: DirtyCollectorOptions;
  readonly #rounds = new Map<DirtyClient, Round>();
  readonly #unsent: { readonly link: Link; readonly ask: Ask; readonly round: Round }[] = [];
  /** Threads that have ended. */
  readonly #ended = new Set<Link>();
  /** Who has not been told yet that a thread has ended. */
  readonly #owed = new Set<DirtyClient>();
  readonly #finish: BottomHalf;
  #finished: (() => void)[] = [];

  constructor(options: DirtyCollectorOptions) {
    this.#options = options;
    this.#finish = options.loop.bottomHalf('dirty pages collected', () => {
      const finished = this.#finished;
      this.#finished = [];
      for (const done of finished) done();
    });
    for (const link of options.links) {
      link.on<Piece>('dirty.piece', ({ client, offsetBytes, bytes }) => {
        const round = this.#rounds.get(client);
        if (round !== undefined) addBits(round.bitmap, offsetBytes, bytes);
      });
      link.onSpace(() => this.#send());
    }
  }

  /** @param done called in a later bottom half, when every writer notes its writes for this client */
  start(client: DirtyClient, done: () => void): void {
    for (const writer of this.#options.writers) writer.start(client);
    this.#ask('dirty.start', client, done);
  }

  /** @param done as at start() */
  stop(client: DirtyClient, done: () => void): void {
    for (const writer of this.#options.writers) writer.stop(client);
    this.#ask('dirty.stop', client, done);
  }

  /** @param done called in a later bottom half: the pages written since start() or the last collect() */
  collect(client: DirtyClient, done: (bitmap: Uint8Array) => void): void {
    const round = this.#ask('dirty.take', client, (bitmap) => {
      if (this.#owed.delete(client)) setPages(bitmap, 0, Math.ceil(this.#options.ramBytes / DIRTY_PAGE_BYTES) - 1);
      done(bitmap);
    });
    for (const writer of this.#options.writers) addBits(round.bitmap, 0, writer.take(client));
  }

  #ask(type: Ask['type'], client: DirtyClient, done: (bitmap: Uint8Array) => void): Round {
    assert(!this.#rounds.has(client), `one question at a time about the pages of ${client}`);
    const links = this.#options.links.filter((link) => !this.#ended.has(link));
    const bitmap = new Uint8Array(dirtyBitmapBytes(this.#options.ramBytes));
    // One more, so that nothing is finished before everybody has been asked.
    const round: Round = { bitmap, unanswered: links.length + 1, done };
    this.#rounds.set(client, round);
    for (const link of links) this.#unsent.push({ link, ask: { type, client }, round });
    this.#send();
    this.#answered(client, round);
    return round;
  }

  #send(): void {
    const unsent = this.#unsent.splice(0);
    for (const item of unsent) if (!this.#sent(item.link, item.ask, item.round)) this.#unsent.push(item);
  }

  #sent(link: Link, ask: Ask, round: Round): boolean {
    const { client } = ask;
    if (link.closed) {
      this.#lost(link);
      this.#answered(client, round);
      return true;
    }
    return link.request(ask, (_reply, error) => {
      assert(error === null || link.closed, `${link.peer}: ${error?.message}`);
      if (error !== null) this.#lost(link);
      this.#answered(client, round);
    });
  }

  #lost(link: Link): void {
    if (this.#ended.has(link)) return;
    this.#ended.add(link);
    for (const client of DIRTY_CLIENTS) this.#owed.add(client);
  }

  #answered(client: DirtyClient, round: Round): void {
    round.unanswered -= 1;
    if (round.unanswered > 0) return;
    this.#finished.push(() => {
      this.#rounds.delete(client);
      round.done(round.bitmap);
    });
    this.#finish.schedule();
  }
}

function addBits(bitmap: Uint8Array, offsetBytes: number, more: Uint8Array): void {
  for (const [index, byte] of more.entries()) {
    const at = offsetBytes + index;
    if (byte !== 0 && at < bitmap.length) bitmap[at] = (bitmap[at] ?? 0) | byte;
  }
}
