/**
 * Emitted code of small regions, as text beside the guest's instructions: a change of the code generator is seen in the
 * files of test/jit/emitted. `npx vitest run test/jit/emitted.test.ts -u` writes them anew.
 */
import { describe, expect, it, vi } from 'vitest';
import type { TranslatorPlace } from '../../src/hart/hart.ts';
import { HART_OFFSETS } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { formatInsn } from '../../src/isa/disasm.ts';
import { type EmitOptions, emitRegion } from '../../src/jit/emit.ts';
import { GuestCode } from '../../src/jit/guest-code.ts';
import { type Region, RegionFormer } from '../../src/jit/region.ts';
import { RegionTranslator } from '../../src/jit/translator.ts';
import { Module } from '../../src/wasm/module.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { wasmText } from '../support/wasm-text.ts';

const BASE = 0x8000_0000;

/** The region at the start of a program of which so many instructions have been interpreted. */
function formed(source: string, instructions: number): Region {
  let place: TranslatorPlace | null = null;
  const machine = new InterpreterMachine('none', (given) => {
    place = given;
    return new RegionTranslator(given, { traceInterval: 2 ** 30 });
  });
  const { memory, arena } = place ?? expect.fail('no translator was made');
  machine.load({ image: assemble(source, { base: BASE }).bytes, base: BigInt(BASE) });
  machine.step(instructions);
  const code = new GuestCode(memory, arena);
  const page = code.pageOfAddress(BASE, 0);
  const entry = { op: page, page, offset: 0, lo: BASE, hi: 0 };
  return new RegionFormer(code, entry, { heat: () => 1, targets: () => [] }).form() ?? expect.fail('no region');
}

function emitted(region: Region, options: EmitOptions): { text: string; bytesPerInsn: number } {
  const module = new Module(1);
  const functions = vi.spyOn(module, 'function');
  const { insns } = emitRegion(module, region, options);
  const [made] = functions.mock.results;
  const bytes: Uint8Array = made?.value.code.finish();
  const guest = [...region.blocks.values()].flatMap(({ at, insns: list, end }) => [
    `block at ${at}, ends in ${end.kind}`,
    ...list.map((one) => `  ${one.at}: ${formatInsn(one.decoded, BigInt(BASE + one.at))}`),
  ]);
  const text = [...guest, '', `x0 to x31 at ${HART_OFFSETS.x}`, ...wasmText(bytes), ''].join('\n');
  return { text, bytesPerInsn: bytes.length / insns };
}

const NO_REFILLS: EmitOptions = { refills: null, checksExact: false, hasFused: true, hasTso: true, readTime: 0 };

describe('emitted code', () => {
  it.each([
    [
      'logic on narrow values',
      'addw a0, a1, a2\n xor a0, a0, a3\n srliw a1, a0, 7\n or a0, a0, a1\n ecall',
      NO_REFILLS,
    ],
    // The second only moves: what it takes is narrow already. The third extends: nothing is known of its operand.
    ['words that are moved', 'addw a0, a1, a2\n sext.w a3, a0\n sext.w a4, a1\n ecall', NO_REFILLS],
    [
      'a loop that sums',
      'again: ld a3, 0(a2)\n add a0, a0, a3\n addi a2, a2, 8\n bne a2, a1, again\n ecall',
      NO_REFILLS,
    ],
    [
      'a store that fills the TLB',
      'sd a0, 8(a1)\n addi a1, a1, 16\n ecall',
      { ...NO_REFILLS, refills: { toRead: 1, toWrite: 2 } },
    ],
    ['a call and its return', 'jal ra, twice\n j end\n twice: slli a0, a0, 1\n ret\n end: ecall', NO_REFILLS],
    [
      'a word that is counted up',
      'again: lr.w t0, (a0)\n addiw t0, t0, 1\n sc.w.rl t1, t0, (a0)\n bnez t1, again\n ecall',
      NO_REFILLS,
    ],
    [
      'fences with total store order',
      'fence r, rw\n fence rw, w\n fence rw, rw\n fence.tso\n lr.w.aqrl t0, (a0)\n ecall',
      NO_REFILLS,
    ],
    ['fences', 'fence r, rw\n fence.tso\n lr.w.aq t0, (a0)\n ecall', { ...NO_REFILLS, hasTso: false }],
    ['time that is read', 'csrr a0, time\n ecall', NO_REFILLS],
    ['a sum of doubles', 'fadd.d fa0, fa1, fa2\n fsd fa0, 0(a0)\n ecall', NO_REFILLS],
    // Nothing is known of fa1; of what was loaded, and of a result, that they are boxed.
    ['singles', 'flw fa0, 0(a0)\n fmul.s fa0, fa0, fa1\n fneg.s fa0, fa0\n fsw fa0, 0(a0)\n ecall', NO_REFILLS],
    ['a product and a sum rounded once', 'fmsub.d fa0, fa1, fa2, fa3\n ecall', NO_REFILLS],
  ] as const)('of %s', async (name, source, options) => {
    const { text } = emitted(formed(source, 1), options);
    await expect(text).toMatchFileSnapshot(`emitted/${name.replaceAll(' ', '-')}.txt`);
  });
});
