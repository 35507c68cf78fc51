/** The interpreter's outer loop, `run(hart)`: doorbell, interrupts, fetch, the hot loop and what it leaves to others. */
import type { Code } from '../wasm/code.ts';
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

/** Builds and exports `run(hart: i32) -> EXIT`. */
export function buildRunLoop(module: Module, call: (code: Code, name: string) => void, fast: number): void {
  const { index, code } = module.function({ parameters: ['i32'], results: ['i32'] });
  const slowType = module.type({ parameters: ['i32', 'i32'], results: [] });
  const hart = 0;
  const [turns, quantumEnd, slice] = [code.local('i32'), code.local('i32'), code.local('i32')];
  const [reason, handler, status] = [code.local('i32'), code.local('i32'), code.local('i32')];
  const load = (field: keyof typeof HART_OFFSETS): Code => code.get(hart).memory('i32.load', HART_OFFSETS[field]);
  const clearStatus = (): void => {
    code.get(hart).i32(STATUS.next).memory('i32.store', HART_OFFSETS.status);
  };
  const leave = (exit: number): void => {
    code.i32(exit).op('return');
  };

  code.i32(MAX_TURNS).set(turns);
  const outer = code.loop();
  load('doorbell').atomic('i32.atomic.load').if();
  leave(EXIT.doorbell);
  code.end();
  load('remaining').i32(0).op('i32.le_s').if();
  leave(EXIT.slice);
  code.end();
  code.get(turns).i32(1).op('i32.sub').tee(turns).i32(0).op('i32.lt_s').if();
  leave(EXIT.slice);
  code.end();
  load('remaining').i32(QUANTUM).op('i32.sub').set(quantumEnd);
  // The instruction whose access is under way comes first: its result belongs to it.
  load('pendingState').i32(PENDING.none).op('i32.eq').if();
  clearStatus();
  call(code, 'interrupts');
  code.end();

  const refetch = code.loop();
  clearStatus();
  call(code, 'fetch');
  code.op('drop');
  load('status').tee(status).if();
  code.get(status).i32(STATUS.refetch).op('i32.eq').brIf(outer);
  load('exitReason').op('return');
  code.end();

  const inner = code.loop();
  // slice = min(remaining, remaining - quantumEnd)
  load('remaining').get(quantumEnd).op('i32.sub').tee(slice).i32(0).op('i32.le_s').brIf(outer);
  load('remaining').i32(0).op('i32.le_s').brIf(outer);
  code.get(slice);
  load('remaining');
  code.get(slice);
  load('remaining').op('i32.lt_s', 'select').set(slice);
  code.get(hart);
  load('remaining').get(slice).op('i32.sub').memory('i32.store', HART_OFFSETS.remaining);
  code.get(hart).get(slice).call(fast).set(reason);

  code.get(reason).i32(FAST.outOfBudget).op('i32.eq').brIf(outer);
  // With nothing left to execute a fetch, and its fault, belong to the next slice.
  code.get(reason).i32(FAST.fetch).op('i32.eq').if();
  load('remaining').i32(0).op('i32.gt_s').brIf(refetch).br(outer);
  code.end();
  code.get(reason).i32(FAST.undecoded).op('i32.eq').if();
  load('op');
  call(code, 'decode');
  code.br(inner);
  code.end();

  clearStatus();
  load('op').memory('i32.load16_u', OP.handler).tee(handler).i32(SPECIAL.crossing).op('i32.eq').if();
  crossing();
  code.else();
  code.get(hart);
  load('op').get(handler).callIndirect(slowType);
  load('status').op('i32.eqz').if();
  retire(code, hart);
  code.br(inner);
  code.end();
  code.end();
  load('status').tee(status).i32(STATUS.refetch).op('i32.eq').brIf(outer);
  load('exitReason').op('return');
  code.end(); // inner
  code.end(); // refetch
  code.end(); // outer
  code.op('unreachable');
  module.export('run', index);

  /** An instruction over the end of its page runs from the scratch op, in its slow form. */
  function crossing(): void {
    const scratch = code.local('i32');
    load('op');
    call(code, 'fetchCrossing');
    load('status').op('i32.eqz').if();
    code.get(hart).i32(HART_OFFSETS.scratchOps).op('i32.add').tee(scratch);
    load('trapValue');
    call(code, 'decodeWord');
    code.get(hart).get(scratch).get(scratch).memory('i32.load16_u', OP.handler);
    code.callIndirect(slowType);
    load('status').op('i32.eqz').if();
    retire(code, hart);
    code.br(outer);
    code.end();
    code.end();
  }
}
