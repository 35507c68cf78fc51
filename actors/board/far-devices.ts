/** Devices of another thread, as a thread reaches them: through its channel to that one. */
import { remoteRegisterWindow, type StandingAnswer } from '../../src/actor/index.ts';
import type { Region } from '../../src/bus/address-space.ts';
import type { Channel } from '../../src/channel/channel.ts';
import type { Aia } from '../cpu/aia.ts';
import { interruptControllers } from './virt-interrupts.ts';

/** Where a window lies, as the board's table says. */
export interface MappedWindow {
  readonly name: string;
  readonly base: number;
  readonly lengthBytes: number;
}

/** A device of another loop, reached through the channel. */
export interface RemoteDevice extends MappedWindow {
  /** What that loop's WindowServer serves it under. */
  readonly windowId: number;
  /** Whether its writes need no answer; left out, they need none. */
  readonly posted?: boolean;
}

/** What a machine has beside its first vCPU. */
export interface FirstDevices {
  readonly uart: MappedWindow;
  readonly aclint: MappedWindow;
  readonly aia: Aia;
}

/** The devices beside the first vCPU, as the others and the main loop reach them. */
export function firstDevices(machine: FirstDevices): RemoteDevice[] {
  const { uart, aclint: timer, aia } = machine;
  return [uart, timer, ...interruptControllers(aia)].map(({ name, base, lengthBytes }, windowId) => {
    return { name, base, lengthBytes, windowId };
  });
}

/**
 * Regions of devices at the other end of a channel.
 * @param answers by the name of a device whose answers may stand
 */
export function farRegions(
  channel: Channel,
  devices: readonly RemoteDevice[],
  answers: Readonly<Record<string, StandingAnswer>> = {},
): Region[] {
  return devices.map(({ name, base, lengthBytes, windowId, posted = true }) => {
    const answer = answers[name];
    const window = remoteRegisterWindow(channel, windowId, lengthBytes, { posted, ...(answer && { answer }) });
    return { name, base, lengthBytes, kind: 'mmio', window };
  });
}
