/**
 * The legacy extensions of SBI v0.1: each its own extension number, the answer in a0 alone.
 * Source: RISC-V SBI specification v2.0, chapter 5.
 */
import { fence, sendIpis } from './extensions.ts';
import { type SbiArguments, type SbiFunction, UINT64_MAX } from './function.ts';
import {
  type RemoteFence,
  type SbiHost,
  type SbiOutcome,
  type SbiResult,
  sbiError,
  sbiFailure,
  sbiSuccess,
} from './host.ts';

const legacy = (eid: number, name: string, run: SbiFunction['run']): SbiFunction => ({ eid, fid: null, name, run });

export const legacyFunctions: readonly SbiFunction[] = [
  legacy(0, 'sbi_set_timer', (host, [deadlineTicks]) => {
    host.setTimer(deadlineTicks);
    return sbiSuccess();
  }),
  legacy(1, 'sbi_console_putchar', (host, [byte]) => putchar(host, Number(byte & 0xffn))),
  legacy(2, 'sbi_console_getchar', (host) => getchar(host)),
  legacy(3, 'sbi_clear_ipi', (host) => answer(host.clearIpi() ? 1n : 0n)),
  legacy(4, 'sbi_send_ipi', (host, [maskGva]) => {
    const mask = legacyMask(host, maskGva);
    return mask === null ? sbiFailure(sbiError.failed) : sendIpis(host, mask.bits, mask.base);
  }),
  legacy(5, 'sbi_remote_fence_i', (host, args) => legacyFence(host, args, 'instruction')),
  legacy(6, 'sbi_remote_sfence_vma', (host, args) => legacyFence(host, args, 'address')),
  legacy(7, 'sbi_remote_sfence_vma_asid', (host, args) => legacyFence(host, args, 'address-asid')),
  legacy(8, 'sbi_shutdown', (host) => host.systemReset({ type: 'shutdown', reason: 'none' })),
];

/** What goes into a0: the value when the call succeeded, else the error. */
export function legacyAnswer({ error, value }: SbiResult): bigint {
  return error === sbiError.success ? value : BigInt(error);
}

function putchar(host: SbiHost, byte: number): SbiOutcome {
  const written = host.consoleWrite(new Uint8Array([byte]));
  if (written < 0) return sbiFailure(sbiError.failed);
  return written === 0 ? 'retry' : sbiSuccess();
}

/** The byte, or -1 when there is none. */
function getchar(host: SbiHost): SbiOutcome {
  const byte = host.consoleRead(1)?.[0];
  return answer(byte === undefined ? -1n : BigInt(byte));
}

function legacyFence(host: SbiHost, [maskGva, start, size, asid]: SbiArguments, kind: RemoteFence['kind']): SbiOutcome {
  const mask = legacyMask(host, maskGva);
  if (mask === null) return sbiFailure(sbiError.failed);
  return fence(host, [mask.bits, mask.base, start, size, asid, 0n], kind);
}

/** The mask lies at a virtual address of the caller's; none given means every hart. */
function legacyMask(host: SbiHost, maskGva: bigint): { bits: bigint; base: bigint } | null {
  if (maskGva === 0n) return { bits: 0n, base: UINT64_MAX };
  const bits = host.readVirtual64(maskGva);
  return bits === null ? null : { bits, base: 0n };
}

const answer = (value: bigint): SbiResult => ({ error: sbiError.success, value });
