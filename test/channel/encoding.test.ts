import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/channel/decoder.ts';
import { Encoder } from '../../src/channel/encoder.ts';
import { MAX_SHAPE_NAMES, MAX_SHAPES } from '../../src/channel/shapes.ts';

const out = new Uint8Array(new SharedArrayBuffer(65_536));

function roundTrip(message: unknown, encoder = new Encoder(true), decoder = new Decoder(true)): unknown {
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
    const encoder = new Encoder(true);
    const decoder = new Decoder(true);
    fc.assert(
      fc.property(message, (value) => {
        expect(roundTrip(value, encoder, decoder)).toStrictEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it('sends a name once', () => {
    const encoder = new Encoder(true);
    const first = encoder.encode({ type: 'machine.start' }, out, 0, out.length);
    encoder.keep();
    expect(encoder.encode({ type: 'machine.start' }, out, 0, out.length)).toBeLessThan(first / 2);
  });

  it('forgets the names and shapes of a message that found no room', () => {
    const encoder = new Encoder(true);
    const decoder = new Decoder(true);
    roundTrip({ gamma: 1 }, encoder, decoder);
    for (let room = 0; room < 30; room++)
      expect(encoder.encode({ alpha: 1, beta: 'x'.repeat(30) }, out, 0, room)).toBe(-1);
    expect(roundTrip({ beta: 1, alpha: 2 }, encoder, decoder)).toStrictEqual({ beta: 1, alpha: 2 });
    expect(roundTrip({ alpha: 1, beta: 2 }, encoder, decoder)).toStrictEqual({ alpha: 1, beta: 2 });
    expect(roundTrip({ gamma: 3 }, encoder, decoder)).toStrictEqual({ gamma: 3 });
    expect(encoder.encode({ gamma: 3 }, out, 0, out.length)).toBe(3 + 2);
  });

  it('sends the names of an object by one number, whatever its values are', () => {
    const [encoder, decoder] = [new Encoder(true), new Decoder(true)];
    const objects = [
      { type: 'block.done', id: 7, offset: 4096, lengthBytes: 512, status: 0, final: true },
      { type: 'block.read', id: 'x', offset: 2 ** 40, lengthBytes: [1, { id: 2 }], status: null, final: undefined },
    ];
    // The function that makes them is made behind some that were read name by name.
    for (let i = 0; i < 50; i++) {
      for (const object of objects) expect(roundTrip(object, encoder, decoder)).toStrictEqual(object);
    }
    expect(Object.keys(roundTrip(objects[0], encoder, decoder) as object)).toEqual(Object.keys(objects[0] ?? {}));
    expect(encoder.encode(objects[0], out, 0, out.length)).toBe(3 + 2 + 3 + 3 + 2 + 1);
  });

  it('tells shapes apart that begin alike, in whatever order they come', () => {
    const keys = ['a', 'b', 'c', '0', 'constructor', 'x\'"\u2028`${'];
    const shape = fc.shuffledSubarray(keys).map((names) => Object.fromEntries(names.map((key, i) => [key, i])));
    const [encoder, decoder] = [new Encoder(true), new Decoder(true)];
    fc.assert(
      fc.property(shape, (object) => {
        const read = roundTrip(object, encoder, decoder);
        expect(read).toStrictEqual(object);
        expect(Object.keys(read as object)).toEqual(Object.keys(object));
      }),
      { numRuns: 2000 },
    );
  });

  it('sends what it has no number for with its names', () => {
    const [encoder, decoder] = [new Encoder(true), new Decoder(true)];
    const long = Object.fromEntries(Array.from({ length: MAX_SHAPE_NAMES + 1 }, (_, i) => [`n${i}`, i]));
    for (let i = 0; i < 2; i++) expect(roundTrip(long, encoder, decoder)).toStrictEqual(long);
    const lengths: number[] = [];
    for (let i = 0; i < MAX_SHAPES + 2; i++) {
      // Few names, many orders of them.
      const object = { [`a${i & 31}`]: 1, [`b${i >> 5}`]: 2 };
      roundTrip(object, encoder, decoder);
      lengths.push(encoder.encode(object, out, 0, out.length));
      expect(roundTrip(object, encoder, decoder)).toStrictEqual(object);
    }
    expect(lengths.indexOf(12)).toBe(MAX_SHAPES);
    expect(new Set(lengths.slice(0, MAX_SHAPES))).toEqual(new Set([7]));
  });

  it('makes objects also where the host allows no code to be made', () => {
    const script = fileURLToPath(new URL('./no-code.js', import.meta.url));
    const said = execFileSync(process.execPath, ['--disallow-code-generation-from-strings', script], {
      encoding: 'utf8',
    });
    expect(said).toBe('{"a":49,"b":[]}');
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
    expect(() => new Encoder(true).encode({ value }, out, 0, out.length)).toThrow(TypeError);
  });

  it('reads no byte beyond the end, and nothing that was not encoded', () => {
    const message = {
      type: 'x',
      list: [1, -5, 1.5, 7n],
      text: 'ä',
      bytes: new Uint8Array(3),
      words: new Int16Array(2),
    };
    const length = new Encoder(true).encode(message, out, 0, out.length);
    for (let end = 0; end < length; end++) expect(() => new Decoder(true).decode(out, 0, end)).toThrow(/not what was/);
    const decode = (...bytes: number[]) => new Decoder(true).decode(Uint8Array.from(bytes), 0, bytes.length);
    expect(() => decode(13, 0, 0)).toThrow(/there is no name 0/);
    expect(() => decode(19)).toThrow(/unknown tag 19/);
    expect(() => decode(16, 0, 0)).toThrow(/there is no shape 0/);
    expect(() => decode(17, MAX_SHAPE_NAMES + 1)).toThrow(/names of one/);
    expect(() => decode(17, 1, 8, 9, 0, 0, 0, ...Buffer.from('__proto__'), 1)).toThrow(/a property __proto__/);
    expect(() => decode(15, 10, 0, 0, 0, 0)).toThrow(/unknown typed array 10/);
    expect(() => decode(15, 2, 3, 0, 0, 0, 1, 2, 3)).toThrow(/Int16Array of 3 bytes/);
    expect(() => decode(1, 1)).toThrow(/something follows/);
    expect(() => decode(12, 1, 8, 9, 0, 0, 0, ...Buffer.from('__proto__'), 1)).toThrow(/a property __proto__/);
  });

  it('knows no shapes where it is not told to', () => {
    const decode = (...bytes: number[]) => new Decoder(false).decode(Uint8Array.from(bytes), 0, bytes.length);
    expect(() => decode(16, 0, 0)).toThrow(/there is no shape 0/);
    expect(() => decode(17, 0)).toThrow(/a shape, where there are none/);
    const length = new Encoder(false).encode({ a: { a: 1 } }, out, 0, out.length);
    expect(new Decoder(false).decode(out, 0, length)).toStrictEqual({ a: { a: 1 } });
  });

  it('refuses a cycle', () => {
    const value: Record<string, unknown> = {};
    value.self = value;
    expect(() => new Encoder(true).encode(value, out, 0, out.length)).toThrow(/contains itself/);
  });
});
