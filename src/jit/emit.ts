/**
 * A region as a WebAssembly function `(hart, count) -> REGION_STATUS`.
 *
 * The guest's registers that the region uses are locals: loaded at entry, those that it writes stored at each exit.
 * `count` is what is left of the slice; a block takes its instructions off it where it begins. At the entry and at each
 * loop's head there must be enough left for the longest way to the next such place, or the region is left: so no
 * instruction is executed that the slice does not hold, and none is counted that was not executed.
 *
 * Each instruction is lowered from its one definition by src/hart/lower-fast.ts; where that bails out, the region is
 * left in front of the instruction with REGION_STATUS.bailed.
 */
import { type FastContext, lowerEffects, pushDataEntry, pushMisses } from '../hart/lower-fast.ts';
import { REGION_TYPE } from '../hart/run-loop.ts';
import { DTLB, FP_GATE, FTLB, HART_OFFSETS, REGION_STATUS } from '../hart/state.ts';
import { bodyOperand, type Decoded } from '../isa/insn.ts';
import type { Node } from '../isa/ir.ts';
import type { Code, Label } from '../wasm/code.ts';
import type { Module } from '../wasm/module.ts';
import { PAGE_BYTES } from './guest-code.ts';
import { flowOf, registersOf, roundingOf } from './instructions.ts';
import { type NarrowRegisters, narrowFacts, narrowRegisters, passNarrow } from './narrow-registers.ts';
import { createPageCaches, type PageCache } from './page-caches.ts';
import type { Block, Region, RegionInsn } from './region.ts';
import { pushExitAt, pushExitInsns, pushExitStatus, sideExit } from './side-exit.ts';
import { type Structure, structure } from './structure.ts';

const [HART, COUNT] = [0, 1];

export interface Emitted {
  /** The function's index in the module. */
  readonly index: number;
  /** Instructions that must be left for the region to be entered. */
  readonly minBudget: number;
  readonly insns: number;
}

export interface EmitOptions {
  /** With NX clear, floating-point results that are exact are computed here too. */
  readonly checksExact: boolean;
  /** Function of the module that fills the fetch TLB. */
  readonly fetches: number;
  /** Functions of the module that fill the data TLB; null where a miss is a side exit. */
  readonly refills: { readonly toRead: number; readonly toWrite: number } | null;
}

export function emitRegion(module: Module, region: Region, options: EmitOptions): Emitted {
  const { index, code } = module.function(REGION_TYPE);
  const emitter = new RegionEmitter(code, region, options);
  emitter.emit();
  return { index, minBudget: emitter.budgetAt(0), insns: emitter.insns };
}

class RegionEmitter {
  readonly #code: Code;
  readonly #region: Region;
  readonly #options: EmitOptions;
  readonly #structure: Structure;
  readonly #x = new Map<number, number>();
  readonly #f = new Map<number, number>();
  readonly #writtenX = new Set<number>();
  readonly #writtenF = new Set<number>();
  readonly #base: number;
  readonly #dtlb: number;
  /** Where the region checks that: whether NX is clear. */
  readonly #inexactClear: number;
  /** Side exits: where and how far. */
  readonly #exit: number;
  readonly #exitPc: number;
  readonly #status: number;
  #caches: ReadonlyMap<string, PageCache> = new Map();
  readonly #labels = new Map<number, Label>();
  /** By their heads, the outermost first. */
  readonly #loops = new Map<number, readonly Label[]>();
  readonly #budgets = new Map<number, number>();
  #leave: Label = { depth: 0 };
  #side: Label = { depth: 0 };
  /** Registers that hold narrow values, where each block begins and now. */
  readonly #narrowAt: ReadonlyMap<number, NarrowRegisters>;
  #narrow = new Set<number>();
  /** FP_GATE bits that were found set in this block. */
  #gate = 0;

