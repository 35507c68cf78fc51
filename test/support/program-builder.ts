/** Writes machine code into an image: instructions by name from the table, constants, forward jumps. */
import { decode } from '../../src/isa/decode.ts';
import { encode } from '../../src/isa/encode.ts';
import type { Decoded, Insn } from '../../src/isa/insn.ts';
import { findInsn } from '../../src/isa/table.ts';

export type OperandValues = Readonly<Record<string, number>>;

export class CodeBuilder {
  readonly #image: Uint8Array;
  readonly #view: DataView;
  readonly counts = new Map<string, number>();
  /** Offset in the image of the next instruction. */
  at: number;

  constructor(image: Uint8Array, at: number) {
    this.#image = image;
    this.#view = new DataView(image.buffer, image.byteOffset, image.byteLength);
    this.at = at;
  }

  /** Emits an instruction by name; operands left out are zero (fence: all of iorw). */
  emit(name: string, operands: OperandValues = {}): void {
    const insn = findInsn(name);
    if (insn === undefined) throw new Error(`no instruction ${name}`);
    const zeros = Object.fromEntries(insn.operands.map((operand) => [operand.name, 0]));
    this.word(encode(insn, { ...zeros, ...operands }), insn.length);
    this.count(insn);
  }

  count(insn: Insn): void {
    this.counts.set(insn.name, (this.counts.get(insn.name) ?? 0) + 1);
  }

  word(word: number, length: number): void {
    if (length === 2) this.#view.setUint16(this.at, word, true);
    else this.#view.setUint32(this.at, word, true);
    this.at += length;
  }

  /** Emits an instruction that has been decoded from its own encoding. */
  decoded(decoded: Decoded): void {
    this.word(decoded.word, decoded.insn.length);
    this.count(decoded.insn);
  }

  /** Data: eight bytes at an offset. */
  set64(at: number, value: bigint): void {
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }

  set32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  bytes(at: number, bytes: Uint8Array): void {
    this.#image.set(bytes, at);
  }

  /** Loads a 64-bit constant, without memory. */
  li(rd: number, value: bigint): void {
    const wanted = BigInt.asIntN(64, value);
    if (wanted >= -2048n && wanted < 2048n) {
      this.emit('addi', { rd, rs1: 0, imm: Number(wanted) });
      return;
    }
    const low = BigInt.asIntN(12, wanted);
    if (wanted >= -(1n << 31n) && wanted < 1n << 31n) {
      this.emit('lui', { rd, imm: Number(BigInt.asIntN(32, wanted - low)) });
      if (low !== 0n) this.emit('addiw', { rd, rs1: rd, imm: Number(low) });
      return;
    }
    let high = BigInt.asIntN(64, wanted - low) >> 12n;
    let shift = 12;
    while ((high & 1n) === 0n) {
      high >>= 1n;
      shift++;
    }
    this.li(rd, high);
    this.emit('slli', { rd, rs1: rd, shamt: shift });
    if (low !== 0n) this.emit('addi', { rd, rs1: rd, imm: Number(low) });
  }

  /** Writes a CSR through a register. */
  setCsr(csr: number, value: bigint, scratch: number): void {
    this.li(scratch, value);
    this.emit('csrrw', { rd: 0, csr, rs1: scratch });
  }

  /** Emits a branch or jump to a place not known yet; call the result when there. */
  forward(name: string, operands: OperandValues): () => void {
    const from = this.at;
    this.emit(name, { ...operands, imm: 0 });
    return () => this.#patch(from, name, operands, this.at - from);
  }

  /** Emits a branch or jump to an offset in the image. */
  to(name: string, operands: OperandValues, target: number): void {
    this.emit(name, { ...operands, imm: target - this.at });
  }

  #patch(from: number, name: string, operands: OperandValues, distance: number): void {
    const insn = findInsn(name);
    if (insn === undefined) throw new Error(`no instruction ${name}`);
    const word = encode(insn, { ...operands, imm: distance });
    if (insn.length === 2) this.#view.setUint16(from, word, true);
    else this.#view.setUint32(from, word, true);
  }
}

/** Encodes and decodes again: null if the operands are reserved or make another instruction. */
export function tryEncode(insn: Insn, operands: OperandValues): Decoded | null {
  if (insn.reserved?.(operands) === true) return null;
  const decoded = decode(encode(insn, operands));
  return decoded?.insn === insn ? decoded : null;
}
