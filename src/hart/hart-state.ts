/**
 * A hart's state as plain data: every `arch` field of HART_FIELDS by its name, as structured clone carries it. What is
 * derived from them (translations, decoded code) is not saved: a hart that goes on from here sees page tables and code
 * as they stand in RAM, as one that has just executed sfence.vma and fence.i.
 */
import { CSR_NUMBERS } from '../isa/csr-names.ts';
import { type FieldName, HART_FIELDS, PENDING } from './state.ts';

export const HART_STATE_VERSION = 1;

/** u32 fields are numbers, u64 fields bigints; arrays where a field has several elements. */
export type SavedValue = number | bigint | readonly bigint[];

export interface HartState {
  readonly version: number;
  readonly fields: Readonly<Record<string, SavedValue>>;
}

/** A saved state that no hart of this version can have given: names the field. */
export class HartStateError extends Error {
  constructor(field: string, expected: string) {
    super(`saved state of a hart: ${field} is not ${expected}`);
    this.name = 'HartStateError';
  }
}

/** A field as it is read and written: always 64 bits wide, element by element. */
export type FieldValues = readonly bigint[];

const ARCH_FIELDS: readonly FieldName[] = (Object.keys(HART_FIELDS) as FieldName[]).filter(
  (name) => HART_FIELDS[name].kind === 'arch',
);

const LIMITS = { u32: 0xffff_ffffn, u64: 0xffff_ffff_ffff_ffffn } as const;

/** What a field may hold beyond its width, for those that are no CSRs. */
const RULES: Readonly<Partial<Record<FieldName, readonly [allowed: (value: bigint) => boolean, text: string]>>> = {
  pc: [(value) => value % 2n === 0n, 'even'],
  priv: [oneOf(0, 1, 3), '0 (U), 1 (S) or 3 (M)'],
  fflags: [(value) => value <= 31n, 'five bits'],
  frm: [(value) => value <= 7n, 'three bits'],
  reservationValid: [oneOf(0, 1), '0 or 1'],
  reservationSize: [oneOf(0, 4, 8), '4 or 8'],
  pendingState: [oneOf(...Object.values(PENDING)), 'a state of the pending access'],
  pendingSize: [oneOf(0, 1, 2, 4, 8), '1, 2, 4 or 8'],
  pendingIsWrite: [oneOf(0, 1), '0 or 1'],
  waiting: [oneOf(0, 1), '0 or 1'],
};

/** Fields named as CSRs that are not the whole of them, or that not every state lets one write. */
const NO_CSRS: ReadonlySet<FieldName> = new Set(['mip', 'mhartid', 'fflags', 'frm', 'sie', 'mvip']);
/** pmpcfg1 and pmpcfg3 do not exist at XLEN 64. */
const PMPCFG_STEP = 2;

function oneOf(...values: number[]): (value: bigint) => boolean {
  return (value) => values.some((one) => BigInt(one) === value);
}

/** The number of the CSR that an element of a field is the whole of, if it is one. */
export function csrOf(field: FieldName, index: number): number | null {
  if (NO_CSRS.has(field)) return null;
  const suffix = field === 'pmpaddr' ? `${index}` : field === 'pmpcfg' ? `${index * PMPCFG_STEP}` : '';
  return CSR_NUMBERS.get(field + suffix) ?? null;
}

/** @param read gives a field's elements */
export function readFields(read: (field: FieldName) => FieldValues): Map<FieldName, FieldValues> {
  return new Map(ARCH_FIELDS.map((name) => [name, read(name)]));
}

export function toHartState(values: ReadonlyMap<FieldName, FieldValues>): HartState {
  const fields: Record<string, SavedValue> = {};
  for (const [name, elements] of values) {
    const [first = 0n] = elements;
    if ((HART_FIELDS[name].count ?? 1) > 1) fields[name] = [...elements];
    else fields[name] = HART_FIELDS[name].type === 'u32' ? Number(first) : first;
  }
  return { version: HART_STATE_VERSION, fields };
}

/**
 * Takes a saved state apart. What CSRs may hold is not asked here.
 * @throws HartStateError for a field that is missing, unknown or out of its bounds
 */
export function fromHartState(state: unknown, ramBytes: bigint): Map<FieldName, FieldValues> {
  const { version, fields, ...rest } = asObject(state, 'the state');
  if (version !== HART_STATE_VERSION) throw new HartStateError('version', `${HART_STATE_VERSION}`);
  const unread = new Map(Object.entries(asObject(fields, 'fields')));
  const values = new Map<FieldName, FieldValues>();
  for (const name of ARCH_FIELDS) {
    if (!unread.has(name)) throw new HartStateError(name, 'there');
    values.set(name, valuesOf(name, unread.get(name)));
    unread.delete(name);
  }
  for (const name of [...unread.keys(), ...Object.keys(rest)])
    throw new HartStateError(name, 'a field of this version');
  checkTogether((name) => values.get(name)?.[0] ?? 0n, ramBytes);
  return values;
}

function asObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new HartStateError(name, 'an object');
  return value as Record<string, unknown>;
}

function valuesOf(name: FieldName, value: unknown): FieldValues {
  const { type, count = 1 } = HART_FIELDS[name];
  if (count > 1) {
    if (!Array.isArray(value) || value.length !== count) throw new HartStateError(name, `${count} values`);
    const elements = value.map((element, i) => elementOf(`${name}[${i}]`, type, element));
    if (name === 'x' && elements[0] !== 0n) throw new HartStateError('x[0]', '0');
    return elements;
  }
  const element = elementOf(name, type, value);
  const [allowed, text] = RULES[name] ?? [];
  if (allowed?.(element) === false) throw new HartStateError(name, text ?? '');
  return [element];
}

/** An unsigned number of the field's width; u32 fields are plain numbers. */
function elementOf(name: string, type: 'u32' | 'u64', value: unknown): bigint {
  const isOfType = type === 'u32' ? Number.isInteger(value) : typeof value === 'bigint';
  const text = type === 'u32' ? 'a whole number of 32 bits' : 'a bigint of 64 bits';
  if (!isOfType) throw new HartStateError(name, text);
  const number = BigInt(value as number | bigint);
  if (number < 0n || number > LIMITS[type]) throw new HartStateError(name, text);
  return number;
}

/** What one field says of another. */
function checkTogether(get: (name: FieldName) => bigint, ramBytes: bigint): void {
  if (get('reservationValid') === 1n) {
    const [offset, size] = [get('reservationOffset'), get('reservationSize')];
    if (size === 0n) throw new HartStateError('reservationSize', '4 or 8');
    if (offset % size !== 0n || offset + size > ramBytes) throw new HartStateError('reservationOffset', 'in RAM');
  }
  if (get('pendingState') !== BigInt(PENDING.none) && get('pendingSize') === 0n) {
    throw new HartStateError('pendingSize', '1, 2, 4 or 8');
  }
}
