/**
 * The assembler that tests and built-in firmware use: every instruction of the table, the usual pseudo-instructions,
 * labels and data in one section.
 *
 * Compressed instructions are emitted only where written (`c.addi`). A branch's target is an address, as for GNU's
 * assembler: a label or an expression. `.align` is a power of two and fills with nops. `.org` counts from the base.
 * Not here: relocation, sections (`.text`, `.section` and the like are ignored), macros, branch relaxation.
 */

import { escapeCode, evaluate, type Scope } from './asm-expression.ts';
import { CSR_NUMBERS } from './csr-names.ts';
import { encode } from './encode.ts';
import type { Insn } from './insn.ts';
import { expandPseudo, loadImmediate } from './pseudo.ts';
import { fRegister, xRegister } from './registers.ts';
import { FLI_NAMES, ROUNDING_NAMES, type SyntaxItem, type SyntaxKind, syntaxOf } from './syntax.ts';
import { findInsn } from './table.ts';

export interface AssembleOptions {
  /** The address of the first byte; 0 where left out. */
  readonly base?: number | bigint;
  /** Symbols defined from outside. */
  readonly symbols?: Readonly<Record<string, number | bigint>>;
}

export interface Assembled {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Labels and `.equ` constants, 64 bits unsigned. */
  readonly symbols: ReadonlyMap<string, bigint>;
}

/** Something in the source is wrong; the message starts with the line's number, from 1. */
export class AssemblyError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.name = 'AssemblyError';
    this.line = line;
  }
}

interface Statement {
  readonly line: number;
  readonly name: string;
  /** What follows the name, and the same split at its commas. */
  readonly rest: string;
  readonly args: readonly string[];
}

/** A statement with its place. Labels are statements named `:`. */
interface Placed {
  readonly statement: Statement;
  readonly offset: number;
  readonly lengthBytes: number;
}

const DATA_SIZES: Readonly<Record<string, number>> = {
  '.byte': 1,
  '.half': 2,
  '.2byte': 2,
  '.short': 2,
  '.word': 4,
  '.4byte': 4,
  '.long': 4,
  '.dword': 8,
  '.8byte': 8,
  '.quad': 8,
};

const IGNORED: ReadonlySet<string> = new Set([
  '.globl',
  '.global',
  '.text',
  '.data',
  '.section',
  '.option',
  '.type',
  '.size',
  '.attribute',
  '.file',
]);

const NOP = 0x00000013;
const COMPRESSED_NOP = 0x0001;

// Reading.

