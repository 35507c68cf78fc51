/**
 * Code that changes while it is translated: blocks in several pages that jump within their page, to the pages beside it
 * and over a table, of which words are replaced, as another hart does it (then fence.i) and as they do it themselves, and
 * whose pages change places. What they load from and store to lies over the end of a page now and then, and where nothing
 * is mapped. Under the translator each must come to what it comes to under the interpreter, wherever it is stopped.
 * BOTTOMHALF_FUZZ_PROGRAMS and BOTTOMHALF_FUZZ_SEED as for the translator's other programs.
 */
import { expect, it } from 'vitest';
import { assemble } from '../../src/isa/asm.ts';
import { RegionTranslator, type TranslatorOptions } from '../../src/jit/translator.ts';
import { setEngineFlags } from '../../src/vm-modules.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';
import { ProgramRandom } from '../support/program-random.ts';
import { TRANSLATOR_STATE } from '../support/translator-state.ts';
import { compareMemory, compareStates } from './harness.ts';

setEngineFlags();

const PROGRAMS = Number(process.env.BOTTOMHALF_FUZZ_PROGRAMS ?? 32);
const FIRST_SEED = Number(process.env.BOTTOMHALF_FUZZ_SEED ?? 1);
/** Some, and those that once found a fault. */
const SEEDS = [...Array.from({ length: PROGRAMS }, (_, i) => FIRST_SEED + i), 173];
const ROUNDS = 60;
/** A region's other pages are looked up where it is entered, and the interpreter may never come there. */
const IGNORED = new Set([...TRANSLATOR_STATE, 'decodedPages']);

const PAGE = 4096;
const BASE = 0x8000_0000n;
/** Offsets from BASE. */
const CODE = 0x1000;
const PAGES = 4;
const HANDLER = 0x8000;
const TABLES = 0x3_0000;
const LEAVES = TABLES + 2 * PAGE;
const DATA = 0x4_0000;
/** That a program puts somewhere itself. */
const WORD = 0x4_7000;
const TARGETS = 0x4_8000;
const TARGET_COUNT = 32;
const MEMORY_BYTES = 0x5_0000;
/** Virtual, where pages are mapped one by one: as often as this the same ones, one behind the other. */
const WINDOW = 0x4000_0000n;
const REPEATS = 3;

/** Bits of a page table entry: V; V, R, W, X, A and D of a leaf. */
const POINTER = 0x1n;
const LEAF = 0xcfn;

/** Where a block begins in each page; the last one goes over to the next page. */
const BLOCKS = [0x40, 0x140, 0x3f0, 0x800, 0xa08, 0xfe2];
const WORKING = ['s0', 's1', 's2', 's3', 's4', 't1', 't2', 't3'] as const;
const X = { a0: 10, a1: 11, a2: 12, a3: 13, a4: 14, a5: 15 } as const;

/** What else may stand in an instruction's place. */
type Kind = 'long' | 'short' | 'immediate' | 'branch' | 'patch' | 'ending';

/** Bytes. */
const LENGTHS: Readonly<Record<Kind, number>> = { long: 4, short: 2, immediate: 4, branch: 4, patch: 12, ending: 4 };

interface Slot {
  readonly offset: number;
  readonly block: number;
  readonly kind: Kind;
}

function slotsOfPage(random: ProgramRandom): Slot[] {
  return BLOCKS.flatMap((begin, block) => {
    const slots: Slot[] = [];
    let offset = begin;
    const add = (kind: Kind): void => {
      slots.push({ offset: offset % PAGE, block, kind });
      offset += LENGTHS[kind];
    };
    const count = block === BLOCKS.length - 1 ? 9 : 2 + random.below(9);
    for (let i = 0; i < count; i++) {
      // Each half of an instruction over the end of a page comes from another one when pages change places.
      if (offset === PAGE - 2) add('immediate');
      else add(random.pick(['short', 'short', 'long', 'long', 'long', 'branch']));
      if (block !== BLOCKS.length - 1 && random.oneIn(8)) add('patch');
    }
    add('ending');
    return slots;
  });
}

