/**
 * A region as a WebAssembly function (REGION_TYPE).
 *
 * The guest's registers that the region uses are locals (register-plan.ts). The run loop has seen to it that its pages
 * are where they were. `count` is what is left of the slice; a block takes its instructions off it where it begins. At
 * the entries, once in each round of a loop and where the dispatcher goes along an edge there must be enough left for the
 * longest way to the next such place, or the region is left: so no instruction is executed that the slice does not hold, and none
 * is counted that was not executed.
 *
 * Each instruction is lowered from its one definition by src/hart/lower-fast.ts; where that bails out, the region is
 * left in front of the instruction with REGION_STATUS.bailed.
 */
import { type FastContext, lowerEffects } from '../hart/lower-fast.ts';
import { REGION_TYPE } from '../hart/region-visits.ts';
import { FP_GATE, HART_OFFSETS, REGION_STATUS_BITS } from '../hart/state.ts';
import { bodyOperand } from '../isa/insn.ts';
import type { Code, Label } from '../wasm/code.ts';
import type { Module } from '../wasm/module.ts';
import { flowOf, roundingOf } from './instructions.ts';
import { MemoryAccess, type Refills } from './memory-access.ts';
import { type Block, type Region, type RegionInsn, successorsOf } from './region.ts';
import { entryNode, entryOf, isEntryNode, pushEntryAt, pushEntryIndex } from './region-entry.ts';
import { type Facts, NO_FACTS, narrowFacts, passFacts, registerFacts } from './register-facts.ts';
import { planRegisters, type RegisterPlan, readBy } from './register-plan.ts';
import { fRegister, isFloat, numberOf, type Register, RegisterSet, xRegister } from './register-set.ts';
import { pushExitAt, pushExitInsns, pushExitStatus, sideExit } from './side-exit.ts';
import { DISPATCHER, type Structure, structure } from './structure.ts';

const [HART, COUNT, ENTRY] = [0, 1, 2];

export interface Emitted {
  /** The function's index in the module. */
  readonly index: number;
  /** Instructions that must be left for the region to be entered, at each of its entries. */
  readonly minBudgets: readonly number[];
  readonly insns: number;
}

export interface EmitOptions {
  /** With NX clear, floating-point results that are exact are computed here too. */
  readonly checksExact: boolean;
  /** Whether the host's relaxed_madd rounds once. */
  readonly hasFused: boolean;
  /** Whether the host has total store order. */
  readonly hasTso: boolean;
  /** Null where a miss of the data TLB is a side exit. */
  readonly refills: Refills | null;
  /** Index of the imported function. */
  readonly readTime: number;
}

/** A region without its pages: what the run loop sees to. */
export type RegionCode = Pick<Region, 'entries' | 'blocks'>;

export function emitRegion(module: Module, region: RegionCode, options: EmitOptions): Emitted {
  const { index, code } = module.function(REGION_TYPE);
  const emitter = new RegionEmitter(code, region, options);
  emitter.emit();
  return { index, minBudgets: region.entries.map((at) => emitter.budgetAt(at)), insns: emitter.insns };
}

class RegionEmitter {
  readonly #code: Code;
  readonly #region: RegionCode;
  readonly #options: EmitOptions;
  readonly #structure: Structure;
  /** Those that are reached, in reverse postorder. */
  readonly #blocks: readonly Block[];
  readonly #registers: RegisterPlan;
  /** Their locals. */
  readonly #locals = new Map<Register, number>();
  /** Registers that are in their locals now, and those of them that the hart does not have yet. */
  #available = RegisterSet.none;
  #dirty = RegisterSet.none;
  /** Those that stay so until the tight loop is left. */
  #kept = RegisterSet.none;
  /** Where the region checks that: whether NX is clear. */
  readonly #inexactClear: number;
  /** Side exits: where and how far. */
  readonly #exit: number;
  readonly #exitPc: number;
  /** From the entry to where a computed jump goes. */
  readonly #distance: number;
  readonly #status: number;
  readonly #memory: MemoryAccess;
  readonly #labels = new Map<number, Label>();
  /** By their heads, the outermost first. */
  readonly #loops = new Map<number, readonly Label[]>();
  readonly #checks: ReadonlySet<number>;
  readonly #budgets = new Map<number, number>();
  /** Where the dispatcher goes next: an index of what it dispatches to. */
  readonly #next: number;
  readonly #brokenTargets: ReadonlySet<number>;
  #dispatcher: Label = { depth: 0 };
  #leave: Label = { depth: 0 };
  #side: Label = { depth: 0 };
  /** What is known where each block begins, and now. */
  readonly #factsAt: ReadonlyMap<number, Facts>;
  #facts = NO_FACTS;
  /** Of a region that computes with f registers: FP_GATE bits. */
  readonly #gate: number;

