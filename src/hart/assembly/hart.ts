/**
 * Access to the hart this instance serves. AssemblyScript: u32 addresses into the shared memory.
 * One instance per vCPU; `init` is called once, before anything else.
 */

import { LAYOUT_HASH } from './layout.generated';

/** Host offset of the hart's arena. */
export let hart: u32 = 0;

export function init(arena: u32): void {
  hart = arena;
}

/** Which tables this module was built from. */
export function layoutHash(): u32 {
  return LAYOUT_HASH;
}
