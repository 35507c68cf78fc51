/**
 * A hart in the runtime module with a little RAM behind its arena, for tests that call the module's functions directly.
 */
import { ARENA, type FieldName, HART_OFFSETS, STATUS } from '../../src/hart/state.ts';
import { loadRuntime, type Runtime } from '../support/runtime.ts';

export const RAM_BASE = 0x8000_0000n;
export const RAM_BYTES = 0xa0_0000;
const ARENA_HOST = 0x1_0000;
const RAM_HOST = ARENA_HOST + ARENA.lengthBytes;
const MTIME = ARENA_HOST + HART_OFFSETS.mtime;

export const MODE = { u: 0n, s: 1n, m: 3n } as const;
export const PTE = { v: 1n, r: 2n, w: 4n, x: 8n, u: 16n, g: 32n, a: 64n, d: 128n, n: 1n << 63n } as const;
/** A page that may be accessed in every way by S mode. */
export const RWX = PTE.v | PTE.r | PTE.w | PTE.x | PTE.a | PTE.d;

export interface Machine extends Runtime {
  /** Calls a function with status cleared, as the interpreter does. @returns the result and the status it left */
  run(name: string, ...args: (number | bigint)[]): { value: bigint; status: number };
  load(va: bigint, size: number): bigint;
  store(va: bigint, size: number, value: bigint): void;
  readCsr(number: number): bigint;
  writeCsr(number: number, value: bigint): void;
  peek(gpa: bigint): bigint;
  poke(gpa: bigint, value: bigint): void;
  /** What the clock says, in ticks. */
  time: number;
  /** Changes fields and has the derived state made anew. */
  setUp(fields: Partial<Record<FieldName, bigint>>): void;
  /** 'none', or the cause of the last trap with its tval and the pc it left. */
  lastTrap(): { cause: bigint; tval: bigint; epc: bigint };
}

/** In M mode at the start of RAM, PMP open for all modes, traps to 0x80000100. */
export function makeMachine(): Machine {
  const clock = { time: 0 };
  const runtime = loadRuntime({
    arena: ARENA_HOST,
    memoryPages: (RAM_HOST + RAM_BYTES) / 65536,
    host: { readMtime: () => view.setFloat64(MTIME, clock.time, true) },
  });
  const { view } = runtime;
  runtime.set('ramHost', RAM_HOST);
  runtime.set('ramBase', RAM_BASE);
  runtime.set('ramBytes', RAM_BYTES);
  runtime.call('reset')(RAM_BASE);
  const hostOf = (gpa: bigint): number => RAM_HOST + Number(gpa - RAM_BASE);

  const machine: Machine = {
    ...runtime,
    get time() {
      return clock.time;
    },
    set time(now) {
      clock.time = now;
    },
    run(name, ...args) {
      runtime.set('status', STATUS.next);
      const value = runtime.call(name)(...args);
      return { value: BigInt.asUintN(64, BigInt(value ?? 0)), status: Number(runtime.get('status')) };
    },
    load: (va, size) => machine.run('load', va, size).value,
    store: (va, size, value) => void machine.run('store', va, size, value),
    readCsr: (number) => machine.run('csr', number, 1, 0n, 1, 0).value,
    writeCsr: (number, value) => void machine.run('csr', number, 0, value, 0, 1),
    peek: (gpa) => view.getBigUint64(hostOf(gpa), true),
    poke: (gpa, value) => view.setBigUint64(hostOf(gpa), BigInt.asUintN(64, value), true),
    setUp(fields) {
      for (const [name, value] of Object.entries(fields)) runtime.set(name as FieldName, value);
      runtime.call('afterLoad')();
    },
    lastTrap: () => ({ cause: runtime.get('mcause'), tval: runtime.get('mtval'), epc: runtime.get('mepc') }),
  };
  machine.setUp({ mtvec: RAM_BASE + 0x100n });
  runtime.set('pmpaddr', (1n << 54n) - 1n);
  runtime.set('pmpcfg', 0x1fn);
  runtime.call('afterLoad')();
  return machine;
}

/** Page tables: `root` is the first of the pages that tables are taken from, one after the other. */
export class PageTables {
  readonly #machine: Machine;
  readonly #levels: number;
  readonly root: bigint;
  #free: bigint;

  constructor(machine: Machine, levels: 3 | 4 | 5, root = RAM_BASE + 0x10_0000n) {
    this.#machine = machine;
    this.#levels = levels;
    this.root = root;
    this.#free = root + 4096n;
  }

  get satp(): bigint {
    return (BigInt(this.#levels + 5) << 60n) | (this.root >> 12n);
  }

  /** Where the entry for va at a level (0: 4 KiB) is, with the tables above it. */
  entry(va: bigint, level = 0): bigint {
    let table = this.root;
    for (let at = this.#levels - 1; ; at--) {
      const entry = table + ((va >> BigInt(12 + 9 * at)) & 511n) * 8n;
      if (at === level) return entry;
      if (this.#machine.peek(entry) === 0n) {
        this.#machine.poke(entry, ((this.#free >> 12n) << 10n) | PTE.v);
        this.#free += 4096n;
      }
      table = (this.#machine.peek(entry) >> 10n) << 12n;
    }
  }

  map(va: bigint, gpa: bigint, flags: bigint, level = 0): void {
    this.#machine.poke(this.entry(va, level), ((gpa >> 12n) << 10n) | flags);
  }
}
