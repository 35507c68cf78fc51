/**
 * Whether a native floating-point result is exact, by error-free transformations: code that pushes 1 where nothing was
 * rounded. 0 says nothing: at the ends of the range the error terms are not representable, or become NaN.
 *
 * Operands and results are locals of the type. Sums: Knuth, The Art of Computer Programming 2, 4.2.2, theorem B.
 * Products: Dekker, "A floating-point technique for extending the available precision", 1971.
 */
import type { Code, PlainOp } from '../wasm/code.ts';

export type Native = 'f32' | 'f64';

const op = (code: Code, type: Native, name: string): Code => code.op(`${type}.${name}` as PlainOp);
const zero = (code: Code, type: Native): Code => (type === 'f64' ? code.f64(0) : code.f32(0));
const isZero = (code: Code, type: Native, local: number): void => void op(zero(code.get(local), type), type, 'eq');

/** Products from here on have an error that is representable. */
const SMALLEST_PRODUCT = 2 ** -969;

interface Operands {
  readonly a: number;
  readonly b: number;
}

export function pushIsSum(code: Code, type: Native, { a, b, sum }: Operands & { readonly sum: number }): void {
  const z = code.local(type);
  op(code.get(sum).get(a), type, 'sub').set(z);
  // (a - (sum - z)) + (b - z)
  op(code.get(a).get(sum).get(z), type, 'sub');
  op(code, type, 'sub');
  op(code.get(b).get(z), type, 'sub');
  op(code, type, 'add');
  op(zero(code, type), type, 'eq');
}

export function pushIsDifference(
  code: Code,
  type: Native,
  { a, b, difference }: Operands & { readonly difference: number },
): void {
  const negated = code.local(type);
  op(code.get(b), type, 'neg').set(negated);
  pushIsSum(code, type, { a, b: negated, sum: difference });
}

/** In double precision the product of singles is exact. */
export function pushIsProduct(
  code: Code,
  type: Native,
  { a, b, product }: Operands & { readonly product: number },
  hasFused: boolean,
): void {
  if (type === 'f32') {
    code.get(a).op('f64.promote_f32').get(b).op('f64.promote_f32', 'f64.mul');
    code.get(product).op('f64.promote_f32', 'f64.eq');
    return;
  }
  pushProductError(code, { a, b, product }, hasFused);
  code.f64(0).op('f64.eq');
  code.get(product).op('f64.abs').f64(SMALLEST_PRODUCT).op('f64.ge', 'i32.and');
  isZero(code, type, a);
  isZero(code, type, b);
  code.op('i32.or', 'i32.or');
}

/** Whether a quotient or a root, times b, is a. */
export function pushIsProductOf(
  code: Code,
  type: Native,
  { factor, b, a }: Operands & { readonly factor: number },
  hasFused: boolean,
): void {
  const product = code.local(type);
  op(code.get(factor).get(b), type, 'mul').tee(product).get(a);
  op(code, type, 'eq');
  pushIsProduct(code, type, { a: factor, b, product }, hasFused);
  code.op('i32.and');
}

/**
 * Pushes a*b + c rounded once (WebAssembly specification 3.0, relaxed vector instructions; there it may be rounded twice:
 * for hosts on which it is not).
 */
export function pushFused(code: Code, type: Native, operands: readonly [number, number, number]): void {
  const shape = type === 'f32' ? 'f32x4' : 'f64x2';
  for (const operand of operands) code.get(operand).vector(`${shape}.splat`);
  code.vector(`${shape}.relaxed_madd`, `${shape}.extract_lane`);
}

/** Pushes a*b - product, of doubles: exact where the product is 2^-969 at least; large operands make NaN of it. */
export function pushProductError(
  code: Code,
  { a, b, product }: Operands & { readonly product: number },
  hasFused: boolean,
): void {
  if (hasFused) {
    const negated = code.local('f64');
    code.get(product).op('f64.neg').set(negated);
    return pushFused(code, 'f64', [a, b, negated]);
  }
  const [aHigh, aLow] = split(code, a);
  const [bHigh, bLow] = split(code, b);
  // aLow*bLow - (((product - aHigh*bHigh) - aLow*bHigh) - aHigh*bLow)
  code.get(aLow).get(bLow).op('f64.mul');
  code.get(product).get(aHigh).get(bHigh).op('f64.mul', 'f64.sub').get(aLow).get(bHigh).op('f64.mul', 'f64.sub');
  code.get(aHigh).get(bLow).op('f64.mul', 'f64.sub', 'f64.sub');
}

/** Veltkamp's split: the upper 26 bits of a double and the rest. */
function split(code: Code, value: number): [number, number] {
  const [scaled, high, low] = [code.local('f64'), code.local('f64'), code.local('f64')];
  code
    .get(value)
    .f64(2 ** 27 + 1)
    .op('f64.mul')
    .tee(scaled);
  code.get(scaled).get(value).op('f64.sub', 'f64.sub').set(high);
  code.get(value).get(high).op('f64.sub').set(low);
  return [high, low];
}
