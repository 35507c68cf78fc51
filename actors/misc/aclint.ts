/**
 * ACLINT (MSWI and MTIMER) with the layout of the SiFive CLINT: software interrupts, timer compare, machine time.
 * Source: RISC-V Advanced Core Local Interruptor specification 1.0-rc4, chapters 2 and 3; `sifive,clint0`.
 *
 * This device decodes addresses and owns no registers: msip and mtimecmp belong to the vCPU of each hart, mtime to
 * whoever keeps the time base (10 MHz on virt). Halves travel as unsigned 32-bit numbers; the bus splits a 64-bit
 * access, low half first, so a read of mtime's low half holds the high half of that moment for the next read of it.
 * Not modelled: SSWI; writes to mtime are ignored; accesses of other widths than 4 read 0 and write nothing.
 */
import { type AccessSize, type DeviceCore, defineDevice } from '../../src/actor/device-core.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { elementAt, registerTable } from '../../src/bus/register-table.ts';

/** Which 32 bits of a 64-bit register. */
export type Half = 'lo' | 'hi';

/** What the vCPU of one hart offers. */
export interface AclintHartPort {
  /** mip.MSIP as it stands. */
  softwareInterrupt(): boolean;
  setSoftwareInterrupt(level: boolean): void;
  readMtimecmp(half: Half): number;
  writeMtimecmp(half: Half, value: number): void;
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
  /** mtime's high half as of the last read of the low half, until it is read; null when none is held. */
  heldMtimeHigh: number | null;
}

export const aclint = defineDevice<AclintPorts, void, AclintState>({
  name: 'riscv-aclint',
  version: 1,
  lengthBytes: 0x10000,
  create: (ports) => new AclintCore(ports),
});

const R = aclintRegisters;

class AclintCore implements DeviceCore<AclintState> {
  readonly #ports: AclintPorts;
  #heldMtimeHigh: number | null = null;

  constructor(ports: AclintPorts) {
    this.#ports = ports;
  }

  mmioRead(offset: number, size: AccessSize): number {
    if (size !== 4 || offset % 4 !== 0) return 0;
    if (offset < R.mtimecmp.offset) {
      const hart = this.#ports.harts[elementAt(R.msip, offset)];
      return hart?.softwareInterrupt() ? 1 : 0;
    }
    const half = halfOf(offset);
    const base = baseOf(offset);
    if (base === R.mtime.offset) return half === 'lo' ? this.#readTimeLow() : this.#readTimeHigh();
    return this.#ports.harts[elementAt(R.mtimecmp, base)]?.readMtimecmp(half) ?? 0;
  }

  mmioWrite(offset: number, value: number, size: AccessSize): void {
    if (size !== 4 || offset % 4 !== 0) return;
    if (offset < R.mtimecmp.offset) {
      this.#ports.harts[elementAt(R.msip, offset)]?.setSoftwareInterrupt((value & 1) !== 0);
      return;
    }
    this.#ports.harts[elementAt(R.mtimecmp, baseOf(offset))]?.writeMtimecmp(halfOf(offset), value >>> 0);
  }

  /** The vCPUs reset their own registers. */
  reset(): void {
    this.#heldMtimeHigh = null;
  }

  view(): object {
    return { harts: this.#ports.harts.length, heldMtimeHigh: this.#heldMtimeHigh };
  }

  save(): AclintState {
    return { heldMtimeHigh: this.#heldMtimeHigh };
  }

  load(state: AclintState): void {
    const reader = new StateReader('riscv-aclint', state);
    const heldMtimeHigh = reader.uintOrNull('heldMtimeHigh', 0xffff_ffff);
    reader.finish();
    this.#heldMtimeHigh = heldMtimeHigh;
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
