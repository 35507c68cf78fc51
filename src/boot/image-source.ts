/** Where a boot image comes from: bytes, or a way to read them. */

/** A function is called at the first start and again at each reset; what it gives is not kept in between. */
export type ImageSource = Uint8Array | (() => Uint8Array);

export function bytesOf(source: ImageSource): Uint8Array {
  return typeof source === 'function' ? source() : source;
}

/** A source that gives the bytes at hand once, lets go of them, and reads them anew after that. */
export function rereadable(bytes: Uint8Array, read: () => Uint8Array): () => Uint8Array {
  let atHand: Uint8Array | null = bytes;
  return () => {
    const given = atHand ?? read();
    atHand = null;
    return given;
  };
}
