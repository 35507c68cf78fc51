/**
 * The CSRs of Smaia and Ssaia (AIA 1.0, chapters 2 and 5), and what they make of sie and sip.
 *
 * Choices: the iprio arrays are read-only zero (QEMU 10 has them), so that IPRIO of mtopi and stopi is always 1; mvien
 * has bits 1 and 9; bits that mvien uncovers are as they were left; sip.SEIP is read-only even where it is mvip's;
 * the select registers have nine bits.
 */

import { ENVCFG, INTERRUPT, IRQ, M } from './constants.ts';
import type { Csr } from './csrs.ts';
import type { ReferenceHart } from './hart.ts';
import type { InterruptFile } from './imsic.ts';
import { firstInterrupt, pendingForM, pendingForS } from './privileged.ts';

const FILTERED = IRQ.ssi | IRQ.sei;

/** The bits of sip and sie that are mvip's and sie's own: not delegated, but virtual. */
export const virtualBits = (hart: ReferenceHart): bigint => hart.mvien & ~hart.mideleg;

/** mvip: aliases of mip's software-written bits, and SSIP on its own while mvien has it. */
export function mvipRead(hart: ReferenceHart): bigint {
  const stip = (hart.menvcfg & ENVCFG.stce) === 0n ? hart.mip & IRQ.sti : 0n;
  const ssip = (hart.mvien & IRQ.ssi) === 0n ? hart.mip & IRQ.ssi : hart.mvip;
  return (hart.mip & IRQ.sei) | stip | ssip;
}

function mvipWrite(hart: ReferenceHart, value: bigint): void {
  let inMip = IRQ.sei;
  if ((hart.menvcfg & ENVCFG.stce) === 0n) inMip |= IRQ.sti;
  if ((hart.mvien & IRQ.ssi) === 0n) inMip |= IRQ.ssi;
  else hart.mvip = value & IRQ.ssi;
  hart.mip = (hart.mip & ~inMip) | (value & inMip);
}

/** A select register's partner; `file` is null where the range 0x70 to 0xff is not to be accessed. */
function window(
  name: string,
  selected: (hart: ReferenceHart) => bigint,
  file: (hart: ReferenceHart) => InterruptFile | null,
): Csr {
  return {
    name,
    read: (hart) => {
      const select = Number(selected(hart));
      return select < 0x70 ? 0n : (file(hart)?.read(select) ?? 0n);
    },
    write: (hart, value) => {
      const select = Number(selected(hart));
      if (select >= 0x70) file(hart)?.write(select, value);
    },
    check: (hart) => {
      const select = Number(selected(hart));
      const isPriority = select >= 0x30 && select < 0x40;
      const isFile = select >= 0x70 && select < 0x100 && file(hart) !== null;
      const hasOddNumbers = select >= 0x70 && select < 0x80;
      if (!(isPriority || isFile) || (select % 2 === 1 && !hasOddNumbers)) hart.illegal();
    },
  };
}

function topExternal(name: string, file: (hart: ReferenceHart) => InterruptFile | null): Csr {
  return {
    name,
    read: (hart) => file(hart)?.topRegister ?? 0n,
    write: (hart) => file(hart)?.claim(),
    check: (hart) => {
      if (file(hart) === null) hart.illegal();
    },
  };
}

function topInterrupt(name: string, pending: (hart: ReferenceHart) => bigint): Csr {
  return {
    name,
    read: (hart) => {
      const interrupt = firstInterrupt(pending(hart));
      return interrupt === null ? 0n : ((interrupt & ~INTERRUPT) << 16n) | 1n;
    },
    write: () => {},
  };
}

function select(name: 'miselect' | 'siselect'): Csr {
  return {
    name,
    read: (hart) => hart[name],
    write: (hart, value) => {
      hart[name] = value & 0x1ffn;
    },
  };
}

const machineFile = (hart: ReferenceHart): InterruptFile | null => hart.files?.m ?? null;
/** With mvien.SEIE the S-level file is M mode's to look into. */
const supervisorFile = (hart: ReferenceHart): InterruptFile | null =>
  hart.priv === M || (hart.mvien & IRQ.sei) === 0n ? (hart.files?.s ?? null) : null;

const ROWS: readonly (readonly [number, Csr])[] = [
  [0x150, select('siselect')],
  [0x151, window('sireg', (hart) => hart.siselect, supervisorFile)],
  [0x15c, topExternal('stopei', supervisorFile)],
  [
    0x308,
    {
      name: 'mvien',
      read: (hart) => hart.mvien,
      write: (hart, value) => {
        hart.mvien = value & FILTERED;
      },
    },
  ],
  [0x309, { name: 'mvip', read: mvipRead, write: mvipWrite }],
  [0x350, select('miselect')],
  [0x351, window('mireg', (hart) => hart.miselect, machineFile)],
  [0x35c, topExternal('mtopei', machineFile)],
  [0xdb0, topInterrupt('stopi', pendingForS)],
  [0xfb0, topInterrupt('mtopi', pendingForM)],
];

/** The rows, each refused by a hart without AIA. */
export const AIA_CSRS: readonly (readonly [number, Csr])[] = ROWS.map(([number, csr]) => [
  number,
  {
    ...csr,
    check: (hart: ReferenceHart): void => {
      if (hart.options.aia === 'none') hart.illegal();
      csr.check?.(hart);
    },
  },
]);
