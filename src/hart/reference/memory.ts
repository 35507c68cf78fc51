/**
 * The reference's physical memory: one piece of RAM at a base address, and a callback for what lies elsewhere. No
 * attributes beyond "RAM" and "device": RAM takes every access, a device naturally aligned ones only.
 */

/** What answers outside RAM. `read` and `write` say undefined and false where there is nothing: an access fault. */
export interface ReferenceDevices {
  read(gpa: bigint, sizeBytes: number): bigint | undefined;
  write(gpa: bigint, sizeBytes: number, value: bigint): boolean;
}

export class ReferenceMemory {
  readonly ram: Uint8Array;
  readonly base: bigint;
  readonly #devices: ReferenceDevices | null;

  constructor(ram: Uint8Array, base: bigint, devices: ReferenceDevices | null = null) {
    this.ram = ram;
    this.base = base;
    this.#devices = devices;
  }

  isRam(gpa: bigint, sizeBytes: number): boolean {
    return gpa >= this.base && gpa + BigInt(sizeBytes) <= this.base + BigInt(this.ram.length);
  }

  /** The zero-extended value, or undefined for an access fault. */
  read(gpa: bigint, sizeBytes: number): bigint | undefined {
    if (this.isRam(gpa, sizeBytes)) {
      const at = Number(gpa - this.base);
      let value = 0n;
      for (let i = sizeBytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.ram[at + i] ?? 0);
      return value;
    }
    if (gpa % BigInt(sizeBytes) !== 0n) return undefined;
    return this.#devices?.read(gpa, sizeBytes);
  }

  /** False for an access fault. */
  write(gpa: bigint, sizeBytes: number, value: bigint): boolean {
    if (this.isRam(gpa, sizeBytes)) {
      const at = Number(gpa - this.base);
      for (let i = 0; i < sizeBytes; i++) this.ram[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
      return true;
    }
    if (gpa % BigInt(sizeBytes) !== 0n) return false;
    return this.#devices?.write(gpa, sizeBytes, value) ?? false;
  }
}
