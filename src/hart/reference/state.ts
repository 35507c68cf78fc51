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
] as const;

/** `x1`..`x31`, `f0`..`f31`, `pmpaddr0`.., `pmpcfg0`, `pmpcfg2`, `priv`, and the fields of HART_FIELDS by name. */
export function hartFields(hart: ReferenceHart): Record<string, bigint> {
  const fields: Record<string, bigint> = { priv: BigInt(hart.priv) };
  for (const name of SCALARS) fields[name] = hart[name];
  for (let i = 1; i < 32; i++) fields[`x${i}`] = hart.x[i] ?? 0n;
  for (let i = 0; i < 32; i++) fields[`f${i}`] = hart.f[i] ?? 0n;
  for (const [i, value] of hart.pmpaddr.entries()) fields[`pmpaddr${i}`] = value;
  for (const [i, value] of hart.pmpcfg.entries()) fields[`pmpcfg${2 * i}`] = value;
  return fields;
}
