/**
 * The SBI console on the thread of a vCPU that has none beside it: bytes go to the first vCPU's thread and back in words
 * records, one under way each way, so that nothing grows: what does not fit now is refused, and the guest tries again.
 */
import { StateReader } from '../../src/bus/device-state.ts';
import { type Channel, REPLY_ABORTED } from '../../src/channel/channel.ts';
import type { ThreadConsole } from './vcpu-thread.ts';
import { WORDS } from './words.ts';

/** Bytes in one record: three words behind their number. */
const PIECE_BYTES = 12;

/** Of a frozen machine. */
export interface RelayedConsoleState {
  readonly output: readonly number[];
  /** A byte that has come and was not asked for again, if there is one. */
  readonly input: readonly number[];
}

export class RelayedConsole implements ThreadConsole {
  readonly #channel: Channel;
  readonly #piece = new Uint8Array(PIECE_BYTES);
  readonly #words = new Int32Array(this.#piece.buffer);
  /** Bytes of the piece that are still to go. */
  #length = 0;
  #sending = false;
  /** Input that has come, -1 for none. */
  #input = -1;
  #asking = false;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.onSpace(() => this.flush());
  }

  write(byte: number): boolean {
    if (this.#sending || this.#length === PIECE_BYTES) return false;
    this.#piece[this.#length++] = byte;
    this.flush();
    return true;
  }

  writeMany(bytes: Uint8Array): number {
    if (this.#sending || this.#length > 0) return 0;
    const taken = bytes.subarray(0, PIECE_BYTES);
    this.#piece.set(taken);
    this.#length = taken.length;
    this.flush();
    return taken.length;
  }

  /** @returns -1 when nothing has come yet: the next call may find it */
  read(): number {
    const byte = this.#input;
    this.#input = -1;
    if (byte < 0 && !this.#asking) {
      this.#asking = this.#channel.requestWords(WORDS.consoleRead, 0, 0, 0, 0, (status, value) => {
        this.#asking = false;
        this.#input = status === REPLY_ABORTED ? -1 : value;
      });
    }
    return byte;
  }

  /** @returns null while something is under way */
  save(): RelayedConsoleState | null {
    if (this.#sending || this.#asking) return null;
    return { output: [...this.#piece.subarray(0, this.#length)], input: this.#input < 0 ? [] : [this.#input] };
  }

  /** @throws StateError */
  load(state: unknown): void {
    const reader = new StateReader('relayed console', state);
    const output = reader.uints('output', 0xff, 0, PIECE_BYTES);
    const [input = -1] = reader.uints('input', 0xff, 0, 1);
    reader.finish();
    this.#piece.set(output);
    this.#length = output.length;
    this.#input = input;
    this.flush();
  }

  flush(): void {
    if (this.#sending || this.#length === 0) return;
    const [w0 = 0, w1 = 0, w2 = 0] = this.#words;
    this.#sending = this.#channel.requestWords(WORDS.consoleWrite, this.#length, w0, w1, w2, (status, taken) => {
      this.#sending = false;
      if (status === REPLY_ABORTED) return;
      this.#piece.copyWithin(0, taken, this.#length);
      this.#length -= taken;
      this.flush();
    });
  }
}

/** The side of the thread that has the console. */
export function serveRelayedConsole(channel: Channel, port: ThreadConsole): void {
  const piece = new Uint8Array(PIECE_BYTES);
  const words = new Int32Array(piece.buffer);
  channel.onWords(WORDS.consoleWrite, (length, w0, w1, w2, token) => {
    words[0] = w0;
    words[1] = w1;
    words[2] = w2;
    const taken = port.writeMany(piece.subarray(0, length));
    channel.replyWords(token, 0, taken);
  });
  channel.onWords(WORDS.consoleRead, (_0, _1, _2, _3, token) => channel.replyWords(token, 0, port.read()));
}
