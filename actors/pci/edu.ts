/**
 * QEMU's educational PCI device: what one writes a first driver for.
 * Source: QEMU's docs/specs/edu.rst and hw/misc/edu.c.
 *
 * The guest sees 1 MiB of memory with registers at its start: a liveness check, a factorial that is computed later, an
 * interrupt to raise, and a DMA engine with 4 KiB of its own at 0x40000. Interrupts come by MSI or INTA.
 *
 * Other than QEMU's: a transfer that leaves the 4 KiB, or that the bus refuses, moves nothing and sets bit 0x100 of the
 * status (QEMU ends); a transfer takes 100 us (QEMU: 100 ms). Below 0x80 accesses are of 4 bytes, from there on of 4 or
 * 8: one of 8 is two of 4 by the time it arrives, so the upper half of a register can be accessed by itself, and a
 * write of 4 bytes to the lower half clears the upper one.
 */
import type { AccessSize } from '../../src/actor/device-core.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { registerTable } from '../../src/bus/register-table.ts';
import type { BottomHalf, Timer } from '../../src/loop/port.ts';
import { definePciFunction, type PciCorePorts, type PciFunctionCore } from '../../src/pci/index.ts';

export interface EduConfig {
  /** Bus addresses of transfers are cut to these bits. Default: 28 bits. */
  readonly dmaMask?: bigint;
}

/** Offsets in BAR 0. */
export const eduRegisters = registerTable({
  IDENTIFICATION: { offset: 0x00, widthBytes: 4, access: 'ro', doc: '0x010000ed: version 1.0 of the device' },
  LIVENESS: { offset: 0x04, widthBytes: 4, access: 'rw', doc: 'reads as the inverse of what was written' },
  FACTORIAL: { offset: 0x08, widthBytes: 4, access: 'rw', doc: 'write n, read n! modulo 2^32 when not computing' },
  STATUS: { offset: 0x20, widthBytes: 4, access: 'rw', doc: '1 computing, 0x80 interrupt when done, 0x100 DMA failed' },
  IRQ_STATUS: { offset: 0x24, widthBytes: 4, access: 'ro', doc: 'reasons of the interrupt: 1 factorial, 0x100 DMA' },
  IRQ_RAISE: { offset: 0x60, widthBytes: 4, access: 'wo', doc: 'adds these reasons' },
  IRQ_ACK: { offset: 0x64, widthBytes: 4, access: 'wo', doc: 'takes these reasons away' },
  DMA_SOURCE: { offset: 0x80, widthBytes: 8, access: 'rw', doc: 'address to copy from' },
  DMA_DESTINATION: { offset: 0x88, widthBytes: 8, access: 'rw', doc: 'address to copy to' },
  DMA_COUNT: { offset: 0x90, widthBytes: 8, access: 'rw', doc: 'bytes to copy' },
  DMA_COMMAND: {
    offset: 0x98,
    widthBytes: 8,
    access: 'rw',
    doc: '1 start (then: runs), 2 from the device, 4 interrupt',
  },
});

export interface EduState {
  liveness: number;
  factorial: number;
  status: number;
  irqStatus: number;
  dmaSource: bigint;
  dmaDestination: bigint;
  dmaCount: bigint;
  dmaCommand: number;
  /** While a transfer waits for its time; one that runs without it is under way. */
  dmaDeadlineNs: number | null;
  /** The 4 KiB, in words. */
  buffer: number[];
}

/** How long a transfer takes. */
export const EDU_DMA_DELAY_NS = 100_000;

export const edu = definePciFunction<object, EduConfig, EduState>({
  name: 'edu',
  version: 1,
  vendorId: 0x1234,
  deviceId: 0x11e8,
  revisionId: 0x10,
  classCode: 0x00_ff00,
  subsystemVendorId: 0x1af4,
  subsystemId: 0x1100,
  bars: [{ bar: 0, kind: 'memory32', lengthBytes: 0x10_0000 }],
  interruptPin: 1,
  msiVectors: 1,
  create: (ports, config) => new EduCore(ports, config),
});

const IDENTIFICATION = 0x0100_00ed;
const STATUS = { computing: 0x01, interruptWhenDone: 0x80, dmaFailed: 0x100 } as const;
const REASON = { factorial: 0x01, dma: 0x100 } as const;
const DMA = { run: 1, fromDevice: 2, interrupt: 4 } as const;
const BUFFER_BASE = 0x4_0000n;
const BUFFER_BYTES = 4096;
const DMA_MASK_DEFAULT = (1n << 28n) - 1n;
/** 34! and all above it have 32 factors of two. */
const FACTORIAL_ZERO_FROM = 34;
const NOBODY = 0xffff_ffff;
const UINT64_MAX = (1n << 64n) - 1n;
const R = eduRegisters;
const WIDE = [
  ['dmaSource', R.DMA_SOURCE.offset],
  ['dmaDestination', R.DMA_DESTINATION.offset],
  ['dmaCount', R.DMA_COUNT.offset],
] as const;

