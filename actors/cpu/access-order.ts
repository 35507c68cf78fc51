/**
 * The accesses of a hart whose thread has devices that other harts reach, too. What another one wrote to them before it
 * gave away the lock that this hart has now may still lie in its channel: it comes first.
 */
import type { BottomHalf, LoopPort } from '../../src/loop/port.ts';

/** Of an event loop: what others have sent to it so far. */
export interface InboundOrder {
  /** Whether any of it has not been handled yet. */
  readonly inboundPending: boolean;
  /** Handles it; from a bottom half. */
  settleInbound(): void;
}

/** With what the hart goes on: its access, or its SBI call. */
export type InOrder = 'retry' | 'recall';

export class AccessOrder {
  readonly #order: InboundOrder | null;
  readonly #turn: BottomHalf;
  #next: InOrder = 'retry';
  /** All that had come before what is made next has been handled. */
  isSettled = false;

  /**
   * @param order null where no other hart reaches a device of the thread
   * @param settled told in a bottom half behind mustTurn(), when all that had come has been handled
   */
  constructor(loop: LoopPort, order: InboundOrder | null, settled: (next: InOrder) => void) {
    this.#order = order;
    this.#turn = loop.bottomHalf('access in order', () => {
      order?.settleInbound();
      this.isSettled = true;
      settled(this.#next);
    });
  }

  /** @returns whether the loop has to turn before `next`; asked again behind that, it need not */
  mustTurn(next: InOrder): boolean {
    const { isSettled } = this;
    this.isSettled = false;
    if (isSettled || this.#order?.inboundPending !== true) return false;
    this.#next = next;
    this.#turn.schedule();
    return true;
  }

  /** Nothing is to be accessed any more. */
  cancel(): void {
    this.#turn.cancel();
    this.isSettled = false;
  }
}
