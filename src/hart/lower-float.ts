/**
 * Floating point with the host's own instructions, where that is exact: rounding to nearest even, and NX set already,
 * so that the one flag an ordinary result can raise changes nothing; or, where the user asks for it, NX clear and a
 * result that is seen not to have been rounded. Every other case bails out to soft-float.
 *
 * What makes a native result exact, flags included, is written at each operation. A result "inside" lies strictly
 * between the smallest normal number and infinity: one that was rounded up to exactly the smallest normal number
 * underflowed before (tininess is detected after rounding, but with an unbounded exponent).
 */
import type { Body, Effect, FpOp } from '../isa/ir.ts';
import type { Code, PlainOp, TruncSatOp } from '../wasm/code.ts';
import {
  type Native,
  pushFused,
  pushIsDifference,
  pushIsProduct,
  pushIsProductOf,
  pushIsSum,
  pushProductError,
} from './exact-float.ts';
import type { FastContext } from './lower-fast.ts';
import { NATIVE, type ValueLowering } from './lower-values.ts';
import { FP_GATE } from './state.ts';

type FpEffect = Effect & { readonly op: 'fp' };

const SMALLEST_NORMAL = { f32: 2 ** -126, f64: 2 ** -1022 } as const;

/** Bits of a number below its exponent, and the exponent that stands for infinity and NaN: all ones. */
const ENCODING = {
  f32: { bits: 'i32.reinterpret_f32', type: 'i32', significandBits: 23, maxExponent: 2 ** 8 - 1 },
  f64: { bits: 'i64.reinterpret_f64', type: 'i64', significandBits: 52, maxExponent: 2 ** 11 - 1 },
} as const;

/** The bits of a double below a single's significand, and the pattern in them that lies halfway. */
const BELOW_SINGLE = 0x1fff_ffffn;
const BELOW_SINGLE_HALF = 0x1000_0000n;

/** The exponent of the smallest normal number, two significands and a bit more. */
const CANCELLING_ADDEND = { f32: 2 ** -75, f64: 2 ** -900 } as const;

/** Operations that need rounding to nearest even and NX set; the others are exact or compare. */
const ROUNDING_OPS: ReadonlySet<FpOp> = new Set(['add', 'sub', 'mul', 'div', 'sqrt', 'fma', 'fromInt', 'toInt', 'cvt']);

/** Truncation to an integer: the exclusive bounds between which it is exact but for NX, and the instruction. */
const TRUNCATIONS = {
  w: { above: -(2 ** 31) - 1, below: 2 ** 31, suffix: '_s', type: 'i32' },
  wu: { above: -1, below: 2 ** 32, suffix: '_u', type: 'i32' },
  l: { above: -(2 ** 63), below: 2 ** 63, suffix: '_s', type: 'i64' },
  lu: { above: -1, below: 2 ** 64, suffix: '_u', type: 'i64' },
} as const;

/** What decides with its body which gate an instruction has. */
export interface GateContext {
  /** As in FastContext. */
  readonly dynamicRounding: boolean;
  /** With NX clear, results that are exact are computed too. */
  readonly checksExact: boolean;
}

/** The FP_GATE bit a body must find set to run in its fast form. */
export function gateOf(context: GateContext, body: Body): number {
  const rounds = body.effects.some((effect) => effect.op === 'fp' && needsFastGate(context, effect));
  if (rounds) return context.checksExact ? FP_GATE.exact : FP_GATE.fast;
  return body.commits.some((commit) => commit.kind === 'setF') ? FP_GATE.dirty : FP_GATE.on;
}

function needsFastGate(context: Pick<GateContext, 'dynamicRounding'>, effect: FpEffect): boolean {
  if (!ROUNDING_OPS.has(effect.fp)) return false;
  const isExact =
    (effect.fp === 'cvt' && effect.format === 'd') ||
    (effect.fp === 'fromInt' && effect.format === 'd' && (effect.int === 'w' || effect.int === 'wu'));
  // Exact or not, a dynamic mode must be a valid one.
  return !isExact || context.dynamicRounding;
}

