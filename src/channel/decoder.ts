/** The receiving end of the encoding (encoding.ts). */
import { FORBIDDEN_NAME, MAX_DEPTH, TAG, VIEWS } from './encoding.ts';
import { MAX_SHAPE_NAMES, MAX_SHAPES, type NextValue, Shape } from './shapes.ts';

/** The receiver's end of one channel's dictionary: it must see every message, in order. */
export class Decoder {
  readonly #names: string[] = [];
  readonly #shapes: Shape[] | null;
  readonly #next: NextValue = () => this.#value();
  #in: Uint8Array = new Uint8Array(0);
  readonly #float = new Float64Array(1);
  readonly #floatBytes = new Uint8Array(this.#float.buffer);
  #start = 0;
  #at = 0;
  #end = 0;
  #depth = 0;

  /** @param usesShapes as the encoder at the other end */
  constructor(usesShapes: boolean) {
    this.#shapes = usesShapes ? [] : null;
  }

  /** The message in bytes[start..end), copied out. @throws Error when the bytes are not what an Encoder wrote */
  decode(bytes: Uint8Array, start: number, end: number): unknown {
    this.#in = bytes;
    this.#start = start;
    this.#at = start;
    this.#end = end;
    this.#depth = 0;
    const value = this.#value();
    if (this.#at !== end) this.#fail('something follows the data');
    return value;
  }

  #value(): unknown {
    const tag = this.#byte();
    switch (tag) {
      case TAG.undefined:
        return undefined;
      case TAG.null:
        return null;
      case TAG.false:
        return false;
      case TAG.true:
        return true;
      case TAG.byte:
        return this.#byte();
      case TAG.uint16:
        return this.#byte() | (this.#byte() << 8);
      case TAG.int32:
        return this.#uint32() | 0;
      case TAG.float64:
        for (let i = 0; i < 8; i++) this.#floatBytes[i] = this.#byte();
        return this.#float[0];
      case TAG.bigint:
        return parseBigInt(this.#text(this.#byte()));
      case TAG.bytes:
        return this.#copy();
      case TAG.view:
        return this.#view();
      case TAG.array:
        return this.#array();
      case TAG.object:
        return this.#object();
      case TAG.shaped:
        return this.#shaped(this.#byte() | (this.#byte() << 8));
      case TAG.newShape:
        return this.#shaped(this.#newShape());
      default:
        return this.#text(tag);
    }
  }

  #text(tag: number): string {
    if (tag === TAG.name) {
      const number = this.#byte() | (this.#byte() << 8);
      return this.#names[number] ?? this.#fail(`there is no name ${number}`);
    }
    if (tag !== TAG.newName) return this.#characters(tag);
    const name = this.#characters(this.#byte());
    this.#names.push(name);
    return name;
  }

  #characters(tag: number): string {
    if (tag === TAG.ascii) return this.#ascii(this.#length(1));
    if (tag === TAG.utf16) return this.#utf16(this.#length(2));
    return this.#fail(`an unknown tag ${tag}`);
  }

  #array(): unknown[] {
    const length = this.#length(1);
    this.#enter();
    const array = Array.from({ length }, this.#next);
    this.#depth--;
    return array;
  }

  #object(): Record<string, unknown> {
    this.#enter();
    const object: Record<string, unknown> = {};
    const count = this.#byte();
    for (let i = 0; i < count; i++) {
      const name = this.#propertyName();
      object[name] = this.#value();
    }
    this.#depth--;
    return object;
  }

  #shaped(number: number): Record<string, unknown> {
    const shape = this.#shapes?.[number] ?? this.#fail(`there is no shape ${number}`);
    this.#enter();
    const object = shape.read(this.#next);
    this.#depth--;
    return object;
  }

  /** @returns its number */
  #newShape(): number {
    const shapes = this.#shapes ?? this.#fail('a shape, where there are none');
    const count = this.#byte();
    if (count > MAX_SHAPE_NAMES || shapes.length === MAX_SHAPES) this.#fail('too many shapes, or names of one');
    const names = Array.from({ length: count }, () => this.#propertyName());
    const tag = this.#byte();
    return shapes.push(new Shape({ names, kind: tag === TAG.null ? null : this.#text(tag) })) - 1;
  }

  #propertyName(): string {
    const name = this.#text(this.#byte());
    return name === FORBIDDEN_NAME ? this.#fail(`a property ${name}`) : name;
  }

  #ascii(length: number): string {
    let text = '';
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.#in[this.#at + i] as number);
    this.#at += length;
    return text;
  }

  #utf16(length: number): string {
    let text = '';
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.#byte() | (this.#byte() << 8));
    return text;
  }

  #view(): ArrayBufferView {
    const number = this.#byte();
    const View = VIEWS[number] ?? this.#fail(`an unknown typed array ${number}`);
    const bytes = this.#copy();
    if (bytes.length % View.BYTES_PER_ELEMENT !== 0) this.#fail(`a ${View.name} of ${bytes.length} bytes`);
    return new View(bytes.buffer);
  }

  #copy(): Uint8Array<ArrayBuffer> {
    const lengthBytes = this.#length(1);
    // Not slice(): of a view of shared memory it would give shared memory again.
    const copy = new Uint8Array(lengthBytes);
    copy.set(this.#in.subarray(this.#at, this.#at + lengthBytes));
    this.#at += lengthBytes;
    return copy;
  }

  #byte(): number {
    if (this.#at >= this.#end) this.#fail('it ends too early');
    return this.#in[this.#at++] as number;
  }

  /** A number of things of so many bytes at least, which must all be there. */
  #length(bytesEach: number): number {
    const length = this.#uint32();
    if (length * bytesEach > this.#end - this.#at) this.#fail('it ends too early');
    return length;
  }

  #uint32(): number {
    const at = this.#at;
    if (at + 4 > this.#end) this.#fail('it ends too early');
    this.#at += 4;
    const bytes = this.#in;
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
    return (low | ((bytes[at + 3] as number) << 24)) >>> 0;
  }

  #enter(): void {
    if (++this.#depth > MAX_DEPTH) this.#fail('it is nested too deeply');
  }

  #fail(problem: string): never {
    throw new Error(
      `not what was encoded, at byte ${this.#at - this.#start} of ${this.#end - this.#start}: ${problem}`,
    );
  }
}

function parseBigInt(hex: string): bigint {
  return hex.startsWith('-') ? -BigInt(`0x${hex.slice(1)}`) : BigInt(`0x${hex}`);
}
