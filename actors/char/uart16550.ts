/**
 * 16550A UART.
 * Source: National Semiconductor PC16550D data sheet, sections 8.1 to 8.7; QEMU's hw/char/serial.c; `ns16550a`.
 *
 * The guest sees the FIFOs (16 bytes each, trigger levels 1, 4, 8, 14), all interrupts with their priorities, loopback.
 * A byte is sent the moment it is written; when the back end is full, it waits in the transmit FIFO and THRE says so.
 * No byte of input is lost: the UART takes one from its back end only when the guest will see it, which is some time
 * after receive interrupts were enabled, or when a guest that polls has read LSR many times in a row (drivers that only
 * look at THRE before they write, or clear the FIFOs while they open the port, do not).
 * An access of any width reaches the one register at its offset.
 * Not modelled: baud rate pacing, parity and framing errors, breaks, modem lines but in loopback, DMA mode.
 */
import { type AccessSize, type DeviceCore, defineDevice, type IrqLine } from '../../src/actor/device-core.ts';
import { STANDING_TIMES_MAX, standing } from '../../src/actor/standing-answer.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { registerTable } from '../../src/bus/register-table.ts';
import type { LoopPort, Timer } from '../../src/loop/port.ts';
import { HARTS_MAX } from '../board/virt-table.ts';
import type { CharEvent, CharPort } from './char-port.ts';

export interface Uart16550Ports {
  readonly irq: IrqLine;
  readonly char: CharPort;
  /** What LSR gave others, and said to stand, may do so no longer. Left out where nobody can be told: then none stands. */
  readonly takeBackAnswers?: () => void;
}

export type Uart16550Event = CharEvent;

export const uart16550Registers = registerTable({
  RBR: { offset: 0, widthBytes: 1, access: 'ro', doc: 'received byte; DLAB=0' },
  THR: { offset: 0, widthBytes: 1, access: 'wo', doc: 'byte to send; DLAB=0' },
  DLL: { offset: 0, widthBytes: 1, access: 'rw', doc: 'divisor [7:0]; DLAB=1' },
  IER: {
    offset: 1,
    widthBytes: 1,
    access: 'rw',
    doc: '[0] receive, [1] THR empty, [2] line status, [3] modem status; DLAB=0',
  },
  DLM: { offset: 1, widthBytes: 1, access: 'rw', doc: 'divisor [15:8]; DLAB=1' },
  IIR: { offset: 2, widthBytes: 1, access: 'ro', doc: '[0] no interrupt, [3:1] its source, [7:6] FIFOs enabled' },
  FCR: {
    offset: 2,
    widthBytes: 1,
    access: 'wo',
    doc: '[0] enable FIFOs, [1] clear receiver, [2] clear transmitter, [7:6] trigger',
  },
  LCR: { offset: 3, widthBytes: 1, access: 'rw', doc: '[1:0] word length, [2] stop bits, [3] parity, [7] DLAB' },
  MCR: { offset: 4, widthBytes: 1, access: 'rw', doc: '[0] DTR, [1] RTS, [2] OUT1, [3] OUT2, [4] loopback' },
  LSR: {
    offset: 5,
    widthBytes: 1,
    access: 'ro',
    doc: '[0] data ready, [1] overrun, [5] THR empty, [6] transmitter empty',
  },
  MSR: { offset: 6, widthBytes: 1, access: 'ro', doc: '[4] CTS, [5] DSR, [6] RI, [7] DCD; from MCR in loopback' },
  SCR: { offset: 7, widthBytes: 1, access: 'rw', doc: 'scratch' },
});

/** Ticks a second that the divisor divides; 16 of them to a bit. The device tree says the same. */
export const UART_CLOCK_HZ = 3_686_400;

const FIFO_BYTES = 16;
/**
 * Bytes that were sent behind one look at LSR (src/actor/standing-answer.ts) find room although the back end has none
 * meanwhile: each hart may have as many on their way.
 */
const TRANSMIT_MAX_BYTES = FIFO_BYTES + HARTS_MAX * STANDING_TIMES_MAX;
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
/**
 * A guest that reads LSR this many times in a row, with nothing to send, waits for input although it never enabled the
 * receive interrupt (boot loaders do). A driver that only prints reads it a few times at most between two bytes.
 */
const POLLING_READS = 16;
/**
 * From enabling the receive interrupt to the first byte: drivers (Linux's 8250) read RBR once more behind it, "for luck",
 * and would throw a byte away that is there already.
 */
const SETTLE_NS = 2_000_000;
/** Silence of this many characters raises the receive timeout. */
const TIMEOUT_CHARACTERS = 4;

