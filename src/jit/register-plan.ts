/**
 * Where a region holds the guest's registers in locals, and where the hart has them.
 *
 * A block puts back what it wrote where it ends, so that nothing is kept for the many ways out of a region: what is kept
 * the engine has to move about before each. In a tight loop, which goes round often and has few ways out, the
 * registers that it writes stay in locals, and are put back where it is left. A local is loaded at an entry from which
 * the register may be read before it is written.
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
  /** Registers that it writes. */
  readonly written: ReadonlySet<Register>;
}

export interface RegisterPlan {
  /** All that have a local. */
  readonly used: ReadonlySet<Register>;
  tightLoopOf(block: number): TightLoop | undefined;
  /** What must be in the locals where a block begins. */
  neededAt(block: number): ReadonlySet<Register>;
}

/** @param blocks those of the region that are reached */
export function planRegisters(
  blocks: readonly Block[],
  structure: Structure,
  successors: (at: number) => readonly number[],
): RegisterPlan {
  const accesses = new Map(blocks.map((block) => [block.at, accessesOf(block)]));
  const used = new Set([...accesses.values()].flatMap(({ read, written }) => [...read, ...written]));
  const loops = tightLoops(blocks, structure, accesses);
  const needed = new Map<number, Set<Register>>();
  // Backwards, until nothing is added.
  const order = blocks.toReversed();
  for (let changed = true; changed; ) {
    changed = false;
    for (const { at } of order) {
      const access = accesses.get(at) ?? NO_ACCESSES;
      // Wherever a tight loop is left it puts back all that it writes.
      const now = new Set<Register>(loops.get(at)?.written);
      for (const to of successors(at)) for (const one of needed.get(to) ?? []) now.add(one);
      const kept = loops.get(at)?.written;
      for (const one of access.written) if (kept?.has(one) !== true) now.delete(one);
      for (const one of access.read) now.add(one);
      if (now.size === needed.get(at)?.size) continue;
      needed.set(at, now);
      changed = true;
    }
  }
  return {
    used,
    tightLoopOf: (at) => loops.get(at),
    neededAt: (at) => needed.get(at) ?? new Set(),
  };
}

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

function readBy(decoded: Decoded): Register[] {
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
  for (const { body } of structure.loops) {
    const isInnermost = !structure.loops.some(
      (other) => other.body !== body && [...other.body].every((at) => body.has(at)),
    );
    const insns = [...body].reduce((sum, at) => sum + (sizes.get(at) ?? 0), 0);
    if (!isInnermost || insns > TIGHT_INSNS) continue;
    const loop = { written: new Set([...body].flatMap((at) => [...(accesses.get(at)?.written ?? [])])) };
    for (const at of body) loops.set(at, loop);
  }
  return loops;
}
