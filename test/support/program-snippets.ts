/** The pieces of which generated programs consist. */

import { csrNumber } from '../../src/isa/csr-names.ts';
import { bodyOperand } from '../../src/isa/insn.ts';
import { findInsn } from '../../src/isa/table.ts';
import { AIA_CSR_NUMBERS, emitAiaPiece } from './program-aia.ts';
import type { CodeBuilder } from './program-builder.ts';
import { type Context, place } from './program-context.ts';
import { COUNTERS, CSR_CHOICES, csrValue, isUncomparable } from './program-csrs.ts';
import {
  BRANCHES,
  baseOf,
  COMPUTE,
  COMPUTE_32,
  FLOAT,
  formatsOf,
  InsnPicker,
  MEMORY,
  MEMORY_GUARDED,
  registersRead,
  writesX,
} from './program-insns.ts';
import { LAYOUT, NOWHERE, PROGRAM_BASE, USER_WINDOW } from './program-layout.ts';
import type { ProgramRandom } from './program-random.ts';

const STI = 1n << 5n;
const RESERVE_SIZES = ['w', 'd'] as const;
/** Registers that pieces use for addresses and counters; any will do, but x0 to x4 and x16, x17 have other uses. */
const SCRATCH = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];

export class Snippets {
  readonly #code: CodeBuilder;
  readonly #random: ProgramRandom;
  readonly #picker: InsnPicker;

  constructor(code: CodeBuilder, random: ProgramRandom) {
    this.#code = code;
    this.#random = random;
    this.#picker = new InsnPicker(random);
  }