  constructor(code: Code, region: RegionCode, options: EmitOptions) {
    this.#code = code;
    this.#region = region;
    this.#options = options;
    const { entries } = region;
    this.#structure = structure({
      entries: entries.map((_, i) => entryNode(i)),
      successors: (at) => this.#successors(at),
      heat: (at) => region.blocks.get(at)?.heat ?? 0,
    });
    const { order, dispatched } = this.#structure;
    this.#brokenTargets = new Set(dispatched.slice(entries.length));
    this.#blocks = order.filter((at) => !isEntryNode(at)).map((at) => this.#block(at));
    const { isBroken } = this.#structure;
    this.#registers = planRegisters(
      this.#blocks,
      this.#structure,
      (at) => this.#successors(at).filter((to) => !isBroken(at, to)),
      [...entries, ...this.#brokenTargets],
    );
    this.#registers.used.forEach((register) => {
      this.#locals.set(register, code.local(isFloat(register) ? 'f64' : 'i64'));
    });
    this.#next = code.local('i32');
    this.#memory = new MemoryAccess(code, options.refills);
    this.#gate = code.local('i32');
    this.#inexactClear = code.local('i32');
    this.#exit = code.local('i64');
    this.#exitPc = code.local('i64');
    this.#distance = code.local('i64');
    this.#status = code.local('i32');
    this.#checks = this.#findChecks();
    for (const { at } of this.#blocks) this.#measure(at);
    this.#factsAt = registerFacts(
      [...entries, ...this.#brokenTargets],
      (at) => this.#block(at),
      (at) => this.#successors(at),
      options.checksExact,
    );
  }

  get insns(): number {
    return this.#blocks.reduce((sum, { insns }) => sum + insns.length, 0);
  }

  /** Instructions on the longest way from a block to where the budget is looked at next. */
  budgetAt(at: number): number {
    return this.#budgets.get(at) ?? 0;
  }

  #block(at: number): Block {
    const block = this.#region.blocks.get(at);
    if (block === undefined) throw new Error(`no block at ${at}`);
    return block;
  }

  #successors(at: number): number[] {
    if (isEntryNode(at)) return [this.#region.entries[entryOf(at)] ?? 0];
    return successorsOf(this.#region.blocks, at);
  }

  /**
   * Where the budget is looked at: once in each round of a loop, and where the dispatcher goes. A region that is left there
   * is entered anew with the next slice, or another one is, where a region begins: where guest code jumps back to. That is
   * a loop's head, or, where a loop is entered in its middle, the block in front of it.
   */
  #findChecks(): ReadonlySet<number> {
    const { isBackEdge, isBroken, isLoop } = this.#structure;
    const checks = new Set(this.#brokenTargets);
    for (const { at: head } of this.#blocks) {
      if (!isLoop(head)) continue;
      const latches = this.#blocks.filter(({ at }) => {
        return isBackEdge(at, head) && !isBroken(at, head) && this.#successors(at).includes(head);
      });
      const [latch] = latches;
      const isEnteredInside = latches.length === 1 && latch?.end.kind === 'jump' && latch.at < head;
      checks.add(isEnteredInside ? latch.at : head);
    }
    return checks;
  }

  #measure(at: number): number {
    const known = this.#budgets.get(at);
    if (known !== undefined) return known;
    const { insns, end } = this.#block(at);
    // The instruction that a block bails out at is executed by the run loop: the slice must hold it as well.
    let longest = end.kind === 'bail' ? 1 : 0;
    for (const to of this.#successors(at)) {
      if (this.#structure.isBroken(at, to) || this.#checks.has(to)) continue;
      longest = Math.max(longest, this.#measure(to));
    }
    this.#budgets.set(at, longest + insns.length);
    return longest + insns.length;
  }

  emit(): void {
    const code = this.#code;
    this.#prepare();
    this.#leave = code.block();
    this.#side = code.block();
    this.#begin();
    code.op('unreachable');
    code.end(); // side
    pushExitAt(code, this.#exit);
    this.#pushPc(0);
    code.op('i64.add').set(this.#exitPc);
    code.get(COUNT);
    pushExitInsns(code, this.#exit);
    code.op('i32.add').set(COUNT);
    pushExitStatus(code, this.#exit);
    code.set(this.#status);
    code.end(); // leave
    code.get(HART).get(this.#exitPc).memory('i64.store', HART_OFFSETS.pc);
    code.get(COUNT).i32(REGION_STATUS_BITS).op('i32.shl').get(this.#status).op('i32.or');
  }

  // Entry and exit.

  /** While a region runs, state.pc is the address of its first entry. */
  #prepare(): void {
    const code = this.#code;
    if (this.#region.entries.length > 1) {
      code.get(HART);
      this.#pushPc(0);
      pushEntryAt(code, ENTRY);
      code.op('i64.sub').memory('i64.store', HART_OFFSETS.pc);
    }
    this.#memory.begin(HART);
    // It changes where an instruction writes a CSR, which none does that is translated.
    if (this.#registers.used.hasFloat) code.get(HART).memory('i32.load', HART_OFFSETS.fpGate).set(this.#gate);
    if (this.#options.checksExact) {
      code.get(this.#gate).i32(FP_GATE.fast).op('i32.and', 'i32.eqz');
      code.set(this.#inexactClear);
    }
  }

  #load(registers: RegisterSet): void {
    const code = this.#code;
    registers.forEach((register) => {
      const at = isFloat(register) ? HART_OFFSETS.f : HART_OFFSETS.x;
      code.get(HART).memory(isFloat(register) ? 'f64.load' : 'i64.load', at + 8 * numberOf(register));
      code.set(this.#localOf(register));
    });
  }

  /** Before a way out, or on to another block. */
  #putBack(registers: RegisterSet): void {
    const code = this.#code;
    registers.forEach((register) => {
      const at = isFloat(register) ? HART_OFFSETS.f : HART_OFFSETS.x;
      code.get(HART).get(this.#localOf(register));
      code.memory(isFloat(register) ? 'f64.store' : 'i64.store', at + 8 * numberOf(register));
    });
  }

  #putBackBut(kept: RegisterSet): void {
    this.#putBack(this.#dirty.difference(kept));
    this.#dirty = this.#dirty.intersection(kept);
  }

  #localOf(register: Register): number {
    return this.#locals.get(register) ?? 0;
  }

  /** Leaves with everything done and put back, to go on at an offset from the entry. */
  #leaveFor(at: number): void {
    this.#pushPc(at);
    this.#code.set(this.#exitPc).br(this.#leave);
  }

  /**
   * The address at an offset from the entry. From memory: of a local the engine would compute all such addresses at the
   * beginning, and keep them.
   */
  #pushPc(at: number): void {
    this.#code.get(HART).memory('i64.load', HART_OFFSETS.pc);
    if (at !== 0) this.#code.i64(at).op('i64.add');
  }

  // Control flow.

  #begin(): void {
    const code = this.#code;
    const { root, mergesBelow } = this.#structure;
    if (root === DISPATCHER) {
      pushEntryIndex(code, ENTRY);
      code.set(this.#next);
      if (this.#brokenTargets.size > 0) this.#dispatcher = code.loop();
    }
    this.#memory.forgetPages(
      this.#blocks.filter(({ at }) => this.#structure.isInLoop(at)),
      (at) => this.#registers.tightLoopOf(at) !== undefined,
    );
    if (root !== DISPATCHER) return this.#tree(root);
    this.#within(DISPATCHER, mergesBelow(DISPATCHER));
    if (this.#brokenTargets.size > 0) code.end();
  }

  #dispatch(): void {
    const labels = this.#structure.dispatched.map((at) => this.#labels.get(at) ?? this.#leave);
    this.#code.get(this.#next).brTable(labels.slice(0, -1), labels.at(-1) ?? this.#leave);
  }

  #tree(at: number): void {
    const code = this.#code;
    const merges = this.#structure.mergesBelow(at);
    const count = this.#structure.loopsAt(at);
    const isTight = this.#registers.tightLoopOf(at)?.head === at;
    const loops = Array.from({ length: count }, (_, i) => {
      if (isTight && i === count - 1) this.#load(this.#registers.loadedBefore(at));
      return code.loop();
    });
    this.#loops.set(at, loops);
    if (this.#checks.has(at)) {
      code.get(COUNT).i32(this.budgetAt(at)).op('i32.lt_s').unlikely().if();
      this.#putBack(this.#registers.tightLoopOf(at)?.written ?? RegisterSet.none);
      this.#leaveFor(at);
      code.end();
    }
    this.#within(at, merges);
    for (const _ of loops) code.end();
  }

  #within(at: number, merges: readonly number[]): void {
    const [merge, ...others] = merges;
    if (merge === undefined) return at === DISPATCHER ? this.#dispatch() : this.#emitBlock(at);
    this.#labels.set(merge, this.#code.block());
    this.#within(at, others);
    this.#code.end();
    this.#tree(merge);
  }

  #go(from: number, to: number): void {
    const { isBroken, isBackEdge, isMerge, loopOf } = this.#structure;
    const isOut = !this.#region.blocks.has(to) || (isBroken(from, to) && !this.#brokenTargets.has(to));
    const loop = this.#registers.tightLoopOf(from);
    const goesRound = !isBroken(from, to) && this.#registers.tightLoopOf(to) === loop;
    if (loop !== undefined && (isOut || !goesRound)) this.#putBack(loop.written);
    if (isOut) return this.#leaveFor(to);
    if (isBroken(from, to)) {
      this.#code.i32(this.#structure.dispatched.indexOf(to)).set(this.#next).br(this.#dispatcher);
      return;
    }
    const isBack = isBackEdge(from, to);
    const label = isBack ? this.#loops.get(to)?.[loopOf(from, to)] : isMerge(to) ? this.#labels.get(to) : undefined;
    if (label !== undefined) this.#code.br(label);
    else this.#tree(to);
  }

  #emitBlock(at: number): void {
    const code = this.#code;
    if (isEntryNode(at)) {
      const [to = 0] = this.#successors(at);
      return this.#go(at, to);
    }
    const { insns, end } = this.#block(at);
    const loop = this.#registers.tightLoopOf(at);
    this.#available = this.#registers.availableAt(at);
    this.#kept = loop?.written ?? RegisterSet.none;
    this.#dirty = this.#kept;
    this.#facts = this.#factsAt.get(at) ?? NO_FACTS;
    code.get(COUNT).i32(insns.length).op('i32.sub').set(COUNT);
    for (const [i, insn] of insns.entries()) this.#insn(insn, insns.length - i);
    this.#putBackBut(this.#kept);
    switch (end.kind) {
      case 'jump':
        return this.#go(at, end.to);
      case 'branch':
        if (end.taken === end.otherwise) {
          code.op('drop');
          return this.#go(at, end.taken);
        }
        code.if();
        this.#go(at, end.taken);
        code.else();
        this.#go(at, end.otherwise);
        code.end().op('unreachable');
        return;
      case 'indirect':
        if (end.guesses.length > 0) {
          code.get(this.#exitPc);
          this.#pushPc(0);
          code.op('i64.sub').set(this.#distance);
        }
        for (const guess of end.guesses) {
          code.get(this.#distance).i64(guess).op('i64.eq').if();
          this.#go(at, guess);
          code.end();
        }
        this.#putBack(loop?.written ?? RegisterSet.none);
        code.br(this.#leave);
        return;
      case 'bail':
        this.#putBack(loop?.written ?? RegisterSet.none);
        code.i64(sideExit(end.at, 0)).set(this.#exit).br(this.#side);
    }
  }

  // Instructions.

  /**
   * Lowers one; a condition is left on the stack, a computed target in exitPc. What may leave the region finds everything
   * put back but what a tight loop keeps: on each way out it would have to be emitted again.
   * @param left of the block, with it
   */
  #insn(insn: RegionInsn, left: number): void {
    const code = this.#code;
    if (insn.decoded.insn.body.effects.length > 0) this.#putBackBut(this.#kept);
    const read = readBy(insn.decoded);
    this.#load(read.difference(this.#available));
    this.#available = this.#available.union(read);
    code.scope(() => {
      const { jump, values } = lowerEffects(this.#context(insn, left), insn.decoded.insn.body);
      if (jump === null) return;
      if (jump.kind === 'branch') values.push(jump.cond);
      else if (flowOf(insn.decoded).kind === 'indirect') {
        values.push(jump.target);
        code.set(this.#exitPc);
      }
    });
    this.#facts = passFacts(insn.decoded, this.#facts, this.#options.checksExact);
  }

  #context({ at, decoded }: RegionInsn, left: number): FastContext {
    const code = this.#code;
    const number = (operand: string): number => bodyOperand(decoded, operand);
    const leaveIf = (exit: bigint): void => {
      if (this.#dirty.isEmpty) {
        code.i64(exit).set(this.#exit).unlikely().brIf(this.#side);
        return;
      }
      code.unlikely().if();
      this.#putBack(this.#dirty);
      code.i64(exit).set(this.#exit).br(this.#side).end();
    };
    const bailIf = (): void => leaveIf(sideExit(at, left));
    const missIf = (): void => leaveIf(sideExit(at, left, 'missed'));
    return {
      code,
      hart: HART,
      callRuntime: null,
      narrow: narrowFacts(decoded, this.#facts),
      x: (operand) => {
        if (number(operand) === 0) code.i64(0);
        else code.get(this.#localOf(xRegister(number(operand))));
      },
      f: (operand) => {
        code.get(this.#localOf(fRegister(number(operand)))).op('i64.reinterpret_f64');
      },
      imm: (operand) => {
        code.i64(number(operand));
      },
      pc: () => this.#pushPc(at),
      nextPc: () => this.#pushPc(at + decoded.insn.length),
      bailIf,
      write: (file, operand, push) => {
        push();
        if (file === 'f') code.op('f64.reinterpret_i64');
        const register = (file === 'x' ? xRegister : fRegister)(number(operand));
        code.set(this.#localOf(register));
        this.#dirty = this.#dirty.with(register);
        this.#available = this.#available.with(register);
      },
      hostAddress: (va, size, tag, addr) => this.#memory.pushHostAddress(decoded, { va, size, tag, addr }, missIf),
      requireFp: (bit) => {
        if ((this.#facts.gate & bit) !== 0) return;
        code.get(this.#gate).i32(bit).op('i32.and', 'i32.eqz');
        leaveIf(sideExit(at, left, bit === FP_GATE.fast ? 'gated' : 'bailed'));
      },
      pushInexactClear: this.#options.checksExact ? () => void code.get(this.#inexactClear) : undefined,
      isX0: (operand) => number(operand) === 0,
      constant: number,
      floats: {
        single: (operand) => this.#pushSingle(fRegister(number(operand)), bailIf),
        areSame: (a, b) => number(a) === number(b),
      },
      hasFused: this.#options.hasFused,
      hasTso: this.#options.hasTso,
      readTime: () => void code.call(this.#options.readTime),
      ...roundingOf(decoded),
    };
  }

  /** The lower half of its local; the upper half must be all ones. */
  #pushSingle(register: Register, bailIf: () => void): void {
    const code = this.#code;
    const local = this.#localOf(register);
    if (!this.#facts.registers.has(register)) {
      code.get(local).op('i64.reinterpret_f64').i64(32).op('i64.shr_u', 'i32.wrap_i64').i32(-1).op('i32.ne');
      bailIf();
    }
    code.get(local).vector('f64x2.splat', 'f32x4.extract_lane');
  }
}
