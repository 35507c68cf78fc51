/** A WebAssembly function body as text, one instruction a line, indented by its blocks: for tests of emitted code. */
import { ATOMIC, MEMORY, PLAIN, TRUNC_SAT, VALUE_TYPE, VECTOR } from '../../src/wasm/code.ts';

const byOpcode = (table: Readonly<Record<string, number>>): ReadonlyMap<number, string> =>
  new Map(Object.entries(table).map(([name, opcode]) => [opcode, name]));
const plain = byOpcode(PLAIN);
const memory = byOpcode(MEMORY);
const truncSat = byOpcode(TRUNC_SAT);
const vector = byOpcode(VECTOR);
const types = byOpcode(VALUE_TYPE);
const atomic = new Map(Object.entries(ATOMIC).map(([name, [opcode]]): [number, string] => [opcode, name]));

const BLOCKS = new Map([
  [0x02, 'block'],
  [0x03, 'loop'],
  [0x04, 'if'],
]);
const WITH_INDEX = new Map([
  [0x0c, 'br'],
  [0x0d, 'br_if'],
  [0x10, 'call'],
  [0x20, 'local.get'],
  [0x21, 'local.set'],
  [0x22, 'local.tee'],
]);
const NO_TYPE = 0x40;

/** Reads the encodings of the core specification, 5.2.2 and 5.4. */
class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.at++] ?? 0;
  }

  unsigned(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  signed(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(Number(shift) + 7, value);
    }
  }

  float(lengthBytes: 4 | 8): number {
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.at, lengthBytes);
    this.at += lengthBytes;
    return lengthBytes === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true);
  }
}

/** @param entry a code entry: locals, instructions, the final `end` */
export function wasmText(entry: Uint8Array): string[] {
  const reader = new Reader(entry);
  const locals = Array.from({ length: reader.unsigned() }, () => [reader.unsigned(), reader.byte()]);
  const lines = [`locals ${locals.length}`];
  let depth = 0;
  while (!reader.ended) {
    const opcode = reader.byte();
    if (opcode === PLAIN.end || opcode === PLAIN.else) depth -= 1;
    lines.push(`${'  '.repeat(Math.max(depth, 0))}${instruction(reader, opcode)}`);
    if (BLOCKS.has(opcode) || opcode === PLAIN.else) depth += 1;
  }
  return lines;
}

function instruction(reader: Reader, opcode: number): string {
  const block = BLOCKS.get(opcode);
  if (block !== undefined) {
    const type = reader.byte();
    return type === NO_TYPE ? block : `${block} ${types.get(type)}`;
  }
  const indexed = WITH_INDEX.get(opcode);
  if (indexed !== undefined) return `${indexed} ${reader.unsigned()}`;
  const access = memory.get(opcode);
  if (access !== undefined) {
    reader.unsigned();
    return `${access} ${reader.unsigned()}`;
  }
  if (opcode === 0x41) return `i32.const ${reader.signed()}`;
  if (opcode === 0x42) return `i64.const ${reader.signed()}`;
  if (opcode === 0x43) return `f32.const ${reader.float(4)}`;
  if (opcode === 0x44) return `f64.const ${reader.float(8)}`;
  if (opcode === 0xfc) return truncSat.get(reader.unsigned()) ?? 'unknown';
  if (opcode === 0xfd) {
    const name = vector.get(reader.unsigned()) ?? 'unknown';
    if (name === 'v128.const') {
      const lanes = Array.from({ length: 16 }, () => reader.byte());
      return `${name} ${lanes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
    }
    return name.endsWith('_lane') ? `${name} ${reader.byte()}` : name;
  }
  if (opcode === 0xfe) {
    const second = reader.byte();
    if (second === 3) {
      reader.byte();
      return 'atomic.fence';
    }
    reader.unsigned();
    return `${atomic.get(second)} ${reader.unsigned()}`;
  }
  const name = plain.get(opcode);
  if (name === undefined) throw new Error(`opcode 0x${opcode.toString(16)} at ${reader.at - 1}`);
  return name;
}
