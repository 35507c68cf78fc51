/** Code for instructions in their slow form, as the run loop executes them one at a time, and for what they ask the host. */
import type { Code, Label } from '../wasm/code.ts';
import { SPECIAL } from './handlers.ts';
import { retire } from './lower-slow.ts';
import { ARENA, type FieldName, HART_OFFSETS, OP, PENDING, REGION, STATUS } from './state.ts';

/** Calls a function by its name: the runtime's or the host's. */
export type Call = (code: Code, name: string) => void;

/** Of the run loop: where it looks at doorbell and interrupts, where it fetches, and where the hot loop goes on. */
export interface Loops {
  readonly outer: Label;
  readonly refetch: Label;
  readonly inner: Label;
}

export class SlowForms {
  readonly #code: Code;
  readonly #call: Call;
  readonly #hart: number;
  readonly #type: number;
  /** Whether the instruction at the pc takes the answer to its access: behind it comes a look at interrupts. */
  readonly #isAnswered: number;

  /** @param hart local with the hart's address @param type of the slow forms in table 0 */
  constructor(code: Code, call: Call, hart: number, type: number) {
    this.#code = code;
    this.#call = call;
    this.#hart = hart;
    this.#type = type;
    this.#isAnswered = code.local('i32');
  }

  #load(field: FieldName): Code {
    return this.#code.get(this.#hart).memory('i32.load', HART_OFFSETS[field]);
  }

  clearStatus(): void {
    this.#code.get(this.#hart).i32(STATUS.next).memory('i32.store', HART_OFFSETS.status);
  }

  /** Pushes whether the instruction at the pc takes the answer to its access, and keeps it. */
  pushIsAnswered(): void {
    this.#load('pendingState').i32(PENDING.none).op('i32.ne').tee(this.#isAnswered);
  }

  /** Goes to `slow` with an instruction that takes an answer: no other form does. */
  goIfAnswered(slow: Label): void {
    const code = this.#code;
    code.get(this.#isAnswered).unlikely().if();
    this.decodeIfNeeded();
    code.br(slow).end();
  }

  /** The interpreter may not have met the instruction at state.op yet. */
  decodeIfNeeded(): void {
    this.#load('op').memory('i32.load16_u', OP.handler).i32(SPECIAL.undecoded).op('i32.eq').if();
    this.#load('op');
    this.#call(this.#code, 'decode');
    this.#code.end();
  }

  /** With nothing left to execute a fetch, and its fault, belong to the next slice. */
  goAndFetch({ outer, refetch }: Loops): void {
    this.#load('remaining').i32(0).op('i32.gt_s').brIf(refetch).br(outer);
  }

  /** Executes the instruction at state.op, and goes on or returns. */
  run(loops: Loops): void {
    const code = this.#code;
    const hart = this.#hart;
    const [handler, op] = [code.local('i32'), code.local('i32')];
    this.clearStatus();
    this.#load('op').tee(op).memory('i32.load16_u', OP.handler).tee(handler).i32(SPECIAL.region).op('i32.eq').if();
    code
      .get(hart)
      .i32(ARENA.regions + REGION.original)
      .op('i32.add')
      .get(op)
      .memory('i32.load', OP.imm)
      .op('i32.add');
    code.tee(op).memory('i32.load16_u', OP.handler).set(handler);
    code.end();
    code.get(handler).i32(SPECIAL.crossing).op('i32.eq').if();
    this.#runCrossing(loops);
    code.else();
    code.get(hart).get(op).get(handler).callIndirect(this.#type);
    this.#load('status').op('i32.eqz').if();
    retire(code, hart);
    code.get(this.#isAnswered).op('i32.eqz').brIf(loops.inner);
    code.end();
    code.end();
    this.#endAnswer(loops);
    this.#load('status').i32(STATUS.refetch).op('i32.eq').brIf(loops.outer);
    this.#load('exitReason').op('return');
  }

  /**
   * An instruction over the end of its page runs from the scratch op, in its slow form. The quantum goes on: it does in
   * translated code, too, and the clock is to be looked at behind the same instructions.
   */
  #runCrossing(loops: Loops): void {
    const code = this.#code;
    const hart = this.#hart;
    const scratch = code.local('i32');
    this.#load('op');
    this.#call(code, 'fetchCrossing');
    this.#load('status').op('i32.eqz').if();
    code.get(hart).i32(HART_OFFSETS.scratchOps).op('i32.add').set(scratch);
    this.#load('crossingWord');
    this.#load('trapValue').op('i32.ne').if();
    code.get(scratch);
    this.#load('trapValue');
    this.#call(code, 'decodeWord');
    code.get(hart);
    this.#load('trapValue').memory('i32.store', HART_OFFSETS.crossingWord);
    code.end();
    code.get(hart).get(scratch).get(scratch).memory('i32.load16_u', OP.handler).callIndirect(this.#type);
    this.#load('status').op('i32.eqz').if();
    retire(code, hart);
    code.get(this.#isAnswered).op('i32.eqz').if();
    this.goAndFetch(loops);
    code.end();
    code.end();
    code.end();
  }

  /**
   * Behind the instruction that was to take an answer: what it asked for may interrupt the hart. Where it has found RAM,
   * or trapped, it has left the answer, for which no interrupt is to wait.
   */
  #endAnswer({ outer }: Loops): void {
    const code = this.#code;
    code.get(this.#isAnswered).unlikely().if();
    this.#load('status').i32(STATUS.exit).op('i32.ne').if();
    code.get(this.#hart).i32(PENDING.none).memory('i32.store', HART_OFFSETS.pendingState);
    this.#load('status').op('i32.eqz').brIf(outer);
    code.end();
    code.end();
  }
}
