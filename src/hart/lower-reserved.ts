/**
 * LR and SC without calls. The reservation lies in the hart's state: where, how wide, and the value that LR read, which
 * SC compares and exchanges against (assembly/memory.ts, whose deviation this has too).
 */
import type { Code } from '../wasm/code.ts';
import { HART_OFFSETS } from './state.ts';

export interface ReservedAccess {
  /** Local (i32): the hart's arena. */
  readonly hart: number;
  /** Local (i32): the host address, aligned, in RAM, and reachable as LR or SC needs it. */
  readonly host: number;
  readonly size: 4 | 8;
}

/** Reserves the bytes and pushes their value, a word sign-extended. */
export function pushLoadReserved(code: Code, access: ReservedAccess): void {
  const { hart, host, size } = access;
  const value = code.local('i64');
  code.get(host);
  if (size === 8) code.atomic('i64.atomic.load');
  else code.atomic('i32.atomic.load').op('i64.extend_i32_u');
  code.set(value);
  code.get(hart).get(value).memory('i64.store', HART_OFFSETS.reservationValue).get(hart);
  pushOffset(code, access);
  code.memory('i32.store', HART_OFFSETS.reservationOffset);
  code.get(hart).i32(size).memory('i32.store', HART_OFFSETS.reservationSize);
  code.get(hart).i32(1).memory('i32.store', HART_OFFSETS.reservationValid);
  code.get(value);
  if (size === 4) code.op('i64.extend32_s');
}

/** Ends the reservation and pushes SC's result. @param value local (i64) with what is stored */
export function pushStoreConditional(code: Code, access: ReservedAccess, value: number): void {
  const { hart, host, size } = access;
  const expected = code.local('i64');
  code.get(hart).memory('i32.load', HART_OFFSETS.reservationValid);
  code.get(hart).i32(0).memory('i32.store', HART_OFFSETS.reservationValid);
  code.get(hart).memory('i32.load', HART_OFFSETS.reservationOffset);
  pushOffset(code, access);
  code.op('i32.eq', 'i32.and');
  code.get(hart).memory('i32.load', HART_OFFSETS.reservationSize).i32(size).op('i32.eq', 'i32.and');
  code.if('i64');
  code.get(hart).memory('i64.load', HART_OFFSETS.reservationValue).set(expected).get(host);
  if (size === 8) code.get(expected).get(value).atomic('i64.atomic.rmw.cmpxchg');
  else {
    code.get(expected).op('i32.wrap_i64').get(value).op('i32.wrap_i64');
    code.atomic('i32.atomic.rmw.cmpxchg').op('i64.extend_i32_u');
  }
  code.get(expected).op('i64.ne', 'i64.extend_i32_u');
  code.else().i64(1).end();
}

/** Pushes where in guest RAM it is (i32). */
function pushOffset(code: Code, { hart, host }: ReservedAccess): void {
  code.get(host).get(hart).memory('i32.load', HART_OFFSETS.ramHost).op('i32.sub');
}
