/** The interpreter's outer loop, `run(hart)`: doorbell, interrupts, fetch, the hot loop and what it leaves to others. */
import type { Code, Label } from '../wasm/code.ts';
import type { FunctionType, Module } from '../wasm/module.ts';
import { SPECIAL } from './handlers.ts';
import { JumpCache } from './jump-cache.ts';
import { LEFT, TRACE } from './profile-layout.ts';
import { REGION_TYPE, RegionVisits } from './region-visits.ts';
import { type Call, type Loops, SlowForms } from './slow-forms.ts';
import {
  ARENA,
  DECODED_PAGE,
  EXIT,
  type FieldName,
  FTLB,
  HART_OFFSETS,
  JUMP_CACHE,
  OP,
  REGION,
  REGION_STATUS,
  STATUS,
} from './state.ts';

/** Why the hot loop returned. */
export const FAST = { outOfBudget: 0, slow: 1, undecoded: 2, fetch: 3, region: 4 } as const;

/** What the host supplies. `trace` is told how many arrivals of the trace that was just taken are for it (ARENA.arrived). */
export const HOST_IMPORTS: Readonly<Record<string, FunctionType>> = {
  trace: { parameters: ['i32'], results: [] },
};

/**
 * Instructions between two looks at the clock, and of translated code at the doorbell: about a microsecond of that, six of
 * the interpreter.
 */
export const QUANTUM = 4096;
/** Of translated code, so many behind another without a look at the clock: it executes several times as many a second. */
const BRIEF_QUANTA = 7;
/** Turns of the loop after which `run` returns whatever happens: a guest that only traps retires nothing. */
const MAX_TURNS = 65536;

/** Builds and exports `run(hart: i32) -> EXIT`. */
export function buildRunLoop(module: Module, call: Call, { fast, regions }: { fast: number; regions: number }): void {
  const { index, code } = module.function({ parameters: ['i32'], results: ['i32'] });
  const slowType = module.type({ parameters: ['i32', 'i32'], results: [] });
  const regionType = module.type(REGION_TYPE);
  new RunLoop(code, call, { fast, slowType, regions, regionType }).emit();
  module.export('run', index);
}

/** What the loop calls: `fast`, the slow forms of table 0, and the regions of another table. */
interface Callees {
  readonly fast: number;
  readonly slowType: number;
  /** A table, and the type of what is in it. */
  readonly regions: number;
  readonly regionType: number;
}

class RunLoop {
  readonly #code: Code;
  readonly #call: Call;
  readonly #callees: Callees;
  readonly #hart = 0;
  readonly #turns: number;
  /** `remaining` at which the doorbell and the clock are looked at again, not negative. */
  readonly #quantumEnd: number;
  /** That may still follow. */
  readonly #briefQuanta: number;
  readonly #status: number;
  readonly #reason: number;
  readonly #slice: number;
  /** `remaining` when the hot loop was last called. */
  readonly #before: number;
  /** LEFT. */
  readonly #left: number;
  readonly #jumpCache: JumpCache;
  readonly #visits: RegionVisits;
  readonly #slowForms: SlowForms;

  constructor(code: Code, call: Call, callees: Callees) {
    this.#code = code;
    this.#call = call;
    this.#callees = callees;
    this.#turns = code.local('i32');
    this.#quantumEnd = code.local('i32');
    this.#briefQuanta = code.local('i32');
    this.#status = code.local('i32');
    this.#reason = code.local('i32');
    this.#slice = code.local('i32');
    this.#before = code.local('i32');
    this.#left = code.local('i32');
    this.#jumpCache = new JumpCache(code, this.#hart);
    this.#visits = new RegionVisits(code, this.#hart, callees);
    this.#slowForms = new SlowForms(code, call, this.#hart, callees.slowType);
  }

  emit(): void {
    const code = this.#code;
    code.i32(MAX_TURNS).set(this.#turns);
    const outer = code.loop();
    this.#reasonsToLeave();
    this.#interrupts();
    const refetch = code.loop();
    this.#fetch(outer);
    const loops = { outer, refetch, inner: code.loop() };
    this.#runFast(loops);
    this.#slowForms.run(loops);
    code.end(); // inner
    code.end(); // refetch
    code.end(); // outer
    code.op('unreachable');
  }

  #load(field: FieldName): Code {
    return this.#code.get(this.#hart).memory('i32.load', HART_OFFSETS[field]);
  }

