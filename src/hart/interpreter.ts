/**
 * The interpreter: one generated WebAssembly module, the same for every hart.
 *
 * `run` is the loop the host calls: it looks at the doorbell, takes interrupts, fetches, and lets `fast` run. `fast` is
 * the hot loop: pre-decoded ops, one br_table, no calls. It returns as soon as an op needs more than it has, and `run`
 * calls that op's slow form out of a table. Layouts: state.ts; pre-decoding: handlers.ts and decoder.ts.
 */
import type { Code, Label, ValueType } from '../wasm/code.ts';
import { Module } from '../wasm/module.ts';
import { DYNAMIC_ROUNDING, type Handler, handlerCount, instructionHandlers, type Place, SPECIAL } from './handlers.ts';
import { hasFastForm, type InterpreterContext, lowerFast, OP_SHIFT, pushHostAddress } from './lower-fast.ts';
import { lowerSlow, type SlowContext } from './lower-slow.ts';
import { buildRunLoop, FAST, HOST_IMPORTS } from './run-loop.ts';
import { RUNTIME_FUNCTIONS } from './runtime-functions.ts';
import { DECODED_PAGE, FTLB, HART_OFFSETS, OP } from './state.ts';
import { buildWordDecoder } from './word-decoder.ts';

const PAGE_OPS_BYTES = DECODED_PAGE.ops * DECODED_PAGE.opBytes;

/** The module's bytes. @param memoryPages maximum of the shared memory it will be instantiated with, in 64 KiB pages */
export function buildInterpreter(memoryPages: number): Uint8Array {
  const module = new Module(memoryPages);
  const functions = new Map<string, number>();
  for (const [name, type] of Object.entries(HOST_IMPORTS)) functions.set(name, module.import('host', name, type));
  for (const [name, type] of Object.entries(RUNTIME_FUNCTIONS))
    functions.set(name, module.import('runtime', name, type));
  const call = (code: Code, name: string): void => {
    const index = functions.get(name);
    if (index === undefined) throw new Error(`the runtime has no function ${name}`);
    code.call(index);
  };
  const fast = buildFast(module);
  for (let i = 0; i < handlerCount(); i += 1) module.tableEntry(buildSlow(module, i, call));
  module.export('learnWord', buildWordDecoder(module));
  buildRunLoop(module, call, { fast, regions: module.growableTable('regions') });
  return module.finish();
}

/** What both kinds of handlers know of an op: where its fields are. */
class OpFields {
  readonly #code: Code;
  readonly #hart: number;
  readonly #op: number;
  readonly #places: ReadonlyMap<string, Place>;

  constructor(code: Code, hart: number, op: number, places: ReadonlyMap<string, Place>) {
    this.#code = code;
    this.#hart = hart;
    this.#op = op;
    this.#places = places;
  }

  place(operand: string): Place {
    const place = this.#places.get(operand);
    if (place === undefined) throw new Error(`no place for operand ${operand}`);
    return place;
  }
  /** Pushes the register number times 8. */
  registerIndex(place: Place & { kind: 'register' }): void {
    this.#code.get(this.#op).memory('i32.load8_u', place.offset);
    if (place.sharesRounding) this.#code.i32(0xf8).op('i32.and');
  }
  registerAddress(operand: string): { offset: number } {
    const place = this.place(operand);
    this.#code.get(this.#hart);
    if (place.kind === 'constant') return { offset: place.value * 8 };
    if (place.kind !== 'register') throw new Error(`${operand} is no register`);
    this.registerIndex(place);
    this.#code.op('i32.add');
    return { offset: 0 };
  }
  isX0(operand: string): boolean {
    const place = this.place(operand);
    return place.kind === 'constant' && place.value === 0;
  }
  x(operand: string): void {
    if (this.isX0(operand)) {
      this.#code.i64(0n);
      return;
    }
    const { offset } = this.registerAddress(operand);
    this.#code.memory('i64.load', HART_OFFSETS.x + offset);
  }
  f(operand: string): void {
    const { offset } = this.registerAddress(operand);
    this.#code.memory('i64.load', HART_OFFSETS.f + offset);
  }
  imm(operand: string): void {
    const place = this.place(operand);
    if (place.kind === 'constant') this.#code.i64(BigInt(place.value));
    else if (place.kind === 'immediate') this.#code.get(this.#op).memory('i64.load32_s', OP.imm);
    else if (place.kind === 'byte') this.#code.get(this.#op).memory('i64.load8_u', place.offset);
    else throw new Error(`${operand} is a register`);
  }
}

// The hot loop.

