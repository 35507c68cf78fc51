/** Instructions that take the answer to their access, and the interrupts behind them. Needs the build. */
import { describe, expect, it } from 'vitest';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { EXIT, PENDING } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { translatorWith } from '../../src/jit/translator.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';

const BASE = 0x8000_0000;
const DEVICE = 0x1000_0000;
const X5 = 5;
const X6 = 6;
const S3 = 19;
const S4 = 20;

/** A device that interrupts when it is written to, or read at offset 4, until it is written to at offset 8. */
function serve({ hart }: InterpreterMachine): void {
  const offset = Number(hart.get('pendingGpa')) - DEVICE;
  const isQuiet = offset === 4 && hart.word('pendingIsWrite') === 1;
  if (!isQuiet) hart.setInterruptLine(INTERRUPT.mei, offset !== 8);
  hart.set('pendingValue', 0n);
  hart.setWord('pendingState', PENDING.done);
}

function programOf(access: string): Uint8Array {
  const source = `
      la t0, handler
      csrw mtvec, t0
      li t0, 2048
      csrw mie, t0
      csrsi mstatus, 8
      li t0, ${DEVICE}
      li t1, 1000
    again:
      li s3, 0
      ${access}
      addi s3, s3, 1
      addi s3, s3, 1
      addi s3, s3, 1
      addi t1, t1, -1
      bnez t1, again
    end:
      j end
    .align 3
    handler:
      add s4, s4, s3
      addi s5, s5, 1
      sw zero, 8(t0)
      mret
  `;
  return assemble(source, { base: BASE }).bytes;
}

describe.each([
  ['interpreted', undefined],
  ['translated', translatorWith({ traceInterval: 1, threshold: 1, batch: 1, urgent: 1, minInsnsPerVisit: 0 })],
])('what an access has asked for, %s', (_, translator) => {
  it.each(['sw zero, 0(t0)', 'c.lw a0, 4(a5)', 'lw zero, 4(t0)', 'sd zero, 0(t0)'])(
    'interrupts the hart right behind it: %s',
    (access) => {
      const machine = new InterpreterMachine('none', translator);
      machine.load({ image: programOf(access), base: BigInt(BASE) });
      const { hart } = machine;
      hart.set('x', BigInt(DEVICE), 15);
      for (let budget = 100_000; budget > 0; budget -= hart.retired) {
        if (hart.run(budget) === EXIT.access) serve(machine);
      }
      expect(hart.get('x', X6)).toBe(0n);
      expect(hart.get('x', S4 + 1)).toBe(1000n);
      expect(hart.get('x', S4)).toBe(0n);
      expect(hart.get('x', S3)).toBe(3n);
    },
  );
});

it('an answer that its instruction does not take, as it has found RAM there, holds back no interrupt', () => {
  const machine = new InterpreterMachine();
  machine.load({ image: programOf('sw zero, 0(t0)'), base: BigInt(BASE) });
  const { hart } = machine;
  expect(hart.run(1000)).toBe(EXIT.access);
  serve(machine);
  hart.set('x', BigInt(BASE + 0x1000), X5);
  hart.run(1);
  expect(hart.word('pendingState')).toBe(PENDING.none);
  hart.run(2);
  expect(hart.get('x', S4 + 1)).toBe(1n);
  expect(hart.get('x', S4)).toBe(0n);
});