/** Lowers an operation. @returns false where it has no native form */
export function lowerFastFloat(context: FastContext, values: ValueLowering, effect: FpEffect): boolean {
  const type = NATIVE[effect.format];
  if (type === null || (effect.from !== null && NATIVE[effect.from] === null)) return false;
  const lowering = new FloatLowering(context, values, effect, type);
  return lowering.run();
}

class FloatLowering {
  readonly #context: FastContext;
  readonly #code: Code;
  readonly #values: ValueLowering;
  readonly #effect: FpEffect;
  readonly #type: Native;

  constructor(context: FastContext, values: ValueLowering, effect: FpEffect, type: Native) {
    this.#context = context;
    this.#code = context.code;
    this.#values = values;
    this.#effect = effect;
    this.#type = type;
  }

  run(): boolean {
    const { fp } = this.#effect;
    if (fp === 'toInt') return this.#toInteger();
    if (ROUNDING_OPS.has(fp) && !this.#context.nearestEven) return false;
    switch (fp) {
      case 'add':
      case 'sub':
      case 'mul':
      case 'div':
        return this.#arithmetic(fp);
      case 'sqrt':
        return this.#squareRoot();
      case 'fma':
        return this.#fused();
      case 'eq':
      case 'lt':
      case 'le':
        return this.#compare(fp);
      case 'min':
      case 'max':
        return this.#minimum(fp);
      case 'fromInt':
        return this.#fromInteger();
      case 'cvt':
        return this.#convert();
      default:
        return false;
    }
  }

  /** Puts operand i into a native local. */
  #operand(i: number, type: Native = this.#type): number {
    const node = this.#effect.args[i];
    if (node === undefined) throw new Error(`${this.#effect.fp} has no operand ${i}`);
    const local = this.#code.local(type);
    this.#values.pushNative(node, type);
    this.#code.set(local);
    return local;
  }

