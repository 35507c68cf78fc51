/** Carry-less multiplication (Zbc): the low half, the high half, and the product reversed. */

export function clmul(a: u64, b: u64): u64 {
  let product: u64 = 0;
  for (; b !== 0; b &= b - 1) product ^= a << ctz(b);
  return product;
}

/** Bits 127:64 of the product: bit 0 of b contributes nothing. */
export function clmulh(a: u64, b: u64): u64 {
  let product: u64 = 0;
  for (b &= ~(<u64>1); b !== 0; b &= b - 1) product ^= a >> (64 - ctz(b));
  return product;
}

/** Bits 126:63 of the product. */
export function clmulr(a: u64, b: u64): u64 {
  let product: u64 = 0;
  for (; b !== 0; b &= b - 1) product ^= a >> (63 - ctz(b));
  return product;
}
