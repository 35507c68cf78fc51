/**
 * The machine's chart (machines/machine.ts) with what a board of devices and vCPUs does in it: whom it spawns, and whom it
 * tells what, all at once: nobody waits for another one to pause, to be reset or to go on.
 */
import { machineMachine } from '../../machines/machine.ts';
import { type AnyActorLogic, type AnyStateMachine, type EventObject, enqueueActions } from '../../src/actor/index.ts';

export interface MachineParts {
  /** Event loops: they live as long as the machine. By name, as all that follow. */
  readonly loops: Readonly<Record<string, AnyActorLogic>>;
  readonly devices: Readonly<Record<string, AnyActorLogic>>;
  readonly cpus: Readonly<Record<string, AnyActorLogic>>;
  /** The harts that begin by themselves, and with what. */
  readonly started: readonly string[];
  readonly start: EventObject;
  /** Puts the boot images into RAM. */
  loadRam(): void;
  /** All actors stand: puts them where they were saved, and tells the machine so. */
  restore(): void;
  resumeClock(): void;
  stopClock(): void;
  /** The vCPUs are about to be told to stand. */
  expectPauses(): void;
  /** The resets have been sent: sends `machine.was-reset` when they have been done. */
  afterReset(): void;
  halt(): void;
  release(): void;
}

interface PlugEvent extends EventObject {
  readonly name: string;
  readonly logic: AnyActorLogic;
  /** Sent to the device's bus when its actor has started. */
  readonly announce: { readonly to: string; readonly event: EventObject };
}

export function machineLogic(parts: MachineParts): AnyStateMachine {
  const devices = new Set(Object.keys(parts.devices));
  const cpus = Object.keys(parts.cpus);
  /** Virtual time stands: a device that comes now rests until it goes on. */
  let stands = true;
  const tell = (names: Iterable<string>, event: EventObject) =>
    enqueueActions(({ enqueue }) => {
      for (const name of names) enqueue.sendTo(name, event);
    });
  const spawn = (names: readonly string[]) =>
    enqueueActions(({ enqueue }) => {
      for (const name of names) enqueue.spawnChild(name, { id: name, systemId: name });
    });
  // xstate's types know only what the chart itself declares; the board adds its own actors and actions.
  return (machineMachine as AnyStateMachine).provide({
    actors: { ...parts.loops, ...parts.devices, ...parts.cpus },
    actions: {
      startLoops: spawn(Object.keys(parts.loops)),
      spawnAll: spawn([...devices, ...cpus]),
      launch: enqueueActions(({ enqueue }) => {
        enqueue(parts.loadRam);
        for (const name of devices) enqueue.sendTo(name, { type: 'device.start' });
        for (const name of parts.started) enqueue.sendTo(name, parts.start);
      }),
      restoreAll: enqueueActions(({ enqueue }) => {
        for (const type of ['device.start', 'device.quiesce']) enqueue(tell(devices, { type }));
        enqueue(tell(cpus, { type: 'vcpu.pause' }));
        enqueue(parts.restore);
      }),
      resumeAll: enqueueActions(({ enqueue }) => {
        enqueue(() => {
          stands = false;
          parts.resumeClock();
        });
        enqueue(tell(devices, { type: 'device.resume' }));
        enqueue(tell(cpus, { type: 'vcpu.resume' }));
      }),
      pauseVcpus: enqueueActions(({ enqueue }) => {
        enqueue(parts.expectPauses);
        enqueue(tell(cpus, { type: 'vcpu.pause' }));
      }),
      quiesceDevices: enqueueActions(({ enqueue }) => {
        enqueue(tell(devices, { type: 'device.quiesce' }));
        enqueue(() => {
          stands = true;
          parts.stopClock();
        });
      }),
      resetAll: enqueueActions(({ enqueue }) => {
        enqueue(parts.loadRam);
        enqueue(tell(devices, { type: 'device.reset' }));
        enqueue(tell(cpus, { type: 'vcpu.reset' }));
        enqueue(parts.afterReset);
      }),
      startHarts: tell(parts.started, parts.start),
      plugDevice: enqueueActions(({ enqueue, event }) => {
        const { name, logic, announce } = event as PlugEvent;
        devices.add(name);
        enqueue.spawnChild(logic, { id: name, systemId: name });
        enqueue.sendTo(name, { type: 'device.start' });
        if (stands) enqueue.sendTo(name, { type: 'device.quiesce' });
        enqueue.sendTo(announce.to, announce.event);
      }),
      dropDevice: enqueueActions(({ enqueue, event }) => {
        const { name } = event as PlugEvent;
        devices.delete(name);
        enqueue.sendTo(name, { type: 'device.remove' });
        enqueue.stopChild(name);
      }),
      haltAll: parts.halt,
      release: parts.release,
    },
  }) as AnyStateMachine;
}
