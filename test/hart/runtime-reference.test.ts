/**
 * The runtime's privileged architecture against the reference's (src/hart/reference), function by function: random
 * page tables, PMP entries and CSR values, then random accesses, CSR instructions, traps and returns on both. What
 * whole programs do is test/isa's business.
 */
import { expect, test } from 'vitest';
import { accessCsr, REFERENCE_CSRS } from '../../src/hart/reference/csrs.ts';
import { ReferenceHart } from '../../src/hart/reference/hart.ts';
import { ReferenceMemory } from '../../src/hart/reference/memory.ts';
import * as mmu from '../../src/hart/reference/mmu.ts';
import * as privileged from '../../src/hart/reference/privileged.ts';
import { PENDING, STATUS } from '../../src/hart/state.ts';
import { type Machine, makeMachine, RAM_BASE, RAM_BYTES } from './machine.ts';

const SEEDS = 100;
const STEPS = 250;
const TABLES = 8;
const TABLE_BASE = RAM_BASE + 0x10_0000n;
const ILLEGAL = 2n;

const FIELDS = [
  ...['pc', 'priv', 'mstatus', 'medeleg', 'mideleg', 'mie', 'mip', 'mtvec', 'mscratch', 'mepc', 'mcause', 'mtval'],
  ...['mcounteren', 'menvcfg', 'stvec', 'sscratch', 'sepc', 'scause', 'stval', 'scounteren', 'senvcfg', 'satp'],
  ...['stimecmp', 'fflags', 'frm'],
] as const;

/** Counters count differently when no instructions are executed. */
const SKIPPED = new Set(['mcycle', 'minstret', 'cycle', 'instret', 'mcountinhibit', 'menvcfg']);
const CSRS = [...REFERENCE_CSRS].filter(([, { name }]) => !SKIPPED.has(name)).map(([number]) => number);

function randomFrom(seed: number) {
  let state = seed * 2654435761 + 1;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return ((state >>> 8) % 0x10000) % limit;
  };
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const word = (): bigint => {
    let value = 0n;
    for (let i = 0; i < 4; i++) value = (value << 16n) | BigInt(below(65536));
    return value;
  };
  return { below, pick, word };
}
type Random = ReturnType<typeof randomFrom>;

const returnOrTrap = {
  mret: privileged.mret,
  sret: privileged.sret,
  ecall: privileged.ecall,
  ebreak: privileged.ebreak,
};

class Pair {
  readonly machine: Machine = makeMachine();
  readonly reference: ReferenceHart;
  readonly random: Random;
  readonly ram: Uint8Array;

  constructor(seed: number) {
    this.random = randomFrom(seed);
    this.ram = new Uint8Array(this.machine.memory.buffer, Number(this.machine.get('ramHost')), RAM_BYTES);
    this.reference = new ReferenceHart(new ReferenceMemory(new Uint8Array(RAM_BYTES), RAM_BASE));
    this.#randomPmp();
    for (let i = 0; i < 60; i++) this.pokeTable();
    const satp = (BigInt(this.random.pick([8, 8, 9, 10])) << 60n) | this.#tablePage();
    const fields = { satp, mtvec: RAM_BASE + 0x100n, stvec: RAM_BASE + 0x201n, medeleg: this.random.word() & 0xb3ffn };
    const more = { mideleg: 0x222n, pc: RAM_BASE, menvcfg: this.random.pick([0n, 0xd0n, 1n << 61n, 1n << 63n]) };
    this.machine.setUp({ ...fields, ...more });
    Object.assign(this.reference, fields, more);
  }