const IER = { receive: 0x01, transmit: 0x02, line: 0x04, writable: 0x0f } as const;
const IIR = { none: 0x01, transmit: 0x02, receive: 0x04, line: 0x06, timeout: 0x0c, fifos: 0xc0 } as const;
const FCR = { enable: 0x01, clearReceiver: 0x02, clearTransmitter: 0x04, kept: 0xc9 } as const;
const LCR_DLAB = 0x80;
const MCR = { loopback: 0x10, out2: 0x08, writable: 0x1f } as const;
const LSR = { dataReady: 0x01, overrun: 0x02, thrEmpty: 0x20, idle: 0x40 } as const;
/** Nothing to read, nothing wrong, and room to write. */
const LSR_OPEN = LSR.thrEmpty | LSR.idle;
/** CTS, DSR and DCD: somebody is always at the other end. */
const MSR_CONNECTED = 0xb0;

export interface Uart16550State {
  ier: number;
  fcr: number;
  lcr: number;
  mcr: number;
  scr: number;
  /** DLM and DLL as one number. */
  divisor: number;
  overrun: boolean;
  /** The interrupts that are remembered rather than computed. */
  transmitPending: boolean;
  timeoutPending: boolean;
  receiveFifo: number[];
  transmitFifo: number[];
  /** Virtual time at which the receive timeout is due, or null. */
  timeoutDeadlineNs: number | null;
  /** Virtual time at which input begins after the receive interrupt was enabled, or null. */
  settleDeadlineNs: number | null;
  /** Reads of LSR in a row; counts no further than POLLING_READS. */
  statusReads: number;
  /** An answer was said to stand: bytes may be on their way that nobody asks for any more. */
  hasStood: boolean;
}

export const uart16550 = defineDevice<Uart16550Ports, void, Uart16550State, Uart16550Event>({
  name: 'uart16550',
  version: 2,
  lengthBytes: 0x100,
  create: (ports) => new Uart16550Core(ports),
});

const R = uart16550Registers;

class Uart16550Core implements DeviceCore<Uart16550State, Uart16550Event> {
  readonly #ports: Uart16550Ports;
  readonly #loop: LoopPort;
  readonly #timeout: Timer;
  readonly #settle: Timer;
  #state = initialState();

  constructor(ports: Uart16550Ports & { readonly loop: LoopPort }) {
    this.#ports = ports;
    this.#loop = ports.loop;
    this.#timeout = ports.loop.timer('uart16550 receive timeout', () => this.#timeoutDue());
    this.#settle = ports.loop.timer('uart16550 input begins', () => this.#settled());
  }

  handle(event: Uart16550Event): void {
    if (event.type === 'char.readable') this.#fill();
    else this.#drain();
  }

  mmioRead(offset: number, _size: AccessSize): number {
    const state = this.#state;
    if (offset !== R.LSR.offset) state.statusReads = 0;
    else if (state.statusReads < POLLING_READS) state.statusReads += 1;
    switch (offset) {
      case R.RBR.offset:
        return this.#dlab ? state.divisor & 0xff : this.#readByte();
      case R.IER.offset:
        return this.#dlab ? state.divisor >>> 8 : state.ier;
      case R.IIR.offset:
        return this.#readIir();
      case R.LCR.offset:
        return state.lcr;
      case R.MCR.offset:
        return state.mcr;
      case R.LSR.offset:
        return this.#readLsr();
      case R.MSR.offset:
        return this.#loopback ? loopbackMsr(state.mcr) : MSR_CONNECTED;
      case R.SCR.offset:
        return state.scr;
      default:
        return 0;
    }
  }

