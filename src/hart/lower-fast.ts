/**
 * Instructions as the interpreter's hot loop runs them: no calls, and nothing done that cannot be undone by leaving.
 * What the fast form does not cover (a TLB miss, a trap, a device, a hard floating-point case) bails out before
 * anything has changed, and the slow form (lower-slow.ts) executes the whole instruction.
 */
import type { Body, Commit, Effect, Node } from '../isa/ir.ts';
import type { Code, Label, MemoryOp } from '../wasm/code.ts';
import { pushAmo } from './lower-amo.ts';
import { type CsrAccess, hasCsrForm, pushCsr } from './lower-csr.ts';
import { type FenceContext, pushFence, pushRelease } from './lower-fence.ts';
import { type GateContext, gateOf, lowerFastFloat } from './lower-float.ts';
import { pushLoadReserved, pushStoreConditional } from './lower-reserved.ts';
import { NATIVE, NeedsCall, ValueLowering, type ValueSource } from './lower-values.ts';
import { DECODED_PAGE, DTLB } from './state.ts';

/** Where the lowering is used: registers, and what happens at the instruction's end. */
export interface FastContext
  extends ValueSource,
    Pick<FenceContext, 'code' | 'hart' | 'hasTso'>,
    Pick<CsrAccess, 'readTime'> {
  /** Leaves with this instruction not executed, if the i32 on the stack is not 0. */
  bailIf(): void;
  /** Writes what `push` pushes into a register that is not x0. */
  write(file: 'x' | 'f', operand: string, push: () => void): void;
  /**
   * Pushes the host address of a guest access, or leaves as bailIf does where the data TLB does not have it.
   * @param va local (i64) with its address; @param tag DTLB.readTag or DTLB.writeTag; @param addr what va was computed from
   */
  hostAddress(va: number, size: number, tag: number, addr: Node): void;
  /** Leaves unless a bit of FP_GATE is set. */
  requireFp(bit: number): void;
  /** Pushes whether NX is clear: arithmetic must then be exact. Left out: it requires FP_GATE.fast. */
  readonly pushInexactClear?: (() => void) | undefined;
  /** Whether the host's relaxed_madd rounds once. */
  readonly hasFused: boolean;
  /** True where the operand is known to be x0, or an immediate 0. */
  isX0(operand: string): boolean;
  /** An operand of this instance that is no register; null where one form serves many of them. */
  constant(operand: string): number | null;
  /** True where the rounding of this instance may be the native one (RNE, or dynamic). */
  readonly nearestEven: boolean;
  /** True where the rounding mode is the one in frm, which may be an invalid one. */
  readonly dynamicRounding: boolean;
  /** True where the static rounding is towards zero. */
  readonly towardsZero: boolean;
}

/** How the interpreter goes on behind an instruction. */
export interface InterpreterContext extends FastContext {
  /** Goes on behind the instruction. */
  next(): void;
  /** Goes on at the virtual address on the stack. */
  jumpTo(): void;
  /** Goes on at pc + the immediate operand. */
  jumpRelative(operand: string): void;
}

/** What an instruction leaves to its user: where to go on. */
export type Jump = Commit & { readonly kind: 'jump' | 'branch' };

const LOADS: Readonly<Record<string, MemoryOp>> = {
  '1true': 'i64.load8_s',
  '1false': 'i64.load8_u',
  '2true': 'i64.load16_s',
  '2false': 'i64.load16_u',
  '4true': 'i64.load32_s',
  '4false': 'i64.load32_u',
  '8true': 'i64.load',
  '8false': 'i64.load',
};
const STORES: Readonly<Record<number, MemoryOp>> = {
  1: 'i64.store8',
  2: 'i64.store16',
  4: 'i64.store32',
  8: 'i64.store',
};

const FAST: readonly Effect['op'][] = ['load', 'store', 'lr', 'sc', 'amo', 'fence', 'csr', 'requireFp', 'fp'];

/** True where a body has a fast form at all. */
export function hasFastForm(body: Body): boolean {
  return body.effects.every(({ op }) => FAST.includes(op));
}

/** Lowers a body; @returns false (with nothing usable emitted) where it needs a call. */
export function lowerFast(context: InterpreterContext, body: Body): boolean {
  try {
    const { jump, values } = lowerEffects(context, body);
    if (jump === null) context.next();
    else emitJump(context, values, jump);
    return true;
  } catch (error) {
    if (error instanceof NeedsCall) return false;
    throw error;
  }
}

