/**
 * The core of every PCI function: it owns configuration space, MSI and MSI-X state, and the author's core with what is
 * behind the BARs. See function.ts.
 */
import type { AccessSize, DeviceCore } from '../actor/index.ts';
import { StateReader } from '../bus/device-state.ts';
import type { LoopPort } from '../loop/port.ts';
import { Bars, headerType, type PciRange } from './bars.ts';
import { forwarding, installBridge, type PciForwarding } from './bridge.ts';
import { ConfigSpace } from './config-space.ts';
import { addEndpointCapability, DEVICE_CONTROL, EXPRESS } from './express.ts';
import type {
  PciCorePorts,
  PciFunctionCore,
  PciFunctionPorts,
  PciFunctionState,
  PciInterrupts,
  PciShape,
} from './function.ts';
import { MasterPort } from './master.ts';
import { Msi } from './msi.ts';
import { Msix } from './msix.ts';
import { CAPABILITY, COMMAND, CONFIG, CONFIG_SPACE_BYTES, STATUS } from './registers.ts';

const MESSAGE_BYTES = 4;
const POWER = { lengthBytes: 8, capabilities: 0x02, control: 0x04, stateMask: 0x3, d3hot: 3 } as const;
/** Version 3 of the specification; no PME from any state. */
const POWER_VERSION = 3;
/** Going back to D0 is no reset. */
const POWER_NO_SOFT_RESET = 0x08;
const EVERY_BIT = 0xffff_ffff;

export class FunctionCore<S, E> implements DeviceCore<PciFunctionState<S>, E> {
  readonly #name: string;
  readonly #shape: PciShape;
  readonly #ports: PciFunctionPorts;
  readonly #config = new ConfigSpace();
  readonly #bars: Bars;
  readonly #master: MasterPort;
  readonly #msi: Msi | null;
  readonly #msix: Msix | null;
  readonly #core: PciFunctionCore<S, E>;
  /** What the author has set; the pin may be disabled. */
  #level = false;
  /** While a state is loaded nothing is sent and nothing is told. */
  #isLoading = false;
  /** What the slot has been told. */
  #decoded: readonly PciRange[] = [];
  #forwarding: PciForwarding | null = null;

  /** @param author adds capabilities, then makes the core. @throws for a shape that cannot be */
  constructor(
    shape: PciShape & { readonly name: string },
    ports: PciFunctionPorts & { readonly loop: LoopPort },
    author: { capabilities(space: ConfigSpace): void; core(ports: PciCorePorts): PciFunctionCore<S, E> },
  ) {
    const config = this.#config;
    this.#name = shape.name;
    this.#shape = shape;
    this.#ports = ports;
    this.#installHeader();
    this.#bars = new Bars(config, shape.bars ?? [], shape.header ?? 'endpoint');
    this.#master = new MasterPort(ports.dma, ports.loop, () => this.#maySend);
    const send = (address: number, data: number) => this.#send(address, data);
    if (shape.hasPowerManagement === true) addPowerManagement(config);
    this.#msi = shape.msiVectors === undefined ? null : new Msi(config, shape.msiVectors, send);
    const { msix } = shape;
    this.#msix = msix === undefined ? null : new Msix(config, msix, this.#bars.lengthBytes(msix.bar), send);
    if (shape.isExpress === true) addEndpointCapability(config, ports.slot.isOnRootBus);
    author.capabilities(config);
    config.seal();
    this.#core = author.core({ loop: ports.loop, dma: this.#master, interrupts: this.#interrupts(), config });
    this.#tell();
  }

