import { describe, expect, it } from 'vitest';
import { type FenceContext, pushFence, pushRelease } from '../../src/hart/lower-fence.ts';
import type { Code } from '../../src/wasm/code.ts';
import { Module } from '../../src/wasm/module.ts';
import { wasmText } from '../support/wasm-text.ts';

type Host = 'total store order' | 'any other';
/** What was emitted that holds accesses back. */
type Kind = 'nothing' | 'atomic.fence' | 'i32.atomic.rmw.add';

/** @param operands what the instruction has in each of its operands */
function emitted(host: Host, operands: Readonly<Record<string, number>>, push: (context: FenceContext) => void): Kind {
  const { code } = new Module(1).function({ parameters: ['i32'], results: [] });
  push({ ...fenceContext(code), hasTso: host === 'total store order', constant: (name) => operands[name] ?? null });
  const text = wasmText(code.finish()).join('\n');
  const found = (['atomic.fence', 'i32.atomic.rmw.add'] as const).filter((op) => text.includes(op));
  expect(found.length, text).toBeLessThan(2);
  return found[0] ?? 'nothing';
}

const fenceContext = (code: Code): FenceContext => ({
  code,
  hart: 0,
  hasTso: null,
  constant: () => null,
  imm: () => expect.fail('the operand is known'),
});

const SETS = Array.from({ length: 16 }, (_, bits) => bits);
const has = (set: number, letter: 'i' | 'o' | 'r' | 'w'): boolean => ((set >> 'wroi'.indexOf(letter)) & 1) === 1;

describe('a fence', () => {
  it('holds back only a store and a later load where the host has total store order', () => {
    for (const pred of SETS) {
      for (const succ of SETS) {
        const holds = (has(pred, 'o') || has(pred, 'w')) && (has(succ, 'i') || has(succ, 'r'));
        const sets = { pred: 'pred', succ: 'succ' };
        const kind = emitted('total store order', { pred, succ }, (context) => pushFence(context, sets));
        expect(kind, `fence ${pred}, ${succ}`).toBe(holds ? 'i32.atomic.rmw.add' : 'nothing');
      }
    }
  });

  it('is the full one on any other host', () => {
    for (const pred of SETS) {
      for (const succ of SETS) {
        const sets = { pred: 'pred', succ: 'succ' };
        expect(emitted('any other', { pred, succ }, (context) => pushFence(context, sets))).toBe('atomic.fence');
      }
    }
  });

  it('is nothing as fence.tso where the host is so', () => {
    expect(emitted('total store order', {}, (context) => pushFence(context, null))).toBe('nothing');
    expect(emitted('any other', {}, (context) => pushFence(context, null))).toBe('atomic.fence');
  });
});

it.each([
  ['total store order', 0, 'nothing'],
  ['total store order', 1, 'i32.atomic.rmw.add'],
  ['any other', 0, 'nothing'],
  ['any other', 1, 'atomic.fence'],
] as const)('LR on a host with %s and rl %i has %s before it', (host, rl, kind) => {
  expect(emitted(host, { rl }, (context) => pushRelease(context, 'rl'))).toBe(kind);
});
