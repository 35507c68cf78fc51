/**
 * Instructions in full, with calls into the runtime for whatever may trap, leave or take long. The pc in the hart's
 * state names the instruction; on success it is moved on here.
 */
import { AMO_OPS, type Body, type Effect } from '../isa/ir.ts';
import type { Code } from '../wasm/code.ts';
import { ValueLowering, type ValueSource } from './lower-values.ts';
import { HART_OFFSETS, STATUS } from './state.ts';

export interface SlowContext extends ValueSource {
  readonly code: Code;
  /** Local (i32): the hart's arena. */
  readonly hart: number;
  readonly insnLength: 2 | 4;
  readonly callRuntime: (name: string) => void;
  /** As in FastContext. */
  registerAddress(operand: string): { readonly offset: number };
  isX0(operand: string): boolean;
  /** Pushes the number of a register (i32), or the value of an immediate, to be compared with 0. */
  operandNumber(operand: string): void;
  /** Pushes the static or resolved rounding mode (i32), or leaves with an illegal instruction. */
  roundingMode(): void;
  /** Pushes a fixed rounding mode. */
  fixedRounding(mode: number): void;
}

const CSR_ACCESS = { w: 0, s: 1, c: 2 } as const;
const SFENCE_KIND = { vma: 0, inval: 1, wInval: 2, invalIr: 3 } as const;
const CBO = { inval: 'cboInval', clean: 'cboClean', flush: 'cboFlush', zero: 'cboZero' } as const;

/** Lowers a body to the rest of a function that returns nothing. */
export function lowerSlow(context: SlowContext, body: Body): void {
  const values = new ValueLowering(context.code, context, body);
  for (const effect of body.effects) lowerEffect(context, values, effect);
  commit(context, values, body);
}

/** Whether interrupts and the translation of the pc may have changed behind the instruction. */
function changesMachine(body: Body): boolean {
  return body.effects.some((effect) => effect.op === 'csr' || effect.op === 'system' || effect.op === 'sfenceVma');
}

function lowerEffect(context: SlowContext, values: ValueLowering, effect: Effect): void {
  const { code } = context;
  const checked = (name: string): void => {
    context.callRuntime(name);
    returnUnlessNext(context);
  };
  switch (effect.op) {
    case 'load': {
      values.push(effect.addr);
      code.i32(effect.size);
      context.callRuntime('load');
      if (effect.signed && effect.size < 8) code.op(`i64.extend${(effect.size * 8) as 8 | 16 | 32}_s`);
      values.setResult(effect);
      return returnUnlessNext(context);
    }
    case 'store':
      values.push(effect.addr);
      code.i32(effect.size);
      values.push(effect.value);
      context.callRuntime('store');
      return returnUnlessNext(context);
    case 'lr':
      // In case it releases, as in pushRelease().
      code.atomicFence();
      values.push(effect.addr);
      code.i32(effect.size);
      context.callRuntime('loadReserved');
      values.setResult(effect);
      return returnUnlessNext(context);
    case 'sc':
    case 'amo':
      if (effect.op === 'amo') code.i32(AMO_OPS.indexOf(effect.amo));
      values.push(effect.addr);
      code.i32(effect.size);
      values.push(effect.value);
      context.callRuntime(effect.op === 'amo' ? 'amo' : 'storeConditional');
      values.setResult(effect);
      return returnUnlessNext(context);
    case 'cbo':
      values.push(effect.addr);
      return checked(CBO[effect.kind]);
    case 'requireFp':
      code.i32(0);
      return checked('requireFp');
    case 'csr':
      context.imm(effect.csr);
      code.op('i32.wrap_i64').i32(CSR_ACCESS[effect.access]);
      values.push(effect.source);
      isNotZero(context, effect.readOperand);
      isNotZero(context, effect.writeOperand);
      context.callRuntime('csr');
      values.setResult(effect);
      return returnUnlessNext(context);
    case 'fp':
      return lowerFloat(context, values, effect);
    case 'sfenceVma':
      // Page walks behind it see what the hart's loads before it have seen.
      code.atomicFence();
      values.push(effect.addr);
      values.push(effect.asid);
      isNotZero(context, effect.addrOperand);
      isNotZero(context, effect.asidOperand);
      code.i32(SFENCE_KIND[effect.kind]);
      return checked('sfenceVma');
    case 'illegal':
      return checked('illegal');
    case 'fence':
      code.atomicFence();
      return;
    case 'system':
      return lowerSystem(context, effect.system, checked);
  }
}

