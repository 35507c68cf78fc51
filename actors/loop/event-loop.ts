/**
 * The actor of a thread's event loop: its life (machines/event-loop.ts) around the driver that turns it. The actor owns
 * the driver: it starts and stops with the actor. What runs on the loop does not pass through here.
 *
 * Not modelled: `draining` refuses nothing; it waits until no bottom half is left. Moving devices between loops will
 * need more.
 */
import { eventLoopMachine } from '../../machines/event-loop.ts';
import {
  type AnyActorLogic,
  type AnyActorRef,
  type AnyStateMachine,
  type ChartOwned,
  chartActorLogic,
} from '../../src/actor/index.ts';
import type { EventLoop, LoopDriver } from '../../src/loop/index.ts';
import type { BottomHalf } from '../../src/loop/port.ts';

/** What the inspector shows of a loop. */
export interface EventLoopView {
  readonly name: string;
  /** Virtual time of the next thing to do: null when only others can bring any, -Infinity when there is some now. */
  readonly deadlineNs: number | null;
  readonly pendingBottomHalves: number;
}

export interface EventLoopActor {
  /** Makes one actor. */
  readonly logic: AnyActorLogic;
  /** Has the loop turn soon; does nothing while the actor does not run. */
  wake(): void;
}

/** @param drive starts to turn the loop; called when the actor starts */
export function createEventLoopActor(loop: EventLoop, drive: () => LoopDriver): EventLoopActor {
  const body = new EventLoopBody(loop, drive);
  return { logic: body.logic(), wake: () => body.wake() };
}

class EventLoopBody implements ChartOwned {
  readonly #loop: EventLoop;
  readonly #drive: () => LoopDriver;
  readonly #atRest: BottomHalf;
  #driver: LoopDriver | null = null;
  #self: AnyActorRef | null = null;

  constructor(loop: EventLoop, drive: () => LoopDriver) {
    this.#loop = loop;
    this.#drive = drive;
    this.#atRest = loop.bottomHalf('loop drain', () => this.#lookForRest());
  }

  logic(): AnyActorLogic {
    const chart = eventLoopMachine.provide({
      actions: {
        beginDrain: () => this.#atRest.schedule(),
        endDrain: () => this.#atRest.cancel(),
        stopDriver: () => this.close(),
      },
    });
    return chartActorLogic(chart as AnyStateMachine, this);
  }

  started(self: AnyActorRef): void {
    this.#self = self;
    this.#driver = this.#drive();
  }

  wake(): void {
    this.#driver?.wake();
  }

  view(): EventLoopView {
    const { name, pendingBottomHalves } = this.#loop;
    const deadlineNs = this.#loop.nextDeadlineNs();
    return { name, deadlineNs: deadlineNs === Number.POSITIVE_INFINITY ? null : deadlineNs, pendingBottomHalves };
  }

  close(): void {
    this.#driver?.stop();
    this.#driver = null;
  }

  #lookForRest(): void {
    if (this.#loop.pendingBottomHalves === 0) this.#self?.send({ type: 'loop.drained' });
    else this.#atRest.schedule();
  }
}
