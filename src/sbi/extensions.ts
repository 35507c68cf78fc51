/**
 * The SBI extensions this implementation has, one table each: Base, TIME, IPI, RFENCE, HSM, SRST, DBCN.
 * Source: RISC-V SBI specification v2.0, chapters 4, 6 to 10 and 12.
 *
 * Not modelled: PMU, SUSP, CPPC, NACL, STA; the hypervisor fences answer NOT_SUPPORTED, for want of the H extension.
 */
import {
  entryOf,
  gpaOf,
  hartOf,
  hartsOf,
  invalidAddress,
  invalidParam,
  notSupported,
  type SbiArguments,
  type SbiFunction,
  UINT64_MAX,
} from './function.ts';
import {
  type RemoteFence,
  type SbiHost,
  type SbiOutcome,
  type SystemReset,
  sbiError,
  sbiFailure,
  sbiSuccess,
} from './host.ts';

/** Extension numbers; the letters spell the name. */
export const sbiExtension = {
  base: 0x10,
  time: 0x54494d45,
  ipi: 0x735049,
  rfence: 0x52464e43,
  hsm: 0x48534d,
  srst: 0x53525354,
  dbcn: 0x4442434e,
} as const;

/** Version 2.0: major in bits 30:24, minor below. */
const SPECIFICATION_VERSION = 0x0200_0000n;
/** Not among the numbers the specification has given to others; "BH". */
const IMPLEMENTATION_ID = 0x4248n;
const IMPLEMENTATION_VERSION = 1n;

export const baseFunctions = (probe: (eid: bigint) => boolean): readonly SbiFunction[] => [
  { eid: 0x10, fid: 0, name: 'sbi_get_spec_version', run: () => sbiSuccess(SPECIFICATION_VERSION) },
  { eid: 0x10, fid: 1, name: 'sbi_get_impl_id', run: () => sbiSuccess(IMPLEMENTATION_ID) },
  { eid: 0x10, fid: 2, name: 'sbi_get_impl_version', run: () => sbiSuccess(IMPLEMENTATION_VERSION) },
  { eid: 0x10, fid: 3, name: 'sbi_probe_extension', run: (_, [eid]) => sbiSuccess(probe(eid) ? 1n : 0n) },
  { eid: 0x10, fid: 4, name: 'sbi_get_mvendorid', run: (host) => sbiSuccess(host.identity.mvendorid) },
  { eid: 0x10, fid: 5, name: 'sbi_get_marchid', run: (host) => sbiSuccess(host.identity.marchid) },
  { eid: 0x10, fid: 6, name: 'sbi_get_mimpid', run: (host) => sbiSuccess(host.identity.mimpid) },
];

export const timeFunctions: readonly SbiFunction[] = [
  {
    eid: sbiExtension.time,
    fid: 0,
    name: 'sbi_set_timer',
    run(host, [deadlineTicks]) {
      host.setTimer(deadlineTicks);
      return sbiSuccess();
    },
  },
];

export const ipiFunctions: readonly SbiFunction[] = [
  { eid: sbiExtension.ipi, fid: 0, name: 'sbi_send_ipi', run: (host, [mask, base]) => sendIpis(host, mask, base) },
];

const rfence = (fid: number, name: string, run: SbiFunction['run']): SbiFunction => ({
  eid: sbiExtension.rfence,
  fid,
  name,
  run,
});

export const rfenceFunctions: readonly SbiFunction[] = [
  rfence(0, 'sbi_remote_fence_i', (host, args) => fence(host, args, 'instruction')),
  rfence(1, 'sbi_remote_sfence_vma', (host, args) => fence(host, args, 'address')),
  rfence(2, 'sbi_remote_sfence_vma_asid', (host, args) => fence(host, args, 'address-asid')),
  rfence(3, 'sbi_remote_hfence_gvma_vmid', notSupported),
  rfence(4, 'sbi_remote_hfence_gvma', notSupported),
  rfence(5, 'sbi_remote_hfence_vvma_asid', notSupported),
  rfence(6, 'sbi_remote_hfence_vvma', notSupported),
];

export const hsmFunctions: readonly SbiFunction[] = [
  {
    eid: sbiExtension.hsm,
    fid: 0,
    name: 'sbi_hart_start',
    run(host, [id, address, opaque]) {
      const hart = hartOf(host, id);
      if (hart === null) return invalidParam();
      const startGpa = entryOf(host, address);
      return startGpa === null ? invalidAddress() : host.hartStart(hart, { startGpa, opaque });
    },
  },
  { eid: sbiExtension.hsm, fid: 1, name: 'sbi_hart_stop', run: (host) => host.hartStop() },
  {
    eid: sbiExtension.hsm,
    fid: 2,
    name: 'sbi_hart_get_status',
    run(host, [id]) {
      const hart = hartOf(host, id);
      return hart === null ? invalidParam() : host.hartStatus(hart);
    },
  },
  { eid: sbiExtension.hsm, fid: 3, name: 'sbi_hart_suspend', run: (host, args) => suspend(host, args) },
];

