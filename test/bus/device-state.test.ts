import { describe, expect, it } from 'vitest';
import { StateError, StateReader } from '../../src/bus/device-state.ts';

describe('saved state', () => {
  it('is taken apart field by field', () => {
    const reader = new StateReader('x', { a: 5, b: null, c: true, d: 7n, e: [1, 2], f: 9 });
    expect([reader.uint('a', 5), reader.uintOrNull('b', 1), reader.flag('c')]).toEqual([5, null, true]);
    expect([reader.bigint('d', 0n, 7n), reader.uints('e', 2, 2, 2), reader.timeOrNull('f')]).toEqual([7n, [1, 2], 9]);
    expect(() => reader.finish()).not.toThrow();
  });

  it.each<[string, unknown, (reader: StateReader) => unknown]>([
    ['a number too large', 6, (reader) => reader.uint('a', 5)],
    ['a negative number', -1, (reader) => reader.uint('a', 5)],
    ['a fraction', 0.5, (reader) => reader.uint('a', 5)],
    ['text for a number', '1', (reader) => reader.uint('a', 5)],
    ['nothing', undefined, (reader) => reader.uintOrNull('a', 5)],
    ['a number for a flag', 1, (reader) => reader.flag('a')],
    ['a number for a bigint', 1, (reader) => reader.bigint('a', 0n, 5n)],
    ['a bigint out of range', 6n, (reader) => reader.bigint('a', 0n, 5n)],
    ['a list too short', [1], (reader) => reader.uints('a', 5, 2, 2)],
    ['a list with a hole', [1, undefined], (reader) => reader.uints('a', 5, 2, 2)],
    ['no list', 5, (reader) => reader.uints('a', 5, 0, 2)],
    ['a field nobody asks for', 1, (reader) => reader.finish()],
  ])('with %s is refused', (_, a, take) => {
    expect(() => take(new StateReader('x', { a }))).toThrow(StateError);
    expect(() => take(new StateReader('x', { a }))).toThrow('x.a');
  });

  it.each([null, undefined, 5, 'state'])('%s is none', (state) => {
    expect(() => new StateReader('x', state)).toThrow(StateError);
  });
});
