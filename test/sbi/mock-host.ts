/** An SbiHost that notes what it is asked and answers what the test says. Two MiB of RAM at 0x80000000, harts 0, 1, 5. */
import type { SbiAnswer, SbiHost } from '../../src/sbi/host.ts';
import { sbiSuccess } from '../../src/sbi/host.ts';

export const RAM_BASE = 0x8000_0000;
const RAM_BYTES = 2 ** 21;

export class MockHost implements SbiHost {
  readonly hart = 0;
  readonly harts = [0, 1, 5];
  readonly identity = { mvendorid: 1n, marchid: 2n, mimpid: 3n };
  readonly x = new Array<bigint>(32).fill(0xdead_beefn);
  readonly ram = new Uint8Array(RAM_BYTES);
  /** Each call as [method, ...arguments]. */
  readonly log: unknown[][] = [];
  readonly written: number[] = [];
  input: number[] | null = [];
  /** Bytes the console takes before it is full; -1: it has failed. */
  consoleRoom = Number.POSITIVE_INFINITY;
  answer: SbiAnswer = sbiSuccess();
  ipiPending = false;
  virtual = new Map<bigint, bigint>();

  readX(register: number): bigint {
    return this.x[register] ?? 0n;
  }
  writeX(register: number, value: bigint): void {
    this.x[register] = value;
  }
  setTimer(deadlineTicks: bigint): void {
    this.log.push(['setTimer', deadlineTicks]);
  }
  sendIpi(hart: number): void {
    this.log.push(['sendIpi', hart]);
  }
  clearIpi(): boolean {
    const was = this.ipiPending;
    this.ipiPending = false;
    return was;
  }
  remoteFence(fence: object): SbiAnswer {
    return this.#note('remoteFence', fence);
  }
  hartStart(hart: number, entry: object): SbiAnswer {
    return this.#note('hartStart', hart, entry);
  }
  hartStop(): SbiAnswer {
    return this.#note('hartStop');
  }
  hartStatus(hart: number): SbiAnswer {
    return this.#note('hartStatus', hart);
  }
  hartSuspend(entry: object | null): SbiAnswer {
    return this.#note('hartSuspend', entry);
  }
  systemReset(request: object): SbiAnswer {
    return this.#note('systemReset', request);
  }
  consoleWrite(bytes: Uint8Array): number {
    if (this.consoleRoom < 0) return -1;
    const taken = Math.min(bytes.length, this.consoleRoom);
    this.written.push(...bytes.subarray(0, taken));
    this.consoleRoom -= taken;
    return taken;
  }
  consoleRead(maxBytes: number): Uint8Array | null {
    return this.input === null ? null : new Uint8Array(this.input.splice(0, maxBytes));
  }
  isRam(gpa: number, lengthBytes: number): boolean {
    return gpa >= RAM_BASE && gpa + lengthBytes <= RAM_BASE + RAM_BYTES;
  }
  readMemory(gpa: number, lengthBytes: number): Uint8Array | null {
    if (lengthBytes === 0) return new Uint8Array(0);
    return this.isRam(gpa, lengthBytes) ? this.ram.slice(gpa - RAM_BASE, gpa - RAM_BASE + lengthBytes) : null;
  }
  writeMemory(gpa: number, bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true;
    if (!this.isRam(gpa, bytes.length)) return false;
    this.ram.set(bytes, gpa - RAM_BASE);
    return true;
  }
  readVirtual64(gva: bigint): bigint | null {
    return this.virtual.get(gva) ?? null;
  }

  #note(...call: unknown[]): SbiAnswer {
    this.log.push(call);
    return this.answer;
  }
}
