import type { AmoOp } from '../../src/isa/ir.ts';

/** What memory holds behind an AMO (unprivileged specification, section 13.4): the lower `bits` of what is answered. */
export const AMO_MODELS: Readonly<Record<AmoOp, (old: bigint, value: bigint, bits: number) => bigint>> = {
  swap: (_, value) => value,
  add: (old, value) => old + value,
  xor: (old, value) => old ^ value,
  and: (old, value) => old & value,
  or: (old, value) => old | value,
  minS: (old, value, bits) => (BigInt.asIntN(bits, old) < BigInt.asIntN(bits, value) ? old : value),
  maxS: (old, value, bits) => (BigInt.asIntN(bits, old) > BigInt.asIntN(bits, value) ? old : value),
  minU: (old, value, bits) => (BigInt.asUintN(bits, old) < BigInt.asUintN(bits, value) ? old : value),
  maxU: (old, value, bits) => (BigInt.asUintN(bits, old) > BigInt.asUintN(bits, value) ? old : value),
};

/** Doublewords whose halves are the edges of words, unsigned. */
export const AMO_VALUES = [
  0n,
  1n,
  0x7fff_ffff_7fff_ffffn,
  0x8000_0000_8000_0000n,
  0xffff_ffff_ffff_ffffn,
  0x1234_5678_9abc_def0n,
];
