/** Whether this host multiplies and adds with one rounding. */
import { Module } from '../wasm/module.ts';
import { pushFused } from './exact-float.ts';

let known: boolean | null = null;

/**
 * The result of relaxed_madd is rounded once or twice, as the host's processor can; engines before version 3.0 of
 * WebAssembly's specification do not have it. Asked once, of a product that is rounded away where it is rounded twice.
 */
export function hasFusedMultiplyAdd(): boolean {
  known ??= probe();
  return known;
}

function probe(): boolean {
  const ulp = 2 ** -52;
  const module = new Module(1);
  const { index, code } = module.function({ parameters: ['f64', 'f64', 'f64'], results: ['f64'] });
  pushFused(code, 'f64', [0, 1, 2]);
  module.export('fused', index);
  try {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { env: { memory } });
    const { fused } = exports;
    return typeof fused === 'function' && fused(1 + ulp, 1 - ulp, -1) === -ulp * ulp;
  } catch {
    return false;
  }
}
