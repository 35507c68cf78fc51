/**
 * Pure IR nodes to WebAssembly. One instance lowers one instruction: a node used more than once is computed at its
 * first use and kept in a local. Where operands, the pc and slow helpers come from is the caller's affair, so that the
 * interpreter's two kinds of handlers and the translator share this.
 */
import type { Body, Effect, FpFormat, Node } from '../isa/ir.ts';
import { childrenOf, nodesOf } from '../isa/walk.ts';
import type { Code, PlainOp, ValueType } from '../wasm/code.ts';
import type { Native } from './exact-float.ts';
import { extendedAnew, isNarrowLogic, type NarrowFacts } from './narrow.ts';

/** What differs between the users of the lowering. Each method pushes one value. */
export interface ValueSource {
  x(operand: string): void;
  f(operand: string): void;
  imm(operand: string): void;
  pc(): void;
  nextPc(): void;
  /** Calls a runtime function with values already on the stack; null where calls are not allowed. */
  readonly callRuntime: ((name: string) => void) | null;
  /** What is known of the operands; left out: nothing. */
  readonly narrow?: NarrowFacts;
  /** Where f registers are held as numbers; null where they are held as bits. */
  readonly floats: Floats | null;
}

/** f registers as numbers, in locals of type f64: a single lies in the lower half of one, boxed. */
export interface Floats {
  /** Pushes the single (f32) that a register holds, or leaves where it holds none. */
  single(operand: string): void;
  /** Whether two operands are the same register. */
  areSame(a: string, b: string): boolean;
}

/** The types of numbers that the host has instructions for, by format. */
export const NATIVE: Readonly<Record<FpFormat, Native | null>> = { h: null, s: 'f32', d: 'f64' };

const SIGN: Readonly<Record<Native, bigint>> = { f32: 1n << 31n, f64: 1n << 63n };
const ALL_ONES: typeof SIGN = { f32: 2n ** 32n - 1n, f64: 2n ** 64n - 1n };
/** A boxed single of zero. */
const BOX = [0, -1, 0, 0] as const;

/** Thrown while lowering where an instruction has no form without calls. */
export class NeedsCall extends Error {}

const SIMPLE: Readonly<Record<string, string>> = {
  add: 'add',
  sub: 'sub',
  mul: 'mul',
  and: 'and',
  or: 'or',
  xor: 'xor',
  shl: 'shl',
  shr: 'shr_u',
  sar: 'shr_s',
  rotl: 'rotl',
  rotr: 'rotr',
  eq: 'eq',
  ne: 'ne',
  ltS: 'lt_s',
  ltU: 'lt_u',
  geS: 'ge_s',
  geU: 'ge_u',
};
const SIMPLE_UNARY: Readonly<Record<string, string>> = {
  clz: 'clz',
  ctz: 'ctz',
  popcnt: 'popcnt',
  sext8: 'extend8_s',
  sext16: 'extend16_s',
};
const CANONICAL_NAN = { h: 0x7e00, s: 0x7fc00000 } as const;

/** How often each node of a body is used, by body: translated code has many instructions of few kinds. */
const uses = new WeakMap<Body, ReadonlyMap<Node, number>>();

function usesIn(body: Body): ReadonlyMap<Node, number> {
  const known = uses.get(body);
  if (known !== undefined) return known;
  const counts = new Map<Node, number>();
  const visit = (node: Node): void => {
    const count = (counts.get(node) ?? 0) + 1;
    counts.set(node, count);
    if (count > 1) return;
    for (const child of childrenOf(node)) visit(child);
  };
  for (const effect of body.effects) for (const node of nodesOf(effect)) visit(node);
  for (const commit of body.commits) {
    if ('value' in commit) visit(commit.value);
    if ('cond' in commit) visit(commit.cond);
    if ('target' in commit) visit(commit.target);
  }
  uses.set(body, counts);
  return counts;
}

export class ValueLowering {
  readonly #code: Code;
  readonly #source: ValueSource;
  readonly #uses: ReadonlyMap<Node, number>;
  readonly #locals = new Map<Node, number>();
  readonly #results = new Map<Effect, { readonly local: number; readonly convert: PlainOp | null }>();

  constructor(code: Code, source: ValueSource, body: Body) {
    this.#code = code;
    this.#source = source;
    this.#uses = usesIn(body);
  }

