/** Code for visits to regions, as the run loop makes them: the call, and what is counted of it. */
import type { Code } from '../wasm/code.ts';
import type { FunctionType } from '../wasm/module.ts';
import { type FieldName, HART_OFFSETS, JUMP_CACHE, REGION, REGION_STATUS, REGION_STATUS_BITS } from './state.ts';

/**
 * `region(hart, count, entry)`: runs at most `count` instructions, from one of its entries (REGION.entry) on. Returns its
 * REGION_STATUS in the lowest REGION_STATUS_BITS, above them how many instructions are left.
 */
export const REGION_TYPE: FunctionType = { parameters: ['i32', 'i32', 'i32'], results: ['i32'] };

/** Statuses that a record has a counter of. */
const COUNTERS = [
  [REGION_STATUS.missed, REGION.misses],
  [REGION_STATUS.gated, REGION.gated],
] as const;

export class RegionVisits {
  readonly #code: Code;
  readonly #hart: number;
  readonly #table: { readonly regions: number; readonly regionType: number };
  readonly #answer: number;
  readonly #left: number;

  /** @param hart local with the hart's address @param table of regions, and their type */
  constructor(code: Code, hart: number, table: { readonly regions: number; readonly regionType: number }) {
    this.#code = code;
    this.#hart = hart;
    this.#table = table;
    this.#answer = code.local('i32');
    this.#left = code.local('i32');
  }

  /**
   * One visit, through an entry of the jump cache (local). Sets the local `status`, and takes what was executed off
   * `slice`, one too.
   */
  run(entry: number, record: number, { slice, status }: { readonly slice: number; readonly status: number }): void {
    const code = this.#code;
    const { regions, regionType } = this.#table;
    code.get(this.#hart).get(slice).get(entry).memory('i32.load', JUMP_CACHE.entry);
    code.get(entry).memory('i32.load16_u', JUMP_CACHE.slot).callIndirect(regionType, regions);
    const statusMask = (1 << REGION_STATUS_BITS) - 1;
    code.tee(this.#answer).i32(statusMask).op('i32.and').set(status);
    code.get(this.#answer).i32(REGION_STATUS_BITS).op('i32.shr_u').set(this.#left);
    // Both counters at once.
    code.get(record).get(record).memory('i64.load', REGION.visits);
    code.get(slice).get(this.#left).op('i32.sub', 'i64.extend_i32_u');
    code
      .i64(8 * (REGION.insns - REGION.visits))
      .op('i64.shl', 'i64.add')
      .i64(1)
      .op('i64.add');
    code.memory('i64.store', REGION.visits);
    code.get(this.#left).set(slice);
  }

  /** Of a visit that ended in a status other than `left`. */
  countEnd(record: number, status: number): void {
    const code = this.#code;
    this.countExit(status);
    for (const [reason, counter] of COUNTERS) {
      code.get(status).i32(reason).op('i32.eq').if();
      this.count(record, counter);
      code.end();
    }
  }

  /** In the record, one more of what the counter there counts. */
  count(record: number, counter: number): void {
    const code = this.#code;
    code.get(record).get(record).memory('i32.load', counter).i32(1).op('i32.add').memory('i32.store', counter);
  }

  countExit(status: number): void {
    const code = this.#code;
    const counter = code.local('i32');
    code.get(this.#hart).get(status).i32(8).op('i32.mul', 'i32.add').tee(counter).get(counter);
    code.memory('i64.load', HART_OFFSETS.regionExits).i64(1n).op('i64.add');
    code.memory('i64.store', HART_OFFSETS.regionExits);
  }

  /** Pushes whether a region's pages may be in other places than when that was last looked at. */
  pushIsElsewhere(record: number): void {
    const code = this.#code;
    code.get(record).memory('i64.load', REGION.epoch);
    this.#load('i64.load', 'fetchEpoch').op('i64.ne');
    code.get(record).memory('i64.load', REGION.pc);
    this.#load('i64.load', 'pc').op('i64.ne', 'i32.or');
    code.get(record).memory('i32.load', REGION.ftlb);
    this.#load('i32.load', 'ftlb').op('i32.ne', 'i32.or');
  }

  #load(kind: 'i32.load' | 'i64.load', field: FieldName): Code {
    return this.#code.get(this.#hart).memory(kind, HART_OFFSETS[field]);
  }
}
