/** One owner's ways into all address spaces, of one version of the topology; the next is a new value. */
import { createAddressSpace, type Region } from './address-space.ts';
import { FlatView } from './flat-view.ts';
import type { SpaceName } from './topology.ts';

export type AddressViews = Readonly<Record<SpaceName, FlatView>> & { readonly version: number };

/** What one version changes for one owner. */
export interface ViewChange {
  readonly version: number;
  /** Names: whatever is called so goes. */
  readonly removed: ReadonlySet<string>;
  readonly added: readonly { readonly space: SpaceName; readonly region: Region }[];
}

/** The views of a thread when it begins: of what never changes. @throws ConfigError for regions that overlap */
export function firstViews(memory: readonly Region[], io: readonly Region[] = []): AddressViews {
  return {
    version: 1,
    memory: new FlatView(createAddressSpace(memory)),
    io: new FlatView(createAddressSpace(io)),
  };
}

export function nextViews(before: AddressViews, change: ViewChange): AddressViews {
  const next = (name: SpaceName): FlatView => {
    const view = before[name];
    const kept = view.space.regions.filter((region) => !change.removed.has(region.name));
    const added = change.added.filter(({ space }) => space === name).map(({ region }) => region);
    return new FlatView(createAddressSpace([...kept, ...added], change.version), view);
  };
  return { version: change.version, memory: next('memory'), io: next('io') };
}
