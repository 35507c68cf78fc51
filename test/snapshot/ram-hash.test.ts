import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashRam } from '../../src/snapshot/ram-hash.ts';

const PAGE_BYTES = 4096;
const PAGES = 4;

describe('the hash of RAM', () => {
  it('stays what it was: runs of other versions are compared with it', () => {
    const ram = new Uint8Array(PAGES * PAGE_BYTES);
    for (let i = 0; i < PAGE_BYTES; i++) ram[2 * PAGE_BYTES + i] = i * 7;
    expect([hashRam(new Uint8Array(0)), hashRam(new Uint8Array(PAGE_BYTES)), hashRam(ram)]).toMatchInlineSnapshot(`
      [
        8816621904773734734n,
        9985634001478719058n,
        11017982868476817387n,
      ]
    `);
  });

  it('is the same for the same, shared or not', () => {
    const bytes = fc.uint8Array({ minLength: 100, maxLength: 100 });
    fc.assert(
      fc.property(bytes, fc.nat(PAGES * PAGE_BYTES - 100), (some, at) => {
        const ram = new Uint8Array(PAGES * PAGE_BYTES);
        ram.set(some, at);
        const shared = new Uint8Array(new SharedArrayBuffer(ram.length + 64), 64);
        shared.set(ram);
        expect(hashRam(shared)).toBe(hashRam(ram));
      }),
      { numRuns: 30 },
    );
  });

  it('differs for every bit, place and length', () => {
    const seen = new Set<bigint>();
    const add = (ram: Uint8Array): void => void seen.add(hashRam(ram));
    for (let pages = 0; pages <= PAGES; pages++) add(new Uint8Array(pages * PAGE_BYTES));
    const ram = new Uint8Array(PAGES * PAGE_BYTES);
    for (let bit = 0; bit < ram.length * 8; bit += 5) {
      ram[bit >> 3] = 1 << (bit & 7);
      add(ram);
      ram[bit >> 3] = 0;
    }
    expect(seen.size).toBe(PAGES + 1 + Math.ceil((ram.length * 8) / 5));
  });

  it('spreads a small difference over all of its bits', () => {
    const ram = new Uint8Array(PAGES * PAGE_BYTES).fill(3);
    const before = hashRam(ram);
    const flips = new Array<number>(64).fill(0);
    const trials = 400;
    for (let trial = 0; trial < trials; trial++) {
      const at = (trial * 41) % ram.length;
      ram[at] = (ram[at] as number) ^ 1;
      const difference = hashRam(ram) ^ before;
      ram[at] = (ram[at] as number) ^ 1;
      for (let bit = 0; bit < 64; bit++) flips[bit] = (flips[bit] as number) + Number((difference >> BigInt(bit)) & 1n);
    }
    expect(Math.min(...flips)).toBeGreaterThan(trials * 0.35);
    expect(Math.max(...flips)).toBeLessThan(trials * 0.65);
  });
});
