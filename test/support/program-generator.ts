/**
 * The generator of bare-metal test programs: one seed, one program, for any machine that claims to be this hart. It
 * starts in M mode at PROGRAM_BASE, goes through a few sections (M, S or U mode; bare, Sv39, Sv48 or Sv57; protection,
 * delegation, interrupts), writes its registers to the signature and ends by a write to the test finisher.
 *
 * Deterministic on every conforming machine that makes the reference's choices: time and counters are read and
 * forgotten, nothing depends on a TLB, reservations are used at once.
 */

import { csrNumber } from '../../src/isa/csr-names.ts';
import { aiaSettings, emitAiaClear, emitFileSettings } from './program-aia.ts';
import { CodeBuilder } from './program-builder.ts';
import { type Context, place } from './program-context.ts';
import { address, emitHandlers, type Handlers, RETURN_TO_MACHINE } from './program-handlers.ts';
import type { ProgramAia } from './program-imsic.ts';
import { FINISHER, LAYOUT, PROGRAM_BASE, type TestProgram } from './program-layout.ts';
import { PageTables, type Paging } from './program-paging.ts';
import { ProgramRandom } from './program-random.ts';
import { Snippets } from './program-snippets.ts';

export interface ProgramOptions {
  /** Sections; the seed decides each one's mode. */
  readonly sections: number;
  /** Pieces in each section. */
  readonly pieces: number;
  /** Only floating-point pieces, all in M mode. */
  readonly floatOnly: boolean;
  /** Keeps clear of what QEMU does its own way. For machines that are to agree with the reference in all: false. */
  readonly forQemu: boolean;
  /** What the hart has of the AIA: with an IMSIC interrupts come from its files. */
  readonly aia: ProgramAia;
  /** Times that all sections are gone through. */
  readonly rounds: number;
}

const DEFAULTS: ProgramOptions = { sections: 5, pieces: 60, floatOnly: false, forQemu: true, aia: 'none', rounds: 1 };

const SAVE_F = 256;
const SCRATCH = 5;
const MPRV = 1n << 17n;
const TW = 1n << 21n;
const TSR = 1n << 22n;
const FS_DIRTY = 3n << 13n;
/** CSRs that a section does not set. */
const CLEARED: readonly string[] = [
  ...['satp', 'fcsr', 'sepc', 'scause', 'stval', 'mepc', 'mcause', 'mtval', 'mcountinhibit', 'pmpcfg0', 'pmpcfg2'],
  ...Array.from({ length: 16 }, (_, i) => `pmpaddr${i}`),
];
/** Of a protection entry; W without R is reserved, and machines differ in what they make of it. */
const PERMISSIONS = [0, 1, 3, 4, 5, 7] as const;
/** What section code and its pieces may take at most beyond the piece that is just being emitted. */
const CODE_RESERVE_BYTES = 2048;

/** CSR values with which a section starts, in the order in which they are written. */
type Settings = Map<string, bigint>;

export function generateProgram(seed: number, options: Partial<ProgramOptions> = {}): TestProgram {
  return new Generator(seed, { ...DEFAULTS, ...options }).program();
}

class Generator {
  readonly #seed: number;
  readonly #options: ProgramOptions;
  readonly #random: ProgramRandom;
  readonly #image = new Uint8Array(LAYOUT.imageBytes);
  readonly #code: CodeBuilder;
  readonly #tables: PageTables;
  readonly #snippets: Snippets;
  readonly #handlers: Handlers;
  readonly #sections: string[] = [];
  #trace: number = LAYOUT.trace;
  /** A locked entry guards for ever. */
  #locked = false;
  /** The supervisor's handler claims external interrupts; otherwise mvien may keep it out of its file. */
  readonly #supervisorClaims: boolean;

