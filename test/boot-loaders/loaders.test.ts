import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readElf } from '../../src/boot/elf.ts';
import { readImage } from '../../src/boot/plan.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { makeElf, makeLinuxImage } from './files.ts';

const BASE = 0x8000_0000;

describe('ELF', () => {
  it('gives segments, entry and HTIF mailboxes', () => {
    const bytes = new Uint8Array([1, 2, 3, 4]);
    const image = readElf(
      makeElf({
        entry: BASE + 2,
        segments: [
          { paddr: BASE, bytes, lengthBytes: 4096 },
          { paddr: BASE + 8192, bytes },
        ],
        symbols: { other: 1, tohost: BASE + 64, fromhost: BASE + 128, tohost2: 5 },
      }),
      '-kernel',
    );
    expect(image.segments.map(({ gpa, lengthBytes }) => [gpa, lengthBytes])).toEqual([
      [BASE, 4096],
      [BASE + 8192, 4],
    ]);
    expect([...(image.segments[0]?.bytes ?? [])]).toEqual([1, 2, 3, 4]);
    expect(image).toMatchObject({ kind: 'elf', entryGpa: BASE + 2, tohostGpa: BASE + 64, fromhostGpa: BASE + 128 });
  });

  it('translates a virtual entry, as vmlinux has', () => {
    const vaddr = 0xffff_ffff_8000_0000n;
    const segments = [{ vaddr, paddr: BASE + 0x20_0000, bytes: new Uint8Array(64) }];
    expect(readElf(makeElf({ entry: vaddr + 8n, segments }), '-kernel').entryGpa).toBe(BASE + 0x20_0008);
  });

  it.each([
    ['cut off in the header', makeElf().subarray(0, 40), 'truncated'],
    ['cut off in a segment', makeElf().subarray(0, 122), 'truncated'],
    ['for another machine', makeElf({ machine: 183 }), 'machine 183'],
    ['of 32 bits', makeElf({ class: 1 }), '64-bit'],
    ['big-endian', makeElf({ data: 2 }), 'big-endian'],
    ['an object file', makeElf({ type: 1 }), 'no executable'],
    ['empty', makeElf({ segments: [] }), 'nothing to load'],
    ['entered nowhere', makeElf({ entry: 0x1234 }), 'no segment'],
    [
      'longer in the file than in memory',
      makeElf({ segments: [{ paddr: BASE, bytes: new Uint8Array(9), lengthBytes: 4 }] }),
      'longer',
    ],
  ])('refuses a file that is %s', (_, bytes, problem) => {
    expect(() => readElf(bytes, '-kernel')).toThrow(problem);
    expect(() => readElf(bytes, '-kernel')).toThrow(
      expect.objectContaining({ path: '-kernel', remedy: expect.stringMatching(/\.$/) }),
    );
  });

  it('takes a damaged symbol table for none', () => {
    const file = makeElf({ symbols: { tohost: BASE } });
    new DataView(file.buffer).setBigUint64(40, 2n ** 63n, true);
    expect(readElf(file, '-kernel').tohostGpa).toBeUndefined();
  });

  it('gives an image or a ConfigError for any damage', () => {
    const good = makeElf({ symbols: { tohost: BASE, fromhost: BASE + 8 } });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const file = good.slice();
          for (const [at, value] of changes) file[at] = value;
          try {
            readImage(file, BASE, '-kernel');
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('Linux Image', () => {
  it('lies on the next 2 MiB, as long as its header says', () => {
    const image = readImage(makeLinuxImage(), BASE + 0x1000, '-kernel');
    expect(image).toMatchObject({ kind: 'linux', entryGpa: BASE + 0x20_0000 });
    expect(image.segments[0]?.lengthBytes).toBe(0x10_0000);
  });

  it.each([
    ['big-endian', makeLinuxImage({ flags: 1 }), 'big-endian'],
    ['for another machine', makeLinuxImage({ machine: 0x8664 }), '0x8664'],
    ['cut off', makeLinuxImage().subarray(0, 2000), 'truncated'],
    ['cut off in the headers', makeLinuxImage().subarray(0, 70), 'truncated'],
  ])('is refused when it is %s', (_, bytes, problem) => {
    expect(() => readImage(bytes, BASE, '-kernel')).toThrow(problem);
    expect(() => readImage(bytes, BASE, '-kernel')).toThrow(ConfigError);
  });
});

describe('other files', () => {
  it('are raw code', () => {
    const bytes = new Uint8Array([0x6f, 0, 0, 0]);
    expect(readImage(bytes, BASE, '-bios')).toEqual({
      kind: 'raw',
      segments: [{ gpa: BASE, bytes, lengthBytes: 4 }],
      entryGpa: BASE,
    });
  });

  const foreign = (at: number, magic: number[]) => {
    const bytes = new Uint8Array(1024);
    bytes.set(magic, at);
    return bytes;
  };
  it.each([
    ['nothing', new Uint8Array(0), 'empty'],
    ['gzip', foreign(0, [0x1f, 0x8b]), 'gzip'],
    ['xz', foreign(0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), 'xz'],
    ['zstd', foreign(0, [0x28, 0xb5, 0x2f, 0xfd]), 'zstd'],
    ['a uImage', foreign(0, [0x27, 0x05, 0x19, 0x56]), 'uImage'],
    ['a device tree', foreign(0, [0xd0, 0x0d, 0xfe, 0xed]), 'device tree'],
    ['zboot', foreign(4, [0x7a, 0x69, 0x6d, 0x67]), 'zboot'],
    ['an arm64 kernel', foreign(56, [0x41, 0x52, 0x4d, 0x64]), 'arm64'],
    ['an x86 kernel', foreign(514, [0x48, 0x64, 0x72, 0x53]), 'x86'],
    ['a package', foreign(0, [0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e]), 'package'],
  ])('are refused when they are %s', (_, bytes, problem) => {
    expect(() => readImage(bytes, BASE, '-kernel')).toThrow(problem);
    expect(() => readImage(bytes, BASE, '-kernel')).toThrow(ConfigError);
  });
});
