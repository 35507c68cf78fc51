/**
 * The typed intermediate representation of one instruction.
 *
 * An instruction is a list of effects, in order, and then a list of commits, all at once. Effects may trap, and read or
 * write memory and CSRs; whatever traps leaves the registers as they were. Commits write x and f registers and the pc
 * from values computed before any of them, so `jalr x1, 0(x1)` needs no care. Pure nodes form a graph: a node used
 * twice is computed once. Evaluated by the reference (src/hart/reference), lowered to WebAssembly by src/hart/lower.
 *
 * Values have two types, `i32` and `i64`; a truth value is an i32 of 0 or 1. A floating-point value is the bit pattern
 * of its format: f64 in an i64, f32 in an i32, f16 in the low half of an i32 whose high half is zero.
 */
export type Type = 'i32' | 'i64';
export type FpFormat = 'h' | 's' | 'd';

/** The value type that carries a format's bit pattern. */
export const CARRIER = { h: 'i32', s: 'i32', d: 'i64' } as const satisfies Record<FpFormat, Type>;

/** Both operands and the result have the node's type. Shift and rotate amounts are taken modulo the width. */
export const ARITHMETIC_OPS = [
  'add',
  'sub',
  'mul',
  'and',
  'or',
  'xor',
  'shl',
  'shr',
  'sar',
  'rotl',
  'rotr',
  // RISC-V's total division: x/0 is -1 (or all ones), x%0 is x, and the most negative value over -1 is itself, rest 0.
  'divS',
  'divU',
  'remS',
  'remU',
] as const;
/** i64 only: high halves of the 128-bit product, and carry-less products (Zbc). */
export const WIDE_OPS = ['mulhS', 'mulhU', 'mulhSU', 'clmul', 'clmulh', 'clmulr'] as const;
/** Operands have one type, the result is a truth value (i32). */
export const COMPARE_OPS = ['eq', 'ne', 'ltS', 'ltU', 'geS', 'geU'] as const;
/** Operand and result have the node's type. `orcb` and `rev8` are Zbb's, on i64. */
export const UNARY_OPS = ['clz', 'ctz', 'popcnt', 'sext8', 'sext16', 'orcb', 'rev8'] as const;
/** `wrap` is i64 -> i32, `sext32` and `zext32` are i32 -> i64. */
export const CONVERT_OPS = ['wrap', 'sext32', 'zext32'] as const;

export type BinaryOp = (typeof ARITHMETIC_OPS)[number] | (typeof WIDE_OPS)[number] | (typeof COMPARE_OPS)[number];
export type UnaryOp = (typeof UNARY_OPS)[number] | (typeof CONVERT_OPS)[number];

/** The rounding-mode operand of an instruction: the field's name, or a static mode (0 RNE, 1 RTZ, 2 RDN, 3 RUP, 4 RMM). */
export type Rounding = { readonly field: string } | { readonly mode: number };

export type Node =
  | { readonly kind: 'const'; readonly type: Type; readonly value: bigint }
  /** An operand that is no register (immediate, CSR number, shift amount), extended to 64 bits as its field says. */
  | { readonly kind: 'imm'; readonly type: 'i64'; readonly operand: string }
  | { readonly kind: 'x'; readonly type: 'i64'; readonly operand: string }
  /** The 64 bits of an f register, boxed or not. */
  | { readonly kind: 'f'; readonly type: 'i64'; readonly operand: string }
  | { readonly kind: 'pc'; readonly type: 'i64' }
  /** The address of the instruction that follows: pc plus this encoding's length. */
  | { readonly kind: 'nextPc'; readonly type: 'i64' }
  | { readonly kind: 'unary'; readonly type: Type; readonly op: UnaryOp; readonly a: Node }
  | { readonly kind: 'binary'; readonly type: Type; readonly op: BinaryOp; readonly a: Node; readonly b: Node }
  | { readonly kind: 'select'; readonly type: Type; readonly cond: Node; readonly a: Node; readonly b: Node }
  /** NaN-unboxing: the format's pattern out of an f register, the canonical NaN where it is not properly boxed. */
  | { readonly kind: 'unbox'; readonly type: Type; readonly format: FpFormat; readonly a: Node }
  /** NaN-boxing into the 64 bits of an f register. */
  | { readonly kind: 'box'; readonly type: 'i64'; readonly format: FpFormat; readonly a: Node }
  /** fclass.fmt: the ten-bit mask. */
  | { readonly kind: 'fclass'; readonly type: 'i32'; readonly format: FpFormat; readonly a: Node }
  /** fli.fmt's constant (Zfa table) for index a, as a pattern of the format. */
  | { readonly kind: 'fli'; readonly type: Type; readonly format: FpFormat; readonly operand: string }
  /** The result of an effect of this instruction, there from the effect's place in the list on. */
  | { readonly kind: 'result'; readonly type: Type; readonly effect: Effect };

export const AMO_OPS = ['swap', 'add', 'xor', 'and', 'or', 'minS', 'maxS', 'minU', 'maxU'] as const;
export type AmoOp = (typeof AMO_OPS)[number];

