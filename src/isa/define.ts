/**
 * The two ways to define an instruction: by its row and meaning, or (compressed ones) by what it expands to.
 */
import { buildBody, type Insn, type OperandSource } from './insn.ts';
import { parsePattern } from './pattern.ts';
import type { Operands, Semantics } from './semantics.ts';

export type Reserved = NonNullable<Insn['reserved']>;

/**
 * `insn(mnemonic, row, syntax, meaning, reserved?)` for one extension. `reserved` tells encodings that the row matches
 * but that are another instruction's or reserved.
 */
export type Define = (
  name: string,
  row: string,
  syntax: string,
  semantics: (s: Semantics, o: Operands) => void,
  reserved?: Reserved,
) => Insn;

export function extension(extensionName: string): Define {
  return (name, row, syntax, semantics, reserved) => {
    const pattern = parsePattern(row);
    const operandNames = pattern.operands.map((operand) => operand.name);
    return {
      name,
      extension: extensionName,
      ...pattern,
      syntax,
      ...(reserved === undefined ? {} : { reserved }),
      semantics,
      body: buildBody(operandNames, semantics),
    };
  };
}

/**
 * `compressed(mnemonic, row, syntax, base, sources, reserved?)`: the mnemonic of the base instruction, and for each of
 * its operands the compressed operand's name or a fixed number.
 */
export type DefineExpansion = (
  name: string,
  row: string,
  syntax: string,
  to: string,
  sources: Readonly<Record<string, string | number>>,
  reserved?: Reserved,
) => Insn;

/** @throws Error (from the function it returns) if the base is unknown or an operand is left without a source. */
export function expansions(extensionName: string, bases: readonly Insn[]): DefineExpansion {
  return (name, row, syntax, to, sources, reserved) => {
    const base = bases.find((candidate) => candidate.name === to);
    if (base === undefined) throw new Error(`${name} expands to ${to}, which is not defined`);
    const pattern = parsePattern(row);
    const operands: Record<string, OperandSource> = {};
    for (const operand of base.operands) {
      const source = sources[operand.name];
      if (source === undefined) throw new Error(`${name} does not say where ${to} gets ${operand.name} from`);
      if (typeof source === 'string' && !pattern.operands.some((own) => own.name === source))
        throw new Error(`${name} has no operand ${source}`);
      operands[operand.name] = typeof source === 'string' ? { operand: source } : { value: source };
    }
    return {
      name,
      extension: extensionName,
      ...pattern,
      syntax,
      ...(reserved === undefined ? {} : { reserved }),
      expands: { to: base, operands },
      semantics: base.semantics,
      body: base.body,
    };
  };
}
