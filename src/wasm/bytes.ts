/** A growing byte buffer with WebAssembly's integer encodings (LEB128, core specification 5.2.2). */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  u8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }
  u32(value: number): this {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.u8(rest);
  }
  s32(value: number): this {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40)) return this.u8(low);
      this.u8(low | 0x80);
    }
  }
  s64(value: bigint): this {
    // The same bytes, without big integers.
    if (value >= -0x8000_0000n && value <= 0x7fff_ffffn) return this.s32(Number(value));
    let rest = value;
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40)) return this.u8(low);
      this.u8(low | 0x80);
    }
  }
  f32(value: number): this {
    return this.bytes(new Uint8Array(new Float32Array([value]).buffer));
  }
  f64(value: number): this {
    return this.bytes(new Uint8Array(new Float64Array([value]).buffer));
  }
  bytes(values: Uint8Array): this {
    this.#reserve(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
    return this;
  }
  /** A vector: the length, then the bytes. */
  sized(values: Uint8Array): this {
    return this.u32(values.length).bytes(values);
  }
  name(text: string): this {
    return this.sized(new TextEncoder().encode(text));
  }
  get length(): number {
    return this.#length;
  }
  /** Takes bytes off the end. */
  shorten(lengthBytes: number): void {
    this.#length -= lengthBytes;
  }
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
