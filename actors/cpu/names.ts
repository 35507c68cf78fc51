/** What a machine's threads, and the actors of each vCPU, are called. */

/** The board's thread, and the caller's. */
export const MAIN_THREAD = 'main';
/** See translator-thread.ts. */
export const TRANSLATOR_THREAD = 'translator';

/** The thread of a hart, and the name of its vCPU among the machine's actors. */
export const vcpuThreadName = (hart: number): string => `vcpu${hart}`;
export const vcpuActorName = (hart: number): string => `cpu${hart}`;

/** What a thread has beside its actors, among the parts of a saved machine; no actor can be called so. */
export const threadStateName = (thread: string): string => `${thread}.thread`;

/** The name of a thread's loop among the machine's actors. */
export const loopActorName = (thread: string): string => `${thread}-loop`;