interface FastLoop {
  readonly code: Code;
  readonly hart: number;
  /** Instructions left until the doorbell is looked at. */
  readonly count: number;
  readonly op: number;
  readonly page: number;
  readonly target: number;
  readonly dtlb: number;
  readonly next: Label;
  readonly bail: Label;
  readonly jump: Label;
}

/** Instructions between two looks at the doorbell: a third of a microsecond. */
const POLL = 128;

/**
 * `fast(hart, later)`: runs up to `later` instructions, fewer where the doorbell rings, from state.op, in state.page, at
 * state.pc. Adds what is left of them to state.remaining. @returns a FAST reason, with op, page and pc stored
 */
function buildFast(module: Module): number {
  const { index, code } = module.function({ parameters: ['i32', 'i32'], results: ['i32'] });
  const hart = 0;
  // The budget comes as the parameter and lies in state.later: in a local it would cost the hot loop a register.
  const count = 1;
  const [op, page, dtlb, result] = [code.local('i32'), code.local('i32'), code.local('i32'), code.local('i32')];
  const target = code.local('i64');
  for (const [local, field] of [
    [op, 'op'],
    [page, 'page'],
    [dtlb, 'dtlb'],
  ] as const) {
    code.get(hart).memory('i32.load', HART_OFFSETS[field]).set(local);
  }
  setBias(code, { hart, op }, () => code.get(hart).memory('i64.load', HART_OFFSETS.pc));
  code.get(hart).get(count).memory('i32.store', HART_OFFSETS.later).i32(0).set(count);

  const done = code.block();
  const next = code.loop();
  const jump = code.block();
  const bail = code.block();
  const outOfBudget = code.block();
  const undecoded = code.block();
  const region = code.block();
  const loop: FastLoop = { code, hart, count, op, page, target, dtlb, next, bail, jump };
  emitHandlers(loop, { outOfBudget, undecoded, region });
  // The instruction that was counted in these was not executed.
  for (const reason of [FAST.region, FAST.undecoded, FAST.outOfBudget, FAST.slow]) {
    code.end();
    if (reason === FAST.outOfBudget) code.scope(() => emitPoll(loop));
    code.i32(reason).set(result).get(count).i32(1).op('i32.add').set(count).br(done);
  }
  code.end(); // jump to `target`
  code.scope(() => emitJump(loop));
  code.get(hart).get(target).memory('i64.store', HART_OFFSETS.pc);
  giveBack(loop);
  code.i32(FAST.fetch).op('return');
  code.end(); // next
  code.end(); // done
  code.get(hart).get(op).memory('i32.store', HART_OFFSETS.op);
  code.get(hart).get(page).memory('i32.store', HART_OFFSETS.page);
  code.get(hart);
  pushPc(loop);
  code.memory('i64.store', HART_OFFSETS.pc);
  giveBack(loop);
  code.get(result);
  return index;
}

/** Goes on with the next instructions of the slice; falls through at its end, and where the doorbell has rung. */
function emitPoll({ code, hart, count, next }: FastLoop): void {
  const later = code.local('i32');
  code.get(hart).memory('i32.load', HART_OFFSETS.later).tee(later).i32(0).op('i32.gt_s').if();
  code.get(hart).memory('i32.load', HART_OFFSETS.doorbell).atomic('i32.atomic.load').op('i32.eqz').if();
  code.get(later).i32(POLL).get(later).i32(POLL).op('i32.lt_s', 'select').set(count);
  code.get(hart).get(later).get(count).op('i32.sub').memory('i32.store', HART_OFFSETS.later).br(next);
  code.end();
  code.end();
}

/** The dispatch and what it leads to. A handler without a fast form is the label `bail` itself. */
function emitHandlers(
  loop: FastLoop,
  { outOfBudget, undecoded, region }: Record<'outOfBudget' | 'undecoded' | 'region', Label>,
): void {
  const { code, count, op, target, bail, jump } = loop;
  const endOfPage = code.block();
  const nop2 = code.block();
  const nop4 = code.block();
  const labels: Label[] = Array.from({ length: handlerCount() }, () => bail);
  const fast = instructionHandlers().filter(isFast);
  // The first block to end is the last one opened.
  for (const handler of fast.toReversed()) labels[handler.index] = code.block();
  labels[SPECIAL.undecoded] = undecoded;
  labels[SPECIAL.region] = region;
  labels[SPECIAL.endOfPage] = endOfPage;
  labels[SPECIAL.nop2] = nop2;
  labels[SPECIAL.nop4] = nop4;
  code.get(count).i32(1).op('i32.sub').tee(count).i32(0).op('i32.lt_s').brIf(outOfBudget);
  code.get(op).memory('i32.load16_u', OP.handler).brTable(labels, bail);
  for (const handler of fast) {
    code.end();
    code.scope(() => lowerFast(fastContext(loop, handler), handler.insn.body));
  }
  code.end(); // nop4
  advance(loop, 4);
  code.end(); // nop2
  advance(loop, 2);
  code.end(); // endOfPage: no instruction
  code.get(count).i32(1).op('i32.add').set(count);
  pushPc(loop);
  code.set(target).br(jump);
}

