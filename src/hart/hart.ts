/**
 * A hart: its state in the shared memory, and the two WebAssembly modules that run it. Knows nothing of threads,
 * devices or time beyond the clock it is given; the vCPU actor owns it.
 */

import { DIRTY_CLIENTS, type DirtyClient, dirtyBitmapBytes } from '../memory/dirty-log.ts';
import { ConfigError } from '../util/config-error.ts';
import { assert } from '../util/errors.ts';
import { hasTotalStoreOrder } from '../util/host-processor.ts';
import { type DecodeObserver, Decoder } from './decoder.ts';
import { INTERRUPT_FILE_BYTES } from './hart-signals.ts';
import {
  csrOf,
  type FieldValues,
  fromHartState,
  type HartState,
  HartStateError,
  readFields,
  toHartState,
} from './hart-state.ts';
import { HotFields } from './hot-fields.ts';
import { layoutHash } from './layout-text.ts';
import { AIA, FIELD_BYTES, type FieldName, HART_FIELDS, HART_OFFSETS, HART_STATE_BYTES, STATUS } from './state.ts';

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
  /** Host offset of this hart's dirty bitmaps (`dirty` of the memory's layout), zeroed; left out: it cannot log. */
  readonly dirty?: number;
  /** Writes the timebase to `ticks[0]`, which is 0 before: ticks of 100 ns, a whole number. */
  readonly readMtime: (ticks: Float64Array) => void;
  /** Leave on an ecall from S mode, for the built-in SBI. */
  readonly sbi: boolean;
  /** What the hart has of the Advanced Interrupt Architecture; left out: nothing. */
  readonly aia?: keyof typeof AIA;
  /** The clock is looked at after the same instructions, translated or not: for runs that are repeated exactly. */
  readonly exactQuanta?: boolean;
  /**
   * The machine's harts, whose doorbells lie beside this one's, from hart 0's on (MemoryLayout): it sends messages to
   * their interrupt files, and IPIs, itself. Left out: the host does.
   */
  readonly neighbours?: {
    readonly harts: number;
    /** Number of the SBI extension whose first call sends IPIs. */
    readonly ipiExtension: number;
  };
  /** Makes the hart's translator; left out: it interprets. */
  readonly translator?: (place: TranslatorPlace) => Translator;
}

/** Where a translator works. */
export interface TranslatorPlace {
  readonly memory: WebAssembly.Memory;
  /** Host offset of the hart's arena. */
  readonly arena: number;
  /** Functions of REGION_TYPE, by the slot that a REGION names. */
  readonly table: WebAssembly.Table;
  /** Has the functions of TRANSLATOR_FUNCTIONS. */
  readonly runtime: Readonly<Record<string, unknown>>;
  /** As in assembly/fetch.ts. */
  copied(page: number, offset: number, lengthBytes: number): number;
  readonly profile: ProfileExports;
}

/** What traces have shown: functions of assembly/profile.ts. */
export interface ProfileExports {
  heat(op: number): number;
  forgetArrivals(op: number): void;
  jumpTargets(jump: number): number;
  offer(host: number): void;
}

/** Puts regions in the place of ops (REGION). Called between two instructions, when no region runs. */
export interface Translator {
  /** Instructions to be interpreted between two traces. */
  readonly traceInterval: number;
  /** A trace was taken. @param arrived how many entries of ARENA.arrived it has written */
  trace(arrived: number): void;
  /** As the runtime's import of that name (assembly/env.ts). */
  codeChanged(page: number, offset: number): void;
  /** Modules compiled so far. */
  readonly modules: number;
  /** One line of what has been done, for `-d jit`. */
  report(): string;
}

/** A trap as it is taken: unsigned 64-bit cause (bit 63: interrupt), pc and tval; 1 for a trap to S mode, 0 to M. */
type TrapArguments = [cause: bigint, pc: bigint, tval: bigint, toSupervisor: number];
export type TrapObserver = (...trap: TrapArguments) => void;

