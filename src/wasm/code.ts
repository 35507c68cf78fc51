/**
 * A WebAssembly function body under construction (WebAssembly core specification 2.0 with threads, chapter 5).
 * Methods append one instruction each and are named as the text format names it, where TypeScript allows.
 */
import { ByteWriter } from './bytes.ts';

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64';

export const VALUE_TYPE: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c };

/** One-byte instructions without immediates. */
export const PLAIN = {
  unreachable: 0x00,
  nop: 0x01,
  else: 0x05,
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
  'i32.eqz': 0x45,
  'i32.eq': 0x46,
  'i32.ne': 0x47,
  'i32.lt_s': 0x48,
  'i32.lt_u': 0x49,
  'i32.gt_s': 0x4a,
  'i32.gt_u': 0x4b,
  'i32.le_s': 0x4c,
  'i32.le_u': 0x4d,
  'i32.ge_s': 0x4e,
  'i32.ge_u': 0x4f,
  'i64.eqz': 0x50,
  'i64.eq': 0x51,
  'i64.ne': 0x52,
  'i64.lt_s': 0x53,
  'i64.lt_u': 0x54,
  'i64.gt_s': 0x55,
  'i64.gt_u': 0x56,
  'i64.le_s': 0x57,
  'i64.le_u': 0x58,
  'i64.ge_s': 0x59,
  'i64.ge_u': 0x5a,
  'f32.eq': 0x5b,
  'f32.ne': 0x5c,
  'f32.lt': 0x5d,
  'f32.gt': 0x5e,
  'f32.le': 0x5f,
  'f32.ge': 0x60,
  'f64.eq': 0x61,
  'f64.ne': 0x62,
  'f64.lt': 0x63,
  'f64.gt': 0x64,
  'f64.le': 0x65,
  'f64.ge': 0x66,
  'i32.clz': 0x67,
  'i32.ctz': 0x68,
  'i32.popcnt': 0x69,
  'i32.add': 0x6a,
  'i32.sub': 0x6b,
  'i32.mul': 0x6c,
  'i32.div_s': 0x6d,
  'i32.div_u': 0x6e,
  'i32.rem_s': 0x6f,
  'i32.rem_u': 0x70,
  'i32.and': 0x71,
  'i32.or': 0x72,
  'i32.xor': 0x73,
  'i32.shl': 0x74,
  'i32.shr_s': 0x75,
  'i32.shr_u': 0x76,
  'i32.rotl': 0x77,
  'i32.rotr': 0x78,
  'i64.clz': 0x79,
  'i64.ctz': 0x7a,
  'i64.popcnt': 0x7b,
  'i64.add': 0x7c,
  'i64.sub': 0x7d,
  'i64.mul': 0x7e,
  'i64.div_s': 0x7f,
  'i64.div_u': 0x80,
  'i64.rem_s': 0x81,
  'i64.rem_u': 0x82,
  'i64.and': 0x83,
  'i64.or': 0x84,
  'i64.xor': 0x85,
  'i64.shl': 0x86,
  'i64.shr_s': 0x87,
  'i64.shr_u': 0x88,
  'i64.rotl': 0x89,
  'i64.rotr': 0x8a,
  'f32.abs': 0x8b,
  'f32.nearest': 0x90,
  'f64.nearest': 0x9e,
  'f32.min': 0x96,
  'f32.max': 0x97,
  'f64.min': 0xa4,
  'f64.max': 0xa5,
  'i32.trunc_f32_u': 0xa9,
  'i32.trunc_f64_u': 0xab,
  'i64.trunc_f32_s': 0xae,
  'i64.trunc_f32_u': 0xaf,
  'i64.trunc_f64_s': 0xb0,
  'i64.trunc_f64_u': 0xb1,
  'f32.neg': 0x8c,
  'f32.sqrt': 0x91,
  'f32.add': 0x92,
  'f32.sub': 0x93,
  'f32.mul': 0x94,
  'f32.div': 0x95,
  'f64.abs': 0x99,
  'f64.neg': 0x9a,
  'f64.sqrt': 0x9f,
  'f64.add': 0xa0,
  'f64.sub': 0xa1,
  'f64.mul': 0xa2,
  'f64.div': 0xa3,
  'i32.wrap_i64': 0xa7,
  'i32.trunc_f32_s': 0xa8,
  'i32.trunc_f64_s': 0xaa,
  'i64.extend_i32_s': 0xac,
  'i64.extend_i32_u': 0xad,
  'f32.convert_i32_s': 0xb2,
  'f32.convert_i32_u': 0xb3,
  'f32.convert_i64_s': 0xb4,
  'f32.convert_i64_u': 0xb5,
  'f32.demote_f64': 0xb6,
  'f64.convert_i32_s': 0xb7,
  'f64.convert_i32_u': 0xb8,
  'f64.convert_i64_s': 0xb9,
  'f64.convert_i64_u': 0xba,
  'f64.promote_f32': 0xbb,
  'i32.reinterpret_f32': 0xbc,
  'i64.reinterpret_f64': 0xbd,
  'f32.reinterpret_i32': 0xbe,
  'f64.reinterpret_i64': 0xbf,
  'i32.extend8_s': 0xc0,
  'i32.extend16_s': 0xc1,
  'i64.extend8_s': 0xc2,
  'i64.extend16_s': 0xc3,
  'i64.extend32_s': 0xc4,
} as const;
export type PlainOp = keyof typeof PLAIN;

