import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/channel/decoder.ts';
import { Encoder } from '../../src/channel/encoder.ts';
import { createRing, MessageTooLargeError, RingReader, RingWriter } from '../../src/channel/ring.ts';
import { Prng } from '../../src/util/prng.ts';

const CAPACITY = 1024;
const WORDS_RECORD_BYTES = 32;

function ends() {
  const ring = createRing(CAPACITY);
  const encoder = new Encoder(true);
  const decoder = new Decoder(true);
  const writer = new RingWriter(ring);
  const reader = new RingReader(ring);
  return {
    writer,
    reader,
    write: (message: unknown, keepFree = 0) => writer.writeMessage(1, 7, message, encoder, keepFree),
    read: () => {
      if (!reader.next()) return null;
      const message = reader.message(decoder);
      reader.release();
      return { kind: reader.kind, token: reader.token, message };
    },
  };
}

describe('ring', () => {
  it('carries words, kind and token', () => {
    const { writer, reader } = ends();
    expect(writer.writeWords(200, 0xff_ffff, 1, -2, 0x7fff_ffff, 4)).toBe(true);
    expect(reader.next()).toBe(true);
    expect([reader.kind, reader.token]).toEqual([200, 0xff_ffff]);
    expect([0, 1, 2, 3].map((i) => reader.word(i))).toEqual([1, -2, 0x7fff_ffff, 4]);
    reader.release();
    expect(reader.next()).toBe(false);
  });

  it('refuses when it is full, loses nothing, and takes more once there is room', () => {
    const { writer, reader } = ends();
    let written = 0;
    while (writer.writeWords(16, 0, written, 0, 0, 0)) written++;
    expect(written).toBe(Math.floor(CAPACITY / WORDS_RECORD_BYTES));
    for (let i = 0; i < written; i++) {
      expect(reader.next()).toBe(true);
      expect(reader.word(0)).toBe(i);
      reader.release();
    }
    expect(writer.writeWords(16, 0, 0, 0, 0, 0)).toBe(true);
  });

  it('keeps messages of any length whole and in order, over many laps', () => {
    const { write, read } = ends();
    const prng = new Prng(1);
    const expected: unknown[] = [];
    let sent = 0;
    for (let step = 0; step < 20_000; step++) {
      if (prng.below(2) === 0) {
        const message = { n: sent, text: 'x'.repeat(prng.below(200)) };
        if (write(message)) expected.push({ kind: 1, token: 7, message });
        sent++;
      } else {
        const got = read();
        if (got === null) expect(expected).toEqual([]);
        else expect(got).toEqual(expected.shift());
      }
    }
    expect(sent).toBeGreaterThan(9_000);
  });

  it('keeps promised room free', () => {
    const { writer } = ends();
    while (writer.writeWords(16, 0, 0, 0, 0, 0, 200));
    expect(writer.freeBytes()).toBeGreaterThanOrEqual(200);
    expect(writer.freeBytes()).toBeLessThan(200 + WORDS_RECORD_BYTES);
  });

  it('names the fate of a message that can never fit', () => {
    const { write } = ends();
    expect(() => write('x'.repeat(CAPACITY))).toThrow(MessageTooLargeError);
    expect(() => write('x'.repeat(CAPACITY / 2))).toThrow(MessageTooLargeError);
    expect(write('x'.repeat(CAPACITY / 2 - 20))).toBe(true);
  });

  it('works when positions wrap at 2^32', () => {
    const ring = createRing(CAPACITY);
    const control = new Int32Array(ring);
    control[0] = control[16] = -CAPACITY;
    const writer = new RingWriter(ring);
    const reader = new RingReader(ring);
    for (let i = 0; i < 200; i++) {
      expect(writer.writeWords(16, 0, i, 0, 0, 0)).toBe(true);
      expect(reader.next() && reader.word(0)).toBe(i);
      reader.release();
    }
  });
});
