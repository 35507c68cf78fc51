/** What the translator asks of an instruction's definition: its registers, its jump, and whether it has a fast form. */
import { hasFastForm, lowerEffects, relativeOperand } from '../hart/lower-fast.ts';
import { NeedsCall } from '../hart/lower-values.ts';
import { bodyOperand, type Decoded, type Insn } from '../isa/insn.ts';
import type { Body } from '../isa/ir.ts';
import { nodesIn } from '../isa/walk.ts';
import { Code } from '../wasm/code.ts';

/** Names of operands that are registers, by file and direction. */
export interface RegisterOperands {
  readonly x: readonly string[];
  readonly f: readonly string[];
  readonly writesX: readonly string[];
  readonly writesF: readonly string[];
}

const known = new WeakMap<Body, RegisterOperands>();

export function registersOf(body: Body): RegisterOperands {
  const found = known.get(body);
  if (found !== undefined) return found;
  const nodes = [...nodesIn(body)];
  const reads = (file: 'x' | 'f'): string[] => {
    return [...new Set(nodes.flatMap((node) => (node.kind === file ? [node.operand] : [])))];
  };
  const writes = (kind: 'setX' | 'setF'): string[] =>
    body.commits.flatMap((commit) => (commit.kind === kind ? [commit.operand] : []));
  const registers = { x: reads('x'), f: reads('f'), writesX: writes('setX'), writesF: writes('setF') };
  known.set(body, registers);
  return registers;
}

const DYNAMIC_ROUNDING = 7;

/** The rounding of one instance, as FastContext asks it. */
export function roundingOf(decoded: Decoded): {
  nearestEven: boolean;
  dynamicRounding: boolean;
  towardsZero: boolean;
} {
  const effect = decoded.insn.body.effects.find((candidate) => candidate.op === 'fp');
  const rounding = effect?.op === 'fp' ? effect.rounding : null;
  const field = rounding !== null && rounding !== undefined && 'field' in rounding ? rounding.field : null;
  const mode = field === null ? 0 : bodyOperand(decoded, field);
  return {
    nearestEven: mode === 0 || mode === DYNAMIC_ROUNDING,
    dynamicRounding: mode === DYNAMIC_ROUNDING,
    towardsZero: mode === 1,
  };
}

/** By instruction, and by rounding or CSR within it. */
const translatable = new Map<Insn, Map<number, boolean>>();

/** Whether an instruction has a form without calls. */
export function isTranslatable(decoded: Decoded): boolean {
  const rounding = roundingOf(decoded);
  const key =
    Number(rounding.nearestEven) +
    2 * Number(rounding.dynamicRounding) +
    4 * Number(rounding.towardsZero) +
    8 * (decoded.operands['csr'] ?? 0);
  const answers = translatable.get(decoded.insn) ?? new Map<number, boolean>();
  translatable.set(decoded.insn, answers);
  const answer = answers.get(key) ?? tryLowering(decoded);
  answers.set(key, answer);
  return answer;
}

function tryLowering(decoded: Decoded): boolean {
  const { body } = decoded.insn;
  if (!hasFastForm(body)) return false;
  const code = new Code(0);
  const value = (): void => {
    code.i64(0n);
  };
  try {
    const push = (pushValue: () => void): void => pushValue();
    lowerEffects(
      {
        code,
        hart: 0,
        callRuntime: null,
        ...{ x: value, f: value, imm: value, pc: value, nextPc: value },
        floats: null,
        bailIf: () => {},
        write: (_file, _operand, pushValue) => push(pushValue),
        hostAddress: () => {},
        requireFp: () => {},
        isX0: () => false,
        constant: (operand) => bodyOperand(decoded, operand),
        hasFused: false,
        hasTso: null,
        readTime: value,
        ...roundingOf(decoded),
      },
      body,
    );
    return true;
  } catch (error) {
    if (error instanceof NeedsCall) return false;
    throw error;
  }
}

/** Where an instruction may go but on: by a distance from itself, to a computed address; conditionally or not. */
export type Flow =
  | { readonly kind: 'next' }
  | { readonly kind: 'jump' | 'branch'; readonly distance: number }
  | { readonly kind: 'indirect' };

export function flowOf(decoded: Decoded): Flow {
  const jump = decoded.insn.body.commits.find((commit) => commit.kind === 'jump' || commit.kind === 'branch');
  if (jump === undefined || (jump.kind !== 'jump' && jump.kind !== 'branch')) return { kind: 'next' };
  const operand = relativeOperand(jump.target);
  if (operand === null) return { kind: 'indirect' };
  return { kind: jump.kind, distance: bodyOperand(decoded, operand) };
}

/** The register that a jump leaves its return address in; 0 where it leaves none. */
export function linkOf(decoded: Decoded): number {
  const [operand] = registersOf(decoded.insn.body).writesX;
  return operand === undefined ? 0 : bodyOperand(decoded, operand);
}

/** The register that a computed jump takes its target from. */
export function targetRegisterOf(decoded: Decoded): number {
  const [operand] = registersOf(decoded.insn.body).x;
  return operand === undefined ? 0 : bodyOperand(decoded, operand);
}

/** The register that an instruction puts an address relative to itself in (AUIPC); null where it puts it in none. */
export function addressRegisterOf(decoded: Decoded): number | null {
  const write = decoded.insn.body.commits.find((commit) => commit.kind === 'setX');
  if (write?.kind !== 'setX' || relativeOperand(write.value) === null) return null;
  return bodyOperand(decoded, write.operand);
}