/** What takes back what a reinterpretation did. */
const INVERSE: Readonly<Partial<Record<PlainOp, PlainOp>>> = {
  'i64.reinterpret_f64': 'f64.reinterpret_i64',
  'i32.reinterpret_f32': 'f32.reinterpret_i32',
};

/** Saturating truncations, behind the 0xfc prefix. */
export const TRUNC_SAT = {
  'i32.trunc_sat_f32_s': 0,
  'i32.trunc_sat_f32_u': 1,
  'i32.trunc_sat_f64_s': 2,
  'i32.trunc_sat_f64_u': 3,
  'i64.trunc_sat_f32_s': 4,
  'i64.trunc_sat_f32_u': 5,
  'i64.trunc_sat_f64_s': 6,
  'i64.trunc_sat_f64_u': 7,
} as const;
export type TruncSatOp = keyof typeof TRUNC_SAT;

/** Vector instructions, behind the 0xfd prefix; those that name a lane name the lowest. */
export const VECTOR = {
  'v128.const': 0x0c,
  'f32x4.splat': 0x13,
  'f64x2.splat': 0x14,
  'f32x4.extract_lane': 0x1f,
  'f32x4.replace_lane': 0x20,
  'f64x2.extract_lane': 0x21,
  'f32x4.relaxed_madd': 0x105,
  'f64x2.relaxed_madd': 0x107,
} as const;
export type VectorOp = Exclude<keyof typeof VECTOR, 'v128.const'>;

/** Loads and stores; alignment is always given as 1, guest addresses have none. */
export const MEMORY = {
  'i32.load': 0x28,
  'i64.load': 0x29,
  'f32.load': 0x2a,
  'f64.load': 0x2b,
  'i32.load8_s': 0x2c,
  'i32.load8_u': 0x2d,
  'i32.load16_s': 0x2e,
  'i32.load16_u': 0x2f,
  'i64.load8_s': 0x30,
  'i64.load8_u': 0x31,
  'i64.load16_s': 0x32,
  'i64.load16_u': 0x33,
  'i64.load32_s': 0x34,
  'i64.load32_u': 0x35,
  'i32.store': 0x36,
  'i64.store': 0x37,
  'f32.store': 0x38,
  'f64.store': 0x39,
  'i32.store8': 0x3a,
  'i32.store16': 0x3b,
  'i64.store8': 0x3c,
  'i64.store16': 0x3d,
  'i64.store32': 0x3e,
} as const;
export type MemoryOp = keyof typeof MEMORY;

