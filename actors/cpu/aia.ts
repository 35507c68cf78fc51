/** Which interrupt controllers a machine has (QEMU's `aia`): the PLIC, an APLIC, or an APLIC and an IMSIC per hart. */
export const AIA_KINDS = ['none', 'aplic', 'aplic-imsic'] as const;

export type Aia = (typeof AIA_KINDS)[number];

/** What a hart has of the Advanced Interrupt Architecture then. */
export const HART_AIA = { none: 'none', aplic: 'csrs', 'aplic-imsic': 'imsic' } as const;
