/**
 * A PCI function as its author writes it, and the device that becomes of it: configuration space, BARs, MSI, MSI-X, INTx
 * and bus mastering around what the author's core does.
 *
 * The device's register window is configuration space (4 KiB) followed by the BARs; the host bridge and the slot map
 * pieces of it. Source: PCI Local Bus 3.0, chapter 6; PCI Express Base 4.0, 7.5; PCI Bus Power Management 1.2, 3.2.
 *
 * Not modelled: expansion ROM, extended capabilities, PME, D1 and D2. In D3hot BARs do not answer and nothing is sent.
 */
import { type AccessSize, type DeviceCore, type DeviceDefinition, defineDevice } from '../actor/index.ts';
import type { MsiPort } from '../bus/msi.ts';
import type { DmaPort } from '../dma/port.ts';
import type { LoopPort } from '../loop/port.ts';
import { type BarShape, functionWindowBytes } from './bars.ts';
import type { PciSlotPort } from './bus.ts';
import type { ConfigSpace } from './config-space.ts';
import { FunctionCore } from './function-core.ts';
import type { MsixShape } from './msix.ts';

/** What a function looks like in configuration space. */
export interface PciShape {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revisionId?: number;
  /** 24 bits: base class, sub-class, programming interface. */
  readonly classCode: number;
  /** Default: none (0), as bridges have. */
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** Default: endpoint, a type 0 header. */
  readonly header?: 'endpoint' | 'bridge';
  readonly bars?: readonly BarShape[];
  /** 1 to 4: INTA to INTD. Without it there is no INTx. */
  readonly interruptPin?: number;
  /** MSI vectors: 1, 2, 4, 8, 16 or 32. */
  readonly msiVectors?: number;
  readonly msix?: MsixShape;
  /** Makes it a PCI Express endpoint; a conventional one has no such capability. */
  readonly isExpress?: boolean;
  readonly hasPowerManagement?: boolean;
}

/** How a function's core raises interrupts. Which of the ways is in use is the guest's choice. */
export interface PciInterrupts {
  readonly mode: 'intx' | 'msi' | 'msix';
  /** Sends a message of MSI or MSI-X, or keeps it pending while masked; in mode `intx` it does nothing. */
  notify(vector: number): void;
  /** The level of the interrupt pin; it is remembered, and driven in mode `intx` alone. */
  setLevel(level: boolean): void;
}

/** What a function's core is handed, beside ports of its own. */
export interface PciCorePorts {
  readonly loop: LoopPort;
  /**
   * Fails while the guest has not made the function a bus master. After a reset no answer to an earlier request comes:
   * do not write to bytes again that were given to one.
   */
  readonly dma: DmaPort;
  readonly interrupts: PciInterrupts;
  /** The function's own configuration space, for capabilities of its own. */
  readonly config: ConfigSpace;
}

/** What the board hands a function, beside ports of its own. */
export interface PciFunctionPorts {
  readonly slot: PciSlotPort;
  readonly dma: DmaPort;
  readonly msi: MsiPort;
}

/** The author's part: what lies behind the BARs. Every method runs to completion on the owning thread. */
export interface PciFunctionCore<S = unknown, E = never> {
  /** @param offset bytes from the BAR's start, below its length; @returns an unsigned value, cut to `size` */
  barRead?(bar: number, offset: number, size: AccessSize): number;
  barWrite?(bar: number, offset: number, value: number, size: AccessSize): void;
  /** Before the guest reads configuration space, for a register whose value is made when it is asked for. */
  configRead?(offset: number, size: AccessSize): void;
  /** The guest has written configuration space; the masks have been applied. */
  configWritten?(offset: number, size: AccessSize): void;
  handle?(event: E): void;
  /** Configuration space has been reset already. */
  reset(): void;
  view(): object;
  save(): S;
  /** Configuration space and the pin's level have been loaded already; nothing is sent. @throws on what save() of this version cannot have given */
  load(state: S): void;
}

export interface PciFunctionDefinition<P extends object, C, S, E> extends PciShape {
  /** The name QEMU users know. */
  readonly name: string;
  /** Version of what the core's save() writes. */
  readonly version: number;
  /** Further capabilities, behind those that follow from the shape. @param config as create() gets it */
  addCapabilities?(space: ConfigSpace, config: C): void;
  create(ports: P & PciCorePorts, config: C): PciFunctionCore<S, E>;
}

/** What a function's actor persists. */
export interface PciFunctionState<S> {
  /** Configuration space, in words. */
  config: number[];
  /** Words of the table, four a vector; and pending bits. Empty without MSI-X. */
  msixTable: number[];
  msixPending: number[];
  /** What the core has set its interrupt pin to. */
  level: boolean;
  /** The author's. */
  core: S;
}

/**
 * Makes a device of a PCI function. @param config given to the core, as the board has it
 * @throws (when the device is made) for BARs, vectors or capabilities that cannot be
 */
export function definePciFunction<P extends object, C, S, E = never>(
  definition: PciFunctionDefinition<P, C, S, E>,
): DeviceDefinition<P & PciFunctionPorts, C, PciFunctionState<S>, E> {
  const { name, version, bars = [] } = definition;
  return defineDevice<P & PciFunctionPorts, C, PciFunctionState<S>, E>({
    name,
    version,
    lengthBytes: functionWindowBytes(bars),
    create: (ports, config): DeviceCore<PciFunctionState<S>, E> =>
      new FunctionCore(definition, ports, {
        capabilities: (space) => definition.addCapabilities?.(space, config),
        core: (own) => definition.create({ ...ports, ...own }, config),
      }),
  });
}
