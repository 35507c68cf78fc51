/**
 * The interpreter's handlers: which pre-decoded op runs which instruction, and where an op carries its operands.
 *
 * An instruction has one handler, and further ones where knowing an operand beforehand pays: rd is x0, or a static
 * rounding mode. They are all lowered from the instruction's one definition; a known operand is a constant there.
 */
import type { Insn, Operand } from '../isa/insn.ts';
import type { Body, Node } from '../isa/ir.ts';
import { extractOperand } from '../isa/pattern.ts';
import { INSTRUCTIONS } from '../isa/table.ts';
import { childrenOf, nodesOf } from '../isa/walk.ts';
import { OP } from './state.ts';

/** Handlers that are no instructions. */
export const SPECIAL = { undecoded: 0, endOfPage: 1, crossing: 2, illegal: 3, nop2: 4, nop4: 5, region: 6 } as const;
const FIRST_INSTRUCTION = 7;

/** Where a lowering finds an operand. */
export type Place =
  | { readonly kind: 'constant'; readonly value: number }
  /** A byte of the op with the register number times 8. */
  | { readonly kind: 'register'; readonly offset: number; readonly sharesRounding: boolean }
  /** The op's second word, sign-extended. */
  | { readonly kind: 'immediate' }
  /** A byte of the op, unsigned. */
  | { readonly kind: 'byte'; readonly offset: number };

/** A rounding mode known beforehand, or the low bits of the op's byte c. */
export type RoundingPlace = { readonly kind: 'constant'; readonly mode: number } | { readonly kind: 'field' };

export const DYNAMIC_ROUNDING = 7;
/** Static modes with a handler of their own: RNE (exact conversions are encoded so) and RTZ (every cast in C). */
const CONSTANT_ROUNDINGS = [DYNAMIC_ROUNDING, 0, 1];

export interface Handler {
  readonly index: number;
  readonly insn: Insn;
  readonly places: ReadonlyMap<string, Place>;
  readonly rounding: RoundingPlace | null;
}

/** Operands a body uses: registers it reads or writes, and others. */
interface Uses {
  readonly registers: Set<string>;
  readonly immediates: Set<string>;
  rounding: string | null;
}

function usesOf(body: Body): Uses {
  const uses: Uses = { registers: new Set(), immediates: new Set(), rounding: null };
  const visit = (node: Node): void => {
    if (node.kind === 'x' || node.kind === 'f') uses.registers.add(node.operand);
    if (node.kind === 'imm' || node.kind === 'fli') uses.immediates.add(node.operand);
    childrenOf(node).forEach(visit);
  };
  for (const effect of body.effects) {
    nodesOf(effect).forEach(visit);
    if (effect.op === 'csr') uses.immediates.add(effect.csr);
    if (effect.op === 'lr') uses.immediates.add(effect.rl);
    if (effect.op === 'fence' && effect.sets !== null) {
      uses.immediates.add(effect.sets.pred);
      uses.immediates.add(effect.sets.succ);
    }
    if (effect.op === 'fp' && effect.rounding !== null && 'field' in effect.rounding)
      uses.rounding = effect.rounding.field;
  }
  for (const commit of body.commits) {
    if (commit.kind === 'setX' || commit.kind === 'setF') uses.registers.add(commit.operand);
    if ('value' in commit) visit(commit.value);
    if ('cond' in commit) visit(commit.cond);
    if ('target' in commit) visit(commit.target);
  }
  return uses;
}

const REGISTER_BYTES: Readonly<Record<string, number>> = { rd: OP.a, rs1: OP.b, rs2: OP.c, rs3: OP.d };

