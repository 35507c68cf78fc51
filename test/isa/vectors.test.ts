/** Encodings of extensions that binutils 2.40 does not know, as LLVM's assembler makes them (its MC tests). */
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/isa/asm.ts';
import { disassemble } from '../../src/isa/disasm.ts';
import { INSTRUCTIONS } from '../../src/isa/table.ts';

const VECTORS: readonly (readonly [word: number, text: string])[] = [
  // Zicond
  [0x0e16d2b3, 'czero.eqz t0, a3, ra'],
  [0x0ff1f5b3, 'czero.nez a1, gp, t6'],
  // Zcb
  [0x9c61, 'c.zext.b s0'],
  [0x9c65, 'c.sext.b s0'],
  [0x9c69, 'c.zext.h s0'],
  [0x9c6d, 'c.sext.h s0'],
  [0x9c71, 'c.zext.w s0'],
  [0x9c75, 'c.not s0'],
  [0x9c45, 'c.mul s0, s1'],
  [0x833c, 'c.lbu a5, 2(a4)'],
  [0x873c, 'c.lhu a5, 2(a4)'],
  [0x877c, 'c.lh a5, 2(a4)'],
  [0x8b3c, 'c.sb a5, 2(a4)'],
  // LLVM's tests of the draft have bit 6 set; since version 1.0 it is clear.
  [0x8f3c, 'c.sh a5, 2(a4)'],
  [0x8080, 'c.lbu s0, 0(s1)'],
  // Zfa
  [0xf01000d3, 'fli.s ft1, -1.0'],
  [0xf01080d3, 'fli.s ft1, min'],
  [0xf01100d3, 'fli.s ft1, 1.52587890625e-05'],
  [0xf01180d3, 'fli.s ft1, 3.0517578125e-05'],
  [0xf01200d3, 'fli.s ft1, 0.00390625'],
  [0xf01380d3, 'fli.s ft1, 0.125'],
  [0xf01480d3, 'fli.s ft1, 0.3125'],
  [0xf01580d3, 'fli.s ft1, 0.4375'],
  [0xf01780d3, 'fli.s ft1, 0.875'],
  [0xf01980d3, 'fli.s ft1, 1.75'],
  [0xf01b00d3, 'fli.s ft1, 3.0'],
  [0xf01d80d3, 'fli.s ft1, 256.0'],
  [0xf21000d3, 'fli.d ft1, -1.0'],
  [0xf41e80d3, 'fli.h ft1, 65536.0'],
  [0xf41f00d3, 'fli.h ft1, inf'],
  [0xf41f80d3, 'fli.h ft1, nan'],
  [0x28c5a553, 'fminm.s fa0, fa1, fa2'],
  [0x295a39d3, 'fmaxm.s fs3, fs4, fs5'],
  [0x2ac5a553, 'fminm.d fa0, fa1, fa2'],
  [0x2b5a39d3, 'fmaxm.d fs3, fs4, fs5'],
  [0x2cc5a553, 'fminm.h fa0, fa1, fa2'],
  [0x2d5a39d3, 'fmaxm.h fs3, fs4, fs5'],
  [0x404974d3, 'fround.s fs1, fs2'],
  [0x404914d3, 'fround.s fs1, fs2, rtz'],
  [0x405974d3, 'froundnx.s fs1, fs2'],
  [0x424974d3, 'fround.d fs1, fs2'],
  [0x425914d3, 'froundnx.d fs1, fs2, rtz'],
  [0x4445f0d3, 'fround.h ft1, fa1'],
  [0x445904d3, 'froundnx.h fs1, fs2, rne'],
  [0xc28095d3, 'fcvtmod.w.d a1, ft1, rtz'],
  [0xa124d5d3, 'fltq.s a1, fs1, fs2'],
  [0xa020c5d3, 'fleq.s a1, ft1, ft2'],
  [0xa324d5d3, 'fltq.d a1, fs1, fs2'],
  [0xa220c5d3, 'fleq.d a1, ft1, ft2'],
  [0xa524d5d3, 'fltq.h a1, fs1, fs2'],
  [0xa420c5d3, 'fleq.h a1, ft1, ft2'],
];

describe('encodings of newer extensions', () => {
  it.each(VECTORS)('%i is %s', (word, text) => {
    expect(disassemble(word)).toBe(text);
    const { bytes } = assemble(text);
    const view = new DataView(bytes.buffer);
    expect(bytes.length === 2 ? view.getUint16(0, true) : view.getUint32(0, true)).toBe(word >>> 0);
  });

  it('cover every instruction of Zicond, Zcb and Zfa', () => {
    const covered = new Set(VECTORS.map(([, text]) => text.split(' ')[0]));
    const missing = INSTRUCTIONS.filter((insn) => ['Zicond', 'Zcb', 'Zfa'].includes(insn.extension))
      .map((insn) => insn.name)
      .filter((name) => !covered.has(name));
    expect(missing).toEqual([]);
  });
});
