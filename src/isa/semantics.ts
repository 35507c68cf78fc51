/**
 * The vocabulary in which instructions are defined. A definition calls these; what they build is IR (ir.ts).
 * Additions and bitwise operations on two constants fold here, so that masks may be written as they are understood.
 */
import {
  type AmoOp,
  type BinaryOp,
  type Body,
  CARRIER,
  COMPARE_OPS,
  type Commit,
  type Effect,
  type FenceSets,
  type FpFormat,
  type FpOp,
  type IntKind,
  type Node,
  type Rounding,
  type SystemOp,
  type Type,
  type UnaryOp,
} from './ir.ts';

/** What a definition may name: the operands of encoding rows that have a meaning beyond their mnemonic. */
export type OperandName =
  | 'rd'
  | 'rs1'
  | 'rs2'
  | 'rs3'
  | 'imm'
  | 'uimm'
  | 'shamt'
  | 'csr'
  | 'rm'
  | 'constant'
  | 'rl'
  | 'pred'
  | 'succ';
/** Operand handles: a definition's second argument. The value is the operand's name. */
export type Operands = Readonly<Record<OperandName, string>>;

const COMPARES: ReadonlySet<string> = new Set(COMPARE_OPS);

const FOLDS: Readonly<Partial<Record<BinaryOp, (a: bigint, b: bigint) => bigint>>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

export class Semantics {
  readonly #effects: Effect[] = [];
  readonly #commits: Commit[] = [];

