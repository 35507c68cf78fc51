/**
 * Advanced platform-level interrupt controller: one interrupt domain. Board virt has two: the root at machine level, to
 * which all wires lead, and its child at supervisor level.
 * Source: RISC-V Advanced Interrupt Architecture 1.0, chapter 4; `riscv,aplic` as on QEMU's virt.
 *
 * The delivery mode is the board's choice, so domaincfg.DM cannot be written: `direct` has an interrupt line and an IDC
 * per hart, `msi` writes to interrupt files. Priorities have three bits, as QEMU's. Where the specification leaves a
 * choice: any write of sourcecfg whose new mode finds its rectified input high makes the source pending; a target
 * written while its source is inactive reads 0 and is there once the source is active (Linux writes both in either order).
 *
 * The root tells its child the level of every wire, and by messages which sources it has and where supervisor-level MSIs
 * go. A reset tells nothing: both begin with what their configuration says, in whatever order they are reset.
 *
 * Not modelled: big-endian register access (domaincfg.BE is 0), guest interrupt files (target's guest index is 0), more
 * than one child; accesses of other widths than 4 read 0 and write nothing (QEMU: bus fault).
 */
import { type AccessSize, type DeviceCore, defineDevice, type IrqLine } from '../../src/actor/device-core.ts';
import type { DeviceInputs } from '../../src/actor/register-window.ts';
import type { MsiPort } from '../../src/bus/msi.ts';
import { elementAt } from '../../src/bus/register-table.ts';
import {
  type InterruptFileBases,
  linearMsiAddresses,
  MMSIADDRCFGH_MASK,
  MSI_ADDRESS_LOCK,
  type MsiAddressWords,
  msiAddress,
  SMSIADDRCFGH_MASK,
} from './aplic-msi.ts';
import {
  APLIC_HARTS_MAX,
  APLIC_LENGTH_BYTES,
  APLIC_SOURCES_MAX,
  BIT_WRITES,
  DOMAINCFG,
  aplicRegisters as R,
  SOURCE_MODE,
  SOURCECFG,
  TARGET,
} from './aplic-registers.ts';
import { type AplicState, readAplicState } from './aplic-state.ts';
import { bit, listOf, lowest, setBit, sourceMask, swapBytes } from './source-bits.ts';

export { aplicRegisters } from './aplic-registers.ts';
export type { AplicState } from './aplic-state.ts';

export interface AplicPorts {
  /** The wire to a hart's external interrupt input at this domain's level; of `direct`. Asked for once per hart. */
  readonly context?: (hart: number) => IrqLine;
  /** Of `msi`. */
  readonly msi?: MsiPort;
  /** The child's actor; a domain without one cannot delegate. */
  readonly child?: AplicChild;
}

/** What a root needs of its child, which lives on the same thread. */
export interface AplicChild {
  readonly inputs: DeviceInputs;
  readonly actor: { send(event: AplicEvent): void };
}

export interface AplicConfig {
  /** A domain at machine level is the root. */
  readonly level: 'machine' | 'supervisor';
  readonly delivery: 'direct' | 'msi';
  /** Sources are numbered 1 to this; at most 1023. The same in both domains. */
  readonly sources: number;
  /** Hart indices are 0 up to this; at most 512. */
  readonly harts: number;
  /**
   * After a reset all is as firmware in M mode would have left it: the root has delegated every source, and where `files`
   * is given, set the addresses of MSIs. The same in both domains. Off: nothing is delegated until the guest does.
   */
  readonly delegateAll: boolean;
  readonly files?: InterruptFileBases;
}

/** The level of a source's wire, from who cannot reach the domain's inputs: of machines saved before there were any, too. */
export interface AplicSourceEvent {
  readonly type: 'aplic.source';
  readonly source: number;
  readonly level: boolean;
}

/** From the root to its child. */
export type AplicEvent =
  | AplicSourceEvent
  | { readonly type: 'aplic.delegate'; readonly source: number; readonly delegated: boolean }
  | ({ readonly type: 'aplic.msi-addresses' } & Omit<MsiAddressWords, 'mmsiaddrcfg'>);

export const aplic = defineDevice<AplicPorts, AplicConfig, AplicState, AplicEvent>({
  name: 'riscv-aplic',
  version: 1,
  lengthBytes: APLIC_LENGTH_BYTES,
  create: (ports, config) => new AplicCore(ports, config),
});

