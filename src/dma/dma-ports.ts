/**
 * DMA of the devices of one loop. RAM is copied in one step; everything else is cut into aligned accesses of 4, 2 or 1
 * bytes, each in a bottom half of its own, so that no access ever runs inside another. One device's requests are done in
 * the order they were made, the pieces of each in the order of addresses; after a piece that fails none follows, and
 * those before it have taken effect. A request that is partly RAM is split where RAM begins and ends.
 *
 * Chains: what a device asks for while it handles an access continues the chain of that access (src/actor/access-origin.ts),
 * and so does what it asks for in a bottom half it scheduled then, or in the `done` of a request. A timer begins anew:
 * time has passed. A chain that is too long, or has the same device too often, ends with a bus error at its next access
 * to registers. So a guest that points devices at each other, or one at its own doorbell, gets an error and no loop.
 *
 * A device that is quiesced finishes nothing until it is resumed. One that is removed, or reset, is told nothing more
 * about what it had asked for: an access in flight takes effect, no other follows, and its maps are void.
 *
 * Not modelled: translation (IOMMU), accesses of 8 bytes.
 */

import type { AccessSize, DeviceAttachment } from '../actor/index.ts';
import { AccessOrigin, BUS_FAULT, continueOrigin, MUST_ASK, MUST_WAIT, type OriginLink } from '../actor/index.ts';
import type { FlatView } from '../bus/flat-view.ts';
import type { MsiPort } from '../bus/msi.ts';
import type { BottomHalf, LoopPort } from '../loop/port.ts';
import type { DirtyBitmap } from '../memory/dirty-log.ts';
import { assert } from '../util/errors.ts';
import { OriginLoop } from './origin-loop.ts';
import type { DmaPort, DmaSegment } from './port.ts';

/** Requests of one device that are not answered; one more is a bus error. */
export const DMA_REQUESTS_MAX = 64;
/** Longest read() or write(); a longer one is a bus error. RAM is mapped for more. */
export const DMA_REQUEST_MAX_BYTES = 1 << 20;
/** Ranges that one device has mapped; one more cannot be mapped. */
export const DMA_MAPS_MAX = 1024;
/** Devices in a chain. */
export const DMA_CHAIN_MAX = 16;
/** Times that one device may be in a chain. */
export const DMA_REENTRIES_MAX = 4;

export interface DmaOptions {
  /** The loop its devices live on. */
  readonly loop: LoopPort;
  readonly ram: { readonly bytes: Uint8Array; readonly base: number };
  /** The loop's current way to what is not RAM; asked for at each access. */
  readonly view: () => FlatView;
  /** Asked before each write of 4 bytes outside of RAM. */
  readonly msi: MsiPort | null;
  /** This loop's, shared by its devices. */
  readonly dirty: DirtyBitmap | null;
  /** The loop's; also for its WindowServers and remote windows. */
  readonly origin?: AccessOrigin;
  /** `handler` is to be called whenever a way to another thread has room again. */
  readonly onSpace: (handler: () => void) => void;
}

/** A device's own: hand it to the device as its port, and to deviceActorLogic as an attachment. */
export type DeviceDmaPort = DmaPort & DeviceAttachment;

export interface DmaPorts {
  /** The loop to give to devices: its bottom halves continue the chain they were scheduled in. */
  readonly loop: LoopPort;
  /** @param name of the device, unique among those that live */
  portFor(name: string): DeviceDmaPort;
  /** What the inspector shows. */
  view(): object;
}

export function createDmaPorts(options: DmaOptions): DmaPorts {
  const bus: DmaBus = { ...options, origin: options.origin ?? new AccessOrigin() };
  const devices = new Map<string, DeviceDma>();
  options.onSpace(() => {
    for (const device of devices.values()) device.retry();
  });
  options.dirty?.onTake(() => {
    for (const device of devices.values()) device.markMaps();
  });
  return {
    loop: new OriginLoop(options.loop, bus.origin),
    portFor(name) {
      assert(devices.get(name)?.closed !== false, `two devices are called ${name}`);
      const device = new DeviceDma(name, bus);
      devices.set(name, device);
      return device;
    },
    view: () => Object.fromEntries([...devices].map(([name, device]) => [name, device.view()])),
  };
}

type DmaBus = DmaOptions & { readonly origin: AccessOrigin };

/** A request in flight. */
interface Request {
  readonly isWrite: boolean;
  readonly gpa: number;
  readonly lengthBytes: number;
  /** Of a read: made when its turn comes. */
  bytes: Uint8Array;
  doneBytes: number;
  /** `asked`: an access will be answered; `room`: it found no room, and is made again. */
  state: 'ready' | 'asked' | 'room' | 'failed';
  /** The access in whose handling it was made, and the chain it continues. */
  readonly before: OriginLink | null;
  readonly chain: OriginLink;
  readonly done: (bytes: Uint8Array | null) => void;
}

