/** The lockstep comparer, tried on the reference and on a machine with one thing wrong. */
import { describe, expect, it } from 'vitest';
import { generateProgram } from '../support/program-generator.ts';
import { ReferenceMachine } from '../support/program-reference.ts';
import { compareMachines, type MachineState } from './harness.ts';

/** Forgets what the 1000th instruction did to a register. */
class ForgetfulMachine extends ReferenceMachine {
  #retired = 0;

  override load(program: Parameters<ReferenceMachine['load']>[0]): void {
    super.load(program);
    this.#retired = 0;
  }

  override step(count: number): number {
    const retired = super.step(count);
    this.#retired += retired;
    return retired;
  }

  override state(): MachineState {
    const { fields } = super.state();
    return this.#retired < 1000 ? { fields } : { fields: { ...fields, x7: (fields.x7 ?? 0n) ^ 1n } };
  }
}

/** Leaves a byte of memory wrong at the end. */
class DirtyMachine extends ReferenceMachine {
  override memory(offset: number, lengthBytes: number): Uint8Array {
    const bytes = super.memory(offset, lengthBytes);
    if (offset === 0 && lengthBytes > 8) bytes[8] = 0xff;
    return bytes;
  }
}

describe('compareMachines', () => {
  const program = generateProgram(3, { sections: 2 });

  it('finds no difference between a machine and itself', () => {
    const comparison = compareMachines(program, new ReferenceMachine(), new ReferenceMachine());
    expect(comparison.difference).toBeNull();
    expect(comparison.instructions).toBeGreaterThan(1000);
  });

  it('pinpoints the instruction after which two machines differ', () => {
    const { difference } = compareMachines(program, new ReferenceMachine(), new ForgetfulMachine());
    expect(difference?.afterInstructions).toBe(999);
    expect(difference?.lines).toHaveLength(1);
    expect(difference?.lines[0]).toMatch(/^x7: /);
  });

  it('compares memory at the end', () => {
    const { difference } = compareMachines(program, new ReferenceMachine(), new DirtyMachine());
    expect(difference?.lines).toHaveLength(1);
    expect(difference?.lines[0]).toMatch(/^\[0x80000008\]/);
  });
});