class Program {
  readonly #random: ProgramRandom;
  readonly #slots: readonly Slot[];
  readonly isPaged: boolean;
  /** Which page lies where. */
  readonly #order = Array.from({ length: PAGES }, (_, i) => i);

  constructor(seed: number) {
    this.#random = new ProgramRandom(seed);
    this.#slots = slotsOfPage(this.#random);
    this.isPaged = this.#random.oneIn(2);
  }

  /** The first words of all. */
  begin(ram: DataView): void {
    for (let page = 0; page < PAGES; page++) for (const slot of this.#slots) this.#write(ram, page, slot);
    write(
      ram,
      HANDLER,
      encode('addi t6, t6, 8\n  andi t0, t6, 0xf8\n  add t0, t0, a5\n  ld t0, 0(t0)\n  jr t0', HANDLER),
    );
    for (let i = 0; i < TARGET_COUNT; i++) this.#aim(ram, i);
    ram.setBigUint64(TABLES + 8, tableEntry(TABLES + PAGE, POINTER), true);
    // A gigapage of RAM as it lies.
    ram.setBigUint64(TABLES + 16, tableEntry(0, LEAF), true);
    ram.setBigUint64(TABLES + PAGE, tableEntry(LEAVES, POINTER), true);
    for (let at = 0; at < REPEATS * PAGES; at++) map(ram, at, at % PAGES);
  }

  start({ hart }: InterpreterMachine): void {
    hart.set('pmpaddr', (1n << 54n) - 1n);
    hart.set('pmpcfg', 0x1fn);
    hart.set('medeleg', 0xb1ffn);
    hart.set('mtvec', BASE + BigInt(HANDLER));
    hart.set('stvec', BASE + BigInt(HANDLER));
    if (this.isPaged) {
      hart.set('satp', (8n << 60n) | ((BASE + BigInt(TABLES)) >> 12n));
      hart.setWord('priv', 1);
    }
    hart.set('x', BASE + BigInt(TARGETS), X.a5);
    hart.set('pc', this.#address(0, 0));
    hart.afterLoad();
  }

  /** @returns what is to be done to each of two machines between two slices of theirs */
  change(): (machine: InterpreterMachine) => void {
    const random = this.#random;
    const changes: ((machine: InterpreterMachine, ram: DataView) => void)[] = [];
    const change = (does: (machine: InterpreterMachine, ram: DataView) => void): void => {
      changes.push(does);
    };
    const patches = random.oneIn(3) ? 0 : 1 + random.below(3);
    for (let i = 0; i < patches; i++) {
      const [page, slot] = [random.below(PAGES), random.pick(this.#slots)];
      const word = this.#instruction(page, slot);
      change((_, ram) => writeCode(ram, page, slot.offset, word));
    }
    if (patches > 0) change(({ hart }) => hart.fence('fence.i'));
    if (random.oneIn(3)) {
      const [at, to] = [random.below(TARGET_COUNT), this.#target()];
      change((_, ram) => ram.setBigUint64(TARGETS + at * 8, to, true));
    }
    if (this.isPaged && random.oneIn(3)) change(this.#swap());
    for (const register of [X.a0, X.a1, X.a2]) {
      if (!random.oneIn(2)) continue;
      const value = this.#pointer();
      change(({ hart }) => hart.set('x', value, register));
    }
    // What the program itself puts where.
    const [page, slot] = [random.below(PAGES), random.pick(this.#slots.filter(({ kind }) => kind === 'long'))];
    const [to, word] = [BASE + BigInt(CODE + page * PAGE + slot.offset), this.#instruction(page, slot)];
    change(({ hart }, ram) => {
      hart.set('x', to, X.a3);
      write(ram, WORD, word);
      hart.set('x', BASE + BigInt(WORD), X.a4);
    });
    return (machine) => {
      const ram = machine.writableMemory();
      for (const does of changes) does(machine, ram);
    };
  }

  #write(ram: DataView, page: number, slot: Slot): void {
    writeCode(ram, page, slot.offset, this.#instruction(page, slot));
  }

  #instruction(page: number, { offset, block, kind }: Slot): Uint8Array {
    const random = this.#random;
    const [rd, rs, rt] = [random.pick(WORKING), random.pick(WORKING), random.pick(WORKING)];
    const text = {
      immediate: () => `addi ${rd}, ${rs}, ${257 + random.below(999)}`,
      short: () => random.pick([`c.addi ${rd}, ${1 + random.below(20)}`, `c.mv ${rd}, ${rs}`, `c.add ${rd}, ${rs}`]),
      long: () => this.#long(rd, rs, rt),
      branch: () => `${random.pick(['beq', 'bne', 'bltu'])} ${rs}, ${rt}, ${this.#near(offset, block)}`,
      patch: () => 'lw t5, 0(a4)\n  sw t5, 0(a3)\n  fence.i',
      ending: () => this.#ending(offset, block),
    }[kind]();
    return encode(text, CODE + page * PAGE + offset);
  }

  #long(rd: string, rs: string, rt: string): string {
    const random = this.#random;
    const at = `${random.pick([0, 8, 40, 127, 2000])}(${random.pick(['a0', 'a1', 'a2'])})`;
    return random.pick([
      () => `xor ${rd}, ${rs}, ${rt}`,
      () => `sub ${rd}, ${rs}, ${rt}`,
      () => `addiw ${rd}, ${rs}, ${random.below(2000)}`,
      () => `srli ${rd}, ${rs}, ${1 + random.below(9)}`,
      () => `mul ${rd}, ${rs}, ${rt}`,
      () => `ld ${rd}, ${at}`,
      () => `lbu ${rd}, ${at}`,
      () => `sd ${rs}, ${at}`,
      () => `sw ${rs}, ${at}`,
      () => `amoadd.w ${rd}, ${rs}, (a0)`,
      () => `ld t4, ${8 * random.below(TARGET_COUNT)}(a5)`,
      () => `csrrw ${rd}, sscratch, ${rs}`,
    ])();
  }

  /** To a block of this page, of one beside it, of the table, or back. */
  #ending(offset: number, block: number): string {
    const random = this.#random;
    const pages = random.pick([0, 0, -1, 1]);
    return random.pick([
      () => `j ${this.#near(offset, block, pages)}`,
      () => `j ${this.#near(offset, block, pages)}`,
      () => `jal ra, ${this.#near(offset, block, pages)}`,
      () => 'jr t4',
      () => 'ret',
    ])();
  }

  /** The begin of a block, so many pages from where this one begins, seen from an offset in this one. */
  #near(offset: number, block: number, pages = 0): string {
    // Past the end of its page.
    const isBeyond = offset < (BLOCKS[block] ?? 0);
    const distance = this.#random.pick(BLOCKS) + (pages - Number(isBeyond)) * PAGE - offset;
    return distance < 0 ? `. - ${-distance}` : `. + ${distance}`;
  }

  #target(): bigint {
    return this.#address(this.#random.below(PAGES), this.#random.below(BLOCKS.length - 1));
  }

  #aim(ram: DataView, index: number): void {
    ram.setBigUint64(TARGETS + index * 8, this.#target(), true);
  }

  #address(page: number, block: number): bigint {
    const offset = BigInt(page * PAGE + (BLOCKS[block] ?? 0));
    return this.isPaged ? WINDOW + BigInt(PAGES * PAGE) + offset : BASE + BigInt(CODE) + offset;
  }

  #pointer(): bigint {
    const random = this.#random;
    const within = random.pick([0, 0x100, PAGE - 4, PAGE - 8, PAGE - 41, PAGE - 128]);
    if (random.oneIn(20)) return 0x5000_0000n;
    return BASE + BigInt(DATA + random.below(4) * PAGE + within);
  }

  /** Two pages change places. */
  #swap(): (machine: InterpreterMachine, ram: DataView) => void {
    const random = this.#random;
    const order = this.#order;
    const [a, b] = [random.below(PAGES), random.below(PAGES)];
    [order[a], order[b]] = [order[b] ?? 0, order[a] ?? 0];
    const now = [...order];
    const isWhole = random.oneIn(2);
    return ({ hart }, ram) => {
      for (let at = 0; at < REPEATS * PAGES; at++) {
        map(ram, at, now[at % PAGES] ?? 0);
        if (!isWhole) hart.fence('sfence.vma', WINDOW + BigInt(at * PAGE), BigInt(PAGE));
      }
      if (isWhole) hart.fence('sfence.vma');
    };
  }
}

/** The bytes of one instruction or a few. */
function encode(text: string, offset: number): Uint8Array {
  return assemble(text, { base: Number(BASE) + offset }).bytes;
}

function tableEntry(offset: number, bits: bigint): bigint {
  return ((BASE + BigInt(offset)) >> 2n) | bits;
}

/** Puts a page of the code at a place of the window. */
function map(ram: DataView, at: number, page: number): void {
  ram.setBigUint64(LEAVES + at * 8, tableEntry(CODE + page * PAGE, LEAF), true);
}

function write(ram: DataView, offset: number, bytes: Uint8Array): void {
  for (const [i, byte] of bytes.entries()) ram.setUint8(offset + i, byte);
}

/** What does not end in its page ends in the next, and behind the last one comes the first. */
function writeCode(ram: DataView, page: number, offset: number, bytes: Uint8Array): void {
  for (const [i, byte] of bytes.entries()) ram.setUint8(CODE + ((page * PAGE + offset + i) % (PAGES * PAGE)), byte);
}

const OPTIONS: readonly Partial<TranslatorOptions>[] = [
  { traceInterval: 1, threshold: 1, everything: true },
  { traceInterval: 1, threshold: 1 },
  { traceInterval: 13, threshold: 8, leftWeight: 8 },
];

let executed = 0;
let translated = 0;
let invalidated = 0;

it.each(SEEDS)('comes to the same, seed %d', (seed) => {
  let made: RegionTranslator | null = null;
  const machine = new InterpreterMachine('none', (place) => {
    made = new RegionTranslator(place, { batch: 1, urgent: 1, minInsnsPerVisit: 0, ...OPTIONS[seed % OPTIONS.length] });
    return made;
  });
  const machines = [machine, new InterpreterMachine()] as const;
  const [a, b] = machines;
  const program = new Program(seed);
  const image = new Uint8Array(MEMORY_BYTES);
  program.begin(new DataView(image.buffer));
  for (const one of machines) {
    one.load({ image, base: BASE });
    program.start(one);
  }
  const lengths = new ProgramRandom(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const change = program.change();
    const count = 1 + lengths.below(lengths.pick([10, 300, 3000]));
    for (const one of machines) {
      change(one);
      one.step(count);
    }
    expect(compareStates(a.state(), b.state(), IGNORED), `after round ${round}`).toEqual([]);
    const lines = compareMemory(a.memory(0, MEMORY_BYTES), b.memory(0, MEMORY_BYTES), BASE);
    expect(lines, `after round ${round}`).toEqual([]);
  }
  const translator = made as RegionTranslator | null;
  translator?.review();
  executed += Number(a.hart.instret);
  translated += translator?.statistics.executed ?? 0;
  invalidated += translator?.statistics.invalidated ?? 0;
});

it('that was translated mostly, and changed behind the translator', () => {
  expect(translated).toBeGreaterThan(executed / 2);
  expect(invalidated).toBeGreaterThan(SEEDS.length);
});