/**
 * Lowers all of a body but its jump, whose condition and target are then to be pushed from `values`.
 * @throws NeedsCall, with nothing usable emitted
 */
export function lowerEffects(context: FastContext, body: Body): { jump: Jump | null; values: ValueLowering } {
  return new FastLowering(context, body).run();
}

class FastLowering {
  readonly #context: FastContext;
  readonly #code: Code;
  readonly #body: Body;
  readonly #values: ValueLowering;

  constructor(context: FastContext, body: Body) {
    this.#context = context;
    this.#code = context.code;
    this.#body = body;
    this.#values = new ValueLowering(context.code, context, body);
  }

  run(): { jump: Jump | null; values: ValueLowering } {
    for (const effect of this.#body.effects) this.#effect(effect);
    return { jump: this.#commits(), values: this.#values };
  }

  #effect(effect: Effect): void {
    const code = this.#code;
    switch (effect.op) {
      case 'load':
        this.#hostAddress(effect.addr, effect.size, DTLB.readTag);
        if (this.#loadsNumber(effect)) return;
        code.memory(LOADS[`${effect.size}${effect.signed}`] ?? 'i64.load');
        return this.#values.setResult(effect);
      case 'store': {
        if (this.#storesNumber(effect)) return;
        const value = this.#values.toLocal(effect.value);
        this.#hostAddress(effect.addr, effect.size, DTLB.writeTag);
        code.get(value).memory(STORES[effect.size] ?? 'i64.store');
        return;
      }
      case 'lr': {
        const host = this.#alignedAddress(effect, DTLB.readTag);
        pushRelease(this.#context, effect.rl);
        pushLoadReserved(code, { hart: this.#context.hart, host, size: effect.size });
        return this.#values.setResult(effect);
      }
      case 'sc': {
        const value = this.#values.toLocal(effect.value);
        const host = this.#alignedAddress(effect, DTLB.writeTag);
        pushStoreConditional(code, { hart: this.#context.hart, host, size: effect.size }, value);
        return this.#values.setResult(effect);
      }
      case 'amo': {
        const value = this.#values.toLocal(effect.value);
        const host = this.#alignedAddress(effect, DTLB.writeTag);
        pushAmo(code, { amo: effect.amo, size: effect.size, host, value });
        return this.#values.setResult(effect);
      }
      case 'csr':
        return this.#csr(effect);
      case 'requireFp':
        return this.#context.requireFp(gateOf(this.#gateContext(), this.#body));
      case 'fence':
        return pushFence(this.#context, effect.sets);
      case 'fp':
        if (!lowerFastFloat(this.#context, this.#values, effect)) throw new NeedsCall(effect.fp);
        return;
      default:
        throw new NeedsCall(effect.op);
    }
  }

  #hostAddress(addr: Node, size: number, tag: number): void {
    this.#context.hostAddress(this.#values.toLocal(addr), size, tag, addr);
  }

  #gateContext(): GateContext {
    const { dynamicRounding, pushInexactClear } = this.#context;
    return { dynamicRounding, checksExact: pushInexactClear !== undefined };
  }

  /** Behind the host address: a number for an f register does not go through an integer one. */
  #loadsNumber(effect: Effect & { op: 'load' }): boolean {
    if (this.#context.floats === null) return false;
    const [commit] = this.#body.commits;
    if (commit?.kind !== 'setF' || commit.value.kind !== 'box') return false;
    const type = NATIVE[commit.value.format];
    if (type === null) return false;
    const local = this.#code.local(type);
    this.#code.memory(`${type}.load`).set(local);
    this.#values.setNativeResult(effect, local, type);
    return true;
  }

  #storesNumber(effect: Effect & { op: 'store' }): boolean {
    const { addr, size, value } = effect;
    if (this.#context.floats === null || value.kind !== 'f' || size < 4) return false;
    this.#hostAddress(addr, size, DTLB.writeTag);
    this.#values.pushNative(value, 'f64');
    if (size === 4) this.#code.vector('f64x2.splat', 'f32x4.extract_lane');
    this.#code.memory(size === 4 ? 'f32.store' : 'f64.store');
    return true;
  }

  /** Bails out of an atomic access that is not aligned. @returns a local with the host address of one that is */
  #alignedAddress({ addr, size }: Effect & { op: 'amo' | 'lr' | 'sc' }, tag: number): number {
    const code = this.#code;
    const host = code.local('i32');
    code
      .get(this.#values.toLocal(addr))
      .op('i32.wrap_i64')
      .i32(size - 1)
      .op('i32.and');
    this.#context.bailIf();
    this.#hostAddress(addr, size, tag);
    code.set(host);
    return host;
  }

  #csr(effect: Effect & { op: 'csr' }): void {
    const { code, hart, bailIf, readTime, constant, isX0 } = this.#context;
    const { access, csr, writeOperand } = effect;
    const number = constant(csr);
    if (number === null || !hasCsrForm(number, { access, readTime })) throw new NeedsCall('csr');
    const source = this.#values.toLocal(effect.source);
    const writes = writeOperand === null || !isX0(writeOperand);
    pushCsr({ code, hart, access, writes, source, bailIf, readTime }, number);
    this.#values.setResult(effect);
  }

  /** Register writes, all from values computed before any of them. @returns the jump that is left */
  #commits(): Jump | null {
    const { commits } = this.#body;
    const writes = commits.filter((commit) => commit.kind === 'setX' || commit.kind === 'setF');
    const jump = commits.find((commit) => commit.kind === 'jump' || commit.kind === 'branch') ?? null;
    if (jump !== null && writes.length > 0) {
      if (jump.kind === 'branch') this.#values.toLocal(jump.cond);
      if (relativeOperand(jump.target) === null) this.#values.toLocal(jump.target);
    }
    if (writes.length > 1) for (const write of writes) this.#values.toLocal(write.value);
    for (const write of writes) {
      if (write.kind === 'setX' && this.#context.isX0(write.operand)) continue;
      this.#context.write(write.kind === 'setX' ? 'x' : 'f', write.operand, () => this.#values.push(write.value));
    }
    return jump;
  }
}

function emitJump(context: InterpreterContext, values: ValueLowering, jump: Jump): void {
  const { code } = context;
  let taken: Label | null = null;
  if (jump.kind === 'branch') {
    values.push(jump.cond);
    taken = code.if();
  }
  const operand = relativeOperand(jump.target);
  if (operand !== null) context.jumpRelative(operand);
  else {
    values.push(jump.target);
    context.jumpTo();
  }
  if (taken !== null) {
    code.end();
    context.next();
  }
}

/**
 * Pushes the host address of a guest access, through the data TLB in local `dtlb`. An access that crosses a page misses.
 * @param bailIf leaves if the i32 on the stack is not 0
 */
export function pushHostAddress(
  code: Code,
  dtlb: number,
  { va, size, tag }: { va: number; size: number; tag: number },
  bailIf: () => void,
): void {
  const entry = pushDataEntry(code, dtlb, va);
  pushMisses(code, entry, { va, size, tag });
  bailIf();
  code.get(va).op('i32.wrap_i64').get(entry).memory('i32.load', DTLB.addend).op('i32.add');
}

/** Finds the entry of the data TLB that the page of `va` may lie in. @returns a local with its host offset */
export function pushDataEntry(code: Code, dtlb: number, va: number): number {
  const [entry, shifted] = [code.local('i32'), code.local('i32')];
  const indexShift = 12 - Math.log2(DTLB.entryBytes);
  code.get(va).op('i32.wrap_i64').i32(indexShift).op('i32.shr_u').tee(shifted);
  code.get(shifted).i32(DTLB.foldBits).op('i32.shr_u', 'i32.xor');
  code.i32((DTLB.entries - 1) * DTLB.entryBytes).op('i32.and');
  code.get(dtlb).op('i32.add').set(entry);
  return entry;
}

/** Pushes whether an access misses an entry: its page is another one's, or it crosses into the next. */
export function pushMisses(
  code: Code,
  entry: number,
  { va, size, tag }: { va: number; size: number; tag: number },
): void {
  code.get(entry).memory('i64.load', tag).get(va);
  if (size > 1) code.i64(BigInt(size - 1)).op('i64.add');
  code.i64(-4096n).op('i64.and', 'i64.ne');
}

/** The immediate of a pc-relative target, or null. */
export function relativeOperand(target: Node): string | null {
  if (target.kind !== 'binary' || target.op !== 'add') return null;
  return target.a.kind === 'pc' && target.b.kind === 'imm' ? target.b.operand : null;
}

/** Decoded ops per byte of guest code: an op for every halfword. */
export const OP_SHIFT: number = Math.log2(DECODED_PAGE.opBytes / 2);
