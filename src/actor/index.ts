/** Actors: what devices, boards and the library import. */
export { AccessOrigin, continueOrigin, type OriginLink } from './access-origin.ts';
export { type ChartOwned, chartActorLogic } from './chart-logic.ts';
export {
  type AccessSize,
  type DeviceCore,
  type DeviceDefinition,
  defineDevice,
  type IrqLine,
} from './device-core.ts';
export {
  type DeviceActorLogic,
  type DeviceAttachment,
  type DeviceEvent,
  DeviceSnapshot,
  type DeviceWiring,
  deviceActorLogic,
  type PersistedDevice,
  SnapshotMismatchError,
} from './device-logic.ts';
export { ActorGateway, type ProxyLogic, type RemoteSnapshot } from './gateway.ts';
export { Inspection, InspectionSource } from './inspection.ts';
export { ChannelFullError, Link, type LinkMessage, LocalPipe, type MessagePipe } from './link.ts';
export {
  ACCESS_OK,
  BUS_FAULT,
  type DeviceInputs,
  MUST_ASK,
  MUST_WAIT,
  type ReadDone,
  type RegisterRegistry,
  type RegisterWindow,
  RegisterWindows,
  type WriteDone,
} from './register-window.ts';
export { type RemoteWindowOptions, remoteRegisterWindow, WindowServer } from './remote-window.ts';
export { STANDING_ANSWER_NUMBERS, StandingAnswer, standing } from './standing-answer.ts';
export { loadThreadWork, type ThreadWork } from './thread-work.ts';
export { spawnWorker, type WorkerCode, type WorkerHandle, type WorkerMain } from './worker.ts';
export { nodeStripsTypes, workerEntry } from './worker-entry.ts';
export * from './xstate.ts';
