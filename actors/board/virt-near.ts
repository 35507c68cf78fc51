/**
 * The devices of the main loop that stay: the board's own and the caller's. The vCPUs reach their registers through
 * their channels, the main loop itself (DMA) as regions.
 */
import {
  type AnyActorLogic,
  BUS_FAULT,
  type DeviceDefinition,
  deviceActorLogic,
  type IrqLine,
  type RegisterRegistry,
  type RegisterWindow,
} from '../../src/actor/index.ts';
import type { Region } from '../../src/bus/address-space.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import { type FinishRequest, testFinisher } from '../misc/test-finisher.ts';
import { pcieHost } from '../pci/pcie-host.ts';
import { goldfishRtc } from '../time/goldfish-rtc.ts';
import type { RemoteDevice } from './far-devices.ts';
import type { VcpuEnd } from './vcpu-end.ts';
import type { VmDevice } from './virt-devices.ts';
import { PCI_ACTORS } from './virt-pci.ts';
import { virtTable } from './virt-table.ts';

/** Names among the machine's actors. */
const OWN = { test: 'test', rtc: 'rtc' } as const;

export interface NearPorts {
  readonly loop: LoopPort;
  readonly vcpus: readonly VcpuEnd[];
  wireTo(source: number): IrqLine;
  finish(request: FinishRequest): void;
}

export class NearDevices implements RegisterRegistry {
  /** As the vCPUs' threads reach them. */
  readonly remote: readonly RemoteDevice[];
  readonly #devices: readonly VmDevice[];
  readonly #windows = new Map<string, RegisterWindow>();
  #vcpus: readonly VcpuEnd[] = [];

  constructor(devices: readonly VmDevice[]) {
    this.#devices = devices;
    const { test, rtc, pcieEcam } = virtTable;
    const windows = [
      { name: OWN.test, base: test.base, lengthBytes: test.lengthBytes },
      { name: OWN.rtc, base: rtc.base, lengthBytes: rtc.lengthBytes },
      // A configuration write is done when the memory map that follows from it is in use.
      { name: PCI_ACTORS.host, base: pcieEcam.base, lengthBytes: pcieHost.lengthBytes, posted: false },
      ...devices.map(({ name, base, definition }) => ({ name, base, lengthBytes: definition.lengthBytes })),
    ];
    this.remote = windows.map((window, windowId) => ({ ...window, windowId }));
  }

  /** Of the devices here, as they are made. */
  static definitions(devices: readonly VmDevice[]): [string, DeviceDefinition][] {
    return [
      [OWN.test, testFinisher],
      [OWN.rtc, goldfishRtc],
      ...devices.map(({ name, definition }): [string, unknown] => [name, definition]),
    ] as [string, DeviceDefinition][];
  }

  get names(): string[] {
    return NearDevices.definitions(this.#devices).map(([name]) => name);
  }

  /** From a device's actor when it has started. */
  realize(name: string, window: RegisterWindow): void {
    this.#windows.set(name, window);
    const remote = this.remote.find((device) => device.name === name);
    if (remote === undefined) return;
    for (const { server } of this.#vcpus) server.serve(remote.windowId, window);
  }

  /** As the main loop's own accesses see them. The windows are there once the actors have started. */
  regions(): Region[] {
    return this.remote.map(({ name, base, lengthBytes }) => {
      return { name, base, lengthBytes, kind: 'mmio', window: lateWindow(lengthBytes, () => this.#windows.get(name)) };
    });
  }

  /** Of the board's own devices and the caller's, by name. */
  logics({ loop, vcpus, wireTo, finish }: NearPorts): Record<string, AnyActorLogic> {
    this.#vcpus = vcpus;
    const near = <P extends object, C, S, E>(definition: DeviceDefinition<P, C, S, E>, ports: P, config: C) =>
      deviceActorLogic(definition, { loop, ports, config, registers: this }) as AnyActorLogic;
    const logics: Record<string, AnyActorLogic> = {
      [OWN.test]: near(testFinisher, { finish }, undefined),
      [OWN.rtc]: near(goldfishRtc, { irq: wireTo(virtTable.rtc.irq) }, undefined),
    };
    for (const { name, definition, config, ports, irq } of this.#devices) {
      const wiring = irq === undefined ? {} : { irq: wireTo(irq) };
      logics[name] = near(definition, { ...ports, ...wiring }, config);
    }
    return logics;
  }
}

/** A window that is announced later: until then nothing answers. */
function lateWindow(lengthBytes: number, find: () => RegisterWindow | undefined): RegisterWindow {
  const none = (done: (result: number) => void): boolean => {
    done(BUS_FAULT);
    return true;
  };
  return {
    lengthBytes,
    read: (offset, size) => find()?.read(offset, size) ?? BUS_FAULT,
    write: (offset, value, size) => find()?.write(offset, value, size) ?? BUS_FAULT,
    readAsync: (offset, size, done) => find()?.readAsync(offset, size, done) ?? none(done),
    writeAsync(offset, value, size, done) {
      const window = find();
      if (window === undefined) return none(done);
      if (window.writeAsync !== undefined) return window.writeAsync(offset, value, size, done);
      done(window.write(offset, value, size));
      return true;
    },
  };
}
