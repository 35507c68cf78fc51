/**
 * The data plane of a vCPU: runs its hart in slices and does what the hart leaves to the host: register accesses, SBI
 * calls, waiting. Only the vCPU actor (vcpu.ts) holds it; everything here runs on the vCPU's own thread.
 *
 * An access that cannot be answered at once stays in the hart's state as its pending access; the vCPU does not run on
 * until it is answered, but its loop goes on turning.
 */
import { BUS_FAULT, MUST_WAIT } from '../../src/actor/index.ts';
import { type BusSize, FlatView } from '../../src/bus/flat-view.ts';
import type { Hart } from '../../src/hart/hart.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { EXIT, PENDING } from '../../src/hart/state.ts';
import type { LoopPort, Timer } from '../../src/loop/port.ts';
import { makeSbiCall } from '../../src/sbi/call.ts';
import type { SbiHost } from '../../src/sbi/host.ts';
import { VIRT_TIMEBASE_HZ } from '../board/virt-table.ts';
import type { Half } from '../misc/aclint.ts';
import type { HartLog } from './hart-log.ts';
import { beginHart, type HartStart } from './hart-setup.ts';

/** Instructions after which the thread's loop turns at the latest; the doorbell ends a slice much sooner. */
const SLICE = 200_000;
/** Length of one tick of the timebase. */
export const TICK_NS: number = 1e9 / VIRT_TIMEBASE_HZ;
const NEVER = (1n << 64n) - 1n;
const ECALL_BYTES = 4n;

/**
 * What the hart is waiting for, besides being told to run. `room`: the way to the device is full; `retry`: there is
 * room now, the next slice begins with the access.
 */
type Waiting = 'nothing' | 'interrupt' | 'access' | 'room' | 'retry' | 'reset';

export interface VcpuCoreOptions {
  readonly hart: Hart;
  readonly view: FlatView;
  readonly loop: LoopPort;
  readonly sbiHost: SbiHost;
  readonly log: HartLog | null;
}

export class VcpuCore {
  readonly #hart: Hart;
  #view: FlatView;
  readonly #sbiHost: SbiHost;
  readonly #log: HartLog | null;
  readonly #deadline: Timer;
  #waiting: Waiting = 'nothing';
  #running = false;
  /** Counts resets: the answer to an access from before one belongs to nobody. */
  #life = 0;

  constructor(options: VcpuCoreOptions) {
    this.#hart = options.hart;
    this.#view = options.view;
    this.#sbiHost = options.sbiHost;
    this.#log = options.log;
    this.#deadline = options.loop.timer('vcpu deadline', () => this.wake());
  }

  /** Whether slice() would do anything now. */
  get runnable(): boolean {
    return this.#running && (this.#waiting === 'nothing' || this.#waiting === 'retry');
  }

  /** The machine's wish; a slice is never interrupted by it, only not followed by another. */
  setRunning(running: boolean): void {
    this.#running = running;
    // What a debugger or a test wrote to RAM while the hart stood may be code that it has seen before.
    if (running) this.#hart.flush();
  }

  /** The hart asked for its machine's end: it does not go on. */
  halt(): void {
    this.#waiting = 'reset';
  }

