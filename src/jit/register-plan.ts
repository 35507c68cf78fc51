/**
 * Where a region holds the guest's registers in locals, and where the hart has them.
 *
 * A visit is short as a rule: some dozens of instructions of some hundreds. So a block loads what it needs where it needs
 * it first, unless it is in its local on all ways to there, and puts back what it wrote in front of what may leave the
 * region and where it ends: a visit pays for what it executes, and nothing is kept for the many ways out. In a tight
 * loop, which goes round often and has few ways out, all that it uses is loaded before, and what it writes is put back
 * where it is left.
 */
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import { registersOf } from './instructions.ts';
import type { Block } from './region.ts';
import { fRegister, RegisterSet, xRegister } from './register-set.ts';
import type { Structure } from './structure.ts';

/** Instructions that a tight loop has at most. */
const TIGHT_INSNS = 96;

/** A loop within which no other is. */
export interface TightLoop {
  readonly head: number;
  /** Registers that it writes. */
  readonly written: RegisterSet;
  /** All that it uses. */
  readonly used: RegisterSet;
}

export interface RegisterPlan {
  /** All that have a local. */
  readonly used: RegisterSet;
  tightLoopOf(block: number): TightLoop | undefined;
  /** What is in the locals where a block begins, however control came there. */
  availableAt(block: number): RegisterSet;
  /** What must be loaded in front of a tight loop, which begins at a block. */
  loadedBefore(head: number): RegisterSet;
}

/**
 * @param blocks those of the region that are reached
 * @param successors of them, along edges within the region
 * @param begins where control comes to with nothing in the locals
 */
export function planRegisters(
  blocks: readonly Block[],
  structure: Structure,
  successors: (at: number) => readonly number[],
  begins: Iterable<number>,
): RegisterPlan {
  const accesses = new Map(blocks.map((block) => [block.at, accessesOf(block)]));
  let used = RegisterSet.none;
  for (const access of accesses.values()) used = used.union(allOf(access));
  const loops = tightLoops(blocks, structure, accesses);
  /** At first all of them: what is taken away is taken for good. A tight loop's head: in front of the loop. */
  const available = new Map<number, RegisterSet>(blocks.map(({ at }) => [at, used]));
  for (const at of begins) available.set(at, RegisterSet.none);
  const availableAt = (at: number): RegisterSet => available.get(at) ?? RegisterSet.none;
  const behind = (at: number): RegisterSet =>
    loops.get(at)?.used ?? availableAt(at).union(allOf(accesses.get(at) ?? NO_ACCESSES));
  for (let changed = true; changed; ) {
    changed = false;
    for (const { at } of blocks) {
      const out = behind(at);
      for (const to of successors(at)) {
        const loop = loops.get(to);
        // Within a tight loop all is there.
        if (loop !== undefined && loops.get(at) === loop) continue;
        const left = availableAt(to).intersection(out);
        if (left.equals(availableAt(to))) continue;
        available.set(to, left);
        changed = true;
      }
    }
  }
  return {
    used,
    tightLoopOf: (at) => loops.get(at),
    availableAt: (at) => loops.get(at)?.used ?? availableAt(at),
    loadedBefore: (head) => (loops.get(head)?.used ?? RegisterSet.none).difference(availableAt(head)),
  };
}

interface Accesses {
  /** Read before they are written. */
  readonly read: RegisterSet;
  readonly written: RegisterSet;
}

const NO_ACCESSES: Accesses = { read: RegisterSet.none, written: RegisterSet.none };

const allOf = ({ read, written }: Accesses): RegisterSet => read.union(written);

function accessesOf({ insns }: Block): Accesses {
  let { read, written } = NO_ACCESSES;
  for (const { decoded } of insns) {
    read = read.union(readBy(decoded).difference(written));
    written = written.union(writtenBy(decoded));
  }
  return { read, written };
}

export function readBy(decoded: Decoded): RegisterSet {
  const { x, f } = registersOf(decoded.insn.body);
  return registers(decoded, x, f);
}

function writtenBy(decoded: Decoded): RegisterSet {
  const { writesX, writesF } = registersOf(decoded.insn.body);
  return registers(decoded, writesX, writesF);
}

function registers(decoded: Decoded, x: readonly string[], f: readonly string[]): RegisterSet {
  let set = RegisterSet.none;
  for (const operand of x) {
    const number = bodyOperand(decoded, operand);
    if (number !== 0) set = set.with(xRegister(number));
  }
  for (const operand of f) set = set.with(fRegister(bodyOperand(decoded, operand)));
  return set;
}

function tightLoops(
  blocks: readonly Block[],
  structure: Structure,
  accesses: ReadonlyMap<number, Accesses>,
): ReadonlyMap<number, TightLoop> {
  const sizes = new Map(blocks.map(({ at, insns }) => [at, insns.length]));
  const loops = new Map<number, TightLoop>();
  for (const { head, body } of structure.loops) {
    const isInnermost = !structure.loops.some(
      (other) => other.body !== body && [...other.body].every((at) => body.has(at)),
    );
    const insns = [...body].reduce((sum, at) => sum + (sizes.get(at) ?? 0), 0);
    if (!isInnermost || insns > TIGHT_INSNS) continue;
    const of = [...body].map((at) => accesses.get(at) ?? NO_ACCESSES);
    const written = of.reduce((sum, access) => sum.union(access.written), RegisterSet.none);
    const loop = { head, written, used: of.reduce((sum, { read }) => sum.union(read), written) };
    for (const at of body) loops.set(at, loop);
  }
  return loops;
}