/** Goes on at `target` where the fetch TLB knows its page; falls through where it does not. */
function emitJump({ code, hart, op, page, target, next }: FastLoop): void {
  const [entry, tag] = [code.local('i32'), code.local('i64')];
  const indexShift = 12 - Math.log2(FTLB.entryBytes);
  code.get(hart).memory('i32.load', HART_OFFSETS.ftlb);
  code
    .get(target)
    .op('i32.wrap_i64')
    .i32(indexShift)
    .op('i32.shr_u')
    .i32((FTLB.entries - 1) * FTLB.entryBytes);
  code.op('i32.and', 'i32.add').tee(entry).memory('i64.load', FTLB.tag);
  code.get(target).i64(-4096n).op('i64.and').tee(tag).op('i64.eq').if();
  code.get(entry).memory('i32.load', FTLB.page).tee(page);
  code.get(target).op('i32.wrap_i64').i32(4094).op('i32.and').i32(OP_SHIFT).op('i32.shl', 'i32.add').set(op);
  setBias(code, { hart, op }, () => code.get(target));
  code.br(next);
  code.end();
}

/** Instructions of the slice that were not executed. */
function giveBack({ code, hart, count }: FastLoop): void {
  code.get(hart).get(hart).memory('i32.load', HART_OFFSETS.remaining).get(count).op('i32.add');
  code.get(hart).memory('i32.load', HART_OFFSETS.later).op('i32.add');
  code.memory('i32.store', HART_OFFSETS.remaining);
}

/** The part of the pc that the op's address gives. */
function pushOpPc(code: Code, op: number): void {
  code.get(op).i32(OP_SHIFT).op('i32.shr_u', 'i64.extend_i32_u');
}

/**
 * Keeps pc - (op >>> OP_SHIFT), the same for all of a page, in the hart's state: in a local it would take a register which
 * every load and store then has to clear for itself.
 */
function setBias(code: Code, { hart, op }: { readonly hart: number; readonly op: number }, pushPc: () => void): void {
  code.get(hart);
  pushPc();
  pushOpPc(code, op);
  code.op('i64.sub').memory('i64.store', HART_OFFSETS.bias);
}

function pushPc({ code, hart, op }: FastLoop): void {
  code.get(hart).memory('i64.load', HART_OFFSETS.bias);
  pushOpPc(code, op);
  code.op('i64.add');
}

function advance({ code, op, next }: FastLoop, insnLength: number): void {
  code
    .get(op)
    .i32(insnLength << OP_SHIFT)
    .op('i32.add')
    .set(op)
    .br(next);
}

function isFast(handler: Handler): boolean {
  if (!hasFastForm(handler.insn.body)) return false;
  // A trial on a throw-away function: some forms turn out to need a call only while they are lowered.
  const { code } = new Module(1).function({ parameters: ['i32', 'i32'], results: ['i32'] });
  const [op, page, dtlb] = [code.local('i32'), code.local('i32'), code.local('i32')];
  const target = code.local('i64');
  const label = code.block();
  const loop = {
    code,
    hart: 0,
    count: 1,
    op,
    page,
    target,
    dtlb,
    next: label,
    bail: label,
    jump: label,
  };
  return lowerFast(fastContext(loop, handler), handler.insn.body);
}

