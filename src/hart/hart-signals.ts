/** What a hart can be told by a bit of its thread's doorbell: by others, and from WebAssembly to WebAssembly. */
import { DOORBELL } from '../memory/doorbell-words.ts';

export const HART_SIGNAL = {
  /** Supervisor software interrupt. */
  ipi: DOORBELL.firstSignal,
  /** Message-signalled interrupts: identity n of the M-level file is this + n, of the S-level file this + 256 + n. */
  msi: 32,
} as const;

/** Identities of an interrupt file, 0 included, which is none. */
export const MSI_IDENTITIES = 256;
/** A page, through which messages come to a file; those of a level lie side by side. */
export const INTERRUPT_FILE_BYTES = 4096;
/** In it: an identity that is written here, little-endian, becomes pending (AIA 1.0, 3.5). */
export const SETEIPNUM_LE = 0;