class AplicCore implements DeviceCore<AplicState, AplicEvent> {
  readonly #ports: AplicPorts;
  readonly #config: AplicConfig;
  readonly #sources: number;
  readonly #harts: number;
  readonly #words: number;
  readonly #isRoot: boolean;
  readonly #isMsi: boolean;
  readonly #lines: readonly (IrqLine | undefined)[];
  /** topi of each hart, of the state as it stands. */
  readonly #top: Uint32Array;
  /** The lines as last set; empty where they are to be set anew. */
  readonly #driven: (boolean | undefined)[] = [];
  #state: AplicState;

  constructor(ports: AplicPorts, config: AplicConfig) {
    this.#ports = ports;
    this.#config = config;
    this.#sources = Math.min(config.sources, APLIC_SOURCES_MAX);
    this.#harts = Math.min(config.harts, APLIC_HARTS_MAX);
    this.#words = (this.#sources >>> 5) + 1;
    this.#isRoot = config.level === 'machine';
    this.#isMsi = config.delivery === 'msi';
    this.#lines = Array.from({ length: this.#isMsi ? 0 : this.#harts }, (_, hart) => ports.context?.(hart));
    this.#top = new Uint32Array(this.#harts);
    this.#state = this.#initialState();
  }

  handle(event: AplicEvent): void {
    if (event.type === 'aplic.source') this.input(event.source, event.level);
    else if (this.#isRoot) return;
    else if (event.type === 'aplic.delegate') this.#delegated(event.source, event.delegated);
    else this.#takeAddresses(event);
  }

  mmioRead(offset: number, size: AccessSize): number {
    if (size !== 4 || offset % 4 !== 0) return 0;
    if (offset >= R.idelivery.offset) return this.#readIdc(offset);
    if (offset >= R.genmsi.offset) return this.#readTarget(offset);
    if (offset >= R.setip.offset) return this.#readBits(offset);
    if (offset >= R.mmsiaddrcfg.offset) return this.#readAddress(offset);
    if (offset !== R.domaincfg.offset) return this.#state.sourcecfg[elementAt(R.sourcecfg, offset) + 1] ?? 0;
    return (this.#state.domaincfg | DOMAINCFG.signature | (this.#isMsi ? DOMAINCFG.dm : 0)) >>> 0;
  }

  mmioWrite(offset: number, value: number, size: AccessSize): void {
    if (size !== 4 || offset % 4 !== 0) return;
    if (offset >= R.idelivery.offset) this.#writeIdc(offset, value);
    else if (offset >= R.genmsi.offset) this.#writeTarget(offset, value >>> 0);
    else if (offset >= R.setip.offset) this.#writeBits(offset, value >>> 0);
    else if (offset >= R.mmsiaddrcfg.offset) this.#writeAddress(offset, value >>> 0);
    else if (offset !== R.domaincfg.offset) this.#configure(elementAt(R.sourcecfg, offset) + 1, value);
    else this.#state.domaincfg = value & DOMAINCFG.ie;
    this.#deliver();
  }

  reset(): void {
    const { level } = this.#state;
    this.#state = this.#initialState();
    // The wires are not ours to reset: a source made active finds them as they are.
    this.#state.level = level;
    this.#deliver();
  }

  view(): object {
    const { domaincfg, sourcecfg, target, level, present, pending, enable, droppedMsis } = this.#state;
    const { idelivery, iforce, ithreshold } = this.#state;
    const active = sourcecfg.flatMap((_, source) => {
      const mode = SOURCE_MODE[this.#mode(source)] ?? 'inactive';
      return mode === 'inactive' ? [] : [{ source, mode, ...this.#targetView(target[source] ?? 0) }];
    });
    return {
      level: this.#config.level,
      delivery: this.#config.delivery,
      enabled: (domaincfg & DOMAINCFG.ie) !== 0,
      active,
      ...{ wires: listOf(level), pending: listOf(pending), enabledSources: listOf(enable), present: listOf(present) },
      delegated: sourcecfg.flatMap((word, source) => ((word & SOURCECFG.delegate) !== 0 ? [source] : [])),
      idcs: this.#isMsi ? [] : idelivery.map((on, i) => [on, iforce[i], ithreshold[i], this.#top[i]]),
      droppedMsis,
    };
  }

  save(): AplicState {
    return structuredClone(this.#state);
  }

  load(state: AplicState): void {
    this.#state = readAplicState(state, this.#sources, this.#harts);
    this.#driven.length = 0;
    this.#deliver();
  }

  #initialState(): AplicState {
    const { delegateAll, files } = this.#config;
    const zeros = (count: number) => new Array<number>(count).fill(0);
    const firmware = delegateAll && this.#isMsi && files !== undefined ? linearMsiAddresses(files, this.#harts) : null;
    const sourcecfg = zeros(this.#sources + 1);
    if (this.#isRoot && delegateAll && this.#ports.child !== undefined) sourcecfg.fill(SOURCECFG.delegate, 1);
    const hasAll = this.#isRoot || delegateAll;
    return {
      domaincfg: 0,
      // The child has no use for it.
      mmsiaddrcfg: this.#isRoot ? (firmware?.mmsiaddrcfg ?? 0) : 0,
      mmsiaddrcfgh: firmware?.mmsiaddrcfgh ?? 0,
      smsiaddrcfg: firmware?.smsiaddrcfg ?? 0,
      smsiaddrcfgh: firmware?.smsiaddrcfgh ?? 0,
      genmsi: 0,
      sourcecfg,
      target: new Array<number>(this.#sources + 1).fill(this.#targetValue(0)),
      level: zeros(this.#words),
      present: Array.from({ length: this.#words }, (_, word) => (hasAll ? sourceMask(this.#sources, word) : 0)),
      pending: zeros(this.#words),
      enable: zeros(this.#words),
      idelivery: zeros(this.#harts),
      iforce: zeros(this.#harts),
      ithreshold: zeros(this.#harts),
      droppedMsis: 0,
    };
  }

  /** Inputs are numbered as sources: 4.7, "Precise effects on interrupt-pending bits". */
  input(source: number, level: boolean): void {
    const { level: levels, pending } = this.#state;
    if (!this.#isSource(source) || bit(levels, source) === level) return;
    setBit(levels, source, level);
    this.#ports.child?.inputs.set(source, level);
    const mode = this.#mode(source);
    if (mode < SOURCECFG.edge1) return;
    if (this.#rectified(source)) setBit(pending, source, true);
    else if (mode >= SOURCECFG.level1) setBit(pending, source, false);
    else return;
    this.#deliver();
  }

  /** The parent gives or takes a source. */
  #delegated(source: number, delegated: boolean): void {
    if (!this.#isSource(source)) return;
    setBit(this.#state.present, source, delegated);
    if (delegated) return;
    this.#configure(source, 0);
    this.#state.target[source] = this.#targetValue(0);
    this.#deliver();
  }

  #takeAddresses({ mmsiaddrcfgh, smsiaddrcfg, smsiaddrcfgh }: Omit<MsiAddressWords, 'mmsiaddrcfg'>): void {
    this.#state.mmsiaddrcfgh = (mmsiaddrcfgh & MMSIADDRCFGH_MASK) >>> 0;
    this.#state.smsiaddrcfg = smsiaddrcfg >>> 0;
    this.#state.smsiaddrcfgh = smsiaddrcfgh & SMSIADDRCFGH_MASK;
  }

  /** A write of sourcecfg, 4.5.2. */
  #configure(source: number, value: number): void {
    const { sourcecfg, present, pending, enable } = this.#state;
    if (!this.#isSource(source) || (value !== 0 && !bit(present, source))) return;
    const before = this.#childOf(source);
    sourcecfg[source] = this.#sourcecfgValue(value);
    const after = this.#childOf(source);
    if (before !== after) this.#ports.child?.actor.send({ type: 'aplic.delegate', source, delegated: after });
    const mode = this.#mode(source);
    if (mode === SOURCECFG.inactive) {
      setBit(pending, source, false);
      setBit(enable, source, false);
    } else if (this.#rectified(source)) setBit(pending, source, true);
    else if (mode >= SOURCECFG.level1) setBit(pending, source, false);
  }

  #sourcecfgValue(value: number): number {
    if ((value & SOURCECFG.delegate) !== 0) {
      return this.#ports.child === undefined ? 0 : value & (SOURCECFG.delegate | SOURCECFG.childMask);
    }
    const mode = value & SOURCECFG.modeMask;
    return SOURCE_MODE[mode] === undefined ? SOURCECFG.inactive : mode;
  }

  /** Whether the child has the source: the one there is, number 0. Sources delegated to others lead nowhere. */
  #childOf(source: number): boolean {
    return this.#state.sourcecfg[source] === SOURCECFG.delegate;
  }

  #readAddress(offset: number): number {
    if (!this.#isRoot || !this.#isMsi) return 0;
    const { mmsiaddrcfg, mmsiaddrcfgh, smsiaddrcfg, smsiaddrcfgh } = this.#state;
    if (offset === R.mmsiaddrcfg.offset) return mmsiaddrcfg;
    if (offset === R.mmsiaddrcfgh.offset) return mmsiaddrcfgh;
    if (this.#ports.child === undefined) return 0;
    if (offset === R.smsiaddrcfg.offset) return smsiaddrcfg;
    return offset === R.smsiaddrcfgh.offset ? smsiaddrcfgh : 0;
  }

  #writeAddress(offset: number, value: number): void {
    const state = this.#state;
    const { child } = this.#ports;
    if (!this.#isRoot || !this.#isMsi || (state.mmsiaddrcfgh & MSI_ADDRESS_LOCK) !== 0) return;
    if (offset === R.mmsiaddrcfg.offset) state.mmsiaddrcfg = value;
    else if (offset === R.mmsiaddrcfgh.offset) state.mmsiaddrcfgh = (value & MMSIADDRCFGH_MASK) >>> 0;
    else if (child !== undefined && offset === R.smsiaddrcfg.offset) state.smsiaddrcfg = value;
    else if (child !== undefined && offset === R.smsiaddrcfgh.offset) state.smsiaddrcfgh = value & SMSIADDRCFGH_MASK;
    const { mmsiaddrcfgh, smsiaddrcfg, smsiaddrcfgh } = state;
    child?.actor.send({ type: 'aplic.msi-addresses', mmsiaddrcfgh, smsiaddrcfg, smsiaddrcfgh });
  }

  #readBits(offset: number): number {
    const { pending, enable } = this.#state;
    if (offset < R.setipnum.offset) return pending[elementAt(R.setip, offset)] ?? 0;
    if (offset < R.in_clrip.offset) return 0;
    if (offset < R.clripnum.offset) return this.#rectifiedWord(elementAt(R.in_clrip, offset));
    if (offset < R.setie.offset || offset >= R.setienum.offset) return 0;
    return enable[elementAt(R.setie, offset)] ?? 0;
  }

  #writeBits(offset: number, value: number): void {
    for (const { row, bits, on, isNumber } of BIT_WRITES) {
      const word = elementAt(row, offset);
      if (word < 0) continue;
      if (isNumber) return this.#change(bits, on, row === R.setipnum_be ? swapBytes(value) : value);
      for (let rest = value; rest !== 0; rest &= rest - 1) this.#change(bits, on, word * 32 + lowest(rest));
      return;
    }
  }

  #change(bits: 'pending' | 'enable', on: boolean, source: number): void {
    const mode = this.#mode(source);
    if (mode === SOURCECFG.inactive) return;
    if (bits === 'pending' && mode >= SOURCECFG.level1) {
      // A level's pending bit is a copy of its input; with MSIs it may be set while the input is high, and cleared.
      if (!this.#isMsi || (on && !this.#rectified(source))) return;
    }
    setBit(this.#state[bits], source, on);
  }

  #readTarget(offset: number): number {
    if (offset === R.genmsi.offset) return this.#isMsi ? this.#state.genmsi : 0;
    const source = elementAt(R.target, offset) + 1;
    return this.#mode(source) === SOURCECFG.inactive ? 0 : (this.#state.target[source] ?? 0);
  }

  #writeTarget(offset: number, value: number): void {
    if (offset === R.genmsi.offset) {
      if (!this.#isMsi) return;
      // Busy is never seen: the MSI has left before the write is done.
      this.#state.genmsi = this.#targetValue(value);
      return this.#sendTo(this.#state.genmsi);
    }
    const source = elementAt(R.target, offset) + 1;
    if (this.#isSource(source) && bit(this.#state.present, source)) {
      this.#state.target[source] = this.#targetValue(value);
    }
  }

  /** What a target register makes of a written value. */
  #targetValue(value: number): number {
    if (this.#isMsi) return (value & (TARGET.hartMask | TARGET.identityMask)) >>> 0;
    return ((value & TARGET.hartMask) | (value & TARGET.priorityMask || 1)) >>> 0;
  }

  #targetView(target: number): object {
    const hart = target >>> TARGET.hartShift;
    return this.#isMsi
      ? { hart, identity: target & TARGET.identityMask }
      : { hart, priority: target & TARGET.priorityMask };
  }

  #readIdc(offset: number): number {
    const hart = Math.floor((offset - R.idelivery.offset) / R.idelivery.strideBytes);
    if (this.#isMsi || hart >= this.#harts) return 0;
    const { idelivery, iforce, ithreshold } = this.#state;
    switch (offset - hart * R.idelivery.strideBytes) {
      case R.idelivery.offset:
        return idelivery[hart] ?? 0;
      case R.iforce.offset:
        return iforce[hart] ?? 0;
      case R.ithreshold.offset:
        return ithreshold[hart] ?? 0;
      case R.topi.offset:
        return this.#top[hart] ?? 0;
      case R.claimi.offset:
        return this.#claim(hart);
      default:
        return 0;
    }
  }

  #writeIdc(offset: number, value: number): void {
    const hart = Math.floor((offset - R.idelivery.offset) / R.idelivery.strideBytes);
    if (this.#isMsi || hart >= this.#harts) return;
    const { idelivery, iforce, ithreshold } = this.#state;
    const register = offset - hart * R.idelivery.strideBytes;
    if (register === R.idelivery.offset) idelivery[hart] = value & 1;
    else if (register === R.iforce.offset) iforce[hart] = value & 1;
    else if (register === R.ithreshold.offset) ithreshold[hart] = value & TARGET.priorityMask;
  }

  #claim(hart: number): number {
    const top = this.#top[hart] ?? 0;
    const source = top >>> TARGET.topSourceShift;
    if (top === 0) this.#state.iforce[hart] = 0;
    else if (this.#mode(source) < SOURCECFG.level1) setBit(this.#state.pending, source, false);
    this.#deliver();
    return top;
  }

  /** After any change: signals or forwards what is pending and enabled. */
  #deliver(): void {
    if (this.#isMsi) this.#forward();
    else this.#signal();
  }

  #forward(): void {
    const { domaincfg, pending, enable, target } = this.#state;
    if ((domaincfg & DOMAINCFG.ie) === 0) return;
    for (let word = 0; word < this.#words; word++) {
      let bits = (pending[word] ?? 0) & (enable[word] ?? 0);
      pending[word] = ((pending[word] ?? 0) & ~bits) >>> 0;
      for (; bits !== 0; bits &= bits - 1) this.#sendTo(target[word * 32 + lowest(bits)] ?? 0);
    }
  }

  #sendTo(target: number): void {
    const gpa = msiAddress(this.#state, this.#config.level, target >>> TARGET.hartShift, 0);
    if (this.#ports.msi?.send(gpa, target & TARGET.identityMask) !== true) this.#state.droppedMsis++;
  }

  #signal(): void {
    const { domaincfg, pending, enable, target, idelivery, iforce, ithreshold } = this.#state;
    const top = this.#top.fill(0);
    for (let word = 0; word < this.#words; word++) {
      for (let bits = (pending[word] ?? 0) & (enable[word] ?? 0); bits !== 0; bits &= bits - 1) {
        const source = word * 32 + lowest(bits);
        const hart = (target[source] ?? 0) >>> TARGET.hartShift;
        const priority = (target[source] ?? 0) & TARGET.priorityMask;
        const threshold = ithreshold[hart] ?? 0;
        if (hart >= this.#harts || (threshold !== 0 && priority >= threshold)) continue;
        const best = top[hart] ?? 0;
        // Ascending: of equal priorities the lowest number stays.
        if (best === 0 || priority < (best & TARGET.priorityMask))
          top[hart] = (source << TARGET.topSourceShift) | priority;
      }
    }
    const isOn = (domaincfg & DOMAINCFG.ie) !== 0;
    for (let hart = 0; hart < this.#harts; hart++) {
      const isAsserted = iforce[hart] === 1 || top[hart] !== 0;
      const level = isOn && idelivery[hart] === 1 && isAsserted;
      if (this.#driven[hart] === level) continue;
      this.#driven[hart] = level;
      this.#lines[hart]?.set(level);
    }
  }

  #rectifiedWord(word: number): number {
    let value = 0;
    for (let index = 0; word >= 0 && word < this.#words && index < 32; index++) {
      if (this.#rectified(word * 32 + index)) value |= 1 << index;
    }
    return value >>> 0;
  }

  /** 4.5.2: the wire, inverted where the mode says so; low without one. */
  #rectified(source: number): boolean {
    const mode = this.#mode(source);
    return mode >= SOURCECFG.edge1 && bit(this.#state.level, source) !== ((mode & SOURCECFG.invertedBit) !== 0);
  }

  /** The source mode; inactive where the source is delegated or there is none. */
  #mode(source: number): number {
    const word = this.#state.sourcecfg[source] ?? 0;
    return (word & SOURCECFG.delegate) !== 0 ? SOURCECFG.inactive : word;
  }

  #isSource(source: number): boolean {
    return Number.isInteger(source) && source >= 1 && source <= this.#sources;
  }
}