/** Gives every operand of the body its place in the op. Throws where the op has no room: a law of the table. */
function placesOf(insn: Insn, uses: Uses, roundingInOp: boolean): Map<string, Place> {
  const places = new Map<string, Place>();
  const taken = new Set<number>();
  const take = (offset: number): number => {
    if (taken.has(offset)) throw new Error(`${insn.name}: no room for its operands in an op`);
    taken.add(offset);
    return offset;
  };
  const source = (name: string): number | undefined => {
    const from = insn.expands?.operands[name];
    return from !== undefined && 'value' in from ? from.value : undefined;
  };
  const fields = (names: Iterable<string>): string[] =>
    [...names].filter((name) => {
      const value = source(name);
      if (value !== undefined) places.set(name, { kind: 'constant', value });
      return value === undefined;
    });
  const registers = fields(uses.registers);
  const [wide, ...narrow] = fields(uses.immediates).sort((a, b) => widthOf(insn, b) - widthOf(insn, a));
  if (wide !== undefined) {
    places.set(wide, { kind: 'immediate' });
    take(OP.c);
    take(OP.d);
  }
  for (const name of registers) {
    const own = REGISTER_BYTES[name];
    if (own === undefined) throw new Error(`${insn.name}: ${name} is no register operand`);
    const offset = take(wide !== undefined && own === OP.c ? OP.a : own);
    places.set(name, { kind: 'register', offset, sharesRounding: roundingInOp && offset === OP.c });
  }
  for (const name of narrow) {
    const offset = [OP.a, OP.b].find((at) => !taken.has(at));
    if (offset === undefined) throw new Error(`${insn.name}: no room for ${name} in an op`);
    places.set(name, { kind: 'byte', offset: take(offset) });
  }
  if (roundingInOp && wide !== undefined) throw new Error(`${insn.name}: no room for a rounding mode in an op`);
  return places;
}

function widthOf(insn: Insn, bodyName: string): number {
  return operandOf(insn, bodyName).parts.reduce((sum, part) => sum + part.width, 0);
}

/** True where writing x0 leaves nothing to do. */
function isPureRegisterWrite(body: Body): boolean {
  return body.effects.length === 0 && body.commits.length === 1 && body.commits[0]?.kind === 'setX';
}

/** How one operand gets from the instruction word into the op. */
interface Packer {
  readonly operand: Operand;
  /** Which of the op's two words, and where in it; an immediate fills the second. */
  readonly word: 0 | 1;
  readonly shift: number;
}

/** A handler with what it takes to write its ops. */
export interface OpWriter {
  readonly handler: number;
  readonly packers: readonly Packer[];
}

export interface OpFamily {
  /** By rounding mode where the instruction has one (see CONSTANT_ROUNDINGS), else one. */
  readonly plain: readonly OpWriter[];
  readonly rdZero: readonly OpWriter[];
  /** The operand whose being x0 chooses rdZero, if any; `pure`: then there is nothing to do. */
  readonly rd: Operand | null;
  readonly pure: boolean;
  readonly rounding: Operand | null;
}

const REGISTER_SCALE_BITS = 3;

function writerOf(handler: Handler): OpWriter {
  const packers: Packer[] = [];
  for (const [name, place] of handler.places) {
    if (place.kind === 'constant') continue;
    const operand = operandOf(handler.insn, name);
    if (place.kind === 'immediate') packers.push({ operand, word: 1, shift: 0 });
    else {
      const shift = (place.offset % 4) * 8 + (place.kind === 'register' ? REGISTER_SCALE_BITS : 0);
      packers.push({ operand, word: place.offset < 4 ? 0 : 1, shift });
    }
  }
  const rounding = handler.rounding?.kind === 'field' ? roundingOperand(handler.insn) : null;
  if (rounding !== null) packers.push({ operand: rounding, word: 1, shift: (OP.c % 4) * 8 });
  return { handler: handler.index, packers };
}

/** The instruction's own operand behind an operand of its body. */
function operandOf(insn: Insn, bodyName: string): Operand {
  const source = insn.expands?.operands[bodyName];
  const name = source !== undefined && 'operand' in source ? source.operand : bodyName;
  const operand = insn.operands.find((candidate) => candidate.name === name);
  if (operand === undefined) throw new Error(`${insn.name} has no operand ${name}`);
  return operand;
}

