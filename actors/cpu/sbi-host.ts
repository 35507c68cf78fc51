/**
 * The built-in SBI's host: one hart's calls. What concerns the hart itself is done at once; what concerns others goes to
 * them through its peers, and the call is finished when they have answered.
 */
import type { Hart } from '../../src/hart/hart.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import {
  type HartEntry,
  type RemoteFence,
  type SbiAnswer,
  type SbiHost,
  type SbiOutcome,
  type SbiResult,
  type SystemReset,
  sbiError,
  sbiFailure,
  sbiSuccess,
} from '../../src/sbi/host.ts';
import type { HartPeers, HartServer } from './hart-peers.ts';

/** What the board lends to the SBI. */
export interface SbiPorts {
  readonly ram: { readonly base: number; readonly bytes: Uint8Array };
  /** Told of what a call writes to RAM: an offset in it. */
  written(offset: number, lengthBytes: number): void;
  readonly peers: HartPeers;
  /** Of the machine. */
  readonly harts: number;
  systemReset(request: SystemReset): void;
  consoleWrite(bytes: Uint8Array): number;
  consoleRead(maxBytes: number): Uint8Array | null;
}

/** Who runs the hart. */
export interface SbiVcpu extends HartServer {
  setInterruptLine(bit: number, level: boolean): void;
  halt(): void;
  /** The call in progress will be finished later. @returns takes its result; in vain after a reset */
  pend(): (result: SbiResult) => void;
  /** The hart stops itself: nothing follows the call in progress. */
  stopHart(): void;
  /** Once the call in progress is finished the hart waits for an interrupt, and goes on at `entry`, if given. */
  suspend(entry: HartEntry | null): void;
}

/** What mvendorid, marchid and mimpid read as. */
const IDENTITY = { mvendorid: 0n, marchid: 0n, mimpid: 0n } as const;

export function createSbiHost(hart: Hart, vcpu: SbiVcpu, ports: SbiPorts): SbiHost {
  return { ...harts(hart, vcpu, ports), ...system(hart, vcpu, ports), ...memory(hart, ports) };
}

/** The calls that may concern other harts. */
function harts(hart: Hart, vcpu: SbiVcpu, { peers, harts: count }: SbiPorts) {
  const self = Number(hart.get('mhartid'));
  return {
    hart: self,
    harts: Array.from({ length: count }, (_, index) => index),
    sendIpi: (target: number) => {
      if (target === self) vcpu.setInterruptLine(INTERRUPT.ssi, true);
      else peers.sendIpi(target);
    },
    remoteFence: (fence: RemoteFence): SbiAnswer => {
      const others = fence.harts.filter((target) => target !== self);
      if (others.length < fence.harts.length) vcpu.fence(fence);
      if (others.length === 0) return sbiSuccess();
      const finish = vcpu.pend();
      peers.fence({ ...fence, harts: others }, () => finish(sbiSuccess()));
      return 'pending';
    },
    hartStart: (target: number, entry: HartEntry): SbiOutcome => {
      if (target === self) return sbiFailure(sbiError.alreadyAvailable);
      const finish = vcpu.pend();
      const answer = (error: SbiResult['error']): void =>
        finish(error === sbiError.success ? sbiSuccess() : sbiFailure(error));
      return peers.start(target, entry, answer) ? 'pending' : 'retry';
    },
    hartStatus: (target: number): SbiOutcome => {
      if (target === self) return sbiSuccess(BigInt(vcpu.hartState));
      const finish = vcpu.pend();
      return peers.status(target, (state) => finish(sbiSuccess(BigInt(state)))) ? 'pending' : 'retry';
    },
    hartStop: (): SbiAnswer => {
      // The last hart that stops: nobody could start it again.
      if (count === 1) return sbiFailure(sbiError.failed);
      vcpu.stopHart();
      return 'pending';
    },
    hartSuspend: (entry: HartEntry | null): SbiAnswer => {
      vcpu.suspend(entry);
      return sbiSuccess();
    },
  };
}

function system(hart: Hart, vcpu: SbiVcpu, ports: SbiPorts) {
  return {
    identity: IDENTITY,
    readX: (register: number) => hart.get('x', register),
    writeX: (register: number, value: bigint) => hart.set('x', value, register),
    setTimer: (deadlineTicks: bigint) => hart.setTimer(deadlineTicks),
    clearIpi: () => {
      const wasPending = (hart.get('mip') & (1n << BigInt(INTERRUPT.ssi))) !== 0n;
      vcpu.setInterruptLine(INTERRUPT.ssi, false);
      return wasPending;
    },
    systemReset: (request: SystemReset): SbiAnswer => {
      vcpu.halt();
      ports.systemReset(request);
      return sbiSuccess();
    },
    consoleWrite: ports.consoleWrite,
    consoleRead: ports.consoleRead,
  };
}

function memory(hart: Hart, { ram, written }: SbiPorts) {
  const isRam = (gpa: number, lengthBytes: number): boolean =>
    gpa >= ram.base && gpa + lengthBytes <= ram.base + ram.bytes.length;
  return {
    isRam,
    readMemory: (gpa: number, lengthBytes: number) => {
      if (!isRam(gpa, lengthBytes)) return null;
      return ram.bytes.slice(gpa - ram.base, gpa - ram.base + lengthBytes);
    },
    writeMemory: (gpa: number, bytes: Uint8Array) => {
      if (!isRam(gpa, bytes.length)) return false;
      ram.bytes.set(bytes, gpa - ram.base);
      written(gpa - ram.base, bytes.length);
      return true;
    },
    readVirtual64: (gva: bigint) => hart.readVirtual64(gva),
  };
}
