/** The reference hart's architectural state as named values, for comparison with another machine's. */
import type { ReferenceHart } from './hart.ts';

const SCALARS = [
  'pc',
  'mstatus',
  'medeleg',
  'mideleg',
  'mie',
  'mip',
  'mtvec',
  'mscratch',
  'mepc',
  'mcause',
  'mtval',
  'mcounteren',
  'mcountinhibit',
  'menvcfg',
  'stvec',
  'sscratch',
  'sepc',
  'scause',
  'stval',
  'scounteren',
  'senvcfg',
  'satp',
  'stimecmp',
  'fflags',
  'frm',
  'miselect',
  'siselect',
  'mvien',
  'mvip',
  'sie',
] as const;

/** `x1`..`x31`, `f0`..`f31`, `pmpaddr0`.., `pmpcfg0`, `pmpcfg2`, `priv`, and the fields of HART_FIELDS by name. */
export function hartFields(hart: ReferenceHart): Record<string, bigint> {
  const fields: Record<string, bigint> = { priv: BigInt(hart.priv) };
  for (const name of SCALARS) fields[name] = hart[name];
  for (let i = 1; i < 32; i++) fields[`x${i}`] = hart.x[i] ?? 0n;
  for (let i = 0; i < 32; i++) fields[`f${i}`] = hart.f[i] ?? 0n;
  for (const [i, value] of hart.pmpaddr.entries()) fields[`pmpaddr${i}`] = value;
  for (const [i, value] of hart.pmpcfg.entries()) fields[`pmpcfg${2 * i}`] = value;
  const files = hart.files === null ? [] : [hart.files.m, hart.files.s];
  for (const [file, { delivery, threshold, pending, enabled }] of files.entries()) {
    fields[`eidelivery${file}`] = delivery;
    fields[`eithreshold${file}`] = threshold;
    for (let word = 0; word < 4; word++) {
      fields[`eip${4 * file + word}`] = BigInt.asUintN(64, pending >> BigInt(64 * word));
      fields[`eie${4 * file + word}`] = BigInt.asUintN(64, enabled >> BigInt(64 * word));
    }
  }
  return fields;
}