interface MappedRange {
  readonly gpa: number;
  readonly lengthBytes: number;
  readonly access: 'read' | 'write';
}

const NO_BYTES = new Uint8Array(0);

class DeviceDma implements DmaPort, DeviceAttachment {
  readonly #name: string;
  readonly #bus: DmaBus;
  readonly #step: BottomHalf;
  #gate: 'held' | 'open' | 'closed' = 'open';
  #onError: ((error: unknown) => void) | null = null;
  #requests: Request[] = [];
  #maps: MappedRange[] = [];

  constructor(name: string, bus: DmaBus) {
    this.#name = name;
    this.#bus = bus;
    this.#step = bus.loop.bottomHalf(`${name} dma`, () => this.#run());
  }

  get closed(): boolean {
    return this.#gate === 'closed';
  }

  attach(onError: (error: unknown) => void): void {
    this.#drop();
    this.#onError = onError;
    this.#gate = 'held';
  }

  hold(): void {
    if (this.#gate !== 'open') return;
    this.#gate = 'held';
    this.#step.cancel();
  }

  release(): void {
    if (this.#gate !== 'held') return;
    this.#gate = 'open';
    this.#schedule();
  }

  reset(): void {
    this.#drop();
  }

  close(): void {
    this.#drop();
    this.#gate = 'closed';
  }

  map(gpa: number, lengthBytes: number, access: 'read' | 'write'): readonly DmaSegment[] | null {
    const { bytes, base } = this.#bus.ram;
    if (this.closed || this.#maps.length >= DMA_MAPS_MAX || !isRange(gpa, lengthBytes) || lengthBytes === 0)
      return null;
    const offset = gpa - base;
    if (offset < 0 || offset + lengthBytes > bytes.length) return null;
    this.#maps.push({ gpa, lengthBytes, access });
    return [bytes.subarray(offset, offset + lengthBytes)];
  }

  unmap(gpa: number, lengthBytes: number, access: 'read' | 'write'): void {
    const index = this.#maps.findIndex(
      (map) => map.gpa === gpa && map.lengthBytes === lengthBytes && map.access === access,
    );
    if (index < 0) return;
    this.#maps.splice(index, 1);
    if (access === 'write') this.#mark(gpa, lengthBytes);
  }

  read(gpa: number, lengthBytes: number, done: (bytes: Uint8Array | null) => void): void {
    this.#request(false, gpa, lengthBytes, NO_BYTES, done);
  }

  write(gpa: number, bytes: Uint8Array, done: (ok: boolean) => void): void {
    this.#request(true, gpa, bytes.length, bytes, (result) => done(result !== null));
  }

  /** There is room on the way to another thread. */
  retry(): void {
    const request = this.#requests[0];
    if (request?.state !== 'room') return;
    request.state = 'ready';
    this.#schedule();
  }

  /** Ranges that may be written at any time count as written. */
  markMaps(): void {
    for (const { gpa, lengthBytes, access } of this.#maps) if (access === 'write') this.#mark(gpa, lengthBytes);
  }

  view(): object {
    return { requests: this.#requests.length, maps: this.#maps.length };
  }

  #request(isWrite: boolean, gpa: number, lengthBytes: number, bytes: Uint8Array, done: Request['done']): void {
    if (this.closed) return;
    const fits = isRange(gpa, lengthBytes) && lengthBytes <= DMA_REQUEST_MAX_BYTES;
    const before = this.#bus.origin.current;
    this.#requests.push({
      isWrite,
      gpa,
      lengthBytes,
      bytes,
      doneBytes: 0,
      state: fits && this.#requests.length < DMA_REQUESTS_MAX ? 'ready' : 'failed',
      before,
      chain: continueOrigin(before, this.#name),
      done,
    });
    this.#schedule();
  }

  #schedule(): void {
    const state = this.#requests[0]?.state;
    if (this.#gate === 'open' && (state === 'ready' || state === 'failed')) this.#step.schedule();
  }

  /** One piece of the oldest request. */
  #run(): void {
    const request = this.#requests[0];
    if (request === undefined) return;
    if (request.state === 'ready') this.#piece(request);
    // The access may have ended this device, or have been answered at once.
    if (this.#requests[0] !== request) return;
    const complete = request.doneBytes === request.lengthBytes;
    if (request.state === 'failed' || (request.state === 'ready' && complete)) this.#finish(request);
    else this.#schedule();
  }

  #finish(request: Request): void {
    this.#requests.shift();
    this.#schedule();
    try {
      this.#bus.origin.run(request.before, () => request.done(request.state === 'failed' ? null : request.bytes));
    } catch (error) {
      if (this.#onError === null) throw error;
      this.#onError(error);
    }
  }

  #piece(request: Request): void {
    const { ram } = this.#bus;
    if (request.doneBytes === 0 && !request.isWrite) request.bytes = new Uint8Array(request.lengthBytes);
    const gpa = request.gpa + request.doneBytes;
    const leftBytes = request.lengthBytes - request.doneBytes;
    if (leftBytes === 0) return;
    const offset = gpa - ram.base;
    if (offset >= 0 && offset < ram.bytes.length) {
      return this.#copy(request, offset, Math.min(leftBytes, ram.bytes.length - offset));
    }
    const untilRam = offset < 0 ? Math.min(leftBytes, -offset) : leftBytes;
    if (isExcessive(request.chain)) request.state = 'failed';
    else this.#access(request, gpa, accessSize(gpa, untilRam));
  }

  #copy(request: Request, offset: number, lengthBytes: number): void {
    const { bytes } = this.#bus.ram;
    const { doneBytes } = request;
    if (request.isWrite) {
      bytes.set(request.bytes.subarray(doneBytes, doneBytes + lengthBytes), offset);
      this.#bus.dirty?.mark(offset, lengthBytes);
    } else request.bytes.set(bytes.subarray(offset, offset + lengthBytes), doneBytes);
    request.doneBytes += lengthBytes;
  }

