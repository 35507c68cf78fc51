/** The loop port of devices that do DMA: a bottom half continues the chain of the access in which it was scheduled. */
import type { AccessOrigin, OriginLink } from '../actor/index.ts';
import type { BottomHalf, LoopPort, Timer } from '../loop/port.ts';

export class OriginLoop implements LoopPort {
  readonly #loop: LoopPort;
  readonly #origin: AccessOrigin;

  constructor(loop: LoopPort, origin: AccessOrigin) {
    this.#loop = loop;
    this.#origin = origin;
  }

  nowNs(): number {
    return this.#loop.nowNs();
  }

  readClock(nowNs: Float64Array): void {
    this.#loop.readClock(nowNs);
  }

  wallClockNs(): bigint {
    return this.#loop.wallClockNs();
  }

  random(): number {
    return this.#loop.random();
  }

  bottomHalf(name: string, run: () => void): BottomHalf {
    return new OriginBottomHalf(this.#loop, this.#origin, name, run);
  }

  /** Begins a chain of its own. */
  timer(name: string, run: () => void): Timer {
    return this.#loop.timer(name, run);
  }
}

class OriginBottomHalf implements BottomHalf {
  readonly #origin: AccessOrigin;
  readonly #inner: BottomHalf;
  #link: OriginLink | null = null;

  constructor(loop: LoopPort, origin: AccessOrigin, name: string, run: () => void) {
    this.#origin = origin;
    this.#inner = loop.bottomHalf(name, () => {
      const link = this.#link;
      this.#link = null;
      origin.run(link, run);
    });
  }

  /** Of several reasons for the same run the longest chain counts, so that nobody shortens another's. */
  schedule(): void {
    const { current } = this.#origin;
    if (current !== null && current.depth > (this.#link?.depth ?? 0)) this.#link = current;
    this.#inner.schedule();
  }

  cancel(): void {
    this.#link = null;
    this.#inner.cancel();
  }
}
