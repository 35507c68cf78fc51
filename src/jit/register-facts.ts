/**
 * What is known of the registers where a block of a region begins, on every way to it: which x registers hold narrow
 * values (src/hart/narrow.ts), which f registers hold boxed singles, and which bits of the gate were found set.
 */
import { gateOf } from '../hart/lower-float.ts';
import { isNarrow, type NarrowFacts } from '../hart/narrow.ts';
import { IMPLIED_GATE } from '../hart/state.ts';
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import type { Body, Node } from '../isa/ir.ts';
import { nodesIn } from '../isa/walk.ts';
import { roundingOf } from './instructions.ts';
import type { Block } from './region.ts';
import { fRegister, RegisterSet, xRegister } from './register-set.ts';

export interface Facts {
  /** x registers that hold narrow values, f registers that hold boxed singles. */
  readonly registers: RegisterSet;
  /** FP_GATE bits. */
  readonly gate: number;
}

/** x0 always is narrow. */
export const NO_FACTS: Facts = { registers: RegisterSet.none.with(xRegister(0)), gate: 0 };

/** What is known in front of an instruction. */
export function narrowFacts(decoded: Decoded, { registers }: Facts): NarrowFacts {
  return {
    isNarrow: (operand) => registers.has(xRegister(bodyOperand(decoded, operand))),
    immediate: (operand) => bodyOperand(decoded, operand),
  };
}

/** What an instruction says of registers, whatever its operands are. */
interface BodyFacts {
  /** x registers that it writes: whether the value is narrow, or what decides it. */
  readonly narrow: readonly { readonly operand: string; readonly value: boolean | Node }[];
  /** f registers that it takes singles from: behind it they are known to hold one. */
  readonly unboxed: readonly string[];
  /** f registers that it writes: whether a boxed single. */
  readonly boxed: readonly { readonly operand: string; readonly isBoxed: boolean }[];
  readonly isFloat: boolean;
}

const known = new WeakMap<Body, BodyFacts>();

/** Most of it is the same for all instances: it is not looked into again for each instruction. */
function factsOf(body: Body): BodyFacts {
  const found = known.get(body);
  if (found !== undefined) return found;
  const narrow: BodyFacts['narrow'][number][] = [];
  const boxed: BodyFacts['boxed'][number][] = [];
  for (const commit of body.commits) {
    const { kind } = commit;
    if (kind === 'setF') {
      boxed.push({ operand: commit.operand, isBoxed: commit.value.kind === 'box' && commit.value.format === 's' });
    }
    if (kind !== 'setX') continue;
    let isAsked = false;
    const ask = (): boolean => {
      isAsked = true;
      return true;
    };
    const isFixed = isNarrow(commit.value, { isNarrow: ask, immediate: () => Number(ask()) });
    narrow.push({ operand: commit.operand, value: isAsked ? commit.value : isFixed });
  }
  const unboxed = new Set<string>();
  for (const node of nodesIn(body)) {
    if (node.kind === 'unbox' && node.format === 's' && node.a.kind === 'f') unboxed.add(node.a.operand);
  }
  const isFloat = body.effects.some(({ op }) => op === 'requireFp');
  const facts = { narrow, unboxed: [...unboxed], boxed, isFloat };
  known.set(body, facts);
  return facts;
}

/** @param checksExact as in EmitOptions @returns what is known behind an instruction */
export function passFacts(decoded: Decoded, before: Facts, checksExact: boolean): Facts {
  const { body } = decoded.insn;
  const { narrow, unboxed, boxed, isFloat } = factsOf(body);
  let { registers, gate } = before;
  for (const { operand, value } of narrow) {
    const register = xRegister(bodyOperand(decoded, operand));
    const is = typeof value === 'boolean' ? value : isNarrow(value, narrowFacts(decoded, before));
    registers = is || register === 0 ? registers.with(register) : registers.without(register);
  }
  if (isFloat) {
    for (const operand of unboxed) registers = registers.with(fRegister(bodyOperand(decoded, operand)));
    for (const { operand, isBoxed } of boxed) {
      const register = fRegister(bodyOperand(decoded, operand));
      registers = isBoxed ? registers.with(register) : registers.without(register);
    }
    gate |= IMPLIED_GATE[gateOf({ ...roundingOf(decoded), checksExact }, body)] ?? 0;
  }
  return registers === before.registers && gate === before.gate ? before : { registers, gate };
}

/** @param entries blocks where nothing is known @param checksExact as in EmitOptions */
export function registerFacts(
  entries: readonly number[],
  block: (at: number) => Block,
  successors: (at: number) => readonly number[],
  checksExact: boolean,
): ReadonlyMap<number, Facts> {
  const atStart = new Map<number, Facts>();
  const waiting = new Set(entries);
  for (const at of waiting) atStart.set(at, NO_FACTS);
  // Begins with what the first way to a block says and takes away what others do not: it ends.
  for (const at of waiting) {
    waiting.delete(at);
    let facts = atStart.get(at) ?? NO_FACTS;
    for (const { decoded } of block(at).insns) facts = passFacts(decoded, facts, checksExact);
    for (const to of successors(at)) {
      const before = atStart.get(to);
      const after = before === undefined ? facts : both(before, facts);
      if (before !== undefined && after.registers.equals(before.registers) && after.gate === before.gate) continue;
      atStart.set(to, after);
      waiting.add(to);
    }
  }
  return atStart;
}

function both(a: Facts, b: Facts): Facts {
  return { registers: a.registers.intersection(b.registers), gate: a.gate & b.gate };
}