  #leaveIf(exit: number): void {
    this.#code.if();
    this.#code.i32(exit).op('return').end();
  }

  #reasonsToLeave(): void {
    this.#load('doorbell').atomic('i32.atomic.load').if();
    this.#call(this.#code, 'takeSignals');
    this.#code.op('i32.eqz');
    this.#leaveIf(EXIT.doorbell);
    this.#code.end();
    this.#load('remaining').i32(0).op('i32.le_s');
    this.#leaveIf(EXIT.slice);
    this.#code.get(this.#turns).i32(1).op('i32.sub').tee(this.#turns).i32(0).op('i32.lt_s');
    this.#leaveIf(EXIT.slice);
  }

  /** The instruction whose access is under way comes before any interrupt: its result belongs to it. */
  #interrupts(): void {
    const code = this.#code;
    const remaining = code.local('i32');
    this.#load('remaining').set(remaining);
    this.#setQuantumEnd(remaining);
    code.i32(BRIEF_QUANTA).set(this.#briefQuanta);
    this.#slowForms.pushIsAnswered();
    code.op('i32.eqz').if();
    this.#slowForms.clearStatus();
    this.#call(code, 'interrupts');
    code.end();
  }

  /** @param remaining local */
  #setQuantumEnd(remaining: number): void {
    const code = this.#code;
    code.get(remaining).i32(QUANTUM).op('i32.sub').tee(this.#quantumEnd).i32(0);
    code.get(this.#quantumEnd).i32(0).op('i32.gt_s', 'select').set(this.#quantumEnd);
  }

  #fetch(outer: Label): void {
    const code = this.#code;
    this.#slowForms.clearStatus();
    this.#call(code, 'fetch');
    code.op('drop');
    this.#load('status').tee(this.#status).if();
    code.get(this.#status).i32(STATUS.refetch).op('i32.eq').brIf(outer);
    this.#load('exitReason').op('return');
    code.end();
  }

  /** Goes on behind this when an op needs its slow form. */
  #runFast(loops: Loops): void {
    const code = this.#code;
    const { outer, inner } = loops;
    const reason = this.#reason;
    const slow = code.block();
    this.#slowForms.goIfAnswered(slow);
    this.#takeSlice(outer);
    this.#traceIfDue(loops);
    this.#endSliceAtTrace();
    this.#callFast(this.#slice);
    code.i32(LEFT.not).set(this.#left);
    this.#leaveIfRung(outer);
    code.get(reason).i32(FAST.outOfBudget).op('i32.eq').brIf(inner);
    this.#fetchIfAsked(loops);
    code.get(reason).i32(FAST.undecoded).op('i32.eq').if();
    this.#load('op');
    this.#call(code, 'decode');
    code.br(inner);
    code.end();
    code.get(reason).i32(FAST.region).op('i32.ne').brIf(slow);
    this.#runRegions(slow, loops);
    code.end(); // slow
  }

  /** What is left of the quantum. */
  #takeSlice(outer: Label): void {
    this.#load('remaining').get(this.#quantumEnd).op('i32.sub').tee(this.#slice).i32(0).op('i32.le_s').brIf(outer);
  }

  /** So that a trace begins wherever it is due, and not only behind what ends a slice: that would be the same place often. */
  #endSliceAtTrace(): void {
    const code = this.#code;
    this.#load('traceInterval').i32(0).op('i32.ne');
    this.#load('traceDue').i32(0).op('i32.gt_s', 'i32.and');
    this.#load('traceDue').get(this.#slice).op('i32.lt_s', 'i32.and').if();
    this.#load('traceDue').set(this.#slice);
    code.end();
  }

  /** Lets the hot loop run up to `count` (a local) instructions, and sets the reason why it returned. */
  #callFast(count: number): void {
    const code = this.#code;
    const hart = this.#hart;
    const before = this.#before;
    code.get(hart);
    this.#load('remaining').tee(before).get(count).op('i32.sub').memory('i32.store', HART_OFFSETS.remaining);
    code.get(hart).get(count).call(this.#callees.fast).set(this.#reason);
    code.get(hart);
    this.#load('traceDue').get(before).op('i32.sub');
    this.#load('remaining').op('i32.add').memory('i32.store', HART_OFFSETS.traceDue);
  }

  /** The hot loop was out of its budget without having executed anything: the doorbell has rung. */
  #leaveIfRung(outer: Label): void {
    const code = this.#code;
    code.get(this.#reason).i32(FAST.outOfBudget).op('i32.eq');
    this.#load('remaining').get(this.#before).op('i32.eq', 'i32.and').brIf(outer);
  }

  #fetchIfAsked(loops: Loops): void {
    this.#code.get(this.#reason).i32(FAST.fetch).op('i32.eq').if();
    this.#slowForms.goAndFetch(loops);
    this.#code.end();
  }

  /**
   * Every so many interpreted instructions the next ones are executed one at a time, and noted for the translator. At a
   * region, which is noted as well, and where the hot loop returns for anything but its count, the translator gets what
   * there is; the rest follows when the hot loop goes on.
   */
  #traceIfDue(loops: Loops): void {
    const code = this.#code;
    const { outer, inner } = loops;
    const hart = this.#hart;
    const [entry, length, one] = [code.local('i32'), code.local('i32'), code.local('i32')];
    this.#load('traceInterval').i32(0).op('i32.ne');
    this.#load('traceDue').i32(0).op('i32.le_s', 'i32.and');
    code.get(this.#slice).i32(TRACE.length).op('i32.ge_s', 'i32.and');
    // At a region there is nothing to see: the trace comes where it is left.
    this.#load('op').memory('i32.load16_u', OP.handler).i32(SPECIAL.region).op('i32.ne', 'i32.and').if();
    code.i32(0).set(length).i32(1).set(one).i32(FAST.outOfBudget).set(this.#reason);
    this.#load('traceLeft').op('i32.eqz').if();
    code.get(hart).i32(TRACE.length).memory('i32.store', HART_OFFSETS.traceLeft).end();
    const done = code.block();
    const step = code.loop();
    code.get(hart).i32(ARENA.trace).op('i32.add').get(length).i32(TRACE.entryBytes).op('i32.mul', 'i32.add').tee(entry);
    this.#load('pc').memory('i32.store');
    code.get(entry);
    this.#load('op').memory('i32.store', 4);
    this.#load('op').memory('i32.load16_u', OP.handler).i32(SPECIAL.region).op('i32.eq').brIf(done);
    code.get(length);
    this.#load('traceLeft').op('i32.ge_s').brIf(done);
    this.#callFast(one);
    this.#leaveIfRung(outer);
    code.get(length).i32(1).op('i32.add').set(length);
    code.get(this.#reason).i32(FAST.outOfBudget).op('i32.eq').brIf(step);
    code.end(); // step
    code.end(); // done
    code.get(hart);
    this.#load('traceLeft').get(length).op('i32.sub').memory('i32.store', HART_OFFSETS.traceLeft);
    // Before the rest comes what this one ended at: a region, or an instruction.
    code.get(hart).get(this.#reason).i32(FAST.outOfBudget).op('i32.ne');
    this.#load('traceInterval');
    this.#load('traceLeft').op('select').memory('i32.store', HART_OFFSETS.traceDue);
    code.get(length).get(this.#left);
    code.get(this.#reason).i32(FAST.outOfBudget).op('i32.eq');
    this.#load('op').memory('i32.load16_u', OP.handler).i32(SPECIAL.region).op('i32.eq', 'i32.and');
    this.#call(code, 'seeTrace');
    this.#call(code, 'trace');
    code.i32(LEFT.not).set(this.#left);
    this.#fetchIfAsked(loops);
    code.br(inner);
    code.end();
  }

  /**
   * Runs the region whose op the hart stands at, and those that follow. Goes to `slow` where the instruction at state.op
   * needs that.
   */
  #runRegions(slow: Label, loops: Loops): void {
    const code = this.#code;
    const { outer, inner } = loops;
    const [record, next, status] = [code.local('i32'), code.local('i32'), code.local('i32')];
    const original = code.block();
    const dispatch = code.loop();
    this.#takeSlice(outer);
    this.#load('op').memory('i32.load', OP.imm);
    code.get(this.#hart).op('i32.add').i32(ARENA.regions).op('i32.add').set(record);
    this.#checkRegion(record, status, loops, original);
    this.#jumpCache.find(next);
    this.#jumpCache.fill(next, record);
    const again = code.loop();
    this.#visits.run(next, record, { slice: this.#slice, status });
    const out = code.block();
    code.get(status).brIf(out);
    // State.op and state.page are of no use to the next region, and are not set in front of it.
    this.#jumpCache.find(next);
    this.#jumpCache.leaveUnlessHit(next, out);
    this.#ensureBudget(next, out);
    code.get(next).memory('i32.load', JUMP_CACHE.record).set(record).br(again);
    code.end(); // out
    code.end(); // again
    code.get(this.#hart).get(this.#quantumEnd).get(this.#slice).op('i32.add');
    code.memory('i32.store', HART_OFFSETS.remaining);
    code.get(status).if();
    this.#visits.countEnd(record, status);
    code.end();
    code.get(this.#slice).op('i32.eqz').brIf(outer);
    this.#lookUp(loops);
    code.get(status).if();
    this.#slowForms.decodeIfNeeded();
    code.i32(LEFT.aside).i32(LEFT.behind).get(status).i32(REGION_STATUS.bailed).op('i32.ne', 'select').set(this.#left);
    code.br(slow);
    code.end();
    this.#load('op').memory('i32.load16_u', OP.handler).i32(SPECIAL.region).op('i32.eq').brIf(dispatch);
    code.i32(LEFT.behind).set(this.#left).br(inner);
    code.end(); // dispatch
    code.end(); // original
    this.#runOriginal(record);
    this.#leaveIfRung(outer);
    code.get(this.#reason).i32(FAST.outOfBudget).op('i32.eq').brIf(inner);
    this.#fetchIfAsked(loops);
  }

  /**
   * Goes to `out` where a region that was found in the jump cache needs more instructions than are left. Of the quantum,
   * perhaps: between two looks at the clock some begin here, with no more than a look at the doorbell. Nothing else brings
   * an interrupt.
   */
  #ensureBudget(entry: number, out: Label): void {
    const code = this.#code;
    const [budget, remaining] = [code.local('i32'), code.local('i32')];
    code.get(entry).memory('i32.load16_u', JUMP_CACHE.minBudget).tee(budget).get(this.#slice).op('i32.gt_s');
    code.unlikely().if();
    this.#load('exactQuanta').get(this.#briefQuanta).op('i32.eqz', 'i32.or').brIf(out);
    this.#load('doorbell').atomic('i32.atomic.load').brIf(out);
    code.get(this.#briefQuanta).i32(1).op('i32.sub').set(this.#briefQuanta);
    code.get(this.#quantumEnd).get(this.#slice).op('i32.add').set(remaining);
    this.#setQuantumEnd(remaining);
    code.get(remaining).get(this.#quantumEnd).op('i32.sub').set(this.#slice);
    code.get(budget).get(this.#slice).op('i32.gt_s').brIf(out);
    code.end();
  }

  /** Goes to `original`, with a status, where a region (local with its record) is not to be entered. */
  #checkRegion(record: number, status: number, loops: Loops, original: Label): void {
    const code = this.#code;
    const budget = code.local('i32');
    code.get(record).memory('i32.load', REGION.minBudget).tee(budget).get(this.#slice).op('i32.gt_s').if();
    // Only of the quantum, perhaps: then the next one begins early.
    code.get(budget).i32(QUANTUM).op('i32.le_s').get(budget);
    this.#load('remaining').op('i32.le_s', 'i32.and');
    this.#load('exactQuanta').op('i32.eqz', 'i32.and').brIf(loops.outer);
    code.i32(REGION_STATUS.noBudget).set(status);
    this.#visits.countExit(status);
    code.br(original).end();
    this.#visits.pushIsElsewhere(record);
    code.if();
    code.get(record);
    this.#call(code, 'regionIsInPlace');
    code.op('i32.eqz').if();
    code.i32(REGION_STATUS.refused).set(status);
    this.#visits.countExit(status);
    // To look at its pages may have taken it out, its code having changed there, or the page that the hart is in: then
    // its record is of no use any more, and the op there, if any, is to be decoded.
    this.#load('op').memory('i32.load16_u', OP.handler).i32(SPECIAL.region).op('i32.ne').if();
    this.#slowForms.goAndFetch(loops);
    code.end();
    this.#visits.count(record, REGION.refusals);
    code.br(original).end();
    code.end();
  }

  /** One instruction, the one in whose place a region's op stands, in its fast form if it has one. */
  #runOriginal(record: number): void {
    const code = this.#code;
    const [at, one, kept] = [code.local('i32'), code.local('i32'), code.local('i64')];
    this.#load('op').tee(at).memory('i64.load').set(kept);
    code.get(at).get(record).memory('i64.load', REGION.original).memory('i64.store');
    code.i32(1).set(one);
    this.#callFast(one);
    code.get(at).get(kept).memory('i64.store');
  }

  /** Sets op and page for the pc from the fetch TLB, or goes to fetch. */
  #lookUp(loops: Loops): void {
    const code = this.#code;
    const hart = this.#hart;
    const [entry, offset] = [code.local('i32'), code.local('i32')];
    this.#load('ftlb');
    this.#load('pc')
      .tee(offset)
      .i32(12 - Math.log2(FTLB.entryBytes))
      .op('i32.shr_u');
    code
      .i32((FTLB.entries - 1) * FTLB.entryBytes)
      .op('i32.and', 'i32.add')
      .tee(entry)
      .memory('i64.load', FTLB.tag);
    code.get(hart).memory('i64.load', HART_OFFSETS.pc).i64(-4096n).op('i64.and', 'i64.ne').if();
    this.#slowForms.goAndFetch(loops);
    code.end();
    code.get(hart).get(entry).memory('i32.load', FTLB.page).memory('i32.store', HART_OFFSETS.page);
    code.get(hart);
    this.#load('page')
      .get(offset)
      .i32(4094)
      .op('i32.and')
      .i32(Math.log2(DECODED_PAGE.opBytes / 2));
    code.op('i32.shl', 'i32.add').memory('i32.store', HART_OFFSETS.op);
  }
}