/**
 * Floating-point operations that may raise flags. `fma` computes a*b+c rounded once (fmsub and the like negate
 * operands' sign bits before). `toInt`/`fromInt` convert to and from the integer type named by `int`; `round` is Zfa's
 * fround, `roundnx` froundnx; `cvt` converts from format `from`; `ltq`, `leq` are the quiet comparisons, `minm`,
 * `maxm` Zfa's; `cvtmod` is fcvtmod.w.d.
 */
export const FP_OPS = [
  'add',
  'sub',
  'mul',
  'div',
  'sqrt',
  'fma',
  'min',
  'max',
  'minm',
  'maxm',
  'eq',
  'lt',
  'le',
  'ltq',
  'leq',
  'toInt',
  'fromInt',
  'cvt',
  'round',
  'roundnx',
  'cvtmod',
] as const;
export type FpOp = (typeof FP_OPS)[number];
/** Signed or unsigned word or doubleword of an fcvt. */
export type IntKind = 'w' | 'wu' | 'l' | 'lu';

export const SYSTEM_OPS = ['ecall', 'ebreak', 'mret', 'sret', 'wfi', 'wrsNto', 'wrsSto', 'pause', 'fenceI'] as const;
export type SystemOp = (typeof SYSTEM_OPS)[number];

/** The operands of a fence with what it orders: bits for device input and output, memory reads and writes, the lowest. */
export interface FenceSets {
  readonly pred: string;
  readonly succ: string;
}

export type Effect =
  /** Reads `size` bytes at virtual address `addr`; result i64, sign- or zero-extended. */
  | {
      readonly op: 'load';
      readonly type: 'i64';
      readonly size: 1 | 2 | 4 | 8;
      readonly signed: boolean;
      readonly addr: Node;
    }
  | {
      readonly op: 'store';
      readonly type: null;
      readonly size: 1 | 2 | 4 | 8;
      readonly addr: Node;
      readonly value: Node;
    }
  /** Result i64, a word sign-extended; must be naturally aligned. `rl` is the operand that says whether it releases. */
  | { readonly op: 'lr'; readonly type: 'i64'; readonly size: 4 | 8; readonly addr: Node; readonly rl: string }
  /** Result i64: 0 stored, 1 not. */
  | { readonly op: 'sc'; readonly type: 'i64'; readonly size: 4 | 8; readonly addr: Node; readonly value: Node }
  /** Result i64: the old value, a word sign-extended. */
  | {
      readonly op: 'amo';
      readonly type: 'i64';
      readonly amo: AmoOp;
      readonly size: 4 | 8;
      readonly addr: Node;
      readonly value: Node;
    }
  /** Zicbom, Zicboz on the 64-byte block that holds addr; checked against the envcfg CSRs. */
  | {
      readonly op: 'cbo';
      readonly type: null;
      readonly kind: 'inval' | 'clean' | 'flush' | 'zero';
      readonly addr: Node;
    }
  /**
   * A CSR access: 'w' writes source, 's' sets, 'c' clears its bits. Result i64: the old value. Side effects as Zicsr
   * says: `csrrw` with rd=x0 does not read; set and clear with rs1=x0 or uimm=0 do not write. `readOperand` names the
   * register operand whose being x0 suppresses the read, `writeOperand` the operand whose being 0 suppresses the write.
   */
  | {
      readonly op: 'csr';
      readonly type: 'i64';
      readonly access: 'w' | 's' | 'c';
      readonly csr: string;
      readonly source: Node;
      readonly readOperand: string | null;
      readonly writeOperand: string | null;
    }
  /** args are patterns of `format` (of `from` for cvt, an i64 for fromInt); the result is one of `format`, or i64 (toInt and cvtmod: sign-extended as the specification says), or a truth value as i32 (comparisons). */
  | {
      readonly op: 'fp';
      readonly type: Type;
      readonly fp: FpOp;
      readonly format: FpFormat;
      readonly from: FpFormat | null;
      readonly int: IntKind | null;
      readonly rounding: Rounding | null;
      readonly args: readonly Node[];
    }
  /** Illegal instruction unless mstatus.FS (and VS's rules) let floating point be used. First effect of every F, D, Zfh, Zfa instruction. */
  | { readonly op: 'requireFp'; readonly type: null }
  | {
      readonly op: 'sfenceVma';
      readonly type: null;
      readonly kind: 'vma' | 'inval' | 'wInval' | 'invalIr';
      readonly addr: Node;
      readonly asid: Node;
      /** Being x0 they mean every address, every ASID. Null for wInval and invalIr, which have none. */
      readonly addrOperand: string | null;
      readonly asidOperand: string | null;
    }
  /** Null: fence.tso. */
  | { readonly op: 'fence'; readonly type: null; readonly sets: FenceSets | null }
  | { readonly op: 'system'; readonly type: null; readonly system: SystemOp }
  | { readonly op: 'illegal'; readonly type: null };

export type Commit =
  | { readonly kind: 'setX'; readonly operand: string; readonly value: Node }
  /** Also marks mstatus.FS dirty. */
  | { readonly kind: 'setF'; readonly operand: string; readonly value: Node }
  /** The next pc, bit 0 clear. With IALIGN 16 no target is misaligned. */
  | { readonly kind: 'jump'; readonly target: Node }
  | { readonly kind: 'branch'; readonly cond: Node; readonly target: Node };

export interface Body {
  readonly effects: readonly Effect[];
  readonly commits: readonly Commit[];
}
