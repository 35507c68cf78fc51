/** The WebAssembly interpreter as a machine of the lockstep harness: RAM of one program region, the test finisher. */
import { readFileSync } from 'node:fs';
import { Hart, type HartOptions } from '../../src/hart/hart.ts';
import { ARENA, EXIT, type Field, type FieldName, HART_FIELDS, PENDING } from '../../src/hart/state.ts';
import { createMemory, layOutMemory } from '../../src/memory/layout.ts';
import type { LoadableProgram, Machine, MachineState } from '../lockstep/harness.ts';
import { FINISHER, REGION_BYTES } from './program-layout.ts';

/** Later than any timer that a program sets to fire, earlier than any that it sets not to; as the reference's. */
const MTIME = 2 ** 40;
const readMtime = (ticks: Float64Array): void => {
  ticks[0] = MTIME;
};
/** Returns of the run loop without an instruction retired: a loop of traps that never ends. */
const EMPTY_RUNS = 4;

const compile = (name: string): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL(`../../dist/src/hart/${name}.wasm`, import.meta.url)));

const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: REGION_BYTES });
const [arena = 0] = layout.arenas;
const [doorbell = 0] = layout.doorbells;
const [dirty = 0] = layout.dirty;

export class InterpreterMachine implements Machine {
  readonly name: string;
  readonly #memory = createMemory(layout);
  readonly #ram = new Uint8Array(this.#memory.buffer, layout.ram, REGION_BYTES);
  readonly #hart: Hart;
  #ended = false;

  constructor(aia: NonNullable<HartOptions['aia']> = 'none', translator?: NonNullable<HartOptions['translator']>) {
    this.name = translator === undefined ? 'interpreter' : 'translator';
    const modules = { runtime: compile('runtime'), interpreter: compile('interpreter') };
    const ram = { base: Number(0x8000_0000n), host: layout.ram, lengthBytes: REGION_BYTES };
    const places = { memory: this.#memory, arena, doorbell, dirty, ram };
    const options = { ...places, modules, hartId: 0, readMtime, sbi: false, aia };
    this.#hart = new Hart(translator === undefined ? options : { ...options, translator });
  }

  get hart(): Hart {
    return this.#hart;
  }

  /** Goes on where another is. */
  copyFrom(other: InterpreterMachine): void {
    this.#ram.set(other.#ram);
    this.#ended = other.#ended;
    this.#hart.load(structuredClone(other.#hart.save()));
  }

  get ended(): boolean {
    return this.#ended;
  }

  load(program: LoadableProgram): void {
    this.#ram.fill(0);
    this.#ram.set(program.image);
    this.#ended = false;
    this.#hart.reset(program.base);
  }

  step(count: number): number {
    let retired = 0;
    let emptyRuns = 0;
    while (retired < count && !this.#isDone() && emptyRuns < EMPTY_RUNS) {
      const before = this.#hart.instret;
      // Behind the write that ends the program nothing is executed.
      const reason = this.#hart.run(this.#ended ? 1 : count - retired);
      const done = Number(this.#hart.instret - before);
      retired += done;
      emptyRuns = done > 0 || reason === EXIT.access ? 0 : emptyRuns + 1;
      if (reason === EXIT.access) this.#access();
      if (reason === EXIT.wfi && !this.#hart.interruptPending) break;
    }
    return retired;
  }

  settle(): void {
    this.#hart.takeInterrupt();
  }

  state(): MachineState {
    const fields: Record<string, bigint> = {};
    for (const [name, { type, count = 1 }] of Object.entries(HART_FIELDS) as [FieldName, Field][]) {
      for (let i = 0; i < count; i++) {
        const value = type === 'u32' ? BigInt(this.#hart.word(name, i)) : this.#hart.get(name, i);
        fields[count === 1 ? name : `${name}${i}`] = value;
      }
    }
    return { fields };
  }

  memory(offset: number, lengthBytes: number): Uint8Array {
    return this.#ram.slice(offset, offset + lengthBytes);
  }

  /** RAM itself, by offset from its base. */
  writableMemory(): DataView {
    return new DataView(this.#memory.buffer, layout.ram, REGION_BYTES);
  }

  /** The program has ended, and the store that ended it is done. */
  #isDone(): boolean {
    return this.#ended && this.#hart.word('pendingState') === PENDING.none;
  }

  /** The test finisher is the only device. */
  #access(): void {
    const hart = this.#hart;
    const isFinisher = hart.get('pendingGpa') === FINISHER.address;
    if (isFinisher && hart.word('pendingIsWrite') === 1) this.#ended = true;
    if (isFinisher) hart.set('pendingValue', 0n);
    hart.setWord('pendingState', isFinisher ? PENDING.done : PENDING.fault);
  }
}
