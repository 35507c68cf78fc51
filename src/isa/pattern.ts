/**
 * Reads the manual's encoding rows: fields separated by blanks, most significant bit first, 16 or 32 bits in all.
 *
 *   `0110011`           fixed bits
 *   `rd rs1 rs2 rs3`    a register number, five bits; `rd'` three bits that stand for x8..x15
 *   `imm[12|10:5]`      bits of an operand, scattered as the row says; several fields may make up one operand
 *   `csr rm aq rl fm pred succ`   fields whose width follows from the name
 *
 * `imm` and `nzimm` are sign-extended from their topmost bit, every other operand is unsigned. Bits that an immediate
 * does not list are zero: `imm[31:12]` is the value already shifted.
 */
import type { FieldPart, Operand } from './insn.ts';

/** Fields whose width follows from the name. */
const FIELD_WIDTHS: Readonly<Record<string, number>> = {
  rd: 5,
  rs1: 5,
  rs2: 5,
  rs3: 5,
  csr: 12,
  rm: 3,
  aq: 1,
  rl: 1,
  fm: 4,
  pred: 4,
  succ: 4,
};

const REGISTERS: ReadonlySet<string> = new Set(['rd', 'rs1', 'rs2', 'rs3']);
const SIGNED: ReadonlySet<string> = new Set(['imm', 'nzimm']);

export interface Pattern {
  readonly length: 2 | 4;
  /** Unsigned 32-bit numbers: a word belongs to the pattern if `word & mask` is `match`. */
  readonly mask: number;
  readonly match: number;
  readonly operands: readonly Operand[];
}

/** One field of a row: its width and, unless it is fixed, the operand bits it carries from the top down. */
interface Field {
  readonly width: number;
  readonly fixed: string | null;
  readonly name: string;
  readonly bias: number;
  /** [high, low] ranges of operand bits, in the row's order. */
  readonly ranges: readonly (readonly [number, number])[];
}

function parseField(token: string, row: string): Field {
  if (/^[01]+$/.test(token)) return { width: token.length, fixed: token, name: '', bias: 0, ranges: [] };
  const shape = /^([a-z][a-z0-9]*)('?)(?:\[([0-9:|]+)\])?$/.exec(token);
  if (shape === null) throw new Error(`encoding row '${row}': cannot read field '${token}'`);
  const [, name = '', prime, bits] = shape;
  if (bits === undefined) {
    const width = prime === "'" ? 3 : FIELD_WIDTHS[name];
    if (width === undefined) throw new Error(`encoding row '${row}': field '${token}' needs its bits`);
    return { width, fixed: null, name, bias: prime === "'" ? 8 : 0, ranges: [[width - 1, 0]] };
  }
  const ranges = bits.split('|').map((range): readonly [number, number] => {
    const [high, low = high] = range.split(':').map(Number);
    if (high === undefined || low === undefined || low > high) throw new Error(`encoding row '${row}': '${token}'`);
    return [high, low];
  });
  const width = ranges.reduce((sum, [high, low]) => sum + high - low + 1, 0);
  return { width, fixed: null, name, bias: 0, ranges };
}

/**
 * Parses one row.
 * @throws Error if a field cannot be read or the widths do not add up to 16 or 32.
 */
export function parsePattern(row: string): Pattern {
  const fields = row.split(/\s+/).map((token) => parseField(token, row));
  const lengthBits = fields.reduce((sum, field) => sum + field.width, 0);
  if (lengthBits !== 16 && lengthBits !== 32) throw new Error(`encoding row '${row}' has ${lengthBits} bits`);

  let mask = 0;
  let match = 0;
  let top = lengthBits;
  const operands = new Map<string, { parts: FieldPart[]; bias: number }>();
  for (const field of fields) {
    top -= field.width;
    if (field.fixed !== null) {
      mask += (2 ** field.width - 1) * 2 ** top;
      match += Number.parseInt(field.fixed, 2) * 2 ** top;
      continue;
    }
    const operand = operands.get(field.name) ?? { parts: [], bias: field.bias };
    operands.set(field.name, operand);
    let end = top + field.width;
    for (const [high, low] of field.ranges) {
      const width = high - low + 1;
      end -= width;
      operand.parts.push({ lo: end, width, at: low });
    }
  }
  return {
    length: lengthBits === 16 ? 2 : 4,
    mask,
    match,
    operands: [...operands].map(([name, { parts, bias }]) => ({
      name,
      kind: REGISTERS.has(name) ? 'reg' : 'imm',
      signed: SIGNED.has(name),
      parts,
      bias,
    })),
  };
}

/** The number of bits of an operand's value, implied low zeros included. */
function operandWidth(operand: Operand): number {
  return Math.max(...operand.parts.map((part) => part.at + part.width));
}

/** The operand's value is a multiple of this: 2 for a branch offset, 4096 for `imm[31:12]`. */
export function operandStep(operand: Operand): number {
  return 2 ** Math.min(...operand.parts.map((part) => part.at));
}

/** The smallest and the largest value an operand can have. */
export function operandRange(operand: Operand): { readonly min: number; readonly max: number } {
  const width = operandWidth(operand);
  const step = operandStep(operand);
  if (operand.signed) return { min: -(2 ** (width - 1)), max: 2 ** (width - 1) - step };
  return { min: operand.bias, max: operand.bias + 2 ** width - step };
}

/** The value of an operand in an instruction word. */
export function extractOperand(operand: Operand, word: number): number {
  let value = 0;
  let width = 0;
  for (const part of operand.parts) {
    value |= ((word >>> part.lo) & ((1 << part.width) - 1)) << part.at;
    if (part.at + part.width > width) width = part.at + part.width;
  }
  return operand.signed ? (value << (32 - width)) >> (32 - width) : value + operand.bias;
}

/**
 * The bits of an operand's value in an instruction word, as an unsigned number.
 * @throws RangeError if the value does not fit the operand.
 */
export function insertOperand(operand: Operand, value: number): number {
  const { min, max } = operandRange(operand);
  if (!Number.isInteger(value) || value < min || value > max || value % operandStep(operand) !== 0)
    throw new RangeError(`${operand.name} cannot be ${value} (${min}..${max}, in steps of ${operandStep(operand)})`);
  const bits = value - operand.bias;
  let word = 0;
  for (const part of operand.parts) word |= ((bits >>> part.at) & ((1 << part.width) - 1)) << part.lo;
  return word >>> 0;
}