function fastContext(loop: FastLoop, handler: Handler): InterpreterContext {
  const { code, hart, op, page } = loop;
  const fields = new OpFields(code, hart, op, handler.places);
  const mode = handler.rounding?.kind === 'constant' ? handler.rounding.mode : null;
  return {
    code,
    hart,
    callRuntime: null,
    floats: null,
    x: (operand) => fields.x(operand),
    f: (operand) => fields.f(operand),
    imm: (operand) => fields.imm(operand),
    write: (file, operand, push) => {
      const { offset } = fields.registerAddress(operand);
      push();
      code.memory('i64.store', offset + HART_OFFSETS[file]);
    },
    hostAddress: (va, size, tag) => pushHostAddress(code, loop.dtlb, { va, size, tag }, () => code.brIf(loop.bail)),
    requireFp: (bit) => {
      code.get(hart).memory('i32.load', HART_OFFSETS.fpGate).i32(bit).op('i32.and', 'i32.eqz').brIf(loop.bail);
    },
    isX0: (operand) => fields.isX0(operand),
    constant: () => null,
    // It is built before the host is known.
    hasFused: false,
    hasTso: null,
    readTime: null,
    pc: () => pushPc(loop),
    nextPc: () => {
      pushPc(loop);
      code.i64(BigInt(handler.insn.length)).op('i64.add');
    },
    bailIf: () => code.brIf(loop.bail),
    next: () => advance(loop, handler.insn.length),
    jumpTo: () => code.set(loop.target).br(loop.jump),
    jumpRelative: (operand) => {
      const to = code.local('i32');
      fields.imm(operand);
      code.op('i32.wrap_i64').i32(OP_SHIFT).op('i32.shl').get(op).op('i32.add').tee(to);
      code.get(page).op('i32.sub').i32(PAGE_OPS_BYTES).op('i32.lt_u').if();
      code.get(to).set(op).br(loop.next);
      code.end();
      pushPc(loop);
      fields.imm(operand);
      code.op('i64.add').set(loop.target).br(loop.jump);
    },
    nearestEven: mode === 0 || mode === DYNAMIC_ROUNDING || handler.rounding === null,
    dynamicRounding: mode === DYNAMIC_ROUNDING,
    towardsZero: mode === 1,
  };
}

// The slow forms.

/** `slow(hart, op)`, one for every handler; state.pc names the instruction. */
function buildSlow(module: Module, handlerIndex: number, call: (code: Code, name: string) => void): number {
  const { index, code } = module.function({ parameters: ['i32', 'i32'], results: [] });
  const handler = instructionHandlers().find((candidate) => candidate.index === handlerIndex);
  if (handler !== undefined) lowerSlow(slowContext(code, handler, call), handler.insn.body);
  else if (handlerIndex === SPECIAL.illegal) call(code, 'illegal');
  else if (handlerIndex === SPECIAL.nop2) skip(code, 2);
  else if (handlerIndex === SPECIAL.nop4) skip(code, 4);
  else code.op('unreachable'); // never bails: the hot loop runs it, or `run` knows it
  return index;
}

/** An instruction that does nothing, where it crosses a page or a region bails out at it; the hot loop runs the others. */
function skip(code: Code, insnLength: number): void {
  code.get(0).get(0).memory('i64.load', HART_OFFSETS.pc).i64(BigInt(insnLength)).op('i64.add');
  code.memory('i64.store', HART_OFFSETS.pc);
  code
    .get(0)
    .get(0)
    .memory('i32.load', HART_OFFSETS.op)
    .i32(insnLength << OP_SHIFT);
  code.op('i32.add').memory('i32.store', HART_OFFSETS.op);
}

function slowContext(code: Code, handler: Handler, call: (code: Code, name: string) => void): SlowContext {
  const [hart, op] = [0, 1];
  const fields = new OpFields(code, hart, op, handler.places);
  const { rounding } = handler;
  const pc = (): void => {
    code.get(hart).memory('i64.load', HART_OFFSETS.pc);
  };
  const leaveIfReserved = (mode: number): void => {
    code.get(mode).i32(5).op('i32.ge_u').if();
    call(code, 'illegal');
    code.op('return').end();
  };
  return {
    code,
    hart,
    insnLength: handler.insn.length,
    callRuntime: (name) => call(code, name),
    floats: null,
    x: (operand) => fields.x(operand),
    f: (operand) => fields.f(operand),
    imm: (operand) => fields.imm(operand),
    registerAddress: (operand) => fields.registerAddress(operand),
    isX0: (operand) => fields.isX0(operand),
    pc,
    nextPc: () => {
      pc();
      code.i64(BigInt(handler.insn.length)).op('i64.add');
    },
    operandNumber: (operand) => {
      const place = fields.place(operand);
      if (place.kind === 'register') fields.registerIndex(place);
      else if (place.kind === 'constant') code.i32(place.value);
      else {
        fields.imm(operand);
        code.op('i32.wrap_i64');
      }
    },
    fixedRounding: (mode) => code.i32(mode),
    roundingMode: () => {
      if (rounding?.kind === 'constant' && rounding.mode !== DYNAMIC_ROUNDING) {
        code.i32(rounding.mode);
        return;
      }
      const mode = code.local('i32' satisfies ValueType);
      if (rounding?.kind === 'field') code.get(op).memory('i32.load8_u', OP.c).i32(7).op('i32.and').set(mode);
      else code.get(hart).memory('i32.load', HART_OFFSETS.frm).set(mode);
      leaveIfReserved(mode);
      code.get(mode);
    },
  };
}
