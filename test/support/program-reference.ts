/** The reference as a machine of the lockstep harness: RAM of one program region, the test finisher, nothing else. */
import { ReferenceHart, type ReferenceOptions } from '../../src/hart/reference/hart.ts';
import { ReferenceMemory } from '../../src/hart/reference/memory.ts';
import { hartFields } from '../../src/hart/reference/state.ts';
import type { LoadableProgram, Machine, MachineState } from '../lockstep/harness.ts';
import { FINISHER, REGION_BYTES } from './program-layout.ts';

/** Traps in a row without an instruction retired: a loop that never ends. */
const TRAP_LOOP = 1000;
/** Later than any timer that a program sets to fire, earlier than any that it sets not to. */
const MTIME = 1n << 40n;

export class ReferenceMachine implements Machine {
  readonly name = 'reference';
  readonly #options: Partial<ReferenceOptions>;
  #hart = new ReferenceHart(new ReferenceMemory(new Uint8Array(0), 0n));
  #ended = false;

  constructor(options: Partial<ReferenceOptions> = {}) {
    this.#options = options;
  }

  get hart(): ReferenceHart {
    return this.#hart;
  }

  /** The program has written to the test finisher. */
  get ended(): boolean {
    return this.#ended;
  }

  load(program: LoadableProgram): void {
    const ram = new Uint8Array(REGION_BYTES);
    ram.set(program.image);
    this.#ended = false;
    const devices = {
      read: (gpa: bigint) => (gpa === FINISHER.address ? 0n : undefined),
      write: (gpa: bigint) => {
        this.#ended ||= gpa === FINISHER.address;
        return gpa === FINISHER.address;
      },
    };
    this.#hart = new ReferenceHart(new ReferenceMemory(ram, program.base, devices), this.#options);
    this.#hart.pc = program.base;
    this.#hart.mtime = MTIME;
  }

  step(count: number): number {
    let retired = 0;
    let trapsInARow = 0;
    while (retired < count && !this.#ended && trapsInARow < TRAP_LOOP) {
      const result = this.#hart.step();
      if (result === 'waiting') break;
      trapsInARow = result === 'trapped' ? trapsInARow + 1 : 0;
      if (result === 'retired') retired++;
    }
    return retired;
  }

  settle(): void {
    this.#hart.takeInterrupt();
  }

  state(): MachineState {
    return { fields: hartFields(this.#hart) };
  }

  memory(offset: number, lengthBytes: number): Uint8Array {
    return this.#hart.memory.ram.slice(offset, offset + lengthBytes);
  }
}