  constructor(code: Code, region: Region, options: EmitOptions) {
    this.#code = code;
    this.#region = region;
    this.#options = options;
    this.#structure = structure({ entry: 0, successors: (at) => this.#successors(at) });
    this.#base = code.local('i64');
    this.#dtlb = code.local('i32');
    this.#inexactClear = code.local('i32');
    this.#exit = code.local('i32');
    this.#exitPc = code.local('i64');
    this.#status = code.local('i32');
    this.#measure();
    this.#narrowAt = narrowRegisters(
      this.#structure.order,
      (at) => this.#block(at),
      (at) => this.#successors(at),
    );
  }

  get insns(): number {
    return this.#structure.order.reduce((sum, at) => sum + this.#block(at).insns.length, 0);
  }

  /** Instructions on the longest way from a block to the next loop's head. */
  budgetAt(at: number): number {
    return this.#budgets.get(at) ?? 0;
  }

  #block(at: number): Block {
    const block = this.#region.blocks.get(at);
    if (block === undefined) throw new Error(`no block at ${at}`);
    return block;
  }

  #successors(at: number): number[] {
    const { end } = this.#block(at);
    const targets =
      end.kind === 'jump'
        ? [end.to]
        : end.kind === 'branch'
          ? [end.otherwise, end.taken]
          : end.kind === 'indirect'
            ? end.guesses
            : [];
    return targets.filter((to) => this.#region.blocks.has(to));
  }

  #measure(): void {
    const { order, isLoop, isBackEdge, isBroken } = this.#structure;
    for (const at of order.toReversed()) {
      // The instruction that a block bails out at is executed by the run loop: the slice must hold it as well.
      let longest = this.#block(at).end.kind === 'bail' ? 1 : 0;
      for (const to of this.#successors(at)) {
        if (isBroken(at, to) || isBackEdge(at, to) || isLoop(to)) continue;
        longest = Math.max(longest, this.budgetAt(to));
      }
      this.#budgets.set(at, longest + this.#block(at).insns.length);
    }
  }

  emit(): void {
    const code = this.#code;
    this.#allocate();
    this.#checkPages();
    this.#load();
    this.#leave = code.block();
    this.#side = code.block();
    this.#tree(0);
    code.op('unreachable');
    code.end(); // side
    pushExitAt(code, this.#exit);
    code.get(this.#base).op('i64.add').set(this.#exitPc);
    code.get(COUNT);
    pushExitInsns(code, this.#exit);
    code.op('i32.add').set(COUNT);
    pushExitStatus(code, this.#exit);
    code.set(this.#status);
    code.end(); // leave
    this.#store();
    code.get(this.#status);
  }

  // Entry and exit.

  #allocate(): void {
    const code = this.#code;
    const use = (file: Map<number, number>, type: 'i64' | 'f64', number: number): void => {
      if (!file.has(number)) file.set(number, code.local(type));
    };
    for (const at of this.#structure.order) {
      for (const { decoded } of this.#block(at).insns) {
        const { x, f, writesX, writesF } = registersOf(decoded.insn.body);
        for (const operand of [...x, ...writesX]) {
          const number = bodyOperand(decoded, operand);
          if (number !== 0) use(this.#x, 'i64', number);
          if (number !== 0 && writesX.includes(operand)) this.#writtenX.add(number);
        }
        for (const operand of [...f, ...writesF]) {
          const number = bodyOperand(decoded, operand);
          use(this.#f, 'f64', number);
          if (writesF.includes(operand)) this.#writtenF.add(number);
        }
      }
    }
  }

  /** The entry's own page is the one that the run loop has come through. */
  #checkPages(): void {
    const code = this.#code;
    code.get(HART).memory('i64.load', HART_OFFSETS.pc).set(this.#base);
    const [page, entry, removed] = [code.local('i64'), code.local('i32'), code.local('i32')];
    const pushEntry = (): void => {
      code
        .get(page)
        .op('i32.wrap_i64')
        .i32(12 - Math.log2(FTLB.entryBytes))
        .op('i32.shr_u');
      code.i32((FTLB.entries - 1) * FTLB.entryBytes).op('i32.and');
      code.get(HART).memory('i32.load', HART_OFFSETS.ftlb).op('i32.add');
    };
    const pushIsOther = (decodedPage: number): void => {
      pushEntry();
      code.tee(entry).memory('i64.load', FTLB.tag);
      code.get(page).op('i64.ne').get(entry).memory('i32.load', FTLB.page).i32(decodedPage).op('i32.ne', 'i32.or');
    };
    const pushRemoved = (): Code => code.get(HART).memory('i32.load', HART_OFFSETS.regionsRemoved);
    for (const [distance, decodedPage] of this.#region.pages) {
      if (distance === 0) continue;
      code.get(this.#base).i64(-4096n).op('i64.and');
      code
        .i64(BigInt(distance * PAGE_BYTES))
        .op('i64.add')
        .set(page);
      pushIsOther(decodedPage);
      code.if();
      // It may only have been forgotten. Looking it up compares it with RAM, and may find that this region is none.
      pushRemoved().set(removed);
      code.get(page).call(this.#options.fetches);
      pushIsOther(decodedPage);
      pushRemoved().get(removed).op('i32.ne', 'i32.or').if();
      this.#giveBack();
      code.i32(REGION_STATUS.refused).op('return').end();
      code.end();
    }
  }

  #load(): void {
    const code = this.#code;
    code.get(HART).memory('i32.load', HART_OFFSETS.dtlb).set(this.#dtlb);
    if (this.#options.checksExact) {
      code.get(HART).memory('i32.load', HART_OFFSETS.fpGate).i32(FP_GATE.fast).op('i32.and', 'i32.eqz');
      code.set(this.#inexactClear);
    }
    for (const [number, local] of this.#x)
      code
        .get(HART)
        .memory('i64.load', HART_OFFSETS.x + 8 * number)
        .set(local);
    for (const [number, local] of this.#f)
      code
        .get(HART)
        .memory('f64.load', HART_OFFSETS.f + 8 * number)
        .set(local);
    this.#caches = createPageCaches(code, HART, this.#cacheKeys());
  }

  #store(): void {
    const code = this.#code;
    for (const number of this.#writtenX) {
      code
        .get(HART)
        .get(this.#x.get(number) ?? 0)
        .memory('i64.store', HART_OFFSETS.x + 8 * number);
    }
    for (const number of this.#writtenF) {
      code
        .get(HART)
        .get(this.#f.get(number) ?? 0)
        .memory('f64.store', HART_OFFSETS.f + 8 * number);
    }
    code.get(HART).get(this.#exitPc).memory('i64.store', HART_OFFSETS.pc);
    this.#giveBack();
  }

  #giveBack(): void {
    const code = this.#code;
    code.get(HART).get(HART).memory('i32.load', HART_OFFSETS.remaining).get(COUNT).op('i32.add');
    code.memory('i32.store', HART_OFFSETS.remaining);
  }

  /** Leaves with everything done, to go on at an offset from the entry. */
  #leaveFor(at: number): void {
    this.#pushPc(at);
    this.#code.set(this.#exitPc).br(this.#leave);
  }

  #pushPc(at: number): void {
    this.#code.get(this.#base);
    if (at !== 0) this.#code.i64(BigInt(at)).op('i64.add');
  }

  // Control flow.

  #tree(at: number): void {
    const code = this.#code;
    const merges = this.#structure.mergesBelow(at);
    if (!this.#structure.isLoop(at)) return this.#within(at, merges);
    const loops = Array.from({ length: this.#structure.loopsAt(at) }, () => code.loop());
    this.#loops.set(at, loops);
    code.get(COUNT).i32(this.budgetAt(at)).op('i32.lt_s').if();
    this.#leaveFor(at);
    code.end();
    this.#within(at, merges);
    for (const _ of loops) code.end();
  }

  #within(at: number, merges: readonly number[]): void {
    const [merge, ...others] = merges;
    if (merge === undefined) return this.#emitBlock(at);
    this.#labels.set(merge, this.#code.block());
    this.#within(at, others);
    this.#code.end();
    this.#tree(merge);
  }

  #go(from: number, to: number): void {
    const { isBroken, isBackEdge, isMerge, loopOf } = this.#structure;
    if (!this.#region.blocks.has(to) || isBroken(from, to)) return this.#leaveFor(to);
    const isBack = isBackEdge(from, to);
    const label = isBack ? this.#loops.get(to)?.[loopOf(from, to)] : isMerge(to) ? this.#labels.get(to) : undefined;
    if (label !== undefined) this.#code.br(label);
    else this.#tree(to);
  }

  #emitBlock(at: number): void {
    const code = this.#code;
    const { insns, end } = this.#block(at);
    this.#gate = 0;
    this.#narrow = new Set(this.#narrowAt.get(at));
    code.get(COUNT).i32(insns.length).op('i32.sub').set(COUNT);
    for (const [i, insn] of insns.entries()) this.#insn(insn, insns.length - i);
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
        for (const guess of end.guesses) {
          code.get(this.#exitPc);
          this.#pushPc(guess);
          code.op('i64.eq').if();
          this.#go(at, guess);
          code.end();
        }
        code.br(this.#leave);
        return;
      case 'bail':
        code.i32(sideExit(end.at, 0)).set(this.#exit).br(this.#side);
    }
  }

  // Instructions.

  /** Lowers one; a condition is left on the stack, a computed target in exitPc. @param left of the block, with it */
  #insn(insn: RegionInsn, left: number): void {
    const code = this.#code;
    code.scope(() => {
      const { jump, values } = lowerEffects(this.#context(insn, left), insn.decoded.insn.body);
      if (jump === null) return;
      if (jump.kind === 'branch') values.push(jump.cond);
      else if (flowOf(insn.decoded).kind === 'indirect') {
        values.push(jump.target);
        code.set(this.#exitPc);
      }
    });
    passNarrow(insn.decoded, this.#narrow);
  }

  #context({ at, decoded }: RegionInsn, left: number): FastContext {
    const code = this.#code;
    const number = (operand: string): number => bodyOperand(decoded, operand);
    const leaveIf = (exit: number): void => {
      code.i32(exit).set(this.#exit).brIf(this.#side);
    };
    const bailIf = (): void => leaveIf(sideExit(at, left));
    const missIf = (): void => leaveIf(sideExit(at, left, 'missed'));
    return {
      code,
      callRuntime: null,
      narrow: narrowFacts(decoded, this.#narrow),
      x: (operand) => {
        if (number(operand) === 0) code.i64(0n);
        else code.get(this.#x.get(number(operand)) ?? 0);
      },
      f: (operand) => {
        code.get(this.#f.get(number(operand)) ?? 0).op('i64.reinterpret_f64');
      },
      imm: (operand) => {
        code.i64(BigInt(number(operand)));
      },
      pc: () => this.#pushPc(at),
      nextPc: () => this.#pushPc(at + decoded.insn.length),
      bailIf,
      write: (file, operand, push) => {
        push();
        if (file === 'x') code.set(this.#x.get(number(operand)) ?? 0);
        else code.op('f64.reinterpret_i64').set(this.#f.get(number(operand)) ?? 0);
      },
      hostAddress: (va, size, tag, addr) => this.#hostAddress(decoded, { va, size, tag, addr }, missIf),
      requireFp: (bit) => {
        if ((this.#gate & bit) === bit) return;
        code.get(HART).memory('i32.load', HART_OFFSETS.fpGate).i32(bit).op('i32.and', 'i32.eqz');
        leaveIf(sideExit(at, left, bit === FP_GATE.fast ? 'gated' : 'bailed'));
        this.#gate |= IMPLIED_GATE[bit] ?? bit;
      },
      pushInexactClear: this.#options.checksExact ? () => void code.get(this.#inexactClear) : undefined,
      isX0: (operand) => number(operand) === 0,
      ...roundingOf(decoded),
    };
  }

  // Memory.

  /** Accesses in loops keep the page that they met last, one for each base register and kind of access. */
  #cacheKeys(): Set<string> {
    const { order, isInLoop } = this.#structure;
    const keys = new Set<string>();
    for (const { decoded } of order.filter(isInLoop).flatMap((at) => this.#block(at).insns)) {
      for (const effect of decoded.insn.body.effects) {
        if (effect.op !== 'load' && effect.op !== 'store' && effect.op !== 'amo') continue;
        const key = cacheKey(decoded, effect.addr, effect.op === 'load' ? DTLB.readTag : DTLB.writeTag);
        if (key !== null) keys.add(key);
      }
    }
    return keys;
  }

  #hostAddress(
    decoded: Decoded,
    { va, size, tag, addr }: { va: number; size: number; tag: number; addr: Node },
    missIf: () => void,
  ): void {
    const code = this.#code;
    const key = cacheKey(decoded, addr, tag);
    const cache = key === null ? undefined : this.#caches.get(key);
    if (cache === undefined) {
      this.#pushAddend({ va, size, tag }, missIf);
      code.get(va).op('i32.wrap_i64', 'i32.add');
      return;
    }
    // Misaligned accesses never hit, so that one which crosses the page's end does not.
    code
      .get(va)
      .i64(-4096n | BigInt(size - 1))
      .op('i64.and');
    cache.pushTag();
    code.op('i64.ne').if();
    const page = (): void => void code.get(va).i64(-4096n).op('i64.and');
    cache.set(page, () => this.#pushAddend({ va, size, tag }, missIf));
    code.end();
    code.get(va).op('i32.wrap_i64');
    cache.pushAddend();
    code.op('i32.add');
  }

  /** From the data TLB. On a miss it is left to the run loop, or filled here: V8 takes no call to be rare. */
  #pushAddend({ va, size, tag }: { va: number; size: number; tag: number }, missIf: () => void): void {
    const code = this.#code;
    const entry = pushDataEntry(code, this.#dtlb, va);
    pushMisses(code, entry, { va, size, tag });
    const { refills } = this.#options;
    if (refills === null) missIf();
    else {
      code.if();
      code.get(va).call(tag === DTLB.readTag ? refills.toRead : refills.toWrite);
      pushMisses(code, entry, { va, size, tag });
      missIf();
      code.end();
    }
    code.get(entry).memory('i32.load', DTLB.addend);
  }
}

/** What a gate bit that is set says of the others (FP_GATE). */
const IMPLIED_GATE: Readonly<Record<number, number>> = {
  [FP_GATE.on]: FP_GATE.on,
  [FP_GATE.dirty]: FP_GATE.on | FP_GATE.dirty,
  [FP_GATE.exact]: FP_GATE.on | FP_GATE.dirty | FP_GATE.exact,
  [FP_GATE.fast]: FP_GATE.on | FP_GATE.dirty | FP_GATE.exact | FP_GATE.fast,
};

/** Names the register that an address is computed from, and the kind of access. */
function cacheKey(decoded: Decoded, addr: Node, tag: number): string | null {
  const base = addr.kind === 'binary' && addr.op === 'add' ? addr.a : addr;
  return base.kind === 'x' ? `${bodyOperand(decoded, base.operand)} ${tag}` : null;
}