  /** Puts the hart at its beginning. */
  begin(start: HartStart): void {
    this.reset();
    beginHart(this.#hart, start);
  }

  reset(): void {
    this.#waiting = 'nothing';
    this.#life += 1;
    // With a half-made access, if there is one.
    this.#view = new FlatView(this.#view.space);
    this.#deadline.cancel();
    this.#hart.reset(0n);
  }

  /** An interrupt line changed, or the deadline came: a hart in WFI looks again. */
  wake(): void {
    if (this.#waiting === 'interrupt') this.#waiting = 'nothing';
  }

  /** The way to far devices has room again. */
  retry(): void {
    if (this.#waiting === 'room') this.#waiting = 'retry';
  }

  setInterruptLine(bit: number, level: boolean): void {
    this.#hart.setInterruptLine(bit, level);
    if (level) this.wake();
  }

  /** mip.MSIP as it stands. */
  get softwareInterrupt(): boolean {
    return (this.#hart.get('lines') & (1n << BigInt(INTERRUPT.msi))) !== 0n;
  }

  setSoftwareInterrupt(level: boolean): void {
    this.setInterruptLine(INTERRUPT.msi, level);
  }

  /** @returns an unsigned half of mtimecmp */
  readMtimecmp(half: Half): number {
    return Number((this.#hart.get('mtimecmp') >> shiftOf(half)) & 0xffff_ffffn);
  }

  writeMtimecmp(half: Half, value: number): void {
    const other = this.#hart.get('mtimecmp') & (0xffff_ffffn << (32n - shiftOf(half)));
    this.#hart.setTimecmp(other | (BigInt(value) << shiftOf(half)));
  }

  /** Runs until the hart needs something that is not there, the doorbell rings, or the slice is over. */
  slice(): void {
    if (this.#waiting === 'retry') this.#access();
    if (this.runnable) this.#run();
    this.#log?.flush();
  }

  #run(): void {
    switch (this.#hart.run(SLICE)) {
      case EXIT.access:
        this.#access();
        break;
      case EXIT.wfi:
        this.#waitForInterrupt();
        break;
      case EXIT.sbi:
        this.#sbiCall();
        break;
      default:
    }
  }

  /** What the inspector shows. */
  view(): object {
    const hart = this.#hart;
    return {
      pc: `0x${hart.get('pc').toString(16)}`,
      privilege: hart.word('priv'),
      instret: hart.instret,
      waiting: this.#waiting,
    };
  }

  #access(): void {
    const hart = this.#hart;
    const gpa = Number(hart.get('pendingGpa'));
    const size = hart.word('pendingSize') as BusSize;
    if (hart.word('pendingIsWrite') === 1) {
      const value = hart.get('pendingValue');
      const result = this.#view.write(gpa, size, Number(value & 0xffff_ffffn), Number(value >> 32n));
      if (result === MUST_WAIT) this.#waiting = 'room';
      else this.#complete(result === BUS_FAULT, value);
      return;
    }
    const result = this.#view.read(gpa, size);
    if (result === MUST_WAIT) this.#readRemote(gpa, size);
    else this.#complete(result === BUS_FAULT, wide(this.#view.lo, this.#view.hi));
  }

  #readRemote(gpa: number, size: BusSize): void {
    this.#waiting = 'access';
    const life = this.#life;
    const asked = this.#view.readAsync(gpa, size, (fault, lo, hi) => {
      if (life === this.#life) this.#complete(fault, wide(lo, hi));
      // The answer to a read from before a reset: it leaves its place to this life's.
      else this.retry();
    });
    if (!asked) this.#waiting = 'room';
  }

  /** The hart takes the result when it executes the instruction again. */
  #complete(fault: boolean, value: bigint): void {
    const hart = this.#hart;
    const onFault = this.#log?.onFault ?? null;
    if (fault && onFault !== null) {
      const isWrite = hart.word('pendingIsWrite') === 1;
      onFault(Number(hart.get('pendingGpa')), hart.word('pendingSize'), isWrite);
    }
    hart.set('pendingValue', value);
    hart.setWord('pendingState', fault ? PENDING.fault : PENDING.done);
    // Not after halt().
    if (this.#waiting !== 'reset') this.#waiting = 'nothing';
  }

  #waitForInterrupt(): void {
    this.#waiting = 'interrupt';
    const deadline = this.#hart.get('deadline');
    if (deadline === NEVER) this.#deadline.cancel();
    else this.#deadline.arm(Number(deadline) * TICK_NS);
  }

  #sbiCall(): void {
    const hart = this.#hart;
    const status = makeSbiCall(this.#sbiHost);
    if (status === 'retry') return;
    if (status === 'pending') throw new Error('an SBI call of a machine with one hart waits for others');
    hart.set('pc', hart.get('pc') + ECALL_BYTES);
  }
}

function wide(lo: number, hi: number): bigint {
  return hi === 0 ? BigInt(lo) : (BigInt(hi) << 32n) | BigInt(lo);
}

function shiftOf(half: Half): bigint {
  return half === 'lo' ? 0n : 32n;
}