  /** Pushes a node's value. */
  push(node: Node): void {
    const known = this.#locals.get(node);
    if (known !== undefined) {
      this.#code.get(known);
      return;
    }
    this.#compute(node);
    if ((this.#uses.get(node) ?? 0) > 1 && node.kind !== 'const' && node.kind !== 'result') {
      const local = this.#code.local(node.type);
      this.#code.tee(local);
      this.#locals.set(node, local);
    }
  }

  /** Computes a node now, into a local. */
  toLocal(node: Node): number {
    const known = this.#locals.get(node);
    if (known !== undefined) return known;
    this.push(node);
    const local = this.#locals.get(node) ?? this.#code.local(node.type);
    this.#code.set(local);
    this.#locals.set(node, local);
    return local;
  }

  /** Takes an effect's result off the stack. */
  setResult(effect: Effect & { readonly type: ValueType }): void {
    const local = this.#code.local(effect.type);
    this.#code.set(local);
    this.#results.set(effect, { local, convert: null });
  }

  /** An effect's result lies in a local of a native float type. */
  setNativeResult(effect: Effect, local: number, type: Native): void {
    const convert = type === 'f64' ? 'i64.reinterpret_f64' : 'i32.reinterpret_f32';
    this.#results.set(effect, { local, convert });
  }

  /** Pushes the number that a pattern stands for. */
  pushNative(node: Node, type: Native): void {
    const code = this.#code;
    const { floats } = this.#source;
    const isNegation = node.kind === 'binary' && node.op === 'xor' && isConst(node.b, SIGN[type]);
    if (isNegation && floats !== null) {
      this.pushNative(node.a, type);
      code.op(`${type}.neg`);
    } else if (floats !== null && node.kind === 'unbox' && node.format === 's' && node.a.kind === 'f') {
      floats.single(node.a.operand);
    } else {
      this.push(node);
      code.op(type === 'f64' ? 'f64.reinterpret_i64' : 'f32.reinterpret_i32');
    }
  }

  #compute(node: Node): void {
    const code = this.#code;
    switch (node.kind) {
      case 'const':
        if (node.type === 'i64') code.i64(node.value);
        else code.i32(Number(node.value));
        return;
      case 'x':
        return this.#source.x(node.operand);
      case 'f':
        return this.#source.f(node.operand);
      case 'imm':
        return this.#source.imm(node.operand);
      case 'pc':
        return this.#source.pc();
      case 'nextPc':
        return this.#source.nextPc();
      case 'result': {
        const result = this.#results.get(node.effect);
        if (result === undefined) throw new Error(`the result of ${node.effect.op} is used before it is there`);
        code.get(result.local);
        if (result.convert !== null) code.op(result.convert);
        return;
      }
      case 'unary':
        return this.#unary(node);
      case 'binary':
        return this.#binary(node);
      case 'select':
        this.push(node.a);
        this.push(node.b);
        this.push(node.cond);
        code.op('select');
        return;
      case 'unbox':
        return this.#unbox(node);
      case 'box':
        return this.#box(node);
      case 'fclass':
        this.push(node.a);
        return this.#call(`${node.format}_fclass`);
      case 'fli':
        this.#source.imm(node.operand);
        code.op('i32.wrap_i64');
        return this.#call(`${node.format}_fli`);
    }
  }

