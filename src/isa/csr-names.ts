/**
 * The names of CSRs and their numbers (privileged specification, "CSR Listing"), for assembler, disassembler, traces
 * and gdb. A name here does not mean that the hart has the CSR. Not here: RV32's high halves, hypervisor, debug.
 */
function range(prefix: string, from: number, to: number, base: number): [string, number][] {
  return Array.from({ length: to - from + 1 }, (_, i) => [`${prefix}${from + i}`, base + i]);
}

export const CSR_NUMBERS: ReadonlyMap<string, number> = new Map<string, number>([
  ['fflags', 0x001],
  ['frm', 0x002],
  ['fcsr', 0x003],
  ['cycle', 0xc00],
  ['time', 0xc01],
  ['instret', 0xc02],
  ...range('hpmcounter', 3, 31, 0xc03),

  ['sstatus', 0x100],
  ['sie', 0x104],
  ['stvec', 0x105],
  ['scounteren', 0x106],
  ['senvcfg', 0x10a],
  ['sscratch', 0x140],
  ['sepc', 0x141],
  ['scause', 0x142],
  ['stval', 0x143],
  ['sip', 0x144],
  ['stimecmp', 0x14d],
  ['siselect', 0x150],
  ['sireg', 0x151],
  ['stopei', 0x15c],
  ['stopi', 0xdb0],
  ['satp', 0x180],
  ['scontext', 0x5a8],

  ['mvendorid', 0xf11],
  ['marchid', 0xf12],
  ['mimpid', 0xf13],
  ['mhartid', 0xf14],
  ['mconfigptr', 0xf15],
  ['mstatus', 0x300],
  ['misa', 0x301],
  ['medeleg', 0x302],
  ['mideleg', 0x303],
  ['mie', 0x304],
  ['mtvec', 0x305],
  ['mcounteren', 0x306],
  ['mvien', 0x308],
  ['mvip', 0x309],
  ['menvcfg', 0x30a],
  ['mcountinhibit', 0x320],
  ...range('mhpmevent', 3, 31, 0x323),
  ['mscratch', 0x340],
  ['mepc', 0x341],
  ['mcause', 0x342],
  ['mtval', 0x343],
  ['mip', 0x344],
  ['miselect', 0x350],
  ['mireg', 0x351],
  ['mtopei', 0x35c],
  ['mtopi', 0xfb0],
  ...range('pmpcfg', 0, 15, 0x3a0),
  ...range('pmpaddr', 0, 63, 0x3b0),
  ['mseccfg', 0x747],
  ['tselect', 0x7a0],
  ['tdata1', 0x7a1],
  ['tdata2', 0x7a2],
  ['tdata3', 0x7a3],
  ['mcycle', 0xb00],
  ['minstret', 0xb02],
  ...range('mhpmcounter', 3, 31, 0xb03),
]);

const NAMES: ReadonlyMap<number, string> = new Map([...CSR_NUMBERS].map(([name, number]) => [number, name]));

/** @throws Error for a name that no CSR has */
export function csrNumber(name: string): number {
  const number = CSR_NUMBERS.get(name);
  if (number === undefined) throw new Error(`no CSR ${name}`);
  return number;
}

export function csrName(number: number): string | undefined {
  return NAMES.get(number);
}
