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
import { EXIT, PENDING } from '../../src/hart/state.ts';
import type { LoopPort, Timer } from '../../src/loop/port.ts';
import { finishSbiCall, makeSbiCall } from '../../src/sbi/call.ts';
import {
  type HartEntry,
  type HartState,
  hartState,
  type RemoteFence,
  type SbiHost,
  type SbiResult,
} from '../../src/sbi/host.ts';
import { VIRT_TIMEBASE_HZ } from '../board/virt-table.ts';
import type { HartLog } from './hart-log.ts';
import { beginHart, type HartStart } from './hart-setup.ts';

/** Instructions after which the thread's loop turns at the latest; the doorbell ends a slice much sooner. */
const SLICE = 200_000;
/** Length of one tick of the timebase. */
export const TICK_NS: number = 1e9 / VIRT_TIMEBASE_HZ;
/** Of a deadline that never comes, both halves. */
const NEVER_HALF = 0xffff_ffff;
const ECALL_BYTES = 4n;

const A7 = 17;

/**
 * What the hart is waiting for, besides being told to run. `room`: the way to the device is full; `retry`: there is
 * room now, the next slice begins with the access. `sbi`: other harts are to answer a call. `call`: they could not be
 * asked for want of room.
 */
type Waiting = 'nothing' | 'interrupt' | 'access' | 'room' | 'retry' | 'sbi' | 'call' | 'reset';

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
  /** Counts SBI calls that wait for others. */
  #call = 0;
  /** The hart asked to be suspended: where it goes on, null for behind the call. */
  #suspend: { readonly entry: HartEntry | null } | null = null;
  /** In SBI suspend, as hart_get_status tells others. */
  #suspended = false;

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
    this.#suspend = null;
    this.#suspended = false;
    // With a half-made access, if there is one.
    this.#view = new FlatView(this.#view.space);
    this.#deadline.cancel();
    this.#hart.reset(0n);
  }

  /** An interrupt line changed, or the deadline came: a hart in WFI looks again, a suspended one if mie enables it. */
  wake(): void {
    if (this.#waiting !== 'interrupt') return;
    if (this.#suspended && !this.#hart.interruptPending) return this.#waitForInterrupt();
    this.#waiting = 'nothing';
    this.#suspended = false;
  }

  /** The way to far devices, or to other harts, has room again. */
  retry(): void {
    if (this.#waiting === 'room') this.#waiting = 'retry';
    else if (this.#waiting === 'call') this.#waiting = 'nothing';
  }

  setInterruptLine(bit: number, level: boolean): void {
    this.#hart.setInterruptLine(bit, level);
    if (level) this.wake();
  }

  /** The ACLINT's comparator, as unsigned halves. */
  setTimecmp(lo: number, hi: number): void {
    this.#hart.setTimecmp(lo, hi);
    // The deadline of a hart in WFI may have moved.
    this.wake();
  }

  /** HSM state of a hart that was started. */
  get hartState(): HartState {
    return this.#suspended ? hartState.suspended : hartState.started;
  }

  /** A fence that another hart, or this one, asked for. */
  fence(_fence: Omit<RemoteFence, 'harts'>): void {
    this.#hart.flush();
  }

  /** The SBI call in progress waits for others. @returns takes its result, once */
  pend(): (result: SbiResult) => void {
    const life = this.#life;
    this.#call += 1;
    const call = this.#call;
    return (result) => {
      if (life !== this.#life || call !== this.#call || this.#waiting !== 'sbi') return;
      this.#waiting = 'nothing';
      this.#finishSbi(result);
    };
  }

  /** Suspends the hart behind the call in progress. */
  suspend(entry: HartEntry | null): void {
    this.#suspend = { entry };
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
    const gpa = number(hart.low('pendingGpa'), hart.high('pendingGpa'));
    const size = hart.word('pendingSize') as BusSize;
    if (hart.word('pendingIsWrite') === 1) {
      const lo = hart.low('pendingValue');
      const hi = hart.high('pendingValue');
      const result = this.#view.write(gpa, size, lo, hi);
      if (result === MUST_WAIT) this.#waiting = 'room';
      else this.#complete(result === BUS_FAULT, lo, hi);
      return;
    }
    const result = this.#view.read(gpa, size);
    if (result === MUST_WAIT) this.#readRemote(gpa, size);
    else this.#complete(result === BUS_FAULT, this.#view.lo, this.#view.hi);
  }

  #readRemote(gpa: number, size: BusSize): void {
    this.#waiting = 'access';
    const life = this.#life;
    const asked = this.#view.readAsync(gpa, size, (fault, lo, hi) => {
      if (life === this.#life) this.#complete(fault, lo, hi);
      // The answer to a read from before a reset: it leaves its place to this life's.
      else this.retry();
    });
    if (!asked) this.#waiting = 'room';
  }

  /** The hart takes the result when it executes the instruction again. */
  #complete(fault: boolean, lo: number, hi: number): void {
    const hart = this.#hart;
    const onFault = this.#log?.onFault ?? null;
    if (fault && onFault !== null) {
      const isWrite = hart.word('pendingIsWrite') === 1;
      onFault(Number(hart.get('pendingGpa')), hart.word('pendingSize'), isWrite);
    }
    hart.setHalves('pendingValue', lo, hi);
    hart.setWord('pendingState', fault ? PENDING.fault : PENDING.done);
    // Not after halt().
    if (this.#waiting !== 'reset') this.#waiting = 'nothing';
  }

  #waitForInterrupt(): void {
    this.#waiting = 'interrupt';
    const lo = this.#hart.low('deadline');
    const hi = this.#hart.high('deadline');
    if (lo === NEVER_HALF && hi === NEVER_HALF) this.#deadline.cancel();
    else this.#deadline.arm(number(lo, hi) * TICK_NS);
  }

  #sbiCall(): void {
    const hart = this.#hart;
    const calls = this.#call;
    const status = makeSbiCall(this.#sbiHost);
    if (status === 'retry') {
      // Others could not be asked: the call is made again when there is room. The console's room comes by itself.
      if (this.#call !== calls) this.#waiting = 'call';
      return;
    }
    if (status === 'pending') {
      this.#waiting = 'sbi';
      return;
    }
    hart.set('pc', hart.get('pc') + ECALL_BYTES);
    if (this.#suspend !== null) this.#enterSuspend(this.#suspend.entry);
  }

  #finishSbi(result: SbiResult): void {
    const hart = this.#hart;
    finishSbiCall(this.#sbiHost, hart.get('x', A7), result);
    hart.set('pc', hart.get('pc') + ECALL_BYTES);
  }

  /** What may end it is what mie enables, as for WFI. Without retention the hart begins anew, but for that. */
  #enterSuspend(entry: HartEntry | null): void {
    const hart = this.#hart;
    this.#suspend = null;
    if (entry !== null) {
      const mie = hart.get('mie');
      beginHart(hart, { mode: 'S', pcGpa: entry.startGpa, a1: entry.opaque, a2: 0n });
      hart.set('mie', mie);
    }
    if (hart.interruptPending) return;
    this.#suspended = true;
    this.#waitForInterrupt();
  }
}

/** Addresses and times beyond 2^53 are rounded: nothing lies there, and nobody waits so long. */
function number(lo: number, hi: number): number {
  return hi * 2 ** 32 + lo;
}
