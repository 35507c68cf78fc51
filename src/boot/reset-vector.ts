/**
 * What a hart finds at reset in machine mode: a few instructions that load a0 (hart), a1 (device tree), a2 (fw_dynamic
 * information) and jump to firmware or program.
 * Source: QEMU's hw/riscv/boot.c (riscv_setup_rom_reset_vec), byte for byte; OpenSBI docs/firmware/fw_dynamic.md.
 */

/** fw_dynamic next_mode: supervisor. */
const NEXT_MODE_S = 1n;
/** "OSBI" */
const FW_DYNAMIC_MAGIC = 0x4942534fn;
const FW_DYNAMIC_VERSION = 2n;

/** Offsets of what follows the code. */
const START_OFFSET = 24;
const DTB_OFFSET = 32;
export const FW_DYNAMIC_OFFSET = 40;

const CODE = [
  0x00000297, // auipc t0, 0
  0x02828613, // addi  a2, t0, FW_DYNAMIC_OFFSET
  0xf1402573, // csrr  a0, mhartid
  0x0202b583, // ld    a1, DTB_OFFSET(t0)
  0x0182b283, // ld    t0, START_OFFSET(t0)
  0x00028067, // jr    t0
];

export interface ResetVectorTargets {
  readonly startGpa: number;
  readonly dtbGpa: number;
  /** Where fw_dynamic firmware goes next, in supervisor mode; 0 when there is nothing. */
  readonly nextGpa: number;
}

/** The bytes at the start of the boot ROM. */
export function resetVector({ startGpa, dtbGpa, nextGpa }: ResetVectorTargets): Uint8Array {
  const fwDynamic = [
    FW_DYNAMIC_MAGIC,
    FW_DYNAMIC_VERSION,
    BigInt(nextGpa),
    NEXT_MODE_S,
    0n, // options
    0n, // boot hart
  ];
  const bytes = new Uint8Array(FW_DYNAMIC_OFFSET + fwDynamic.length * 8);
  const view = new DataView(bytes.buffer);
  CODE.forEach((instruction, index) => {
    view.setUint32(index * 4, instruction, true);
  });
  view.setBigUint64(START_OFFSET, BigInt(startGpa), true);
  view.setBigUint64(DTB_OFFSET, BigInt(dtbGpa), true);
  fwDynamic.forEach((value, index) => {
    view.setBigUint64(FW_DYNAMIC_OFFSET + index * 8, value, true);
  });
  return bytes;
}
