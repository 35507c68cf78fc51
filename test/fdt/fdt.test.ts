import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withChosen } from '../../src/fdt/chosen.ts';
import { FDT_MAX_BYTES, header } from '../../src/fdt/format.ts';
import { readFdt } from '../../src/fdt/read.ts';
import {
  cells64,
  type FdtNode,
  type FdtTree,
  fdtNode,
  findNode,
  getCells,
  getStrings,
  PhandleAllocator,
} from '../../src/fdt/tree.ts';
import { writeFdt } from '../../src/fdt/write.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { dtc, needsTool } from './tools.ts';

const sample: FdtTree = {
  root: fdtNode('', { '#address-cells': 2, '#size-cells': 1, compatible: ['a', 'b,c'] }, [
    fdtNode('chosen', { bootargs: 'quiet', 'stdout-path': '/old' }),
    fdtNode('node@1', { reg: [0, 1, 2], empty: true, odd: new Uint8Array([1, 2, 3, 4, 5]) }, [fdtNode('inner', {})]),
  ]),
  reservations: [{ address: 0x8000_0000n, lengthBytes: 0x1000n }],
  bootCpu: 3,
};

describe('the blob', () => {
  it('is read back as it was written', () => {
    expect(readFdt(writeFdt(sample))).toEqual(sample);
  });

  it('is what dtc makes of the same tree, field by field', (context) => {
    needsTool(context, 'dtc');
    const source = `/dts-v1/; /memreserve/ 0x80000000 0x1000; / { #address-cells = <2>; #size-cells = <1>;
      compatible = "a", "b,c"; chosen { bootargs = "quiet"; stdout-path = "/old"; };
      node@1 { reg = <0 1 2>; empty; odd = [01 02 03 04 05]; inner { }; }; };`;
    const theirs = dtc(source, 'dts', 'dtb');
    const parsed = readFdt(theirs);
    expect(parsed).toEqual({ ...sample, bootCpu: 0 });
    expect(writeFdt(parsed).subarray(0, theirs.length)).toEqual(theirs);
  });

  it('survives any tree', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9,.]{0,12}$/);
    const properties = fc
      .uniqueArray(fc.tuple(name, fc.uint8Array({ maxLength: 20 })), { maxLength: 5, selector: ([key]) => key })
      .map((entries) => new Map(entries));
    const nodeWith = (children: fc.Arbitrary<FdtNode[]>) => fc.record({ name, properties, children });
    const children = (of: fc.Arbitrary<FdtNode>) =>
      fc.uniqueArray(of, { maxLength: 4, selector: (child) => child.name });
    const node = nodeWith(children(nodeWith(children(nodeWith(fc.constant([]))))));
    fc.assert(
      fc.property(node, (root) => {
        const tree: FdtTree = { root: { ...root, name: '' }, reservations: [], bootCpu: 0 };
        expect(readFdt(writeFdt(tree))).toEqual(tree);
      }),
      { numRuns: 50 },
    );
  });
});

describe('reading', () => {
  const damage = (name: keyof typeof header, value: number) => {
    const blob = writeFdt(sample);
    new DataView(blob.buffer).setUint32(header[name], value);
    return blob;
  };

  it.each([
    ['an empty file', new Uint8Array(0), 'not a device tree'],
    ['text', new TextEncoder().encode('/dts-v1/; / { };'.repeat(9)), 'not a device tree'],
    ['a blob that is cut off', writeFdt(sample).subarray(0, 100), 'truncated'],
    ['a huge size', damage('totalSize', FDT_MAX_BYTES + 1), 'more than'],
    ['a newer format', damage('compatibleVersion', 99), 'version'],
    ['a structure outside', damage('structOffset', 0x10000), 'outside'],
    ['strings outside', damage('stringsOffset', 0xffff_fff0), 'outside'],
    ['reservations outside', damage('reservationsOffset', 0x10000), 'no end'],
    ['a structure that ends early', damage('structSize', 16), 'too early'],
  ])('refuses %s', (_, blob, problem) => {
    expect(() => readFdt(blob, '-dtb x')).toThrow(ConfigError);
    expect(() => readFdt(blob, '-dtb x')).toThrow(problem);
  });

  it('gives a tree or a ConfigError for any damage, nothing else', () => {
    const good = writeFdt(sample);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(255), (at, first, second) => {
        const blob = good.slice();
        blob[at] = first;
        blob[(at * 7) % blob.length] = second;
        try {
          readFdt(blob);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('/chosen', () => {
  it('is patched, and the given tree left alone', () => {
    const patched = withChosen(sample, {
      bootargs: 'console=ttyS0',
      initrd: { start: 0x8800_0000, end: 0x1_0000_0000 },
      rngSeed: new Uint8Array(32),
    });
    const chosen = findNode(patched.root, '/chosen')?.properties;
    expect(getStrings(chosen?.get('bootargs') as Uint8Array)).toEqual(['console=ttyS0']);
    expect(getStrings(chosen?.get('stdout-path') as Uint8Array)).toEqual(['/old']);
    expect(getCells(chosen?.get('linux,initrd-end') as Uint8Array)).toEqual([1, 0]);
    expect(chosen?.get('rng-seed')).toHaveLength(32);
    expect(findNode(sample.root, '/chosen')?.properties.get('linux,initrd-end')).toBeUndefined();
    expect(findNode(patched.root, '/node@1/inner')).toBeDefined();
  });

  it('is made where there is none', () => {
    const bare: FdtTree = { root: fdtNode('', {}), reservations: [], bootCpu: 0 };
    expect(findNode(withChosen(bare, { bootargs: 'x' }).root, '/chosen')).toBeDefined();
  });
});

describe('small things', () => {
  it('splits 64-bit numbers', () => expect(cells64(0x12_3456_789a)).toEqual([0x12, 0x3456789a]));
  it('numbers phandles from 1', () => {
    const phandles = new PhandleAllocator();
    expect([phandles.next(), phandles.next()]).toEqual([1, 2]);
  });
  it('tells cells and strings from other bytes', () => {
    expect(getCells(new Uint8Array(5))).toBeNull();
    expect(getStrings(new Uint8Array([65]))).toBeNull();
  });
});
