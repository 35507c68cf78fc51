/**
 * The data plane of a vCPU: runs its hart in slices and does what the hart leaves to the host: register accesses, SBI
 * calls, waiting. Only the vCPU actor (vcpu.ts) holds it; everything here runs on the vCPU's own thread.
 *
 * An access that cannot be answered at once stays in the hart's state as its pending access; the vCPU does not run on
 * until it is answered, but its loop goes on turning.
 */
import { BUS_FAULT, MUST_ASK, MUST_WAIT } from '../../src/actor/index.ts';
import { StateError, StateReader } from '../../src/bus/device-state.ts';
import { type BusSize, FlatView, type WideReadDone } from '../../src/bus/flat-view.ts';
import type { Hart } from '../../src/hart/hart.ts';
import type { HartState } from '../../src/hart/hart-state.ts';
import { EXIT, PENDING } from '../../src/hart/state.ts';
import type { LoopPort, Timer } from '../../src/loop/port.ts';
import type { DirtyClient } from '../../src/memory/dirty-log.ts';
import { finishSbiCall, makeSbiCall } from '../../src/sbi/call.ts';
import {
  type HartEntry,
  type HartState as HsmState,
  hartState,
  type RemoteFence,
  type SbiHost,
  type SbiResult,
} from '../../src/sbi/host.ts';
import { VIRT_TIMEBASE_HZ } from '../board/virt-table.ts';
import { AccessOrder, type InboundOrder, type InOrder } from './access-order.ts';
import type { HartLog } from './hart-log.ts';
import { beginHart, type HartStart } from './hart-setup.ts';
import { Spinning, type SpinningState } from './spinning.ts';
import type { HartAccess } from './vcpu-work.ts';

/** Instructions after which the thread's loop turns at the latest; the doorbell ends a slice much sooner. */
const SLICE = 200_000;
/** Length of one tick of the timebase. */
export const TICK_NS: number = 1e9 / VIRT_TIMEBASE_HZ;
const ECALL_BYTES = 4n;

const A7 = 17;

/**
 * What the hart is waiting for, besides being told to run. `room`: the way to the device is full; `turn`: what others
 * have sent to this thread comes first; `retry`, `recall`: that is over, the next slice begins with the access, or the call.
 * `yield`: it spins, and lets others run for a moment. `sbi`: other harts are to answer a call. `call`: they could not be
 * asked for want of room.
 */
type Waiting = 'nothing' | 'interrupt' | 'yield' | 'access' | 'room' | 'turn' | InOrder | 'sbi' | 'call' | 'reset';

/** Of those, what a saved hart goes on waiting for: the rest is made again, or there is room. */
const SAVED_WAITING = ['nothing', 'interrupt', 'yield', 'reset', 'retry', 'recall'] as const;

/** What a vCPU saves, beside its life. */
export interface VcpuCoreState {
  readonly waiting: (typeof SAVED_WAITING)[number];
  readonly suspended: boolean;
  /** With when a hart goes on that gives way. */
  readonly spin: SpinningState & { readonly untilNs: number | null };
  readonly hart: HartState;
}

export interface VcpuCoreOptions {
  readonly hart: Hart;
  readonly view: FlatView;
  readonly loop: LoopPort;
  /** As AccessOrder has it. */
  readonly order: InboundOrder | null;
  /** One of YIELDS_BEFORE_PARKING. */
  readonly yieldsBeforeParking: number;
  readonly sbiHost: SbiHost;
  readonly log: HartLog | null;
}