  #unary(node: Node & { kind: 'unary' }): void {
    const code = this.#code;
    const facts = this.#source.narrow;
    const same = facts === undefined ? null : extendedAnew(node, facts);
    if (same !== null) return this.push(same);
    this.push(node.a);
    switch (node.op) {
      case 'wrap':
        code.op('i32.wrap_i64');
        return;
      case 'sext32':
        code.op('i64.extend_i32_s');
        return;
      case 'zext32':
        code.op('i64.extend_i32_u');
        return;
      case 'orcb':
        return this.#orcb();
      case 'rev8':
        return this.#rev8();
      default:
        code.op(`${node.type}.${SIMPLE_UNARY[node.op]}` as PlainOp);
    }
  }

  /** The low half of an i64, as an i32. Narrow logic is done on low halves. */
  #pushLow(node: Node, facts: NarrowFacts): void {
    const code = this.#code;
    const isShared = (this.#uses.get(node) ?? 0) > 1;
    if (node.kind === 'unary' && node.op === 'sext32' && !isShared) return this.push(node.a);
    if (node.kind === 'const') {
      code.i32(Number(BigInt.asIntN(32, node.value)));
    } else if (isNarrowLogic(node, facts) && !isShared) {
      this.#pushLow(node.a, facts);
      this.#pushLow(node.b, facts);
      code.op(`i32.${node.op}` as PlainOp);
    } else {
      this.push(node);
      code.op('i32.wrap_i64');
    }
  }

  #binary(node: Node & { kind: 'binary' }): void {
    const facts = this.#source.narrow;
    if (facts !== undefined && isNarrowLogic(node, facts)) {
      this.#pushLow(node.a, facts);
      this.#pushLow(node.b, facts);
      this.#code.op(`i32.${node.op}` as PlainOp, 'i64.extend_i32_s');
      return;
    }
    const type = node.a.type;
    const simple = SIMPLE[node.op];
    if (simple !== undefined) {
      this.push(node.a);
      this.push(node.b);
      this.#code.op(`${type}.${simple}` as PlainOp);
      return;
    }
    const a = this.toLocal(node.a);
    const b = this.toLocal(node.b);
    switch (node.op) {
      case 'divS':
      case 'divU':
      case 'remS':
      case 'remU':
        return this.#divide(node.op, type, a, b);
      case 'mulhU':
        return this.#mulhU(a, b);
      case 'mulhS':
        this.#mulhU(a, b);
        this.#subtractIfNegative(a, b);
        return this.#subtractIfNegative(b, a);
      case 'mulhSU':
        this.#mulhU(a, b);
        return this.#subtractIfNegative(a, b);
      default:
        this.#code.get(a).get(b);
        return this.#call(node.op);
    }
  }

  /** RISC-V's total division (unprivileged specification, table "Semantics for division by zero"). */
  #divide(op: 'divS' | 'divU' | 'remS' | 'remU', type: ValueType & ('i32' | 'i64'), a: number, b: number): void {
    const code = this.#code;
    const constant = (n: number): Code => (type === 'i64' ? code.i64(BigInt(n)) : code.i32(n));
    const isRest = op === 'remS' || op === 'remU';
    code.get(b).op(`${type}.eqz`).if(type);
    if (isRest) code.get(a);
    else constant(-1);
    code.else();
    if (op === 'divU' || op === 'remU') {
      code
        .get(a)
        .get(b)
        .op(isRest ? `${type}.rem_u` : `${type}.div_u`);
    } else {
      code.get(b);
      constant(-1).op(`${type}.eq`).if(type);
      constant(0);
      if (!isRest) code.get(a).op(`${type}.sub`);
      code.else();
      code
        .get(a)
        .get(b)
        .op(isRest ? `${type}.rem_s` : `${type}.div_s`);
      code.end();
    }
    code.end();
  }

  /** The high half of the unsigned product out of four 32-bit products. */
  #mulhU(a: number, b: number): void {
    const code = this.#code;
    const low = code.local('i64');
    const middle = code.local('i64');
    const mask = 0xffff_ffffn;
    // low = aLo*bLo >> 32; middle = aHi*bLo + low, which cannot overflow.
    code.get(a).i64(mask).op('i64.and').get(b).i64(mask).op('i64.and', 'i64.mul').i64(32n).op('i64.shr_u').set(low);
    code.get(a).i64(32n).op('i64.shr_u').get(b).i64(mask).op('i64.and', 'i64.mul').get(low).op('i64.add').set(middle);
    // low = aLo*bHi + (middle & mask)
    code.get(a).i64(mask).op('i64.and').get(b).i64(32n).op('i64.shr_u', 'i64.mul');
    code.get(middle).i64(mask).op('i64.and', 'i64.add').set(low);
    code.get(a).i64(32n).op('i64.shr_u').get(b).i64(32n).op('i64.shr_u', 'i64.mul');
    code.get(middle).i64(32n).op('i64.shr_u', 'i64.add').get(low).i64(32n).op('i64.shr_u', 'i64.add');
  }

  /** Takes `value` off the number on the stack where `sign` is negative. */
  #subtractIfNegative(sign: number, value: number): void {
    this.#code.get(value).get(sign).i64(63n).op('i64.shr_s', 'i64.and', 'i64.sub');
  }

  #orcb(): void {
    const code = this.#code;
    const x = code.local('i64');
    const low7 = 0x7f7f_7f7f_7f7f_7f7fn;
    code.tee(x).i64(low7).op('i64.and').i64(low7).op('i64.add').get(x).op('i64.or').i64(~low7).op('i64.and');
    code.i64(7n).op('i64.shr_u').i64(255n).op('i64.mul');
  }

  #rev8(): void {
    const code = this.#code;
    const x = code.local('i64');
    code.set(x);
    for (const [mask, shift] of [
      [0x00ff_00ff_00ff_00ffn, 8n],
      [0x0000_ffff_0000_ffffn, 16n],
    ] as const) {
      code.get(x).i64(mask).op('i64.and').i64(shift).op('i64.shl');
      code.get(x).i64(shift).op('i64.shr_u').i64(mask).op('i64.and', 'i64.or').set(x);
    }
    code.get(x).i64(32n).op('i64.rotl');
  }

  #box(node: Node & { kind: 'box' }): void {
    const code = this.#code;
    const { floats } = this.#source;
    const type = NATIVE[node.format];
    const injected = floats !== null && type !== null ? signInjection(node.a, type, floats) : null;
    const single = floats !== null && node.format === 's' ? this.#singleIn(node.a) : null;
    if (type !== null && injected !== null) {
      this.#boxNative(type, () => {
        this.pushNative(injected.of, type);
        if (injected.sign !== null) code.op(`${type}.${injected.sign}`);
      });
    } else if (single !== null) {
      this.#boxNative('f32', () => code.get(single));
    } else {
      this.push(node.a);
      if (node.format === 'd') return;
      code
        .op('i64.extend_i32_u')
        .i64(node.format === 's' ? -1n << 32n : -1n << 16n)
        .op('i64.or');
    }
  }

  /** The local of a single that is there as a number: an operation's result, or what was loaded as one. */
  #singleIn(node: Node): number | null {
    const from = node.kind === 'unary' && node.op === 'wrap' ? node.a : node;
    const result = from.kind === 'result' ? this.#results.get(from.effect) : undefined;
    return result?.convert === 'i32.reinterpret_f32' ? result.local : null;
  }

  /** Without a way through integer registers, which takes as long as an addition. */
  #boxNative(type: Native, push: () => void): void {
    const code = this.#code;
    if (type === 'f32') code.i32x4(BOX);
    push();
    if (type === 'f32') code.vector('f32x4.replace_lane', 'f64x2.extract_lane');
    code.op('i64.reinterpret_f64');
  }

  #unbox(node: Node & { kind: 'unbox' }): void {
    const code = this.#code;
    if (node.format === 'd') return this.push(node.a);
    if (this.#source.floats !== null && node.format === 's') {
      this.pushNative(node, 'f32');
      code.op('i32.reinterpret_f32');
      return;
    }
    const bits = node.format === 's' ? 32n : 16n;
    const raw = this.toLocal(node.a);
    code.get(raw).op('i32.wrap_i64');
    if (node.format === 'h') code.i32(0xffff).op('i32.and');
    code.i32(CANONICAL_NAN[node.format]);
    code
      .get(raw)
      .i64(-1n << bits)
      .op('i64.ge_u', 'select');
  }

  #call(name: string): void {
    if (this.#source.callRuntime === null) throw new NeedsCall(name);
    this.#source.callRuntime(name);
  }
}

