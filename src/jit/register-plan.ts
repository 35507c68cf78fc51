/**
 * Where a region holds the guest's registers in locals, and where the hart has them.
 *
 * A visit is short as a rule: some dozens of instructions of some hundreds. So a block loads what it needs where it needs
 * it first, unless it is in its local on all ways to there, and puts back what it wrote where it ends: a visit pays
 * for what it executes, and nothing is kept for the many ways out. In a tight loop, which goes round often and has few ways
 * out, all that it uses is loaded before, and what it writes is put back where it is left.
 */
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import { registersOf } from './instructions.ts';
import type { Block } from './region.ts';
import type { Structure } from './structure.ts';

/** A register: x by its number, then f. */
export type Register = number;

const F = 32;
export const xRegister = (number: number): Register => number;
export const fRegister = (number: number): Register => F + number;
export const isFloat = (register: Register): boolean => register >= F;
/** Its number among those of its kind. */
export const numberOf = (register: Register): number => register & (F - 1);

/** Instructions that a tight loop has at most. */
const TIGHT_INSNS = 96;

/** A loop within which no other is. */
export interface TightLoop {
  readonly head: number;
  /** Registers that it writes. */
  readonly written: ReadonlySet<Register>;
  /** All that it uses. */
  readonly used: ReadonlySet<Register>;
}

export interface RegisterPlan {
  /** All that have a local. */
  readonly used: ReadonlySet<Register>;
  tightLoopOf(block: number): TightLoop | undefined;
  /** What is in the locals where a block begins, however control came there. */
  availableAt(block: number): ReadonlySet<Register>;
  /** What must be loaded in front of a tight loop, which begins at a block. */
  loadedBefore(head: number): ReadonlySet<Register>;
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
  const used = new Set([...accesses.values()].flatMap(({ read, written }) => [...read, ...written]));
  const loops = tightLoops(blocks, structure, accesses);
  /** At first all of them: what is taken away is taken for good. A tight loop's head: in front of the loop. */
  const available = new Map<number, ReadonlySet<Register>>(blocks.map(({ at }) => [at, used]));
  for (const at of begins) available.set(at, NONE);
  const behind = (at: number): ReadonlySet<Register> => {
    const loop = loops.get(at);
    if (loop !== undefined) return loop.used;
    const { read, written } = accesses.get(at) ?? NO_ACCESSES;
    return new Set([...(available.get(at) ?? NONE), ...read, ...written]);
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const { at } of blocks) {
      const out = behind(at);
      for (const to of successors(at)) {
        const loop = loops.get(to);
        // Within a tight loop all is there.
        if (loop !== undefined && loops.get(at) === loop) continue;
        const now = available.get(to) ?? NONE;
        const left = new Set([...now].filter((register) => out.has(register)));
        if (left.size === now.size) continue;
        available.set(to, left);
        changed = true;
      }
    }
  }
  return {
    used,
    tightLoopOf: (at) => loops.get(at),
    availableAt: (at) => loops.get(at)?.used ?? available.get(at) ?? NONE,
    loadedBefore: (head) => {
      const there = available.get(head) ?? NONE;
      return new Set([...(loops.get(head)?.used ?? NONE)].filter((register) => !there.has(register)));
    },
  };
}

const NONE: ReadonlySet<Register> = new Set();

interface Accesses {
  /** Read before they are written. */
  readonly read: ReadonlySet<Register>;
  readonly written: ReadonlySet<Register>;
}

const NO_ACCESSES: Accesses = { read: new Set(), written: new Set() };

function accessesOf({ insns }: Block): Accesses {
  const [read, written] = [new Set<Register>(), new Set<Register>()];
  for (const { decoded } of insns) {
    for (const one of readBy(decoded)) if (!written.has(one)) read.add(one);
    for (const one of writtenBy(decoded)) written.add(one);
  }
  return { read, written };
}

export function readBy(decoded: Decoded): Register[] {
  const { x, f } = registersOf(decoded.insn.body);
  return registers(decoded, x, f);
}

function writtenBy(decoded: Decoded): Register[] {
  const { writesX, writesF } = registersOf(decoded.insn.body);
  return registers(decoded, writesX, writesF);
}

function registers(decoded: Decoded, x: readonly string[], f: readonly string[]): Register[] {
  const ofX = x.map((operand) => bodyOperand(decoded, operand)).filter((number) => number !== 0);
  return [...ofX.map(xRegister), ...f.map((operand) => fRegister(bodyOperand(decoded, operand)))];
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
    const written = new Set(of.flatMap((access) => [...access.written]));
    const loop = { head, written, used: new Set([...written, ...of.flatMap(({ read }) => [...read])]) };
    for (const at of body) loops.set(at, loop);
  }
  return loops;
}
