/** What is known of the host's processor. */

/** Node's names of processors whose accesses of memory are in total store order. */
const TSO: readonly string[] = ['x64', 'ia32'];

/**
 * Whether a thread's accesses of memory keep their order for the other threads, but for a store and a later load (total
 * store order: Intel SDM volume 3A, "Memory Ordering"; AMD64 APM volume 2, section 7.2). False where that is not known.
 */
export function hasTotalStoreOrder(): boolean {
  return TSO.includes(globalThis.process?.arch ?? '');
}
