/**
 * Register windows across threads: a write is posted, a read is a request that is answered later. No allocation on the
 * writing side, one closure for a read.
 */
import { type Channel, FIRST_WORDS_KIND, REPLY_ABORTED } from '../channel/channel.ts';
import { assert } from '../util/errors.ts';
import type { AccessSize } from './device-core.ts';
import { ACCESS_OK, BUS_FAULT, MUST_WAIT, type ReadDone, type RegisterWindow } from './register-window.ts';

/** Words: window, offset, size, value. */
const KIND_READ = FIRST_WORDS_KIND;
const KIND_WRITE = FIRST_WORDS_KIND + 1;

/** The device's side: answers for the windows it was given. One per channel. */
export class WindowServer {
  readonly #windows = new Map<number, RegisterWindow>();
  readonly #channel: Channel;
  /** Posted writes that faulted: nobody waited for the answer. */
  faultedWrites = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.onWords(KIND_READ, (id, offset, size, _value, token) => this.#read(id, offset, size as AccessSize, token));
    channel.onWords(KIND_WRITE, (id, offset, size, value) => {
      const result = this.#window(id).write(offset, value >>> 0, size as AccessSize);
      assert(result !== MUST_WAIT, 'a window is served by the thread its device lives on');
      if (result === BUS_FAULT) this.faultedWrites++;
    });
  }

  /** @param id what the other thread's remoteRegisterWindow() was given */
  serve(id: number, window: RegisterWindow): void {
    this.#windows.set(id, window);
  }

  #read(id: number, offset: number, size: AccessSize, token: number): void {
    const asked = this.#window(id).readAsync(offset, size, (result) => {
      if (result === BUS_FAULT) this.#channel.replyWords(token, BUS_FAULT, 0);
      else this.#channel.replyWords(token, ACCESS_OK, result);
    });
    assert(asked, 'a window is served by the thread its device lives on');
  }

  #window(id: number): RegisterWindow {
    return this.#windows.get(id) ?? NO_WINDOW;
  }
}

/** The accessing side's window of a device on the thread at the other end of the channel. */
export function remoteRegisterWindow(channel: Channel, id: number, lengthBytes: number): RegisterWindow {
  const outside = (offset: number, size: number): boolean => offset < 0 || offset + size > lengthBytes;
  return {
    lengthBytes,
    read: (offset, size) => (outside(offset, size) || channel.closed ? BUS_FAULT : MUST_WAIT),
    write: (offset, value, size) => {
      if (outside(offset, size) || channel.closed) return BUS_FAULT;
      return channel.postWords(KIND_WRITE, id, offset, size, value | 0) ? ACCESS_OK : MUST_WAIT;
    },
    readAsync: (offset, size, done) => {
      if (outside(offset, size) || channel.closed) {
        done(BUS_FAULT);
        return true;
      }
      return channel.requestWords(KIND_READ, id, offset, size, 0, (status, value) => {
        done(status === BUS_FAULT || status === REPLY_ABORTED ? BUS_FAULT : value >>> 0);
      });
    },
  };
}

const NO_WINDOW: RegisterWindow = {
  lengthBytes: 0,
  read: () => BUS_FAULT,
  write: () => BUS_FAULT,
  readAsync: (_offset, _size, done: ReadDone) => {
    done(BUS_FAULT);
    return true;
  },
};
