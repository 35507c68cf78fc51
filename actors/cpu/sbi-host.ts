/** The built-in SBI's host on a machine with one hart: everything it asks concerns the caller. */
import type { Hart } from '../../src/hart/hart.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { hartState, type SbiHost, type SystemReset, sbiError, sbiFailure, sbiSuccess } from '../../src/sbi/host.ts';

/** What the board lends to the SBI. */
export interface SbiPorts {
  readonly ram: { readonly base: number; readonly bytes: Uint8Array };
  systemReset(request: SystemReset): void;
  consoleWrite(bytes: Uint8Array): number;
  consoleRead(maxBytes: number): Uint8Array | null;
}

/** What mvendorid, marchid and mimpid read as. */
const IDENTITY = { mvendorid: 0n, marchid: 0n, mimpid: 0n } as const;

/** @param vcpu who runs the hart */
export function createSbiHost(
  hart: Hart,
  vcpu: { setInterruptLine(bit: number, level: boolean): void; halt(): void },
  ports: SbiPorts,
): SbiHost {
  const { ram } = ports;
  const number = Number(hart.get('mhartid'));
  const inRam = (gpa: number, lengthBytes: number): boolean =>
    gpa >= ram.base && gpa + lengthBytes <= ram.base + ram.bytes.length;
  return {
    hart: number,
    harts: [number],
    identity: IDENTITY,
    readX: (register) => hart.get('x', register),
    writeX: (register, value) => hart.set('x', value, register),
    setTimer: (deadlineTicks) => hart.setTimer(deadlineTicks),
    sendIpi: () => vcpu.setInterruptLine(INTERRUPT.ssi, true),
    clearIpi: () => {
      const wasPending = (hart.get('mip') & (1n << BigInt(INTERRUPT.ssi))) !== 0n;
      vcpu.setInterruptLine(INTERRUPT.ssi, false);
      return wasPending;
    },
    remoteFence: () => {
      hart.flush();
      return sbiSuccess();
    },
    hartStart: () => sbiFailure(sbiError.alreadyAvailable),
    // The last hart: nobody could start it again.
    hartStop: () => sbiFailure(sbiError.failed),
    hartStatus: () => sbiSuccess(BigInt(hartState.started)),
    hartSuspend: () => sbiFailure(sbiError.notSupported),
    systemReset: (request) => {
      vcpu.halt();
      ports.systemReset(request);
      return sbiSuccess();
    },
    consoleWrite: ports.consoleWrite,
    consoleRead: ports.consoleRead,
    isRam: inRam,
    readMemory: (gpa, lengthBytes) => {
      if (!inRam(gpa, lengthBytes)) return null;
      return ram.bytes.slice(gpa - ram.base, gpa - ram.base + lengthBytes);
    },
    writeMemory: (gpa, bytes) => {
      if (!inRam(gpa, bytes.length)) return false;
      ram.bytes.set(bytes, gpa - ram.base);
      return true;
    },
    readVirtual64: (gva) => hart.readVirtual64(gva),
  };
}
