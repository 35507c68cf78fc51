/** How a machine of the library begins, and begins anew: its options as a boot plan (src/boot/plan.ts). */
import { withDeviceNodes } from '../actors/board/virt-devices.ts';
import { virtTable } from '../actors/board/virt-table.ts';
import { virtDeviceTree } from '../actors/board/virt-tree.ts';
import { bytesOf, release } from './boot/image-source.ts';
import { type BootPlan, planBoot } from './boot/plan.ts';
import type { BootSegment } from './boot/segment.ts';
import { readFdt } from './fdt/read.ts';
import { ConfigError } from './util/config-error.ts';
import type { VmOptions } from './vm-options.ts';
import type { SavedPlan } from './vm-snapshot-header.ts';

export interface Boots {
  readonly plan: SavedPlan;
  /** Hands over what goes into RAM, at launch and at each reset. */
  loadSegments(put: (segment: BootSegment) => void): void;
  readonly canReset: boolean;
}

/** What the machine lends. */
interface BootPorts {
  /** Of one that goes on from a file. */
  readonly saved: SavedPlan | null;
  /** For each plan: what the guest finds as its random seed. */
  rngSeed(): Uint8Array;
  /** Told of what is loaded first. */
  planned(segments: readonly BootSegment[]): void;
}

/** How the machine begins, and begins anew. One that goes on from a file needs images for the latter only. */
export function planBoots(
  options: VmOptions,
  made: Pick<Required<VmOptions>, 'harts' | 'ramBytes' | 'aia' | 'bios' | 'devices'>,
  { saved, rngSeed, planned }: BootPorts,
): Boots {
  const { harts, ramBytes, aia, bios, devices } = made;
  const makePlan = (): BootPlan =>
    planBoot({
      ram: { base: virtTable.dram.base, lengthBytes: ramBytes },
      romGpa: virtTable.mrom.base,
      bios: bios === 'default' ? 'builtin' : bios,
      kernel: options.kernel && bytesOf(options.kernel),
      initrd: options.initrd && bytesOf(options.initrd),
      append: options.append,
      deviceTree:
        options.dtb === undefined
          ? withDeviceNodes(virtDeviceTree({ harts, ramBytes, aia, supervisorOnly: bios === 'default' }), devices)
          : readFdt(options.dtb),
      rngSeed: rngSeed(),
    });
  // Planned anew for each reset: what was loaded once is in guest RAM and need not lie here too.
  const releaseImages = (): void => {
    release(options.kernel);
    release(options.initrd);
  };
  let first: readonly BootSegment[] | null = null;
  const loadSegments = (put: (segment: BootSegment) => void): void => {
    for (const segment of first ?? makePlan().segments) put(segment);
    first = null;
    releaseImages();
  };
  if (saved !== null) {
    const canReset = options.kernel !== undefined || bios instanceof Uint8Array;
    if (canReset) checkImages(makePlan(), saved);
    releaseImages();
    return { plan: saved, loadSegments, canReset };
  }
  const { segments, initrd: _, ...plan } = makePlan();
  planned(segments);
  first = segments;
  return { plan, loadSegments, canReset: true };
}

/** @throws ConfigError for images that a reset could not begin with: they begin elsewhere than the saved machine's */
function checkImages(planned: BootPlan, saved: SavedPlan): void {
  const placeOf = ({ start, tohostGpa, fromhostGpa }: SavedPlan): string =>
    JSON.stringify([start.mode, start.pcGpa, start.a1, start.a2, tohostGpa, fromhostGpa]);
  if (placeOf(planned) === placeOf(saved)) return;
  throw new ConfigError(
    '-kernel',
    'the images are not those of the saved machine',
    'Give the same, or none: then the machine ends where it would reboot.',
  );
}