/** Splits at `separator` outside parentheses and quotes, trimmed; nothing for an empty text. */
function split(text: string, separators: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (quote !== '') {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'") quote = c;
    else if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (depth === 0 && separators.includes(c)) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  const last = text.slice(start).trim();
  return parts.length === 0 && last === '' ? [] : [...parts, last];
}

function withoutComment(text: string): string {
  return text.replace(/("(?:\\.|[^"\\])*"|'\\?.')|(?:#|\/\/).*$/g, (_, quoted?: string) => quoted ?? '');
}

function parseStatement(text: string, line: number): Statement {
  const [, name = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(text) ?? [];
  return { line, name: name.toLowerCase(), rest, args: split(rest, ',') };
}

function parse(source: string): Statement[] {
  const statements: Statement[] = [];
  for (const [index, full] of source
    .replace(/\/\*.*?\*\//gs, (c) => c.replace(/[^\n]/g, ' '))
    .split('\n')
    .entries()) {
    for (let text of split(withoutComment(full), ';')) {
      for (let label = /^([\w.$]+):\s*/.exec(text); label !== null; label = /^([\w.$]+):\s*/.exec(text)) {
        statements.push({ line: index + 1, name: ':', rest: label[1] ?? '', args: [] });
        text = text.slice(label[0].length);
      }
      const assignment = /^([A-Za-z_.$][\w.$]*)\s*=(?!=)\s*(.*)$/.exec(text);
      if (assignment !== null) text = `.equ ${assignment[1]}, ${assignment[2]}`;
      if (text !== '') statements.push(parseStatement(text, index + 1));
    }
  }
  return statements;
}

function stringBytes(literal: string): number[] {
  if (!/^".*"$/s.test(literal)) throw new Error(`${literal} is no string`);
  const text = literal.slice(1, -1).replace(/\\(.)/g, (_, letter) => String.fromCharCode(escapeCode(letter)));
  return [...new TextEncoder().encode(text)];
}

// Instructions.

function expressionOf(kind: SyntaxKind, text: string, scope: Scope): number {
  const value = evaluate(text, scope);
  if (kind === 'target') return Number(BigInt.asIntN(64, value - scope.pc));
  if (kind !== 'upper') return Number(value);
  if (value < -0x80000n || value > 0xfffffn) throw new RangeError(`${text} does not fit 20 bits`);
  return Number(BigInt.asIntN(20, value)) * 4096;
}

function fenceSet(text: string): number {
  if (text === '0') return 0;
  if (!/^i?o?r?w?$/.test(text)) throw new Error(`'${text}' is no subset of iorw`);
  return [...'iorw'].reduce((bits, letter, index) => bits | (text.includes(letter) ? 8 >> index : 0), 0);
}

function lookUp(what: string, text: string, index: number | undefined): number {
  if (index === undefined || index < 0) throw new Error(`no ${what} ${text}`);
  return index;
}

function operandValue(kind: SyntaxKind, text: string, scope: Scope): number {
  switch (kind) {
    case 'x':
      return lookUp('x register', text, xRegister(text));
    case 'f':
      return lookUp('f register', text, fRegister(text));
    case 'csr':
      return CSR_NUMBERS.get(text) ?? expressionOf(kind, text, scope);
    case 'rounding':
      return lookUp('rounding mode', text, ROUNDING_NAMES.indexOf(text));
    case 'fenceSet':
      return fenceSet(text);
    case 'constant': {
      const byName = FLI_NAMES.indexOf(text);
      return byName >= 0 ? byName : lookUp('constant', text, FLI_NAMES.map(Number).indexOf(Number(text)));
    }
    default:
      return expressionOf(kind, text, scope);
  }
}

/** Assigns what is written for one item of the syntax to its operands. */
function readItem(item: SyntaxItem, text: string, scope: Scope, operands: Record<string, number>): void {
  if (item.kind === 'literal') {
    if (text !== item.text && !(item.text === 'sp' && xRegister(text) === 2)) throw new Error(`must be ${item.text}`);
    return;
  }
  if (item.kind !== 'memory') {
    operands[item.operand] = operandValue(item.kind, text, scope);
    return;
  }
  const bare = xRegister(text) !== undefined;
  const [, offset = '', base = ''] = bare ? ['', '', text] : (/^(.*)\(\s*(\w+)\s*\)$/.exec(text) ?? []);
  const register = lookUp('address of the form offset(register):', text, xRegister(base));
  const value = offset === '' ? 0 : expressionOf('number', offset, scope);
  if (item.offset !== null) operands[item.offset] = value;
  else if (value !== 0) throw new Error('takes no offset');
  if (item.base !== 'sp') operands[item.base] = register;
  else if (register !== 2) throw new Error('must be relative to sp');
}

/** The instruction of a mnemonic, and its ordering bits where it has any. */
function findMnemonic(name: string): { insn: Insn; aq: number; rl: number } | null {
  const plain = findInsn(name);
  if (plain !== undefined) return { insn: plain, aq: 0, rl: 0 };
  const [, stem = '', order = ''] = /^(.+)\.(aq|rl|aqrl)$/.exec(name) ?? [];
  const insn = findInsn(stem);
  if (!insn?.operands.some((operand) => operand.name === 'aq')) return null;
  return { insn, aq: order.startsWith('aq') ? 1 : 0, rl: order.endsWith('rl') ? 1 : 0 };
}

function assembleInsn(statement: Statement, scope: Scope): { word: number; lengthBytes: number } {
  const found = findMnemonic(statement.name);
  if (found === null) throw new Error(`no instruction ${statement.name} with ${statement.args.length} operands`);
  const { insn, aq, rl } = found;
  const items = syntaxOf(insn);
  if (statement.args.length > items.length) throw new Error(`the operands are: ${insn.syntax}`);
  // What the syntax does not show is 0: fm, ignored registers.
  const operands: Record<string, number> = Object.fromEntries(insn.operands.map(({ name }) => [name, 0]));
  Object.assign(operands, 'aq' in operands ? { aq, rl } : {});
  for (const [index, item] of items.entries()) {
    const text = statement.args[index] ?? ('default' in item ? item.default : null);
    if (text === null) throw new Error(`the operands are: ${insn.syntax}`);
    readItem(item, text, scope, operands);
  }
  return { word: encode(insn, operands), lengthBytes: insn.length };
}

// Two passes.

class Assembly {
  readonly #base: bigint;
  readonly #symbols = new Map<string, bigint>();
  /** Where the labels `1:` and so on stand, in order. */
  readonly #numeric = new Map<string, { readonly order: number; readonly address: bigint }[]>();
  readonly #placed: Placed[] = [];
  #offset = 0;

  constructor(options: AssembleOptions) {
    this.#base = BigInt(options.base ?? 0);
    for (const [name, value] of Object.entries(options.symbols ?? {})) this.#symbols.set(name, BigInt(value));
  }

  /** First pass: every statement's place. What decides a length must be known by then. */
  place(statement: Statement): void {
    const expansion = this.#expand(statement);
    if (expansion !== null) {
      for (const line of expansion) this.place(parseStatement(line, statement.line));
      return;
    }
    if (statement.name === ':') this.#label(statement.rest);
    else if (statement.name === '.equ' || statement.name === '.set') this.#define(statement);
    else if (!IGNORED.has(statement.name)) {
      const lengthBytes = this.#lengthBytes(statement);
      this.#placed.push({ statement, offset: this.#offset, lengthBytes });
      this.#offset += lengthBytes;
    }
  }

  /** Second pass. */
  emit(): Assembled {
    const bytes = new Uint8Array(this.#offset);
    for (const [order, placed] of this.#placed.entries())
      at(placed.statement, () => {
        this.#emitOne(placed, this.#scope(placed.offset, order), bytes);
      });
    const symbols = new Map([...this.#symbols].map(([name, value]) => [name, BigInt.asUintN(64, value)]));
    return { bytes, symbols };
  }

  #expand(statement: Statement): readonly string[] | null {
    const [register = '', value = ''] = statement.args;
    if (statement.name !== 'li' || statement.args.length !== 2) return expandPseudo(statement.name, statement.args);
    return loadImmediate(register, evaluate(value, this.#scope(this.#offset, this.#placed.length)));
  }

  #label(name: string): void {
    const address = this.#base + BigInt(this.#offset);
    if (/^\d+$/.test(name)) {
      const places = this.#numeric.get(name) ?? [];
      this.#numeric.set(name, [...places, { order: this.#placed.length, address }]);
      return;
    }
    if (this.#symbols.has(name)) throw new Error(`${name} is defined twice`);
    this.#symbols.set(name, address);
  }

  #define({ args: [name = '', value = ''] }: Statement): void {
    this.#symbols.set(name, evaluate(value, this.#scope(this.#offset, this.#placed.length)));
  }

  #lengthBytes(statement: Statement): number {
    const { name, args } = statement;
    const size = DATA_SIZES[name];
    if (size !== undefined) return size * args.length;
    const known = (text: string | undefined): number =>
      Number(evaluate(text ?? '0', this.#scope(this.#offset, this.#placed.length)));
    const padding = (alignment: number): number => (alignment - (this.#offset % alignment)) % alignment;
    switch (name) {
      case '.zero':
      case '.space':
      case '.skip':
        return known(args[0]);
      case '.align':
      case '.p2align':
        return padding(2 ** known(args[0]));
      case '.balign':
        return padding(known(args[0]));
      case '.org': {
        const gap = known(args[0]) - this.#offset;
        if (gap < 0) throw new Error('.org goes back');
        return gap;
      }
      case '.ascii':
      case '.asciz':
      case '.string':
        return args.reduce((sum, text) => sum + stringBytes(text).length + (name === '.ascii' ? 0 : 1), 0);
    }
    const found = findMnemonic(name);
    if (found === null) throw new Error(`no instruction or directive ${name} with ${args.length} operands`);
    return found.insn.length;
  }

  #scope(offset: number, order: number): Scope {
    const symbol = (name: string): bigint => {
      const value = /^\d/.test(name) ? this.#numericLabel(name, order) : this.#symbols.get(name);
      if (value === undefined) throw new Error(`${name} is not defined (here)`);
      return value;
    };
    return { pc: this.#base + BigInt(offset), symbol };
  }

  #numericLabel(name: string, order: number): bigint | undefined {
    const places = this.#numeric.get(name.slice(0, -1)) ?? [];
    if (name.endsWith('b')) return places.findLast((place) => place.order <= order)?.address;
    return places.find((place) => place.order > order)?.address;
  }

  #emitOne({ statement, offset, lengthBytes }: Placed, scope: Scope, bytes: Uint8Array): void {
    const { name, args } = statement;
    const view = new DataView(bytes.buffer, offset, lengthBytes);
    const size = DATA_SIZES[name];
    if (size !== undefined) {
      for (const [index, text] of args.entries()) writeInteger(view, index * size, size, evaluate(text, scope));
    } else if (/^\.(asci[iz]|string)$/.test(name)) {
      bytes.set(
        args.flatMap((text) => (name === '.ascii' ? stringBytes(text) : [...stringBytes(text), 0])),
        offset,
      );
    } else if (/^\.(p2|b)?align$/.test(name)) fillWithNops(view);
    else if (!name.startsWith('.')) {
      const { word } = assembleInsn(statement, scope);
      writeInteger(view, 0, lengthBytes, BigInt(word));
    }
  }
}

function writeInteger(view: DataView, offset: number, size: number, value: bigint): void {
  const bits = size * 8;
  if (BigInt.asUintN(bits, value) !== value && BigInt.asIntN(bits, value) !== value)
    throw new RangeError(`${value} does not fit ${bits} bits`);
  for (let i = 0; i < size; i++) view.setUint8(offset + i, Number((value >> BigInt(8 * i)) & 0xffn));
}

/** An odd byte, then an odd halfword, then words. */
function fillWithNops(view: DataView): void {
  let offset = view.byteLength & 1;
  if (view.byteLength & 2) {
    view.setUint16(offset, COMPRESSED_NOP, true);
    offset += 2;
  }
  for (; offset < view.byteLength; offset += 4) view.setUint32(offset, NOP, true);
}

/** Runs one statement's work; what goes wrong is reported with its line. */
function at(statement: Statement, work: () => void): void {
  try {
    work();
  } catch (error) {
    const text = statement.name === ':' ? `${statement.rest}:` : `${statement.name} ${statement.rest}`;
    throw new AssemblyError(statement.line, `${text.trim()}: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Assembles a source text into one run of bytes.
 * @throws AssemblyError naming the line.
 */
export function assemble(source: string, options: AssembleOptions = {}): Assembled {
  const assembly = new Assembly(options);
  for (const statement of parse(source)) at(statement, () => assembly.place(statement));
  return assembly.emit();
}
