/**
 * `learnWord(known, word)`: what most words are decoded to, as generated code: the interpreter meets 170,000 in a boot of
 * Linux that it has not met, or no longer remembers. From the same tables as decoder.ts, which has the others: those with
 * a rounding mode, and few whose reserved encodings are not told by the value of one operand.
 */

import type { Insn, Operand } from '../isa/insn.ts';
import { extractOperand } from '../isa/pattern.ts';
import { INSTRUCTIONS } from '../isa/table.ts';
import type { Code } from '../wasm/code.ts';
import type { FunctionType, Module } from '../wasm/module.ts';
import { goesOnIf } from './decoder.ts';
import { type OpFamily, type OpWriter, opFamily, SPECIAL } from './handlers.ts';
import { KNOWN_WORDS } from './state.ts';

/**
 * Host offset of the word's entry, and the word; compressed ones without upper half.
 * Answers 1 where it has filled in the entry, 0 where the host has to.
 */
const LEARN_TYPE: FunctionType = { parameters: ['i32', 'i32'], results: ['i32'] };
const [KNOWN, WORD] = [0, 1];

/** Operand values that make an encoding another instruction's, or none. */
type Terms = readonly { readonly operand: Operand; readonly value: number }[];

/** @returns the function's index in the module */
export function buildWordDecoder(module: Module): number {
  const { index, code } = module.function(LEARN_TYPE);
  code.get(WORD).i32(3).op('i32.and').i32(3).op('i32.ne').if();
  emitBuckets(module, code, 2, [
    [13, 3],
    [0, 2],
  ]);
  code.end();
  emitBuckets(module, code, 4, [
    [2, 5],
    [12, 3],
  ]);
  code.i32(0);
  return index;
}

/**
 * Instructions of a length, by the bits of a word that tell most of them apart.
 * @param keyFields lowest bit and width of each, the topmost of the key first
 */
function emitBuckets(
  module: Module,
  code: Code,
  length: 2 | 4,
  keyFields: readonly (readonly [lo: number, width: number])[],
): void {
  const insns = INSTRUCTIONS.filter((insn) => insn.length === length);
  const keyBits = keyFields.reduce((sum, [, width]) => sum + width, 0);
  const buckets = new Map<string, readonly Insn[]>();
  const keys = Array.from({ length: 1 << keyBits }, (_, key) => {
    const { bits, mask } = spread(key, keyFields);
    const found = insns.filter((insn) => ((bits ^ insn.match) & insn.mask & mask) === 0);
    const name = found.map((insn) => INSTRUCTIONS.indexOf(insn)).join();
    buckets.set(name, found);
    return name;
  });
  const none = code.block();
  const labels = new Map([...buckets.keys()].toReversed().map((name) => [name, code.block()]));
  pushKey(code, keyFields);
  code.brTable(
    keys.map((name) => labels.get(name) ?? none),
    none,
  );
  for (const found of buckets.values()) {
    code.end();
    code.get(KNOWN).get(WORD).call(buildBucket(module, found)).op('return');
  }
  code.end(); // none
}

/** A function of its own: the engine optimises those that are used. */
function buildBucket(module: Module, insns: readonly Insn[]): number {
  const { index, code } = module.function(LEARN_TYPE);
  // Those that are left to the host may have rows that others say more of.
  for (const insn of insns) if (!isHosts(insn)) emitInsn(code, insn);
  code.i32(0);
  return index;
}

/** The bits that a key stands for, and where they lie. */
function spread(key: number, keyFields: readonly (readonly [lo: number, width: number])[]) {
  let [bits, mask, left] = [0, 0, key];
  for (const [lo, width] of keyFields.toReversed()) {
    const ones = (1 << width) - 1;
    bits |= (left & ones) << lo;
    mask |= ones << lo;
    left >>= width;
  }
  return { bits, mask };
}

function pushKey(code: Code, keyFields: readonly (readonly [lo: number, width: number])[]): void {
  code.i32(0);
  for (const [lo, width] of keyFields) {
    code.i32(width).op('i32.shl');
    pushBits(code, lo, width);
    code.op('i32.or');
  }
}

function pushBits(code: Code, lo: number, width: number): void {
  code.get(WORD).i32(lo).op('i32.shr_u');
  code.i32((1 << width) - 1).op('i32.and');
}

function isHosts(insn: Insn): boolean {
  return opFamily(insn).rounding !== null || reservedTerms(insn) === null;
}

