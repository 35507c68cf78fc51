/** The instruction set as a library: `bottomhalf/isa`. */
export { type Assembled, type AssembleOptions, AssemblyError, assemble } from './asm.ts';
export { decode } from './decode.ts';
export { disassemble, formatInsn } from './disasm.ts';
export { encode } from './encode.ts';
export type { Decoded, Insn, Operand } from './insn.ts';
export { findInsn, INSTRUCTIONS } from './table.ts';
