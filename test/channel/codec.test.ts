import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decoder, Encoder } from '../../src/channel/codec.ts';

const out = new Uint8Array(new SharedArrayBuffer(65_536));

function roundTrip(message: unknown, encoder = new Encoder(), decoder = new Decoder()): unknown {
  const length = encoder.encode(message, out, 8, out.length);
  expect(length).toBeGreaterThan(0);
  encoder.keep();
  return decoder.decode(out, 8, 8 + length);
}

const leaf = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.bigInt(),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.boolean(),
  fc.constant(null),
  fc.constant(undefined),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint16Array({ maxLength: 5 }),
  fc.float64Array({ maxLength: 5 }),
  fc.bigUint64Array({ maxLength: 5 }),
);
const name = fc.string({ maxLength: 8 }).filter((key) => key !== '__proto__');
const message = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(name, tie('node'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).node;

describe('codec', () => {
  it('gives back any plain message, one after the other over the same dictionary', () => {
    const encoder = new Encoder();
    const decoder = new Decoder();
    fc.assert(
      fc.property(message, (value) => {
        expect(roundTrip(value, encoder, decoder)).toStrictEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it('sends a name once', () => {
    const encoder = new Encoder();
    const first = encoder.encode({ type: 'machine.start' }, out, 0, out.length);
    encoder.keep();
    expect(encoder.encode({ type: 'machine.start' }, out, 0, out.length)).toBeLessThan(first / 2);
  });

  it('forgets the names of a message that found no room', () => {
    const encoder = new Encoder();
    const decoder = new Decoder();
    for (let room = 0; room < 30; room++)
      expect(encoder.encode({ alpha: 1, beta: 'x'.repeat(30) }, out, 0, room)).toBe(-1);
    expect(roundTrip({ beta: 1, alpha: 2 }, encoder, decoder)).toStrictEqual({ beta: 1, alpha: 2 });
  });

  it('gives byte arrays in memory of their own', () => {
    const bytes = roundTrip(new Uint8Array(new SharedArrayBuffer(4))) as Uint8Array;
    expect(bytes.buffer).toBeInstanceOf(ArrayBuffer);
  });

  it.each([
    ['a function', () => {}],
    ['a class instance', new Map()],
    ['a symbol', Symbol('s')],
    ['a property that reaches the prototype', JSON.parse('{"__proto__":1}')],
  ])('refuses %s', (_what, value) => {
    expect(() => new Encoder().encode({ value }, out, 0, out.length)).toThrow(TypeError);
  });

  it('reads no byte beyond the end, and nothing that was not encoded', () => {
    const message = {
      type: 'x',
      list: [1, -5, 1.5, 7n],
      text: 'ä',
      bytes: new Uint8Array(3),
      words: new Int16Array(2),
    };
    const length = new Encoder().encode(message, out, 0, out.length);
    for (let end = 0; end < length; end++) expect(() => new Decoder().decode(out, 0, end)).toThrow(/not what was/);
    const decode = (...bytes: number[]) => new Decoder().decode(Uint8Array.from(bytes), 0, bytes.length);
    expect(() => decode(13, 0, 0)).toThrow(/there is no name 0/);
    expect(() => decode(16)).toThrow(/unknown tag 16/);
    expect(() => decode(15, 10, 0, 0, 0, 0)).toThrow(/unknown typed array 10/);
    expect(() => decode(15, 2, 3, 0, 0, 0, 1, 2, 3)).toThrow(/Int16Array of 3 bytes/);
    expect(() => decode(1, 1)).toThrow(/something follows/);
    expect(() => decode(12, 1, 8, 9, 0, 0, 0, ...Buffer.from('__proto__'), 1)).toThrow(/a property __proto__/);
  });

  it('refuses a cycle', () => {
    const value: Record<string, unknown> = {};
    value.self = value;
    expect(() => new Encoder().encode(value, out, 0, out.length)).toThrow(/contains itself/);
  });
});
