/**
 * Evaluates an instruction's IR (src/isa/ir.ts) against the reference hart: effects in order, then the commits at once.
 * Values are unsigned: an i64 in 0..2^64-1, an i32 in 0..2^32-1.
 */
import { bodyOperand, type Decoded } from '../../isa/insn.ts';
import type { AmoOp, Commit, Effect, FpFormat, Node, Rounding, SystemOp, Type } from '../../isa/ir.ts';
import { mask64 } from './constants.ts';
import { accessCsr } from './csrs.ts';
import { fclass, fli, fpEvaluate } from './float.ts';
import type { ReferenceHart } from './hart.ts';
import { binary, unary } from './integer.ts';
import { atomic, checkBlock, load, loadReserved, store, storeConditional, zeroBlock } from './mmu.ts';
import { ebreak, ecall, mret, requireCbo, sfence, sret, wfi, wrs } from './privileged.ts';

/** Bits of each format, and its canonical NaN. */
const FORMATS: Record<FpFormat, { readonly bits: number; readonly nan: bigint }> = {
  h: { bits: 16, nan: 0x7e00n },
  s: { bits: 32, nan: 0x7fc0_0000n },
  d: { bits: 64, nan: 0x7ff8_0000_0000_0000n },
};
/** The value of an rm field that says "the mode in frm". */
const DYNAMIC_ROUNDING = 7;
const LAST_ROUNDING = 4;

const widthOf = (type: Type): number => (type === 'i64' ? 64 : 32);
const signed = (bits: number, value: bigint): bigint => mask64(BigInt.asIntN(bits, value));

/** Executes one decoded instruction: registers, memory and hart.nextPc. @throws Trap, with no register changed. */
export function evaluate(hart: ReferenceHart, decoded: Decoded): void {
  new Evaluation(hart, decoded).run();
}

class Evaluation {
  readonly #hart: ReferenceHart;
  readonly #decoded: Decoded;
  readonly #results = new Map<Effect, bigint>();

  constructor(hart: ReferenceHart, decoded: Decoded) {
    this.#hart = hart;
    this.#decoded = decoded;
  }

