/**
 * An IMSIC interrupt file (AIA 1.0, chapter 3) of 255 identities: pending and enabled sets as one big number each, bit
 * n for identity n.
 *
 * Choices, as QEMU 10 makes them: eidelivery is bit 0 of what is written; eithreshold has eleven bits. Reserved
 * registers, and bits of identities beyond 255, read as zero as the specification has it; QEMU refuses those.
 */
const IDENTITIES = 256;
/** Identity 0 does not exist. */
const EXISTING = (1n << 256n) - 2n;
const DOUBLEWORD = (1n << 64n) - 1n;
const THRESHOLD = 0x7ffn;

/** Where the arrays of 64 registers begin among the selected registers; RV64 has the even ones. */
const ARRAYS = { pending: 0x80, enabled: 0xc0 } as const;

export class InterruptFile {
  delivery = 0n;
  threshold = 0n;
  pending = 0n;
  enabled = 0n;

  /** The lowest identity that is pending, enabled, and below the threshold if there is one; 0 if none. */
  get top(): number {
    const end = this.threshold === 0n ? IDENTITIES : Math.min(IDENTITIES, Number(this.threshold));
    const ready = this.pending & this.enabled;
    for (let identity = 1; identity < end; identity++) {
      if (((ready >> BigInt(identity)) & 1n) === 1n) return identity;
    }
    return 0;
  }

  /** The level of the external interrupt that the file drives. */
  get signal(): boolean {
    return this.delivery === 1n && this.top !== 0;
  }

  /** What mtopei or stopei reads. */
  get topRegister(): bigint {
    return BigInt(this.top) * 0x1_0001n;
  }

  /** A message. */
  receive(identity: number): void {
    if (identity < IDENTITIES) this.pending |= (1n << BigInt(identity)) & EXISTING;
  }

  claim(): void {
    this.pending &= ~(1n << BigInt(this.top));
  }

  /** select: 0x70 to 0xff. */
  read(select: number): bigint {
    if (select === 0x70) return this.delivery;
    if (select === 0x72) return this.threshold;
    const array = arrayOf(select);
    return array === null ? 0n : (this[array] >> shiftOf(select)) & DOUBLEWORD;
  }

  write(select: number, value: bigint): void {
    if (select === 0x70) this.delivery = value & 1n;
    if (select === 0x72) this.threshold = value & THRESHOLD;
    const array = arrayOf(select);
    if (array === null) return;
    const shift = shiftOf(select);
    this[array] = ((this[array] & ~(DOUBLEWORD << shift)) | (value << shift)) & EXISTING;
  }
}

function arrayOf(select: number): 'pending' | 'enabled' | null {
  if (select >= ARRAYS.enabled) return 'enabled';
  return select >= ARRAYS.pending ? 'pending' : null;
}

/** Register 2n holds identities 64n to 64n + 63. */
const shiftOf = (select: number): bigint => BigInt(((select & 0x3f) >> 1) * 64);
