/**
 * A hart: its state in the shared memory, and the two WebAssembly modules that run it. Knows nothing of threads,
 * devices or time beyond the clock it is given; the vCPU actor owns it.
 */
import { ConfigError } from '../util/config-error.ts';
import { Decoder } from './decoder.ts';
import { layoutHash } from './layout-text.ts';
import { type FieldName, HART_FIELDS, HART_OFFSETS, HART_STATE_BYTES, STATUS } from './state.ts';

export interface HartModules {
  /** assembly/, compiled. */
  readonly runtime: WebAssembly.Module;
  /** From buildInterpreter. */
  readonly interpreter: WebAssembly.Module;
}

export interface HartOptions {
  readonly memory: WebAssembly.Memory;
  readonly modules: HartModules;
  /** Host offset of the hart's arena, zeroed. */
  readonly arena: number;
  /** Host offset of the word that asks `run` to return. */
  readonly doorbell: number;
  readonly ram: { readonly base: number; readonly host: number; readonly lengthBytes: number };
  readonly hartId: number;
  /** The timebase: ticks of 100 ns, a whole number. */
  readonly mtime: () => number;
  /** Leave on an ecall from S mode, for the built-in SBI. */
  readonly sbi: boolean;
}

/** A trap as it is taken: unsigned 64-bit cause (bit 63: interrupt), pc and tval; 1 for a trap to S mode, 0 to M. */
type TrapArguments = [cause: bigint, pc: bigint, tval: bigint, toSupervisor: number];
export type TrapObserver = (...trap: TrapArguments) => void;

/** The runtime's functions that the host calls. */
interface RuntimeExports {
  layoutHash(): number;
  init(arena: number): void;
  reset(pc: bigint): void;
  afterLoad(): void;
  setInterruptLine(bit: number, level: number): void;
  updateTimers(): void;
  interrupts(): void;
  pendingInterrupts(): bigint;
  flushTlb(): void;
  load(va: bigint, size: number): bigint;
}

export class Hart {
  readonly #view: DataView;
  readonly #arena: number;
  readonly #runtime: RuntimeExports;
  readonly #run: (arena: number) => number;
  readonly decoder: Decoder;
  #trapObserver: TrapObserver | null = null;