export const srstFunctions: readonly SbiFunction[] = [
  {
    eid: sbiExtension.srst,
    fid: 0,
    name: 'sbi_system_reset',
    run(host, [typeNumber, reasonNumber]) {
      const type = RESET_TYPES[Number(uint32(typeNumber))];
      const reason = RESET_REASONS[Number(uint32(reasonNumber))];
      return type === undefined || reason === undefined ? invalidParam() : host.systemReset({ type, reason });
    },
  },
];

export const dbcnFunctions: readonly SbiFunction[] = [
  { eid: sbiExtension.dbcn, fid: 0, name: 'sbi_debug_console_write', run: (host, args) => consoleWrite(host, args) },
  { eid: sbiExtension.dbcn, fid: 1, name: 'sbi_debug_console_read', run: (host, args) => consoleRead(host, args) },
  {
    eid: sbiExtension.dbcn,
    fid: 2,
    name: 'sbi_debug_console_write_byte',
    run: (host, [byte]) => consoleWriteByte(host, Number(byte & 0xffn)),
  },
];

/** Indexed by reset_type and reset_reason. */
const RESET_TYPES: readonly SystemReset['type'][] = ['shutdown', 'cold-reboot', 'warm-reboot'];
const RESET_REASONS: readonly SystemReset['reason'][] = ['none', 'system-failure'];

/** hart_suspend types that are not reserved or platform-specific. */
const suspendType = { defaultRetentive: 0n, defaultNonRetentive: 0x8000_0000n } as const;

/** Most bytes one debug console call moves; the specification allows partial writes and reads. */
const CONSOLE_CHUNK_BYTES = 4096;

/** IPIs to the harts of a mask; also what the legacy call does. */
export function sendIpis(host: SbiHost, mask: bigint, base: bigint): SbiOutcome {
  const harts = hartsOf(host, mask, base);
  if (harts === null) return invalidParam();
  for (const hart of harts) host.sendIpi(hart);
  return sbiSuccess();
}

/** A fence on the harts of a mask; also what the legacy calls do. */
export function fence(
  host: SbiHost,
  [mask, base, start, size, asid]: SbiArguments,
  kind: RemoteFence['kind'],
): SbiOutcome {
  const harts = hartsOf(host, mask, base);
  if (harts === null) return invalidParam();
  // The whole address space: both zero, or a size of all ones.
  const whole = kind === 'instruction' || (start === 0n && size === 0n) || size === UINT64_MAX;
  if (!whole && start + size > UINT64_MAX + 1n) return invalidAddress();
  const range = whole ? { start: 0n, lengthBytes: null } : { start, lengthBytes: size };
  return host.remoteFence({ kind, harts, ...range, asid: kind === 'address-asid' ? Number(asid & 0xffffn) : 0 });
}

function suspend(host: SbiHost, [type, address, opaque]: SbiArguments): SbiOutcome {
  if (uint32(type) === suspendType.defaultRetentive) return host.hartSuspend(null);
  if (uint32(type) !== suspendType.defaultNonRetentive) return invalidParam();
  const startGpa = entryOf(host, address);
  return startGpa === null ? invalidAddress() : host.hartSuspend({ startGpa, opaque });
}

function consoleWrite(host: SbiHost, [lengthBytes, lo, hi]: SbiArguments): SbiOutcome {
  const gpa = consoleRange(host, lengthBytes, lo, hi);
  if (gpa === null) return invalidParam();
  const bytes = host.readMemory(gpa, chunk(lengthBytes));
  if (bytes === null) return invalidParam();
  const written = bytes.length === 0 ? 0 : host.consoleWrite(bytes);
  return written < 0 ? sbiFailure(sbiError.failed) : sbiSuccess(BigInt(written));
}

function consoleRead(host: SbiHost, [lengthBytes, lo, hi]: SbiArguments): SbiOutcome {
  const gpa = consoleRange(host, lengthBytes, lo, hi);
  if (gpa === null) return invalidParam();
  const bytes = host.consoleRead(chunk(lengthBytes));
  if (bytes === null) return sbiFailure(sbiError.failed);
  return host.writeMemory(gpa, bytes) ? sbiSuccess(BigInt(bytes.length)) : invalidParam();
}

function consoleWriteByte(host: SbiHost, byte: number): SbiOutcome {
  const written = host.consoleWrite(new Uint8Array([byte]));
  if (written < 0) return sbiFailure(sbiError.failed);
  return written === 0 ? 'retry' : sbiSuccess();
}

/** Where the shared memory starts, once the whole of it is known to be RAM; else null. */
function consoleRange(host: SbiHost, lengthBytes: bigint, lo: bigint, hi: bigint): number | null {
  const gpa = hi === 0n ? gpaOf(lo) : null;
  const length = gpaOf(lengthBytes);
  if (gpa === null || length === null) return null;
  return length === 0 || host.isRam(gpa, length) ? gpa : null;
}

const chunk = (lengthBytes: bigint) => Math.min(Number(lengthBytes), CONSOLE_CHUNK_BYTES);
/** Parameters that the specification declares as uint32_t. */
const uint32 = (value: bigint) => BigInt.asUintN(32, value);