class EduCore implements PciFunctionCore<EduState> {
  readonly #ports: PciCorePorts;
  readonly #dmaMask: bigint;
  readonly #compute: BottomHalf;
  readonly #dmaDue: Timer;
  /** A transfer that was under way when the state was saved is begun again. */
  readonly #dmaAgain: BottomHalf;
  #buffer = new Uint8Array(BUFFER_BYTES);
  #state = initialState();

  constructor(ports: PciCorePorts, { dmaMask = DMA_MASK_DEFAULT }: EduConfig) {
    this.#ports = ports;
    this.#dmaMask = dmaMask;
    this.#compute = ports.loop.bottomHalf('edu factorial', () => this.#factorialDone());
    this.#dmaDue = ports.loop.timer('edu dma', () => this.#transfer());
    this.#dmaAgain = ports.loop.bottomHalf('edu dma again', () => this.#transfer());
  }

  barRead(_bar: number, offset: number, size: AccessSize): number {
    if (size !== 4) return NOBODY;
    const state = this.#state;
    switch (offset) {
      case R.IDENTIFICATION.offset:
        return IDENTIFICATION;
      case R.LIVENESS.offset:
        return state.liveness;
      case R.FACTORIAL.offset:
        return state.factorial;
      case R.STATUS.offset:
        return state.status;
      case R.IRQ_STATUS.offset:
        return state.irqStatus;
      case R.DMA_COMMAND.offset:
        return state.dmaCommand;
      case R.DMA_COMMAND.offset + 4:
        return 0;
      default:
        return this.#readWide(offset);
    }
  }