  run(): void {
    const { effects, commits } = this.#decoded.insn.body;
    for (const effect of effects) {
      const result = this.#effect(effect);
      if (effect.type !== null) this.#results.set(effect, BigInt.asUintN(widthOf(effect.type), result));
    }
    for (const write of commits.map((commit) => this.#commit(commit))) write();
  }

  #operand(name: string): number {
    return bodyOperand(this.#decoded, name);
  }

  /** Computes now, writes when called. */
  #commit(commit: Commit): () => void {
    const hart = this.#hart;
    switch (commit.kind) {
      case 'setX': {
        const value = this.#value(commit.value);
        return () => hart.setX(this.#operand(commit.operand), value);
      }
      case 'setF': {
        const value = this.#value(commit.value);
        return () => hart.setF(this.#operand(commit.operand), value);
      }
      case 'jump':
      case 'branch': {
        const taken = commit.kind === 'jump' || this.#value(commit.cond) !== 0n;
        const target = this.#value(commit.target) & ~1n;
        return () => {
          if (taken) hart.nextPc = target;
        };
      }
    }
  }

  #value(node: Node): bigint {
    switch (node.kind) {
      case 'const':
        return BigInt.asUintN(widthOf(node.type), node.value);
      case 'imm':
        return mask64(BigInt(this.#operand(node.operand)));
      case 'x':
        return this.#hart.x[this.#operand(node.operand)] ?? 0n;
      case 'f':
        return this.#hart.f[this.#operand(node.operand)] ?? 0n;
      case 'pc':
        return this.#hart.pc;
      case 'nextPc':
        return mask64(this.#hart.pc + BigInt(this.#decoded.insn.length));
      case 'unary':
        return unary(node.op, widthOf(node.type), this.#value(node.a));
      case 'binary':
        return binary(node.op, widthOf(node.a.type), this.#value(node.a), this.#value(node.b));
      case 'select':
        return this.#value(this.#value(node.cond) !== 0n ? node.a : node.b);
      case 'unbox':
        return unbox(node.format, this.#value(node.a));
      case 'box':
        return box(node.format, this.#value(node.a));
      case 'fclass':
        return fclass(node.format, this.#value(node.a));
      case 'fli':
        return fli(node.format, this.#operand(node.operand));
      case 'result':
        return this.#results.get(node.effect) ?? missing(node.effect);
    }
  }

  /** Carries an effect out and returns its result, zero where there is none. */
  #effect(effect: Effect): bigint {
    const hart = this.#hart;
    switch (effect.op) {
      case 'load': {
        const value = load(hart, this.#value(effect.addr), effect.size);
        return effect.signed ? signed(8 * effect.size, value) : value;
      }
      case 'store':
        store(hart, this.#value(effect.addr), effect.size, this.#value(effect.value));
        return 0n;
      case 'lr':
        return signed(8 * effect.size, loadReserved(hart, this.#value(effect.addr), effect.size));
      case 'sc':
        return storeConditional(hart, this.#value(effect.addr), effect.size, this.#value(effect.value)) ? 0n : 1n;
      case 'amo': {
        const bits = 8 * effect.size;
        const operand = BigInt.asUintN(bits, this.#value(effect.value));
        const update = (old: bigint): bigint => amoResult(effect.amo, bits, old, operand);
        return signed(bits, atomic(hart, this.#value(effect.addr), effect.size, update));
      }
      case 'cbo':
        requireCbo(hart, effect.kind);
        if (effect.kind === 'zero') zeroBlock(hart, this.#value(effect.addr));
        else checkBlock(hart, this.#value(effect.addr));
        return 0n;
      case 'csr':
        return this.#csr(effect);
      case 'fp':
        return this.#float(effect);
      case 'requireFp':
        hart.requireFp();
        return 0n;
      case 'sfenceVma':
        sfence(hart, effect.kind);
        return 0n;
      // One hart without a cache: nothing to order.
      case 'fence':
        return 0n;
      case 'system':
        this.#system(effect.system);
        return 0n;
      case 'illegal':
        return hart.illegal();
    }
  }

  #csr(effect: Extract<Effect, { op: 'csr' }>): bigint {
    const given = (name: string | null): boolean => name === null || this.#operand(name) !== 0;
    const source = this.#value(effect.source);
    const modify = { w: () => source, s: (old: bigint) => old | source, c: (old: bigint) => old & ~source };
    return accessCsr(
      this.#hart,
      this.#operand(effect.csr),
      given(effect.readOperand),
      given(effect.writeOperand) ? modify[effect.access] : null,
    );
  }

  #float(effect: Extract<Effect, { op: 'fp' }>): bigint {
    const { fp, format, from, int } = effect;
    const rounding = effect.rounding === null ? 0 : this.#rounding(effect.rounding);
    const args = effect.args.map((arg) => this.#value(arg));
    const { value, flags } = fpEvaluate({ fp, format, from, int }, args, rounding);
    this.#hart.raise(BigInt(flags));
    return value;
  }

  #rounding(rounding: Rounding): number {
    if ('mode' in rounding) return rounding.mode;
    const field = this.#operand(rounding.field);
    const mode = field === DYNAMIC_ROUNDING ? Number(this.#hart.frm) : field;
    return mode <= LAST_ROUNDING ? mode : this.#hart.illegal();
  }

  #system(op: SystemOp): void {
    const hart = this.#hart;
    switch (op) {
      case 'ecall':
        return ecall(hart);
      case 'ebreak':
        return ebreak(hart);
      case 'mret':
        return mret(hart);
      case 'sret':
        return sret(hart);
      case 'wfi':
        return wfi(hart);
      case 'wrsNto':
      case 'wrsSto':
        return wrs(hart, op === 'wrsSto');
      // No decoded instructions, and nobody to wait for.
      case 'pause':
      case 'fenceI':
        return;
    }
  }
}

function missing(effect: Effect): never {
  throw new Error(`the result of ${effect.op} is used before it is there`);
}

function unbox(format: FpFormat, value: bigint): bigint {
  const { bits, nan } = FORMATS[format];
  const boxed = value >> BigInt(bits) === (1n << BigInt(64 - bits)) - 1n;
  return boxed ? BigInt.asUintN(bits, value) : nan;
}

function box(format: FpFormat, value: bigint): bigint {
  const { bits } = FORMATS[format];
  return mask64(-1n << BigInt(bits)) | BigInt.asUintN(bits, value);
}

function amoResult(op: AmoOp, bits: number, old: bigint, operand: bigint): bigint {
  const less = BigInt.asIntN(bits, old) < BigInt.asIntN(bits, operand);
  switch (op) {
    case 'swap':
      return operand;
    case 'add':
      return old + operand;
    case 'xor':
      return old ^ operand;
    case 'and':
      return old & operand;
    case 'or':
      return old | operand;
    case 'minS':
      return less ? old : operand;
    case 'maxS':
      return less ? operand : old;
    case 'minU':
      return old < operand ? old : operand;
    case 'maxU':
      return old < operand ? operand : old;
  }
}
