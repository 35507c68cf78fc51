/**
 * The interpreter's handlers: which pre-decoded op runs which instruction, and where an op carries its operands.
 *
 * An instruction has one handler, and further ones where knowing an operand beforehand pays: rd is x0, or a static
 * rounding mode. They are all lowered from the instruction's one definition; a known operand is a constant there.
 */
import { bodyOperand, type Decoded, type Insn } from '../isa/insn.ts';
import type { Body, Node } from '../isa/ir.ts';
import { INSTRUCTIONS } from '../isa/table.ts';
import { childrenOf, nodesOf } from '../isa/walk.ts';
import { OP } from './state.ts';

/** Handlers that are no instructions. */
export const SPECIAL = { undecoded: 0, endOfPage: 1, crossing: 2, illegal: 3, nop2: 4, nop4: 5 } as const;
const FIRST_INSTRUCTION = 6;

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
  const source = insn.expands?.operands[bodyName];
  const name = source !== undefined && 'operand' in source ? source.operand : bodyName;
  const operand = insn.operands.find((candidate) => candidate.name === name);
  return operand === undefined ? 0 : operand.parts.reduce((sum, part) => sum + part.width, 0);
}

/** True where writing x0 leaves nothing to do. */
function isPureRegisterWrite(body: Body): boolean {
  return body.effects.length === 0 && body.commits.length === 1 && body.commits[0]?.kind === 'setX';
}

interface Family {
  readonly plain: readonly Handler[];
  readonly rdZero: readonly Handler[];
  readonly pure: boolean;
  readonly roundingField: string | null;
}

function build(): { handlers: Handler[]; families: Map<Insn, Family> } {
  const handlers: Handler[] = [];
  const families = new Map<Insn, Family>();
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
    const rdIsField = plain[0]?.places.get('rd')?.kind === 'register';
    const pure = isPureRegisterWrite(insn.body);
    const rdZero = writesX && rdIsField && !pure ? variants(true) : plain;
    families.set(insn, { plain, rdZero, pure: pure && rdIsField, roundingField: uses.rounding });
  }
  return { handlers, families };
}

const built = build();

export const HANDLERS: readonly Handler[] = built.handlers;
export const HANDLER_COUNT: number = FIRST_INSTRUCTION + built.handlers.length;

/** Writes the op of a decoded instruction at host offset `at`. */
export function writeOp(view: DataView, at: number, decoded: Decoded): void {
  const { insn } = decoded;
  const family = built.families.get(insn);
  if (family === undefined) throw new Error(`${insn.name} has no handler`);
  const rdIsZero = writesX0(family, decoded);
  if (rdIsZero && family.pure) {
    view.setUint32(at + OP.imm, 0, true);
    view.setUint32(at, insn.length === 2 ? SPECIAL.nop2 : SPECIAL.nop4, true);
    return;
  }
  const mode = family.roundingField === null ? null : bodyOperand(decoded, family.roundingField);
  const candidates = rdIsZero ? family.rdZero : family.plain;
  const handler = mode === null ? candidates[0] : (candidates[CONSTANT_ROUNDINGS.indexOf(mode)] ?? candidates.at(-1));
  if (handler === undefined) throw new Error(`${insn.name} has no handler`);
  view.setUint32(at, handler.index, true);
  view.setUint32(at + OP.imm, 0, true);
  if (handler.rounding?.kind === 'field' && mode !== null) view.setUint8(at + OP.c, mode);
  for (const [name, place] of handler.places) {
    if (place.kind === 'constant') continue;
    const value = bodyOperand(decoded, name);
    if (place.kind === 'immediate') view.setInt32(at + OP.imm, value, true);
    else if (place.kind === 'byte') view.setUint8(at + place.offset, value);
    else view.setUint8(at + place.offset, view.getUint8(at + place.offset) | (value * 8));
  }
}

function writesX0(family: Family, decoded: Decoded): boolean {
  if (!family.pure && family.rdZero === family.plain) return false;
  return bodyOperand(decoded, 'rd') === 0;
}