  /** Takes a native result out of its local. */
  #finish(local: number): true {
    this.#values.setNativeResult(this.#effect, local, this.#type);
    return true;
  }

  #op(name: string, type: Native = this.#type): void {
    this.#code.op(`${type}.${name}` as PlainOp);
  }

  #constant(value: number, type: Native = this.#type): void {
    if (type === 'f64') this.#code.f64(value);
    else this.#code.f32(value);
  }

  /** With NX clear, bails out unless what `pushExact` pushes says that nothing was rounded. */
  #checkExact(pushExact: () => void): void {
    const { pushInexactClear } = this.#context;
    if (pushInexactClear === undefined || !needsFastGate(this.#context, this.#effect)) return;
    pushInexactClear();
    this.#code.if();
    pushExact();
    this.#code.op('i32.eqz');
    this.#context.bailIf();
    this.#code.end();
  }

  /** Bails out unless the local is finite; NaN is not. */
  #bailUnlessFinite(local: number): void {
    this.#code.get(local);
    this.#op('abs');
    this.#constant(Number.POSITIVE_INFINITY);
    this.#op('lt');
    this.#code.op('i32.eqz');
    this.#context.bailIf();
  }

  /**
   * Sums are exact where they are subnormal, so any finite result will do. Products and quotients must lie inside, or
   * be a zero that comes of a zero and not of underflow.
   */
  #arithmetic(fp: 'add' | 'sub' | 'mul' | 'div'): boolean {
    const code = this.#code;
    const { hasFused } = this.#context;
    const a = this.#operand(0);
    const b = this.#operand(1);
    const result = code.local(this.#type);
    code.get(a).get(b);
    this.#op(fp);
    code.set(result);
    if (fp === 'add' || fp === 'sub') {
      this.#bailUnlessFinite(result);
      this.#checkExact(() => {
        if (fp === 'add') pushIsSum(code, this.#type, { a, b, sum: result });
        else pushIsDifference(code, this.#type, { a, b, difference: result });
      });
      return this.#finish(result);
    }
    this.#requireInside(result, () => {
      // Zero times or over a finite number: the operands say that the zero is exact, the result that the other is finite.
      this.#isZero(result);
      this.#isZero(a);
      if (fp === 'mul') {
        this.#isZero(b);
        code.op('i32.or');
      }
      code.op('i32.and');
    });
    this.#checkExact(() => {
      if (fp === 'mul') pushIsProduct(code, this.#type, { a, b, product: result }, hasFused);
      else pushIsProductOf(code, this.#type, { factor: result, b, a }, hasFused);
    });
    return this.#finish(result);
  }

  #isZero(local: number): void {
    this.#code.get(local);
    this.#constant(0);
    this.#op('eq');
  }

  /** Bails out unless a result is inside, or `pushOtherwise` pushes that it is exact as it is. */
  #requireInside(result: number, pushOtherwise: () => void): void {
    const code = this.#code;
    const { bits, type, significandBits, maxExponent } = ENCODING[this.#type];
    // By its exponent. The lowest of normal numbers are looked at more closely.
    code.get(result).op(bits);
    if (type === 'i64') code.i64(BigInt(significandBits)).op('i64.shr_u', 'i32.wrap_i64');
    else code.i32(significandBits).op('i32.shr_u');
    code.i32(maxExponent).op('i32.and').i32(2).op('i32.sub');
    code
      .i32(maxExponent - 2)
      .op('i32.ge_u')
      .unlikely()
      .if();
    this.#isInside(result);
    pushOtherwise();
    code.op('i32.or', 'i32.eqz');
    this.#context.bailIf();
    code.end();
  }

  #isInside(local: number): void {
    const code = this.#code;
    code.get(local);
    this.#op('abs');
    this.#constant(SMALLEST_NORMAL[this.#type]);
    this.#op('gt');
    code.get(local);
    this.#op('abs');
    this.#constant(Number.POSITIVE_INFINITY);
    this.#op('lt');
    code.op('i32.and');
  }

  #fused(): boolean {
    // An exact result is told from a rounded one by the error terms.
    if (this.#context.hasFused && this.#context.pushInexactClear === undefined) return this.#fusedNative();
    return this.#type === 'f32' ? this.#fusedSingle() : this.#fusedDouble();
  }

  /**
   * A zero is exact where a factor is zero, or where the addend is so large that what cannot cancel against it, a unit in
   * the product's last place, is a normal number.
   */
  #fusedNative(): boolean {
    const code = this.#code;
    const [a, b, c] = [this.#operand(0), this.#operand(1), this.#operand(2)];
    const result = code.local(this.#type);
    pushFused(code, this.#type, [a, b, c]);
    code.set(result);
    this.#requireInside(result, () => {
      this.#isZero(result);
      this.#isZero(a);
      this.#isZero(b);
      code.op('i32.or').get(c);
      this.#op('abs');
      this.#constant(CANCELLING_ADDEND[this.#type]);
      this.#op('ge');
      code.op('i32.or', 'i32.and');
    });
    return this.#finish(result);
  }

  /**
   * In double precision the product of singles is exact. Rounding the sum twice can only err where the first result lies
   * exactly between two singles.
   */
  #fusedSingle(): boolean {
    const code = this.#code;
    const [a, b, c] = [this.#operand(0), this.#operand(1), this.#operand(2)];
    const sum = code.local('f64');
    const result = code.local('f32');
    const [product, addend] = [code.local('f64'), code.local('f64')];
    code.get(a).op('f64.promote_f32').get(b).op('f64.promote_f32', 'f64.mul').tee(product);
    code.get(c).op('f64.promote_f32').tee(addend).op('f64.add').tee(sum).op('f32.demote_f64').set(result);
    this.#requireInside(result, () => void code.get(sum).f64(0).op('f64.eq'));
    code.get(sum).op('i64.reinterpret_f64').i64(BELOW_SINGLE).op('i64.and').i64(BELOW_SINGLE_HALF).op('i64.eq');
    this.#context.bailIf();
    // The sum of doubles may have been rounded itself.
    this.#checkExact(() => {
      pushIsSum(code, 'f64', { a: product, b: addend, sum });
      code.get(result).op('f64.promote_f32').get(sum).op('f64.eq', 'i32.and');
    });
    return this.#finish(result);
  }

  /**
   * An error-free transformation: a*b = p + e (Dekker) and p + c = s + t (Knuth) hold exactly, so the answer is s + (t + e)
   * rounded once. t + e is known to half a unit; where both ends of that interval round to the same sum, so does the true
   * one. p of at least 2^-969 keeps every error term representable. Large operands become NaN by themselves and bail.
   */
  #fusedDouble(): boolean {
    const code = this.#code;
    const [a, b, c] = [this.#operand(0), this.#operand(1), this.#operand(2)];
    const f64 = (): number => code.local('f64');
    const [p, e, s, z, t, w, result] = [f64(), f64(), f64(), f64(), f64(), f64(), f64()];
    code.get(a).get(b).op('f64.mul').set(p);
    pushProductError(code, { a, b, product: p }, this.#context.hasFused);
    code.set(e);
    // s + t = p + c
    code.get(p).get(c).op('f64.add').tee(s).get(p).op('f64.sub').set(z);
    code.get(p).get(s).get(z).op('f64.sub', 'f64.sub').get(c).get(z).op('f64.sub', 'f64.add').set(t);
    code.get(t).get(e).op('f64.add').set(w);
    // A product that is zero because a factor is has no error, and its sign decides that of a sum which is zero.
    const isNothing = code.local('i32');
    this.#isZero(a);
    this.#isZero(b);
    code.op('i32.or').set(isNothing);
    code.get(s).get(s).get(w).op('f64.add').get(isNothing).op('select').set(result);
    code
      .get(p)
      .op('f64.abs')
      .f64(2 ** -969)
      .op('f64.ge')
      .get(isNothing)
      .op('i32.or');
    code.get(result).op('f64.abs').f64(Number.POSITIVE_INFINITY).op('f64.lt', 'i32.and');
    code
      .get(s)
      .get(w)
      .f64(1 + 2 ** -52)
      .op('f64.mul', 'f64.add');
    code
      .get(s)
      .get(w)
      .f64(1 - 2 ** -52)
      .op('f64.mul', 'f64.add', 'f64.eq');
    code.get(t).f64(0).op('f64.eq', 'i32.or', 'i32.and', 'i32.eqz');
    this.#context.bailIf();
    this.#checkExact(() => {
      code.get(w).f64(0).op('f64.eq');
    });
    return this.#finish(result);
  }

  /** No square root underflows or overflows; a negative operand gives NaN, -0 itself. */
  #squareRoot(): boolean {
    const a = this.#operand(0);
    this.#code.get(a);
    this.#op('sqrt');
    const result = this.#code.local(this.#type);
    this.#code.set(result);
    this.#bailUnlessFinite(result);
    this.#checkExact(() =>
      pushIsProductOf(this.#code, this.#type, { factor: result, b: result, a }, this.#context.hasFused),
    );
    return this.#finish(result);
  }

  /** Exact without NaN. */
  #compare(fp: 'eq' | 'lt' | 'le'): boolean {
    const [a, b] = this.#orderedOperands();
    this.#code.get(a).get(b);
    this.#op(fp);
    this.#values.setResult(this.#effect);
    return true;
  }

  /** WebAssembly's min and max order -0 below +0, as RISC-V's do; without NaN they agree. */
  #minimum(fp: 'min' | 'max'): boolean {
    const [a, b] = this.#orderedOperands();
    this.#code.get(a).get(b);
    this.#op(fp);
    const result = this.#code.local(this.#type);
    this.#code.set(result);
    return this.#finish(result);
  }

  #orderedOperands(): [number, number] {
    const code = this.#code;
    const a = this.#operand(0);
    const b = this.#operand(1);
    code.get(a).get(a);
    this.#op('ne');
    code.get(b).get(b);
    this.#op('ne');
    code.op('i32.or');
    this.#context.bailIf();
    return [a, b];
  }

  /** Never special: the largest integer is far from overflow. */
  #fromInteger(): boolean {
    const code = this.#code;
    const [node] = this.#effect.args;
    const { int } = this.#effect;
    if (node === undefined || int === null) return false;
    const isWord = int === 'w' || int === 'wu';
    const type = isWord ? 'i32' : 'i64';
    const sign = int.endsWith('u') ? 'u' : 's';
    const integer = code.local(type);
    this.#values.push(node);
    if (isWord) code.op('i32.wrap_i64');
    code.tee(integer).op(`${this.#type}.convert_${type}_${sign}` as PlainOp);
    const result = code.local(this.#type);
    code.set(result);
    this.#checkExact(() => {
      // Saturated, the largest comes back as itself though it was rounded up.
      code
        .get(result)
        .truncSat(`${type}.trunc_sat_${this.#type}_${sign}` as TruncSatOp)
        .get(integer);
      code.op(`${type}.eq`);
      code.get(result);
      this.#constant(2 ** (isWord ? 31 : 62));
      this.#op('lt');
      code.op('i32.and');
    });
    return this.#finish(result);
  }

  /** Towards zero, or to nearest even first; in range no flag but NX can rise. */
  #toInteger(): boolean {
    const code = this.#code;
    const { int } = this.#effect;
    const { nearestEven, towardsZero } = this.#context;
    if (int === null || !(nearestEven || towardsZero)) return false;
    const { above, below, suffix, type } = TRUNCATIONS[int];
    const value = this.#operand(0);
    const given = code.local(this.#type);
    code.get(value).set(given);
    if (nearestEven) {
      code.get(value);
      this.#op('nearest');
      code.set(value);
    }
    // An f32 bound of -2^31 - 1 would round to -2^31, which is in range: there and at -2^63 the bound itself is allowed.
    const isInclusive = int === 'l' || (int === 'w' && this.#type === 'f32');
    code.get(value);
    this.#constant(int === 'w' && this.#type === 'f32' ? above + 1 : above);
    this.#op(isInclusive ? 'ge' : 'gt');
    code.get(value);
    this.#constant(below);
    this.#op('lt');
    code.op('i32.and', 'i32.eqz');
    this.#context.bailIf();
    this.#checkExact(() => {
      code.get(given);
      this.#op('nearest');
      code.get(given);
      this.#op('eq');
    });
    code.get(value).op(`${type}.trunc_${this.#type}${suffix}` as PlainOp);
    if (type === 'i32') code.op('i64.extend_i32_s');
    this.#values.setResult(this.#effect);
    return true;
  }

  /** Widening is exact but for NaN. Narrowing must end inside, or start from zero. */
  #convert(): boolean {
    const code = this.#code;
    const from = this.#type === 'f64' ? 'f32' : 'f64';
    const value = this.#operand(0, from);
    const result = code.local(this.#type);
    code
      .get(value)
      .op(this.#type === 'f64' ? 'f64.promote_f32' : 'f32.demote_f64')
      .set(result);
    if (this.#type === 'f64') {
      code.get(value).get(value);
      this.#op('ne', from);
      this.#context.bailIf();
      return this.#finish(result);
    }
    this.#requireInside(result, () => {
      code.get(value);
      this.#constant(0, from);
      this.#op('eq', from);
    });
    this.#checkExact(() => {
      code.get(result).op('f64.promote_f32').get(value).op('f64.eq');
    });
    return this.#finish(result);
  }
}
