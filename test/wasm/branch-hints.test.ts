/** The section of branch hints: what it says must lie where the branches are, or an engine heeds it for others. */
import { expect, it } from 'vitest';
import { Module } from '../../src/wasm/module.ts';

const [IF, BR_IF] = [0x04, 0x0d];

/** WebAssembly JavaScript Interface 1.0, 5.1, which TypeScript's library for hosts without a page leaves out. */
const { customSections } = WebAssembly.Module as unknown as {
  customSections(module: WebAssembly.Module, name: string): ArrayBuffer[];
};
const hintsOf = (module: WebAssembly.Module): ArrayBuffer[] => customSections(module, 'metadata.code.branch_hint');

it('names the branches by their offsets in their functions', () => {
  const module = new Module(1);
  const plain = module.function({ parameters: [], results: [] });
  const { index, code } = module.function({ parameters: ['i32'], results: ['i32'] });
  // So many locals that their declaration is longer than one byte a number.
  const locals = Array.from({ length: 200 }, () => code.local('i64'));
  const out = code.block();
  code.get(0).unlikely().brIf(out);
  code.get(0).if();
  code.i64(1).set(locals[150] as number);
  code.end();
  code.get(0).unlikely().if();
  code.end();
  code.end();
  code.i32(7);
  module.export('plain', plain.index);
  module.export('run', index);
  const bytes = module.finish();
  const compiled = new WebAssembly.Module(bytes);
  const [section, ...others] = hintsOf(compiled);
  expect(others).toEqual([]);
  const hints = [...new Uint8Array(section as ArrayBuffer)];
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = hints.shift() ?? expect.fail('the section ends');
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  // One function, and two hints of one byte each: not likely.
  expect([number(), number(), number()]).toEqual([1, index, 2]);
  const body = code.finish();
  const found = [0, 1].map(() => {
    const offset = number();
    expect([number(), number()]).toEqual([1, 0]);
    return body[offset];
  });
  expect(found).toEqual([BR_IF, IF]);
  expect(hints).toEqual([]);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { run } = new WebAssembly.Instance(compiled, { env: { memory } }).exports as { run(value: number): number };
  expect([run(0), run(1)]).toEqual([7, 7]);
});

it('is left out where nothing is known', () => {
  const module = new Module(1);
  module.function({ parameters: [], results: [] });
  const compiled = new WebAssembly.Module(module.finish());
  expect(hintsOf(compiled)).toEqual([]);
});
