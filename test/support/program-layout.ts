/**
 * Where the parts of a generated program lie, as offsets from its base. The region is 512 KiB and aligned to it, so that
 * a trap handler finds the instruction behind any mapped pc by its low 19 bits.
 */
export const PROGRAM_BASE = 0x8000_0000n;
export const REGION_BYTES = 0x8_0000;

export const LAYOUT = {
  /** A jump to the start, then (at 8) the word that is written to the test finisher at the end. */
  code: 0x0,
  exitWord: 0x8,
  codeEnd: 0x1_8000,
  handlers: 0x1_8000,
  /** Records of 32 bytes: cause, epc, tval, status. */
  machineLog: 0x2_0000,
  supervisorLog: 0x2_8000,
  logBytes: 0x8000,
  tables: 0x3_0000,
  tablesEnd: 0x4_0000,
  /** What loads and stores hit; 64 KiB, aligned to it, so that one NAPOT page covers it. */
  data: 0x4_0000,
  dataBytes: 0x1_0000,
  /** Results that the program keeps as it goes. */
  trace: 0x5_0000,
  traceEnd: 0x6_0000,
  /** 1 KiB for each section: x registers as the last trap saved them, then f registers. */
  save: 0x6_0000,
  saveBytes: 0x400,
  supervisorSave: 0x6_8000,
  machineLogPointer: 0x6_8400,
  supervisorLogPointer: 0x6_8408,
  /** How often the sections were gone through. */
  rounds: 0x6_8410,
  /** x, f, then CSRs, eight bytes each. */
  signature: 0x6_9000,
  /** Nothing but returns, to be jumped into. */
  returns: 0x6_a000,
  returnsBytes: 0x1000,
  imageBytes: 0x6_b000,
} as const;

/** SiFive's test finisher, and the values that make it end the machine well, and reset it. */
export const FINISHER = { address: 0x10_0000n, pass: 0x5555, reset: 0x7777 } as const;

/** Physical addresses where no board has anything: accesses fault. */
export const NOWHERE = 0x2_0000_0000n;

/** The window through which U mode sees the region when paging is on; S mode sees it at its physical address. */
export const USER_WINDOW = 0x4000_0000n;
/** Odd page-table entries lie behind this, and behind the lowest address of the upper half. */
export const ODD_WINDOW = 0xc000_0000n;

/** A generated program. */
export interface TestProgram {
  readonly seed: number;
  /** To be loaded at `base`; execution starts there in M mode. RAM beyond it up to REGION_BYTES is zero. */
  readonly image: Uint8Array;
  readonly base: bigint;
  /** Whether protection entries get locked, so that only a reset of the whole machine brings the next program. */
  readonly locks: boolean;
  /** One line for each section: mode, paging, what is special about it. */
  readonly sections: readonly string[];
  /** Names of the instructions that were generated, with how often. */
  readonly counts: ReadonlyMap<string, number>;
}
