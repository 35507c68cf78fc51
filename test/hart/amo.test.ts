import { expect, it } from 'vitest';
import { pushAmo } from '../../src/hart/lower-amo.ts';
import { AMO_OPS } from '../../src/isa/ir.ts';
import { Module } from '../../src/wasm/module.ts';
import { AMO_MODELS, AMO_VALUES } from '../support/amo-model.ts';

const HOST = 64;
const CASES = AMO_OPS.flatMap((amo) => ([4, 8] as const).map((size) => [amo, size] as const));

it.each(CASES)('%s of %i bytes leaves what it should, and says what was there', (amo, size) => {
  const module = new Module(1);
  const { index, code } = module.function({ parameters: ['i32', 'i64'], results: ['i64'] });
  pushAmo(code, { amo, size, host: 0, value: 1 });
  module.export('amo', index);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { env: { memory } });
  const run = exports['amo'] as (host: number, value: bigint) => bigint;
  const doublewords = new BigUint64Array(memory.buffer, HOST, 1);
  const bits = 8 * size;
  for (const old of AMO_VALUES) {
    for (const value of AMO_VALUES) {
      doublewords[0] = old;
      expect(run(HOST, value)).toBe(BigInt.asIntN(bits, old));
      const now = doublewords[0];
      expect(BigInt.asUintN(bits, now), `${old}, ${value}`).toBe(
        BigInt.asUintN(bits, AMO_MODELS[amo](old, value, bits)),
      );
      expect(now >> BigInt(bits)).toBe(old >> BigInt(bits));
    }
  }
});
