/** Accruing flags: mstatus.FS becomes dirty when a flag changes, and the gate follows FS, frm and fflags. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FP_GATE } from '../../src/hart/state.ts';
import { loadSoftFloat } from './adapter.ts';

const { runtime } = loadSoftFloat();
const ONE = 0x3ff0000000000000n;
const THREE = 0x4008000000000000n;
const FS = 3n << 13n;
const divide = (a: bigint, b: bigint): number | bigint => runtime.call('d_div')(a, b, 0);
const gate = (): number => Number(runtime.get('fpGate'));

describe('accruing flags', () => {
  beforeEach(() => {
    runtime.set('fflags', 0);
    runtime.set('frm', 0);
    runtime.set('mstatus', (2n << 13n) | 8n);
    runtime.set('fpGate', FP_GATE.on);
  });

  it('makes FS dirty and opens the fast path once NX is set', () => {
    divide(ONE, THREE);
    expect(runtime.get('fflags')).toBe(1n);
    expect(runtime.get('mstatus')).toBe(FS | 8n);
    expect(gate()).toBe(FP_GATE.on | FP_GATE.dirty | FP_GATE.exact | FP_GATE.fast);
  });

  it('leaves FS alone where no flag changes', () => {
    divide(ONE, ONE);
    expect(runtime.get('mstatus')).toBe((2n << 13n) | 8n);
    runtime.set('fflags', 1);
    divide(ONE, THREE);
    expect(runtime.get('mstatus')).toBe((2n << 13n) | 8n);
  });

  it('keeps the flags of before', () => {
    divide(ONE, THREE);
    divide(ONE, 0n);
    expect(runtime.get('fflags')).toBe(9n);
  });

  it('keeps the fast path shut in another rounding mode, and without NX', () => {
    runtime.set('frm', 1);
    divide(ONE, THREE);
    expect(gate()).toBe(FP_GATE.on | FP_GATE.dirty);
    runtime.set('frm', 0);
    runtime.set('fflags', 0);
    divide(ONE, 0n);
    expect(gate()).toBe(FP_GATE.on | FP_GATE.dirty | FP_GATE.exact);
  });
});
