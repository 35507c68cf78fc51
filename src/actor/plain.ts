/** Anything, cut down to bounded plain data that can cross a thread: for showing, not for restoring. */
import { toErrorRecord } from '../util/errors.ts';

const MAX_DEPTH = 6;
const MAX_ITEMS = 100;
const MAX_BYTES = 64;
const MAX_TEXT = 400;

export function toPlain(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'string':
      return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
    case 'function':
      return `[function ${value.name}]`;
    case 'symbol':
      return String(value);
    case 'object':
      return value === null ? null : plainObject(value, depth);
    default:
      return value;
  }
}

function plainObject(value: object, depth: number): unknown {
  if (depth >= MAX_DEPTH) return '[…]';
  if (value instanceof Error) return { ...toErrorRecord(value) };
  if (value instanceof Uint8Array) return new Uint8Array(value.subarray(0, MAX_BYTES));
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => toPlain(item, depth + 1));
  if (ArrayBuffer.isView(value)) return `[${value.constructor.name} of ${value.byteLength} bytes]`;
  // Actor refs, device snapshots and xstate's own snapshots know how they want to be seen.
  const { toJSON } = value as { readonly toJSON?: unknown };
  const shown: unknown = typeof toJSON === 'function' ? toJSON.call(value) : value;
  if (shown === null || typeof shown !== 'object') return toPlain(shown, depth);
  const plain: Record<string, unknown> = {};
  for (const key of Object.keys(shown).slice(0, MAX_ITEMS)) {
    if (key === '__proto__') continue;
    plain[key] = toPlain((shown as Record<string, unknown>)[key], depth + 1);
  }
  return plain;
}
