/** What the host supplies: module `env`. */

/**
 * Writes the machine's time in timebase ticks (10 MHz) to H_MTIME: a double, never negative, below 2^53, that never runs
 * backwards. What an import returns is an object of the host's heap, so it returns nothing.
 */
export declare function readMtime(): void;

/**
 * Eight bytes at an offset of a decoded page on which translated regions hang have changed; -1: the page is another's now.
 */
export declare function codeChanged(page: u32, offset: i32): void;

/** Fills in the entry at `known` (KNOWN_WORDS) with what a word is decoded to, which was met at an offset of its page. */
export declare function learnWord(word: u32, known: u32, pageOffset: u32): void;

/** `-d int`: a trap was taken. Called only while the hart's `logTraps` is set. */
export declare function trapTaken(cause: u64, pc: u64, tval: u64, toSupervisor: u32): void;