function lowerSystem(context: SlowContext, system: string, checked: (name: string) => void): void {
  switch (system) {
    case 'fenceI':
      // The hart may have learnt by a load that another has written code; what is fetched now is read behind it.
      context.code.atomicFence();
      return checked(system);
    case 'wrsNto':
    case 'wrsSto':
      context.code.i32(system === 'wrsSto' ? 1 : 0);
      checked('wrs');
      return checked('stall');
    default:
      return checked(system);
  }
}

function isNotZero(context: SlowContext, operand: string | null): void {
  if (operand === null) {
    context.code.i32(1);
    return;
  }
  context.operandNumber(operand);
  context.code.i32(0).op('i32.ne');
}

function lowerFloat(context: SlowContext, values: ValueLowering, effect: Effect & { op: 'fp' }): void {
  const suffix = effect.from ?? effect.int;
  const name = effect.fp === 'cvtmod' || suffix === null ? effect.fp : `${effect.fp}_${suffix}`;
  for (const arg of effect.args) values.push(arg);
  if (effect.rounding !== null && effect.fp !== 'cvtmod') {
    if ('mode' in effect.rounding) context.fixedRounding(effect.rounding.mode);
    else context.roundingMode();
  }
  context.callRuntime(`${effect.format}_${name}`);
  values.setResult(effect);
}

function returnUnlessNext({ code, hart }: SlowContext): void {
  code.get(hart).memory('i32.load', HART_OFFSETS.status).if();
  code.op('return').end();
}

function commit(context: SlowContext, values: ValueLowering, body: Body): void {
  const { code, hart } = context;
  for (const c of body.commits) {
    if ('value' in c) values.toLocal(c.value);
    if ('target' in c) values.toLocal(c.target);
    if ('cond' in c) values.toLocal(c.cond);
  }
  if (body.commits.some((c) => c.kind === 'setF')) {
    // Dirty only now: an access before this may have trapped.
    code.i32(1);
    context.callRuntime('requireFp');
  }
  for (const c of body.commits) {
    if (c.kind !== 'setX' && c.kind !== 'setF') continue;
    if (c.kind === 'setX' && context.isX0(c.operand)) continue;
    const { offset } = context.registerAddress(c.operand);
    values.push(c.value);
    code.memory('i64.store', offset + HART_OFFSETS[c.kind === 'setX' ? 'x' : 'f']);
  }
  const nextPc = code.local('i64');
  context.nextPc();
  code.set(nextPc);
  let refetch = changesMachine(body);
  for (const c of body.commits) {
    if (c.kind !== 'jump' && c.kind !== 'branch') continue;
    refetch = true;
    values.push(c.target);
    if (c.kind === 'branch') {
      code.get(nextPc);
      values.push(c.cond);
      code.op('select');
    }
    code.set(nextPc);
  }
  code.get(hart).get(nextPc).memory('i64.store', HART_OFFSETS.pc);
  if (refetch) {
    retire(code, hart);
    code.get(hart).i32(STATUS.refetch).memory('i32.store', HART_OFFSETS.status);
    return;
  }
  const opBytes = context.insnLength * 4;
  code.get(hart).get(hart).memory('i32.load', HART_OFFSETS.op).i32(opBytes).op('i32.add');
  code.memory('i32.store', HART_OFFSETS.op);
}

/** Counts the instruction as done. */
export function retire(code: Code, hart: number): void {
  code.get(hart).get(hart).memory('i32.load', HART_OFFSETS.remaining).i32(1).op('i32.sub');
  code.memory('i32.store', HART_OFFSETS.remaining);
}
