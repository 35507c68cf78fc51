/**
 * Platform-level interrupt controller: gateways, priorities, and per context enables, threshold, claim and complete.
 * Source: RISC-V Platform-Level Interrupt Controller specification 1.0.0; `sifive,plic-1.0.0` as on QEMU's virt.
 *
 * Contexts are numbered as QEMU does: hart 0 M, hart 0 S, hart 1 M, hart 1 S, ... Every source is level-triggered: its
 * gateway forwards one request, which stays pending until claimed even when the wire falls, and forwards the next at
 * completion when the wire is still high. A completion for a source that the context has not enabled is ignored.
 * Not modelled: edge-triggered gateways; accesses of other widths than 4 read 0 and write nothing (QEMU: bus fault).
 */
import { type AccessSize, type DeviceCore, defineDevice, type IrqLine } from '../../src/actor/device-core.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { elementAt, registerTable } from '../../src/bus/register-table.ts';
import { bit, listOf, lowest, setBit, sourceMask } from './source-bits.ts';

export interface PlicPorts {
  /** The wire to a hart's external interrupt input. Asked for once per context. */
  context(index: number): IrqLine;
}

export interface PlicConfig {
  /** Sources are numbered 1 to this; at most 1023. */
  readonly sources: number;
  /** At most 1024 here: what the window has room for. */
  readonly contexts: number;
}

/** The level of a source's wire, from who cannot reach the PLIC's inputs: of machines saved before there were any, too. */
export interface PlicEvent {
  readonly type: 'plic.source';
  readonly source: number;
  readonly level: boolean;
}

const SOURCES_MAX = 1023;
const CONTEXTS_MAX = 1024;
/** Priorities and thresholds are WARL with three bits, as on QEMU's virt. */
const PRIORITY_MASK = 7;

export const plicRegisters = registerTable({
  priority: {
    offset: 0,
    widthBytes: 4,
    access: 'rw',
    count: SOURCES_MAX + 1,
    doc: '[2:0] priority of source n; 0 never interrupts',
  },
  pending: { offset: 0x1000, widthBytes: 4, access: 'ro', count: 32, doc: 'one bit per source' },
  // A row of 32 words per context, contexts side by side: element = context * 32 + word.
  enable: {
    offset: 0x2000,
    widthBytes: 4,
    access: 'rw',
    count: 32 * CONTEXTS_MAX,
    doc: 'one bit per source; 32 words per context',
  },
  threshold: {
    offset: 0x20_0000,
    widthBytes: 4,
    access: 'rw',
    count: CONTEXTS_MAX,
    strideBytes: 0x1000,
    doc: '[2:0] only priorities above it interrupt the context',
  },
  claim: {
    offset: 0x20_0004,
    widthBytes: 4,
    access: 'rw',
    count: CONTEXTS_MAX,
    strideBytes: 0x1000,
    doc: 'a read claims the best pending source (0: none), a write completes one',
  },
});

/** Bit n of word n/32 stands for source n wherever a list of words appears. */
export interface PlicState {
  priority: number[];
  pending: number[];
  /** Claimed and not yet completed. */
  claimed: number[];
  /** The wires as last seen. */
  level: number[];
  /** Context by context, each as many words as `pending`. */
  enable: number[];
  threshold: number[];
}

export const plic = defineDevice<PlicPorts, PlicConfig, PlicState, PlicEvent>({
  name: 'sifive-plic',
  version: 1,
  lengthBytes: 0x60_0000,
  create: (ports, config) => new PlicCore(ports, config),
});

const R = plicRegisters;
const ENABLE_ROW_WORDS = 32;

class PlicCore implements DeviceCore<PlicState, PlicEvent> {
  readonly #lines: readonly IrqLine[];
  readonly #sources: number;
  readonly #contexts: number;
  readonly #words: number;
  #state: PlicState;

  constructor(ports: PlicPorts, config: PlicConfig) {
    this.#sources = Math.min(config.sources, SOURCES_MAX);
    this.#contexts = Math.min(config.contexts, CONTEXTS_MAX);
    this.#lines = Array.from({ length: this.#contexts }, (_, index) => ports.context(index));
    this.#words = (this.#sources >>> 5) + 1;
    this.#state = this.#initialState();
  }

