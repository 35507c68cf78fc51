/** Code for the jump cache (JUMP_CACHE in state.ts), by which the run loop goes from one region into the next. */
import type { Code, Label } from '../wasm/code.ts';
import { ARENA, type FieldName, HART_OFFSETS, JUMP_CACHE, REGION } from './state.ts';

export class JumpCache {
  readonly #code: Code;
  readonly #hart: number;
  readonly #pc: number;

  /** @param hart local with the hart's address */
  constructor(code: Code, hart: number) {
    this.#code = code;
    this.#hart = hart;
    this.#pc = code.local('i32');
  }

  #load(field: FieldName): Code {
    return this.#code.get(this.#hart).memory('i32.load', HART_OFFSETS[field]);
  }

  #loadLong(field: FieldName): Code {
    return this.#code.get(this.#hart).memory('i64.load', HART_OFFSETS[field]);
  }

  /** Sets a local to where the region at the pc is, if it is there. */
  find(entry: number): void {
    const code = this.#code;
    const shift = Math.log2(JUMP_CACHE.entryBytes) - 1;
    this.#load('pc').tee(this.#pc).i32(shift).op('i32.shl');
    code
      .get(this.#pc)
      .i32(JUMP_CACHE.foldBits - shift)
      .op('i32.shr_u', 'i32.xor');
    code.i32((JUMP_CACHE.entries - 1) * JUMP_CACHE.entryBytes).op('i32.and');
    code.get(this.#hart).op('i32.add').i32(ARENA.jumpCache).op('i32.add').set(entry);
  }

  /** Goes to `miss` unless the region at the pc is there, in place. */
  leaveUnlessHit(entry: number, miss: Label): void {
    const code = this.#code;
    code.get(entry).memory('i64.load', JUMP_CACHE.pc);
    this.#loadLong('pc').op('i64.ne').brIf(miss);
    code.get(entry).memory('i64.load', JUMP_CACHE.epoch);
    this.#loadLong('fetchEpoch').op('i64.ne').brIf(miss);
    code.get(entry).memory('i32.load', JUMP_CACHE.ftlb);
    this.#load('ftlb').op('i32.ne').brIf(miss);
  }

  /** From the record of the region at the pc, just found in its place. */
  fill(entry: number, record: number): void {
    const code = this.#code;
    code.get(entry);
    this.#loadLong('pc').memory('i64.store', JUMP_CACHE.pc).get(entry);
    this.#loadLong('fetchEpoch').memory('i64.store', JUMP_CACHE.epoch).get(entry);
    this.#load('ftlb').memory('i32.store', JUMP_CACHE.ftlb);
    code.get(entry).get(record).memory('i32.store', JUMP_CACHE.record);
    code.get(entry).get(record).memory('i32.load', REGION.entry).memory('i32.store', JUMP_CACHE.entry);
    code.get(entry).get(record).memory('i32.load', REGION.slot).memory('i32.store16', JUMP_CACHE.slot);
    code.get(entry).get(record).memory('i32.load', REGION.minBudget).memory('i32.store16', JUMP_CACHE.minBudget);
  }
}
