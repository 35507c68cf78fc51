/** Traces of what the interpreter executes, and what they have shown, as they lie in a vCPU's arena (ARENA in state.ts). */

/**
 * A trace: the instructions that were executed one after the other, {u32 low half of the pc, u32 op}, and behind them what
 * comes next, where the hot loop went on as far.
 */
export const TRACE = { length: 128, entryBytes: 8 } as const;

/**
 * How a trace began: whether a region was left just before, for what no region goes on with, or `aside`, in the middle of
 * what it would have gone on with.
 */
export const LEFT = { not: 0, behind: 1, aside: 2 } as const;

/** What traces have shown: assembly/profile.ts. */
export const PROFILE = {
  /** u32: 1 where whatever is jumped to counts as arrived at. */
  everything: 0,
  /** u32: what arrivals at an op must have counted for the translator to be told of them. */
  threshold: 4,
  /** u32 each: what one counts at a loop's head, where a region was left or in straight code, and elsewhere. */
  loopWeight: 8,
  leftWeight: 12,
  otherWeight: 16,
  /** Counters of each kind; a power of two. */
  counters: 65536,
  /** u16 each: times that an op was executed, and what arrivals at it have counted. */
  seen: 64,
  arrivals: 64 + 65536 * 2,
  lengthBytes: 64 + 65536 * 4,
  /** Targets of computed jumps: sets, a power of two, by a hash of the jump's op, and targets in each. */
  jumpSets: 1024,
  jumpWays: 16,
  /** u32 op of the jump, i32 bytes from there, u32 times; all zero: free. */
  targetJump: 0,
  targetDistance: 4,
  targetCount: 8,
  targetBytes: 12,
  /** A bit each, by a hash of where guest code lies on the host: that on offer. A power of two. */
  offeredBits: 65536,
  /** Of an arrival that the translator is told of: u32 op, u32 low half of the pc, u32 what arrivals there have counted. */
  arrivedOp: 0,
  arrivedLo: 4,
  arrivedCount: 8,
  arrivedBytes: 12,
} as const;