  mmioWrite(offset: number, value: number, _size: AccessSize): void {
    const state = this.#state;
    const byte = value & 0xff;
    state.statusReads = 0;
    switch (offset) {
      case R.THR.offset:
        if (this.#dlab) state.divisor = (state.divisor & 0xff00) | byte;
        else this.#writeByte(byte);
        break;
      case R.IER.offset:
        if (this.#dlab) state.divisor = (byte << 8) | (state.divisor & 0xff);
        else this.#writeIer(byte);
        break;
      case R.FCR.offset:
        this.#writeFcr(byte);
        break;
      case R.LCR.offset:
        this.#ports.takeBackAnswers?.();
        state.lcr = byte;
        break;
      case R.MCR.offset:
        this.#ports.takeBackAnswers?.();
        state.mcr = byte & MCR.writable;
        this.#fill();
        break;
      case R.SCR.offset:
        state.scr = byte;
        break;
    }
  }

  /** That there is room, and no input, is so until something happens. */
  standing(offset: number, _size: AccessSize): number {
    if (offset !== R.LSR.offset || this.#ports.takeBackAnswers === undefined) return 0;
    if (this.#dlab || this.#loopback || this.#lineStatus() !== LSR_OPEN) return 0;
    this.#state.hasStood = true;
    return standing(R.THR.offset, STANDING_TIMES_MAX);
  }

  reset(): void {
    this.#ports.takeBackAnswers?.();
    this.#timeout.cancel();
    this.#settle.cancel();
    this.#state = initialState();
    this.#updateIrq();
  }

  view(): object {
    return { ...this.save(), interrupt: this.#interrupt(), lineStatus: this.#lineStatus() };
  }

  save(): Uart16550State {
    const state = this.#state;
    return { ...state, receiveFifo: [...state.receiveFifo], transmitFifo: [...state.transmitFifo] };
  }

  load(state: Uart16550State): void {
    const reader = new StateReader('uart16550', state);
    const loaded: Uart16550State = {
      ier: reader.uint('ier', IER.writable),
      fcr: reader.uint('fcr', FCR.kept),
      lcr: reader.uint('lcr', 0xff),
      mcr: reader.uint('mcr', MCR.writable),
      scr: reader.uint('scr', 0xff),
      divisor: reader.uint('divisor', 0xffff),
      overrun: reader.flag('overrun'),
      transmitPending: reader.flag('transmitPending'),
      timeoutPending: reader.flag('timeoutPending'),
      receiveFifo: reader.uints('receiveFifo', 0xff, 0, FIFO_BYTES),
      transmitFifo: reader.uints('transmitFifo', 0xff, 0, TRANSMIT_MAX_BYTES),
      timeoutDeadlineNs: reader.timeOrNull('timeoutDeadlineNs'),
      settleDeadlineNs: reader.timeOrNull('settleDeadlineNs'),
      statusReads: reader.uint('statusReads', POLLING_READS),
      hasStood: reader.flag('hasStood'),
    };
    reader.finish();
    this.#state = loaded;
    this.#timeout.cancel();
    if (loaded.timeoutDeadlineNs !== null) this.#timeout.arm(loaded.timeoutDeadlineNs);
    this.#settle.cancel();
    if (loaded.settleDeadlineNs !== null) this.#settle.arm(loaded.settleDeadlineNs);
    this.#updateIrq();
  }

  get #dlab(): boolean {
    return (this.#state.lcr & LCR_DLAB) !== 0;
  }

  get #loopback(): boolean {
    return (this.#state.mcr & MCR.loopback) !== 0;
  }

  get #capacityBytes(): number {
    return (this.#state.fcr & FCR.enable) !== 0 ? FIFO_BYTES : 1;
  }

  #readByte(): number {
    const state = this.#state;
    const byte = state.receiveFifo.shift() ?? 0;
    state.timeoutPending = false;
    this.#restartTimeout();
    this.#fill();
    this.#updateIrq();
    return byte;
  }

  /** Reading IIR acknowledges the transmit interrupt when that is what it shows. */
  #readIir(): number {
    const source = this.#interrupt();
    if (source === IIR.transmit) {
      this.#state.transmitPending = false;
      this.#updateIrq();
    }
    return (this.#state.fcr & FCR.enable) !== 0 ? source | IIR.fifos : source;
  }

  #readLsr(): number {
    const state = this.#state;
    const isPolling = state.statusReads === POLLING_READS && state.transmitFifo.length === 0;
    if (isPolling && state.receiveFifo.length === 0 && !this.#loopback) this.#take(1);
    const value = this.#lineStatus();
    if (state.overrun) {
      state.overrun = false;
      this.#updateIrq();
    }
    return value;
  }

  #writeByte(byte: number): void {
    const state = this.#state;
    state.transmitPending = false;
    if (this.#loopback) {
      this.#receive(byte);
      state.transmitPending = true;
    } else if (state.transmitFifo.length === 0 && this.#ports.char.write(byte)) {
      state.transmitPending = true;
    } else if (state.transmitFifo.length < (state.hasStood ? TRANSMIT_MAX_BYTES : this.#capacityBytes)) {
      this.#ports.takeBackAnswers?.();
      state.transmitFifo.push(byte);
    }
    this.#updateIrq();
  }

  /** Enabling the transmit interrupt while THR is empty raises it at once: drivers start to send that way. */
  #writeIer(byte: number): void {
    const state = this.#state;
    const changed = state.ier ^ byte;
    state.ier = byte & IER.writable;
    if ((changed & state.ier & IER.receive) !== 0) {
      state.settleDeadlineNs = Math.floor(this.#loop.nowNs()) + SETTLE_NS;
      this.#settle.arm(state.settleDeadlineNs);
    }
    if ((changed & IER.transmit) !== 0) {
      state.transmitPending = (state.ier & IER.transmit) !== 0 && state.transmitFifo.length === 0;
    }
    this.#fill();
    this.#updateIrq();
  }

  #writeFcr(byte: number): void {
    const state = this.#state;
    const toggled = ((state.fcr ^ byte) & FCR.enable) !== 0;
    if (toggled || (byte & FCR.clearReceiver) !== 0) {
      state.receiveFifo = [];
      state.timeoutPending = false;
      this.#restartTimeout();
    }
    if (toggled || (byte & FCR.clearTransmitter) !== 0) {
      state.transmitFifo = [];
      state.transmitPending = true;
    }
    state.fcr = byte & FCR.kept;
    this.#fill();
    this.#updateIrq();
  }

  /** Takes what the receive FIFO has room for, if the guest listens by interrupt. */
  #fill(): void {
    const { ier, settleDeadlineNs } = this.#state;
    const listening = (ier & IER.receive) !== 0 && settleDeadlineNs === null && !this.#loopback;
    if (listening) this.#take(this.#capacityBytes - this.#state.receiveFifo.length);
  }

  #settled(): void {
    this.#state.settleDeadlineNs = null;
    this.#fill();
  }

  #take(maxBytes: number): void {
    for (let count = 0; count < maxBytes; count++) {
      const byte = this.#ports.char.read();
      if (byte < 0) break;
      this.#receive(byte & 0xff);
    }
    this.#updateIrq();
  }

