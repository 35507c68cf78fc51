/** Laws of the instruction table: no two encodings overlap, and decode, encode and the rows agree. */
import { describe, expect, it } from 'vitest';
import { decode } from '../../src/isa/decode.ts';
import { encode } from '../../src/isa/encode.ts';
import { bodyOperand, type Insn } from '../../src/isa/insn.ts';
import { extractOperand, insertOperand, operandRange, operandStep, parsePattern } from '../../src/isa/pattern.ts';
import { findInsn, INSTRUCTIONS } from '../../src/isa/table.ts';
import { randomOperands, randomWord, seeded } from './random-operands.ts';

function byName(name: string): Insn {
  const insn = findInsn(name);
  if (insn === undefined) throw new Error(`no instruction ${name}`);
  return insn;
}

/** Does the definition claim this word as its own? */
function claims(insn: Insn, word: number): boolean {
  if (((word ^ insn.match) & insn.mask) !== 0) return false;
  const operands = Object.fromEntries(insn.operands.map((operand) => [operand.name, extractOperand(operand, word)]));
  return insn.reserved?.(operands) !== true;
}

describe('encoding rows', () => {
  it('yield mask, match and operands', () => {
    const pattern = parsePattern('imm[12|10:5] rs2 rs1 000 imm[4:1|11] 1100011');
    expect(pattern.mask).toBe(0x707f);
    expect(pattern.match).toBe(0x63);
    expect(pattern.length).toBe(4);
    const imm = pattern.operands.find((operand) => operand.name === 'imm');
    if (imm === undefined) throw new Error('no imm');
    expect(operandRange(imm)).toEqual({ min: -4096, max: 4094 });
    expect(operandStep(imm)).toBe(2);
    expect(insertOperand(imm, -2)).toBe(0xfe000f80);
    expect(extractOperand(imm, 0xfe000f80)).toBe(-2);
    expect(() => insertOperand(imm, 3)).toThrow(RangeError);
    expect(() => insertOperand(imm, 4096)).toThrow(RangeError);
  });

  it('count three-bit registers from x8', () => {
    const rd = parsePattern("000 nzuimm[5:4|9:6|2|3] rd' 00").operands.find((operand) => operand.name === 'rd');
    if (rd === undefined) throw new Error('no rd');
    expect(extractOperand(rd, 0b111_00)).toBe(15);
    expect(() => insertOperand(rd, 7)).toThrow(RangeError);
  });

  it.each(['0110011', '000 imm rd 00', 'rd rs1 rs2 what? 000'])('refuse %s', (row) => {
    expect(() => parsePattern(row)).toThrow(/encoding row/);
  });
});

describe('the instruction table', () => {
  it('names each instruction once', () => {
    expect(new Set(INSTRUCTIONS.map((insn) => insn.name)).size).toBe(INSTRUCTIONS.length);
  });

  it('has no two encodings that overlap', () => {
    const random = seeded(1);
    const overlaps: string[] = [];
    for (const [index, a] of INSTRUCTIONS.entries()) {
      for (const b of INSTRUCTIONS.slice(index + 1)) {
        const common = a.mask & b.mask;
        if (a.length !== b.length || ((a.match ^ b.match) & common) !== 0) continue;
        const width = a.length === 4 ? 2 ** 32 : 2 ** 16;
        for (let sample = 0; sample < 5_000; sample++) {
          const word = (((random() * width) & ~(a.mask | b.mask)) | a.match | b.match) >>> 0;
          if (claims(a, word) && claims(b, word)) overlaps.push(`${a.name} and ${b.name}: ${word.toString(16)}`);
        }
      }
    }
    expect(overlaps.slice(0, 10)).toEqual([]);
  });

  it('has no two compressed encodings that overlap, all 49,152 of them tried', () => {
    const compressed = INSTRUCTIONS.filter((insn) => insn.length === 2);
    const wrong: string[] = [];
    for (let half = 0; half < 0x10000; half++) {
      if ((half & 3) === 3) continue;
      const owners = compressed.filter((insn) => claims(insn, half));
      if (owners.length > 1 || decode(half)?.insn !== owners[0])
        wrong.push(`${half.toString(16)}: ${owners.map((insn) => insn.name).join()}`);
    }
    expect(wrong).toEqual([]);
  });

  it.each(INSTRUCTIONS.map((insn) => [insn.name, insn] as const))('decodes what it encodes: %s', (_, insn) => {
    const random = seeded(2);
    for (let sample = 0; sample < 200; sample++) {
      const operands = randomOperands(insn, random);
      const word = encode(insn, operands);
      const decoded = decode(word);
      expect(decoded?.insn.name).toBe(insn.name);
      expect(decoded?.operands).toEqual(operands);
    }
  });

  it('encodes what it decodes, whatever the word', () => {
    const random = seeded(3);
    let hits = 0;
    for (let sample = 0; sample < 50_000; sample++) {
      const word = sample % 2 === 0 ? ((random() * 2 ** 32) | 3) >>> 0 : (random() * 2 ** 16) & 0xffff;
      const decoded = decode(word);
      if (decoded === null) continue;
      hits++;
      expect(encode(decoded.insn, decoded.operands)).toBe(decoded.word);
    }
    expect(hits).toBeGreaterThan(5_000);
  });

  it('ignores the sign of a word and the upper half around a compressed one', () => {
    expect(decode(0xfff50513 | 0)).toEqual(decode(0xfff50513));
    expect(decode(0xabcd4501 | 0)?.insn.name).toBe('c.li');
    expect(decode(0xabcd4501)?.word).toBe(0x4501);
  });
});