  constructor(seed: number, options: ProgramOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#random = new ProgramRandom(seed);
    this.#code = new CodeBuilder(this.#image, LAYOUT.handlers);
    this.#tables = new PageTables(this.#code, this.#random);
    this.#snippets = new Snippets(this.#code, this.#random);
    const { aia, forQemu } = options;
    this.#supervisorClaims = aia === 'imsic' && (forQemu || this.#random.oneIn(2));
    this.#handlers = emitHandlers(this.#code, { aia, supervisorClaims: this.#supervisorClaims });
    if (this.#code.at > LAYOUT.machineLog) throw new Error('the handlers have outgrown their room');
  }

  program(): TestProgram {
    const code = this.#code;
    code.at = LAYOUT.code;
    code.to('jal', { rd: 0 }, LAYOUT.exitWord + 8);
    code.set32(LAYOUT.exitWord, FINISHER.pass);
    code.at = LAYOUT.exitWord + 8;
    this.#fillData();
    this.#clear();
    for (let i = 1; i < 32; i++) code.li(i, this.#random.hard());
    const start = code.at;
    for (let i = 0; i < this.#options.sections; i++) this.#section(i);
    if (this.#options.rounds > 1) this.#again(start);
    code.setCsr(csrNumber('mscratch'), this.#saveArea(this.#options.sections), SCRATCH);
    code.to('jal', { rd: 0 }, this.#handlers.finish);
    return {
      seed: this.#seed,
      image: this.#image,
      base: PROGRAM_BASE,
      locks: this.#locked,
      sections: this.#sections,
      counts: code.counts,
    };
  }

  /** Back to the first section, so many times; in M mode. */
  #again(start: number): void {
    const code = this.#code;
    const [base, count] = [SCRATCH, SCRATCH + 1];
    code.setCsr(csrNumber('satp'), 0n, SCRATCH);
    code.li(base, address(LAYOUT.rounds));
    code.emit('ld', { rd: count, rs1: base, imm: 0 });
    code.emit('addi', { rd: count, rs1: count, imm: 1 });
    code.emit('sd', { rs2: count, rs1: base, imm: 0 });
    code.emit('sltiu', { rd: count, rs1: count, imm: this.#options.rounds });
    const over = code.forward('beq', { rs1: count, rs2: 0 });
    // Too far for a branch.
    code.li(base, address(start));
    code.emit('jalr', { rd: 0, rs1: base, imm: 0 });
    over();
  }

  /** What a reset leaves undefined. */
  #clear(): void {
    const code = this.#code;
    code.setCsr(csrNumber('mstatus'), FS_DIRTY, SCRATCH);
    for (const csr of CLEARED) code.emit('csrrw', { rd: 0, csr: csrNumber(csr), rs1: 0 });
    for (let f = 0; f < 32; f++) code.emit('fmv.d.x', { rd: f, rs1: 0 });
    if (this.#options.aia !== 'none') emitAiaClear(code, this.#options.aia, SCRATCH);
  }

  #fillData(): void {
    const code = this.#code;
    for (let at = 0; at < LAYOUT.dataBytes; at += 8) code.set64(LAYOUT.data + at, this.#random.hard());
    for (let at = 0; at < LAYOUT.returnsBytes; at += 8) code.set64(LAYOUT.returns + at, 0x8082_8082_8082_8082n);
  }

  #saveArea(section: number): bigint {
    return address(LAYOUT.save + section * LAYOUT.saveBytes);
  }

  #section(index: number): void {
    const random = this.#random;
    const { floatOnly } = this.#options;
    const mode = floatOnly ? 'm' : random.pick(['m', 'm', 's', 's', 'u'] as const);
    const mprv = mode === 'm' && !floatOnly && random.oneIn(4);
    const paged = (mode !== 'm' || mprv) && !random.oneIn(4) && this.#tables.hasRoom;
    const paging = paged ? this.#tables.build(3 + random.below(3), mode === 'u' || (mprv && random.oneIn(2))) : null;
    const guarded = !floatOnly && random.oneIn(4);
    const interrupts = this.#options.forQemu && this.#options.aia === 'none' ? 1n << random.pick([1n, 5n, 9n]) : 0x222n;
    const settings = this.#settings(index, mode, mprv, paging, interrupts);
    if (this.#options.aia !== 'none') this.#addAiaSettings(settings, mode, interrupts);
    const restore = new Map([...settings].map(([name, value]) => [csrNumber(name), value]));
    if (mode === 's') restore.set(csrNumber('sstatus'), settings.get('mstatus') ?? 0n);
    // What program-aia.ts says of QEMU and sie.
    const unstable = this.#options.forQemu ? (settings.get('mvien') ?? 0n) : 0n;
    if (unstable !== 0n) restore.set(csrNumber('sie'), (settings.get('sie') ?? 0n) & ~unstable);
    const edges = this.#enter(index, settings, guarded);
    const context: Context = {
      mode,
      forQemu: this.#options.forQemu,
      aia: this.#options.aia,
      paged,
      interrupts: interrupts & ~unstable,
      mprv,
      guarded: guarded || this.#locked,
      edges,
      mayWait: ((settings.get('mstatus') ?? 0n) & TW) === 0n,
      sretWorks: ((settings.get('mstatus') ?? 0n) & TSR) === 0n,
      oddPages: paging?.oddPages ?? [],
      restore,
      trace: this.#trace,
    };
    this.#sections.push(
      `${mode}${mprv ? ' as another mode' : ''}, ${paging === null ? 'bare' : `Sv${9 * paging.levels + 12}`}${guarded ? ', guarded' : ''}`,
    );
    this.#drop(context, settings);
    this.#body(context);
    this.#trace = context.trace;
  }

  #settings(index: number, mode: 'm' | 's' | 'u', mprv: boolean, paging: Paging | null, interrupts: bigint): Settings {
    const random = this.#random;
    const flag = (bit: number, oneIn: number): bigint => (random.oneIn(oneIn) ? 1n << BigInt(bit) : 0n);
    // SIE, MIE, SUM, MXR, TVM, TW, TSR.
    const fs = mode === 'm' ? FS_DIRTY : BigInt(random.pick([3, 3, 3, 3, 2, 1, 0])) << 13n;
    let mstatus = fs | flag(1, 2) | flag(18, 2) | flag(19, 3) | flag(20, 4) | flag(21, 4);
    if (mode === 'm') mstatus |= flag(3, 2) | (mprv ? MPRV | (BigInt(random.below(2)) << 11n) : 0n);
    // With TSR the supervisor's handler could not return: nothing is delegated then.
    const isDelegating = !random.oneIn(3);
    if (!isDelegating) mstatus |= flag(22, 2);
    const lower = !isDelegating ? 0n : 0xb1ffn & random.bits(16);
    return new Map<string, bigint>([
      ['mscratch', this.#saveArea(index)],
      ['mtvec', address(this.#handlers.machine) | BigInt(random.below(2))],
      ['medeleg', lower],
      ['mideleg', isDelegating ? random.bits(12) & 0x222n : 0n],
      // STCE is always on, and before mip is written: STIP is stimecmp's.
      ['menvcfg', (random.bits(8) & 0xc1n) | flag(61, 2) | (1n << 63n) | random.pick([0n, 0x10n, 0x30n])],
      ['mip', random.bits(12) & 0x222n],
      ['senvcfg', (random.bits(8) & 0xc1n) | random.pick([0n, 0x10n, 0x30n])],
      ['stimecmp', random.oneIn(3) ? 0n : BigInt.asUintN(64, -1n)],
      ['mcounteren', random.bits(3)],
      ['scounteren', random.bits(3)],
      ['stvec', address(this.#handlers.supervisor) | BigInt(random.below(2))],
      ['sscratch', address(LAYOUT.supervisorSave)],
      ['satp', paging?.satp ?? 0n],
      ['mstatus', mstatus],
      ['mie', random.oneIn(2) ? 0n : (random.bits(12) & 0x888n) | interrupts],
    ]);
  }

  #addAiaSettings(settings: Settings, mode: 'm' | 's' | 'u', interrupts: bigint): void {
    const added = aiaSettings(this.#random, {
      mode,
      mideleg: settings.get('mideleg') ?? 0n,
      mip: settings.get('mip') ?? 0n,
      medeleg: settings.get('medeleg') ?? 0n,
      sretWorks: ((settings.get('mstatus') ?? 0n) & TSR) === 0n,
      mayFilterExternal: !this.#supervisorClaims,
      interrupts,
      forQemu: this.#options.forQemu,
    });
    for (const [name, value] of added) settings.set(name, value);
  }

  /** M mode: keeps the f registers of the section before, sets everything up. */
  #enter(index: number, settings: Settings, guarded: boolean): number[] {
    const code = this.#code;
    const random = this.#random;
    code.emit('csrrw', { rd: 0, csr: csrNumber('mie'), rs1: 0 });
    code.emit('csrrw', { rd: 0, csr: csrNumber('satp'), rs1: 0 });
    code.setCsr(csrNumber('mstatus'), FS_DIRTY, SCRATCH);
    code.li(SCRATCH, this.#saveArea(index) + BigInt(SAVE_F));
    for (let f = 0; f < 32; f++) code.emit('fsd', { rs2: f, rs1: SCRATCH, imm: 8 * f });
    for (let i = 0; i < 6; i++) {
      code.li(SCRATCH, random.float(random.pick(['h', 's', 'd'])));
      code.emit('fmv.d.x', { rd: random.below(32), rs1: SCRATCH });
    }
    const edges = this.#protect(guarded);
    const late = ['mstatus', 'mie'];
    for (const [name, value] of settings) if (!late.includes(name)) code.setCsr(csrNumber(name), value, SCRATCH);
    if (this.#options.aia === 'imsic') emitFileSettings(code, random, SCRATCH);
    code.emit('sfence.vma');
    code.li(17, 0n);
    return edges;
  }

  /**
   * The last entry lets everything through; the ones before it guard parts of the data and of the returns. Returns the
   * offsets in the data where something begins or ends.
   */
  #protect(guarded: boolean): number[] {
    const code = this.#code;
    const random = this.#random;
    code.emit('csrrw', { rd: 0, csr: csrNumber('pmpcfg0'), rs1: 0 });
    code.setCsr(csrNumber('pmpaddr15'), (1n << 54n) - 1n, SCRATCH);
    code.setCsr(csrNumber('pmpcfg2'), 0x1fn << 56n, SCRATCH);
    if (!guarded) return [];
    const edges: number[] = [];
    let config = 0n;
    for (let entry = 0; entry < 8; entry++) {
      const inReturns = random.oneIn(4);
      const start = inReturns ? LAYOUT.returns : LAYOUT.data;
      const length = inReturns ? LAYOUT.returnsBytes : LAYOUT.dataBytes;
      const mode = random.pick([0, 1, 2, 3, 3]);
      let offset = random.below(length) & -4;
      let at = address(start + offset) >> 2n;
      if (mode === 3) {
        const bits = random.below(inReturns ? 8 : 12);
        offset &= -(8 << bits);
        at = (address(start + offset) >> 2n) | ((1n << BigInt(bits)) - 1n);
        if (!inReturns) edges.push(offset + (8 << bits));
      }
      if (!inReturns) edges.push(offset);
      const locked = random.oneIn(8) && mode >= (this.#options.forQemu ? 3 : 2) ? 0x80 : 0;
      this.#locked ||= locked !== 0;
      code.setCsr(csrNumber(`pmpaddr${entry}`), at, SCRATCH);
      // An entry that ends a range starts it where the one before ends: in the data as well, or there is no range.
      const isRange = mode === 1 && entry > 0 && !inReturns;
      const permissions = random.pick(PERMISSIONS);
      const effective = mode === 1 && !isRange ? 0 : mode;
      config |= BigInt(permissions | (effective << 3) | locked) << BigInt(8 * entry);
    }
    code.setCsr(csrNumber('pmpcfg0'), config, SCRATCH);
    return edges;
  }

  /** From M mode into the section's mode. */
  #drop(context: Context, settings: Settings): void {
    const code = this.#code;
    const mstatus = settings.get('mstatus') ?? 0n;
    if (context.mode === 'm') {
      code.setCsr(csrNumber('mie'), settings.get('mie') ?? 0n, SCRATCH);
      code.setCsr(csrNumber('mstatus'), mstatus, SCRATCH);
      return;
    }
    const target = code.at + 96;
    const mpp = context.mode === 's' ? 1n << 11n : 0n;
    code.setCsr(csrNumber('mepc'), place(context, target), SCRATCH);
    code.setCsr(csrNumber('mstatus'), mstatus | mpp, SCRATCH);
    code.setCsr(csrNumber('mie'), settings.get('mie') ?? 0n, SCRATCH);
    code.emit('mret');
    while (code.at < target) code.word(1, 2);
  }

  #body(context: Context): void {
    const code = this.#code;
    const limit = LAYOUT.codeEnd - CODE_RESERVE_BYTES;
    for (let i = 0; i < this.#options.pieces && code.at < limit; i++) {
      if (this.#options.floatOnly) this.#snippets.float(context);
      else this.#snippets.any(context);
    }
    if (context.mode === 'm') return;
    // An ecall of U mode may be delegated: S mode's handler passes it on.
    const target = code.at + 96;
    code.li(16, address(target));
    code.li(17, RETURN_TO_MACHINE);
    code.emit('ecall');
    while (code.at < target) code.word(1, 2);
  }
}
