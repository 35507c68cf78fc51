/** What a machine of board `virt` can load, of a saved one, before it is made. */
import type { DeviceDefinition } from '../../src/actor/index.ts';
import { vcpuActorName, vcpuThreadName } from '../cpu/names.ts';
import type { VirtOptions } from './virt.ts';
import { hotDefinitions } from './virt-interrupts.ts';
import { NearDevices } from './virt-near.ts';
import { VirtPci } from './virt-pci.ts';
import { commonParts, type PartKind } from './virt-persist.ts';

/** By name: every actor with a state, and every thread. */
export function loadableParts({
  harts,
  aia,
  devices,
  pci,
}: Pick<VirtOptions, 'harts' | 'aia' | 'devices' | 'pci'>): Map<string, PartKind> {
  const kind = ({ name, version }: DeviceDefinition): PartKind => ({ kind: name, version });
  const numbers = Array.from({ length: harts }, (_, hart) => hart);
  return new Map([
    ...commonParts(numbers.map((hart) => ({ actorName: vcpuActorName(hart), threadName: vcpuThreadName(hart) }))),
    ...[...NearDevices.definitions(devices), ...VirtPci.definitions(pci), ...hotDefinitions(aia)].map(
      ([name, definition]): [string, PartKind] => [name, kind(definition)],
    ),
  ]);
}