  #receive(byte: number): void {
    const state = this.#state;
    this.#ports.takeBackAnswers?.();
    if (state.receiveFifo.length < this.#capacityBytes) state.receiveFifo.push(byte);
    else state.overrun = true;
    this.#restartTimeout();
  }

  /** The back end has room again. */
  #drain(): void {
    const { transmitFifo } = this.#state;
    if (transmitFifo.length === 0) return;
    while (transmitFifo.length > 0 && this.#ports.char.write(transmitFifo[0] as number)) transmitFifo.shift();
    if (transmitFifo.length === 0) this.#state.transmitPending = true;
    this.#updateIrq();
  }

  #restartTimeout(): void {
    const state = this.#state;
    if (state.receiveFifo.length === 0 || (state.fcr & FCR.enable) === 0) {
      state.timeoutDeadlineNs = null;
      this.#timeout.cancel();
    } else {
      state.timeoutDeadlineNs = Math.floor(this.#loop.nowNs()) + TIMEOUT_CHARACTERS * characterNs(state);
      this.#timeout.arm(state.timeoutDeadlineNs);
    }
  }

  #timeoutDue(): void {
    this.#state.timeoutDeadlineNs = null;
    this.#state.timeoutPending = this.#state.receiveFifo.length > 0;
    this.#updateIrq();
  }

  #lineStatus(): number {
    const { receiveFifo, overrun, transmitFifo } = this.#state;
    const received = (receiveFifo.length > 0 ? LSR.dataReady : 0) | (overrun ? LSR.overrun : 0);
    return transmitFifo.length === 0 ? received | LSR.thrEmpty | LSR.idle : received;
  }

  /** IIR's source field, highest priority first. */
  #interrupt(): number {
    const { ier, fcr, overrun, timeoutPending, transmitPending, receiveFifo } = this.#state;
    const trigger = (fcr & FCR.enable) !== 0 ? (TRIGGER_LEVELS[fcr >>> 6] ?? 1) : 1;
    if ((ier & IER.line) !== 0 && overrun) return IIR.line;
    if ((ier & IER.receive) !== 0 && timeoutPending) return IIR.timeout;
    if ((ier & IER.receive) !== 0 && receiveFifo.length >= trigger) return IIR.receive;
    return (ier & IER.transmit) !== 0 && transmitPending ? IIR.transmit : IIR.none;
  }

  #updateIrq(): void {
    this.#ports.irq.set(this.#interrupt() !== IIR.none);
  }
}

function initialState(): Uart16550State {
  return {
    ier: 0,
    fcr: 0,
    lcr: 0,
    mcr: MCR.out2,
    scr: 0,
    divisor: 12,
    overrun: false,
    transmitPending: false,
    timeoutPending: false,
    receiveFifo: [],
    transmitFifo: [],
    timeoutDeadlineNs: null,
    settleDeadlineNs: null,
    statusReads: 0,
    hasStood: false,
  };
}

/** Time one character takes on the wire: start bit, 5 to 8 data bits, parity, one or two stop bits. */
function characterNs({ divisor, lcr }: Uart16550State): number {
  const bits = 1 + 5 + (lcr & 3) + ((lcr & 8) !== 0 ? 1 : 0) + ((lcr & 4) !== 0 ? 2 : 1);
  return Math.ceil((bits * 16 * Math.max(divisor, 1) * 1e9) / UART_CLOCK_HZ);
}

/** In loopback the outputs come back as inputs: RTS as CTS, DTR as DSR, OUT1 as RI, OUT2 as DCD. */
function loopbackMsr(mcr: number): number {
  return ((mcr & 0x0c) << 4) | ((mcr & 0x02) << 3) | ((mcr & 0x01) << 5);
}