/** The runtime's functions that the host calls. */
interface RuntimeExports extends ProfileExports {
  layoutHash(): number;
  init(arena: number): void;
  reset(pc: bigint): void;
  afterLoad(): void;
  setInterruptLine(bit: number, level: number): void;
  receiveMsi(file: number, identity: number): void;
  takeSignals(): number;
  updateTimers(): void;
  interrupts(): void;
  pendingInterrupts(): bigint;
  flushTlb(): void;
  dropWriteTags(): void;
  fenceAddresses(first: bigint, last: bigint): void;
  fenceI(): void;
  csr(number: number, access: number, source: bigint, reads: number, writes: number): bigint;
  load(va: bigint, size: number): bigint;
  copied: TranslatorPlace['copied'];
}

interface InterruptPages {
  readonly base: number;
  readonly lengthBytes: number;
}

/** A fence that another hart asks for: of address translations, or of code. */
export type FenceKind = 'sfence.vma' | 'fence.i';

const HIGHEST = (1n << 64n) - 1n;
const CSR_WRITE = 0;

export class Hart {
  readonly #view: DataView;
  readonly #arena: number;
  readonly #runtime: RuntimeExports;
  readonly #run: (arena: number) => number;
  readonly #learnWord: (known: number, word: number) => number;
  readonly #decoder: Decoder;
  /** Null where the hart only interprets. */
  readonly translator: Translator | null;
  /** What the host needs at once. */
  readonly hot: HotFields;
  #trapObserver: TrapObserver | null = null;

