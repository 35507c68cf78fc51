/**
 * A compact encoding for messages: undefined, null, booleans, numbers, bigints, strings, typed arrays, arrays and plain
 * objects of these. Anything else (functions, class instances, cycles) is an error of the sender.
 *
 * Snapshots (src/snapshot) are written with it too: a tag, and the place of a class in VIEWS, keep their number for
 * ever. What a file holds may be anything, so a decoder reads no byte beyond its end and allocates in proportion to it.
 *
 * Property names, and the value of a property `type`, are sent once per channel and by number from then on: both ends
 * keep the same dictionary, which works because a ring is ordered and loses nothing.
 */

const TAG = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  byte: 4,
  int32: 5,
  float64: 6,
  bigint: 7,
  ascii: 8,
  utf16: 9,
  bytes: 10,
  array: 11,
  object: 12,
  name: 13,
  newName: 14,
  view: 15,
} as const;

/** Typed arrays other than Uint8Array, which has a tag of its own. They are written as they lie, little-endian. */
const VIEWS = [
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

const MAX_NAMES = 4096;
const MAX_DEPTH = 32;
/** A name that would reach the prototype of the object it is set on. */
const FORBIDDEN_NAME = '__proto__';

/** Thrown inside the encoder when the room ends; never seen outside. */
const OVERFLOW = new Error('no room');

/** The sender's end of one channel's dictionary. */
export class Encoder {
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  /** Names that the other end is sure to learn. */
  #kept = 0;
  #out: Uint8Array = new Uint8Array(0);
  readonly #float = new Float64Array(1);
  readonly #floatBytes = new Uint8Array(this.#float.buffer);
  #at = 0;
  #end = 0;

  /**
   * Writes `message` to out[start..end). The caller then says keep() or rollBack().
   * @returns its length in bytes, or -1 when it does not fit (rolled back already)
   * @throws TypeError for what cannot be encoded
   */
  encode(message: unknown, out: Uint8Array, start: number, end: number): number {
    this.#out = out;
    this.#at = start;
    this.#end = end;
    try {
      this.#value(message, 0);
    } catch (error) {
      this.rollBack();
      if (error === OVERFLOW) return -1;
      throw error;
    }
    return this.#at - start;
  }

  /** The message just encoded is on its way. */
  keep(): void {
    this.#kept = this.#names.length;
  }

  /** The message just encoded is not sent: forget the names it introduced. */
  rollBack(): void {
    while (this.#names.length > this.#kept) this.#numbers.delete(this.#names.pop() as string);
  }

  #value(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'number':
        return this.#number(value);
      case 'string':
        return this.#string(value);
      case 'boolean':
        return this.#byte(value ? TAG.true : TAG.false);
      case 'bigint':
        this.#byte(TAG.bigint);
        return this.#string(value.toString(16));
      case 'undefined':
        return this.#byte(TAG.undefined);
      case 'object':
        return value === null ? this.#byte(TAG.null) : this.#object(value, depth + 1);
      default:
        throw new TypeError(`a ${typeof value} is not plain data`);
    }
  }

  #number(value: number): void {
    if (value === (value | 0) && !Object.is(value, -0)) {
      if (value >= 0 && value < 256) {
        this.#room(2);
        this.#out[this.#at++] = TAG.byte;
        this.#out[this.#at++] = value;
        return;
      }
      this.#room(5);
      this.#out[this.#at++] = TAG.int32;
      this.#uint32(value);
      return;
    }
    this.#room(9);
    this.#out[this.#at++] = TAG.float64;
    this.#float[0] = value;
    for (let i = 0; i < 8; i++) this.#out[this.#at++] = this.#floatBytes[i] as number;
  }

  #string(value: string): void {
    const { length } = value;
    this.#room(5 + length);
    const start = this.#at;
    this.#out[this.#at++] = TAG.ascii;
    this.#uint32(length);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return this.#utf16(value, start);
      this.#out[this.#at++] = code;
    }
  }

  #utf16(value: string, start: number): void {
    this.#at = start;
    this.#room(5 + value.length * 2);
    this.#out[this.#at++] = TAG.utf16;
    this.#uint32(value.length);
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      this.#out[this.#at++] = code;
      this.#out[this.#at++] = code >> 8;
    }
  }

  #object(value: object, depth: number): void {
    if (depth > MAX_DEPTH) throw new TypeError('the data is nested too deeply, or contains itself');
    if (Array.isArray(value)) {
      this.#room(5);
      this.#out[this.#at++] = TAG.array;
      this.#uint32(value.length);
      for (const item of value) this.#value(item, depth);
      return;
    }
    if (value instanceof Uint8Array) {
      this.#room(5 + value.length);
      this.#out[this.#at++] = TAG.bytes;
      return this.#bytes(value);
    }
    if (ArrayBuffer.isView(value)) return this.#view(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      throw new TypeError(`a ${value.constructor.name} is not plain data`);
    }
    this.#properties(value as Record<string, unknown>, depth);
  }

  #view(view: ArrayBufferView): void {
    const number = (VIEWS as readonly unknown[]).indexOf(view.constructor);
    if (number < 0) throw new TypeError(`a ${view.constructor.name} is not plain data`);
    this.#room(6 + view.byteLength);
    this.#out[this.#at++] = TAG.view;
    this.#out[this.#at++] = number;
    this.#bytes(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  }

  /** Length and bytes, for which there is room. */
  #bytes(bytes: Uint8Array): void {
    this.#uint32(bytes.length);
    this.#out.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #properties(value: Record<string, unknown>, depth: number): void {
    this.#room(2);
    this.#out[this.#at++] = TAG.object;
    const countAt = this.#at++;
    let count = 0;
    for (const key in value) {
      if (++count > 255) throw new TypeError('an object has at most 255 properties');
      this.#name(key);
      const property = value[key];
      if (key === 'type' && typeof property === 'string') this.#name(property);
      else this.#value(property, depth);
    }
    this.#out[countAt] = count;
  }

  #name(name: string): void {
    const known = this.#numbers.get(name);
    if (known !== undefined) {
      this.#room(3);
      this.#out[this.#at++] = TAG.name;
      this.#out[this.#at++] = known;
      this.#out[this.#at++] = known >> 8;
      return;
    }
    if (name === FORBIDDEN_NAME) throw new TypeError(`an object cannot have a property ${name}`);
    if (this.#names.length < MAX_NAMES) {
      this.#numbers.set(name, this.#names.length);
      this.#names.push(name);
      this.#byte(TAG.newName);
    }
    this.#string(name);
  }

  #byte(value: number): void {
    this.#room(1);
    this.#out[this.#at++] = value;
  }

  #uint32(value: number): void {
    const out = this.#out;
    out[this.#at++] = value;
    out[this.#at++] = value >> 8;
    out[this.#at++] = value >> 16;
    out[this.#at++] = value >> 24;
  }

  #room(lengthBytes: number): void {
    if (this.#at + lengthBytes > this.#end) throw OVERFLOW;
  }
}

/** The receiver's end of one channel's dictionary: it must see every message, in order. */
export class Decoder {
  readonly #names: string[] = [];
  #in: Uint8Array = new Uint8Array(0);
  readonly #float = new Float64Array(1);
  readonly #floatBytes = new Uint8Array(this.#float.buffer);
  #start = 0;
  #at = 0;
  #end = 0;

  /** The message in bytes[start..end), copied out. @throws Error when the bytes are not what an Encoder wrote */
  decode(bytes: Uint8Array, start: number, end: number): unknown {
    this.#in = bytes;
    this.#start = start;
    this.#at = start;
    this.#end = end;
    const value = this.#value(0);
    if (this.#at !== end) this.#fail('something follows the data');
    return value;
  }

  #value(depth: number): unknown {
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
        return this.#array(depth + 1);
      case TAG.object:
        return this.#object(depth + 1);
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

  #array(depth: number): unknown[] {
    const length = this.#length(1);
    this.#checkDepth(depth);
    return Array.from({ length }, () => this.#value(depth));
  }

  #object(depth: number): Record<string, unknown> {
    this.#checkDepth(depth);
    const object: Record<string, unknown> = {};
    const count = this.#byte();
    for (let i = 0; i < count; i++) {
      const name = this.#text(this.#byte());
      if (name === FORBIDDEN_NAME) this.#fail(`a property ${name}`);
      object[name] = this.#value(depth);
    }
    return object;
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

  #checkDepth(depth: number): void {
    if (depth > MAX_DEPTH) this.#fail('it is nested too deeply');
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