function emitInsn(code: Code, insn: Insn): void {
  code.get(WORD).i32(insn.mask).op('i32.and').i32(insn.match).op('i32.eq').if();
  const family = opFamily(insn);
  const other = code.block();
  for (const { operand, value } of reservedTerms(insn) ?? []) {
    pushOperand(code, operand);
    code.i32(value).op('i32.eq').brIf(other);
  }
  const { rd, pure } = family;
  if (rd !== null && pure) {
    pushOperand(code, rd);
    code.op('i32.eqz').if();
    const nop = insn.length === 2 ? SPECIAL.nop2 : SPECIAL.nop4;
    fillIn(code, insn, { op: () => code.i32(nop), imm: () => code.i32(0) });
    code.end();
  }
  const writer = writerAt(family.plain);
  fillIn(code, insn, {
    op: () => {
      pushHandler(code, family);
      pushFields(code, writer, 0);
    },
    imm: () => {
      code.i32(0);
      pushFields(code, writer, 1);
    },
  });
  code.end(); // other
  code.end();
}

/** Fills in the entry, and answers. */
function fillIn(code: Code, insn: Insn, push: { readonly op: () => void; readonly imm: () => void }): void {
  code.get(KNOWN).get(WORD).memory('i32.store', KNOWN_WORDS.word);
  code.get(KNOWN);
  push.op();
  code.memory('i32.store', KNOWN_WORDS.op).get(KNOWN);
  push.imm();
  code.memory('i32.store', KNOWN_WORDS.imm).get(KNOWN);
  const on = goesOnIf(insn);
  if (typeof on === 'boolean') code.i32(Number(on));
  else {
    pushOperand(code, on);
    code.i32(0).op('i32.ne');
  }
  code.memory('i32.store', KNOWN_WORDS.goesOn).i32(1).op('return');
}

/** Where rd is x0 its field in the op is 0, as the handler for that has it. */
function pushHandler(code: Code, { rd, pure, plain, rdZero }: OpFamily): void {
  if (rd === null || pure) {
    code.i32(writerAt(plain).handler);
    return;
  }
  code.i32(writerAt(plain).handler).i32(writerAt(rdZero).handler);
  pushOperand(code, rd);
  code.op('select');
}

/** The only one of an instruction without a rounding mode. */
function writerAt([writer]: readonly OpWriter[]): OpWriter {
  if (writer === undefined) throw new Error('a handler is missing');
  return writer;
}

/** Puts operands into what is pushed. @param which of the op's two words that is */
function pushFields(code: Code, { packers }: OpWriter, which: 0 | 1): void {
  for (const { operand, word, shift } of packers) {
    if (word !== which) continue;
    pushOperand(code, operand);
    pushShifted(code, shift);
    code.op('i32.or');
  }
}

/** As extractOperand. */
function pushOperand(code: Code, { parts, signed, bias }: Operand): void {
  for (const [i, { lo, width, at }] of parts.entries()) {
    pushBits(code, lo, width);
    pushShifted(code, at);
    if (i > 0) code.op('i32.or');
  }
  if (signed) {
    const above = 32 - Math.max(...parts.map(({ at, width }) => at + width));
    code.i32(above).op('i32.shl').i32(above).op('i32.shr_s');
  } else if (bias !== 0) code.i32(bias).op('i32.add');
}

function pushShifted(code: Code, by: number): void {
  if (by !== 0) code.i32(by).op('i32.shl');
}

/** When a compressed encoding is not this instruction's: where one of these holds. Null where that does not say it. */
function reservedTerms(insn: Insn): Terms | null {
  const { reserved, operands } = insn;
  if (reserved === undefined) return [];
  if (insn.length !== 2) return null;
  const words = wordsOf(insn).map((word) => {
    const values = Object.fromEntries(operands.map((operand) => [operand.name, extractOperand(operand, word)]));
    return { values, isReserved: reserved(values) };
  });
  const terms = operands.flatMap((operand) => {
    const free = new Set(words.filter(({ isReserved }) => !isReserved).map(({ values }) => values[operand.name]));
    const all = new Set(words.map(({ values }) => values[operand.name] as number));
    return [...all].filter((value) => !free.has(value)).map((value) => ({ operand, value }));
  });
  const holds = (values: Readonly<Record<string, number>>): boolean =>
    terms.some(({ operand, value }) => values[operand.name] === value);
  return words.every(({ values, isReserved }) => isReserved === holds(values)) ? terms : null;
}

/** All that a compressed instruction's row matches. */
function wordsOf({ mask, match }: Insn): number[] {
  return Array.from({ length: 1 << 16 }, (_, word) => word).filter((word) => (word & mask) === match);
}
