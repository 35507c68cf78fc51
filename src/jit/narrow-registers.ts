/** Which registers hold narrow values (src/hart/narrow.ts) where a block of a region begins, on every way to it. */
import { isNarrow, type NarrowFacts } from '../hart/narrow.ts';
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import type { Block } from './region.ts';

/** x registers by number. */
export type NarrowRegisters = ReadonlySet<number>;

/** What is known in front of an instruction. */
export function narrowFacts(decoded: Decoded, narrow: NarrowRegisters): NarrowFacts {
  return {
    isNarrow: (operand) => {
      const number = bodyOperand(decoded, operand);
      return number === 0 || narrow.has(number);
    },
    immediate: (operand) => bodyOperand(decoded, operand),
  };
}

/** Takes an instruction into account. */
export function passNarrow(decoded: Decoded, narrow: Set<number>): void {
  const facts = narrowFacts(decoded, narrow);
  const known = decoded.insn.body.commits.flatMap((commit): [number, boolean][] =>
    commit.kind === 'setX' ? [[bodyOperand(decoded, commit.operand), isNarrow(commit.value, facts)]] : [],
  );
  for (const [number, is] of known) {
    if (is) narrow.add(number);
    else narrow.delete(number);
  }
}

/** @param entries blocks where nothing is known */
export function narrowRegisters(
  entries: readonly number[],
  block: (at: number) => Block,
  successors: (at: number) => readonly number[],
): ReadonlyMap<number, NarrowRegisters> {
  const atStart = new Map<number, Set<number>>();
  const waiting = new Set(entries);
  for (const at of waiting) atStart.set(at, new Set());
  // Begins with what the first way to a block says and takes away what others do not: it ends.
  for (const at of waiting) {
    waiting.delete(at);
    const narrow = new Set(atStart.get(at));
    for (const { decoded } of block(at).insns) passNarrow(decoded, narrow);
    for (const to of successors(at)) {
      const before = atStart.get(to);
      const after = before === undefined ? new Set(narrow) : new Set([...before].filter((one) => narrow.has(one)));
      if (before !== undefined && after.size === before.size) continue;
      atStart.set(to, after);
      waiting.add(to);
    }
  }
  return atStart;
}
