/**
 * The functions of the runtime module (assembly/) that generated code calls, with their types. Parameters and results
 * are raw bits. What each does stands where it is defined.
 */

import type { ValueType } from '../wasm/code.ts';
import type { FunctionType } from '../wasm/module.ts';

const type = (parameters: readonly ValueType[], result?: ValueType): FunctionType => ({
  parameters,
  results: result === undefined ? [] : [result],
});

/** Those that translated code calls; the interpreter does not. */
export const TRANSLATOR_FUNCTIONS: Readonly<Record<'refillToRead' | 'refillToWrite' | 'readTime', FunctionType>> = {
  readTime: type([], 'i64'),
  refillToRead: type(['i64']),
  refillToWrite: type(['i64']),
};

const MACHINE: Readonly<Record<string, FunctionType>> = {
  load: type(['i64', 'i32'], 'i64'),
  store: type(['i64', 'i32', 'i64']),
  loadReserved: type(['i64', 'i32'], 'i64'),
  storeConditional: type(['i64', 'i32', 'i64'], 'i64'),
  amo: type(['i32', 'i64', 'i32', 'i64'], 'i64'),
  cboZero: type(['i64']),
  cboInval: type(['i64']),
  cboClean: type(['i64']),
  cboFlush: type(['i64']),
  csr: type(['i32', 'i32', 'i64', 'i32', 'i32'], 'i64'),
  requireFp: type(['i32']),
  ecall: type([]),
  ebreak: type([]),
  mret: type([]),
  sret: type([]),
  wfi: type([]),
  wrs: type(['i32']),
  pause: type([]),
  stall: type([]),
  fenceI: type([]),
  illegal: type([]),
  sfenceVma: type(['i64', 'i64', 'i32', 'i32', 'i32']),
  fetch: type([], 'i32'),
  fetchCrossing: type(['i32']),
  decode: type(['i32']),
  decodeWord: type(['i32', 'i32']),
  regionIsInPlace: type(['i32'], 'i32'),
  seeTrace: type(['i32', 'i32', 'i32'], 'i32'),
  interrupts: type([]),
  takeSignals: type([], 'i32'),
};

/** Floating point: name -> type, for every format; see FP_OPS in src/isa/ir.ts. */
function floatFunctions(): Record<string, FunctionType> {
  const table: Record<string, FunctionType> = {};
  const formats = { h: 'i32', s: 'i32', d: 'i64' } as const;
  for (const [format, v] of Object.entries(formats) as [keyof typeof formats, 'i32' | 'i64'][]) {
    const add = (name: string, parameters: readonly ValueType[], result: ValueType): void => {
      table[`${format}_${name}`] = type(parameters, result);
    };
    for (const name of ['add', 'sub', 'mul', 'div']) add(name, [v, v, 'i32'], v);
    for (const name of ['sqrt', 'round', 'roundnx']) add(name, [v, 'i32'], v);
    for (const name of ['min', 'max', 'minm', 'maxm']) add(name, [v, v], v);
    for (const name of ['eq', 'lt', 'le', 'ltq', 'leq']) add(name, [v, v], 'i32');
    for (const int of ['w', 'wu', 'l', 'lu']) {
      add(`toInt_${int}`, [v, 'i32'], 'i64');
      add(`fromInt_${int}`, ['i64', 'i32'], v);
    }
    add('fma', [v, v, v, 'i32'], v);
    add('fclass', [v], 'i32');
    add('fli', ['i32'], v);
    for (const [from, carrier] of Object.entries(formats)) {
      if (from !== format) add(`cvt_${from}`, [carrier, 'i32'], v);
    }
  }
  table['d_cvtmod'] = type(['i64'], 'i64');
  return table;
}

const WIDE = type(['i64', 'i64'], 'i64');

export const RUNTIME_FUNCTIONS: Readonly<Record<string, FunctionType>> = {
  ...MACHINE,
  ...floatFunctions(),
  clmul: WIDE,
  clmulh: WIDE,
  clmulr: WIDE,
};
