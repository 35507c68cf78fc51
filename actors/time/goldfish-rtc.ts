/**
 * Goldfish real-time clock with alarm.
 * Source: Android "Goldfish virtual hardware", goldfish_rtc; QEMU's hw/rtc/goldfish_rtc.c; Linux rtc-goldfish.c.
 *
 * The guest sees nanoseconds since 1970-01-01T00:00Z in two halves (reading TIME_LOW latches TIME_HIGH), may set them,
 * and may arm one alarm. Time stands still while the machine is paused, as all virtual time does.
 * Accesses of other widths than 4 read 0 and write nothing (QEMU: bus fault). Not modelled: nothing else is left out.
 */
import { type AccessSize, type DeviceCore, defineDevice, type IrqLine } from '../../src/actor/device-core.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { registerTable } from '../../src/bus/register-table.ts';
import type { LoopPort, Timer } from '../../src/loop/port.ts';

export interface GoldfishRtcPorts {
  readonly irq: IrqLine;
}

export const goldfishRtcRegisters = registerTable({
  TIME_LOW: { offset: 0x00, widthBytes: 4, access: 'rw', doc: 'time [31:0]; a read latches TIME_HIGH' },
  TIME_HIGH: { offset: 0x04, widthBytes: 4, access: 'rw', doc: 'time [63:32] as of the last read of TIME_LOW' },
  ALARM_LOW: { offset: 0x08, widthBytes: 4, access: 'rw', doc: 'alarm [31:0]; a write arms the alarm' },
  ALARM_HIGH: { offset: 0x0c, widthBytes: 4, access: 'rw', doc: 'alarm [63:32]; written before ALARM_LOW' },
  IRQ_ENABLED: { offset: 0x10, widthBytes: 4, access: 'rw', doc: '1: the alarm raises the interrupt' },
  CLEAR_ALARM: { offset: 0x14, widthBytes: 4, access: 'wo', doc: 'any write disarms the alarm' },
  ALARM_STATUS: { offset: 0x18, widthBytes: 4, access: 'ro', doc: '1 while the alarm is armed' },
  CLEAR_INTERRUPT: { offset: 0x1c, widthBytes: 4, access: 'wo', doc: 'any write acknowledges the interrupt' },
});

export interface GoldfishRtcState {
  /** Guest time minus virtual time. */
  offsetNs: bigint;
  alarmNs: bigint;
  alarmArmed: boolean;
  irqEnabled: boolean;
  irqPending: boolean;
  /** TIME_HIGH as latched. */
  timeHigh: number;
}

export const goldfishRtc = defineDevice<GoldfishRtcPorts, void, GoldfishRtcState>({
  name: 'goldfish-rtc',
  version: 1,
  lengthBytes: 0x1000,
  create: (ports) => new GoldfishRtcCore(ports),
});

const R = goldfishRtcRegisters;

class GoldfishRtcCore implements DeviceCore<GoldfishRtcState> {
  readonly #irq: IrqLine;
  readonly #loop: LoopPort;
  readonly #alarm: Timer;
  #state: GoldfishRtcState;

  constructor(ports: GoldfishRtcPorts & { readonly loop: LoopPort }) {
    this.#irq = ports.irq;
    this.#loop = ports.loop;
    this.#alarm = ports.loop.timer('goldfish-rtc alarm', () => this.#alarmDue());
    this.#state = this.#initialState();
  }

  mmioRead(offset: number, size: AccessSize): number {
    if (size !== 4) return 0;
    const state = this.#state;
    switch (offset) {
      case R.TIME_LOW.offset: {
        const now = this.#guestTimeNs();
        state.timeHigh = high(now);
        return low(now);
      }
      case R.TIME_HIGH.offset:
        return state.timeHigh;
      case R.ALARM_LOW.offset:
        return low(state.alarmNs);
      case R.ALARM_HIGH.offset:
        return high(state.alarmNs);
      case R.IRQ_ENABLED.offset:
        return state.irqEnabled ? 1 : 0;
      case R.ALARM_STATUS.offset:
        return state.alarmArmed ? 1 : 0;
      default:
        return 0;
    }
  }