/** Atomic accesses behind the 0xfe prefix: {opcode, log2 of the alignment, which must be natural}. */
export const ATOMIC = {
  'i32.atomic.load': [0x10, 2],
  'i64.atomic.load': [0x11, 3],
  'i32.atomic.store': [0x17, 2],
  'i64.atomic.store': [0x18, 3],
  'i32.atomic.rmw.add': [0x1e, 2],
  'i64.atomic.rmw.add': [0x1f, 3],
  'i32.atomic.rmw.and': [0x2c, 2],
  'i64.atomic.rmw.and': [0x2d, 3],
  'i32.atomic.rmw.or': [0x33, 2],
  'i64.atomic.rmw.or': [0x34, 3],
  'i32.atomic.rmw.xor': [0x3a, 2],
  'i64.atomic.rmw.xor': [0x3b, 3],
  'i32.atomic.rmw.xchg': [0x41, 2],
  'i64.atomic.rmw.xchg': [0x42, 3],
  'i32.atomic.rmw.cmpxchg': [0x48, 2],
  'i64.atomic.rmw.cmpxchg': [0x49, 3],
} as const satisfies Record<string, readonly [number, number]>;
export type AtomicOp = keyof typeof ATOMIC;

/** A structured label: branches name it, the builder counts depths. */
export interface Label {
  readonly depth: number;
}

export class Code {
  readonly #bytes = new ByteWriter();
  /** Of branches that are hardly ever taken: offsets behind the declaration of locals. */
  readonly #unlikely: number[] = [];
  readonly #locals: ValueType[] = [];
  readonly #free: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [] };
  #scoped: number[] | null = null;
  readonly #parameters: number;
  #depth = 0;
  /** The instruction that would undo the last one, if that ended there. */
  #undone: PlainOp | null = null;
  #undoneAt = -1;

  /** @param parameters how many parameters the function has; they are locals 0, 1, ... */
  constructor(parameters: number) {
    this.#parameters = parameters;
  }

  /** A local: zero at entry outside a scope, of unknown value inside one. */
  local(type: ValueType): number {
    const free = this.#free[type].pop();
    if (free !== undefined) {
      this.#scoped?.push(free);
      return free;
    }
    this.#locals.push(type);
    const local = this.#parameters + this.#locals.length - 1;
    this.#scoped?.push(local);
    return local;
  }

