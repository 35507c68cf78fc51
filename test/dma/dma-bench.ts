/** A loop with DMA ports, and a device for these tests that writes somewhere when its doorbell is rung. */
import {
  createActor,
  type DeviceCore,
  defineDevice,
  deviceActorLogic,
  type RegisterWindow,
  RegisterWindows,
} from '../../src/actor/index.ts';
import { createAddressSpace, type Region } from '../../src/bus/address-space.ts';
import { FlatView } from '../../src/bus/flat-view.ts';
import { createDmaPorts, type DmaPorts } from '../../src/dma/dma-ports.ts';
import type { DmaPort } from '../../src/dma/port.ts';
import { Simulation } from '../../src/loop/index.ts';
import type { LoopPort } from '../../src/loop/port.ts';
import { DirtyBitmap } from '../../src/memory/dirty-log.ts';

export const RAM_BASE = 0x8000_0000;
export const RAM_BYTES = 0x10_0000;
export const MSI = 0x2800_0000;

export function dmaBench(regions: readonly Region[] = [], seed = 1) {
  const simulation = new Simulation(seed);
  const loop = simulation.loop('main');
  const ram = { bytes: new Uint8Array(RAM_BYTES), base: RAM_BASE };
  const dirty = new DirtyBitmap(RAM_BYTES);
  const msi: number[][] = [];
  let view = new FlatView(createAddressSpace(regions));
  const spaceHandlers: (() => void)[] = [];
  const ports = createDmaPorts({
    loop,
    ram,
    view: () => view,
    msi: { send: (gpa, data) => gpa === MSI && msi.push([gpa, data]) > 0 },
    dirty,
    onSpace: (handler) => spaceHandlers.push(handler),
  });
  const space = () => {
    for (const handler of spaceHandlers) handler();
  };
  const setView = (next: readonly Region[]) => {
    view = new FlatView(createAddressSpace(next));
  };
  return { simulation, loop, ram, dirty, msi, ports, space, setView };
}

export const at = (base: number, window: RegisterWindow, name = `at ${base.toString(16)}`): Region => {
  return { name, base, lengthBytes: window.lengthBytes, kind: 'mmio', window };
};
export const counting = (length: number, from = 1) => Uint8Array.from({ length }, (_, index) => index + from);

/** A doorbell at offset 0 starts a write of 4 bytes to `target`: at once, in a bottom half, or by a timer. */
export interface DoorbellConfig {
  readonly how: 'at once' | 'bottom half' | 'timer' | 'deferred';
  readonly target: () => number;
}
interface DoorbellPorts {
  readonly dma: DmaPort;
  readonly loop: LoopPort;
}

class Doorbell implements DeviceCore {
  rings = 0;
  readonly results: boolean[] = [];
  readonly #ports: DoorbellPorts;
  readonly #config: DoorbellConfig;
  readonly #soon;
  readonly #timer;
  mmioWriteLater?: (offset: number, value: number, size: number, done: () => void) => void;

  constructor(ports: DoorbellPorts, config: DoorbellConfig) {
    this.#ports = ports;
    this.#config = config;
    this.#soon = ports.loop.bottomHalf('doorbell', () => this.#send());
    this.#timer = ports.loop.timer('doorbell', () => this.#send());
    if (config.how !== 'deferred') return;
    const answers: (() => void)[] = [];
    const answer = ports.loop.bottomHalf('answer', () => {
      for (const done of answers.splice(0)) done();
    });
    this.mmioWriteLater = (_offset, _value, _size, done) => {
      this.rings += 1;
      answers.push(done);
      answer.schedule();
      this.#send();
    };
  }

  mmioWrite(): void {
    this.rings += 1;
    if (this.#config.how === 'at once') this.#send();
    else if (this.#config.how === 'bottom half') this.#soon.schedule();
    else this.#timer.arm(this.#ports.loop.nowNs() + 100);
  }
  reset(): void {}
  view(): object {
    return { rings: this.rings, results: [...this.results] };
  }
  save(): object {
    return {};
  }
  load(): void {}

  #send(): void {
    this.#ports.dma.write(this.#config.target(), new Uint8Array(4), (ok) => this.results.push(ok));
  }
}

const doorbell = defineDevice<DoorbellPorts, DoorbellConfig, object>({
  name: 'test-doorbell',
  version: 1,
  lengthBytes: 16,
  create: (ports, config) => new Doorbell(ports, config),
});

/** Starts a doorbell device, as a board would. */
export function startDoorbell(name: string, dma: DmaPorts, config: DoorbellConfig) {
  const windows = new RegisterWindows();
  const port = dma.portFor(name);
  const logic = deviceActorLogic(doorbell, {
    loop: dma.loop,
    ports: { dma: port },
    config,
    registers: windows,
    attached: [port],
  });
  const actor = createActor(logic, { id: name }).start();
  actor.send({ type: 'device.start' });
  // The snapshot keeps the view it has shown: look at a new one.
  const view = () => {
    actor.send({ type: 'device.start' });
    return actor.getSnapshot().view as { rings: number; results: boolean[] };
  };
  return { actor, port, window: windows.get(name) as RegisterWindow, view };
}
