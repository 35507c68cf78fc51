/**
 * The memory-mapped pages of interrupt files: how MSIs reach the harts. A page per hart for each privilege level, side by
 * side as on QEMU's virt without guests. The files themselves belong to the vCPUs.
 * Source: RISC-V Advanced Interrupt Architecture 1.0, 3.5 and 3.6.
 *
 * An access of 8 bytes reaches a window as two of 4 and so writes both ports (the specification wants a fault).
 * Not modelled: guest interrupt files, groups of harts.
 */
import { ACCESS_OK, BUS_FAULT, type RegisterWindow } from '../../src/actor/register-window.ts';
import type { MsiPort } from '../../src/bus/msi.ts';
import { INTERRUPT_FILE_BYTES, MSI_IDENTITIES, SETEIPNUM_LE } from '../../src/hart/hart-signals.ts';
import { swapBytes } from './source-bits.ts';

/** Identities of each file are 1 to this, as on QEMU's virt. */
export const IMSIC_IDENTITIES: number = MSI_IDENTITIES - 1;

export interface ImsicFiles {
  /** Files of this level: those of harts 0 up to this. */
  readonly files: number;
  /** An MSI for a hart's file. @param identity 1 to IMSIC_IDENTITIES */
  deliver(hart: number, identity: number): void;
}

export interface ImsicLevel extends ImsicFiles {
  /** Guest-physical address of hart 0's file. */
  readonly base: number;
}

/** In each page, beside SETEIPNUM_LE; the rest of it is read-only zeros. */
const SETEIPNUM_BE = 4;

/** One level's files as registers, which read 0. Accesses other than aligned ones of 4 bytes are bus faults. */
export function imsicWindow(level: ImsicFiles): RegisterWindow {
  const lengthBytes = level.files * INTERRUPT_FILE_BYTES;
  const isFault = (offset: number, size: number) => {
    return size !== 4 || offset % 4 !== 0 || offset < 0 || offset >= lengthBytes;
  };
  return {
    lengthBytes,
    read: (offset, size) => (isFault(offset, size) ? BUS_FAULT : 0),
    write(offset, value, size) {
      if (isFault(offset, size)) return BUS_FAULT;
      receive(level, offset, value);
      return ACCESS_OK;
    },
    readAsync(offset, size, done) {
      done(this.read(offset, size));
      return true;
    },
  };
}

/** The way of MSIs straight to the files, without an address space. An identity that no file has is taken and ignored. */
export function imsicMsiPort(levels: readonly ImsicLevel[]): MsiPort {
  return {
    send(gpa, data) {
      for (const level of levels) {
        const offset = gpa - level.base;
        if (offset >= 0 && offset < level.files * INTERRUPT_FILE_BYTES) {
          receive(level, offset, data);
          return true;
        }
      }
      return false;
    },
  };
}

/** A write of 4 bytes. @param offset from the level's first page */
function receive(level: ImsicFiles, offset: number, value: number): void {
  const port = offset % INTERRUPT_FILE_BYTES;
  if (port !== SETEIPNUM_LE && port !== SETEIPNUM_BE) return;
  const identity = port === SETEIPNUM_LE ? value >>> 0 : swapBytes(value);
  if (identity < 1 || identity > IMSIC_IDENTITIES) return;
  level.deliver(Math.floor(offset / INTERRUPT_FILE_BYTES), identity);
}