  constructor(options: HartOptions) {
    const { memory, arena, ram } = options;
    this.#view = new DataView(memory.buffer);
    this.#arena = arena;
    this.hot = new HotFields(memory, arena);
    this.#decoder = new Decoder(memory, arena);
    const ticks = new Float64Array(memory.buffer, arena + HART_OFFSETS.mtime, 1);
    const runtime = new WebAssembly.Instance(options.modules.runtime, {
      env: {
        memory,
        readMtime: () => options.readMtime(ticks),
        learnWord: (word: number, known: number, pageOffset: number) => {
          if (this.#decoder.observer === null && this.#learnWord(known, word) !== 0) return;
          this.#decoder.learn(word, known >>> 0, pageOffset);
        },
        trapTaken: (...trap: TrapArguments) => this.#trapObserver?.(...trap),
        codeChanged: (page: number, offset: number) => this.translator?.codeChanged(page >>> 0, offset),
      },
    });
    this.#runtime = runtime.exports as unknown as RuntimeExports;
    if (this.#runtime.layoutHash() >>> 0 !== layoutHash()) {
      throw new ConfigError('runtime.wasm', 'it was built from other sources than this code', 'Run `npm run build`.');
    }
    const interpreter = new WebAssembly.Instance(options.modules.interpreter, {
      env: { memory },
      runtime: runtime.exports,
      host: {
        trace: (arrived: number) => this.translator?.trace(arrived),
      },
    });
    this.#run = interpreter.exports['run'] as (arena: number) => number;
    this.#learnWord = interpreter.exports['learnWord'] as (known: number, word: number) => number;
    this.#runtime.init(arena);
    const table = interpreter.exports['regions'] as WebAssembly.Table;
    const { copied } = this.#runtime;
    const place = { memory, arena, table, runtime: runtime.exports, copied, profile: this.#runtime };
    this.translator = options.translator?.(place) ?? null;
    this.setWord('traceInterval', this.translator?.traceInterval ?? 0);
    this.setWord('hasTso', hasTotalStoreOrder() ? 1 : 0);
    this.setWord('exactQuanta', options.exactQuanta === true ? 1 : 0);
    this.set('mhartid', BigInt(options.hartId));
    this.setWord('ramHost', ram.host);
    this.set('ramBase', BigInt(ram.base));
    this.set('ramBytes', BigInt(ram.lengthBytes));
    this.setWord('doorbell', options.doorbell);
    this.setWord('neighbours', options.neighbours?.harts ?? 0);
    this.set('sbiIpi', BigInt(options.neighbours?.ipiExtension ?? 0));
    this.setWord('sbi', options.sbi ? 1 : 0);
    this.setWord('dirtyBitmap', options.dirty ?? 0);
    this.setWord('dirtyBitmapBytes', dirtyBitmapBytes(ram.lengthBytes));
    this.setWord('aia', AIA[options.aia ?? 'none']);
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

  /** Told of every instruction that is decoded from now on; costs nothing while null. */
  set decodeObserver(observer: DecodeObserver | null) {
    this.#decoder.observer = observer;
    this.setWord('logCode', observer === null ? 0 : 1);
  }

  /** Runs until something needs the host, at most `count` instructions. @returns an EXIT reason */
  run(count: number): number {
    this.hot.beginSlice(count);
    return this.#run(this.#arena);
  }

  /** Instructions retired since run() was last called; also while it runs. */
  get retired(): number {
    return this.hot.retired;
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
  #setHalves(field: FieldName, lo: number, hi: number): void {
    const address = this.#address(field, 0, 'u64');
    this.#view.setUint32(address, lo, true);
    this.#view.setUint32(address + 4, hi, true);
  }
  word(field: FieldName, index = 0): number {
    return this.#view.getUint32(this.#address(field, index, 'u32'), true);
  }
  setWord(field: FieldName, value: number): void {
    this.#view.setUint32(this.#address(field, 0, 'u32'), value, true);
  }

  /** Drives a bit of mip. With an IMSIC the lines of external interrupts are the interrupt files': those are ignored. */
  setInterruptLine(bit: number, level: boolean): void {
    this.#runtime.setInterruptLine(bit, level ? 1 : 0);
  }

  /**
   * A message-signalled interrupt for the machine-level or the supervisor-level interrupt file: `identity` becomes
   * pending there. Ignored if it is not one of 1..255, or the hart has no IMSIC.
   * @param identity what was written, an unsigned 32-bit number
   */
  receiveMsi(file: 'M' | 'S', identity: number): void {
    this.#runtime.receiveMsi(file === 'M' ? 0 : 1, identity);
  }

  /**
   * Where the interrupt files of harts 0 and up lie.
   * @param pages of both levels, as many of each, by guest-physical address; null: the host sends all messages
   */
  setInterruptFiles(pages: Readonly<Record<'machine' | 'supervisor', InterruptPages>> | null): void {
    this.set('imsicBase', BigInt(pages?.machine.base ?? 0), 0);
    this.set('imsicBase', BigInt(pages?.supervisor.base ?? 0), 1);
    this.setWord('imsicFiles', (pages?.machine.lengthBytes ?? 0) / INTERRUPT_FILE_BYTES);
  }

  /** Takes what its doorbell says, where that is for the hart alone, as it does while it runs. @returns whether it was */
  takeSignals(): boolean {
    return this.#runtime.takeSignals() !== 0;
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
    this.#setHalves('mtimecmp', lo, hi);
    this.#runtime.updateTimers();
  }

  /** Forgets all translations and looks at all code anew. */
  flush(): void {
    this.#runtime.flushTlb();
    this.setWord('codeGeneration', this.word('codeGeneration') + 1);
  }

  /**
   * A fence on behalf of another hart, between two runs. `sfence.vma`: of the addresses from `start` on, or of all
   * without `lengthBytes`. ASIDs are not kept apart, so one given narrows nothing.
   */
  fence(kind: FenceKind, start = 0n, lengthBytes: bigint | null = null, _asid: number | null = null): void {
    if (kind === 'fence.i') this.#runtime.fenceI();
    else if (lengthBytes === null) this.#runtime.fenceAddresses(HIGHEST, 0n);
    else if (lengthBytes > 0n) {
      const end = start + lengthBytes - 1n;
      this.#runtime.fenceAddresses(start, end > HIGHEST ? HIGHEST : end);
    }
  }

  /** Begins to log the pages of RAM that this hart writes, for one client, with nothing marked. */
  startDirtyLog(client: DirtyClient): void {
    this.#bitmap(client).fill(0);
    this.setWord('dirtyClients', this.word('dirtyClients') | bitOf(client));
    this.#runtime.dropWriteTags();
  }

  stopDirtyLog(client: DirtyClient): void {
    this.setWord('dirtyClients', this.word('dirtyClients') & ~bitOf(client));
  }

  /**
   * The pages written since the client last asked, or began. @returns a bitmap of RAM: page p is bit p % 8 of byte p / 8
   */
  collectDirty(client: DirtyClient): Uint8Array {
    assert(this.word('dirtyClients') & bitOf(client), `the ${client} log is off`);
    const bitmap = this.#bitmap(client);
    const pages = bitmap.slice();
    bitmap.fill(0);
    this.#runtime.dropWriteTags();
    return pages;
  }

  /** The hart's state between two runs, to be loaded by a hart on a copy of the RAM. */
  save(): HartState {
    return toHartState(this.#fields());
  }

  /**
   * Goes on from a saved state, with the RAM that belongs to it. The dirty log is not part of it.
   * @throws HartStateError for what this hart cannot be in; it is then as it was
   */
  load(state: HartState): void {
    const values = fromHartState(state, this.get('ramBytes'));
    if (values.get('mhartid')?.[0] !== this.get('mhartid')) {
      throw new HartStateError('mhartid', `${this.get('mhartid')}, this hart's`);
    }
    const before = this.#fields();
    try {
      this.#checkCsrs(values);
    } catch (error) {
      this.#enter(before);
      throw error;
    }
    this.#enter(values);
  }

  #fields(): Map<FieldName, FieldValues> {
    return readFields((name) => this.#read(name));
  }

  #enter(values: ReadonlyMap<FieldName, FieldValues>): void {
    for (const [name, elements] of values) this.#write(name, elements);
    this.afterLoad();
    // That looked at the clock. A restored hart looks when the saved one would have.
    for (const name of ['lines', 'clockLook', 'deadline'] as const) this.#write(name, values.get(name) ?? []);
  }

  /** Writes every CSR as an instruction would, to a hart just reset: what comes to lie in its field must be the value. */
  #checkCsrs(values: ReadonlyMap<FieldName, FieldValues>): void {
    this.#runtime.reset(0n);
    for (const [name, elements] of values) {
      elements.forEach((value, i) => {
        const number = csrOf(name, i);
        if (number === null) return;
        this.setWord('status', STATUS.next);
        this.#runtime.csr(number, CSR_WRITE, value, 0, 1);
        if (this.#read(name)[i] !== value) throw new HartStateError(name, 'a value that the register can hold');
      });
    }
  }

  /** A doubleword by the hart's own translation, or null where the hart would trap; the hart is left as it was. */
  readVirtual64(gva: bigint): bigint | null {
    const state = new Uint8Array(this.#view.buffer, this.#arena, HART_STATE_BYTES);
    const before = state.slice();
    this.setWord('status', STATUS.next);
    const value = this.#runtime.load(gva, 8);
    if (this.word('status') === STATUS.next) return BigInt.asUintN(64, value);
    state.set(before);
    // A part of it may have been entered, in a table that is not known to be used.
    this.#runtime.flushTlb();
    return null;
  }

  /** Rebuilds what derives from architectural state that was written from outside. */
  afterLoad(): void {
    this.#runtime.afterLoad();
  }

  #bitmap(client: DirtyClient): Uint8Array {
    const [base, lengthBytes] = [this.word('dirtyBitmap'), this.word('dirtyBitmapBytes')];
    assert(base !== 0, 'this hart has no room for dirty bitmaps');
    return new Uint8Array(this.#view.buffer, base + DIRTY_CLIENTS.indexOf(client) * lengthBytes, lengthBytes);
  }

  #read(name: FieldName): bigint[] {
    const { type, count = 1 } = HART_FIELDS[name];
    return type === 'u32' ? [BigInt(this.word(name))] : Array.from({ length: count }, (_, i) => this.get(name, i));
  }

  #write(name: FieldName, elements: FieldValues): void {
    const isWord = HART_FIELDS[name].type === 'u32';
    elements.forEach((value, i) => {
      if (isWord) this.setWord(name, Number(value));
      else this.set(name, value, i);
    });
  }

  #address(field: FieldName, index: number, type: 'u32' | 'u64'): number {
    const spec = HART_FIELDS[field];
    if (spec.type !== type) throw new Error(`${field} is ${spec.type}`);
    return this.#arena + HART_OFFSETS[field] + index * FIELD_BYTES[type];
  }
}

function bitOf(client: DirtyClient): number {
  return 1 << DIRTY_CLIENTS.indexOf(client);
}
