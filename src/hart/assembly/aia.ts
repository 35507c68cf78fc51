/**
 * The CSRs of the Advanced Interrupt Architecture (AIA 1.0): Smaia and Ssaia (chapters 2 and 5), for harts that have it;
 * for others none of them is there. What mvien makes of sie and sip stands in csr.ts and interrupts.ts.
 *
 * Choices: the iprio arrays are read-only zero, so major interrupts keep their default order and IPRIO of mtopi and
 * stopi is always 1; mvien has SSIE and SEIE, its bits 13 to 63 are read-only zero as there are no local interrupts;
 * changing it leaves sie's and mvip's own bits as they were; sip.SEIP stays read-only where it is mvip's; miselect and
 * siselect keep nine bits. Selecting a register that no extension here has makes mireg and sireg illegal.
 * Not modelled: RV32's high halves, hypervisor and guest CSRs, the AIA's bits of mstateen, custom registers.
 */
import { MACHINE, SEIP, SSIP, STIP } from './architecture';
import { hart } from './hart';
import { claimTop, MACHINE_FILE, readFile, readTop, SUPERVISOR_FILE, writeFile } from './imsic';
import { highestPriority, isStipWritable, pendingForMachine, pendingForSupervisor, updateTimers } from './interrupts';
import {
  AIA_IMSIC,
  AIA_NONE,
  CSR_MIREG,
  CSR_MISELECT,
  CSR_MTOPEI,
  CSR_MTOPI,
  CSR_MVIEN,
  CSR_MVIP,
  CSR_SIREG,
  CSR_SISELECT,
  CSR_STOPEI,
  CSR_STOPI,
  H_AIA,
  H_MIP,
  H_MISELECT,
  H_MVIEN,
  H_MVIP,
  H_PRIV,
  H_SISELECT,
} from './layout.generated';

const SELECT_WRITABLE: u64 = 0x1ff;
const MVIEN_WRITABLE: u64 = SSIP | SEIP;
/** The ranges of selected registers: priorities of major interrupts, an interrupt file, and in that its arrays. */
const IPRIO_FIRST: u64 = 0x30;
const IPRIO_LAST: u64 = 0x3f;
const FILE_FIRST: u64 = 0x70;
const ARRAYS_FIRST: u64 = 0x80;
const FILE_LAST: u64 = 0xff;
/** IID of mtopi and stopi. */
const IID_SHIFT: u64 = 16;
const IPRIO: u64 = 1;

/** Whether num is a CSR of the AIA that is there, and whose access now is not illegal for other reasons than its number. */
export function hasAiaCsr(num: u32): bool {
  const aia = load<u32>(hart, H_AIA);
  if (aia === AIA_NONE) return false;
  switch (num) {
    case CSR_MISELECT:
    case CSR_MTOPI:
    case CSR_MVIEN:
    case CSR_MVIP:
    case CSR_SISELECT:
    case CSR_STOPI:
      return true;
    case CSR_MTOPEI:
      return aia === AIA_IMSIC;
    case CSR_MIREG:
      return isRegister(load<u64>(hart, H_MISELECT), aia === AIA_IMSIC);
    case CSR_STOPEI:
      return aia === AIA_IMSIC && isSupervisorFileOpen();
    case CSR_SIREG:
      return isRegister(load<u64>(hart, H_SISELECT), aia === AIA_IMSIC && isSupervisorFileOpen());
    default:
      return false;
  }
}

/** While M mode filters supervisor external interrupts, S mode may not look into its file. */
function isSupervisorFileOpen(): bool {
  return load<u32>(hart, H_PRIV) === MACHINE || (load<u64>(hart, H_MVIEN) & SEIP) === 0;
}

/** Of the arrays RV64 has the even-numbered registers only. */
function isRegister(select: u64, hasFile: bool): bool {
  const isEven = (select & 1) === 0;
  if (select >= IPRIO_FIRST && select <= IPRIO_LAST) return isEven;
  return hasFile && select >= FILE_FIRST && select <= FILE_LAST && (isEven || select < ARRAYS_FIRST);
}

/** num is one of which hasAiaCsr holds. */
export function readAia(num: u32): u64 {
  switch (num) {
    case CSR_MISELECT:
      return load<u64>(hart, H_MISELECT);
    case CSR_SISELECT:
      return load<u64>(hart, H_SISELECT);
    case CSR_MIREG:
      return readSelected(MACHINE_FILE, load<u64>(hart, H_MISELECT));
    case CSR_SIREG:
      return readSelected(SUPERVISOR_FILE, load<u64>(hart, H_SISELECT));
    case CSR_MTOPEI:
      return readTop(MACHINE_FILE);
    case CSR_STOPEI:
      return readTop(SUPERVISOR_FILE);
    case CSR_MTOPI:
      updateTimers();
      return topInterrupt(pendingForMachine());
    case CSR_STOPI:
      updateTimers();
      return topInterrupt(pendingForSupervisor());
    case CSR_MVIEN:
      return load<u64>(hart, H_MVIEN);
    default:
      return readMvip();
  }
}

function readSelected(file: u32, select: u64): u64 {
  return select < FILE_FIRST ? 0 : readFile(file, <u32>select);
}

function topInterrupt(pending: u64): u64 {
  return pending === 0 ? 0 : ((<u64>highestPriority(pending)) << IID_SHIFT) | IPRIO;
}

/** Bits of mvip that are bits of mip under another name. */
function mvipAliases(): u64 {
  const own = load<u64>(hart, H_MVIEN) & SSIP;
  return ((isStipWritable() ? STIP : 0) | SEIP | SSIP) & ~own;
}

function readMvip(): u64 {
  return (load<u64>(hart, H_MIP) & mvipAliases()) | (load<u64>(hart, H_MVIP) & load<u64>(hart, H_MVIEN));
}

/** Other CSRs are left alone. */
export function writeAia(num: u32, value: u64): void {
  switch (num) {
    case CSR_MISELECT:
      store<u64>(hart, value & SELECT_WRITABLE, H_MISELECT);
      break;
    case CSR_SISELECT:
      store<u64>(hart, value & SELECT_WRITABLE, H_SISELECT);
      break;
    case CSR_MIREG:
      writeSelected(MACHINE_FILE, load<u64>(hart, H_MISELECT), value);
      break;
    case CSR_SIREG:
      writeSelected(SUPERVISOR_FILE, load<u64>(hart, H_SISELECT), value);
      break;
    case CSR_MTOPEI:
      claimTop(MACHINE_FILE);
      break;
    case CSR_STOPEI:
      claimTop(SUPERVISOR_FILE);
      break;
    case CSR_MVIEN:
      store<u64>(hart, value & MVIEN_WRITABLE, H_MVIEN);
      break;
    case CSR_MVIP:
      writeMvip(value);
      break;
  }
}

function writeSelected(file: u32, select: u64, value: u64): void {
  if (select >= FILE_FIRST) writeFile(file, <u32>select, value);
}

function writeMvip(value: u64): void {
  const aliases = mvipAliases();
  store<u64>(hart, (load<u64>(hart, H_MIP) & ~aliases) | (value & aliases), H_MIP);
  if (load<u64>(hart, H_MVIEN) & SSIP) store<u64>(hart, value & SSIP, H_MVIP);
}
