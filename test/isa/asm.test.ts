/** The assembler: labels, pseudo-instructions, directives, errors; and that it reads what the disassembler writes. */
import { describe, expect, it } from 'vitest';
import { AssemblyError, assemble } from '../../src/isa/asm.ts';
import { disassemble } from '../../src/isa/disasm.ts';
import { INSTRUCTIONS } from '../../src/isa/table.ts';
import { randomWord, seeded } from './random-operands.ts';

/** The instructions of a run of bytes, as text. */
function listing(bytes: Uint8Array, base = 0n): string[] {
  const view = new DataView(bytes.buffer);
  const lines: string[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const compressed = (view.getUint16(offset, true) & 3) !== 3;
    const word = compressed ? view.getUint16(offset, true) : view.getUint32(offset, true);
    lines.push(disassemble(word, base + BigInt(offset)));
    offset += compressed ? 2 : 4;
  }
  return lines;
}

const listed = (source: string, base = 0n): string[] => listing(assemble(source, { base }).bytes, base);

describe('the assembler', () => {
  it.each(INSTRUCTIONS.map((insn) => [insn.name, insn] as const))(
    'reads what the disassembler writes: %s',
    (_, insn) => {
      const random = seeded(6);
      for (let sample = 0; sample < 20; sample++) {
        let word = randomWord(insn, random);
        // What the syntax does not show reads as 0: the fields of fences that are to be ignored.
        if (insn.name === 'fence.i') word = insn.match;
        if (insn.name === 'fence') word &= 0x0ff0707f;
        const base = 0x8000_0000n;
        const text = disassemble(word, base);
        const { bytes } = assemble(text, { base });
        expect(bytes.length, text).toBe(insn.length);
        const view = new DataView(bytes.buffer);
        expect(insn.length === 2 ? view.getUint16(0, true) : view.getUint32(0, true), text).toBe(word);
      }
    },
  );

  it('resolves labels both ways, numeric ones and the place itself', () => {
    expect(
      listed(
        'start: beq a0, a1, 1f\n1: jal start; bne a0, zero, 1b\n1: j .\n  c.j 1b\n bltu x5, x6, end\nend:',
        0x1000n,
      ),
    ).toEqual([
      'beq a0, a1, 0x1004',
      'jal ra, 0x1000',
      'bne a0, zero, 0x1004',
      'jal zero, 0x100c',
      'c.j 0x100c',
      'bltu t0, t1, 0x1016',
    ]);
  });

  it('expands pseudo-instructions', () => {
    expect(
      listed(
        'nop; mv a0, a1; ret; beqz a0, .; csrw mtvec, t0; csrr a0, 0x7c0; fmv.d fa0, fa1; jr 8(a0); jalr a0; prefetch.w 32(a0); sfence.vma; fence',
      ),
    ).toEqual([
      'addi zero, zero, 0',
      'addi a0, a1, 0',
      'jalr zero, 0(ra)',
      'beq a0, zero, 0xc',
      'csrrw zero, mtvec, t0',
      'csrrs a0, 0x7c0, zero',
      'fsgnj.d fa0, fa1, fa1',
      'jalr zero, 8(a0)',
      'jalr ra, 0(a0)',
      'ori zero, a0, 35',
      'sfence.vma',
      'fence iorw, iorw',
    ]);
  });

  it('loads addresses from anywhere within 2 GiB', () => {
    const { bytes, symbols } = assemble('la a0, far; call far; .org 0x1800; far: .word 1', { base: 0x8000_0000 });
    expect(symbols.get('far')).toBe(0x8000_1800n);
    expect(listing(bytes.slice(0, 16), 0x8000_0000n)).toEqual([
      'auipc a0, 0x2',
      'addi a0, a0, -2048',
      'auipc ra, 0x1',
      'jalr ra, 2040(ra)',
    ]);
  });

  it.each([
    0n,
    -1n,
    2047n,
    2048n,
    -2048n,
    -2049n,
    0x7ffff800n,
    0x7fffffffn,
    0x80000000n,
    -0x80000000n,
    -0x80000001n,
    0xffffffffn,
    0x123456789abcdef0n,
    0x8000000000000000n,
    0x7fffffffffffffffn,
    0xffffffff80000000n,
    0xdeadbeefcafebaben,
  ])('loads the constant %d', (value) => {
    let result = 0n;
    for (const line of listed(`li a0, ${value}`)) {
      const [, name, operands = ''] = /^(\w+) (.*)$/.exec(line) ?? [];
      const [, second = '', third = ''] = operands.split(', ');
      if (name === 'lui') result = BigInt.asIntN(32, BigInt(second) << 12n);
      else if (name === 'slli') result = BigInt.asIntN(64, result << BigInt(third));
      else if (name === 'addi') result = BigInt.asIntN(64, (second === 'zero' ? 0n : result) + BigInt(third));
      else if (name === 'addiw') result = BigInt.asIntN(32, result + BigInt(third));
      else throw new Error(line);
    }
    expect(BigInt.asUintN(64, result)).toBe(BigInt.asUintN(64, value));
  });

  it('lays out data', () => {
    const source = `
      .equ four, 2 + 2        # a comment
      .byte 1, -1, 'A', four  // another
      .half 0x1234
      .align 3
      .dword end - ., -1
      .asciz "a;b\\n"         /* a third */
      .balign 4
      .zero four
    end:`;
    expect([...assemble(source).bytes]).toEqual([
      ...[1, 255, 65, 4, 0x34, 0x12, 1, 0],
      ...[28, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
      ...[97, 59, 98, 10, 0, 0, 1, 0],
      ...[0, 0, 0, 0],
    ]);
  });

  it.each([
    ['addi a0, a1', /line 1: .*operands are: rd, rs1, imm/],
    ['nop\naddi a0, a1, 2048', /line 2: .*imm cannot be 2048/],
    ['frobnicate a0', /line 1: .*no instruction/],
    ['addi a0, q1, 1', /no x register q1/],
    ['j nowhere', /nowhere is not defined/],
    ['a: nop\na: nop', /line 2: .*defined twice/],
    ['fadd.s fa0, fa1, fa2, up', /no rounding mode up/],
    ['c.addi a0, a0, 1', /operands are: rd, imm/],
    ['c.lui sp, 1', /reserved or another/],
    ['beq a0, a1, . + 4096', /cannot be 4096/],
    ['.byte 256', /does not fit 8 bits/],
    ['li a0, later\nlater:', /later is not defined/],
    ['.org 4\n.org 2', /goes back/],
    ['addi a0, a0, (1', /is missing/],
    ['addi a0, a0, "', /cannot read/],
  ])('names the line and the fault: %s', (source, message) => {
    expect(() => assemble(source)).toThrow(AssemblyError);
    expect(() => assemble(source)).toThrow(message);
  });
});

describe('the disassembler', () => {
  it.each([
    [0x00a50513, 'addi a0, a0, 10'],
    [0xfef43823, 'sd a5, -16(s0)'],
    [0x123450b7, 'lui ra, 0x12345'],
    [0x0ff0000f, 'fence iorw, iorw'],
    [0x0230000f, 'fence r, rw'],
    [0x0035f543, 'fmadd.s fa0, fa1, ft3, ft0'],
    [0x00359543, 'fmadd.s fa0, fa1, ft3, ft0, rtz'],
    [0xc2058553, 'fcvt.w.d a0, fa1, rne'],
    [0xd2058553, 'fcvt.d.w fa0, a1'],
    [0x0e65a52f, 'amoswap.w.aqrl a0, t1, (a1)'],
    [0x100522af, 'lr.w t0, (a0)'],
    [0x34202573, 'csrrs a0, mcause, zero'],
    [0xf01a0553, 'fli.s fa0, 2.0'],
    [0x6105, 'c.addi16sp sp, 32'],
    [0x65fd, 'c.lui a1, 0x1f'],
    [0x75fd, 'c.lui a1, 0xfffff'],
    [0x0000, '.half 0x0'],
    [0xffffffff, '.word 0xffffffff'],
  ])('writes %i as %s', (word, text) => {
    expect(disassemble(word)).toBe(text);
  });

  it('computes targets from the address, modulo 2^64', () => {
    expect(disassemble(0xfe000ee3, 0xffffffff80000000n)).toBe('beq zero, zero, 0xffffffff7ffffffc');
    expect(disassemble(0xffdff06f, 0n)).toBe('jal zero, 0xfffffffffffffffc');
  });
});
