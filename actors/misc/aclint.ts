/**
 * ACLINT (MSWI and MTIMER) with the layout of the SiFive CLINT: software interrupts, timer compare, machine time.
 * Source: RISC-V Advanced Core Local Interruptor specification 1.0-rc4, chapters 2 and 3; `sifive,clint0`.
 *
 * This device owns msip and mtimecmp of every hart and tells the hart's vCPU what was written; mtime belongs to whoever
 * keeps the time base (10 MHz on virt). Halves travel as unsigned 32-bit numbers; the bus splits a 64-bit
 * access, low half first, so a read of mtime's low half holds the high half of that moment for the next read of it.
 * Not modelled: SSWI; writes to mtime are ignored; accesses of other widths than 4 read 0 and write nothing.
 */
import { type AccessSize, type DeviceCore, defineDevice } from '../../src/actor/device-core.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { elementAt, registerTable } from '../../src/bus/register-table.ts';

/** Which 32 bits of a 64-bit register. */
export type Half = 'lo' | 'hi';

/** What the vCPU of one hart, on this thread or another, is told. */
export interface AclintHartPort {
  /** Drives mip.MSIP. */
  setSoftwareInterrupt(level: boolean): void;
  /** The comparator behind mip.MTIP, as two unsigned 32-bit halves. */
  setTimecmp(lo: number, hi: number): void;
}

export interface AclintPorts {
  /** Index is the hart's number, from 0. */
  readonly harts: readonly AclintHartPort[];
  /** @returns an unsigned half of the time base's current tick count */
  readMtime(half: Half): number;
}

/** Harts the address layout has room for. */
const HARTS_MAX = 4095;

export const aclintRegisters = registerTable({
  msip: {
    offset: 0x0000,
    widthBytes: 4,
    access: 'rw',
    count: HARTS_MAX,
    doc: "[0] the hart's machine software interrupt",
  },
  mtimecmp: {
    offset: 0x4000,
    widthBytes: 8,
    access: 'rw',
    count: HARTS_MAX,
    doc: 'timer interrupt while mtime >= mtimecmp',
  },
  mtime: { offset: 0xbff8, widthBytes: 8, access: 'ro', doc: 'ticks of the time base' },
});

export interface AclintState {
  /** By hart: 0 or 1. */
  msip: number[];
  /** By hart: the low halves, then the high ones. */
  mtimecmpLo: number[];
  mtimecmpHi: number[];
  /** mtime's high half as of the last read of the low half, until it is read; null when none is held. */
  heldMtimeHigh: number | null;
}

export const aclint = defineDevice<AclintPorts, void, AclintState>({
  name: 'riscv-aclint',
  version: 2,
  lengthBytes: 0x10000,
  create: (ports) => new AclintCore(ports),
});

const R = aclintRegisters;

/** After a reset no timer is due. */
const NEVER_HALF = 0xffff_ffff;

class AclintCore implements DeviceCore<AclintState> {
  readonly #ports: AclintPorts;
  readonly #msip: number[];
  readonly #mtimecmp: { readonly lo: number[]; readonly hi: number[] };
  #heldMtimeHigh: number | null = null;

  constructor(ports: AclintPorts) {
    this.#ports = ports;
    this.#msip = ports.harts.map(() => 0);
    this.#mtimecmp = { lo: ports.harts.map(() => NEVER_HALF), hi: ports.harts.map(() => NEVER_HALF) };
  }

  mmioRead(offset: number, size: AccessSize): number {
    if (size !== 4 || offset % 4 !== 0) return 0;
    if (offset < R.mtimecmp.offset) return this.#msip[elementAt(R.msip, offset)] ?? 0;
    const half = halfOf(offset);
    const base = baseOf(offset);
    if (base === R.mtime.offset) return half === 'lo' ? this.#readTimeLow() : this.#readTimeHigh();
    return this.#mtimecmp[half][elementAt(R.mtimecmp, base)] ?? 0;
  }

  mmioWrite(offset: number, value: number, size: AccessSize): void {
    if (size !== 4 || offset % 4 !== 0) return;
    if (offset < R.mtimecmp.offset) return this.#writeMsip(elementAt(R.msip, offset), value & 1);
    const hart = elementAt(R.mtimecmp, baseOf(offset));
    const { lo, hi } = this.#mtimecmp;
    const port = this.#ports.harts[hart];
    if (port === undefined) return;
    this.#mtimecmp[halfOf(offset)][hart] = value >>> 0;
    port.setTimecmp(lo[hart] ?? NEVER_HALF, hi[hart] ?? NEVER_HALF);
  }

  /** The vCPUs reset their comparators. */
  reset(): void {
    this.#heldMtimeHigh = null;
    for (let hart = 0; hart < this.#msip.length; hart++) this.#writeMsip(hart, 0);
    this.#mtimecmp.lo.fill(NEVER_HALF);
    this.#mtimecmp.hi.fill(NEVER_HALF);
  }

  view(): object {
    return { harts: this.#ports.harts.length, msip: [...this.#msip], heldMtimeHigh: this.#heldMtimeHigh };
  }

  save(): AclintState {
    const { lo, hi } = this.#mtimecmp;
    const heldMtimeHigh = this.#heldMtimeHigh;
    return { msip: [...this.#msip], mtimecmpLo: [...lo], mtimecmpHi: [...hi], heldMtimeHigh };
  }

  /** The vCPUs have their own saved state: they are told nothing. */
  load(state: AclintState): void {
    const harts = this.#msip.length;
    const reader = new StateReader('riscv-aclint', state);
    const msip = reader.uints('msip', 1, harts, harts);
    const lo = reader.uints('mtimecmpLo', 0xffff_ffff, harts, harts);
    const hi = reader.uints('mtimecmpHi', 0xffff_ffff, harts, harts);
    const heldMtimeHigh = reader.uintOrNull('heldMtimeHigh', 0xffff_ffff);
    reader.finish();
    for (let hart = 0; hart < harts; hart++) {
      this.#msip[hart] = msip[hart] ?? 0;
      this.#mtimecmp.lo[hart] = lo[hart] ?? NEVER_HALF;
      this.#mtimecmp.hi[hart] = hi[hart] ?? NEVER_HALF;
    }
    this.#heldMtimeHigh = heldMtimeHigh;
  }

  #writeMsip(hart: number, level: number): void {
    if (this.#msip[hart] === undefined) return;
    this.#msip[hart] = level;
    this.#ports.harts[hart]?.setSoftwareInterrupt(level === 1);
  }

  /** The clock moves between the two reads: the high half is read again until both belong together. */
  #readTimeLow(): number {
    let high = this.#ports.readMtime('hi');
    let low = this.#ports.readMtime('lo');
    const after = this.#ports.readMtime('hi');
    if (after !== high) {
      high = after;
      low = this.#ports.readMtime('lo');
    }
    this.#heldMtimeHigh = high;
    return low;
  }

  #readTimeHigh(): number {
    const held = this.#heldMtimeHigh;
    this.#heldMtimeHigh = null;
    return held ?? this.#ports.readMtime('hi');
  }
}

const baseOf = (offset: number) => offset - (offset % 8);
const halfOf = (offset: number): Half => (offset % 8 === 0 ? 'lo' : 'hi');
