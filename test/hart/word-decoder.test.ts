/** What words are decoded to by generated code, beside the host's own decoder. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/hart/decoder.ts';
import { opFamily } from '../../src/hart/handlers.ts';
import { ARENA, KNOWN_WORDS } from '../../src/hart/state.ts';
import { buildWordDecoder } from '../../src/hart/word-decoder.ts';
import { identify } from '../../src/isa/decode.ts';
import { INSTRUCTIONS } from '../../src/isa/table.ts';
import { Module } from '../../src/wasm/module.ts';

const PAGES = Math.ceil(ARENA.lengthBytes / 65536);
const [GENERATED, HOSTS] = [ARENA.knownWords, ARENA.knownWords + KNOWN_WORDS.entryBytes];
const WORDS = KNOWN_WORDS.entryBytes / 4;

const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
const learn = (() => {
  const module = new Module(PAGES);
  module.export('learnWord', buildWordDecoder(module));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { env: { memory } });
  return exports['learnWord'] as (known: number, word: number) => number;
})();
const decoder = new Decoder(memory, 0);

/** @returns whether generated code knows the word; then it says the same as the host's decoder */
function isLearned(word: number): boolean {
  const entries = new Uint32Array(memory.buffer);
  entries.fill(0xdead_beef, GENERATED / 4, GENERATED / 4 + 2 * WORDS);
  const answer = learn(GENERATED, word);
  const generated = entries.slice(GENERATED / 4, GENERATED / 4 + WORDS);
  if (answer === 0) {
    if (generated.some((one) => one !== 0xdead_beef)) throw new Error(`0x${word.toString(16)}: half an entry`);
    return false;
  }
  decoder.learn(word, HOSTS, 0);
  const hosts = entries.slice(HOSTS / 4, HOSTS / 4 + WORDS);
  if (generated.join() !== hosts.join()) {
    throw new Error(`0x${(word >>> 0).toString(16)} (${identify(word)?.name}): ${generated} instead of ${hosts}`);
  }
  return true;
}

describe('generated code', () => {
  it('decodes every compressed instruction, and nothing else of 16 bits', () => {
    for (let half = 0; half < 1 << 16; half++) {
      if ((half & 3) === 3) continue;
      const insn = identify(half);
      if (isLearned(half) !== (insn !== null)) throw new Error(`0x${half.toString(16)} (${insn?.name})`);
    }
  });

  it('decodes what an instruction can be with any operands, but for rounding modes and fences', () => {
    const toHost = new Set<string>();
    for (const insn of INSTRUCTIONS.filter(({ length }) => length === 4)) {
      const words = [0, -1, ...fc.sample(fc.integer(), { numRuns: 300, seed: insn.match | 0 })];
      for (const bits of words) {
        const word = (bits & ~insn.mask) | insn.match;
        // It may be another one's, whose row says more.
        if (identify(word) === insn && !isLearned(word)) toHost.add(insn.name);
      }
    }
    const expected = INSTRUCTIONS.filter((insn) => insn.name === 'fence' || opFamily(insn).rounding !== null);
    expect([...toHost].sort()).toEqual(expected.map(({ name }) => name).sort());
  });

  it('knows no word that is no instruction', () => {
    let known = 0;
    fc.assert(
      fc.property(fc.integer(), (bits) => {
        const word = bits | 3;
        const isKnown = isLearned(word);
        if (isKnown) known += 1;
        return !isKnown || identify(word) !== null;
      }),
      { numRuns: 100_000, seed: 1 },
    );
    expect(known).toBeGreaterThan(10_000);
  });
});
