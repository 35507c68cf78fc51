/**
 * What the built-in SBI asks of the vCPU that made the call. The SBI is pure logic: it keeps no state, so there is
 * nothing to save; a call that must wait is finished by the host with `finishSbiCall` (src/sbi/call.ts).
 *
 * Harts are named by their numbers. Guest-physical addresses are numbers; the SBI hands over none above 2^53.
 */

/** Error codes as the specification numbers them (chapter 3, table 1). */
export const sbiError = {
  success: 0,
  failed: -1,
  notSupported: -2,
  invalidParam: -3,
  denied: -4,
  invalidAddress: -5,
  alreadyAvailable: -6,
  alreadyStarted: -7,
  alreadyStopped: -8,
  noSharedMemory: -9,
} as const;

export type SbiErrorCode = (typeof sbiError)[keyof typeof sbiError];

export interface SbiResult {
  readonly error: SbiErrorCode;
  /** Any 64-bit value; counted modulo 2^64. */
  readonly value: bigint;
}

/** An answer now, or the promise that the host will call `finishSbiCall` when the others have answered. */
export type SbiAnswer = SbiResult | 'pending';

/** `retry`: nothing has happened; make the same call again when there is room. */
export type SbiOutcome = SbiAnswer | 'retry';

/** HSM hart states (specification table 1 of chapter 9). */
export const hartState = {
  started: 0,
  stopped: 1,
  startPending: 2,
  stopPending: 3,
  suspended: 4,
  suspendPending: 5,
  resumePending: 6,
} as const;

export type HartState = (typeof hartState)[keyof typeof hartState];

export interface RemoteFence {
  /** `fence.i`, or `sfence.vma` over a range of addresses, of one address space or all. */
  readonly kind: 'instruction' | 'address' | 'address-asid';
  /** May hold the caller itself. */
  readonly harts: readonly number[];
  /** Guest-virtual; everything when lengthBytes is null. */
  readonly start: bigint;
  readonly lengthBytes: bigint | null;
  /** Only for `address-asid`. */
  readonly asid: number;
}

/** Where a hart begins: in S mode, MMU off, interrupts off, a0 its number, a1 `opaque`. */
export interface HartEntry {
  readonly startGpa: number;
  readonly opaque: bigint;
}

export interface SystemReset {
  readonly type: 'shutdown' | 'cold-reboot' | 'warm-reboot';
  readonly reason: 'none' | 'system-failure';
}

export interface SbiHost {
  /** The calling hart. */
  readonly hart: number;
  /** All harts of the machine. */
  readonly harts: readonly number[];
  /** What the base extension reports. */
  readonly identity: { readonly mvendorid: bigint; readonly marchid: bigint; readonly mimpid: bigint };

  /** @returns an unsigned 64-bit value */
  readX(register: number): bigint;
  /** @param value unsigned 64-bit */
  writeX(register: number, value: bigint): void;

  /** Clears the pending supervisor timer interrupt and raises it when `time` reaches the deadline. @param deadlineTicks unsigned 64-bit */
  setTimer(deadlineTicks: bigint): void;
  /** Raises the supervisor software interrupt of a hart, which may be the caller. */
  sendIpi(hart: number): void;
  /** Legacy clear_ipi. @returns whether the caller's supervisor software interrupt was pending */
  clearIpi(): boolean;
  /** Pending until every hart has fenced. */
  remoteFence(fence: RemoteFence): SbiAnswer;

  /** Asks that hart; `hartStartError` says what it answers in which state. */
  hartStart(hart: number, entry: HartEntry): SbiOutcome;
  /** Stops the caller. When it succeeds there is no answer: the hart begins anew when started. */
  hartStop(): SbiAnswer;
  /** The value is a HartState. */
  hartStatus(hart: number): SbiOutcome;
  /** Suspends the caller until an interrupt is pending; retentive (null): the call then succeeds; else it enters at the given place. */
  hartSuspend(entry: HartEntry | null): SbiAnswer;
  /** When it succeeds there is no answer. */
  systemReset(request: SystemReset): SbiAnswer;

  /** @returns how many of the bytes the console took: fewer when it is full, -1 when it has failed */
  consoleWrite(bytes: Uint8Array): number;
  /** @returns at most that many bytes of input, none when there are none, null when the console has failed */
  consoleRead(maxBytes: number): Uint8Array | null;

  /** Whether the whole range is RAM. */
  isRam(gpa: number, lengthBytes: number): boolean;
  /** @returns a copy, or null when the range is not RAM */
  readMemory(gpa: number, lengthBytes: number): Uint8Array | null;
  /** @returns false when the range is not RAM */
  writeMemory(gpa: number, bytes: Uint8Array): boolean;
  /** A load by the caller's own address translation (legacy hart masks). @returns unsigned 64-bit, or null for a fault */
  readVirtual64(gva: bigint): bigint | null;
}

/** What a hart in this state answers to hart_start. */
export function hartStartError(state: HartState): SbiErrorCode {
  return state === hartState.stopped ? sbiError.success : sbiError.alreadyAvailable;
}

/** A result that says success. */
export function sbiSuccess(value = 0n): SbiResult {
  return { error: sbiError.success, value };
}

/** A result that says why not. */
export function sbiFailure(error: SbiErrorCode): SbiResult {
  return { error, value: 0n };
}