export class VcpuCore {
  readonly #hart: Hart;
  #view: FlatView;
  /** Takes the answers to reads through that view. */
  #readDone: WideReadDone;
  readonly #sbiHost: SbiHost;
  readonly #log: HartLog | null;
  readonly #loop: LoopPort;
  readonly #deadline: Timer;
  /** What #waitForInterrupt() reads and arms. */
  readonly #deadlineNs = new Float64Array(1);
  readonly #order: AccessOrder;
  #waiting: Waiting = 'nothing';
  #running = false;
  /** Counts resets: the answer to an access from before one belongs to nobody. */
  #life = 0;
  readonly #spinning: Spinning;
  /** Counts SBI calls that wait for others. */
  #call = 0;
  /** The hart asked to be suspended: where it goes on, null for behind the call. */
  #suspend: { readonly entry: HartEntry | null } | null = null;
  /** In SBI suspend, as hart_get_status tells others. */
  #suspended = false;
  /** The hart has run in the slice under way. */
  #hasRun = false;

  constructor(options: VcpuCoreOptions) {
    this.#hart = options.hart;
    this.#view = options.view;
    this.#readDone = this.#readsThrough(options.view);
    this.#sbiHost = options.sbiHost;
    this.#log = options.log;
    this.#spinning = new Spinning(options.yieldsBeforeParking);
    this.#loop = options.loop;
    this.#deadline = options.loop.timer('vcpu deadline', () => this.wake());
    this.#order = new AccessOrder(options.loop, options.order, (next) => {
      if (this.#waiting === 'turn') this.#waiting = next;
    });
    this.#findInterruptFiles();
  }

  /** Whether slice() would do anything now. */
  get runnable(): boolean {
    const waiting = this.#waiting;
    return this.#running && (waiting === 'nothing' || waiting === 'retry' || waiting === 'recall');
  }

  /** Whether another thread's answer is all that it waits for. */
  get awaitsAnswer(): boolean {
    return this.#running && (this.#waiting === 'access' || this.#waiting === 'sbi');
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
    this.#deadline.cancel();
  }

  /** Puts the hart at its beginning. */
  begin(start: HartStart): void {
    this.reset();
    beginHart(this.#hart, start);
  }

  reset(): void {
    this.#forget();
    this.#hart.reset(0n);
  }

  /** Whatever was under way. */
  #forget(): void {
    this.#waiting = 'nothing';
    this.#life += 1;
    this.#suspend = null;
    this.#suspended = false;
    this.#spinning.reset();
    // With a half-made access, if there is one.
    this.#view = new FlatView(this.#view.space);
    this.#readDone = this.#readsThrough(this.#view);
    this.#deadline.cancel();
    this.#order.cancel();
  }

  /** An interrupt line changed, or the deadline came: a hart in WFI looks again, a suspended one if mie enables it. */
  wake(): void {
    if (this.#waiting !== 'interrupt' && this.#waiting !== 'yield') return;
    if (this.#suspended && !this.#hart.interruptPending) return this.#waitForInterrupt();
    this.#waiting = 'nothing';
    this.#suspended = false;
    // It would come while the hart runs, and in a saved run alone: who waits for nothing is restored without one.
    this.#deadline.cancel();
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
  get hartState(): HsmState {
    return this.#suspended ? hartState.suspended : hartState.started;
  }

  /** A fence that another hart, or this one, asked for. */
  fence({ kind, start, lengthBytes, asid }: Omit<RemoteFence, 'harts'>): void {
    if (kind === 'instruction') this.#hart.fence('fence.i');
    else this.#hart.fence('sfence.vma', start, lengthBytes, kind === 'address-asid' ? asid : null);
  }

  /**
   * The next version of the topology, between two instructions.
   * @param flush translations that were kept may be wrong
   */
  setView(view: FlatView, flush: boolean): void {
    this.#view = view;
    this.#readDone = this.#readsThrough(view);
    this.#findInterruptFiles();
    if (flush) this.#hart.flush();
  }

  /** Where the hart may send messages itself: both levels' pages, as long as nothing covers a part of them. */
  #findInterruptFiles(): void {
    const { regions } = this.#view.space;
    const [machine, supervisor] = (['M', 'S'] as const).map((level) =>
      regions.find(({ interruptFiles, windowOffset = 0 }) => interruptFiles === level && windowOffset === 0),
    );
    const isWhole = supervisor !== undefined && machine?.lengthBytes === supervisor.lengthBytes;
    this.#hart.setInterruptFiles(isWhole ? { machine, supervisor } : null);
  }

  /** A message-signalled interrupt. */
  receiveMsi(file: 'M' | 'S', identity: number): void {
    this.#hart.receiveMsi(file, identity);
    this.wake();
  }

  /** Looks at the doorbell in the loop's place: where it has rung for the hart alone, that is all there is to do. */
  takeSignals(): void {
    if (this.#hart.takeSignals()) this.wake();
  }

  /** A hart in WFI looks for its signals itself for so long, before its thread does. */
  lookFor(durationNs: number): void {
    this.#hart.hot.lookFor(durationNs);
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

  /**
   * Runs until the hart needs something that is not there, the doorbell rings, or the slice is over.
   * @returns the instructions that the slice has lasted
   */
  slice(count: number = SLICE): number {
    this.#hasRun = false;
    if (this.#waiting === 'retry') this.#access();
    else if (this.#waiting === 'recall') this.#sbiCall();
    const lasted = this.runnable ? this.#run(count) : 0;
    this.#log?.flush();
    return lasted;
  }

  /** Instructions retired since the slice under way, or the last one, began. */
  get retired(): number {
    return this.#hasRun ? this.#hart.retired : 0;
  }

  #run(count: number): number {
    this.#hasRun = true;
    const exit = this.#hart.run(count);
    const { retired } = this.#hart;
    this.#serve(exit);
    // One that only traps retires nothing, and takes its time all the same.
    return exit === EXIT.slice && retired === 0 ? count : retired;
  }

  #serve(exit: number): void {
    switch (exit) {
      case EXIT.access:
        this.#access();
        break;
      case EXIT.wfi:
        this.#waitForInterrupt();
        break;
      case EXIT.sbi:
        this.#sbiCall();
        break;
      case EXIT.yield:
        this.#giveWay(this.#spinning.yield(this.#hart.instret, 'pausing'));
        break;
      case EXIT.stall:
        this.#giveWay(this.#spinning.yield(this.#hart.instret, 'stalling'));
        break;
      default:
    }
  }

  /** What is in flight elsewhere is not part of it: an access or a call that is not answered is made again. */
  save(): VcpuCoreState {
    // An access that found room meanwhile is made again as well; for one in order the thread's loop has turned.
    const isMadeAgain = this.#waiting === 'retry' && !this.#order.isSettled;
    const waiting = (isMadeAgain ? undefined : SAVED_WAITING.find((one) => one === this.#waiting)) ?? 'nothing';
    const untilNs = waiting === 'yield' ? Math.ceil(this.#deadline.deadlineNs ?? 0) : null;
    const spin = { ...this.#spinning.save(), untilNs };
    return { waiting, suspended: this.#suspended, spin, hart: this.#hart.save() };
  }

  /** @throws Error for what no save() of this version has given; the hart is then as it was */
  load(state: VcpuCoreState): void {
    const { waiting, suspended, hart } = state;
    if (!SAVED_WAITING.includes(waiting)) throw new StateError('vcpu.waiting', SAVED_WAITING.join(', '));
    if (typeof suspended !== 'boolean') throw new StateError('vcpu.suspended', 'true or false');
    const spin = new StateReader('vcpu.spin', state.spin);
    const spinning = Spinning.read(spin);
    const untilNs = spin.timeOrNull('untilNs');
    spin.finish();
    this.#hart.load(hart);
    this.#forget();
    this.#waiting = waiting;
    this.#suspended = suspended;
    this.#spinning.load(spinning);
    if (waiting === 'interrupt') this.#waitForInterrupt();
    else if (waiting === 'yield') this.#deadline.arm(untilNs ?? 0);
    this.#order.isSettled = waiting === 'retry' || waiting === 'recall';
    if (this.#hart.word('pendingState') === PENDING.issued) this.#waiting = 'retry';
    else if (waiting === 'retry') this.#waiting = 'nothing';
  }

  startDirtyLog(client: DirtyClient): void {
    this.#hart.startDirtyLog(client);
  }

  stopDirtyLog(client: DirtyClient): void {
    this.#hart.stopDirtyLog(client);
  }

  /** @returns the pages of RAM that the hart has written, for a client that has started */
  collectDirty(client: DirtyClient): Uint8Array {
    return this.#hart.collectDirty(client);
  }

  /** Lends the hart's state to `run`. */
  lend<T>(run: (state: HartAccess) => T): T {
    const hart = this.#hart;
    const lent: HartAccess = {
      hart: Number(hart.get('mhartid')),
      get instret() {
        return hart.instret;
      },
      get: (field, index) => hart.get(field, index),
      set: (field, value, index) => hart.set(field, value, index),
      word: (field) => hart.word(field),
      setWord: (field, value) => hart.setWord(field, value),
      flush: () => hart.afterLoad(),
    };
    const result = run(lent);
    // An interrupt may be pending now that was not.
    this.wake();
    return result;
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
    if (this.#order.mustTurn('retry')) {
      this.#waiting = 'turn';
      return;
    }
    const { hot } = this.#hart;
    const { gpa } = hot;
    const size = hot.size as BusSize;
    if (hot.isWrite) {
      const { lo, hi } = hot;
      const result = this.#view.write(gpa, size, lo, hi);
      if (result === MUST_ASK) this.#writeAnswered(gpa, size, lo, hi);
      else if (result === MUST_WAIT) this.#waiting = 'room';
      else this.#complete(result === BUS_FAULT, lo, hi);
      return;
    }
    const result = this.#view.read(gpa, size);
    if (result !== MUST_WAIT) return this.#complete(result === BUS_FAULT, this.#view.lo, this.#view.hi);
    this.#waiting = 'access';
    if (!this.#view.readAsync(gpa, size, this.#readDone)) this.#waiting = 'room';
  }

  /** One function for all of them: a read allocates nothing. */
  #readsThrough(view: FlatView): WideReadDone {
    const life = this.#life;
    return (fault, lo, hi) => {
      // Its registers went while it was on its way, or between its halves: what is there now answers, whole.
      if (life === this.#life && fault && view !== this.#view) this.#waiting = 'retry';
      else if (life === this.#life) this.#complete(fault, lo, hi);
      // The answer to a read from before a reset: it leaves its place to this life's.
      else this.retry();
    };
  }

  /** A write that is not posted: the guest goes on when it has taken effect. */
  #writeAnswered(gpa: number, size: BusSize, lo: number, hi: number): void {
    this.#waiting = 'access';
    const life = this.#life;
    const asked = this.#view.writeAsync(gpa, size, lo, hi, (fault) => {
      if (life === this.#life) this.#complete(fault, lo, hi);
      else this.retry();
    });
    if (!asked) this.#waiting = 'room';
  }

  /** The hart takes the result when it executes the instruction again. */
  #complete(fault: boolean, lo: number, hi: number): void {
    const { hot } = this.#hart;
    if (fault) this.#log?.onFault?.(hot.gpa, hot.size, hot.isWrite);
    hot.answer(fault, lo, hi);
    // Not after halt().
    if (this.#waiting !== 'reset') this.#waiting = 'nothing';
  }

  #waitForInterrupt(): void {
    this.#waiting = 'interrupt';
    const deadlineNs = this.#deadlineNs;
    // In ticks.
    this.#hart.hot.readDeadline(deadlineNs);
    deadlineNs[0] = (deadlineNs[0] as number) * TICK_NS;
    if (deadlineNs[0] === Number.POSITIVE_INFINITY) this.#deadline.cancel();
    else this.#deadline.armAt(deadlineNs);
  }

  #giveWay(durationNs: number): void {
    if (durationNs === 0) return;
    this.#waiting = 'yield';
    this.#deadline.arm(this.#loop.nowNs() + durationNs);
  }

  #sbiCall(): void {
    this.#waiting = this.#order.mustTurn('recall') ? 'turn' : 'nothing';
    if (this.#waiting === 'turn') return;
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
