/**
 * What harts tell each other by signals (HART_SIGNAL), from WebAssembly to WebAssembly: a hart that runs takes those to
 * itself where it looks at its doorbell, without leaving for its thread's loop, and sends IPIs and messages to interrupt
 * files, its own among them. The words and their protocol are src/channel/doorbell.ts's.
 */
import { hart } from './hart';
import { receiveMsi, SUPERVISOR_FILE } from './imsic';
import { setInterruptLine } from './interrupts';
import {
  AIA_IMSIC,
  DOORBELL_LENGTH_BYTES,
  DOORBELL_PARKED,
  DOORBELL_SIGNALS,
  DOORBELL_WORDS_BEFORE_SIGNALS,
  H_AIA,
  H_DOORBELL,
  H_IMSIC_BASE,
  H_IMSIC_FILES,
  H_MHARTID,
  H_NEIGHBOURS,
  H_SBI_IPI,
  H_X,
  HART_SIGNAL_IPI,
  HART_SIGNAL_MSI,
  INTERRUPT_SSI,
  MSI_FILE_BYTES,
  MSI_FILES,
  MSI_IDENTITIES,
  MSI_SETEIPNUM_LE,
} from './layout.generated';

const IPI: u32 = 1 << HART_SIGNAL_IPI;
const WORD_BITS: u32 = 32;
const WORDS_OF_FILE: u32 = MSI_IDENTITIES / WORD_BITS;

/**
 * Takes the signals, if there are any and all that has rung is the hart's.
 * @returns 0 where nothing was taken: the rest is the loop's, which then takes all of it
 */
export function takeSignals(): u32 {
  const doorbell = load<u32>(hart, H_DOORBELL);
  const own = load<u32>(hart, H_AIA) === AIA_IMSIC ? IPI | DOORBELL_SIGNALS : IPI;
  const rung = atomic.load<u32>(doorbell);
  if (rung === 0 || (rung & ~own) !== 0) return 0;
  // Something else may just ring.
  if (atomic.cmpxchg<u32>(doorbell, rung, 0) !== rung) return 0;
  if (rung & IPI) setInterruptLine(INTERRUPT_SSI, 1);
  if (rung & DOORBELL_SIGNALS) {
    for (let file: u32 = 0; file <= SUPERVISOR_FILE; file++) takeMsis(doorbell, file);
  }
  return 1;
}

/** Where the signals from 32 * n on lie, n at least 1. */
function wordOfSignals(doorbell: u32, n: u32): u32 {
  return doorbell + (DOORBELL_WORDS_BEFORE_SIGNALS + n - 1) * 4;
}

/** Of a file's words that one with the identities from 32 * n on. */
function wordOfMsis(doorbell: u32, file: u32, n: u32): u32 {
  return wordOfSignals(doorbell, HART_SIGNAL_MSI / WORD_BITS + n * MSI_FILES + file);
}

function takeMsis(doorbell: u32, file: u32): void {
  for (let n: u32 = 0; n < WORDS_OF_FILE; n++) {
    const word = wordOfMsis(doorbell, file, n);
    if (atomic.load<u32>(word) === 0) continue;
    let pending = atomic.xchg<u32>(word, 0);
    for (; pending !== 0; pending &= pending - 1) receiveMsi(file, n * WORD_BITS + <u32>ctz(pending));
  }
}

/** What became of a store outside of RAM: it is the host's, a message to another hart, or one to this hart, which has it. */
export const NO_MSI: u32 = 0;
export const MSI_SENT: u32 = 1;
export const MSI_RECEIVED: u32 = 2;

/**
 * A store of 4 bytes outside of RAM that is a message to an interrupt file (AIA 1.0, 3.5).
 * @returns NO_MSI where it is anything else, or a number that needs care
 */
export function sendMsi(gpa: u64, value: u64): u32 {
  const harts = <u64>min(load<u32>(hart, H_NEIGHBOURS), load<u32>(hart, H_IMSIC_FILES));
  for (let file: u32 = 0; file <= SUPERVISOR_FILE; file++) {
    const offset = gpa - load<u64>(hart + file * 8, H_IMSIC_BASE);
    const target = offset / MSI_FILE_BYTES;
    if (target >= harts) continue;
    if (offset % MSI_FILE_BYTES !== MSI_SETEIPNUM_LE || value === 0 || value >= MSI_IDENTITIES) return NO_MSI;
    const identity = <u32>value;
    if (isOwn(target)) {
      receiveMsi(file, identity);
      return MSI_RECEIVED;
    }
    const doorbell = doorbellOf(target);
    const bit: u32 = 1 << (identity & (WORD_BITS - 1));
    if (atomic.or<u32>(wordOfMsis(doorbell, file, identity / WORD_BITS), bit) & bit) return MSI_SENT;
    ring(doorbell, DOORBELL_SIGNALS);
    return MSI_SENT;
  }
  return NO_MSI;
}

const A0: u32 = 10 * 8;
const A1: u32 = 11 * 8;
const A6: u32 = 16 * 8;
const A7: u32 = 17 * 8;
/** Function number, and what it answers. */
const SEND_IPI: u64 = 0;
const SBI_SUCCESS: u64 = 0;

/**
 * The SBI call that sends IPIs (SBI 2.0, chapter 7).
 * @returns false where it is another call, or its harts need care: none has been told then
 */
export function sendIpis(): bool {
  if (load<u64>(hart + A7, H_X) !== load<u64>(hart, H_SBI_IPI) || load<u64>(hart + A6, H_X) !== SEND_IPI) return false;
  const mask = load<u64>(hart + A0, H_X);
  const base = load<u64>(hart + A1, H_X);
  const harts = <u64>load<u32>(hart, H_NEIGHBOURS);
  if (base >= harts) return false;
  for (let left = mask; left !== 0; left &= left - 1) {
    const target = base + ctz(left);
    if (target >= harts) return false;
  }
  for (let left = mask; left !== 0; left &= left - 1) {
    const target = base + ctz(left);
    if (isOwn(target)) setInterruptLine(INTERRUPT_SSI, 1);
    else ring(doorbellOf(target), IPI);
  }
  store<u64>(hart + A0, SBI_SUCCESS, H_X);
  store<u64>(hart + A1, 0, H_X);
  return true;
}

function isOwn(target: u64): bool {
  return target === load<u64>(hart, H_MHARTID);
}

/** Of a hart that there is. */
function doorbellOf(target: u64): u32 {
  return load<u32>(hart, H_DOORBELL) + <u32>(target - load<u64>(hart, H_MHARTID)) * DOORBELL_LENGTH_BYTES;
}

function ring(doorbell: u32, bits: u32): void {
  if (atomic.or<u32>(doorbell, bits) & DOORBELL_PARKED) atomic.notify(doorbell, 1);
}