  mmioWrite(offset: number, value: number, size: AccessSize): void {
    if (size !== 4) return;
    const state = this.#state;
    switch (offset) {
      case R.TIME_LOW.offset:
        this.#setTime(withLow(this.#guestTimeNs(), value));
        break;
      case R.TIME_HIGH.offset:
        this.#setTime(withHigh(this.#guestTimeNs(), value));
        break;
      case R.ALARM_LOW.offset:
        state.alarmNs = withLow(state.alarmNs, value);
        state.alarmArmed = true;
        this.#armAlarm();
        break;
      case R.ALARM_HIGH.offset:
        state.alarmNs = withHigh(state.alarmNs, value);
        break;
      case R.IRQ_ENABLED.offset:
        state.irqEnabled = (value & 1) !== 0;
        this.#updateIrq();
        break;
      case R.CLEAR_ALARM.offset:
        state.alarmArmed = false;
        this.#alarm.cancel();
        break;
      case R.CLEAR_INTERRUPT.offset:
        state.irqPending = false;
        this.#updateIrq();
        break;
    }
  }

  reset(): void {
    this.#alarm.cancel();
    this.#state = this.#initialState();
    this.#updateIrq();
  }

  view(): object {
    return { ...this.#state, guestTimeNs: this.#guestTimeNs() };
  }

  save(): GoldfishRtcState {
    return { ...this.#state };
  }

  load(state: GoldfishRtcState): void {
    const reader = new StateReader('goldfish-rtc', state);
    const loaded: GoldfishRtcState = {
      offsetNs: reader.bigint('offsetNs', -UINT64_MAX, UINT64_MAX),
      alarmNs: reader.bigint('alarmNs', 0n, UINT64_MAX),
      alarmArmed: reader.flag('alarmArmed'),
      irqEnabled: reader.flag('irqEnabled'),
      irqPending: reader.flag('irqPending'),
      timeHigh: reader.uint('timeHigh', 0xffff_ffff),
    };
    reader.finish();
    this.#state = loaded;
    this.#alarm.cancel();
    // One that is due fires in the next turn of the loop, not in here: loading changes nothing else.
    if (loaded.alarmArmed) this.#alarm.arm(this.#alarmDeadlineNs());
    this.#updateIrq();
  }

  #initialState(): GoldfishRtcState {
    return {
      offsetNs: this.#loop.wallClockNs() - this.#virtualNs(),
      alarmNs: 0n,
      alarmArmed: false,
      irqEnabled: false,
      irqPending: false,
      timeHigh: 0,
    };
  }

  #alarmDue(): void {
    this.#state.alarmArmed = false;
    this.#state.irqPending = true;
    this.#updateIrq();
  }

  #armAlarm(): void {
    if (!this.#state.alarmArmed) return;
    if (this.#state.alarmNs <= this.#guestTimeNs()) {
      this.#alarm.cancel();
      this.#alarmDue();
    } else {
      this.#alarm.arm(this.#alarmDeadlineNs());
    }
  }

  /** Rounds up, so that the alarm never comes early. Far deadlines lose precision above 2^53 ns (104 days). */
  #alarmDeadlineNs(): number {
    return Math.max(0, Number(this.#state.alarmNs - this.#state.offsetNs));
  }

  #setTime(timeNs: bigint): void {
    this.#state.offsetNs = timeNs - this.#virtualNs();
    this.#armAlarm();
  }

  #guestTimeNs(): bigint {
    return BigInt.asUintN(64, this.#virtualNs() + this.#state.offsetNs);
  }

  #virtualNs(): bigint {
    return BigInt(Math.floor(this.#loop.nowNs()));
  }

  #updateIrq(): void {
    this.#irq.set(this.#state.irqPending && this.#state.irqEnabled);
  }
}

const UINT64_MAX = 2n ** 64n - 1n;
const low = (value: bigint) => Number(BigInt.asUintN(32, value));
const high = (value: bigint) => Number(BigInt.asUintN(32, value >> 32n));
const withLow = (value: bigint, half: number) => (value & ~0xffff_ffffn) | BigInt(half >>> 0);
const withHigh = (value: bigint, half: number) => (BigInt(half >>> 0) << 32n) | (value & 0xffff_ffffn);