  /** Emits `body`; the locals it took are free for others afterwards. Scopes do not nest. */
  scope(body: () => void): void {
    if (this.#scoped !== null) throw new Error('scopes do not nest');
    this.#scoped = [];
    body();
    for (const local of this.#scoped) this.#free[this.#locals[local - this.#parameters] ?? 'i32'].push(local);
    this.#scoped = null;
  }

  op(...names: readonly PlainOp[]): this {
    for (const name of names) {
      if (this.#undone === name && this.#undoneAt === this.#bytes.length) {
        // To the bits and back: nothing.
        this.#bytes.shorten(1);
        this.#undone = null;
        continue;
      }
      this.#bytes.u8(PLAIN[name]);
      this.#undone = INVERSE[name] ?? null;
      this.#undoneAt = this.#bytes.length;
    }
    return this;
  }
  truncSat(name: TruncSatOp): this {
    this.#bytes.u8(0xfc).u32(TRUNC_SAT[name]);
    return this;
  }
  vector(...names: readonly VectorOp[]): this {
    for (const name of names) {
      this.#bytes.u8(0xfd).u32(VECTOR[name]);
      if (name.endsWith('_lane')) this.#bytes.u8(0);
    }
    return this;
  }
  /** @param lanes from the lowest on, each an int32 */
  i32x4(lanes: readonly [number, number, number, number]): this {
    this.#bytes.u8(0xfd).u32(VECTOR['v128.const']);
    for (const lane of lanes) for (let shift = 0; shift < 32; shift += 8) this.#bytes.u8((lane >>> shift) & 0xff);
    return this;
  }
  i32(value: number): this {
    this.#bytes.u8(0x41).s32(value | 0);
    return this;
  }
  /** @param value of either sign; a number must be an int32 */
  i64(value: bigint | number): this {
    if (typeof value === 'number') this.#bytes.u8(0x42).s32(value);
    else this.#bytes.u8(0x42).s64(BigInt.asIntN(64, value));
    return this;
  }
  f32(value: number): this {
    this.#bytes.u8(0x43).f32(value);
    return this;
  }
  f64(value: number): this {
    this.#bytes.u8(0x44).f64(value);
    return this;
  }
  get(local: number): this {
    this.#bytes.u8(0x20).u32(local);
    return this;
  }
  set(local: number): this {
    this.#bytes.u8(0x21).u32(local);
    return this;
  }
  tee(local: number): this {
    this.#bytes.u8(0x22).u32(local);
    return this;
  }
  globalGet(index: number): this {
    this.#bytes.u8(0x23).u32(index);
    return this;
  }
  memory(name: MemoryOp, offset = 0): this {
    this.#bytes.u8(MEMORY[name]).u32(0).u32(offset);
    return this;
  }
  atomic(name: AtomicOp, offset = 0): this {
    const [opcode, align] = ATOMIC[name];
    this.#bytes.u8(0xfe).u8(opcode).u32(align).u32(offset);
    return this;
  }
  atomicFence(): this {
    this.#bytes.u8(0xfe).u8(0x03).u8(0);
    return this;
  }
  call(functionIndex: number): this {
    this.#bytes.u8(0x10).u32(functionIndex);
    return this;
  }
  callIndirect(typeIndex: number, table = 0): this {
    this.#bytes.u8(0x11).u32(typeIndex).u32(table);
    return this;
  }

  block(result?: ValueType): Label {
    return this.#open(0x02, result);
  }
  loop(result?: ValueType): Label {
    return this.#open(0x03, result);
  }
  if(result?: ValueType): Label {
    return this.#open(0x04, result);
  }
  /** The next `if`, whose body then is hardly ever executed, or `br_if`, which is hardly ever taken. */
  unlikely(): this {
    this.#unlikely.push(this.#bytes.length);
    return this;
  }
  else(): this {
    return this.op('else');
  }
  end(): this {
    this.#depth -= 1;
    return this.op('end');
  }
  br(label: Label): this {
    this.#bytes.u8(0x0c).u32(this.#depth - label.depth);
    return this;
  }
  brIf(label: Label): this {
    this.#bytes.u8(0x0d).u32(this.#depth - label.depth);
    return this;
  }
  brTable(labels: readonly Label[], otherwise: Label): this {
    this.#bytes.u8(0x0e).u32(labels.length);
    for (const label of labels) this.#bytes.u32(this.#depth - label.depth);
    this.#bytes.u32(this.#depth - otherwise.depth);
    return this;
  }

  /** The code entry: locals, instructions, final `end`. */
  finish(): Uint8Array {
    if (this.#depth !== 0) throw new Error(`${this.#depth} blocks are not closed`);
    return this.#declaration().bytes(this.#bytes.finish()).u8(PLAIN.end).finish();
  }

  /** Offsets in the code entry of the branches that are hardly ever taken, in their order. */
  unlikelyBranches(): number[] {
    const { length } = this.#declaration();
    return this.#unlikely.map((offset) => offset + length);
  }

  #declaration(): ByteWriter {
    const declaration = new ByteWriter();
    declaration.u32(this.#locals.length);
    for (const type of this.#locals) declaration.u32(1).u8(VALUE_TYPE[type]);
    return declaration;
  }

  #open(opcode: number, result: ValueType | undefined): Label {
    this.#bytes.u8(opcode).u8(result === undefined ? 0x40 : VALUE_TYPE[result]);
    this.#depth += 1;
    return { depth: this.#depth };
  }
}
