/**
 * One SBI call: find the function by a7 and a6, run it with a0 to a5, answer in a0 and a1.
 * Source: RISC-V SBI specification v2.0, chapter 3.
 */
import {
  baseFunctions,
  dbcnFunctions,
  hsmFunctions,
  ipiFunctions,
  rfenceFunctions,
  srstFunctions,
  timeFunctions,
} from './extensions.ts';
import type { SbiFunction } from './function.ts';
import { type SbiHost, type SbiResult, sbiError, sbiFailure } from './host.ts';
import { legacyAnswer, legacyFunctions } from './legacy.ts';

/**
 * How a call ended. `done`: the answer stands in the registers, the hart goes on behind the ecall. `pending`: it waits
 * for others; the host finishes the call. `retry`: make the call again later; the program counter stays on the ecall.
 */
export type SbiCallStatus = 'done' | 'pending' | 'retry';

/** Every function of this implementation. */
export const sbiFunctions: readonly SbiFunction[] = [
  ...legacyFunctions,
  ...baseFunctions((eid) => extensions.has(eid)),
  ...timeFunctions,
  ...ipiFunctions,
  ...rfenceFunctions,
  ...hsmFunctions,
  ...srstFunctions,
  ...dbcnFunctions,
];

const extensions = new Set(sbiFunctions.map((entry) => BigInt(entry.eid)));
/** By extension number, then function number. */
const table = new Map<bigint, Map<bigint | null, SbiFunction>>();
for (const entry of sbiFunctions) {
  const functions = table.get(BigInt(entry.eid)) ?? new Map<bigint | null, SbiFunction>();
  table.set(BigInt(entry.eid), functions.set(entry.fid === null ? null : BigInt(entry.fid), entry));
}

const A0 = 10;
const A1 = 11;
const A6 = 16;
const A7 = 17;

/** Makes the call that the calling hart's registers describe. Never throws for anything the guest has put there. */
export function makeSbiCall(host: SbiHost): SbiCallStatus {
  const eid = host.readX(A7);
  const entry = findFunction(eid, host.readX(A6));
  if (entry === undefined) {
    finishSbiCall(host, eid, sbiFailure(sbiError.notSupported));
    return 'done';
  }
  const argument = (index: number) => host.readX(A0 + index);
  const outcome = entry.run(host, [argument(0), argument(1), argument(2), argument(3), argument(4), argument(5)]);
  if (outcome === 'pending' || outcome === 'retry') return outcome;
  finishSbiCall(host, eid, outcome);
  return 'done';
}

/**
 * Writes a call's answer to the registers. The host calls it for what was pending: a waiting call is this extension
 * number and what it waits for, plain data that can be saved.
 */
export function finishSbiCall(host: Pick<SbiHost, 'writeX'>, eid: bigint, result: SbiResult): void {
  if (isLegacy(eid)) {
    host.writeX(A0, BigInt.asUintN(64, legacyAnswer(result)));
    return;
  }
  host.writeX(A0, BigInt.asUintN(64, BigInt(result.error)));
  host.writeX(A1, BigInt.asUintN(64, result.value));
}

/** The function behind these numbers, for logs and for the call itself. */
export function findFunction(eid: bigint, fid: bigint): SbiFunction | undefined {
  return table.get(eid)?.get(isLegacy(eid) ? null : fid);
}

const isLegacy = (eid: bigint) => eid < 0x10n;
