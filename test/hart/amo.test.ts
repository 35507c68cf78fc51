import { expect, it } from 'vitest';
import { pushAmo } from '../../src/hart/lower-amo.ts';
import { AMO_OPS, type AmoOp } from '../../src/isa/ir.ts';
import { Module } from '../../src/wasm/module.ts';

const HOST = 64;
const VALUES = [
  0n,
  1n,
  -1n,
  2n ** 31n - 1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 63n - 1n,
  -(2n ** 63n),
  0x1234_5678_9abc_def0n,
];

/** What memory holds behind an AMO (unprivileged specification, section 13.4), of so many bits. */
const EXPECTED: Readonly<Record<AmoOp, (old: bigint, value: bigint, bits: number) => bigint>> = {
  swap: (_, value) => value,
  add: (old, value) => old + value,
  xor: (old, value) => old ^ value,
  and: (old, value) => old & value,
  or: (old, value) => old | value,
  minS: (old, value, bits) => (BigInt.asIntN(bits, old) < BigInt.asIntN(bits, value) ? old : value),
  maxS: (old, value, bits) => (BigInt.asIntN(bits, old) > BigInt.asIntN(bits, value) ? old : value),
  minU: (old, value, bits) => (BigInt.asUintN(bits, old) < BigInt.asUintN(bits, value) ? old : value),
  maxU: (old, value, bits) => (BigInt.asUintN(bits, old) > BigInt.asUintN(bits, value) ? old : value),
};

const CASES = AMO_OPS.flatMap((amo) => ([4, 8] as const).map((size) => [amo, size] as const));

it.each(CASES)('%s of %i bytes leaves what it should, and says what was there', (amo, size) => {
  const module = new Module(1);
  const { index, code } = module.function({ parameters: ['i32', 'i64'], results: ['i64'] });
  pushAmo(code, { amo, size, host: 0, value: 1 });
  module.export('amo', index);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { env: { memory } });
  const run = exports['amo'] as (host: number, value: bigint) => bigint;
  const words = new BigInt64Array(memory.buffer, HOST, 1);
  const bits = 8 * size;
  for (const old of VALUES) {
    for (const value of VALUES) {
      words[0] = old;
      expect(run(HOST, value)).toBe(BigInt.asIntN(bits, old));
      // Of a word the upper half stays.
      const upper = size === 4 ? (old >> 32n) << 32n : 0n;
      const lower = BigInt.asUintN(bits, EXPECTED[amo](old, value, bits));
      expect(words[0], `${old}, ${value}`).toBe(BigInt.asIntN(64, size === 4 ? upper | lower : lower));
    }
  }
});
