/**
 * A service: requests to a thread that lives in its host's event loop, from threads that may never return to theirs and
 * look for the answers when they like. Of what is large, rare and can wait; all else goes through channels. A server may tell
 * its other clients what it has answered one: news, which those who do not look at them may lose.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Thread } from './threads.ts';

type FromClient<Request> = { readonly request: Request } | { readonly seen: number };
type ToClient<Answer, News> = { readonly answer: Answer } | { readonly news: News };

/** News that a client may have been sent without looking at them. */
export const MAX_UNSEEN = 16;
/** News kept for clients that do not look: the oldest are lost to them. */
export const MAX_KEPT = 64;

/** A client's end. Requests, answers and news are what structured clone can carry. */
export class ServiceClient<Request, Answer, News = never> {
  readonly #port: MessagePort;
  /** What has been received: no more than was asked for, and than MAX_UNSEEN. */
  readonly #answers: Answer[] = [];
  readonly #news: News[] = [];
  #seen = 0;

  private constructor(port: MessagePort) {
    this.#port = port;
  }

  /** @returns null where the thread has no such server */
  static of<Request, Answer, News = never>(
    thread: Thread,
    server: string,
  ): ServiceClient<Request, Answer, News> | null {
    const [port] = thread.servicePorts(server);
    return port === undefined ? null : new ServiceClient(port);
  }

  request(request: Request): void {
    this.#post({ request });
  }

  /** The answer to the next request in their order, or null where it is not there yet. */
  take(): Answer | null {
    this.#receive();
    return this.#answers.shift() ?? null;
  }

  /** What the server had next to tell all its other clients when it answered one; null for nothing new. */
  takeNews(): News | null {
    this.#receive();
    const next = this.#news.shift();
    if (next === undefined) return null;
    this.#seen += 1;
    if (this.#seen === MAX_UNSEEN / 2) {
      this.#post({ seen: this.#seen });
      this.#seen = 0;
    }
    return next;
  }

  #post(message: FromClient<Request>): void {
    this.#port.postMessage(message);
  }

  #receive(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: ToClient<Answer, News> } | undefined;
      if (received === undefined) return;
      const { message } = received;
      if ('answer' in message) this.#answers.push(message.answer);
      else this.#news.push(message.news);
    }
  }
}

/**
 * The server's end: answers each client in the order it asked. The thread ends when all of them have.
 * @param newsOf what the other clients are told of an answer, when they look; left out: nothing
 */
export function serve<Request, Answer, News = never>(
  thread: Thread,
  answerTo: (request: Request) => Answer,
  newsOf?: (request: Request, answer: Answer) => News,
): void {
  const ports = thread.servicePorts(thread.name);
  const board = newsOf !== undefined && ports.length > 1 ? new NewsBoard<News>(ports) : null;
  for (const port of ports) {
    port.on('message', (message: FromClient<Request>) => {
      if ('seen' in message) return board?.seen(port, message.seen);
      const answer = answerTo(message.request);
      port.postMessage({ answer } satisfies ToClient<Answer, News>);
      if (newsOf !== undefined) board?.publish(port, newsOf(message.request, answer));
    });
  }
}

interface Reader {
  readonly port: MessagePort;
  /** The number of the item that is sent to it next, counted from the first one ever. */
  next: number;
  unseen: number;
}

/** News for all clients but the one that they come from. Of those who do not look each gets a few, and the rest when it does. */
class NewsBoard<News> {
  readonly #readers: readonly Reader[];
  readonly #items: { readonly from: MessagePort; readonly news: News }[] = [];
  /** The number of the first item that is kept. */
  #first = 0;

  constructor(ports: readonly MessagePort[]) {
    this.#readers = ports.map((port) => ({ port, next: 0, unseen: 0 }));
  }

  publish(from: MessagePort, news: News): void {
    this.#items.push({ from, news });
    if (this.#items.length > MAX_KEPT) this.#forget(1);
    for (const reader of this.#readers) this.#tell(reader);
    this.#forget(Math.min(...this.#readers.map(({ next }) => next)) - this.#first);
  }

  seen(port: MessagePort, count: number): void {
    const reader = this.#readers.find((one) => one.port === port);
    if (reader === undefined) return;
    reader.unseen -= count;
    this.#tell(reader);
  }

  #tell(reader: Reader): void {
    reader.next = Math.max(reader.next, this.#first);
    for (; reader.unseen < MAX_UNSEEN; reader.next++) {
      const item = this.#items[reader.next - this.#first];
      if (item === undefined) return;
      if (item.from === reader.port) continue;
      reader.unseen += 1;
      reader.port.postMessage({ news: item.news } satisfies ToClient<never, News>);
    }
  }

  #forget(count: number): void {
    this.#items.splice(0, count);
    this.#first += count;
  }
}