  mmioRead(offset: number, size: AccessSize): number {
    if (offset < CONFIG_SPACE_BYTES) {
      this.#core.configRead?.(offset, size);
      return this.#config.get(offset, size);
    }
    const bar = this.#bars.at(offset);
    // Whether it is enabled is for the map to say: an access that was made before a change of it was done is answered
    // as before, both halves of an 8-byte one.
    if (bar === undefined) return cut(EVERY_BIT, size);
    const at = offset - bar.offset;
    if (this.#msix?.bar === bar.bar && this.#msix.holds(at)) return cut(this.#msix.read(at, size), size);
    return cut(this.#core.barRead?.(bar.bar, at, size) ?? 0, size);
  }

  mmioWrite(offset: number, value: number, size: AccessSize): void {
    if (offset < CONFIG_SPACE_BYTES) return this.#writeConfig(offset, value, size);
    const bar = this.#bars.at(offset);
    if (bar === undefined) return;
    const at = offset - bar.offset;
    if (this.#msix?.bar === bar.bar && this.#msix.holds(at)) this.#msix.write(at, value, size);
    else this.#core.barWrite?.(bar.bar, at, cut(value, size), size);
  }

  handle(event: E): void {
    this.#core.handle?.(event);
  }

  reset(): void {
    this.#config.reset();
    this.#msix?.reset();
    this.#master.reset();
    this.#level = false;
    this.#core.reset();
    this.#tell();
  }

  view(): object {
    const command = this.#config.get(CONFIG.command, 2);
    const bars = this.#decoded.map(({ bar, space, base }) => ({ bar, space, base }));
    return { command, interrupts: this.#mode, level: this.#level, bars, ...this.#core.view() };
  }

  save(): PciFunctionState<S> {
    return {
      config: this.#config.save(),
      msixTable: this.#msix?.saveTable() ?? [],
      msixPending: this.#msix?.savePending() ?? [],
      level: this.#level,
      core: this.#core.save(),
    };
  }

  load(state: PciFunctionState<S>): void {
    const { core, ...own } = (state ?? {}) as PciFunctionState<S>;
    const reader = new StateReader(this.#name, own);
    const words = this.#config.save();
    const loaded = reader.uints('config', EVERY_BIT, words.length, words.length);
    const loadedLevel = reader.flag('level');
    const loadMsix = this.#msix?.loader(reader) ?? noMsix(reader);
    reader.finish();
    const level = this.#level;
    this.#isLoading = true;
    try {
      this.#config.load(loaded);
      this.#level = loadedLevel;
      this.#core.load(core);
    } catch (error) {
      this.#config.load(words);
      this.#level = level;
      throw error;
    } finally {
      this.#isLoading = false;
    }
    loadMsix();
    this.#master.reset();
    this.#tell();
  }

  #installHeader(): void {
    const config = this.#config;
    const { vendorId, deviceId, classCode, header = 'endpoint', interruptPin } = this.#shape;
    config.set(CONFIG.vendorId, vendorId, 2);
    config.set(CONFIG.deviceId, deviceId, 2);
    config.set(CONFIG.revisionId, (this.#shape.revisionId ?? 0) | (classCode << 8), 4);
    config.set(CONFIG.headerType, headerType(header, this.#ports.slot.isMultifunction), 1);
    config.set(CONFIG.interruptPin, interruptPin ?? 0, 1);
    const { io, memory, busMaster, parity, serr, intxDisable } = COMMAND;
    config.allow(CONFIG.command, io | memory | busMaster | parity | serr | intxDisable, 2);
    config.allowClear(CONFIG.status, STATUS.errors, 2);
    config.allow(CONFIG.cacheLineSize, 0xff, 1);
    config.allow(CONFIG.interruptLine, 0xff, 1);
    if (header === 'bridge') return installBridge(config);
    config.set(CONFIG.subsystemVendorId, this.#shape.subsystemVendorId ?? 0, 2);
    config.set(CONFIG.subsystemId, this.#shape.subsystemId ?? 0, 2);
  }

  #interrupts(): PciInterrupts {
    const mode = () => this.#mode;
    return {
      get mode() {
        return mode();
      },
      notify: (vector) => {
        if (this.#isLoading) return;
        if (this.#mode === 'msix') this.#msix?.notify(vector);
        else if (this.#mode === 'msi') this.#msi?.notify(vector);
      },
      setLevel: (level) => {
        this.#level = level;
        if (!this.#isLoading) this.#driveIntx();
      },
    };
  }

  get #mode(): PciInterrupts['mode'] {
    if (this.#msix?.isEnabled === true) return 'msix';
    return this.#msi?.isEnabled === true ? 'msi' : 'intx';
  }

  get #isAwake(): boolean {
    if (this.#shape.hasPowerManagement !== true) return true;
    const at = this.#config.capability(CAPABILITY.powerManagement);
    return (this.#config.get(at + POWER.control, 2) & POWER.stateMask) !== POWER.d3hot;
  }

  /** Memory accesses, and with them messages, are the bus master bit's (6.8.3.3). */
  get #maySend(): boolean {
    const isMaster = (this.#config.get(CONFIG.command, 2) & COMMAND.busMaster) !== 0;
    return isMaster && this.#isAwake && this.#ports.slot.isReachable;
  }

  #writeConfig(offset: number, value: number, size: AccessSize): void {
    this.#config.write(offset, value, size);
    if (this.#takeFunctionReset()) return this.reset();
    this.#msi?.written();
    this.#msix?.written();
    this.#core.configWritten?.(offset, size);
    this.#tell();
  }

  /** Function-level reset (PCI Express 4.0, 6.6.2): a bit that reads as zero. */
  #takeFunctionReset(): boolean {
    if (this.#shape.isExpress !== true) return false;
    const at = this.#config.capability(CAPABILITY.express) + EXPRESS.deviceControl;
    if ((this.#config.get(at, 2) & DEVICE_CONTROL.functionReset) === 0) return false;
    this.#config.change(at, { clear: DEVICE_CONTROL.functionReset });
    return true;
  }

  /** Tells the slot what is not as it was told. */
  #tell(): void {
    const decoded = this.#isAwake ? this.#bars.decoded() : [];
    if (!isSame(decoded, this.#decoded)) {
      this.#decoded = decoded;
      this.#ports.slot.decode(decoded);
    }
    if (this.#shape.header === 'bridge') {
      const forwards = forwarding(this.#config);
      if (!isSame(forwards, this.#forwarding)) {
        this.#forwarding = forwards;
        this.#ports.slot.forward(forwards);
      }
    }
    this.#driveIntx();
  }

  #driveIntx(): void {
    const { interruptPin } = this.#shape;
    if (interruptPin === undefined) return;
    const isDisabled = (this.#config.get(CONFIG.command, 2) & COMMAND.intxDisable) !== 0;
    const isAsserted = this.#level && this.#mode === 'intx';
    this.#config.change(CONFIG.status, isAsserted ? { set: STATUS.interrupt } : { clear: STATUS.interrupt });
    this.#ports.slot.intx(interruptPin, isAsserted && !isDisabled && this.#isAwake);
  }

  /** A message is a write to memory: to an interrupt file, or to whatever else lies there. */
  #send(address: number, data: number): void {
    if (!this.#maySend || this.#isLoading || !Number.isSafeInteger(address)) return;
    if (this.#ports.msi.send(address, data)) return;
    const bytes = new Uint8Array(MESSAGE_BYTES);
    new DataView(bytes.buffer).setUint32(0, data, true);
    this.#ports.dma.write(address, bytes, () => {});
  }
}

function addPowerManagement(config: ConfigSpace): void {
  const at = config.addCapability(CAPABILITY.powerManagement, POWER.lengthBytes);
  config.set(at + POWER.capabilities, POWER_VERSION, 2);
  config.set(at + POWER.control, POWER_NO_SOFT_RESET, 2);
  config.allow(at + POWER.control, POWER.stateMask, 2);
}

function noMsix(reader: StateReader): () => void {
  reader.uints('msixTable', 0, 0, 0);
  reader.uints('msixPending', 0, 0, 0);
  return () => {};
}

/** The same plain data; what is compared here is small. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function cut(value: number, size: AccessSize): number {
  return size === 4 ? value >>> 0 : (value & (2 ** (8 * size) - 1)) >>> 0;
}
