/**
 * What the threads of a machine say to each other without allocating: kinds of words records on their channels, and
 * signals of their doorbells. Those of register windows are in src/actor/remote-window.ts.
 */

import { ORDERED_KINDS_END } from '../../src/channel/channel.ts';
import { HART_SIGNAL, MSI_FILE_COUNT, MSI_IDENTITIES } from '../../src/hart/hart-signals.ts';

/** Kinds of words records: the words, and for a request what status and value of the reply are. */
export const WORDS = {
  /** To the interrupt controllers: source, level. */
  wire: 32,
  /** To a hart: bit of mip, level. */
  hartWire: 33,
  /** To a hart: mtimecmp's low half, high half. */
  timecmp: 34,
  /** HSM: start address low, high, argument low, high -> an SBI error number. */
  hartStart: 35,
  /** HSM: -> a HartState. */
  hartStatus: 36,
  /** SBI rfence: see hart-peers.ts -> nothing. */
  remoteFence: 37,
  /** Answered at once: whatever was sent before has been handled. */
  drain: 38,
  /** -> the next byte of input, -1 for none. */
  consoleRead: 39,
  /** The SBI console of a hart that has none: how many bytes (1 to 12), then the bytes -> how many were taken. In order. */
  consoleWrite: ORDERED_KINDS_END - 1,
} as const;

/** Signals of a vCPU's doorbell. */
export const SIGNAL = {
  ...HART_SIGNAL,
  /** The thread is to end. It overtakes every message. */
  close: HART_SIGNAL.ipi + 1,
  /** A program has put something into HTIF's mailbox; the first vCPU serves it. */
  htif: HART_SIGNAL.ipi + 2,
} as const;

/** Words of signals in a vCPU's doorbell. */
export const VCPU_SIGNAL_WORDS: number = (SIGNAL.msi + MSI_FILE_COUNT * MSI_IDENTITIES) / 32;
