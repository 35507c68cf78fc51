/**
 * A function's way to memory: its bus master bit and its place on the bus gate it (PCI Local Bus 3.0, 6.2.2), and
 * answers arrive in bottom halves of the function's own actor. So they wait while it is quiesced, what its author's code
 * throws there is its own failure, and none arrives once it has been reset or removed.
 */
import type { DmaPort } from '../dma/port.ts';
import type { BottomHalf, LoopPort } from '../loop/port.ts';

export class MasterPort implements DmaPort {
  readonly #dma: DmaPort;
  readonly #isAllowed: () => boolean;
  readonly #deliver: BottomHalf;
  #answers: (() => void)[] = [];
  /** Requests of before the last reset carry an older number. */
  #generation = 0;

  constructor(dma: DmaPort, loop: LoopPort, isAllowed: () => boolean) {
    this.#dma = dma;
    this.#isAllowed = isAllowed;
    this.#deliver = loop.bottomHalf('pci dma answers', () => this.#deliverAnswers());
  }

  map(...range: Parameters<DmaPort['map']>): ReturnType<DmaPort['map']> {
    return this.#isAllowed() ? this.#dma.map(...range) : null;
  }

  unmap(...range: Parameters<DmaPort['unmap']>): void {
    this.#dma.unmap(...range);
  }

  read(gpa: number, lengthBytes: number, done: (bytes: Uint8Array | null) => void): void {
    const answer = this.#answerTo(done);
    if (this.#isAllowed()) this.#dma.read(gpa, lengthBytes, answer);
    else answer(null);
  }

  write(gpa: number, bytes: Uint8Array, done: (ok: boolean) => void): void {
    const answer = this.#answerTo(done);
    if (this.#isAllowed()) this.#dma.write(gpa, bytes, answer);
    else answer(false);
  }

  /** Forgets what is on its way. */
  reset(): void {
    this.#generation += 1;
    this.#answers = [];
    this.#deliver.cancel();
  }

  #answerTo<T>(done: (result: T) => void): (result: T) => void {
    const generation = this.#generation;
    return (result) => {
      if (generation !== this.#generation) return;
      this.#answers.push(() => done(result));
      this.#deliver.schedule();
    };
  }

  #deliverAnswers(): void {
    // One that resets the function empties the list; those asked meanwhile wait for the next bottom half.
    for (let left = this.#answers.length; left > 0; left--) this.#answers.shift()?.();
  }
}