function roundingOperand(insn: Insn): Operand | null {
  const { rounding } = usesOf(insn.body);
  return rounding === null ? null : operandOf(insn, rounding);
}

function build(): { handlers: Handler[]; families: Map<Insn, OpFamily> } {
  const handlers: Handler[] = [];
  const families = new Map<Insn, OpFamily>();
  const add = (insn: Insn, places: ReadonlyMap<string, Place>, rounding: RoundingPlace | null): Handler => {
    const handler = { index: FIRST_INSTRUCTION + handlers.length, insn, places, rounding };
    handlers.push(handler);
    return handler;
  };
  for (const insn of INSTRUCTIONS) {
    const uses = usesOf(insn.body);
    const roundings: (RoundingPlace | null)[] =
      uses.rounding === null
        ? [null]
        : [...CONSTANT_ROUNDINGS.map((mode) => ({ kind: 'constant', mode }) as const), { kind: 'field' }];
    const variants = (rdZero: boolean): Handler[] =>
      roundings.map((rounding) => {
        const places = placesOf(insn, uses, rounding?.kind === 'field');
        if (rdZero) places.set('rd', { kind: 'constant', value: 0 });
        return add(insn, places, rounding);
      });
    const plain = variants(false);
    const writesX = insn.body.commits.some((commit) => commit.kind === 'setX' && commit.operand === 'rd');
    const choosesByRd = writesX && plain[0]?.places.get('rd')?.kind === 'register';
    const pure = choosesByRd && isPureRegisterWrite(insn.body);
    const rdZero = choosesByRd && !pure ? variants(true) : [];
    families.set(insn, {
      plain: plain.map(writerOf),
      rdZero: rdZero.map(writerOf),
      rd: choosesByRd ? operandOf(insn, 'rd') : null,
      pure,
      rounding: roundingOperand(insn),
    });
  }
  return { handlers, families };
}

let built: ReturnType<typeof build> | null = null;

/** When they are first asked for: a hart's thread seldom has to, and they would cost its start. */
function tables(): ReturnType<typeof build> {
  built ??= build();
  return built;
}

/** Those of instructions. */
export function instructionHandlers(): readonly Handler[] {
  return tables().handlers;
}

/** Of all, with the special ones. */
export function handlerCount(): number {
  return FIRST_INSTRUCTION + tables().handlers.length;
}

/** What an instruction's ops are written with. */
export function opFamily(insn: Insn): OpFamily {
  const family = tables().families.get(insn);
  if (family === undefined) throw new Error(`${insn.name} has no handler`);
  return family;
}

/** The op of an instruction, as two words; from OP.imm on stands the second. @param word the instruction's bits */
export function packOp(insn: Insn, word: number): { readonly op: number; readonly imm: number } {
  const family = opFamily(insn);
  const rdIsZero = family.rd !== null && extractOperand(family.rd, word) === 0;
  if (rdIsZero && family.pure) return { op: insn.length === 2 ? SPECIAL.nop2 : SPECIAL.nop4, imm: 0 };
  const writer = choose(family, rdIsZero ? family.rdZero : family.plain, word);
  let op = writer.handler;
  let imm = 0;
  for (const packer of writer.packers) {
    const value = extractOperand(packer.operand, word) << packer.shift;
    if (packer.word === 0) op |= value;
    else imm |= value;
  }
  return { op, imm };
}

function choose(family: OpFamily, writers: readonly OpWriter[], word: number): OpWriter {
  const at = family.rounding === null ? 0 : CONSTANT_ROUNDINGS.indexOf(extractOperand(family.rounding, word));
  const writer = at < 0 ? writers.at(-1) : writers[at];
  if (writer === undefined) throw new Error('a handler is missing');
  return writer;
}