  #tablePage(): bigint {
    return (TABLE_BASE >> 12n) + BigInt(this.random.below(TABLES));
  }

  #randomPmp(): void {
    const { random } = this;
    const addresses: bigint[] = [];
    let config = 0n;
    for (let i = 0; i < 7; i++) {
      const near = random.pick([RAM_BASE, RAM_BASE, TABLE_BASE, 0n]) + BigInt(random.below(0x4000)) * 64n;
      addresses.push((near >> 2n) | random.pick([0n, 7n, 0xfffn, 0x7ffffn]));
      const isOpen = random.below(3) > 0;
      config |= BigInt(isOpen ? 0 : random.pick([0x8f, 0x0f, 0x19, 0x1b, 0x1f, 0x11, 0x99, 0x08])) << BigInt(8 * i);
    }
    addresses.push((1n << 54n) - 1n);
    config |= 0x1fn << 56n;
    this.reference.pmpcfg[0] = config;
    this.machine.set('pmpcfg', config);
    addresses.forEach((address, i) => {
      this.reference.pmpaddr[i] = address;
      this.machine.set('pmpaddr', address, i);
    });
  }

  /** A random entry into a random table; the TLB is flushed. */
  pokeTable(): void {
    const { random } = this;
    const entry = ((TABLE_BASE >> 12n) + BigInt(random.below(TABLES))) * 4096n + BigInt(this.#index()) * 8n;
    const data = (RAM_BASE >> 12n) + BigInt(random.below(64));
    let pte: bigint;
    if (random.below(2) === 0) pte = (this.#tablePage() << 10n) | 1n;
    else {
      const page = random.pick([data, data | 8n, RAM_BASE >> 12n, RAM_BASE >> 12n, 0n, 0x1_0000n]);
      pte = (page << 10n) | random.pick([0xcfn, 0xdfn, 0xdfn, 0x4bn, BigInt(random.below(256))]);
    }
    if (random.below(12) === 0) pte ^= 1n << BigInt(random.below(64));
    if (random.below(8) === 0) pte |= 1n << 63n;
    this.machine.poke(entry, pte);
    this.reference.memory.write(entry, 8, pte);
    this.machine.run('flushTlb');
  }

  #index(): number {
    return this.random.pick([0, 1, 2, 3, 8, 511]);
  }

  va(): bigint {
    const { random } = this;
    if (random.below(4) === 0) return RAM_BASE + BigInt(random.below(0x8000));
    let va = 0n;
    for (let level = 0; level < 5; level++) va = (va << 9n) | BigInt(this.#index());
    const offset = BigInt(random.pick([0, 8, 64, 1, 2, 4094, 4095, 4092, random.below(4096)]));
    const bits = random.pick([39, 39, 48, 57, 64]);
    return BigInt.asUintN(64, BigInt.asIntN(bits, (va << 12n) | offset));
  }

  /** Runs one operation on both. @returns what it gave, to be equal */
  both(name: string, args: (number | bigint)[], byReference: () => bigint | undefined): void {
    const { machine, reference } = this;
    const tablesBefore = Buffer.from(this.ram.slice(0x10_0000, 0x10_0000 + TABLES * 4096));
    let { value, status } = machine.run(name, ...args);
    if (status === STATUS.exit) {
      machine.set('pendingState', PENDING.fault);
      ({ value, status } = machine.run(name, ...args));
    }
    let expected: bigint | undefined;
    reference.nextPc = -1n;
    try {
      expected = byReference();
      if (reference.nextPc >= 0n) reference.pc = reference.nextPc;
    } catch (error) {
      if (!(error instanceof privileged.Trap)) throw error;
      privileged.enterTrap(reference, error);
      if (error.trapCause === ILLEGAL) {
        const tval = reference.priv === 3 ? 'mtval' : 'stval';
        reference[tval] = machine.get(tval);
        // The runtime read the instruction at a pc that this test never fetched from: that may have set A bits.
        reference.memory.ram.set(this.ram.subarray(0x10_0000, 0x10_0000 + TABLES * 4096), 0x10_0000);
      }
    }
    const label = `${name}(${args.map((arg) => arg.toString(16)).join(', ')})`;
    if (expected !== undefined) expect(value, label).toBe(expected);
    const found = Object.fromEntries(FIELDS.map((field) => [field, machine.get(field).toString(16)]));
    const wanted = Object.fromEntries(FIELDS.map((field) => [field, BigInt(reference[field]).toString(16)]));
    expect(found, label).toEqual(wanted);
    // Without a TLB the reference sees at once what was written into a page table.
    if (tablesBefore.compare(this.ram, 0x10_0000, 0x10_0000 + TABLES * 4096) !== 0) machine.run('flushTlb');
  }

  step(): void {
    const { random, reference } = this;
    const size = random.pick([1, 2, 4, 8]);
    const wide = random.pick([4, 8]);
    const va = this.va();
    const value = random.word();
    const sign = (old: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(8 * wide, old));
    switch (random.below(16)) {
      case 0:
      case 1:
      case 2:
        return this.both('load', [va, size], () => mmu.load(reference, va, size));
      case 3:
      case 4:
        return this.both('store', [va, size, value], () => {
          mmu.store(reference, va, size, BigInt.asUintN(8 * size, value));
          return undefined;
        });
      case 5:
        return this.both('amo', [1, va, wide, value], () =>
          sign(mmu.atomic(reference, va, wide, (old) => old + value)),
        );
      case 6:
        return this.both('loadReserved', [va, wide], () => sign(mmu.loadReserved(reference, va, wide)));
      case 7:
        return this.both('storeConditional', [va, wide, value], () =>
          mmu.storeConditional(reference, va, wide, value) ? 0n : 1n,
        );
      case 8:
        return this.both('cboZero', [va], () => {
          privileged.requireCbo(reference, 'zero');
          mmu.zeroBlock(reference, va);
          return undefined;
        });
      case 9:
        return this.both('cboInval', [va], () => {
          privileged.requireCbo(reference, 'inval');
          mmu.checkBlock(reference, va);
          return undefined;
        });
      case 10:
        return this.#fetch(va & ~1n);
      case 11:
      case 12:
        return this.#csr(value);
      case 13:
        return this.#returnOrTrap();
      case 14:
        return this.both('interrupts', [], () => {
          const trap = privileged.pendingInterrupt(reference);
          if (trap !== null) throw trap;
          return undefined;
        });
      default:
        return this.pokeTable();
    }
  }

  #fetch(pc: bigint): void {
    const { machine, reference } = this;
    machine.set('pc', pc);
    reference.pc = pc;
    this.both('fetch', [], () => {
      mmu.fetchHalf(reference, pc);
      return undefined;
    });
  }

  #csr(word: bigint): void {
    const { random, reference } = this;
    const number = random.pick(CSRS);
    // Values that keep the hart alive: a page table of ours, traps into RAM.
    const satp = (BigInt(random.pick([0, 8, 9, 10, 3])) << 60n) | (BigInt(random.below(2)) << 44n) | this.#tablePage();
    const source = number === 0x180 ? satp : number === 0x105 || number === 0x305 ? RAM_BASE | (word & 0xfffn) : word;
    const access = random.below(3);
    const writes = random.below(3) > 0;
    const modify = [() => source, (old: bigint) => old | source, (old: bigint) => old & ~source][access];
    this.both('csr', [number, access, source, 1, writes ? 1 : 0], () =>
      accessCsr(reference, number, true, writes && modify !== undefined ? modify : null),
    );
    this.machine.run('fenceI');
  }

  #returnOrTrap(): void {
    const { random, reference } = this;
    const name = random.pick(['mret', 'mret', 'sret', 'ecall', 'ebreak', 'sfenceVma'] as const);
    const kinds = ['vma', 'inval', 'wInval', 'invalIr'] as const;
    const kind = random.below(4);
    this.both(name, name === 'sfenceVma' ? [0n, 0n, 0, 0, kind] : [], () => {
      if (name === 'sfenceVma') privileged.sfence(reference, kinds[kind] ?? 'vma');
      else returnOrTrap[name](reference);
      return undefined;
    });
  }
}

test(`${SEEDS} random harts`, () => {
  const causes = new Set<bigint>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const pair = new Pair(seed);
    for (let step = 0; step < STEPS; step++) {
      try {
        pair.step();
      } catch (error) {
        throw new Error(`seed ${seed}, step ${step}`, { cause: error });
      }
      causes.add(pair.machine.get('mcause')).add(pair.machine.get('scause'));
    }
    expect(Buffer.compare(pair.ram, pair.reference.memory.ram), `RAM after seed ${seed}`).toBe(0);
  }
  for (const cause of [1n, 2n, 4n, 5n, 6n, 7n, 12n, 13n, 15n]) expect(causes).toContain(cause);
});
