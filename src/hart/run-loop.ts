/** The interpreter's outer loop, `run(hart)`: doorbell, interrupts, fetch, the hot loop and what it leaves to others. */
import type { Code, Label } from '../wasm/code.ts';
import type { FunctionType, Module } from '../wasm/module.ts';
import { SPECIAL } from './handlers.ts';
import { retire } from './lower-slow.ts';
import { EXIT, HART_OFFSETS, OP, PENDING, STATUS } from './state.ts';

/** Why the hot loop returned. */
export const FAST = { outOfBudget: 0, slow: 1, undecoded: 2, fetch: 3 } as const;

/** What the host supplies: both write the op of an instruction, from RAM or (crossing a page) from its 32-bit word. */
export const HOST_IMPORTS: Readonly<Record<string, FunctionType>> = {
  decode: { parameters: ['i32'], results: [] },
  decodeWord: { parameters: ['i32', 'i32'], results: [] },
};

/** Instructions between two looks at the doorbell and the clock: about 15 microseconds. */
const QUANTUM = 4096;
/** Turns of the loop after which `run` returns whatever happens: a guest that only traps retires nothing. */
const MAX_TURNS = 65536;

/** Calls a function by its name: the runtime's or the host's. */
type Call = (code: Code, name: string) => void;

/** Builds and exports `run(hart: i32) -> EXIT`. */
export function buildRunLoop(module: Module, call: Call, fast: number): void {
  const { index, code } = module.function({ parameters: ['i32'], results: ['i32'] });
  const slowType = module.type({ parameters: ['i32', 'i32'], results: [] });
  new RunLoop(code, call, fast, slowType).emit();
  module.export('run', index);
}

class RunLoop {
  readonly #code: Code;
  readonly #call: Call;
  readonly #fast: number;
  readonly #slowType: number;
  readonly #hart = 0;
  readonly #turns: number;
  /** `remaining` at which the doorbell and the clock are looked at again. */
  readonly #quantumEnd: number;
  readonly #status: number;

  constructor(code: Code, call: Call, fast: number, slowType: number) {
    this.#code = code;
    this.#call = call;
    this.#fast = fast;
    this.#slowType = slowType;
    this.#turns = code.local('i32');
    this.#quantumEnd = code.local('i32');
    this.#status = code.local('i32');
  }

  emit(): void {
    const code = this.#code;
    code.i32(MAX_TURNS).set(this.#turns);
    const outer = code.loop();
    this.#reasonsToLeave();
    this.#interrupts();
    const refetch = code.loop();
    this.#fetch(outer);
    const inner = code.loop();
    this.#runFast(outer, refetch, inner);
    this.#runSlow(outer, inner);
    code.end(); // inner
    code.end(); // refetch
    code.end(); // outer
    code.op('unreachable');
  }

  #load(field: keyof typeof HART_OFFSETS): Code {
    return this.#code.get(this.#hart).memory('i32.load', HART_OFFSETS[field]);
  }

  #clearStatus(): void {
    this.#code.get(this.#hart).i32(STATUS.next).memory('i32.store', HART_OFFSETS.status);
  }

  #leaveIf(exit: number): void {
    this.#code.if();
    this.#code.i32(exit).op('return').end();
  }

  #reasonsToLeave(): void {
    this.#load('doorbell').atomic('i32.atomic.load');
    this.#leaveIf(EXIT.doorbell);
    this.#load('remaining').i32(0).op('i32.le_s');
    this.#leaveIf(EXIT.slice);
    this.#code.get(this.#turns).i32(1).op('i32.sub').tee(this.#turns).i32(0).op('i32.lt_s');
    this.#leaveIf(EXIT.slice);
  }

  /** The instruction whose access is under way comes before any interrupt: its result belongs to it. */
  #interrupts(): void {
    const code = this.#code;
    this.#load('remaining').i32(QUANTUM).op('i32.sub').set(this.#quantumEnd);
    this.#load('pendingState').i32(PENDING.none).op('i32.eq').if();
    this.#clearStatus();
    this.#call(code, 'interrupts');
    code.end();
  }

  #fetch(outer: Label): void {
    const code = this.#code;
    this.#clearStatus();
    this.#call(code, 'fetch');
    code.op('drop');
    this.#load('status').tee(this.#status).if();
    code.get(this.#status).i32(STATUS.refetch).op('i32.eq').brIf(outer);
    this.#load('exitReason').op('return');
    code.end();
  }

  /** Goes on behind this when an op needs its slow form. */
  #runFast(outer: Label, refetch: Label, inner: Label): void {
    const code = this.#code;
    const hart = this.#hart;
    const [slice, reason] = [code.local('i32'), code.local('i32')];
    this.#load('remaining').get(this.#quantumEnd).op('i32.sub').tee(slice).i32(0).op('i32.le_s').brIf(outer);
    this.#load('remaining').i32(0).op('i32.le_s').brIf(outer);
    // The smaller of what is left of the quantum and of the whole.
    code.get(slice);
    this.#load('remaining').get(slice);
    this.#load('remaining').op('i32.lt_s', 'select').set(slice);
    code.get(hart);
    this.#load('remaining').get(slice).op('i32.sub').memory('i32.store', HART_OFFSETS.remaining);
    code.get(hart).get(slice).call(this.#fast).set(reason);

    code.get(reason).i32(FAST.outOfBudget).op('i32.eq').brIf(outer);
    // With nothing left to execute a fetch, and its fault, belong to the next slice.
    code.get(reason).i32(FAST.fetch).op('i32.eq').if();
    this.#load('remaining').i32(0).op('i32.gt_s').brIf(refetch).br(outer);
    code.end();
    code.get(reason).i32(FAST.undecoded).op('i32.eq').if();
    this.#load('op');
    this.#call(code, 'decode');
    code.br(inner);
    code.end();
  }

  #runSlow(outer: Label, inner: Label): void {
    const code = this.#code;
    const hart = this.#hart;
    const handler = code.local('i32');
    this.#clearStatus();
    this.#load('op').memory('i32.load16_u', OP.handler).tee(handler).i32(SPECIAL.crossing).op('i32.eq').if();
    this.#runCrossing(outer);
    code.else();
    code.get(hart);
    this.#load('op').get(handler).callIndirect(this.#slowType);
    this.#load('status').op('i32.eqz').if();
    retire(code, hart);
    code.br(inner);
    code.end();
    code.end();
    this.#load('status').i32(STATUS.refetch).op('i32.eq').brIf(outer);
    this.#load('exitReason').op('return');
  }

  /** An instruction over the end of its page runs from the scratch op, in its slow form. */
  #runCrossing(outer: Label): void {
    const code = this.#code;
    const hart = this.#hart;
    const scratch = code.local('i32');
    this.#load('op');
    this.#call(code, 'fetchCrossing');
    this.#load('status').op('i32.eqz').if();
    code.get(hart).i32(HART_OFFSETS.scratchOps).op('i32.add').tee(scratch);
    this.#load('trapValue');
    this.#call(code, 'decodeWord');
    code.get(hart).get(scratch).get(scratch).memory('i32.load16_u', OP.handler).callIndirect(this.#slowType);
    this.#load('status').op('i32.eqz').if();
    retire(code, hart);
    code.br(outer);
    code.end();
    code.end();
  }
}