  /** Inputs are numbered as sources. */
  input(source: number, level: boolean): void {
    if (!this.#isSource(source) || bit(this.#state.level, source) === level) return;
    setBit(this.#state.level, source, level);
    if (level) this.#forward(source);
  }

  handle({ source, level }: PlicEvent): void {
    this.input(source, level);
  }

  mmioRead(offset: number, size: AccessSize): number {
    if (size !== 4 || offset % 4 !== 0) return 0;
    const state = this.#state;
    if (offset < R.pending.offset) return state.priority[elementAt(R.priority, offset)] ?? 0;
    if (offset < R.enable.offset) return (state.pending[elementAt(R.pending, offset)] ?? 0) >>> 0;
    if (offset < R.threshold.offset) return (state.enable[this.#enableIndex(offset)] ?? 0) >>> 0;
    const context = elementAt(R.claim, offset);
    if (context >= 0) return this.#claim(context);
    return state.threshold[elementAt(R.threshold, offset)] ?? 0;
  }

  mmioWrite(offset: number, value: number, size: AccessSize): void {
    if (size !== 4 || offset % 4 !== 0) return;
    if (offset < R.pending.offset) this.#writePriority(elementAt(R.priority, offset), value);
    else if (offset < R.enable.offset) return;
    else if (offset < R.threshold.offset) this.#writeEnable(offset, value);
    else if (elementAt(R.claim, offset) >= 0) this.#complete(elementAt(R.claim, offset), value >>> 0);
    else this.#writeThreshold(elementAt(R.threshold, offset), value);
  }

  reset(): void {
    const { level } = this.#state;
    this.#state = this.#initialState();
    // The wires are not ours to reset: a device that still drives one is heard again.
    this.#state.level = level;
    for (let source = 1; source <= this.#sources; source++) {
      if (bit(level, source)) setBit(this.#state.pending, source, true);
    }
    this.#updateAll();
  }

  view(): object {
    const { pending, claimed, level, threshold } = this.#state;
    return { pending: listOf(pending), claimed: listOf(claimed), level: listOf(level), threshold: [...threshold] };
  }

  save(): PlicState {
    return structuredClone(this.#state);
  }

  load(state: PlicState): void {
    const reader = new StateReader('sifive-plic', state);
    const words = (name: string, count: number) => reader.uints(name, 0xffff_ffff, count, count);
    const loaded: PlicState = {
      priority: reader.uints('priority', PRIORITY_MASK, this.#sources + 1, this.#sources + 1),
      pending: words('pending', this.#words),
      claimed: words('claimed', this.#words),
      level: words('level', this.#words),
      enable: words('enable', this.#words * this.#contexts),
      threshold: reader.uints('threshold', PRIORITY_MASK, this.#contexts, this.#contexts),
    };
    reader.finish();
    this.#state = loaded;
    this.#updateAll();
  }

  #initialState(): PlicState {
    const zeros = (count: number) => new Array<number>(count).fill(0);
    return {
      priority: zeros(this.#sources + 1),
      pending: zeros(this.#words),
      claimed: zeros(this.#words),
      level: zeros(this.#words),
      enable: zeros(this.#words * this.#contexts),
      threshold: zeros(this.#contexts),
    };
  }

  #writePriority(source: number, value: number): void {
    if (!this.#isSource(source)) return;
    this.#state.priority[source] = value & PRIORITY_MASK;
    this.#updateAll();
  }

  #writeEnable(offset: number, value: number): void {
    const index = this.#enableIndex(offset);
    if (index < 0) return;
    this.#state.enable[index] = (value & sourceMask(this.#sources, index % this.#words)) >>> 0;
    this.#update(Math.floor(index / this.#words));
  }

  #writeThreshold(context: number, value: number): void {
    if (context < 0 || context >= this.#contexts) return;
    this.#state.threshold[context] = value & PRIORITY_MASK;
    this.#update(context);
  }

  /** A claim does not look at the threshold (specification, "Interrupt Claim Process"). */
  #claim(context: number): number {
    if (context >= this.#contexts) return 0;
    const source = this.#best(context);
    if (source === 0) return 0;
    setBit(this.#state.pending, source, false);
    setBit(this.#state.claimed, source, true);
    this.#updateOf(source);
    return source;
  }

  #complete(context: number, source: number): void {
    if (context >= this.#contexts || !this.#isSource(source) || !this.#isEnabled(context, source)) return;
    setBit(this.#state.claimed, source, false);
    if (bit(this.#state.level, source)) this.#forward(source);
  }

  /** The gateway: one request at a time, the next only after completion. */
  #forward(source: number): void {
    const { pending, claimed } = this.#state;
    if (bit(claimed, source) || bit(pending, source)) return;
    setBit(pending, source, true);
    this.#updateOf(source);
  }

  #updateAll(): void {
    for (let context = 0; context < this.#contexts; context++) this.#update(context);
  }

  /** After a change of one source: other contexts than those that have enabled it do not see it. */
  #updateOf(source: number): void {
    for (let context = 0; context < this.#contexts; context++) {
      if (this.#isEnabled(context, source)) this.#update(context);
    }
  }

  #update(context: number): void {
    const best = this.#best(context);
    const priority = this.#state.priority[best] ?? 0;
    this.#lines[context]?.set(best !== 0 && priority > (this.#state.threshold[context] ?? 0));
  }

  /** The pending, enabled source of the highest priority above 0, the lowest number first; 0 when there is none. */
  #best(context: number): number {
    const { pending, enable, priority } = this.#state;
    let best = 0;
    let bestPriority = 0;
    for (let word = 0; word < this.#words; word++) {
      let bits = (pending[word] ?? 0) & (enable[context * this.#words + word] ?? 0);
      while (bits !== 0) {
        const source = word * 32 + lowest(bits);
        bits &= bits - 1;
        const candidate = priority[source] ?? 0;
        if (candidate > bestPriority) {
          best = source;
          bestPriority = candidate;
        }
      }
    }
    return best;
  }

  /** Index into `enable`, or -1 outside the contexts and sources that exist. */
  #enableIndex(offset: number): number {
    const element = elementAt(R.enable, offset);
    const context = Math.floor(element / ENABLE_ROW_WORDS);
    const word = element % ENABLE_ROW_WORDS;
    return element >= 0 && context < this.#contexts && word < this.#words ? context * this.#words + word : -1;
  }

  #isEnabled(context: number, source: number): boolean {
    return (((this.#state.enable[context * this.#words + (source >>> 5)] ?? 0) >>> (source & 31)) & 1) !== 0;
  }

  #isSource(source: number): boolean {
    return Number.isInteger(source) && source >= 1 && source <= this.#sources;
  }
}
