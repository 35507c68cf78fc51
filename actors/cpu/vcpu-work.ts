/**
 * Running something on a vCPU: what only that vCPU may touch, its hart's state, is lent to a function for the time of one
 * bottom half, between two guest instructions.
 */
import type { FieldName } from '../../src/hart/state.ts';

/** A hart's state, field by field as src/hart/state.ts names them; unsigned values. Of no use after the call. */
export interface HartAccess {
  readonly hart: number;
  /** Instructions retired since reset. */
  readonly instret: bigint;
  get(field: FieldName, index?: number): bigint;
  set(field: FieldName, value: bigint, index?: number): void;
  word(field: FieldName): number;
  setWord(field: FieldName, value: number): void;
  /** After changes of what translations or decoded code depend on: forgets both. */
  flush(): void;
}
