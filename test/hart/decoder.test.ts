/** What is decoded when an instruction is met for the first time: it, and what it runs into. */
import { describe, expect, it } from 'vitest';
import { SPECIAL } from '../../src/hart/handlers.ts';
import type { TranslatorPlace } from '../../src/hart/hart.ts';
import { DECODED_PAGE, HART_OFFSETS, OP } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';

const BASE = 0x8000_0000;

/** Executes so many instructions. @returns the labels whose instructions are decoded */
function decodedAfter(steps: number, source: string, observe?: (word: number) => void): string[] {
  let seen: TranslatorPlace | null = null;
  const machine = new InterpreterMachine('none', (place) => {
    seen = place;
    return { traceInterval: 0, trace: () => {}, codeChanged: () => {}, modules: 0, report: () => '' };
  });
  if (observe !== undefined) machine.hart.decodeObserver = (_, word) => observe(word >>> 0);
  const { bytes, symbols } = assemble(source, { base: BASE });
  machine.load({ image: bytes, base: BigInt(BASE) });
  machine.step(steps);
  const { memory, arena } = (seen ?? expect.fail('no place')) as TranslatorPlace;
  const view = new DataView(memory.buffer);
  const page = view.getUint32(arena + HART_OFFSETS.page, true);
  const opOf = (address: bigint): number => page + ((Number(address) - BASE) / 2) * DECODED_PAGE.opBytes;
  const isDecoded = (address: bigint): boolean =>
    view.getUint16(opOf(address) + OP.handler, true) !== SPECIAL.undecoded;
  return [...symbols].filter(([, address]) => isDecoded(address)).map(([label]) => label);
}

describe('decoding', () => {
  it.each([
    ['over branches and calls', 'a: nop; b: beqz a0, c; c: call c; d: nop; e: j e; f: nop', ['a', 'b', 'c', 'd', 'e']],
    ['not behind a return', 'a: nop; b: ret; c: nop', ['a', 'b']],
    ['not behind what is illegal', 'a: nop; b: .half 0; c: nop', ['a', 'b']],
    ['16 instructions at most', `a: nop; b: ${'nop;'.repeat(14)} c: nop; d: nop`, ['a', 'b', 'c']],
  ])('goes on %s', (_, source, wanted) => expect(decodedAfter(1, source)).toEqual(wanted));

  it('stops at the end of a page', () => {
    const source = `a: j b; .zero ${4096 - 8}; b: c.nop; c: j a; .balign 4096; d: nop`;
    expect(decodedAfter(2, source)).toEqual(['a', 'b', 'c']);
  });

  it('tells of each word that is executed when somebody looks, and of no other', () => {
    const words: number[] = [];
    const source = 'a: c.nop; b: c.nop; c: addi a0, a0, 1';
    expect(decodedAfter(2, source, (word) => words.push(word))).toEqual(['a', 'b']);
    expect(words).toEqual([1, 1]);
  });

  it('knows a word again whatever has come between', () => {
    // More different words than are kept, so that entries are taken by others in between; and each twice.
    const count = 9000;
    const words = Array.from({ length: count }, (_, i) => `lui a0, ${i}; add a1, a1, a0`).join(';');
    const machine = new InterpreterMachine();
    machine.load({ image: assemble(`${words}; ${words}; end: j end`, { base: BASE }).bytes, base: BigInt(BASE) });
    machine.step(4 * count);
    const sum = BigInt(count * (count - 1)) << 12n;
    expect([10, 11].map((index) => machine.hart.get('x', index))).toEqual([BigInt(count - 1) << 12n, sum]);
  });
});
