/** Where a boot image comes from: bytes, or a way to read them. */

/**
 * A function is called at the first start and again at each reset; what it gives is not kept in between. `release` is
 * called when that lies in guest RAM.
 */
export type ImageSource = Uint8Array | ImageReader;

export interface ImageReader {
  (): Uint8Array;
  release?(): void;
}

export function bytesOf(source: ImageSource): Uint8Array {
  return typeof source === 'function' ? source() : source;
}

export function release(source: ImageSource | undefined): void {
  if (typeof source === 'function') source.release?.();
}

/** Node 21 and later; this TypeScript target does not know it yet. */
type Transferable = ArrayBufferLike & { transfer?(lengthBytes: number): ArrayBuffer };

/**
 * A source that gives the bytes at hand once, and reads them anew after that. Released, their memory is given back at
 * once where the engine can do that: a collector that sees little garbage may let a large image lie for minutes.
 * @param bytes whoever gave them must not use them any more
 */
export function rereadable(bytes: Uint8Array, read: () => Uint8Array): ImageReader {
  let atHand: Uint8Array | null = bytes;
  let given: Uint8Array | null = null;
  const source = (): Uint8Array => {
    given = atHand ?? read();
    atHand = null;
    return given;
  };
  return Object.assign(source, {
    release: () => {
      const buffer: Transferable | undefined = given?.buffer;
      // Node keeps small files in a pool with others.
      if (buffer !== undefined && buffer.byteLength === given?.byteLength) buffer.transfer?.(0);
      given = null;
    },
  });
}
