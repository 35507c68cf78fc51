/**
 * A compact encoding for messages: undefined, null, booleans, numbers, bigints, strings, typed arrays, arrays and plain
 * objects of these. Anything else (functions, class instances, cycles) is an error of the sender.
 *
 * Snapshots (src/snapshot) are written with it too: a tag, and the place of a class in VIEWS, keep their number for
 * ever. What a file holds may be anything, so a decoder reads no byte beyond its end and allocates in proportion to it.
 *
 * Property names, and the value of a property `type`, are sent once per channel and by number from then on: both ends
 * keep the same dictionary, which works because a ring is ordered and loses nothing. In a channel all the names of an
 * object have a number together, its shape's (shapes.ts); snapshots are written without.
 */
import { MAX_SHAPE_NAMES, MAX_SHAPES, type NextValue, Shape, ShapeTree } from './shapes.ts';

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
  shaped: 16,
  newShape: 17,
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
  readonly #shapes: ShapeTree | null;
  /** Names and shapes that the other end is sure to learn. */
  #keptNames = 0;
  #keptShapes = 0;
  #out: Uint8Array = new Uint8Array(0);
  readonly #float = new Float64Array(1);
  readonly #floatBytes = new Uint8Array(this.#float.buffer);
  #at = 0;
  #end = 0;

  /** @param usesShapes as the decoder at the other end */
  constructor(usesShapes: boolean) {
    this.#shapes = usesShapes ? new ShapeTree() : null;
  }

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
    this.#keptNames = this.#names.length;
    if (this.#shapes !== null) this.#keptShapes = this.#shapes.count;
  }

  /** The message just encoded is not sent: forget what it introduced. */
  rollBack(): void {
    while (this.#names.length > this.#keptNames) this.#numbers.delete(this.#names.pop() as string);
    this.#shapes?.forget(this.#keptShapes);
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
    const at = this.#at;
    const out = this.#out;
    if (value === (value | 0) && !Object.is(value, -0)) {
      if (value >= 0 && value < 256) {
        this.#room(2);
        out[at] = TAG.byte;
        out[at + 1] = value;
        this.#at = at + 2;
        return;
      }
      this.#room(5);
      out[at] = TAG.int32;
      // Not #uint32(), which V8 does not take in here: 15 of 80 ns for six fields.
      out[at + 1] = value;
      out[at + 2] = value >> 8;
      out[at + 3] = value >> 16;
      out[at + 4] = value >> 24;
      this.#at = at + 5;
      return;
    }
    this.#room(9);
    out[at] = TAG.float64;
    this.#float[0] = value;
    for (let i = 0; i < 8; i++) out[at + 1 + i] = this.#floatBytes[i] as number;
    this.#at = at + 9;
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
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return this.#special(value, depth);
    const properties = value as Record<string, unknown>;
    if (this.#shapes === null || !this.#shaped(properties, depth, this.#shapes)) this.#properties(properties, depth);
  }

  #special(value: object, depth: number): void {
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
    throw new TypeError(`a ${value.constructor.name} is not plain data`);
  }

  /** By its shape. @returns false, with nothing written, for one that gets no number */
  #shaped(value: Record<string, unknown>, depth: number, shapes: ShapeTree): boolean {
    const number = shapes.numberOf(value);
    if (number >= 0) {
      this.#room(3);
      this.#out[this.#at++] = TAG.shaped;
      this.#out[this.#at++] = number;
      this.#out[this.#at++] = number >> 8;
    } else {
      const names = shapes.add(value);
      if (names === null) return false;
      this.#room(2);
      this.#out[this.#at++] = TAG.newShape;
      this.#out[this.#at++] = names.length;
      for (const name of names) this.#name(name);
    }
    for (const key in value) this.#property(key, value[key], depth);
    return true;
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
      this.#property(key, value[key], depth);
    }
    this.#out[countAt] = count;
  }

  #property(key: string, value: unknown, depth: number): void {
    if (key === 'type' && typeof value === 'string') this.#name(value);
    else this.#value(value, depth);
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
    return shapes.push(new Shape(names)) - 1;
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
