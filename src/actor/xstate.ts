/**
 * What the rest of the code sees of xstate. Charts (machines/) import xstate themselves; everyone else imports
 * from src/actor, so that the next major version is met in one place.
 */
import type { ActorRefLike, AnyActorRef, EventObject } from 'xstate';

export type {
  ActorLogic,
  ActorRef,
  ActorRefFrom,
  ActorRefLike,
  ActorScope,
  AnyActorLogic,
  AnyActorRef,
  AnyEventObject,
  AnyStateMachine,
  EventObject,
  InspectionEvent,
  Observer,
  Snapshot,
  SnapshotFrom,
  Subscription,
} from 'xstate';
export { assign, createActor, enqueueActions, sendTo, setup, spawnChild, stopChild, waitFor } from 'xstate';

/** Whether an event is xstate's own stop message, the last one a logic gets. */
export function isStopEvent(event: EventObject): boolean {
  return event.type === 'xstate.stop';
}

/** What xstate keeps internal of an actor system: delivery that names the sender. */
interface RelayingSystem {
  _relay(source: ActorRefLike | undefined, target: AnyActorRef, event: EventObject): void;
}

/** Delivers an event with the sender's ref, so that inspection shows who sent it. */
export function deliver(target: AnyActorRef, event: EventObject, sender: ActorRefLike | undefined): void {
  (target.system as unknown as RelayingSystem)._relay(sender, target, event);
}
