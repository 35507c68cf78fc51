/**
 * The reference hart: the architectural state of one RV64 hart as plain bigint fields named like HART_FIELDS
 * (../state.ts), and `step()`, which executes one instruction or takes one trap. Readable rather than fast: no TLB, no
 * decode cache, every access translated anew, every instruction evaluated from its IR.
 *
 * Independent of the fast machine: they share the instruction table and nothing else. Where the specification leaves a
 * choice, it is the one QEMU 10 makes, so that all three can be compared.
 *
 * NOT modelled: the hypervisor and vector extensions, debug triggers, hardware performance counters beyond mcycle and
 * minstret (read as zero), time passing by itself (`mtime` is a field that the owner sets).
 */
import { decode } from '../../isa/decode.ts';
import type { Decoded } from '../../isa/insn.ts';
import { CAUSE, FS_DIRTY, M, MSTATUS, mask64, type Privilege } from './constants.ts';
import { evaluate } from './evaluate.ts';
import { InterruptFile } from './imsic.ts';
import type { ReferenceMemory } from './memory.ts';
import { fetchHalf } from './mmu.ts';
import { PmpRules } from './pmp.ts';
import { enterTrap, pendingInterrupt, pendingSet, Trap } from './privileged.ts';

export interface ReferenceOptions {
  /** Svpbmt: menvcfg.PBMTE is writable. Memory types have no effect here. */
  readonly svpbmt: boolean;
  readonly mhartid: bigint;
  /** Smaia and Ssaia: not there, without an IMSIC, with one. */
  readonly aia: 'none' | 'csrs' | 'imsic';
}

/** What LR read, and where. */
export interface Reservation {
  readonly gpa: bigint;
  readonly sizeBytes: number;
  readonly value: bigint;
}

/** What a step did: an instruction retired, a trap was entered, or the hart stands in WFI. */
export type StepResult = 'retired' | 'trapped' | 'waiting';

export class ReferenceHart {
  readonly memory: ReferenceMemory;
  readonly options: ReferenceOptions;

  x: bigint[] = new Array<bigint>(32).fill(0n);
  f: bigint[] = new Array<bigint>(32).fill(0n);
  pc = 0n;
  priv: Privilege = M;
  mstatus = 0n;
  medeleg = 0n;
  mideleg = 0n;
  mie = 0n;
  /** Software-written bits and the levels of the lines; see mipRead for what Sstc adds. */
  mip = 0n;
  mtvec = 0n;
  mscratch = 0n;
  mepc = 0n;
  mcause = 0n;
  mtval = 0n;
  mcounteren = 0n;
  mcountinhibit = 0n;
  menvcfg = 0n;
  stvec = 0n;
  sscratch = 0n;
  sepc = 0n;
  scause = 0n;
  stval = 0n;
  scounteren = 0n;
  senvcfg = 0n;
  satp = 0n;
  stimecmp = mask64(-1n);
  miselect = 0n;
  siselect = 0n;
  mvien = 0n;
  /** The SSIP of its own that mvip has while mvien's is set. */
  mvip = 0n;
  /** The bits of its own that sie has where mvien is set and mideleg is not. */
  sie = 0n;
  /** The interrupt files, with an IMSIC. */
  readonly files: { readonly m: InterruptFile; readonly s: InterruptFile } | null;
  pmpaddr: bigint[] = new Array<bigint>(16).fill(0n);
  pmpcfg: bigint[] = [0n, 0n];
  /** What pmpaddr and pmpcfg say; to be told of every change. */
  readonly pmp = new PmpRules();
  fflags = 0n;
  frm = 0n;
  mcycle = 0n;
  minstret = 0n;
  mtime = 0n;
  waiting = false;
  /** The reservation, if one is held. */
  reservation: Reservation | null = null;

  /** The instruction being executed: 16 or 32 bits. Goes to mtval when it is illegal. */
  instruction = 0n;
  nextPc = 0n;
  #trapped: Trap | null = null;

  constructor(memory: ReferenceMemory, options: Partial<ReferenceOptions> = {}) {
    this.memory = memory;
    this.options = { svpbmt: true, mhartid: 0n, aia: 'none', ...options };
    this.files = this.options.aia === 'imsic' ? { m: new InterruptFile(), s: new InterruptFile() } : null;
  }

  /** The trap the last step entered, if it did. */
  get lastTrap(): Trap | null {
    return this.#trapped;
  }

  /** Executes one instruction, or enters one trap instead. */
  step(): StepResult {
    this.#trapped = null;
    if (this.waiting) {
      if (pendingSet(this) === 0n) return 'waiting';
      this.waiting = false;
    }
    if (this.takeInterrupt()) return 'trapped';
    try {
      evaluate(this, this.#fetch());
    } catch (error) {
      if (error instanceof Trap) return this.#trap(error);
      throw error;
    }
    this.pc = this.nextPc;
    if ((this.mcountinhibit & 1n) === 0n) this.mcycle = mask64(this.mcycle + 1n);
    if ((this.mcountinhibit & 4n) === 0n) this.minstret = mask64(this.minstret + 1n);
    return 'retired';
  }

  /** Enters the handler of the most urgent interrupt that is pending and enabled; false if there is none. */
  takeInterrupt(): boolean {
    const interrupt = pendingInterrupt(this);
    if (interrupt === null) return false;
    this.waiting = false;
    this.#trap(interrupt);
    return true;
  }

  /** @throws Trap always: the current instruction is illegal. */
  illegal(): never {
    throw new Trap(CAUSE.illegal, this.instruction);
  }

  setX(register: number, value: bigint): void {
    if (register !== 0) this.x[register] = mask64(value);
  }

  setF(register: number, value: bigint): void {
    this.f[register] = mask64(value);
    this.mstatus |= FS_DIRTY;
  }

  /** Accrues exception flags. */
  raise(flags: bigint): void {
    if (flags === 0n) return;
    this.fflags |= flags;
    this.mstatus |= FS_DIRTY;
  }

  requireFp(): void {
    if ((this.mstatus & MSTATUS.fs) === 0n) this.illegal();
  }

  #trap(trap: Trap): StepResult {
    this.#trapped = trap;
    enterTrap(this, trap);
    return 'trapped';
  }

  /** Fetches in halves: the second may lie on another page, or not be needed. */
  #fetch(): Decoded {
    let word = fetchHalf(this, this.pc);
    if ((word & 3n) === 3n) word |= fetchHalf(this, mask64(this.pc + 2n)) << 16n;
    this.instruction = word;
    this.nextPc = mask64(this.pc + ((word & 3n) === 3n ? 4n : 2n));
    return decode(Number(word)) ?? this.illegal();
  }
}
