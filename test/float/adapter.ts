/** Calls the runtime module's soft-float exports with patterns, as the reference takes and gives them. */

import type { Outcome } from '../../src/hart/reference/float.ts';
import type { FpFormat, FpOp } from '../../src/isa/ir.ts';
import { loadRuntime, type Runtime, type RuntimeFunction } from '../support/runtime.ts';
import { type Case, exportName } from './operands.ts';

const WITHOUT_ROUNDING: readonly FpOp[] = ['min', 'max', 'minm', 'maxm', 'eq', 'lt', 'le', 'ltq', 'leq', 'cvtmod'];

function carry(format: FpFormat, pattern: bigint): number | bigint {
  return format === 'd' ? BigInt.asIntN(64, pattern) : Number(pattern) | 0;
}

export interface SoftFloat {
  readonly runtime: Runtime;
  /** An evaluator of one operation, with fflags clear before. */
  evaluator(operation: Case): (args: readonly bigint[], rm: number) => Outcome;
}

/** An i32 result counts as 32 bits in every format: the high half of a half's carrier must come out clear. */
function patternOf(result: number | bigint): bigint {
  return typeof result === 'bigint' ? BigInt.asUintN(64, result) : BigInt(result >>> 0);
}

export function loadSoftFloat(): SoftFloat {
  const runtime = loadRuntime();
  const evaluator: SoftFloat['evaluator'] = (operation) => {
    const run: RuntimeFunction = runtime.call(exportName(operation));
    const argumentFormat = operation.from ?? operation.format;
    const takesRounding = !WITHOUT_ROUNDING.includes(operation.fp);
    return (args, rm) => {
      const carried =
        operation.fp === 'fromInt'
          ? args.map((pattern) => BigInt.asIntN(64, pattern))
          : args.map((pattern) => carry(argumentFormat, pattern));
      runtime.set('fflags', 0);
      const result = run(...carried, ...(takesRounding ? [rm] : []));
      return { value: patternOf(result), flags: Number(runtime.get('fflags')) };
    };
  };
  return { runtime, evaluator };
}
