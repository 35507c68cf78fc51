/**
 * A service: requests to a thread that lives in its host's event loop, from threads that may never return to theirs and
 * look for the answers when they like. Of what is large, rare and can wait; all else goes through channels.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Thread } from './threads.ts';

/** A client's end. Requests and answers are what structured clone can carry. */
export class ServiceClient<Request, Answer> {
  readonly #port: MessagePort;

  private constructor(port: MessagePort) {
    this.#port = port;
  }

  /** @returns null where the thread has no such server */
  static of<Request, Answer>(thread: Thread, server: string): ServiceClient<Request, Answer> | null {
    const [port] = thread.servicePorts(server);
    return port === undefined ? null : new ServiceClient(port);
  }

  request(request: Request): void {
    this.#port.postMessage(request);
  }

  /** The answer to the next request in their order, or null where it is not there yet. */
  take(): Answer | null {
    const received = receiveMessageOnPort(this.#port) as { message: Answer } | undefined;
    return received === undefined ? null : received.message;
  }
}

/** The server's end: answers each client in the order it asked. The thread ends when all of them have. */
export function serve<Request, Answer>(thread: Thread, answer: (request: Request) => Answer): void {
  for (const port of thread.servicePorts(thread.name)) {
    port.on('message', (request: Request) => port.postMessage(answer(request)));
  }
}
