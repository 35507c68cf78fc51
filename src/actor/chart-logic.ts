/**
 * The logic of an actor that is a chart around something it owns: a vCPU's core, a loop's driver. Whatever way the actor
 * ends, the owned thing is let go; its snapshots show it as `view`, built when first asked for.
 */
import type { AnyActorLogic, AnyActorRef, AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import { isStopEvent } from './xstate.ts';

/** What the chart's actor owns. */
export interface ChartOwned {
  /** The actor is made; nothing runs yet. */
  open?(): void;
  /** The actor has started. */
  started(self: AnyActorRef): void;
  /** What the inspector shows. */
  view(): object;
  /** For ever; also after what open() or started() left half done. Doing it again changes nothing. */
  close(): void;
}

export function chartActorLogic(chart: AnyStateMachine, owned: ChartOwned): AnyActorLogic {
  const made: Pick<AnyActorLogic, 'getInitialSnapshot' | 'start' | 'transition'> = {
    getInitialSnapshot: (scope, input) => {
      owned.open?.();
      return withView(chart.getInitialSnapshot(scope, input), owned);
    },
    start: (snapshot, scope) => {
      owned.started(scope.self);
      chart.start(snapshot);
    },
    transition: (snapshot, event, scope) => {
      try {
        const next = withView(chart.transition(snapshot, event, scope), owned);
        if (isStopEvent(event) || next.status !== 'active') owned.close();
        return next;
      } catch (error) {
        owned.close();
        throw error;
      }
    },
  };
  return Object.assign(Object.create(chart) as AnyActorLogic, made);
}

/** xstate makes a new snapshot of its own fields each time, so one view stays with one snapshot. */
function withView(snapshot: AnyMachineSnapshot, owned: ChartOwned): AnyMachineSnapshot {
  let view: object | null = null;
  const look = (): object => {
    view ??= owned.view();
    return view;
  };
  const chartJson = snapshot.toJSON.bind(snapshot);
  Object.defineProperty(snapshot, 'view', { get: look, configurable: true });
  Object.defineProperty(snapshot, 'toJSON', {
    value: () => ({ ...(chartJson() as object), view: look() }),
    configurable: true,
  });
  return snapshot;
}