  barWrite(_bar: number, offset: number, value: number, size: AccessSize): void {
    if (size !== 4) return;
    const state = this.#state;
    switch (offset) {
      case R.LIVENESS.offset:
        state.liveness = ~value >>> 0;
        break;
      case R.FACTORIAL.offset:
        if ((state.status & STATUS.computing) !== 0) break;
        state.factorial = value;
        state.status |= STATUS.computing;
        this.#compute.schedule();
        break;
      case R.STATUS.offset:
        state.status = (state.status & ~STATUS.interruptWhenDone) | (value & STATUS.interruptWhenDone);
        break;
      case R.IRQ_RAISE.offset:
        this.#raise(value);
        break;
      case R.IRQ_ACK.offset:
        state.irqStatus = (state.irqStatus & ~value) >>> 0;
        this.#ports.interrupts.setLevel(state.irqStatus !== 0);
        break;
      case R.DMA_COMMAND.offset:
        if ((value & DMA.run) !== 0 && !this.#isTransferring) this.#start(value);
        break;
      default:
        if (!this.#isTransferring) this.#writeWide(offset, value);
    }
  }

  reset(): void {
    this.#compute.cancel();
    this.#dmaDue.cancel();
    this.#dmaAgain.cancel();
    this.#state = initialState();
    this.#buffer.fill(0);
    this.#ports.interrupts.setLevel(false);
  }

  view(): object {
    return { ...this.#state };
  }

  save(): EduState {
    const view = new DataView(this.#buffer.buffer);
    const buffer = Array.from({ length: BUFFER_BYTES / 4 }, (_, word) => view.getUint32(word * 4, true));
    return { ...this.#state, dmaDeadlineNs: this.#dmaDue.deadlineNs, buffer };
  }

  load(state: EduState): void {
    const reader = new StateReader('edu', state);
    const loaded: EduState = {
      liveness: reader.uint('liveness', 0xffff_ffff),
      factorial: reader.uint('factorial', 0xffff_ffff),
      status: reader.uint('status', STATUS.computing | STATUS.interruptWhenDone | STATUS.dmaFailed),
      irqStatus: reader.uint('irqStatus', 0xffff_ffff),
      dmaSource: reader.bigint('dmaSource', 0n, UINT64_MAX),
      dmaDestination: reader.bigint('dmaDestination', 0n, UINT64_MAX),
      dmaCount: reader.bigint('dmaCount', 0n, UINT64_MAX),
      dmaCommand: reader.uint('dmaCommand', 0xffff_ffff),
      dmaDeadlineNs: reader.timeOrNull('dmaDeadlineNs'),
      buffer: [],
    };
    const words = reader.uints('buffer', 0xffff_ffff, BUFFER_BYTES / 4, BUFFER_BYTES / 4);
    reader.finish();
    this.reset();
    this.#state = loaded;
    const view = new DataView(this.#buffer.buffer);
    words.forEach((word, index) => {
      view.setUint32(index * 4, word, true);
    });
    if ((loaded.status & STATUS.computing) !== 0) this.#compute.schedule();
    if (loaded.dmaDeadlineNs !== null) this.#dmaDue.arm(loaded.dmaDeadlineNs);
    else if (this.#isTransferring) this.#dmaAgain.schedule();
    this.#ports.interrupts.setLevel(loaded.irqStatus !== 0);
  }

  #raise(reasons: number): void {
    this.#state.irqStatus = (this.#state.irqStatus | reasons) >>> 0;
    if (this.#state.irqStatus === 0) return;
    this.#ports.interrupts.setLevel(true);
    this.#ports.interrupts.notify(0);
  }

  #factorialDone(): void {
    const state = this.#state;
    state.factorial = factorial(state.factorial);
    state.status &= ~STATUS.computing;
    if ((state.status & STATUS.interruptWhenDone) !== 0) this.#raise(REASON.factorial);
  }

  get #isTransferring(): boolean {
    return (this.#state.dmaCommand & DMA.run) !== 0;
  }

  #start(command: number): void {
    this.#state.dmaCommand = command;
    this.#state.status &= ~STATUS.dmaFailed;
    this.#dmaDue.arm(Math.floor(this.#ports.loop.nowNs()) + EDU_DMA_DELAY_NS);
  }

  /** The registers of the transfer cannot change while it runs. */
  #transfer(): void {
    const { dmaCommand, dmaSource, dmaDestination, dmaCount } = this.#state;
    const isFromDevice = (dmaCommand & DMA.fromDevice) !== 0;
    const inside = (isFromDevice ? dmaSource : dmaDestination) - BUFFER_BASE;
    const gpa = Number((isFromDevice ? dmaDestination : dmaSource) & this.#dmaMask);
    const isFine = inside >= 0n && inside + dmaCount <= BUFFER_BYTES && Number.isSafeInteger(gpa + BUFFER_BYTES);
    if (!isFine) return this.#transferred(false);
    const count = Number(dmaCount);
    const at = Number(inside);
    if (count === 0) return this.#transferred(true);
    if (isFromDevice) {
      // A copy: the transfer's bytes are the port's until it is done, and a reset clears the buffer.
      this.#ports.dma.write(gpa, this.#buffer.slice(at, at + count), (ok) => this.#transferred(ok));
      return;
    }
    this.#ports.dma.read(gpa, count, (bytes) => {
      if (bytes !== null) this.#buffer.set(bytes.subarray(0, count), at);
      this.#transferred(bytes !== null);
    });
  }

  #transferred(ok: boolean): void {
    const { dmaCommand } = this.#state;
    this.#state.dmaCommand = (dmaCommand & ~DMA.run) >>> 0;
    if (!ok) this.#state.status |= STATUS.dmaFailed;
    if ((dmaCommand & DMA.interrupt) !== 0) this.#raise(REASON.dma);
  }

  #readWide(offset: number): number {
    for (const [name, at] of WIDE) {
      if (offset === at) return Number(this.#state[name] & 0xffff_ffffn);
      if (offset === at + 4) return Number(this.#state[name] >> 32n);
    }
    return NOBODY;
  }

  #writeWide(offset: number, value: number): void {
    for (const [name, at] of WIDE) {
      if (offset === at) this.#state[name] = BigInt(value);
      if (offset === at + 4) this.#state[name] = (this.#state[name] & 0xffff_ffffn) | (BigInt(value) << 32n);
    }
  }
}

/** Modulo 2^32. */
function factorial(n: number): number {
  if (n >= FACTORIAL_ZERO_FROM) return 0;
  let product = 1;
  for (let factor = 2; factor <= n; factor++) product = Math.imul(product, factor);
  return product >>> 0;
}

function initialState(): EduState {
  return {
    liveness: 0,
    factorial: 0,
    status: 0,
    irqStatus: 0,
    dmaSource: 0n,
    dmaDestination: 0n,
    dmaCount: 0n,
    dmaCommand: 0,
    dmaDeadlineNs: null,
    buffer: [],
  };
}