  /** What has been built. */
  body(): Body {
    return { effects: this.#effects, commits: this.#commits };
  }

  // Operands and constants.

  const64(value: bigint | number): Node {
    return { kind: 'const', type: 'i64', value: BigInt.asIntN(64, BigInt(value)) };
  }
  const32(value: bigint | number): Node {
    return { kind: 'const', type: 'i32', value: BigInt.asIntN(32, BigInt(value)) };
  }
  imm(operand: string): Node {
    return { kind: 'imm', type: 'i64', operand };
  }
  x(operand: string): Node {
    return { kind: 'x', type: 'i64', operand };
  }
  /** The low 32 bits of an x register. */
  w(operand: string): Node {
    return this.wrap(this.x(operand));
  }
  /** All 64 bits of an f register. */
  f(operand: string): Node {
    return { kind: 'f', type: 'i64', operand };
  }
  /** The unboxed pattern of a format out of an f register. */
  fp(operand: string, format: FpFormat): Node {
    return { kind: 'unbox', type: CARRIER[format], format, a: this.f(operand) };
  }
  pc(): Node {
    return { kind: 'pc', type: 'i64' };
  }
  nextPc(): Node {
    return { kind: 'nextPc', type: 'i64' };
  }

  // Pure operations. Both operands of a binary operation have one type.

  add = (a: Node, b: Node): Node => this.#binary('add', a, b);
  sub = (a: Node, b: Node): Node => this.#binary('sub', a, b);
  mul = (a: Node, b: Node): Node => this.#binary('mul', a, b);
  and = (a: Node, b: Node): Node => this.#binary('and', a, b);
  or = (a: Node, b: Node): Node => this.#binary('or', a, b);
  xor = (a: Node, b: Node): Node => this.#binary('xor', a, b);
  shl = (a: Node, b: Node): Node => this.#binary('shl', a, b);
  shr = (a: Node, b: Node): Node => this.#binary('shr', a, b);
  sar = (a: Node, b: Node): Node => this.#binary('sar', a, b);
  rotl = (a: Node, b: Node): Node => this.#binary('rotl', a, b);
  rotr = (a: Node, b: Node): Node => this.#binary('rotr', a, b);
  divS = (a: Node, b: Node): Node => this.#binary('divS', a, b);
  divU = (a: Node, b: Node): Node => this.#binary('divU', a, b);
  remS = (a: Node, b: Node): Node => this.#binary('remS', a, b);
  remU = (a: Node, b: Node): Node => this.#binary('remU', a, b);
  eq = (a: Node, b: Node): Node => this.#binary('eq', a, b);
  ne = (a: Node, b: Node): Node => this.#binary('ne', a, b);
  ltS = (a: Node, b: Node): Node => this.#binary('ltS', a, b);
  ltU = (a: Node, b: Node): Node => this.#binary('ltU', a, b);
  geS = (a: Node, b: Node): Node => this.#binary('geS', a, b);
  geU = (a: Node, b: Node): Node => this.#binary('geU', a, b);

  binary(op: BinaryOp, a: Node, b: Node): Node {
    return this.#binary(op, a, b);
  }
  not(a: Node): Node {
    return this.xor(a, a.type === 'i64' ? this.const64(-1) : this.const32(-1));
  }
  unary(op: UnaryOp, a: Node): Node {
    const type: Type = op === 'wrap' ? 'i32' : op === 'sext32' || op === 'zext32' ? 'i64' : a.type;
    return { kind: 'unary', type, op, a };
  }
  wrap(a: Node): Node {
    return this.unary('wrap', a);
  }
  sext32(a: Node): Node {
    return this.unary('sext32', a);
  }
  zext32(a: Node): Node {
    return this.unary('zext32', a);
  }
  select(cond: Node, a: Node, b: Node): Node {
    return { kind: 'select', type: a.type, cond, a, b };
  }
  box(format: FpFormat, a: Node): Node {
    return { kind: 'box', type: 'i64', format, a };
  }
  fclass(format: FpFormat, a: Node): Node {
    return { kind: 'fclass', type: 'i32', format, a };
  }
  fli(format: FpFormat, operand: string): Node {
    return { kind: 'fli', type: CARRIER[format], format, operand };
  }

  // Effects, in the order in which they are called.

  load(size: 1 | 2 | 4 | 8, signed: boolean, addr: Node): Node {
    return this.#result({ op: 'load', type: 'i64', size, signed, addr });
  }
  store(size: 1 | 2 | 4 | 8, addr: Node, value: Node): void {
    this.#effects.push({ op: 'store', type: null, size, addr, value });
  }
  lr(size: 4 | 8, addr: Node, rl: string): Node {
    return this.#result({ op: 'lr', type: 'i64', size, addr, rl });
  }
  sc(size: 4 | 8, addr: Node, value: Node): Node {
    return this.#result({ op: 'sc', type: 'i64', size, addr, value });
  }
  amo(amo: AmoOp, size: 4 | 8, addr: Node, value: Node): Node {
    return this.#result({ op: 'amo', type: 'i64', amo, size, addr, value });
  }
  cbo(kind: 'inval' | 'clean' | 'flush' | 'zero', addr: Node): void {
    this.#effects.push({ op: 'cbo', type: null, kind, addr });
  }
  csr(
    access: 'w' | 's' | 'c',
    csr: string,
    source: Node,
    readOperand: string | null,
    writeOperand: string | null,
  ): Node {
    return this.#result({ op: 'csr', type: 'i64', access, csr, source, readOperand, writeOperand });
  }
  requireFp(): void {
    this.#effects.push({ op: 'requireFp', type: null });
  }
  /** An operation whose result is of its own format. */
  fpOp(fp: FpOp, format: FpFormat, rounding: Rounding | null, ...args: Node[]): Node {
    const type = fp === 'eq' || fp === 'lt' || fp === 'le' || fp === 'ltq' || fp === 'leq' ? 'i32' : CARRIER[format];
    return this.#result({ op: 'fp', type, fp, format, from: null, int: null, rounding, args });
  }
  fpConvert(format: FpFormat, from: FpFormat, rounding: Rounding, a: Node): Node {
    return this.#result({ op: 'fp', type: CARRIER[format], fp: 'cvt', format, from, int: null, rounding, args: [a] });
  }
  fpToInt(int: IntKind, format: FpFormat, rounding: Rounding, a: Node): Node {
    return this.#result({ op: 'fp', type: 'i64', fp: 'toInt', format, from: null, int, rounding, args: [a] });
  }
  fpFromInt(format: FpFormat, int: IntKind, rounding: Rounding, a: Node): Node {
    return this.#result({
      op: 'fp',
      type: CARRIER[format],
      fp: 'fromInt',
      format,
      from: null,
      int,
      rounding,
      args: [a],
    });
  }
  /** fcvtmod.w.d; always rounds towards zero. */
  fpConvertModular(a: Node): Node {
    return this.#result({
      op: 'fp',
      type: 'i64',
      fp: 'cvtmod',
      format: 'd',
      from: null,
      int: 'w',
      rounding: { mode: 1 },
      args: [a],
    });
  }
  sfenceVma(kind: 'vma' | 'inval', addrOperand: string, asidOperand: string): void {
    const addr = this.x(addrOperand);
    const asid = this.x(asidOperand);
    this.#effects.push({ op: 'sfenceVma', type: null, kind, addr, asid, addrOperand, asidOperand });
  }
  /** The two fences of Svinval that name no address and no ASID. */
  sfenceOrder(kind: 'wInval' | 'invalIr'): void {
    const zero = this.const64(0);
    this.#effects.push({
      op: 'sfenceVma',
      type: null,
      kind,
      addr: zero,
      asid: zero,
      addrOperand: null,
      asidOperand: null,
    });
  }
  /** @param sets null for fence.tso */
  fence(sets: FenceSets | null): void {
    this.#effects.push({ op: 'fence', type: null, sets });
  }
  system(system: SystemOp): void {
    this.#effects.push({ op: 'system', type: null, system });
  }
  illegal(): void {
    this.#effects.push({ op: 'illegal', type: null });
  }

  // Commits, all at once after the last effect.

  setX(operand: string, value: Node): void {
    this.#commits.push({ kind: 'setX', operand, value });
  }
  /** Sign-extends a word result into the register, as every *W instruction does. */
  setW(operand: string, value: Node): void {
    this.setX(operand, this.sext32(value));
  }
  /** Writes a format's pattern, NaN-boxed. */
  setFp(operand: string, format: FpFormat, value: Node): void {
    this.#commits.push({ kind: 'setF', operand, value: this.box(format, value) });
  }
  jump(target: Node): void {
    this.#commits.push({ kind: 'jump', target });
  }
  branch(cond: Node, target: Node): void {
    this.#commits.push({ kind: 'branch', cond, target });
  }

  #binary(op: BinaryOp, a: Node, b: Node): Node {
    const fold = FOLDS[op];
    if (fold !== undefined && a.kind === 'const' && b.kind === 'const') {
      const value = fold(a.value, b.value);
      return a.type === 'i64' ? this.const64(value) : this.const32(value);
    }
    return { kind: 'binary', type: COMPARES.has(op) ? 'i32' : a.type, op, a, b };
  }
  #result(effect: Effect & { readonly type: Type }): Node {
    this.#effects.push(effect);
    return { kind: 'result', type: effect.type, effect };
  }
}
