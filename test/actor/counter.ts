/** A device for these tests: a counter with a timer, a bottom half, an interrupt line and messages. */
import { type DeviceCore, defineDevice, type IrqLine } from '../../src/actor/device-core.ts';
import type { BottomHalf, LoopPort, Timer } from '../../src/loop/port.ts';

const REG = { count: 0, addSoon: 4, tickNs: 8, boom: 12 } as const;

export interface CounterState {
  readonly count: number;
  readonly tickAtNs: number | null;
}
export type CounterEvent = { readonly type: 'add'; readonly n: number } | { readonly type: 'boom' };

export const counter = defineDevice({
  name: 'test-counter',
  version: 1,
  lengthBytes: 16,
  create: (ports: { irq: IrqLine; loop: LoopPort }, config: { start: number }) => new Counter(ports, config.start),
});

class Counter implements DeviceCore<CounterState, CounterEvent> {
  readonly #ports: { irq: IrqLine; loop: LoopPort };
  readonly #start: number;
  readonly #soon: BottomHalf;
  readonly #tick: Timer;
  #count: number;

  constructor(ports: { irq: IrqLine; loop: LoopPort }, start: number) {
    this.#ports = ports;
    this.#start = start;
    this.#count = start;
    this.#soon = ports.loop.bottomHalf('counter soon', () => this.#add(1));
    this.#tick = ports.loop.timer('counter tick', () => this.#add(100));
  }

  mmioRead(offset: number): number {
    if (offset === REG.boom) throw new Error('a bug in a read');
    return offset === REG.count ? this.#count : 0;
  }

  mmioWrite(offset: number, value: number): void {
    if (offset === REG.count) this.#count = value;
    if (offset === REG.addSoon) this.#soon.schedule();
    if (offset === REG.tickNs) this.#tick.arm(this.#ports.loop.nowNs() + value);
    if (offset === REG.boom) this.#ports.loop.bottomHalf('boom', () => bug()).schedule();
  }

  input(input: number, level: boolean): void {
    if (input === REG.boom) bug();
    if (level) this.#add(input);
  }

  handle(event: CounterEvent): void {
    if (event.type === 'boom') bug();
    else this.#add(event.n);
  }

  reset(): void {
    this.#count = this.#start;
    this.#soon.cancel();
    this.#tick.cancel();
  }

  view(): object {
    return { count: this.#count };
  }

  save(): CounterState {
    return { count: this.#count, tickAtNs: this.#tick.deadlineNs };
  }

  load(state: CounterState): void {
    this.#count = state.count;
    if (state.tickAtNs !== null) this.#tick.arm(state.tickAtNs);
  }

  #add(n: number): void {
    this.#count += n;
    this.#ports.irq.set(this.#count > 1000);
  }
}

function bug(): never {
  throw new Error('a bug in the counter');
}
