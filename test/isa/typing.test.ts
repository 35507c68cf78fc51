/** The IR of every definition is well typed, and its results are used only where they exist. */
import { describe, expect, it } from 'vitest';
import type { Insn } from '../../src/isa/insn.ts';
import {
  ARITHMETIC_OPS,
  CARRIER,
  COMPARE_OPS,
  CONVERT_OPS,
  type Commit,
  type Effect,
  type Node,
  type Type,
  UNARY_OPS,
  WIDE_OPS,
} from '../../src/isa/ir.ts';
import { INSTRUCTIONS } from '../../src/isa/table.ts';

const includes = (list: readonly string[], op: string): boolean => list.includes(op);

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

/** Checks a graph of nodes; `effects` are those that have taken place. */
function checkNode(node: Node, effects: ReadonlySet<Effect>): Type {
  const check = (child: Node): Type => checkNode(child, effects);
  switch (node.kind) {
    case 'const': {
      const bits = node.type === 'i64' ? 64 : 32;
      must(BigInt.asIntN(bits, node.value) === node.value, 'a constant fits its type');
      return node.type;
    }
    case 'unary': {
      const a = check(node.a);
      if (includes(CONVERT_OPS, node.op)) must(a === (node.op === 'wrap' ? 'i64' : 'i32'), node.op);
      else must(includes(UNARY_OPS, node.op) && node.type === a, node.op);
      if (node.op === 'wrap') must(node.type === 'i32', 'wrap is i32');
      if (node.op === 'sext32' || node.op === 'zext32') must(node.type === 'i64', `${node.op} is i64`);
      if (node.op === 'orcb' || node.op === 'rev8') must(a === 'i64', `${node.op} is of i64`);
      return node.type;
    }
    case 'binary': {
      const a = check(node.a);
      must(a === check(node.b), `${node.op} of one type`);
      if (includes(COMPARE_OPS, node.op)) must(node.type === 'i32', 'a truth value is i32');
      else must(node.type === a, `${node.op} keeps the type`);
      if (includes(WIDE_OPS, node.op)) must(a === 'i64', `${node.op} is of i64`);
      must([...ARITHMETIC_OPS, ...WIDE_OPS, ...COMPARE_OPS].includes(node.op as never), node.op);
      return node.type;
    }
    case 'select':
      must(check(node.cond) === 'i32', 'a condition is i32');
      must(check(node.a) === node.type && check(node.b) === node.type, 'select of one type');
      return node.type;
    case 'unbox':
      must(check(node.a) === 'i64' && node.type === CARRIER[node.format], 'unbox');
      return node.type;
    case 'box':
      must(check(node.a) === CARRIER[node.format], 'box');
      return 'i64';
    case 'fclass':
      must(check(node.a) === CARRIER[node.format], 'fclass');
      return 'i32';
    case 'fli':
      must(node.type === CARRIER[node.format], 'fli');
      return node.type;
    case 'result':
      must(effects.has(node.effect), 'a result comes after its effect');
      must(node.type === node.effect.type, 'a result has its type');
      return node.type;
    default:
      return node.type;
  }
}

function checkFp(effect: Effect & { readonly op: 'fp' }, types: readonly Type[]): void {
  const { fp, format, from, int, rounding } = effect;
  const carrier = CARRIER[format];
  const isCompare = ['eq', 'lt', 'le', 'ltq', 'leq'].includes(fp);
  const count =
    fp === 'fma' ? 3 : ['sqrt', 'toInt', 'fromInt', 'cvt', 'round', 'roundnx', 'cvtmod'].includes(fp) ? 1 : 2;
  must(types.length === count, `${fp} takes ${count}`);
  const operand = fp === 'cvt' && from !== null ? CARRIER[from] : fp === 'fromInt' ? 'i64' : carrier;
  must(
    types.every((type) => type === operand),
    `${fp} of ${operand}`,
  );
  must(effect.type === (isCompare ? 'i32' : fp === 'toInt' || fp === 'cvtmod' ? 'i64' : carrier), `${fp}'s result`);
  must((from !== null) === (fp === 'cvt'), 'from');
  must((int !== null) === ['toInt', 'fromInt', 'cvtmod'].includes(fp), 'int');
  must((rounding === null) === (isCompare || ['min', 'max', 'minm', 'maxm'].includes(fp)), 'rounding');
}

function checkEffect(effect: Effect, before: ReadonlySet<Effect>): void {
  if ('addr' in effect) must(checkNode(effect.addr, before) === 'i64', 'an address is i64');
  if ('value' in effect) must(checkNode(effect.value, before) === 'i64', 'a stored value is i64');
  if (effect.op === 'csr') must(checkNode(effect.source, before) === 'i64', 'a CSR value is i64');
  if (effect.op === 'sfenceVma') must(checkNode(effect.asid, before) === 'i64', 'an ASID is i64');
  if (effect.op === 'fp')
    checkFp(
      effect,
      effect.args.map((arg) => checkNode(arg, before)),
    );
}

function checkCommit(commit: Commit, effects: ReadonlySet<Effect>): void {
  if (commit.kind === 'setX' || commit.kind === 'setF')
    must(checkNode(commit.value, effects) === 'i64', 'i64 registers');
  else must(checkNode(commit.target, effects) === 'i64', 'an i64 target');
  if (commit.kind === 'branch') must(checkNode(commit.cond, effects) === 'i32', 'a condition is i32');
}

function checkBody({ body }: Insn): void {
  const effects = new Set<Effect>();
  for (const effect of body.effects) {
    checkEffect(effect, effects);
    effects.add(effect);
  }
  for (const commit of body.commits) checkCommit(commit, effects);
}

const FLOATING: ReadonlySet<string> = new Set(['F', 'D', 'Zfh', 'Zfa']);

describe('IR', () => {
  it.each(INSTRUCTIONS.map((insn) => [insn.name, insn] as const))('is well typed: %s', (_, insn) => {
    expect(() => checkBody(insn)).not.toThrow();
    expect(insn.body.effects.length + insn.body.commits.length).toBeGreaterThan(0);
  });

  it('asks for floating point first, and only where it must', () => {
    for (const insn of INSTRUCTIONS) {
      const base = insn.expands?.to ?? insn;
      const places = insn.body.effects.flatMap((effect, index) => (effect.op === 'requireFp' ? [index] : []));
      expect(places, insn.name).toEqual(FLOATING.has(base.extension) ? [0] : []);
    }
  });

  it('declares every static rounding mode or field reserved where it is', () => {
    for (const insn of INSTRUCTIONS.filter((candidate) => candidate.operands.some(({ name }) => name === 'rm'))) {
      expect(
        [0, 1, 2, 3, 4, 5, 6, 7].filter((rm) => insn.reserved?.({ rm }) === true),
        insn.name,
      ).toEqual([5, 6]);
    }
  });
});
