/**
 * Messages of a thread's own that must all arrive, in order: what the link has no room for waits here. Bounded by its
 * users: the board and a vCPU say a few things for each change of life, and a vCPU does
 * not run on before its log is out.
 */
import type { Link, LinkMessage } from '../../src/actor/index.ts';

export class Outbox<M extends LinkMessage> {
  readonly #link: Link;
  readonly #waiting: M[] = [];

  constructor(link: Link) {
    this.#link = link;
    link.onSpace(() => this.#flush());
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  post(message: M): void {
    // When the other end has gone nobody is left to be told, and nothing will ever make room.
    if (this.#link.closed) return;
    if (this.#waiting.length > 0 || !this.#link.post(message)) this.#waiting.push(message);
  }

  #flush(): void {
    let sent = 0;
    for (const message of this.#waiting) {
      if (!this.#link.post(message)) break;
      sent++;
    }
    this.#waiting.splice(0, sent);
  }
}
