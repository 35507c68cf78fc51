/** What a hart can be told by a bit of its thread's doorbell: by others, and from WebAssembly to WebAssembly. */
import { DOORBELL } from '../memory/doorbell-words.ts';

export const HART_SIGNAL = {
  /** Supervisor software interrupt. */
  ipi: DOORBELL.firstSignal,
  /** The first of the message-signalled interrupts, in whole words (`msiSignal()`). */
  msi: 32,
} as const;

/** Identities of an interrupt file, 0 included, which is none. */
export const MSI_IDENTITIES = 256;
/** Interrupt files of a hart, by their place among its signals. */
export const MSI_FILES = { M: 0, S: 1 } as const;
export const MSI_FILE_COUNT: number = Object.keys(MSI_FILES).length;
const WORD_BITS = 32;

/**
 * The signal of an identity. Of the files' words the first comes first, for each file: those with low numbers, which systems
 * give out first, are so beside the doorbell's state.
 */
export function msiSignal(file: keyof typeof MSI_FILES, identity: number): number {
  const word = Math.floor(identity / WORD_BITS) * MSI_FILE_COUNT + MSI_FILES[file];
  return HART_SIGNAL.msi + word * WORD_BITS + (identity % WORD_BITS);
}

/** A page, through which messages come to a file; those of a level lie side by side. */
export const INTERRUPT_FILE_BYTES = 4096;
/** In it: an identity that is written here, little-endian, becomes pending (AIA 1.0, 3.5). */
export const SETEIPNUM_LE = 0;
