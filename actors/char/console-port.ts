/**
 * The thread's end of the console: a bounded buffer each way between the UART (and the SBI console) and the host back
 * end on the main loop. Output goes in one message per turn of the loop; input comes in chunks, the next when the last
 * has been taken, so nothing is lost and nothing grows.
 */
import type { Link, LinkMessage } from '../../src/actor/index.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import type { BottomHalf, LoopPort, Timer } from '../../src/loop/port.ts';
import type { CharPort } from './char-port.ts';

/** To the main loop. */
export interface ConsoleOutput extends LinkMessage {
  readonly type: 'console.output';
  readonly bytes: Uint8Array;
}
/** From the main loop, as a request; answered when the guest has taken the last byte. */
export interface ConsoleInput extends LinkMessage {
  readonly type: 'console.input';
  readonly bytes: Uint8Array;
}

const OUTPUT_MAX_BYTES = 4096;
/** Output goes when there is this much of it, or this long after its first byte: a message for each byte costs more. */
const FLUSH_BYTES = 1024;
const FLUSH_DELAY_NS = 1_000_000;
/** The longest piece of input in one message. */
export const INPUT_CHUNK_BYTES = 1024;

/** Of a frozen machine. */
export interface ConsolePortState {
  readonly output: readonly number[];
  readonly outputDeadlineNs: number | null;
  readonly unread: readonly number[];
}

export interface ConsolePortListener {
  /** There is input to read. */
  readable(): void;
  /** There is room again after a byte was refused. */
  writable(): void;
}

export class ConsolePort implements CharPort {
  readonly #link: Link;
  readonly #loop: LoopPort;
  readonly #flush: BottomHalf;
  readonly #delay: Timer;
  readonly #output = new Uint8Array(OUTPUT_MAX_BYTES);
  #outputBytes = 0;
  #refused = false;
  #input: Uint8Array = new Uint8Array(0);
  #inputAt = 0;
  #inputToken = 0;
  listener: ConsolePortListener | null = null;

  /** @param onSpace calls its argument whenever the link has room again */
  constructor(link: Link, loop: LoopPort, onSpace: (handler: () => void) => void) {
    this.#link = link;
    this.#loop = loop;
    this.#flush = loop.bottomHalf('console output', () => this.#send());
    this.#delay = loop.timer('console output', () => this.#send());
    onSpace(() => this.#flush.schedule());
    link.on<ConsoleInput>('console.input', ({ bytes }, token) => this.#receive(bytes, token));
  }

  write(byte: number): boolean {
    if (this.#outputBytes === OUTPUT_MAX_BYTES) {
      this.#refused = true;
      return false;
    }
    this.#output[this.#outputBytes++] = byte;
    if (this.#outputBytes === FLUSH_BYTES) this.#flush.schedule();
    else if (this.#outputBytes === 1) this.#delay.arm(this.#loop.nowNs() + FLUSH_DELAY_NS);
    return true;
  }

  read(): number {
    const byte = this.#input[this.#inputAt];
    if (byte === undefined) return -1;
    this.#inputAt += 1;
    if (this.#inputAt === this.#input.length) {
      const token = this.#inputToken;
      this.#inputToken = 0;
      this.#link.reply(token, null);
    }
    return byte;
  }

  /** As many bytes as there is room for. @returns how many were taken */
  writeMany(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length && this.write(bytes[taken] ?? 0)) taken += 1;
    return taken;
  }

  #receive(bytes: Uint8Array, token: number): void {
    this.#input = bytes;
    this.#inputAt = 0;
    this.#inputToken = token;
    this.listener?.readable();
  }

  /** What lies here, as plain data. Input that the guest has not read is told, and comes again from the main loop. */
  save(): ConsolePortState {
    const { deadlineNs } = this.#delay;
    return {
      output: [...this.#output.subarray(0, this.#outputBytes)],
      outputDeadlineNs: deadlineNs === null ? null : Math.ceil(deadlineNs),
      unread: [...this.#input.subarray(this.#inputAt)],
    };
  }

  /** @throws StateError */
  load(state: unknown): void {
    const reader = new StateReader('console', state);
    const output = reader.uints('output', 0xff, 0, OUTPUT_MAX_BYTES);
    const deadlineNs = reader.timeOrNull('outputDeadlineNs');
    reader.uints('unread', 0xff, 0, INPUT_CHUNK_BYTES);
    reader.finish();
    this.#output.set(output);
    this.#outputBytes = output.length;
    if (deadlineNs !== null) this.#delay.arm(deadlineNs);
    else if (output.length > 0) this.#flush.schedule();
  }

  /** What was gathered goes now: before the machine stands, and its clock with it. */
  flush(): void {
    this.#send();
  }

  #send(): void {
    this.#delay.cancel();
    if (this.#outputBytes > 0) {
      const bytes = this.#output.slice(0, this.#outputBytes);
      if (!this.#link.post({ type: 'console.output', bytes } as ConsoleOutput)) return;
      this.#outputBytes = 0;
    }
    if (this.#refused) {
      this.#refused = false;
      this.listener?.writable();
    }
  }
}
