/**
 * What the boot loader tells the kernel through the device tree: the /chosen node and the size of memory.
 * Source: Devicetree Specification v0.4, section 3.6; Linux Documentation/devicetree/usage-model.rst.
 */
import { cells64, encodeValue, type FdtNode, type FdtTree, type FdtValue } from './tree.ts';

/** Each field that is given replaces the property; the others stay as they are. */
export interface ChosenPatch {
  readonly bootargs?: string | undefined;
  /** Guest-physical, end exclusive. */
  readonly initrd?: { readonly start: number; readonly end: number } | undefined;
  /** Seeds the guest's entropy pool. */
  readonly rngSeed?: Uint8Array | undefined;
  readonly stdoutPath?: string | undefined;
}

/** A tree whose /chosen node says so; the given one is left alone. */
export function withChosen(tree: FdtTree, patch: ChosenPatch): FdtTree {
  const values: Record<string, FdtValue | undefined> = {
    bootargs: patch.bootargs,
    'linux,initrd-start': patch.initrd === undefined ? undefined : cells64(patch.initrd.start),
    'linux,initrd-end': patch.initrd === undefined ? undefined : cells64(patch.initrd.end),
    'rng-seed': patch.rngSeed,
    'stdout-path': patch.stdoutPath,
  };
  const chosen = tree.root.children.find((node) => node.name === 'chosen');
  const properties = new Map(chosen?.properties);
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) properties.set(name, encodeValue(value));
  }
  const patched: FdtNode = { name: 'chosen', properties, children: chosen?.children ?? [] };
  const others = tree.root.children.filter((node) => node !== chosen);
  return { ...tree, root: { ...tree.root, children: [patched, ...others] } };
}
