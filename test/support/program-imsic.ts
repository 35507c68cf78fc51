/** What a generated program's hart has of the AIA, and the registers of an IMSIC's interrupt file by number. */
export type ProgramAia = 'none' | 'csrs' | 'imsic';

export const EIDELIVERY = 0x70;
export const EITHRESHOLD = 0x72;
export const EIP0 = 0x80;
export const EIE0 = 0xc0;

/** Every register of a file of 255 identities that holds something. */
export const FILE_REGISTERS: readonly number[] = [
  EIDELIVERY,
  EITHRESHOLD,
  ...[0, 2, 4, 6].flatMap((k) => [EIP0 + k, EIE0 + k]),
];
