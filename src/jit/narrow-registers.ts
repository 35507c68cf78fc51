/** Which registers hold narrow values (src/hart/narrow.ts) where a block of a region begins, on every way to it. */
import { isNarrow, type NarrowFacts } from '../hart/narrow.ts';
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import type { Body, Node } from '../isa/ir.ts';
import type { Block } from './region.ts';

/** x registers, a bit for each. */
export type NarrowRegisters = number;

/** x0 always is. */
export const NONE_NARROW: NarrowRegisters = 1;

/** What is known in front of an instruction. */
export function narrowFacts(decoded: Decoded, narrow: NarrowRegisters): NarrowFacts {
  return {
    isNarrow: (operand) => ((narrow >>> bodyOperand(decoded, operand)) & 1) !== 0,
    immediate: (operand) => bodyOperand(decoded, operand),
  };
}

/** A register that an instruction writes: whether that is narrow, or what decides it. */
interface Write {
  readonly operand: string;
  readonly value: boolean | Node;
}

const writes = new WeakMap<Body, readonly Write[]>();

/** Most of them are narrow always, or never: it is not looked into again for each instruction. */
function writesOf(body: Body): readonly Write[] {
  const known = writes.get(body);
  if (known !== undefined) return known;
  const found = body.commits.flatMap((commit): Write[] => {
    if (commit.kind !== 'setX') return [];
    let isAsked = false;
    const ask = (): boolean => {
      isAsked = true;
      return true;
    };
    const isFixed = isNarrow(commit.value, { isNarrow: ask, immediate: () => Number(ask()) });
    return [{ operand: commit.operand, value: isAsked ? commit.value : isFixed }];
  });
  writes.set(body, found);
  return found;
}

/** @returns what is narrow behind an instruction */
export function passNarrow(decoded: Decoded, narrow: NarrowRegisters): NarrowRegisters {
  let behind = narrow;
  for (const { operand, value } of writesOf(decoded.insn.body)) {
    const bit = 1 << bodyOperand(decoded, operand);
    const is = typeof value === 'boolean' ? value : isNarrow(value, narrowFacts(decoded, narrow));
    behind = is ? behind | bit : behind & ~bit;
  }
  return behind | NONE_NARROW;
}

/** @param entries blocks where nothing is known */
export function narrowRegisters(
  entries: readonly number[],
  block: (at: number) => Block,
  successors: (at: number) => readonly number[],
): ReadonlyMap<number, NarrowRegisters> {
  const atStart = new Map<number, NarrowRegisters>();
  const waiting = new Set(entries);
  for (const at of waiting) atStart.set(at, NONE_NARROW);
  // Begins with what the first way to a block says and takes away what others do not: it ends.
  for (const at of waiting) {
    waiting.delete(at);
    let narrow = atStart.get(at) ?? NONE_NARROW;
    for (const { decoded } of block(at).insns) narrow = passNarrow(decoded, narrow);
    for (const to of successors(at)) {
      const before = atStart.get(to);
      const after = before === undefined ? narrow : before & narrow;
      if (after === before) continue;
      atStart.set(to, after);
      waiting.add(to);
    }
  }
  return atStart;
}
