/**
 * What the generator knows of an instruction: all of it from the table, by what its IR does. So a new extension is
 * covered as soon as it is in the table.
 */
import { decode } from '../../src/isa/decode.ts';
import { bodyOperand, type Decoded, type Insn, type Operand } from '../../src/isa/insn.ts';
import type { Effect, FpFormat, Node } from '../../src/isa/ir.ts';
import { operandRange, operandStep } from '../../src/isa/pattern.ts';
import { INSTRUCTIONS } from '../../src/isa/table.ts';
import { type OperandValues, tryEncode } from './program-builder.ts';
import type { ProgramRandom } from './program-random.ts';

type Class = 'compute' | 'float' | 'memory' | 'reserve' | 'branch' | 'jump' | 'other';

function classOf(insn: Insn): Class {
  const ops = insn.body.effects.map((effect) => effect.op);
  if (insn.body.commits.some((commit) => commit.kind === 'jump')) return 'jump';
  if (insn.body.commits.some((commit) => commit.kind === 'branch')) return 'branch';
  if (ops.some((op) => op === 'lr' || op === 'sc')) return 'reserve';
  if (ops.some((op) => op === 'load' || op === 'store' || op === 'amo' || op === 'cbo')) return 'memory';
  if (ops.length === 0) return 'compute';
  return ops[0] === 'requireFp' ? 'float' : 'other';
}

const byClass = (name: Class): readonly Insn[] => INSTRUCTIONS.filter((insn) => classOf(insn) === name);
export const COMPUTE = byClass('compute');
export const FLOAT = byClass('float');
export const MEMORY = byClass('memory');
/** Cache blocks are left out where parts of one may be protected, which is nobody's to define. */
export const MEMORY_GUARDED = MEMORY.filter((insn) => insn.body.effects.every((effect) => effect.op !== 'cbo'));
export const BRANCHES = byClass('branch');
export const COMPUTE_32 = COMPUTE.filter((insn) => insn.length === 4);
const INSTRUCTIONS_32 = INSTRUCTIONS.filter((insn) => insn.length === 4);

/** Instructions with operands at random. */
export class InsnPicker {
  readonly #random: ProgramRandom;

  constructor(random: ProgramRandom) {
    this.#random = random;
  }

  /** Operands at random until they make this very instruction. */
  choose(insns: readonly Insn[], accept: (decoded: Decoded) => boolean = () => true): Decoded {
    const insn = this.#random.pick(insns);
    for (let i = 0; i < 100; i++) {
      const operands: Record<string, number> = {};
      for (const operand of insn.operands) operands[operand.name] = this.#operand(operand);
      const decoded = tryEncode(insn, operands as OperandValues);
      if (decoded !== null && accept(decoded)) return decoded;
    }
    return this.choose(insns, accept);
  }

  /** A word that is no instruction of the table, half the time one bit away from one. */
  illegalWord(length: 2 | 4): number {
    const random = this.#random;
    for (;;) {
      let word = Number(random.bits(length * 8));
      if (length === 4) word = random.oneIn(2) ? (word | 3) >>> 0 : flipBit(this.choose(INSTRUCTIONS_32).word, random);
      if (((word & 3) === 3) !== (length === 4) || (length === 4 && (word & 31) === 31)) continue;
      if (decode(word) === null) return word;
    }
  }

  #operand(operand: Operand): number {
    const random = this.#random;
    const { min, max } = operandRange(operand);
    const step = operandStep(operand);
    if (operand.kind === 'imm' && random.oneIn(4)) {
      const edges = [min, max, 0, step, -step].filter((value) => value >= min && value <= max);
      return random.pick(edges);
    }
    const steps = Math.floor((max - min) / step) + 1;
    return min + step * random.below(steps);
  }
}

function flipBit(word: number, random: ProgramRandom): number {
  return (word ^ (1 << (2 + random.below(30)))) >>> 0;
}

/** Whether it writes this x register. */
export function writesX(decoded: Decoded, register: number): boolean {
  return decoded.insn.body.commits.some(
    (commit) => commit.kind === 'setX' && bodyOperand(decoded, commit.operand) === register,
  );
}

/** Formats that an instruction's operands have. */
export function formatsOf(insn: Insn): FpFormat[] {
  const formats = new Set<FpFormat>();
  for (const effect of insn.body.effects) if (effect.op === 'fp') formats.add(effect.from ?? effect.format);
  if (formats.size === 0) formats.add(insn.name.includes('.d') ? 'd' : insn.name.includes('.h') ? 'h' : 's');
  return [...formats];
}

/** The registers an instruction reads, each once, with the file. */
export function registersRead(insn: Insn): { operand: string; node: 'x' | 'f' }[] {
  const found = new Map<string, 'x' | 'f'>();
  const visit = (node: Node): void => {
    if (node.kind === 'x' || node.kind === 'f') found.set(node.operand, node.kind);
    if ('a' in node) visit(node.a);
    if ('b' in node) visit(node.b);
    if ('cond' in node) visit(node.cond);
  };
  for (const effect of insn.body.effects) for (const node of nodesIn(effect)) visit(node);
  for (const commit of insn.body.commits) if ('value' in commit) visit(commit.value);
  return [...found].map(([operand, node]) => ({ operand, node }));
}

function nodesIn(effect: Effect): Node[] {
  return [
    ...('addr' in effect ? [effect.addr] : []),
    ...('value' in effect ? [effect.value] : []),
    ...('args' in effect ? effect.args : []),
  ];
}

/** The base register, displacement and width of a memory instruction. */
export function baseOf(decoded: Decoded): { register: number; displacement: bigint; sizeBytes: number } {
  let register = 0;
  let displacement = 0n;
  let sizeBytes = 64;
  const visit = (node: Node): void => {
    if (node.kind === 'x') register = bodyOperand(decoded, node.operand);
    if (node.kind === 'imm') displacement = BigInt(bodyOperand(decoded, node.operand));
    if (node.kind === 'binary') {
      visit(node.a);
      visit(node.b);
    }
  };
  for (const effect of decoded.insn.body.effects) {
    if (!('addr' in effect)) continue;
    visit(effect.addr);
    if ('size' in effect) sizeBytes = effect.size;
  }
  return { register, displacement, sizeBytes };
}