  /** One access, in the name of the request's chain. */
  #access(request: Request, gpa: number, size: AccessSize): void {
    request.state = 'asked';
    const { origin } = this.#bus;
    const asked = origin.run(request.chain, () =>
      request.isWrite ? this.#writeOut(request, gpa, size) : this.#readIn(request, gpa, size),
    );
    if (!asked) request.state = 'room';
  }

  #readIn(request: Request, gpa: number, size: AccessSize): boolean {
    const view = this.#bus.view();
    const status = view.read(gpa, size);
    if (status === MUST_WAIT) {
      return view.readAsync(gpa, size, (fault, lo) => this.#answered(request, size, fault, lo));
    }
    this.#answered(request, size, status === BUS_FAULT, view.lo);
    return true;
  }

  #writeOut(request: Request, gpa: number, size: AccessSize): boolean {
    const value = load(request.bytes, request.doneBytes, size);
    if (size === 4 && this.#bus.msi?.send(gpa, value) === true) {
      this.#answered(request, size, false, value);
      return true;
    }
    const view = this.#bus.view();
    const status = view.write(gpa, size, value);
    if (status === MUST_WAIT) return false;
    if (status === MUST_ASK) {
      return view.writeAsync(gpa, size, value, 0, (fault) => this.#answered(request, size, fault, value));
    }
    this.#answered(request, size, status === BUS_FAULT, value);
    return true;
  }

  /** @param value what was read; of a write, what was written */
  #answered(request: Request, size: AccessSize, fault: boolean, value: number): void {
    // Nobody waits for it when the device was removed or reset meanwhile.
    if (this.#requests[0] !== request) return;
    request.state = fault ? 'failed' : 'ready';
    if (!fault) {
      if (!request.isWrite) store(request.bytes, request.doneBytes, size, value);
      request.doneBytes += size;
    }
    this.#schedule();
  }

  #mark(gpa: number, lengthBytes: number): void {
    this.#bus.dirty?.mark(gpa - this.#bus.ram.base, lengthBytes);
  }

  #drop(): void {
    this.markMaps();
    this.#requests = [];
    this.#maps = [];
    this.#step.cancel();
  }
}

function isRange(gpa: number, lengthBytes: number): boolean {
  const end = gpa + lengthBytes;
  return Number.isSafeInteger(gpa) && Number.isSafeInteger(end) && gpa >= 0 && lengthBytes >= 0;
}

function isExcessive(chain: OriginLink): boolean {
  if (chain.depth > DMA_CHAIN_MAX) return true;
  let entries = 0;
  for (let link: OriginLink | null = chain; link !== null; link = link.before) {
    if (link.device === chain.device) entries += 1;
  }
  return entries > DMA_REENTRIES_MAX;
}

/** The widest aligned access at an address. */
function accessSize(gpa: number, leftBytes: number): AccessSize {
  if (gpa % 4 === 0 && leftBytes >= 4) return 4;
  return gpa % 2 === 0 && leftBytes >= 2 ? 2 : 1;
}

/** Little-endian, unsigned. */
function load(bytes: Uint8Array, at: number, size: AccessSize): number {
  let value = 0;
  for (let n = size - 1; n >= 0; n--) value = value * 256 + (bytes[at + n] ?? 0);
  return value;
}

function store(bytes: Uint8Array, at: number, size: AccessSize, value: number): void {
  for (let n = 0; n < size; n++) bytes[at + n] = (value >>> (8 * n)) & 0xff;
}
