/** A WebAssembly module under construction: types, imports, functions, tables, exports (core specification 5.5). */
import { ByteWriter } from './bytes.ts';
import { Code, VALUE_TYPE, type ValueType } from './code.ts';

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

const SECTION = { custom: 0, type: 1, import: 2, function: 3, table: 4, export: 7, element: 9, code: 10 } as const;
/** A custom section of the Branch Hinting extension ("Binary format"): advice to the engine, without a meaning of its own. */
const BRANCH_HINTS = 'metadata.code.branch_hint';
const UNLIKELY = 0;
const EXTERNAL = { function: 0, table: 1, memory: 2 } as const;
const FUNCREF = 0x70;
/** Limits flag: shared, with a maximum. */
const SHARED = 0x03;

export class Module {
  readonly #types: FunctionType[] = [];
  readonly #imports: { module: string; name: string; type: number }[] = [];
  readonly #functions: { type: number; code: Code }[] = [];
  readonly #exports: { name: string; kind: number; index: number }[] = [];
  readonly #table: number[] = [];
  #growable = false;
  readonly #memoryPages: number;

  /** @param memoryPages the maximum of the one imported shared memory `env.memory`, in 64 KiB pages */
  constructor(memoryPages: number) {
    this.#memoryPages = memoryPages;
  }

  /** The index of a function type. */
  type(type: FunctionType): number {
    const same = (other: FunctionType): boolean =>
      other.parameters.join() === type.parameters.join() && other.results.join() === type.results.join();
    const known = this.#types.findIndex(same);
    return known >= 0 ? known : this.#types.push(type) - 1;
  }

  /** Imports come before the first function. @returns the function's index */
  import(module: string, name: string, type: FunctionType): number {
    if (this.#functions.length > 0) throw new Error(`import of ${module}.${name} after a function`);
    return this.#imports.push({ module, name, type: this.type(type) }) - 1;
  }

  /** @returns the function's index, and its body to fill */
  function(type: FunctionType): { index: number; code: Code } {
    const code = new Code(type.parameters.length);
    const index = this.#imports.length + this.#functions.push({ type: this.type(type), code }) - 1;
    return { index, code };
  }

  export(name: string, index: number): void {
    this.#exports.push({ name, kind: EXTERNAL.function, index });
  }

  /** Appends a function to table 0. @returns its place there */
  tableEntry(index: number): number {
    return this.#table.push(index) - 1;
  }

  /** Exports a table of functions that begins empty and is filled from JavaScript. @returns its number */
  growableTable(name: string): number {
    this.#growable = true;
    const index = 1;
    this.#exports.push({ name, kind: EXTERNAL.table, index });
    return index;
  }

  finish(): Uint8Array {
    const out = new ByteWriter();
    out.bytes(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    const section = (id: number, count: number, fill: (w: ByteWriter) => void): void => {
      const content = new ByteWriter();
      content.u32(count);
      fill(content);
      out.u8(id).sized(content.finish());
    };
    const types = (w: ByteWriter, list: readonly ValueType[]): void => {
      w.u32(list.length);
      for (const type of list) w.u8(VALUE_TYPE[type]);
    };
    section(SECTION.type, this.#types.length, (w) => {
      for (const type of this.#types) {
        w.u8(0x60);
        types(w, type.parameters);
        types(w, type.results);
      }
    });
    section(SECTION.import, this.#imports.length + 1, (w) => {
      w.name('env').name('memory').u8(EXTERNAL.memory).u8(SHARED).u32(1).u32(this.#memoryPages);
      for (const { module, name, type } of this.#imports) w.name(module).name(name).u8(EXTERNAL.function).u32(type);
    });
    section(SECTION.function, this.#functions.length, (w) => {
      for (const { type } of this.#functions) w.u32(type);
    });
    if (this.#table.length > 0 || this.#growable) {
      section(SECTION.table, this.#growable ? 2 : 1, (w) => {
        w.u8(FUNCREF).u8(1).u32(this.#table.length).u32(this.#table.length);
        if (this.#growable) w.u8(FUNCREF).u8(0).u32(0);
      });
    }
    section(SECTION.export, this.#exports.length, (w) => {
      for (const { name, kind, index } of this.#exports) w.name(name).u8(kind).u32(index);
    });
    if (this.#table.length > 0) {
      section(SECTION.element, 1, (w) => {
        // Active, table 0, at constant 0.
        w.u32(0).u8(0x41).s32(0).u8(0x0b).u32(this.#table.length);
        for (const index of this.#table) w.u32(index);
      });
    }
    const hinted = this.#functions
      .map(({ code }, i) => ({ index: this.#imports.length + i, unlikely: code.unlikelyBranches() }))
      .filter(({ unlikely }) => unlikely.length > 0);
    if (hinted.length > 0) out.u8(SECTION.custom).sized(branchHints(hinted));
    section(SECTION.code, this.#functions.length, (w) => {
      for (const { code } of this.#functions) w.sized(code.finish());
    });
    return out.finish();
  }
}

function branchHints(
  functions: readonly { readonly index: number; readonly unlikely: readonly number[] }[],
): Uint8Array {
  const content = new ByteWriter();
  content.name(BRANCH_HINTS).u32(functions.length);
  for (const { index, unlikely } of functions) {
    content.u32(index).u32(unlikely.length);
    for (const offset of unlikely) content.u32(offset).u32(1).u8(UNLIKELY);
  }
  return content.finish();
}