  /** Emits one piece. */
  any(context: Context): void {
    const weighted: readonly (readonly [number, (context: Context) => void])[] = [
      [30, () => this.compute()],
      [26, () => this.float(context)],
      [context.paged || context.guarded ? 40 : 18, () => this.memory(context)],
      [4, () => this.reserve(context)],
      [6, () => this.branch()],
      [3, () => this.jump(context)],
      [3, () => this.loop()],
      [8, () => this.csr(context)],
      [3, () => this.trap()],
      [3, () => this.system(context)],
      [2, () => this.selfModify(context)],
      [3, () => this.fetchOdd(context)],
      [1, () => this.changeMode(context)],
      [context.aia === 'none' ? 0 : 30, () => emitAiaPiece(this.#code, this.#random, context, this.#distinct([]))],
    ];
    let left = this.#random.below(weighted.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, emit] of weighted) {
      left -= weight;
      if (left < 0) {
        emit(context);
        return;
      }
    }
  }

  /** An integer instruction, its sources set to something hard now and then. */
  compute(avoid = 0): void {
    const decoded = this.#picker.choose(COMPUTE, (candidate) => avoid === 0 || !writesX(candidate, avoid));
    for (const operand of decoded.insn.operands) {
      const register = decoded.operands[operand.name] ?? 0;
      if (!operand.name.startsWith('rs') || register === 0 || register === avoid) continue;
      if (this.#random.oneIn(2)) this.#code.li(register, this.#random.hard());
    }
    this.#code.decoded(decoded);
  }

  /** A floating-point instruction on hard operands, its result and flags kept in the trace. */
  float(context: Context): void {
    const random = this.#random;
    const code = this.#code;
    const decoded = this.#picker.choose(FLOAT);
    const formats = formatsOf(decoded.insn);
    for (const { operand, node } of registersRead(decoded.insn)) {
      const register = bodyOperand(decoded, operand);
      if (random.oneIn(5)) continue;
      if (node === 'f') {
        const scratch = random.pick(SCRATCH);
        code.li(scratch, random.float(random.oneIn(12) ? random.pick(['h', 's', 'd']) : random.pick(formats)));
        code.emit('fmv.d.x', { rd: register, rs1: scratch });
      } else if (register !== 0) {
        code.li(register, random.hard());
      }
    }
    if (random.oneIn(3)) {
      const mode = random.oneIn(8) ? 5 + random.below(3) : random.below(5);
      code.emit('csrrwi', { rd: 0, csr: csrNumber('frm'), uimm: mode });
    }
    code.emit('csrrwi', { rd: 0, csr: csrNumber('fflags'), uimm: 0 });
    code.decoded(decoded);
    const at = this.#traceSlot(context, 16);
    if (at === null) return;
    const rd = bodyOperand(decoded, 'rd');
    const [base, flags] = this.#distinct([rd]);
    code.li(base, place(context, at));
    const toF = decoded.insn.body.commits.some((commit) => commit.kind === 'setF');
    code.emit(toF ? 'fsd' : 'sd', { rs2: rd, rs1: base, imm: 0 });
    code.emit('csrrs', { rd: flags, csr: csrNumber('fcsr'), rs1: 0 });
    code.emit('sd', { rs2: flags, rs1: base, imm: 8 });
  }

  /** A load, store, AMO or cache-block operation somewhere in the data, or where it faults. */
  memory(context: Context): void {
    const choices = context.guarded ? MEMORY_GUARDED : MEMORY;
    const decoded = this.#picker.choose(choices, (candidate) => baseOf(candidate).register !== 0);
    const { register, displacement, sizeBytes } = baseOf(decoded);
    // QEMU reads before it writes: an AMO to a page that is not writable is another fault, and marks the page.
    const isAtomic = decoded.insn.body.effects.some((effect) => effect.op === 'amo');
    const target = this.#dataAddress(isAtomic && context.forQemu ? { ...context, oddPages: [] } : context, sizeBytes);
    this.#code.li(register, BigInt.asUintN(64, target - displacement));
    this.#code.decoded(decoded);
  }

  /** LR and SC on the same bytes, with something in between now and then, or an SC alone. */
  reserve(context: Context): void {
    const random = this.#random;
    const code = this.#code;
    const size = random.pick(RESERVE_SIZES);
    const bytes = size === 'w' ? 4 : 8;
    const [base, loaded, stored] = this.#distinct([]);
    code.li(base, this.#dataAddress(context, bytes) & ~BigInt(bytes - 1));
    const order = { aq: random.below(2), rl: random.below(2) };
    if (random.oneIn(10)) {
      // Misaligned: LR traps. SC would too, but QEMU looks at the reservation first.
      code.emit('addi', { rd: base, rs1: base, imm: 1 });
      code.emit(`lr.${size}`, { rd: loaded, rs1: base, ...order });
      return;
    }
    if (random.oneIn(8)) {
      code.emit(`sc.${size}`, { rd: stored, rs1: base, rs2: loaded, ...order });
      return;
    }
    code.emit(`lr.${size}`, { rd: loaded, rs1: base, ...order });
    if (random.oneIn(4)) code.emit(`s${size}`, { rs1: base, rs2: random.pick(SCRATCH), imm: 0 });
    else if (random.oneIn(2)) code.emit('addi', { rd: loaded, rs1: loaded, imm: 1 });
    if (!context.forQemu && random.oneIn(8)) {
      // Other bytes, or fewer or more of them: nothing is stored. QEMU compares addresses alone.
      if (random.oneIn(2)) code.emit('xori', { rd: base, rs1: base, imm: 8 });
      code.emit(`sc.${random.pick(RESERVE_SIZES)}`, { rd: stored, rs1: base, rs2: loaded, ...order });
      return;
    }
    code.emit(`sc.${size}`, { rd: stored, rs1: base, rs2: loaded, ...order });
    if (random.oneIn(3)) code.emit(`sc.${size}`, { rd: stored, rs1: base, rs2: loaded, ...order });
  }

  /** A conditional branch over a few instructions. */
  branch(): void {
    const random = this.#random;
    const code = this.#code;
    const insn = random.pick(BRANCHES);
    const decoded = this.#picker.choose([insn]);
    for (const operand of insn.operands) {
      const register = decoded.operands[operand.name] ?? 0;
      if (operand.kind === 'reg' && register !== 0 && random.oneIn(2)) code.li(register, random.hard());
    }
    const arrive = code.forward(insn.name, decoded.operands);
    code.count(insn);
    for (let i = random.below(3); i >= 0; i--) this.compute();
    arrive();
  }

  /** A jump over garbage. */
  jump(context: Context): void {
    const random = this.#random;
    const code = this.#code;
    const kind = random.pick(['jal', 'c.j', 'jalr', 'c.jr', 'c.jalr'] as const);
    const link = random.below(32);
    const [base] = this.#distinct([]);
    const garbage = (): void => {
      for (let i = random.below(3); i >= 0; i--) code.word(Number(random.bits(16)), 2);
    };
    if (kind === 'jal' || kind === 'c.j') {
      const arrive = code.forward(kind, kind === 'jal' ? { rd: link } : {});
      garbage();
      arrive();
      return;
    }
    // The target is behind the constant's own code: build it for a fixed distance.
    const displacement = kind === 'jalr' ? random.below(2048) * 2 - 2048 : 0;
    const from = code.at;
    const target = from + 80;
    const odd = random.oneIn(4) && kind === 'jalr' ? 1n : 0n;
    code.li(base, BigInt.asUintN(64, place(context, target) - BigInt(displacement) + odd));
    if (kind === 'jalr') code.emit('jalr', { rd: link, rs1: base, imm: displacement });
    else code.emit(kind, { rs1: base });
    while (code.at < target) code.word(Number(random.bits(16)), 2);
  }

  /** A few rounds of a loop. */
  loop(): void {
    const random = this.#random;
    const code = this.#code;
    const [counter] = this.#distinct([]);
    code.li(counter, BigInt(2 + random.below(4)));
    const start = code.at;
    for (let i = random.below(4); i >= 0; i--) this.compute(counter);
    code.emit('addi', { rd: counter, rs1: counter, imm: -1 });
    code.to('bne', { rs1: counter, rs2: 0 }, start);
  }

  /** An access to a CSR, real or not; what the program depends on is put back. */
  csr(context: Context): void {
    const random = this.#random;
    const code = this.#code;
    const name = random.pick(['csrrw', 'csrrs', 'csrrc', 'csrrwi', 'csrrsi', 'csrrci'] as const);
    const csr = this.#csrNumber(context);
    const [rd, rs1] = this.#distinct([]);
    const destination = random.oneIn(5) ? 0 : rd;
    // A small number would turn paging off, or Sstc.
    const immediate = name.endsWith('i') && csr !== csrNumber('satp') && csr !== csrNumber('menvcfg');
    const value = csrValue(csr, random.oneIn(6) ? 0n : random.hard(), context, name.startsWith('csrrw'));
    if (immediate) {
      const uimm = Number(csrValue(csr, BigInt(random.oneIn(4) ? 0 : random.below(32)), context, name === 'csrrwi'));
      code.emit(name, { rd: destination, csr, uimm: uimm & 31 });
    } else {
      code.li(rs1, value);
      const plain = name.replace(/i$/, '');
      code.emit(plain, { rd: destination, csr, rs1: random.oneIn(6) && plain !== 'csrrw' ? 0 : rs1 });
    }
    if (COUNTERS.has(csr) || csr === csrNumber('sip')) code.emit('addi', { rd, rs1: 0, imm: 0 });
    const restored = context.restore.get(csr);
    if (restored === undefined) return;
    code.emit('csrrs', { rd, csr, rs1: 0 });
    code.setCsr(csr, restored, rs1);
  }

  /** ecall, ebreak, or something illegal. */
  trap(): void {
    const random = this.#random;
    const code = this.#code;
    switch (random.below(4)) {
      case 0:
        return code.emit('ecall');
      case 1:
        return code.emit(random.pick(['ebreak', 'c.ebreak']));
      default: {
        const length = random.pick([2, 4] as const);
        const word = this.#picker.illegalWord(length);
        return code.word(word, length);
      }
    }
  }

  /** Fences, hints, waits that end at once. */
  system(context: Context): void {
    const random = this.#random;
    const code = this.#code;
    // sfence.w.inval and sfence.inval.ir are illegal in U mode, but not in QEMU's. Where TW makes wrs.nto illegal, QEMU
    // does not say which instruction it was.
    const name = random.pick([
      ...(context.mode === 'u' ? [] : (['sfence.w.inval', 'sfence.inval.ir'] as const)),
      ...(context.mode === 'm' || context.mayWait ? (['wrs.nto'] as const) : []),
      'fence',
      'fence.tso',
      'fence.i',
      'pause',
      'sfence.vma',
      'sinval.vma',
      'wrs.sto',
      'wfi',
    ] as const);
    if (name === 'wfi') {
      this.#wfi(context);
      return;
    }
    const insn = findInsn(name);
    if (insn !== undefined) code.decoded(this.#picker.choose([insn]));
  }

  /** Writes an instruction, fences, and executes it; twice, with another in between. */
  selfModify(context: Context): void {
    if (context.mprv) return;
    const code = this.#code;
    const [base, word] = this.#distinct([]);
    // A fixed distance again: patch area of one word behind the code that writes it.
    const patchAt = (code.at + 200) & ~3;
    for (let round = 0; round < 2; round++) {
      const decoded = this.#picker.choose(COMPUTE_32, (candidate) => !writesX(candidate, 1));
      code.li(base, place(context, patchAt));
      code.li(word, BigInt(decoded.word));
      code.emit('sw', { rs2: word, rs1: base, imm: 0 });
      code.emit('fence.i');
      code.li(base, place(context, patchAt));
      code.emit('jalr', { rd: 1, rs1: base, imm: 0 });
      if (code.at > patchAt) throw new Error('self-modifying code has outgrown its room');
    }
    const over = code.forward('jal', { rd: 0 });
    while (code.at < patchAt) code.word(1, 2);
    code.emit('addi');
    code.emit('jalr', { rd: 0, rs1: 1, imm: 0 });
    over();
  }

  /** Jumps to data, to nothing, or to an odd page; what cannot be fetched goes on behind the jump. */
  fetchOdd(context: Context): void {
    const code = this.#code;
    const random = this.#random;
    const [base] = this.#distinct([1]);
    let target: bigint;
    if (random.oneIn(4)) {
      target = NOWHERE + BigInt(random.below(1024) * 2);
    } else if (context.mprv || context.guarded) {
      target = place(context, LAYOUT.returns + 2 * random.below(LAYOUT.returnsBytes / 2));
    } else {
      // Either a return at the end of a page, or an instruction that crosses into the next page and a return there.
      const crossing = random.oneIn(2);
      const inPage = crossing ? 0xffe : 0xffc;
      this.#stubs(context, crossing);
      const odd = context.paged && context.mode !== 'm' && !random.oneIn(3);
      const page = odd ? random.pick(context.oddPages) : place(context, LAYOUT.data + 0x1000 * random.below(15));
      target = (page & ~0xfffn) + BigInt(inPage);
    }
    code.li(base, target);
    code.emit('jalr', { rd: 1, rs1: base, imm: 0 });
  }

  /** mret to M, or sret to S or U, right behind itself. */
  changeMode(context: Context): void {
    const code = this.#code;
    const random = this.#random;
    if (context.mode === 'u' || context.mprv) return;
    const [scratch] = this.#distinct([]);
    const machine = context.mode === 'm';
    const drop = !machine && context.sretWorks && random.oneIn(2);
    const next: Context = { ...context, mode: drop ? 'u' : context.mode };
    const from = code.at;
    const target = from + 80;
    code.li(scratch, place(next, target));
    code.emit('csrrw', { rd: 0, csr: csrNumber(machine ? 'mepc' : 'sepc'), rs1: scratch });
    const field = machine ? 3n << 11n : 1n << 8n;
    code.li(scratch, field);
    code.emit(drop ? 'csrrc' : 'csrrs', { rd: 0, csr: csrNumber(machine ? 'mstatus' : 'sstatus'), rs1: scratch });
    code.emit(machine ? 'mret' : 'sret');
    while (code.at < target) code.word(1, 2);
    context.mode = next.mode;
  }

  #wfi(context: Context): void {
    const code = this.#code;
    if (context.mode !== 'm') {
      // With TW or in U mode it is illegal; otherwise it needs something pending, which S mode cannot be sure of.
      if (context.mode === 'u') code.emit('wfi');
      return;
    }
    const [scratch] = this.#distinct([]);
    // STIP cannot be written.
    const writable = context.interrupts & ~STI;
    if (writable === 0n) return;
    // Taken, it would be disabled, and not wake anything.
    code.emit('csrrci', { rd: 0, csr: csrNumber('mstatus'), uimm: 8 });
    code.li(scratch, writable);
    code.emit('csrrs', { rd: 0, csr: csrNumber('mip'), rs1: scratch });
    code.emit('csrrs', { rd: 0, csr: csrNumber('mie'), rs1: scratch });
    code.emit('wfi');
    code.emit('csrrc', { rd: 0, csr: csrNumber('mip'), rs1: scratch });
  }

  /** Puts the same stub into every data page, so that a jump to any alias of any of them comes back. */
  #stubs(context: Context, crossing: boolean): void {
    const code = this.#code;
    const [base, half, step, end] = this.#distinct([1]);
    const shortReturn = 0x8082;
    // addi x0, x0, imm in two halves.
    const stores: readonly (readonly [number, number])[] = crossing
      ? [
          [0xffe, 0x0013],
          [0x000, this.#random.below(2048) << 4],
          [0x002, shortReturn],
        ]
      : [[0xffc, shortReturn]];
    const middle = 0x800;
    code.li(base, place(context, LAYOUT.data + middle));
    code.li(end, place(context, LAYOUT.data + LAYOUT.dataBytes));
    code.li(step, 4096n);
    const start = code.at;
    for (const [at, value] of stores) {
      code.li(half, BigInt(value));
      code.emit('sh', { rs2: half, rs1: base, imm: at - middle });
    }
    code.emit('add', { rd: base, rs1: base, rs2: step });
    code.to('bltu', { rs1: base, rs2: end }, start);
    code.emit('fence.i');
  }

  /** An address in the data, aligned or not, across pages or not, or one that faults. */
  #dataAddress(context: Context, sizeBytes: number): bigint {
    const random = this.#random;
    const offset = this.#dataOffset(context, sizeBytes);
    const translated = context.paged && (context.mode !== 'm' || context.mprv);
    if (!translated) {
      return random.oneIn(20) ? NOWHERE + BigInt(8 * random.below(512)) : PROGRAM_BASE + BigInt(LAYOUT.data + offset);
    }
    switch (random.below(context.oddPages.length === 0 ? 3 : 8)) {
      case 0:
        return PROGRAM_BASE + BigInt(LAYOUT.data + offset);
      case 1:
        return USER_WINDOW + BigInt(LAYOUT.data + offset);
      case 2:
        // Not canonical, or not mapped.
        return random.pick([1n << 38n, 1n << 47n, 1n << 56n, 1n << 63n, 0n, 0x1234_5000n]) + BigInt(offset & 0xfff);
      default:
        return BigInt.asUintN(64, random.pick(context.oddPages) + BigInt(offset & 0xfff));
    }
  }

  #dataOffset(context: Context, sizeBytes: number): number {
    const random = this.#random;
    const last = LAYOUT.dataBytes - 64;
    // QEMU overlooks a protection range inside of an access, and one that M mode's access is partly in.
    const align = context.forQemu && context.guarded ? -sizeBytes : -1;
    if (context.edges.length > 0 && random.oneIn(2)) {
      const near = random.pick(context.edges) + random.below(24) - 12;
      return Math.min(last, Math.max(0, random.oneIn(2) ? near & align : near & -sizeBytes));
    }
    const offset = random.below(last);
    switch (random.below(4)) {
      case 0:
        return offset & align;
      case 1:
        return Math.min(last, (offset & ~0xfff) + 0x1000 - 1 - random.below(8)) & align;
      default:
        return offset & -sizeBytes;
    }
  }

  #traceSlot(context: Context, lengthBytes: number): number | null {
    const at = context.trace;
    if (at + lengthBytes > LAYOUT.traceEnd) return null;
    context.trace += lengthBytes;
    return at;
  }

  /** Four different scratch registers, none of them among `avoid`. */
  #distinct(avoid: readonly number[]): readonly [number, number, number, number] {
    const free = SCRATCH.filter((register) => !avoid.includes(register));
    const take = (): number => {
      const register = this.#random.pick(free);
      free.splice(free.indexOf(register), 1);
      return register;
    };
    return [take(), take(), take(), take()];
  }

  #csrNumber({ aia, forQemu }: Context): number {
    const random = this.#random;
    if (random.oneIn(6)) {
      const number = random.below(4096);
      const isAia = aia !== 'none' && forQemu && AIA_CSR_NUMBERS.has(number);
      return isUncomparable(number) || isAia ? 0x5c0 : number;
    }
    return random.pick(CSR_CHOICES);
  }
}
