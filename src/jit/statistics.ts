/** What a translator has done, for `-d jit` and for tests. */
import { HART_OFFSETS, REGION, REGION_STATUS } from '../hart/state.ts';
import type { Units } from './units.ts';

/** What the counters in the hart's regionExits count. */
const EXITS: readonly (readonly [keyof typeof REGION_STATUS, string])[] = [
  ['bailed', 'for a slow form'],
  ['refused', 'refused'],
  ['missed', 'for a TLB miss'],
  ['noBudget', 'for want of budget'],
  ['gated', 'for NX'],
];

export class Statistics {
  regions = 0;
  /** Of those, compiled for another hart. */
  shared = 0;
  insns = 0;
  modules = 0;
  bytes = 0;
  evicted = 0;
  invalidated = 0;
  traces = 0;
  /** Removed because visits to them were too short. */
  unprofitable = 0;
  /** Visits, and instructions executed in them, as of the last review. */
  visits = 0;
  executed = 0;
  readonly #view: DataView;
  readonly #arena: number;

  constructor(memory: WebAssembly.Memory, arena: number) {
    this.#view = new DataView(memory.buffer);
    this.#arena = arena;
  }

  /** @param units that stand now */
  report(units: Units): string {
    const { regions, shared, insns, modules, bytes, invalidated, unprofitable, evicted } = this;
    const at = this.#arena + HART_OFFSETS.regionExits;
    const count = (status: keyof typeof REGION_STATUS): bigint =>
      this.#view.getBigUint64(at + 8 * REGION_STATUS[status], true);
    const exits = EXITS.map(([status, name]) => `${count(status)} ${name}`);
    const { visits, executed } = this.#executed(units);
    return (
      `jit: ${regions} regions, ${shared} of them another hart's; ${insns} instructions in ${modules} modules of ` +
      `${bytes} bytes, ${units.bytes} of them in place; ` +
      `${invalidated} changed, ${unprofitable} did not pay, ${evicted} made room; ` +
      `${executed} instructions executed in ${visits} visits; exits: ${exits.join(', ')}`
    );
  }

  /** Up to now; of regions that were removed since the last look, the statistics do not have what they did after it. */
  #executed(units: Units): { visits: number; executed: number } {
    let { visits, executed } = this;
    for (const unit of units) {
      for (const entry of unit.entries) {
        const at = units.recordAt(entry);
        visits += this.#view.getUint32(at + REGION.visits, true);
        executed += this.#view.getUint32(at + REGION.insns, true);
      }
    }
    return { visits, executed };
  }
}
