/**
 * The interrupts of a hart: their bits in mip, mie and mideleg, and their numbers in mcause and in a device tree.
 * Source: Privileged Architecture, table 14 (mcause values after trap).
 */
export const INTERRUPT = { ssi: 1, msi: 3, sti: 5, mti: 7, sei: 9, mei: 11 } as const;