/** Everything of a body that names an operand. */
function operandNames(insn: Insn): Set<string> {
  const names = new Set<string>();
  const visit = (thing: object): void => {
    for (const [key, value] of Object.entries(thing)) {
      if (/^(operand|csr|field|\w+Operand)$/.test(key) && typeof value === 'string') names.add(value);
      else if (typeof value === 'object' && value !== null) visit(value);
    }
  };
  visit(insn.body.effects);
  visit(insn.body.commits);
  return names;
}

describe('meanings', () => {
  it.each(INSTRUCTIONS.map((insn) => [insn.name, insn] as const))('has every operand its body names: %s', (_, insn) => {
    const word = randomWord(insn, seeded(4));
    const decoded = decode(word);
    if (decoded === null) throw new Error('does not decode');
    for (const name of operandNames(insn)) expect(Number.isInteger(bodyOperand(decoded, name))).toBe(true);
  });

  it('give a compressed instruction operands its base could have', () => {
    const random = seeded(5);
    for (const insn of INSTRUCTIONS) {
      if (insn.expands === undefined) continue;
      const base = insn.expands.to;
      for (let sample = 0; sample < 50; sample++) {
        const decoded = decode(randomWord(insn, random));
        if (decoded === null) throw new Error(insn.name);
        const operands = Object.fromEntries(base.operands.map(({ name }) => [name, bodyOperand(decoded, name)]));
        expect(decode(encode(base, operands))?.insn.name).toBe(base.name);
      }
    }
  });
});

describe('reserved encodings', () => {
  it.each([
    ['all zeros', 0x0000],
    ['all ones', 0xffffffff],
    ['c.addi4spn with 0', 0x0004],
    ['c.addiw to x0', 0x2001],
    ['c.addi16sp with 0', 0x6101],
    ['c.lui with 0', 0x6501],
    ['c.lwsp to x0', 0x4002],
    ['c.ldsp to x0', 0x6002],
    ['c.jr x0', 0x8002],
    ['quadrant 0, funct3 100 beyond Zcb', 0x9c00],
    ['slliw with shamt[5]', 0x0205151b],
    ['fadd.s with rounding mode 5', encode(byName('fadd.s'), { rd: 0, rs1: 0, rs2: 0, rm: 0 }) | (5 << 12)],
    ['fadd.s with rounding mode 6', encode(byName('fadd.s'), { rd: 0, rs1: 0, rs2: 0, rm: 0 }) | (6 << 12)],
    ['lr.w with rs2', encode(byName('lr.w'), { rd: 0, rs1: 0, aq: 0, rl: 0 }) | (1 << 20)],
    ['fli.q', 0xf610_0053],
  ])('are illegal: %s', (_, word) => {
    expect(decode(word)).toBeNull();
  });

  it.each([
    ['c.nop with an immediate', 0x0005, 'c.nop'],
    ['c.li to x0', 0x4005, 'c.li'],
    ['c.lui to x0', 0x6005, 'c.lui'],
    ['c.mv to x0', 0x800a, 'c.mv'],
    ['c.add to x0', 0x900a, 'c.add'],
    ['c.slli by 0', 0x0502, 'c.slli'],
    ['a fence with rs1 and rd', 0x0ff0_808f, 'fence'],
    ['pause', 0x0100_000f, 'pause'],
    ['fence.tso', 0x8330_000f, 'fence.tso'],
    ['prefetch.r', 0x0015_6013, 'ori'],
  ])('are not: %s', (_, word, name) => {
    expect(decode(word)?.insn.name).toBe(name);
  });
});
