/** What the host supplies: module `env`. */

/** The machine's time in timebase ticks (10 MHz); never negative, below 2^53, never runs backwards. */
export declare function mtime(): f64;
