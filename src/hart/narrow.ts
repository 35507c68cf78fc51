/**
 * Narrow values: 64 bits that are the sign extension of their low 32. Most of what compiled code computes is narrow, and
 * logic on two narrow values can be done on 32 bits, which lets the engine drop the extensions between instructions.
 */
import type { Node } from '../isa/ir.ts';

/** What is known where a node is computed. */
export interface NarrowFacts {
  /** Whether a register holds a narrow value. */
  isNarrow(operand: string): boolean;
  /** The value of an immediate operand. */
  immediate(operand: string): number;
}

const INT32_MIN = -(2n ** 31n);
const INT32_MAX = 2n ** 31n - 1n;
/** Narrow where both operands are. */
const LOGIC: readonly string[] = ['and', 'or', 'xor'];

/** @returns whether a node's value, an i64, is known to be narrow */
export function isNarrow(node: Node, facts: NarrowFacts): boolean {
  if (node.type !== 'i64') return false;
  switch (node.kind) {
    case 'const': {
      const value = BigInt.asIntN(64, node.value);
      return value >= INT32_MIN && value <= INT32_MAX;
    }
    case 'imm':
      return isInt32(facts.immediate(node.operand));
    case 'x':
      return facts.isNarrow(node.operand);
    case 'unary':
      if (node.op === 'sext32' || node.op === 'sext8' || node.op === 'sext16') return true;
      return node.op === 'zext32' && isTruthValue(node.a);
    case 'binary':
      if (node.op === 'sar') return isNarrow(node.a, facts);
      if (node.op === 'and' && (isSmall(node.a, facts) || isSmall(node.b, facts))) return true;
      return LOGIC.includes(node.op) && isNarrow(node.a, facts) && isNarrow(node.b, facts);
    case 'select':
      return isNarrow(node.a, facts) && isNarrow(node.b, facts);
    case 'result': {
      const { effect } = node;
      return effect.op === 'load' && (effect.size < 4 || (effect.size === 4 && effect.signed));
    }
    default:
      return false;
  }
}

/** Logic on narrow values, which 32 bits are enough for. */
export function isNarrowLogic(node: Node, facts: NarrowFacts): node is Node & { kind: 'binary' } {
  return node.kind === 'binary' && LOGIC.includes(node.op) && isNarrow(node.a, facts) && isNarrow(node.b, facts);
}

/** @returns the narrow value that a node only extends anew: sext.w of one, which compiled code uses as a move; or null */
export function extendedAnew(node: Node & { kind: 'unary' }, facts: NarrowFacts): Node | null {
  if (node.op !== 'sext32') return null;
  const { a } = node;
  const low = a.kind === 'binary' && a.op === 'add' && isZero(a.b, facts) ? a.a : a;
  return low.kind === 'unary' && low.op === 'wrap' && isNarrow(low.a, facts) ? low.a : null;
}

function isZero(node: Node, facts: NarrowFacts): boolean {
  if (node.kind === 'unary' && node.op === 'wrap') return isZero(node.a, facts);
  return node.kind === 'imm' && facts.immediate(node.operand) === 0;
}

/** Not negative and narrow: so is what it masks. */
function isSmall(node: Node, facts: NarrowFacts): boolean {
  if (node.kind === 'const') return node.value >= 0n && node.value <= INT32_MAX;
  return node.kind === 'imm' && facts.immediate(node.operand) >= 0 && isInt32(facts.immediate(node.operand));
}

function isInt32(value: number): boolean {
  return value === (value | 0);
}

function isTruthValue(node: Node): boolean {
  return node.kind === 'binary' && node.type === 'i32' && ['eq', 'ne', 'ltS', 'ltU', 'geS', 'geU'].includes(node.op);
}