  constructor(options: HartOptions) {
    const { memory, arena, ram } = options;
    this.#view = new DataView(memory.buffer);
    this.#arena = arena;
    this.decoder = new Decoder(memory, arena);
    const runtime = new WebAssembly.Instance(options.modules.runtime, {
      env: { memory, mtime: options.mtime, trapTaken: (...trap: TrapArguments) => this.#trapObserver?.(...trap) },
    });
    this.#runtime = runtime.exports as unknown as RuntimeExports;
    if (this.#runtime.layoutHash() >>> 0 !== layoutHash()) {
      throw new ConfigError('runtime.wasm', 'it was built from other sources than this code', 'Run `npm run build`.');
    }
    const interpreter = new WebAssembly.Instance(options.modules.interpreter, {
      env: { memory },
      runtime: runtime.exports,
      host: {
        decode: (op: number) => this.decoder.decodeAt(op >>> 0),
        decodeWord: (op: number, word: number) => this.decoder.decodeWord(op >>> 0, word),
      },
    });
    this.#run = interpreter.exports['run'] as (arena: number) => number;
    this.#runtime.init(arena);
    this.set('mhartid', BigInt(options.hartId));
    this.setWord('ramHost', ram.host);
    this.set('ramBase', BigInt(ram.base));
    this.set('ramBytes', BigInt(ram.lengthBytes));
    this.setWord('doorbell', options.doorbell);
    this.setWord('sbi', options.sbi ? 1 : 0);
  }

  /** Architectural reset; execution starts at `pc` in M mode. */
  reset(pc: bigint): void {
    this.#runtime.reset(pc);
  }

  /** Told of every trap from now on; costs nothing while null. */
  set trapObserver(observer: TrapObserver | null) {
    this.#trapObserver = observer;
    this.setWord('logTraps', observer === null ? 0 : 1);
  }

  /** Runs until something needs the host, at most `count` instructions. @returns an EXIT reason */
  run(count: number): number {
    const before = this.word('remaining') | 0;
    // instret = instretEnd - remaining must not move when the slice is made longer. In halves: nothing is allocated.
    const lo = this.low('instretEnd') + count - before;
    this.setHalves('instretEnd', lo >>> 0, (this.high('instretEnd') + Math.floor(lo / 2 ** 32)) >>> 0);
    this.setWord('remaining', count);
    return this.#run(this.#arena);
  }

  /** Instructions retired since reset. */
  get instret(): bigint {
    return this.get('instretEnd') - BigInt(this.word('remaining') | 0);
  }

  get(field: FieldName, index = 0): bigint {
    return this.#view.getBigUint64(this.#address(field, index, 'u64'), true);
  }
  set(field: FieldName, value: bigint, index = 0): void {
    this.#view.setBigUint64(this.#address(field, index, 'u64'), value, true);
  }
  /** The unsigned halves of a 64-bit field, for those who must not allocate. */
  low(field: FieldName): number {
    return this.#view.getUint32(this.#address(field, 0, 'u64'), true);
  }
  high(field: FieldName): number {
    return this.#view.getUint32(this.#address(field, 0, 'u64') + 4, true);
  }
  setHalves(field: FieldName, lo: number, hi: number): void {
    const address = this.#address(field, 0, 'u64');
    this.#view.setUint32(address, lo, true);
    this.#view.setUint32(address + 4, hi, true);
  }
  word(field: FieldName): number {
    return this.#view.getUint32(this.#address(field, 0, 'u32'), true);
  }
  setWord(field: FieldName, value: number): void {
    this.#view.setUint32(this.#address(field, 0, 'u32'), value, true);
  }

  /** Drives a bit of mip. */
  setInterruptLine(bit: number, level: boolean): void {
    this.#runtime.setInterruptLine(bit, level ? 1 : 0);
  }

  /** Whether an interrupt is pending that mie enables: what ends WFI. */
  get interruptPending(): boolean {
    return this.#runtime.pendingInterrupts() !== 0n;
  }

  /** Takes the interrupt that is due, if any, before the next instruction. */
  takeInterrupt(): void {
    this.#runtime.interrupts();
  }

  /** Writes stimecmp: the supervisor timer interrupt falls, and rises when mtime reaches it. */
  setTimer(deadlineTicks: bigint): void {
    this.set('stimecmp', BigInt.asUintN(64, deadlineTicks));
    this.#runtime.updateTimers();
  }

  /** Writes mtimecmp, as unsigned halves. */
  setTimecmp(lo: number, hi: number): void {
    this.setHalves('mtimecmp', lo, hi);
    this.#runtime.updateTimers();
  }

  /** Forgets all translations and looks at all code anew. */
  flush(): void {
    this.#runtime.flushTlb();
    this.setWord('codeGeneration', this.word('codeGeneration') + 1);
  }

  /** A doubleword by the hart's own translation, or null where the hart would trap; the hart is left as it was. */
  readVirtual64(gva: bigint): bigint | null {
    const state = new Uint8Array(this.#view.buffer, this.#arena, HART_STATE_BYTES);
    const before = state.slice();
    this.setWord('status', STATUS.next);
    const value = this.#runtime.load(gva, 8);
    if (this.word('status') === STATUS.next) return BigInt.asUintN(64, value);
    state.set(before);
    return null;
  }

  /** Rebuilds what derives from architectural state that was written from outside. */
  afterLoad(): void {
    this.#runtime.afterLoad();
  }

  #address(field: FieldName, index: number, type: 'u32' | 'u64'): number {
    const spec = HART_FIELDS[field];
    if (spec.type !== type) throw new Error(`${field} is ${spec.type}`);
    return this.#arena + HART_OFFSETS[field] + index * 8;
  }
}
