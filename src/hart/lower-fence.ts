/**
 * Fences as the hot loop and translated code have them. WebAssembly has only the full one, and engines make of it an
 * instruction that takes as long as fifty others. A host with total store order keeps by itself what most fences ask for:
 * there only a store is held before a later load, by an atomic operation on a word of the hart's own, in half that time.
 */
import type { FenceSets } from '../isa/ir.ts';
import type { Code } from '../wasm/code.ts';
import { HART_OFFSETS } from './state.ts';

export interface FenceContext {
  readonly code: Code;
  /** Local (i32): the hart's arena. */
  readonly hart: number;
  /** Whether the host has total store order; null: the hart's `hasTso` says it. */
  readonly hasTso: boolean | null;
  /** As in FastContext. */
  constant(operand: string): number | null;
  /** Pushes an operand that is no register (i64). */
  imm(operand: string): void;
}

/** Bits of a fence's sets: writes and reads, of memory and of devices (unprivileged manual, section 2.7). */
const [WRITES, READS] = [0b0101, 0b1010];

/** @param sets null for fence.tso: that is the order which such a host has */
export function pushFence(context: FenceContext, sets: FenceSets | null): void {
  const withTso = (): void => {
    if (sets === null) return;
    const { pred, succ } = sets;
    pushIfAny(context, pred, WRITES, () => pushIfAny(context, succ, READS, () => pushAtomic(context)));
  };
  // Fences with an empty set are hints, and too rare to be told apart.
  pushByHost(context, withTso, () => context.code.atomicFence());
}

/** Stands before LR: as `lr.rl` it comes behind all stores before it, and an atomic load alone is a plain one on x86. */
export function pushRelease(context: FenceContext, rl: string): void {
  pushIfAny(context, rl, 1, () =>
    pushByHost(
      context,
      () => pushAtomic(context),
      () => context.code.atomicFence(),
    ),
  );
}

function pushByHost({ code, hart, hasTso }: FenceContext, withTso: () => void, without: () => void): void {
  if (hasTso === null) {
    code.get(hart).memory('i32.load', HART_OFFSETS.hasTso).if();
    withTso();
    code.else();
    without();
    code.end();
  } else if (hasTso) withTso();
  else without();
}

/** Where one of these bits is set in an operand. */
function pushIfAny(context: FenceContext, operand: string, bits: number, push: () => void): void {
  const { code } = context;
  const known = context.constant(operand);
  if (known !== null) {
    if ((known & bits) !== 0) push();
    return;
  }
  context.imm(operand);
  code.i64(BigInt(bits)).op('i64.and').i64(0).op('i64.ne').if();
  push();
  code.end();
}

function pushAtomic({ code, hart }: FenceContext): void {
  code.get(hart).i32(0).atomic('i32.atomic.rmw.add', HART_OFFSETS.fenceWord).op('drop');
}