function isConst(node: Node, value: bigint): boolean {
  return node.kind === 'const' && BigInt.asUintN(node.type === 'i64' ? 64 : 32, node.value) === value;
}

/**
 * A pattern that is another one with its own sign, changed or taken away: what compiled code has fsgnj, fsgnjn and fsgnjx
 * for, with the same register twice.
 */
function signInjection(
  node: Node,
  type: Native,
  floats: Floats,
): { readonly of: Node; readonly sign: 'neg' | 'abs' | null } | null {
  if (node.kind !== 'binary' || node.op !== 'or') return null;
  const [magnitude, sign] = [node.a, node.b];
  if (magnitude.kind !== 'binary' || magnitude.op !== 'and' || sign.kind !== 'binary' || sign.op !== 'and') return null;
  if (!isConst(sign.b, SIGN[type])) return null;
  const of = magnitude.a;
  const isSame = (other: Node): boolean => {
    const [a, b] = [registerIn(of), registerIn(other)];
    return a !== null && b !== null && floats.areSame(a, b);
  };
  const { a: from } = sign;
  if (isSame(from)) return { of, sign: null };
  if (from.kind !== 'binary' || from.op !== 'xor') return null;
  if (isSame(from.a) && isSame(from.b)) return { of, sign: 'abs' };
  return isSame(from.a) && isConst(from.b, ALL_ONES[type]) ? { of, sign: 'neg' } : null;
}

/** The operand that a pattern comes from as it is. */
function registerIn(node: Node): string | null {
  if (node.kind === 'unbox') return registerIn(node.a);
  return node.kind === 'f' ? node.operand : null;
}
